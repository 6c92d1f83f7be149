package hostcall_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dialtone-gpu/dialtone/capabilities"
	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/hostcall"
	"github.com/dialtone-gpu/dialtone/hostcall/plan"
	"github.com/dialtone-gpu/dialtone/internal/devicetest"
)

func TestMain(m *testing.M) {
	devicetest.EmulateWarps()
	devicetest.EmulateHIP()
	devicetest.EmulateMetal()
	devicetest.Main(m)
}

// limit bounds every run of these tests, which none should reach.
const limit = 60 * time.Second

// target is a device with the transport that its programs use.
type target struct {
	*hal.Device
	transport plan.Transport
}

// forEach runs a subtest on every device with each transport.
func forEach(t *testing.T, f func(t *testing.T, dev target)) {
	t.Helper()
	devicetest.ForEach(t, func(t *testing.T, dev *hal.Device) {
		for _, transport := range []plan.Transport{plan.Mailbox, plan.Stopping} {
			t.Run(string(transport), func(t *testing.T) {
				if uri := dev.Info().URI; transport == plan.Stopping && uri == "warp:0" {
					t.Skip("with relaunch every work-item calls alone, whatever the width of a subgroup: cpu:0 has the same text")
				}
				f(t, target{dev, transport})
			})
		}
	})
}

// mailboxOnly skips what makes sense with the mailbox only.
func mailboxOnly(t testing.TB, dev target, reason string) {
	t.Helper()
	if dev.transport != plan.Mailbox {
		t.Skipf("with the transport %s: %s", dev.transport, reason)
	}
}

// slowToCompile skips kernels for which the compiler of an OpenCL driver on the host's processor takes many seconds, if the
// mailbox has had it compile them, and the cpu device runs them with this transport.
func slowToCompile(t testing.TB, dev target) {
	t.Helper()
	if devicetest.Fragile(dev.Device) {
		mailboxOnly(t, dev, "it takes long to compile, and says no more than with the mailbox, or on cpu")
	}
}

// inStep reports that lanes of the device go in step: those that loop until another one has left keep it from leaving.
func inStep(dev target) bool {
	info := dev.Info()
	return info.Platform == "rusticl" || info.Backend == "hip" && !info.Sim
}

var plans sync.Map // transport and device -> plan.Plan

// newRuntime plans once per device; what is warned of fails the test unless warn takes it.
func newRuntime(t testing.TB, dev target, warn func(string)) *hostcall.Runtime {
	t.Helper()
	if warn == nil {
		warn = func(s string) { t.Errorf("warned: %s", s) }
	}
	p := planOf(t, dev)
	rt, err := hostcall.New(t.Context(), dev.Device, &hostcall.Options{Warn: warn, Plan: &p})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := rt.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return rt
}

// load compiles testdata/name.kernel.c, behind the macros of testdata/check.h.
func load(t testing.TB, rt *hostcall.Runtime, name string) *hostcall.Program {
	t.Helper()
	path := filepath.Join("testdata", name+".kernel.c")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	check, err := os.ReadFile("testdata/check.h")
	if err != nil {
		t.Fatal(err)
	}
	return loadText(t, rt, path, string(check)+"#line 1 \""+path+"\"\n"+string(text))
}

func loadText(t testing.TB, rt *hostcall.Runtime, name, text string) *hostcall.Program {
	t.Helper()
	p, err := rt.Load(t.Context(), name, text)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Errorf("close %s: %v", name, err)
		}
	})
	return p
}

// lines is a standard output or error that may be read while it is written.
type lines struct {
	mutex sync.Mutex
	buf   bytes.Buffer
	wrote chan struct{} // gets a token at every write, if there is room
}

func (l *lines) Write(p []byte) (int, error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if l.wrote != nil {
		select {
		case l.wrote <- struct{}{}:
		default:
		}
	}
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.buf.String()
}

// outcome is what a run gave and printed.
type outcome struct {
	hostcall.Result
	out, err string
	cause    error
}

// run runs a launch with its streams collected, under the limit.
func run(t testing.TB, p *hostcall.Program, l hostcall.Launch) outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	return runContext(ctx, t, p, l)
}

func runContext(ctx context.Context, t testing.TB, p *hostcall.Program, l hostcall.Launch) outcome {
	t.Helper()
	var out, errs lines
	if l.Policy.Stdout == nil {
		l.Policy.Stdout = &out
	}
	if l.Policy.Stderr == nil {
		l.Policy.Stderr = &errs
	}
	res, err := p.Run(ctx, l)
	return outcome{res, out.String(), errs.String(), err}
}

// good runs a launch that must end well, and gives what it printed.
func good(t testing.TB, p *hostcall.Program, l hostcall.Launch) string {
	t.Helper()
	o := run(t, p, l)
	if o.cause != nil {
		t.Fatalf("kernel %s: %v\nout: %.2000s\nerr: %.2000s", l.Kernel, o.cause, o.out, o.err)
	}
	if o.ExitCode != 0 || o.err != "" {
		t.Fatalf("kernel %s: exit code %d\nout: %.2000s\nerr: %.4000s", l.Kernel, o.ExitCode, o.out, o.err)
	}
	return o.out
}

// checked is good for a kernel whose first parameter is the buffer for EXPECT.
func checked(t testing.TB, dev target, p *hostcall.Program, l hostcall.Launch) string {
	t.Helper()
	const most, size = 100, 6
	notes := buffer(t, dev, make([]byte, 4*(2+most*size)))
	l.Args = append([]hal.Arg{hal.Memory(notes)}, l.Args...)
	out := good(t, p, l)
	got := content(t, dev, notes)
	word := func(i int) uint32 { return binary.LittleEndian.Uint32(got[4*i:]) }
	if n := int(word(0)); n > 0 {
		t.Errorf("kernel %s: %d expectations failed", l.Kernel, n)
		for i := range min(n, 10) {
			at := 2 + i*size
			t.Errorf("line %d, item %d: got %d, want %d", word(at), word(at+1),
				int64(uint64(word(at+2))|uint64(word(at+3))<<32), int64(uint64(word(at+4))|uint64(word(at+5))<<32))
		}
	}
	return out
}

func grid(n ...int) (d [3]int) { copy(d[:], n); return d }

// buffer makes device memory with that content.
func buffer(t testing.TB, dev target, content []byte) *hal.Buffer {
	t.Helper()
	b, err := dev.Alloc(hal.DeviceMemory, max(len(content), 4))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	withQueue(t, dev, func(q *hal.Queue) error { return q.Write(b, 0, content) })
	return b
}

// content reads device memory.
func content(t testing.TB, dev target, b *hal.Buffer) []byte {
	t.Helper()
	got := make([]byte, b.Size())
	withQueue(t, dev, func(q *hal.Queue) error { return q.Read(got, b, 0) })
	return got
}

func withQueue(t testing.TB, dev target, f func(*hal.Queue) error) {
	t.Helper()
	q, err := dev.NewQueue()
	if err != nil {
		t.Fatal(err)
	}
	if err := f(q); err != nil {
		t.Fatal(err)
	}
	if err := q.Wait(t.Context()); err != nil { // other queues are to see it
		t.Fatal(err)
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
}

// pattern is n bytes without NUL and newline, so that a misplaced one shows.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte('!' + (i*7+i/94)%94)
	}
	return b
}

// sorted gives the lines of text in order.
func sortedLines(text string) []string {
	l := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	sortStrings(l)
	return l
}

func diffLines(t testing.TB, got, want []string) {
	t.Helper()
	sortStrings(want)
	sortStrings(got)
	for i := range max(len(got), len(want)) {
		g, w := "(nothing)", "(nothing)"
		if i < len(got) {
			g = got[i]
		}
		if i < len(want) {
			w = want[i]
		}
		if g != w {
			t.Fatalf("line %d of %d (want %d):\ngot  %.300q (%d bytes)\nwant %.300q (%d bytes)", i, len(got), len(want), g, len(g), w, len(w))
		}
	}
}

// planOf plans once per device and transport, and skips where the device has not got that.
func planOf(t testing.TB, dev target) plan.Plan {
	t.Helper()
	key := target{nil, dev.transport + plan.Transport(" on "+dev.Info().URI)}
	if p, ok := plans.Load(key); ok {
		return p.(plan.Plan)
	}
	rt, err := hostcall.New(t.Context(), dev.Device, &hostcall.Options{Policy: plan.Policy{Transport: dev.transport}})
	if err != nil {
		t.Fatal(err)
	}
	if dev.transport == plan.Mailbox && !rt.Capabilities().Has(capabilities.CommMailbox) {
		t.Skipf("%s has no mailbox: %s", dev.Info().URI, plan.Make(dev.Info().URI, rt.Capabilities()).Obstacle)
	}
	plans.Store(key, rt.Plan())
	return rt.Plan()
}
