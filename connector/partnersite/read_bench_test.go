package partnersite_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prmsync/prmsync/connector/frappe"
	"github.com/prmsync/prmsync/connector/partnersite"
)

// stubEnv makes the test binary a site of its own, so that its work is not
// counted as the reader's.
const stubEnv = "PRMSYNC_BENCH_SITE"

func TestMain(m *testing.M) {
	if rows, err := strconv.Atoi(os.Getenv(stubEnv)); err == nil {
		serveLarge(rows)
		return
	}
	os.Exit(m.Run())
}

const (
	largeRows = 200_000
	perPage   = 80 * time.Millisecond // of the site's time for 500 rows
)

// big is one doctype of the large site, as prepared text.
type big struct {
	text     []byte
	at       []int
	modified []string
}

func newBig(rows int, row func(i int) string) big {
	var b big
	start := time.Date(2025, 1, 1, 8, 0, 0, 0, time.UTC)
	for i := range rows {
		m := start.Add(time.Duration(i) * 317 * time.Second).Format("2006-01-02 15:04:05.000000")
		b.at, b.modified = append(b.at, len(b.text)), append(b.modified, m)
		b.text = fmt.Appendf(b.text, `{"owner":"a@acme.example","creation":"%s","modified":"%s","modified_by":"a@acme.example","docstatus":0,%s},`, m, m, row(i))
	}
	b.at = append(b.at, len(b.text))
	return b
}

// serveLarge is a site with so many rows, half tasks and half tickets. A list
// takes the modelled time for its rows, anything else none.
func serveLarge(rows int) {
	docs := map[string]big{
		"Task": newBig(rows/2, func(i int) string {
			return fmt.Sprintf(`"name":"TASK-%06d","subject":"Prepare step %d","project":"PROJ-%04d","status":"Open","type":null,"priority":"Medium","is_group":0,"is_template":0,"depends_on_tasks":"","exp_end_date":"2026-%02d-%02d","completed_on":null,"progress":%d.0`,
				i, i%977, i%500, 1+i%12, 1+i%28, i%100)
		}),
		"Issue": newBig(rows-rows/2, func(i int) string {
			return fmt.Sprintf(`"name":"ISS-%06d","subject":"Ticket about %d","status":"Closed","customer":"Customer %d","priority":"High","opening_date":"2026-01-02","opening_time":"9:00:00","service_level_agreement":"Default","response_by":"2026-01-02 11:00:00","first_responded_on":"2026-01-02 10:00:00","sla_resolution_by":"2026-01-03 10:00:00","sla_resolution_date":"2026-01-02 16:00:00","agreement_status":"Fulfilled"`,
				i, i%977, i%100)
		}),
	}
	fields := map[string]string{
		"Task":  "subject project status type priority is_group is_template depends_on_tasks exp_end_date completed_on progress",
		"Issue": "subject status customer priority opening_date opening_time service_level_agreement response_by first_responded_on sla_resolution_by sla_resolution_date agreement_status",
	}
	answer := func(w http.ResponseWriter, status int, v any) {
		b, _ := json.Marshal(v)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		w.Write(b)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /login", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		io.WriteString(w, `<html><script>frappe.boot = {"sysdefaults":{"date_format":"dd-mm-yyyy"},"time_zone":{"system":"Europe/Berlin"}}</script></html>`)
	})
	mux.HandleFunc("GET /api/method/", func(w http.ResponseWriter, r *http.Request) {
		switch method := strings.TrimPrefix(r.URL.Path, "/api/method/"); method {
		case "frappe.auth.get_logged_user":
			answer(w, 200, map[string]any{"message": "reader@acme.example"})
		case "frappe.utils.change_log.get_versions":
			answer(w, 200, map[string]any{"message": map[string]any{"frappe": map[string]any{"version": "15.72.4"}, "erpnext": map[string]any{"version": "15.71.1"}}})
		case "frappe.core.doctype.user.user.get_roles":
			answer(w, 200, map[string]any{"message": []string{"All", "Guest", "Reader", "Super Email User"}})
		case "frappe.realtime.get_user_info":
			answer(w, 200, map[string]any{"message": map[string]any{"user": "reader@acme.example", "user_type": "System User"}})
		case "frappe.desk.form.load.getdoctype":
			name := r.URL.Query().Get("doctype")
			if fields[name] == "" {
				answer(w, 403, map[string]any{"exc_type": "PermissionError"})
				return
			}
			var list []any
			for f := range strings.FieldsSeq(fields[name]) {
				list = append(list, map[string]any{"fieldname": f, "fieldtype": "Data"})
			}
			answer(w, 200, map[string]any{"docs": []any{map[string]any{"name": name, "fields": list, "permissions": []any{map[string]any{"role": "Reader", "read": 1}}}}})
		case "frappe.client.get_count", "frappe.desk.reportview.get_count":
			answer(w, 200, map[string]any{"message": rows / 2})
		default:
			answer(w, 200, map[string]any{"message": map[string]any{}})
		}
	})
	mux.HandleFunc("GET /api/resource/{doctype}", func(w http.ResponseWriter, r *http.Request) {
		d, ok := docs[r.PathValue("doctype")]
		if !ok {
			answer(w, 403, map[string]any{"exc_type": "PermissionError"})
			return
		}
		q := r.URL.Query()
		limit, _ := strconv.Atoi(q.Get("limit_page_length"))
		from := 0
		var conditions [][3]string
		if json.Unmarshal([]byte(q.Get("or_filters")), &conditions) == nil && len(conditions) > 0 {
			from = sort.Search(len(d.modified), func(i int) bool { return d.modified[i] > conditions[0][2] })
		} else if json.Unmarshal([]byte(q.Get("filters")), &conditions) == nil && len(conditions) > 0 {
			from = sort.Search(len(d.modified), func(i int) bool { return d.modified[i] >= conditions[0][2] })
		}
		to := min(from+limit, len(d.modified))
		time.Sleep(perPage * time.Duration(to-from) / 500)
		body := append(append([]byte(`{"data":[`), d.text[d.at[from]:max(d.at[to]-1, d.at[from])]...), ']', '}')
		w.Header().Set("Content-Type", "application/json")
		w.Write(body)
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(l.Addr().String())
	go http.Serve(l, mux) //nolint:gosec // a stub of a benchmark
	io.Copy(io.Discard, os.Stdin)
}

func startLarge(b *testing.B, rows int) (url string) {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), stubEnv+"="+strconv.Itoa(rows))
	stdin, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		stdin.Close()
		cmd.Wait()
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return "http://" + strings.TrimSpace(line)
}

// peakRSS is the largest memory that this process has held since it was last
// asked to forget, in MiB.
func peakRSS(b *testing.B) float64 {
	b.Helper()
	s, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Fatalf("the peak of memory is read from Linux's /proc: %v", err)
	}
	for line := range strings.SplitSeq(string(s), "\n") {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, _ := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 64)
			return kb / 1024
		}
	}
	return 0
}

func processor(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkBackfill reads a site of 200,000 documents for the first time, from a
// site modelled at 80 ms for 500 rows with two requests in flight: that floor is
// 16 s, and the figure is the ratio to it.
func BenchmarkBackfill(b *testing.B) {
	url := startLarge(b, largeRows)
	for b.Loop() {
		client, err := frappe.New(frappe.Config{URL: url, Key: "k", Secret: "s", ReadOnly: true, AllowPrivateNetwork: true})
		if err != nil {
			b.Fatal(err)
		}
		site := partnersite.New(client, partnersite.Options{Partner: "acme", Key: "erp", URL: url})
		runtime.GC()
		debug.FreeOSMemory()
		os.WriteFile("/proc/self/clear_refs", []byte("5"), 0)
		history, kept := newMemory(), 0
		start, used := time.Now(), processor(b)
		_, err = site.Poll(context.Background(), history, func(_ context.Context, batch partnersite.Batch) error {
			kept += len(batch.Documents)
			for _, c := range batch.Cursors {
				history.cursors[c.Stream] = c
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
		took := time.Since(start)
		if kept != largeRows {
			b.Fatalf("%d documents were kept, want %d", kept, largeRows)
		}
		floor := perPage * largeRows / 500 / 2
		b.ReportMetric(took.Seconds(), "s")
		b.ReportMetric(took.Seconds()/floor.Seconds(), "of-floor")
		b.ReportMetric((processor(b) - used).Seconds(), "cpu-s")
		b.ReportMetric(peakRSS(b), "peak-MiB")
		client.Close()
	}
}

// BenchmarkIdlePollOfASite polls the sample site when nothing has changed.
func BenchmarkIdlePollOfASite(b *testing.B) {
	s := polled(b)
	s.site.KeepLog(false)
	s.poll()
	var last partnersite.Reach
	for b.Loop() {
		s.later(time.Minute)
		last = s.poll()
	}
	b.ReportMetric(float64(last.Work.Requests), "requests")
	b.ReportMetric(float64(last.Work.Rows), "rows")
	b.ReportMetric(last.Work.ServerSeconds*1000, "server-ms")
}
