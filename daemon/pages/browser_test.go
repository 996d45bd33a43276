//go:build browser

package pages_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/audits"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/prmsync/prmsync/metrics"
)

// browser is a Chromium without a window. One goroutine uses it.
type browser struct {
	t   *testing.T
	ctx context.Context

	mu     sync.Mutex
	faults []string // what the console and the security policy said
}

func start(t *testing.T) *browser {
	t.Helper()
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]), chromedp.ExecPath("chromium"), chromedp.DisableGPU)
	if os.Getuid() == 0 {
		options = append(options, chromedp.NoSandbox) // Chromium gives root none; only our own pages are opened
	}
	// Not t.Context, which would kill the browser before it can close.
	allocated, release := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, closing := chromedp.NewContext(allocated)
	b := &browser{t: t, ctx: ctx}
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil {
			t.Errorf("close chromium: %v", err)
		}
		closing()
		release()
	})
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("chromium: %v; install Debian's package chromium", err)
	}
	if err := chromedp.Listen(ctx, b.hear); err != nil {
		t.Fatal(err)
	}
	b.do("listen to complaints", command(audits.Enable, cdp.Empty{}))
	return b
}

// command is a bare command of the DevTools protocol.
func command[P, R any](c cdp.Command[P, R], params P) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, c, params)
		return err
	})
}

// hear notes what the browser complains of.
func (b *browser) hear(event any) {
	switch event.(type) {
	case *log.EventEntryAdded, *runtime.EventExceptionThrown, *runtime.EventConsoleAPICalled, *audits.EventIssueAdded:
	default:
		return
	}
	text, err := json.Marshal(event)
	if err != nil {
		text = []byte(err.Error())
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.faults = append(b.faults, fmt.Sprintf("%T %s", event, text))
}

// do has the browser do something, and waits for it.
func (b *browser) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 30*time.Second)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Fatalf("%s: %v", what, err)
	}
}

// open loads a page and returns what the browser complained of meanwhile.
func (b *browser) open(url string) []string {
	b.t.Helper()
	b.mu.Lock()
	b.faults = nil
	b.mu.Unlock()
	b.do(url, chromedp.Navigate(url))
	if !eval[bool](b, `document.readyState === "complete"`) { // and what was said before it
		b.t.Fatalf("%s did not load", url)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.faults)
}

// eval runs a script in the page, which the page's own policy does not bind.
func eval[T any](b *browser, script string) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 30*time.Second)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](script))
	if err != nil {
		b.t.Fatalf("script: %v", err)
	}
	return v
}

// unfold opens all that a reader may open.
func (b *browser) unfold() {
	b.t.Helper()
	eval[int](b, `document.querySelectorAll("details").forEach(d => { d.open = true; }), document.querySelectorAll("details[open]").length`)
}

// look sets the width of the window and the colours that the reader prefers.
func (b *browser) look(width int64, scheme string) {
	b.t.Helper()
	b.do("look", chromedp.EmulateViewport(width, 800), command(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	}))
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
		out = append(out, eval[[]string](b, check)...)
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
		for _, width := range []int64{360, 768, 1440} {
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
		want := eval[int](b, `document.querySelectorAll("a[href], summary").length`)
		seen := map[string]bool{}
		for range want {
			b.do("press the tabulator", chromedp.KeyEvent(kb.Tab))
			at := eval[[2]any](b, focus)
			if at[1] != true {
				t.Errorf("%s: one does not see that %v has the keyboard", path, at[0])
			}
			seen[fmt.Sprint(at[0])] = true
		}
		for _, l := range eval[[]string](b, `[...document.querySelectorAll("a[href]")].map(a => a.getAttribute("href"))`) {
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
