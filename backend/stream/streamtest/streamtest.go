// Package streamtest has the tests of what CUDA and HIP have in common, which their backends run on their devices.
package streamtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/dialtone-gpu/dialtone/hal"
)

// Backend is what differs between them.
type Backend struct {
	Name string                                     // of the backend
	Need func(t testing.TB)                         // skips, with the reason, where there is no device
	Left func(t testing.TB) (devices, releases int) // of the driver

	// Kernels are those of the tests: [Kernels] with what they need.
	Kernels string
	// Faults are the kernels that fault, and what is said of each.
	Faults []Fault
	// TooLarge are launches that the driver cannot make: groups, and work-items of each.
	TooLarge []Shape
	// KnowsParams tells whether the driver knows the sizes of parameters; Forgetting runs f while it does not.
	KnowsParams func(t testing.TB) bool
	Forgetting  func(t testing.TB, f func())
	// LostForGood is set where a device that was lost is lost to the process.
	LostForGood bool
	// Entry is the cache's name of a source's code.
	Entry func(d *hal.Device, src hal.Source) string
}

// Fault is a kernel of Kernels that faults behind a store of 0x600d to its first argument.
type Fault struct {
	Kernel string
	Cause  string // in the error
	Codes  []int  // of the driver, any
}

// Shape of a launch.
type Shape struct{ Grid, Group [3]int }

// URI is that of a device.
func (gpu *Backend) URI(ordinal int) string { return fmt.Sprintf("%s:%d", gpu.Name, ordinal) }

// Run runs all tests.
func (gpu *Backend) Run(t *testing.T) {
	for _, one := range []struct {
		name string
		test func(t *testing.T)
	}{
		{"Add", gpu.add}, {"IDs", gpu.ids}, {"Arguments", gpu.arguments}, {"Limits", gpu.limits}, {"Transfers", gpu.transfers},
		{"Mailbox", gpu.mailbox}, {"Mark", gpu.mark}, {"Besides", gpu.besides}, {"CompileWaits", gpu.compileWaits}, {"Backlog", gpu.backlog},
		{"Endless", gpu.endless}, {"Faults", gpu.faults}, {"Two", gpu.two}, {"Hammer", gpu.hammer}, {"BadCache", gpu.badCache},
		{"Allocations", gpu.allocations},
	} {
		t.Run(one.name, one.test)
	}
}

// ChildEnv is set in the process that a test of its own process runs in.
const ChildEnv = "DIALTONE_STREAM_TEST_CHILD"

// AddSource is a small source, which both languages take.
const AddSource = `
extern "C" __global__ void add(const float *a, const float *b, float *c, int n) {
	int i = blockIdx.x * blockDim.x + threadIdx.x;
	if (i < n) c[i] = a[i] + b[i];
}
extern "C" __global__ void another(int *p) { *p = 1; }
`

// Kernels are those of all tests. Everything that waits gives up after a time by the device's clock. A backend says
// first what is its own: u64 now(void), in nanoseconds; u32 load(u32 *) and void store(u32 *, u32), which the host and the device see of
// each other; and last the kernels that fault.
const Kernels = `
extern "C" __global__ void add(const float *a, const float *b, float *c, int n) {
	int i = blockIdx.x * blockDim.x + threadIdx.x;
	if (i < n) c[i] = a[i] + b[i];
}
extern "C" __global__ void ids(u32 *out) {
	u32 x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y, z = blockIdx.z * blockDim.z + threadIdx.z;
	u32 w = gridDim.x * blockDim.x, h = gridDim.y * blockDim.y;
	out[(z * h + y) * w + x] = x | y << 8 | z << 16;
}
struct mixed { char c; short s; int i; double d; };
extern "C" __global__ void args(char *out, int i, long long l, float f, unsigned char b, struct mixed m, int *where) {
	*(int *)(out + 0) = i; *(long long *)(out + 8) = l; *(float *)(out + 16) = f; out[20] = b;
	out[21] = m.c; *(short *)(out + 22) = m.s; *(int *)(out + 24) = m.i; *(double *)(out + 32) = m.d;
	*where = 77;
}
extern "C" __global__ void increment(u32 *p) { *p += 1; }
/* words: 0 request, 1 answer, 2 outcome */
extern "C" __global__ void mailbox(u32 *w, u32 n, u64 limit) {
	u64 end = now() + limit;
	for (u32 i = 1; i <= n; i++) {
		store(w, i);
		while (load(w + 1) != i * 3)
			if (now() > end) { store(w + 2, i); return; }
	}
	store(w + 2, 0xffffffffu);
}
/* words: 0 started, 1 go on, 2 outcome: 1 told to go on, 2 waited too long */
extern "C" __global__ void waiter(u32 *w, u64 limit) {
	u64 end = now() + limit;
	store(w, 1);
	while (!load(w + 1))
		if (now() > end) { store(w + 2, 2); return; }
	store(w + 2, 1);
}
`

// Types begin the text of a backend's kernels.
const Types = `
typedef unsigned int u32;
typedef unsigned long long u64;
`

// Isolated runs the calling test in a process of its own, because it poisons the context
// or would hang with the driver. It returns true in that process and false in the first.
func (gpu *Backend) Isolated(t *testing.T, limit time.Duration) bool {
	t.Helper()
	gpu.Need(t)
	if os.Getenv(ChildEnv) == t.Name() {
		return true
	}
	RunChild(t, limit)
	return false
}

// RunChild runs the calling test in a process of its own and fails as it does.
func RunChild(t *testing.T, limit time.Duration) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	var pattern []string
	for _, part := range strings.Split(t.Name(), "/") {
		pattern = append(pattern, "^"+regexp.QuoteMeta(part)+"$")
	}
	cmd := exec.CommandContext(ctx, exe, "-test.run="+strings.Join(pattern, "/"), "-test.v", "-test.timeout="+(limit+time.Minute).String())
	cmd.Env = append(os.Environ(), ChildEnv+"="+t.Name(), "GORACE=atexit_sleep_ms=0")
	cmd.WaitDelay = 5 * time.Second
	start := time.Now()
	out, err := cmd.CombinedOutput()
	t.Logf("own process, %v:\n%s", time.Since(start).Round(time.Millisecond), out)
	if ctx.Err() != nil {
		t.Fatalf("it did not end within %v", limit)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Open opens the first GPU and closes it with the test.
func (gpu *Backend) Open(t testing.TB) *hal.Device {
	t.Helper()
	gpu.Need(t)
	d, err := hal.Open(t.Context(), gpu.URI(0))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return d
}

// Closer is what tests close.
type Closer interface{ Close() error }

// Closing closes x with the test.
func Closing[T Closer](t testing.TB, x T, err error) T {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := x.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return x
}

// NewQueue makes a queue and closes it with the test.
func NewQueue(t testing.TB, d *hal.Device) *hal.Queue {
	t.Helper()
	q, err := d.NewQueue()
	return Closing(t, q, err)
}

// Alloc reserves memory until the test's end.
func Alloc(t testing.TB, d *hal.Device, kind hal.MemoryKind, size int) *hal.Buffer {
	t.Helper()
	b, err := d.Alloc(kind, size)
	return Closing(t, b, err)
}

// Compile makes a module and closes it with the test.
func Compile(t testing.TB, d *hal.Device, text string) *hal.Module {
	t.Helper()
	m, err := d.Compile(context.Background(), hal.Source{Name: "test.kernel.c", Text: text})
	return Closing(t, m, err)
}

// Get finds a kernel.
func Get(t testing.TB, m *hal.Module, name string) *hal.Kernel {
	t.Helper()
	k, err := m.Kernel(name)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// Must ends the test at an error.
func Must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Wait waits for all that a queue has.
func Wait(t testing.TB, q *hal.Queue) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	Must(t, q.Wait(ctx))
}

// Spin asks until all is done.
func Spin(t testing.TB, ask func() (bool, error)) {
	t.Helper()
	for {
		done, err := ask()
		Must(t, err)
		if done {
			return
		}
	}
}

// Word is an aligned 32-bit Word of host-visible memory.
func Word(b *hal.Buffer, i int) *atomic.Uint32 {
	return (*atomic.Uint32)(unsafe.Pointer(&b.Bytes()[4*i]))
}

// Trial finds the one of a capability.
func Trial(t testing.TB, all []hal.Trial, capability string) hal.Trial {
	t.Helper()
	i := slices.IndexFunc(all, func(one hal.Trial) bool { return one.Capability == capability })
	if i < 0 {
		t.Fatalf("there is no trial of %s", capability)
	}
	return all[i]
}

// Outcome runs a trial: "done: " and its detail, "unsupported: " or "open: " and its error.
func Outcome(t testing.TB, one hal.Trial) string {
	detail, err := one.Run(t.Context(), "")
	switch {
	case errors.Is(err, hal.ErrUnsupported):
		return "unsupported: " + err.Error()
	case err != nil:
		return "open: " + err.Error()
	}
	return "done: " + detail
}

// Exports looks at files of the right size that stand for DMA-BUFs, and counts them.
type Exports struct {
	testing.TB
	N int
}

// Look is a [stream.Driver]'s Exported.
func (e *Exports) Look(descriptor int, size int64) (string, error) {
	e.N++
	f := os.NewFile(uintptr(descriptor), "exported")
	defer f.Close()
	if s, err := f.Stat(); err != nil || s.Size() != size {
		e.Errorf("%d bytes were exported, %+v, %v", size, s, err)
	}
	return "a file", nil
}
