package metal_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/dialtone-gpu/dialtone/backend/metal"
	"github.com/dialtone-gpu/dialtone/capabilities"
	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/hostcall/probe"
	"github.com/dialtone-gpu/dialtone/internal/devicetest"
	"github.com/dialtone-gpu/dialtone/internal/metaltest"
)

func TestLayout(t *testing.T) {
	for i, s := range metal.Sizes {
		if s[0] != s[1] {
			t.Errorf("number %d is %d, want %d", i, s[0], s[1])
		}
	}
}

// TestNotByItself: nothing opens a simulated device that was not asked for by name.
func TestNotByItself(t *testing.T) {
	needStandIn(t)
	infos, _ := hal.Devices(t.Context())
	found := false
	for _, i := range infos {
		found = found || i.URI == "metal:0" && i.Sim
	}
	if !found {
		t.Errorf("metal:0 is not listed, or not as simulated: %+v", infos)
	}
	d, err := hal.Open(t.Context(), "")
	if err != nil {
		return // there is no other device
	}
	defer d.Close()
	if d.Info().Backend == "metal" {
		t.Error("a simulated device was chosen")
	}
}

func TestNoDevice(t *testing.T) {
	s := needStandIn(t)
	if _, err := hal.Open(t.Context(), "metal:1"); !errors.Is(err, hal.ErrNoDevice) {
		t.Errorf("a device that is not there: %v", err)
	}
	s.Fault("no device", -1)
	defer s.Fault("no device", 0)
	_, missing := hal.Devices(t.Context())
	if err := missing["metal"]; !errors.Is(err, hal.ErrUnavailable) {
		t.Errorf("no GPU: %v", err)
	}
}

func TestMissingSymbol(t *testing.T) {
	path, err := metaltest.Build(t.TempDir(), "-DSTANDIN_INCOMPLETE")
	if err != nil {
		t.Skipf("needs the stand-in for Metal: %v", err)
	}
	if err := metal.OpenError(path); err == nil || !strings.HasSuffix(err.Error(), "lacks objc_autoreleasePoolPush") {
		t.Errorf("a library that lacks a symbol: %v", err)
	}
	if err := metal.OpenError(path + ".none"); err == nil || !strings.Contains(err.Error(), "tried "+path+".none") {
		t.Errorf("a library that is not there: %v", err)
	}
}

// TestOldSystem lacks every message that came later than the rest.
func TestOldSystem(t *testing.T) {
	s := needStandIn(t)
	s.Fault("old system", -1)
	defer s.Fault("old system", 0)
	i := again(t).Info()
	if i.Arch != "unknown" || i.Memory != 0 || i.MaxGroup != 1024 {
		t.Errorf("%+v", i)
	}
}

func TestCompileErrors(t *testing.T) {
	needStandIn(t)
	d := again(t)
	for _, c := range []struct{ name, text, want string }{
		{"mistake", "#line 1 \"user.kernel.c\"\n\nkernel void k(device int *a [[buffer(0)]]) {\n  a[0] = nonsense;\n}\n", "user.kernel.c:3:10: error: use of undeclared identifier 'nonsense'"},
		{"spaces", head + "static void f(thread int *p) {}\nkernel void k(device int *a [[buffer(0)]]) { f(a); }\n", "error: no matching function for call to 'f'"},
		{"attribute", "kernel void k(device int *a [[buffre(0)]]) {}\n", "unknown attribute 'buffre(0)'"},
		{"double", head + "kernel void k(device int *a [[buffer(0)]]) { double d = 1; }\n", "METAL_HAS_NO_double"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := d.Compile(t.Context(), hal.Source{Name: "user.kernel.c", Text: c.text})
			var ce *hal.CompileError
			if !errors.As(err, &ce) || !strings.Contains(ce.Log, c.want) || ce.Source != "user.kernel.c" || ce.Device != "metal:0" {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
	m, err := d.Compile(t.Context(), hal.Source{Name: "two", Text: head + "kernel void b(device int *x [[buffer(0)]]) {}\nkernel void a(device int *x [[buffer(0)]]) {}\n"})
	must(t, err)
	defer m.Close()
	if _, err := m.Kernel("c"); !errors.Is(err, hal.ErrInvalid) || !strings.Contains(err.Error(), "the module has a, b") {
		t.Errorf("a kernel that is not there: %v", err)
	}
	standIn.Fault("pipeline", 1)
	var e *hal.Error
	if _, err := m.Kernel("a"); !errors.As(err, &e) || e.Code != 2 || e.Kernel != "a" || !strings.Contains(err.Error(), "temporary registers") {
		t.Errorf("a kernel that the GPU cannot run: %v", err)
	}
	if _, err := m.Kernel("a"); err != nil {
		t.Errorf("after that: %v", err)
	}
}

// TestCompileHangs: the caller's context ends, the compiler does not.
func TestCompileHangs(t *testing.T) {
	needStandIn(t)
	d := again(t)
	standIn.Fault("compile hangs", -1)
	defer standIn.Fault("compile hangs", 0)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := d.Compile(ctx, hal.Source{Name: "slow", Text: countSource})
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "slow") {
		t.Errorf("got %v", err)
	}
}

func TestNothingLeft(t *testing.T) {
	needStandIn(t)
	d := again(t)
	if _, err := d.Alloc(hal.DeviceMemory, 1<<40); !errors.Is(err, hal.ErrOutOfMemory) {
		t.Errorf("more than the device's limit: %v", err)
	}
	standIn.Fault("allocate", 1)
	if _, err := d.Alloc(hal.HostCoherent, 64); !errors.Is(err, hal.ErrOutOfMemory) {
		t.Errorf("no memory: %v", err)
	}
	standIn.Fault("queue", 1)
	if _, err := d.NewQueue(); !errors.Is(err, hal.ErrOutOfMemory) {
		t.Errorf("no queue: %v", err)
	}
	if _, err := d.Alloc(hal.Managed, 64); !errors.Is(err, hal.ErrUnsupported) {
		t.Errorf("managed memory: %v", err)
	}
}

// TestFailures has launches fail in each way that leaves the device as it was, between two that do not.
func TestFailures(t *testing.T) {
	needStandIn(t)
	d := again(t)
	k, q := compile(t, d, countSource, "count"), queue(t, d)
	fault := compile(t, d, head+"kernel void count(device unsigned int *words [[buffer(0)]]) { *(device unsigned int *)0x10 = 1; }\n", "count")
	b := alloc(t, d, hal.DeviceMemory, 64)
	for _, c := range []struct {
		name   string
		kernel *hal.Kernel
		code   int
		is     error
		want   string
	}{
		{"command buffer", k, 0, hal.ErrOutOfMemory, "metal:0: kernel count: commandBuffer: out of memory"},
		{"encoder", k, 0, hal.ErrOutOfMemory, "metal:0: kernel count: computeCommandEncoder: out of memory"},
		{"launch fails", k, 1, nil, "metal:0: kernel count: run: MTLCommandBufferErrorDomain (1): Internal Error"},
		{"out of memory", k, 8, hal.ErrOutOfMemory, "metal:0: kernel count: run: MTLCommandBufferErrorDomain (8): Insufficient Memory"},
		{"", fault, 3, nil, "used an address that is not its own"},
	} {
		t.Run(c.name, func(t *testing.T) {
			must(t, q.Write(b, 0, words(0)))
			if c.name != "" {
				standIn.Fault(c.name, 1)
			}
			must(t, q.Launch(c.kernel, [3]int{}, [3]int{}, hal.Memory(b), hal.Int32(0)))
			got := make([]byte, 4)
			read := q.Read(got, b, 0) // knows of it, and leaves it to Done
			err := wait(t, q)
			for _, err := range []error{read, err} {
				var e *hal.Error
				if !errors.As(err, &e) || e.Code != c.code || c.is != nil && !errors.Is(err, c.is) || errors.Is(err, hal.ErrDeviceLost) || !strings.Contains(err.Error(), c.want) {
					t.Errorf("got %v, want %s", err, c.want)
				}
			}
			must(t, wait(t, q))
			must(t, q.Launch(k, [3]int{}, [3]int{}, hal.Memory(b), hal.Int32(0)))
			must(t, q.Read(got, b, 0))
			if word(got, 0) != 1 {
				t.Errorf("the launch after it gives %d", word(got, 0))
			}
		})
	}
}

func TestDeviceLost(t *testing.T) {
	needStandIn(t)
	d := again(t)
	k, q, other := compile(t, d, countSource, "count"), queue(t, d), queue(t, d)
	b := alloc(t, d, hal.HostCoherent, 64)
	copy(b.Bytes(), words(5))
	standIn.Fault("lost", 1)
	must(t, q.Launch(k, [3]int{}, [3]int{}, hal.Memory(b), hal.Int32(0)))
	for range 2 {
		if err := wait(t, q); !errors.Is(err, hal.ErrDeviceLost) || !strings.Contains(err.Error(), "kernel count") {
			t.Errorf("wait: %v", err)
		}
	}
	_, compiled := d.Compile(t.Context(), hal.Source{Name: "user.metal", Text: countSource})
	_, allocated := d.Alloc(hal.DeviceMemory, 4)
	_, made := d.NewQueue()
	for what, err := range map[string]error{
		"launch":  q.Launch(k, [3]int{}, [3]int{}, hal.Memory(b), hal.Int32(0)),
		"read":    other.Read(make([]byte, 4), b, 0),
		"compile": compiled, "alloc": allocated, "queue": made, "wait": wait(t, other),
	} {
		if !errors.Is(err, hal.ErrDeviceLost) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if word(b.Bytes(), 0) != 5 {
		t.Error("memory that the host sees is gone")
	}
	if _, err := again(t).Alloc(hal.DeviceMemory, 0); !errors.Is(err, hal.ErrInvalid) {
		t.Errorf("opened anew: %v", err)
	}
}

// TestLaunchHangs: only the context ends the wait, and nothing but the launch ends the launch.
func TestLaunchHangs(t *testing.T) {
	needStandIn(t)
	d := again(t)
	k, q, other := compile(t, d, countSource, "count"), queue(t, d), queue(t, d)
	b := alloc(t, d, hal.DeviceMemory, 64)
	must(t, q.Write(b, 0, words(0)))
	standIn.Fault("launch hangs", -1)
	defer standIn.Fault("launch hangs", 0)
	must(t, q.Launch(k, [3]int{}, [3]int{}, hal.Memory(b), hal.Int32(0)))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := q.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("wait: %v", err)
	}
	if err := q.Stop(); !errors.Is(err, hal.ErrUnsupported) {
		t.Errorf("stop: %v", err)
	}
	must(t, other.Write(b, 32, words(3))) // another queue does not wait
	standIn.Fault("launch hangs", 0)
	must(t, wait(t, q))
}

// TestStandInChecks: the double must be able to fail. What it ends the process for is done in a child process.
func TestStandInChecks(t *testing.T) {
	if standIn == nil {
		t.Skipf("needs the stand-in for Metal: %v", missing)
	}
	for want, misuse := range metal.Misuses {
		t.Run(want, func(t *testing.T) {
			r := devicetest.Child(t)
			if r == nil {
				l, err := metal.Loaded()
				must(t, err)
				misuse(l)
				return
			}
			if r.Code == 0 || !strings.Contains(r.Output, "*** stand-in for Metal: ") || !strings.Contains(r.Output, want) {
				t.Errorf("the process ended with %d and %v:\n%s", r.Code, r.Signal, r.Output)
			}
		})
	}
}

// TestProbe lets the probes, kernels of the whole library, run.
func TestProbe(t *testing.T) {
	t.Setenv("DIALTONE_CACHE", t.TempDir())
	d := open(t)
	set, err := probe.Device(t.Context(), d)
	must(t, err)
	for id, want := range map[capabilities.ID]capabilities.State{
		capabilities.ExecBasic: capabilities.Proven, capabilities.CommMailbox: capabilities.No, capabilities.TimerGlobal: capabilities.No,
	} {
		if got := set[id]; got.State != want {
			t.Errorf("%s is %v, want %v: %+v", id, got.State, want, got.Facts)
		}
	}
}
