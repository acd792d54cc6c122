package page

import (
	"context"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// chromium is where the browser is; empty where none is installed.
func chromium() string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// A tab is a page that somebody has open.
type tab struct {
	*testing.T
	ctx    context.Context
	origin string
	shots  string // directory of its pictures

	mu       sync.Mutex
	problems []string // errors of the console, and requests to elsewhere
	ending   bool     // the worker is about to go, which the console may say
}

// open opens a page in a new browser.
func open(t *testing.T, address, shots string) *tab {
	t.Helper()
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(chromium()), chromedp.NoSandbox, chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("disable-gpu", true), chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true))
	ctx, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	b := &tab{T: t, origin: address, shots: shots}
	ctx, stop = chromedp.NewContext(ctx, chromedp.WithListener(b.hear))
	t.Cleanup(stop)
	b.ctx = ctx
	b.do(call(log.Enable, cdp.Empty{}), call(network.Enable, network.EnableParams{}), chromedp.Navigate(address))
	return b
}

// call is a command of the browser's protocol as an action.
func call[P, R any](command cdp.Command[P, R], parameters P) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, command, parameters)
		return err
	})
}

// hear notes what a page must not do.
func (b *tab) hear(event any) {
	problem := ""
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		if u, err := url.Parse(e.Request.URL); err != nil || u.Scheme+"://"+u.Host+"/" != b.origin {
			problem = "a request to " + e.Request.URL
		}
	case *runtime.EventExceptionThrown:
		problem = "an exception: " + e.ExceptionDetails.Text
	case *runtime.EventConsoleAPICalled:
		problem = "the console says " + string(e.Type)
	case *log.EventEntryAdded:
		problem = "the console says " + string(e.Entry.Level) + ": " + e.Entry.Text
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if problem != "" && !b.ending {
		b.problems = append(b.problems, problem)
	}
}

func (b *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	b.Helper()
	if err := chromedp.Do(b.ctx, actions...); err != nil {
		b.Fatal(err)
	}
}

// says evaluates an expression in the page.
func (b *tab) says(expression string) string {
	b.Helper()
	value, err := chromedp.Run(b.ctx, chromedp.Evaluate[string]("String("+expression+")"))
	if err != nil {
		b.Fatal(err)
	}
	return value
}

// becomes waits until an expression is true in the page.
func (b *tab) becomes(what, expression string, patience time.Duration) {
	b.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if b.says(expression) == "true" {
			return
		}
	}
	b.Fatalf("%s is not so after %v: %s\nthe page:\n%s", what, patience, expression, b.says("document.body.innerText"))
}

// looks are the ways in which the page is looked at.
var looks = []struct {
	name   string
	width  int64
	scheme string
}{{"light", 1280, "light"}, {"dark", 1280, "dark"}, {"phone", 390, "light"}}

// pictures takes a picture in each look, and checks that nothing is cut off at the side.
func (b *tab) pictures(name string) {
	b.Helper()
	for _, look := range looks {
		b.do(chromedp.EmulateViewport(look.width, 900),
			call(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: look.scheme}}}))
		if wide := b.says("document.documentElement.scrollWidth > innerWidth"); wide == "true" {
			b.Errorf("%s, %s: the page is wider than %d pixels: %s", name, look.name, look.width, b.says("document.documentElement.scrollWidth"))
		}
		picture, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
		if err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(b.shots, name+"-"+look.name+".png"), picture, 0o644); err != nil {
			b.Fatal(err)
		}
	}
	b.do(chromedp.EmulateViewport(1280, 900))
}

// withoutScript loads a page while scripts are off.
func (b *tab) withoutScript(address string) {
	b.Helper()
	b.do(call(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}), chromedp.Navigate(address))
	text := b.says("document.body.innerText")
	holds(b.T, "without script", text, "as of ", "Publishers", "Time to logoff", "Limits", "Workers")
	b.pictures("without-script")
}

// isClean checks that the page did nothing that it must not.
func (b *tab) isClean() {
	b.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, problem := range b.problems {
		b.Error(problem)
	}
	b.problems = nil
}
