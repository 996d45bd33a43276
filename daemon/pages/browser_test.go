//go:build browser

package pages_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prmsync/prmsync/metrics"
)

// browser is a Chromium without a window, told what to do over a pipe in the
// DevTools protocol. One goroutine uses it.
type browser struct {
	t       *testing.T
	in      io.Writer
	out     chan message
	id      int
	session string
	faults  []string // what the console and the security policy said
	loaded  bool
}

type message struct {
	ID        int             `json:"id,omitempty"`
	SessionID string          `json:"sessionId,omitempty"`
	Method    string          `json:"method,omitempty"`
	Params    json.RawMessage `json:"params,omitempty"`
	Result    json.RawMessage `json:"result,omitempty"`
	Error     *struct {
		Message string `json:"message"`
	} `json:"error,omitempty"`
}

func start(t *testing.T) *browser {
	t.Helper()
	toR, toW, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	fromR, fromW, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	// Not t.TempDir: helpers of the browser write into it a moment longer than the
	// browser lives.
	profile, err := os.MkdirTemp("", "prmsync-browser-")
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"--headless", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--user-data-dir=" + profile, "--remote-debugging-pipe"}
	if os.Getuid() == 0 {
		args = append(args, "--no-sandbox") // Chromium gives root none; only our own pages are opened
	}
	cmd := exec.CommandContext(t.Context(), "chromium", args...)
	cmd.ExtraFiles = []*os.File{toR, fromW} // 3 and 4
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatalf("chromium: %v; install Debian's package chromium", err)
	}
	toR.Close()
	fromW.Close()
	b := &browser{t: t, in: toW, out: make(chan message, 256)}
	go func() {
		defer close(b.out)
		for r := bufio.NewReader(fromR); ; {
			line, err := r.ReadBytes(0)
			if err != nil {
				return
			}
			var m message
			if json.Unmarshal(line[:len(line)-1], &m) == nil {
				b.out <- m
			}
		}
	}()
	t.Cleanup(func() {
		b.session = ""
		_ = b.send("Browser.close", nil)
		for range b.out { // until it is gone
		}
		_ = cmd.Wait()
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // its helpers
		for tries := 0; os.RemoveAll(profile) != nil && tries < 20; tries++ {
			time.Sleep(50 * time.Millisecond)
		}
		toW.Close()
		fromR.Close()
	})
	var target struct{ TargetID string }
	b.do("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	b.do("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	b.session = attached.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log", "Audits"} {
		b.do(domain+".enable", nil, nil)
	}
	return b
}

func (b *browser) send(method string, params any) error {
	b.id++
	m := map[string]any{"id": b.id, "method": method}
	if params != nil {
		m["params"] = params
	}
	if b.session != "" {
		m["sessionId"] = b.session
	}
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	_, err = b.in.Write(append(text, 0))
	return err
}

// do sends a command and waits for its answer.
func (b *browser) do(method string, params, result any) {
	b.t.Helper()
	if err := b.send(method, params); err != nil {
		b.t.Fatalf("%s: %v", method, err)
	}
	id := b.id
	b.until(method, func(m message) bool {
		if m.ID != id {
			return false
		}
		if m.Error != nil {
			b.t.Fatalf("%s: %s", method, m.Error.Message)
		}
		if result != nil {
			if err := json.Unmarshal(m.Result, result); err != nil {
				b.t.Fatalf("%s: %v", method, err)
			}
		}
		return true
	})
}

// until reads what the browser says until done.
func (b *browser) until(what string, done func(message) bool) {
	b.t.Helper()
	limit := time.After(30 * time.Second)
	for {
		select {
		case m, ok := <-b.out:
			if !ok {
				b.t.Fatalf("%s: chromium ended", what)
			}
			switch m.Method {
			case "Page.loadEventFired":
				b.loaded = true
			case "Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Audits.issueAdded":
				b.faults = append(b.faults, m.Method+" "+string(m.Params))
			}
			if done(m) {
				return
			}
		case <-limit:
			b.t.Fatalf("%s: no answer from chromium in 30 s", what)
		}
	}
}

// open loads a page and returns what the browser complained of meanwhile.
func (b *browser) open(url string) []string {
	b.t.Helper()
	b.faults, b.loaded = nil, false
	b.do("Page.navigate", map[string]any{"url": url}, nil)
	if !b.loaded {
		b.until(url, func(message) bool { return b.loaded })
	}
	var ready bool
	b.eval(`document.readyState === "complete"`, &ready) // and what was said before it
	if !ready {
		b.t.Fatalf("%s did not load", url)
	}
	return b.faults
}

// eval runs a script in the page, which the page's own policy does not bind.
func (b *browser) eval(script string, v any) {
	b.t.Helper()
	var r struct {
		Result struct {
			Value json.RawMessage
		}
		ExceptionDetails json.RawMessage
	}
	b.do("Runtime.evaluate", map[string]any{"expression": script, "returnByValue": true}, &r)
	if r.ExceptionDetails != nil {
		b.t.Fatalf("script: %s", r.ExceptionDetails)
	}
	if err := json.Unmarshal(r.Result.Value, v); err != nil {
		b.t.Fatalf("script answers %s: %v", r.Result.Value, err)
	}
}

// unfold opens all that a reader may open.
func (b *browser) unfold() {
	b.t.Helper()
	var n int
	b.eval(`document.querySelectorAll("details").forEach(d => { d.open = true; }), document.querySelectorAll("details[open]").length`, &n)
}

// look sets the width of the window and the colours that the reader prefers.
func (b *browser) look(width int, scheme string) {
	b.t.Helper()
	b.do("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": false}, nil)
	b.do("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}}}, nil)
}

// wide lists what reaches beyond the window.
const wide = `(() => { const w = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= w) return [];
  return [...document.querySelectorAll("body *")].filter(e => e.getBoundingClientRect().right > w + 1).slice(0, 5)
    .map(e => e.tagName + "." + e.className + " " + e.textContent.trim().slice(0, 40)).concat("scrolls at " + w); })()`

// pale lists text whose contrast is below WCAG AA.
const pale = `(() => {
  const rgb = s => { const m = s.match(/[\d.]+/g).map(Number); return {c: m.slice(0, 3), a: m.length > 3 ? m[3] : 1}; };
  const lum = c => { const [r, g, b] = c.map(v => { v /= 255; return v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; }); return .2126 * r + .7152 * g + .0722 * b; };
  const ground = e => { for (; e; e = e.parentElement) { const {c, a} = rgb(getComputedStyle(e).backgroundColor); if (a === 1) return c; } return [255, 255, 255]; };
  const bad = new Set();
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let n; n = walk.nextNode();) {
    const e = n.parentElement;
    if (!n.textContent.trim() || !e.checkVisibility()) continue;
    const s = getComputedStyle(e), px = parseFloat(s.fontSize), large = px >= 24 || px >= 18.66 && s.fontWeight >= 700;
    const a = lum(rgb(s.color).c), b = lum(ground(e)), ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < (large ? 3 : 4.5)) bad.add(ratio.toFixed(2) + " " + e.tagName + "." + e.className + " " + n.textContent.trim().slice(0, 30));
  }
  return [...bad]; })()`

// deaf lists what a person with a keyboard or a screen reader would miss.
const deaf = `(() => { const bad = [];
  for (const [what, n] of [["main", 1], ["header", 1], ["footer", 1], ["nav[aria-label]", 1], ["h1", 1], ["html[lang]", 1]])
    if (document.querySelectorAll(what).length !== n) bad.push(what + " is there " + document.querySelectorAll(what).length + " times");
  for (const t of document.querySelectorAll("table")) { if (!t.caption) bad.push("a table has no caption"); for (const h of t.querySelectorAll("th")) if (!h.scope) bad.push("a header has no scope: " + h.textContent); }
  for (const s of document.querySelectorAll("svg")) if (s.getAttribute("role") !== "img" || !s.getAttribute("aria-label")) bad.push("a drawing has no words");
  for (const a of document.querySelectorAll("a")) if (!a.textContent.trim()) bad.push("a link has no text: " + a.href);
  if (!document.title) bad.push("no title");
  return bad; })()`

// focus tells what has the keyboard, and whether one sees it.
const focus = `(() => { const e = document.activeElement; if (!e || e === document.body) return ["", true];
  const s = getComputedStyle(e); return [e.tagName + " " + (e.getAttribute("href") || e.textContent.trim()).slice(0, 80), s.outlineStyle !== "none" && parseFloat(s.outlineWidth) >= 2]; })()`

func (b *browser) complaints(url string) []string {
	b.t.Helper()
	out := b.open(url)
	b.unfold()
	for _, check := range []string{wide, pale, deaf} {
		var found []string
		b.eval(check, &found)
		out = append(out, found...)
	}
	return out
}

func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv.URL
}

func TestInABrowser(t *testing.T) {
	t.Parallel()
	o := options(t)
	o.Live = func(key string) (metrics.Partner, bool) {
		return metrics.Partner{Assessment: sample(key), Sites: map[string]metrics.Site{"erp": {LastSuccess: now, Errors: map[string]int64{"timeout": 2}}}}, key == "meridian"
	}
	url := serve(t, handler(t, o))
	b := start(t)
	for _, scheme := range []string{"light", "dark"} {
		for _, width := range []int{360, 768, 1440} {
			b.look(width, scheme)
			for _, path := range all {
				for _, c := range b.complaints(url + path) {
					t.Errorf("%s at %d px, %s: %s", path, width, scheme, c)
				}
			}
		}
	}
}

// The checks above are worth what they find in a page that is wrong.
func TestTheBrowserFindsFaults(t *testing.T) {
	t.Parallel()
	url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, `<title>wrong</title><script>1</script><p style="width:2000px;color:#bbb;background:#fff">pale and wide</p><table><tr><th>x</table>`)
	}))
	b := start(t)
	b.look(360, "light")
	got := strings.Join(b.complaints(url), "\n")
	for _, want := range []string{"Content Security Policy", "scrolls at 360", "P. pale and wide", "main is there 0 times", "a table has no caption", "a header has no scope"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q was not found in:\n%s", want, got)
		}
	}
}

// Every link and fold is reached by the tabulator, in sight, and every link of
// ours leads somewhere.
func TestByKeyboard(t *testing.T) {
	t.Parallel()
	url := serve(t, handler(t, options(t)))
	b := start(t)
	b.look(1440, "light")
	for _, path := range all {
		b.open(url + path)
		b.unfold()
		var want int
		b.eval(`document.querySelectorAll("a[href], summary").length`, &want)
		seen := map[string]bool{}
		for range want {
			for _, kind := range []string{"keyDown", "keyUp"} {
				b.do("Input.dispatchKeyEvent", map[string]any{"type": kind, "key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9}, nil)
			}
			var at [2]any
			b.eval(focus, &at)
			if at[1] != true {
				t.Errorf("%s: one does not see that %v has the keyboard", path, at[0])
			}
			seen[fmt.Sprint(at[0])] = true
		}
		var links []string
		b.eval(`[...document.querySelectorAll("a[href]")].map(a => a.getAttribute("href"))`, &links)
		for _, l := range links {
			if !seen[("A " + l)[:min(len("A "+l), 82)]] {
				t.Errorf("%s: the keyboard does not reach %s; it reaches %v", path, l, seen)
			}
			if strings.HasPrefix(l, "/") && l != "/metrics" { // served beside the pages
				if code := fetch(t.Context(), t, url+l); code != http.StatusOK {
					t.Errorf("%s: %s answers %d", path, l, code)
				}
			}
		}
	}
}

func fetch(ctx context.Context, t *testing.T, url string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}
