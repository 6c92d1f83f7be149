package hip

import (
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/dialtone-gpu/dialtone/backend/stream/streamtest"
	"github.com/dialtone-gpu/dialtone/hal"
)

// gpu is what runs the tests that CUDA's backend has too.
var gpu = &streamtest.Backend{
	Name: name,
	Need: needGPU,
	Left: func(t testing.TB) (devices, releases int) {
		d, err := startedDriver()
		must(t, err)
		return d.streams.Left()
	},
	Kernels: kernels,
	Faults: []streamtest.Fault{
		{Kernel: "fault_trap", Cause: "trap", Codes: []int{719}},
		{Kernel: "fault_address", Cause: "illegal address", Codes: []int{700}},
	},
	TooLarge:    []streamtest.Shape{{Grid: [3]int{1 << 30}, Group: [3]int{8}}},
	KnowsParams: func(testing.TB) bool { return false },
	LostForGood: true,
	Entry: func(d *hal.Device, src hal.Source) string {
		dev := d.Driver().(*device)
		c, _ := dev.api.compile()
		return dev.entry(src, c)
	},
}

func TestGPU(t *testing.T) { gpu.Run(t) }

func BenchmarkGPU(b *testing.B) { gpu.Benchmark(b) }

const addSource = streamtest.AddSource

// kernels are those of the tests.
const kernels = streamtest.Types + `
static __device__ u64 now() { return __builtin_amdgcn_s_memrealtime() * 10; } /* 100 MHz */
static __device__ u32 load(u32 *p) { __builtin_amdgcn_s_sleep(1); return __hip_atomic_load(p, __ATOMIC_ACQUIRE, __HIP_MEMORY_SCOPE_SYSTEM); }
static __device__ void store(u32 *p, u32 v) { __hip_atomic_store(p, v, __ATOMIC_RELEASE, __HIP_MEMORY_SCOPE_SYSTEM); }
` + streamtest.Kernels + `
extern "C" __global__ void fault_trap(u32 *w) { store(w, 0x600d); __builtin_trap(); }
extern "C" __global__ void fault_address(u32 *w, u32 *wrong) { store(w, 0x600d); *wrong = 1; }
`

// needGPU skips where there is none and nothing stands in for one, with the reason.
func needGPU(t testing.TB) {
	t.Helper()
	needLibrary(t)
	if _, err := (backend{}).Devices(t.Context()); errors.Is(err, hal.ErrUnavailable) {
		t.Skipf("needs an AMD GPU: %v", err)
	} else if err != nil {
		t.Fatal(err)
	}
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

var get, must, wait, word = streamtest.Get, streamtest.Must, streamtest.Wait, streamtest.Word

func TestGPUInfo(t *testing.T) {
	d := open(t)
	i := d.Info()
	t.Logf("%+v", i)
	for what, bad := range map[string]bool{
		"backend":  i.Backend != "hip" || i.URI != "hip:0" || i.Kind != hal.GPU || i.Dialect != hal.HIP,
		"name":     i.Name == "",
		"UUID":     !regexp.MustCompile(`^GPU-[0-9a-f]{16,32}$`).MatchString(i.UUID),
		"PCI":      !regexp.MustCompile(`^[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-9a-f]$`).MatchString(i.PCI),
		"arch":     !strings.HasPrefix(i.Arch, "gfx") || strings.Contains(i.Arch, ":"),
		"subgroup": i.Subgroup != 32 && i.Subgroup != 64,
		"sizes":    i.Units < 1 || i.Resident < i.Units || i.MaxGroup < 512 || i.Memory < 1<<28,
		"driver":   !strings.Contains(i.Driver, "HIP "),
		"kinds":    !i.Has(hal.DeviceMemory) || !i.Has(hal.HostCoherent),
		"stand-in": i.Sim != (i.Vendor == "dialtone") || i.Sim != i.HostCPU || i.Sim != strings.Contains(i.Driver, "stand-in"),
	} {
		if bad {
			t.Errorf("wrong: %s", what)
		}
	}
	if _, err := (backend{}).Open(t.Context(), 1000); !errors.Is(err, hal.ErrNoDevice) {
		t.Errorf("device 1000: %v", err)
	}
}
