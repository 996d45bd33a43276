package frappe_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"sort"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prmsync/prmsync/connector/frappe"
)

// The stub runs in a process of its own, so that its work is not counted as the
// client's. It is this test binary, started again with stubEnv set to the
// latency of an answer.
const stubEnv = "FRAPPE_TEST_STUB_LATENCY"

func TestMain(m *testing.M) {
	if v := os.Getenv(stubEnv); v != "" {
		latency, err := time.ParseDuration(v)
		if err != nil {
			panic(err)
		}
		serveStub(latency)
		return
	}
	os.Exit(m.Run())
}

const (
	benchRows = 50_000
	benchPage = 500
)

var benchFields = []string{"name", "subject", "project", "status", "priority", "exp_end_date", "progress", "is_group", "is_template", "modified"}

type benchRow struct {
	Name       string  `json:"name"`
	Subject    string  `json:"subject"`
	Project    string  `json:"project"`
	Status     string  `json:"status"`
	Priority   string  `json:"priority"`
	ExpEndDate *string `json:"exp_end_date"`
	Progress   float64 `json:"progress"`
	IsGroup    int     `json:"is_group"`
	IsTemplate int     `json:"is_template"`
	Modified   string  `json:"modified"`
}

// serveStub answers keyset pages of 50,000 Task rows out of one prepared text,
// and ends when its standard input does.
func serveStub(latency time.Duration) {
	var text []byte
	var at []int // where each row begins
	var modified []string
	start := time.Date(2026, 1, 1, 8, 0, 0, 0, time.UTC)
	for i := range benchRows {
		m := start.Add(time.Duration(i) * 317 * time.Millisecond).Format("2006-01-02 15:04:05.000000")
		at, modified = append(at, len(text)), append(modified, m)
		due := fmt.Sprintf(`"2026-%02d-%02d"`, 1+i%12, 1+i%28)
		if i%3 == 0 {
			due = "null"
		}
		text = fmt.Appendf(text, `{"name":"TASK-2026-%05d","subject":"Prepare step %d","project":"PROJ-%04d","status":"Open","priority":"Medium","exp_end_date":%s,"progress":%d.0,"is_group":0,"is_template":0,"modified":"%s"},`,
			i, i%977, i%200, due, i%100, m)
	}
	at = append(at, len(text))
	h := func(w http.ResponseWriter, r *http.Request) {
		if latency > 0 {
			time.Sleep(latency)
		}
		q := r.URL.Query()
		limit, _ := strconv.Atoi(q.Get("limit_page_length"))
		from := 0
		if f := q.Get("or_filters"); f != "" {
			var any [][3]string
			if json.Unmarshal([]byte(f), &any) == nil {
				from = sort.Search(benchRows, func(i int) bool { return modified[i] > any[0][2] })
			}
		}
		to := min(from+limit, benchRows)
		body := append(append([]byte(`{"data":[`), text[at[from]:max(at[to]-1, at[from])]...), ']', '}')
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.Write(body)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(l.Addr().String())
	go http.Serve(l, http.HandlerFunc(h)) //nolint:gosec // a stub of a benchmark
	io.Copy(io.Discard, os.Stdin)
}

func startStub(b *testing.B, latency time.Duration) (addr string) {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), stubEnv+"="+latency.String())
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
	return strings.TrimSpace(line)
}

// cpu is the processor time that this process has used.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// rss is the memory that this process holds now, in MiB.
func rss(b *testing.B) float64 {
	b.Helper()
	s, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		b.Fatalf("resident memory is read from /proc: %v", err)
	}
	f := strings.Fields(string(s))
	n, _ := strconv.Atoi(f[1])
	return float64(n*os.Getpagesize()) / (1 << 20)
}

// floorPage is the least that reading one page can be: net/http, one query,
// encoding/json into a struct.
func floorPage(b *testing.B, hc *http.Client, base string, modified, name string) []benchRow {
	fields, _ := json.Marshal(benchFields)
	q := url.Values{"fields": {string(fields)}, "order_by": {"modified asc, name asc"}, "limit_page_length": {strconv.Itoa(benchPage)}}
	if modified != "" {
		f, _ := json.Marshal([][3]string{{"modified", ">=", modified}})
		o, _ := json.Marshal([][3]string{{"modified", ">", modified}, {"name", ">", name}})
		q.Set("filters", string(f))
		q.Set("or_filters", string(o))
	}
	req, err := http.NewRequest(http.MethodGet, base+"/api/resource/Task?"+q.Encode(), nil)
	if err != nil {
		b.Fatal(err)
	}
	req.Header.Set("Authorization", "token a:b")
	resp, err := hc.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		b.Fatal(err)
	}
	var page struct {
		Data []benchRow `json:"data"`
	}
	if err := json.Unmarshal(body, &page); err != nil {
		b.Fatal(err)
	}
	return page.Data
}

func floorBackfill(b *testing.B, hc *http.Client, base string) (rows int) {
	var modified, name string
	for {
		page := floorPage(b, hc, base, modified, name)
		rows += len(page)
		if len(page) < benchPage {
			return rows
		}
		modified, name = page[len(page)-1].Modified, page[len(page)-1].Name
	}
}

// BenchmarkBackfill reads 50,000 rows of ten fields, the client and the floor
// in turn, and reports the client's processor time over the floor's.
func BenchmarkBackfill(b *testing.B) {
	base := "http://" + startStub(b, 0)
	hc := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 2}}
	c := client(b, base)
	var floor, ours time.Duration
	var top float64
	before := rss(b)
	runs := 0
	for b.Loop() {
		runs++
		t0 := cpu(b)
		rows := 0
		for page, err := range c.Scan(b.Context(), "Task", frappe.ScanOptions{Fields: benchFields, PageSize: benchPage}) {
			if err != nil {
				b.Fatal(err)
			}
			rows += len(page.Rows)
			top = max(top, rss(b))
		}
		t1 := cpu(b)
		if n := floorBackfill(b, hc, base); rows != benchRows || n != benchRows {
			b.Fatalf("client read %d rows, floor %d, want %d", rows, n, benchRows)
		}
		t2 := cpu(b)
		ours += t1 - t0
		floor += t2 - t1
	}
	b.ReportMetric(ours.Seconds()/float64(runs), "client-cpu-s/op")
	b.ReportMetric(floor.Seconds()/float64(runs), "floor-cpu-s/op")
	b.ReportMetric(ours.Seconds()/floor.Seconds(), "cpu-ratio")
	b.ReportMetric(top-before, "rss-growth-MiB")
}

// BenchmarkIdlePoll polls 20 sites of 8 streams that have nothing new, at 30 ms
// an answer, with two connections a site.
func BenchmarkIdlePoll(b *testing.B) {
	const sites, streams = 20, 8
	base := "http://" + startStub(b, 30*time.Millisecond)
	const last = "2026-12-31 00:00:00"
	var floorWall, wall, floorCPU, ours time.Duration
	var clients []*frappe.Client
	var floors []*http.Client
	for range sites {
		// Each has its own transport, so connections are bounded for each.
		clients = append(clients, client(b, base))
		floors = append(floors, &http.Client{Transport: &http.Transport{MaxConnsPerHost: 2, MaxIdleConnsPerHost: 2}})
	}
	each := func(f func(site int)) {
		var wg sync.WaitGroup
		for i := range sites {
			var next sync.Mutex
			left := streams
			for range 2 {
				wg.Go(func() {
					for {
						next.Lock()
						n := left
						left--
						next.Unlock()
						if n <= 0 {
							return
						}
						f(i)
					}
				})
			}
		}
		wg.Wait()
	}
	ctx := context.Background()
	runs := 0
	for b.Loop() {
		runs++
		c0, t0 := cpu(b), time.Now()
		each(func(i int) {
			for page, err := range clients[i].Scan(ctx, "Task", frappe.ScanOptions{Fields: benchFields, Since: frappe.Cursor{Modified: last, Name: "Z"}}) {
				if err != nil || len(page.Rows) != 0 {
					b.Errorf("%d rows, %v", len(page.Rows), err)
				}
			}
		})
		c1, t1 := cpu(b), time.Now()
		each(func(i int) {
			if n := len(floorPage(b, floors[i], base, last, "Z")); n != 0 {
				b.Errorf("floor: %d rows", n)
			}
		})
		c2, t2 := cpu(b), time.Now()
		wall, floorWall = wall+t1.Sub(t0), floorWall+t2.Sub(t1)
		ours, floorCPU = ours+c1-c0, floorCPU+c2-c1
	}
	n := float64(runs)
	b.ReportMetric(wall.Seconds()/n, "client-wall-s/op")
	b.ReportMetric(floorWall.Seconds()/n, "floor-wall-s/op")
	b.ReportMetric(wall.Seconds()/floorWall.Seconds(), "wall-ratio")
	b.ReportMetric(ours.Seconds()*1000/n, "client-cpu-ms/op")
	b.ReportMetric(ours.Seconds()/floorCPU.Seconds(), "cpu-ratio")
}
