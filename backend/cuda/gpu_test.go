package cuda

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/dialtone-gpu/dialtone/backend/stream/streamtest"
	"github.com/dialtone-gpu/dialtone/hal"
)

// gpu is what runs the tests that HIP's backend has too.
var gpu = &streamtest.Backend{
	Name:    name,
	Need:    needGPU,
	Left:    left,
	Kernels: kernels,
	Faults: []streamtest.Fault{
		{Kernel: "fault_trap", Cause: "trap", Codes: []int{719, 715}},
		{Kernel: "fault_address", Cause: "illegal address", Codes: []int{700}},
		{Kernel: "fault_misaligned", Cause: "misaligned", Codes: []int{716}},
	},
	TooLarge: []streamtest.Shape{
		{Grid: [3]int{1}, Group: [3]int{1, 1, 65}},
		{Grid: [3]int{1, 65536}, Group: [3]int{1}},
		{Grid: [3]int{1, 1, 65536}, Group: [3]int{1}},
	},
	KnowsParams: func(t testing.TB) bool {
		d, err := startedDriver()
		must(t, err)
		return d.FuncGetParamInfo != 0
	},
	Forgetting: func(t testing.TB, f func()) {
		d, err := startedDriver()
		must(t, err)
		tell := d.FuncGetParamInfo
		defer func() { d.FuncGetParamInfo = tell }()
		d.FuncGetParamInfo = 0
		f()
	},
	Entry: func(d *hal.Device, src hal.Source) string {
		c, _ := loadedCompiler()
		return entry(src, d.Driver().(*device).cc) + c.version()
	},
}

func TestGPU(t *testing.T) { gpu.Run(t) }

// BenchmarkGPU measures launches and transfers.
func BenchmarkGPU(b *testing.B) { gpu.Benchmark(b) }

const addSource = streamtest.AddSource

// kernels are those of the tests.
const kernels = streamtest.Types + `
static __device__ u64 now() { u64 t; asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(t)); return t; }
static __device__ u32 load(u32 *p) { u32 v; asm volatile("ld.acquire.sys.global.u32 %0, [%1];" : "=r"(v) : "l"(p) : "memory"); return v; }
static __device__ void store(u32 *p, u32 v) { asm volatile("st.release.sys.global.u32 [%0], %1;" :: "l"(p), "r"(v) : "memory"); }
` + streamtest.Kernels + `
extern "C" __global__ void deep(u32 *out, u32 n) {
	volatile u32 memory[4096];
	for (u32 i = 0; i < n; i++) memory[(i * 2654435761u) >> 20] = i;
	*out = memory[n & 4095];
}
extern "C" __global__ void fault_trap(u32 *w) { store(w, 0x600d); asm volatile("trap;"); }
extern "C" __global__ void fault_address(u32 *w, u32 *wrong) { store(w, 0x600d); *wrong = 1; }
extern "C" __global__ void fault_misaligned(u32 *w) { store(w, 0x600d); *(volatile u64 *)((char *)w + 12) = 1; }
`

// needGPU skips where there is none, with the reason.
func needGPU(t testing.TB) {
	t.Helper()
	if _, err := (backend{}).Devices(t.Context()); errors.Is(err, hal.ErrUnavailable) {
		t.Skipf("needs an NVIDIA GPU: %v", err)
	} else if err != nil {
		t.Fatal(err)
	}
	needCompiler(t)
}

func open(t testing.TB) *hal.Device { return gpu.Open(t) }

func isolated(t *testing.T, limit time.Duration) bool { return gpu.Isolated(t, limit) }

func newQueue(t testing.TB, d *hal.Device) *hal.Queue { return streamtest.NewQueue(t, d) }

func alloc(t testing.TB, d *hal.Device, kind hal.MemoryKind, size int) *hal.Buffer {
	return streamtest.Alloc(t, d, kind, size)
}

func compile(t testing.TB, d *hal.Device, text string) *hal.Module {
	return streamtest.Compile(t, d, text)
}

var get, must, wait = streamtest.Get, streamtest.Must, streamtest.Wait

// left is what the driver has open and to release.
func left(t testing.TB) (devices, releases int) {
	t.Helper()
	d, err := startedDriver()
	must(t, err)
	return d.streams.Left()
}

func TestGPUInfo(t *testing.T) {
	d := open(t)
	i := d.Info()
	t.Logf("%+v", i)
	for what, bad := range map[string]bool{
		"backend":  i.Backend != "cuda" || i.URI != "cuda:0" || i.Kind != hal.GPU || i.Dialect != hal.CUDA || i.Vendor != "NVIDIA",
		"name":     i.Name == "",
		"UUID":     !regexp.MustCompile(`^GPU(-[0-9a-f]{4,12}){5}$`).MatchString(i.UUID),
		"PCI":      !regexp.MustCompile(`^[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-9a-f]$`).MatchString(i.PCI),
		"arch":     !strings.HasPrefix(i.Arch, "sm_"),
		"subgroup": i.Subgroup != 32,
		"sizes":    i.Units < 1 || i.Resident < i.Units || i.MaxGroup < 512 || i.Memory < 1<<28,
		"driver":   !strings.Contains(i.Driver, "CUDA ") || !strings.Contains(i.Driver, "NVRTC "),
		"kinds":    !i.Has(hal.DeviceMemory) || !i.Has(hal.HostCoherent),
		"stand-in": i.Sim || i.HostCPU,
	} {
		if bad {
			t.Errorf("wrong: %s", what)
		}
	}
	if strings.Contains(i.Name, "H200") && i.Resident != 8448 {
		t.Errorf("%d resident subgroups", i.Resident)
	}
	if _, err := (backend{}).Open(t.Context(), 1000); !errors.Is(err, hal.ErrNoDevice) {
		t.Errorf("device 1000: %v", err)
	}
}

// TestGPUDeep tells what a kernel with much local memory does beside one that waits: the
// driver enlarges its store of local memory. That is no promise of ours, so it cannot fail.
func TestGPUDeep(t *testing.T) {
	if !isolated(t, time.Minute) {
		return
	}
	d := open(t)
	m := compile(t, d, kernels)
	w, other, out := streamtest.StartWaiting(t, d, m), newQueue(t, d), alloc(t, d, hal.DeviceMemory, 4)
	start := time.Now()
	must(t, other.Launch(get(t, m, "deep"), [3]int{1}, [3]int{32}, hal.Memory(out), hal.Int32(10000)))
	launched := time.Since(start)
	wait(t, other)
	t.Logf("launch took %v, done after %v, the other kernel was still waiting: %v", launched, time.Since(start), w.End(t))
}

func TestGPUReopen(t *testing.T) {
	if !isolated(t, 2*time.Minute) {
		return
	}
	var before, after uintptr
	files := func() int {
		list, _ := os.ReadDir("/proc/self/fd")
		return len(list)
	}
	var filesBefore int
	for i := range 20 {
		d, err := hal.Open(t.Context(), "cuda:0")
		must(t, err)
		m, err := d.Compile(t.Context(), hal.Source{Name: "k", Text: kernels})
		must(t, err)
		q, err := d.NewQueue()
		must(t, err)
		b, err := d.Alloc(hal.DeviceMemory, 64<<20)
		must(t, err)
		h, err := d.Alloc(hal.HostCoherent, 1<<20)
		must(t, err)
		must(t, q.Launch(get(t, m, "increment"), [3]int{}, [3]int{}, hal.Memory(b)))
		wait(t, q)
		c := d.Driver().(*device)
		var free, total uintptr
		if r := c.With(func() result {
			return code(c.api.MemGetInfo.Call(uintptr(unsafe.Pointer(&free)), uintptr(unsafe.Pointer(&total))))
		}); r != success {
			t.Fatal(r)
		}
		switch i {
		case 2:
			before, filesBefore = free, files()
		case 19:
			after = free
			if n := files(); n > filesBefore+4 {
				t.Errorf("%d open files, %d at first", n, filesBefore)
			}
		}
		for _, x := range []streamtest.Closer{h, b, q, m, d} {
			must(t, x.Close())
			must(t, x.Close())
		}
		if devices, waiting := left(t); devices != 0 || waiting != 0 {
			t.Fatalf("round %d: %d contexts and %d releases are left", i, devices, waiting)
		}
	}
	if before > after+16<<20 {
		t.Errorf("%d bytes of device memory are gone", before-after)
	}
}

// TestGPUPTX takes the way of a device that is newer than NVRTC.
func TestGPUPTX(t *testing.T) {
	d := open(t)
	compiler, _ := loadedCompiler()
	dev := d.Driver().(*device)
	cc := dev.cc
	arch := 0
	for _, a := range compiler.archs {
		if int(a) < cc {
			arch = int(a)
		}
	}
	if arch < 70 {
		t.Skipf("NVRTC %s has no architecture between 7.0 and this device's", compiler.version())
	}
	image, err := compiler.translate(hal.Source{Name: "k", Text: kernels}, fmt.Sprintf("compute_%d", arch), false, options)
	must(t, err)
	load := func(name string, image []byte) (hal.DriverModule, error) {
		return dev.Handle.Compile(t.Context(), hal.Source{Name: name}, func(context.Context, hal.Source, bool) ([]byte, string, error) {
			return image, "", nil
		})
	}
	m, err := load("k", image)
	must(t, err)
	defer m.Close()
	q, out := newQueue(t, d), alloc(t, d, hal.HostCoherent, 4096)
	k, err := m.Kernel("increment")
	must(t, err)
	dq := hal.DriverQueue(nil)
	dq, err = d.Driver().NewQueue()
	must(t, err)
	defer dq.Close()
	clear(out.Bytes())
	db, err := d.Driver().Alloc(hal.DeviceMemory, 4)
	must(t, err)
	defer db.Free()
	must(t, dq.Write(db, 0, make([]byte, 4)))
	must(t, dq.Launch(k, [3]int{1, 1, 1}, [3]int{1, 1, 1}, []hal.DriverArg{{Buffer: db}}))
	got := make([]byte, 4)
	must(t, dq.Read(got, db, 0))
	if got[0] != 1 {
		t.Errorf("got %v", got)
	}
	wait(t, q)

	_, err = load("broken", append(bytes.Replace(image[:len(image)-1], []byte("ld.global"), []byte("ld.nonsense"), 1), 0))
	if bytes.Contains(image, []byte("ld.global")) {
		var ce *hal.CompileError
		if !errors.As(err, &ce) {
			t.Errorf("broken PTX: %v", err)
		}
		t.Log(err)
	}
}
