package cuda

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/dialtone-gpu/dialtone/backend/stream"
	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/internal/cache"
)

// childEnv is set in the process that a test of its own process runs in.
const childEnv = "DIALTONE_CUDA_TEST_CHILD"

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

// isolated runs the calling test in a process of its own, because it poisons the context
// or would hang with the driver. It returns true in that process and false in the first.
func isolated(t *testing.T, limit time.Duration) bool {
	t.Helper()
	needGPU(t)
	if os.Getenv(childEnv) == t.Name() {
		return true
	}
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
	cmd.Env = append(os.Environ(), childEnv+"="+t.Name())
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
	return false
}

// open opens the first GPU and closes it with the test.
func open(t testing.TB) *hal.Device {
	t.Helper()
	needGPU(t)
	d, err := hal.Open(t.Context(), "cuda:0")
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

type closer interface{ Close() error }

// closing closes x with the test.
func closing[T closer](t testing.TB, x T, err error) T {
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

func newQueue(t testing.TB, d *hal.Device) *hal.Queue {
	t.Helper()
	q, err := d.NewQueue()
	return closing(t, q, err)
}

func alloc(t testing.TB, d *hal.Device, kind hal.MemoryKind, size int) *hal.Buffer {
	t.Helper()
	b, err := d.Alloc(kind, size)
	return closing(t, b, err)
}

func compile(t testing.TB, d *hal.Device, text string) *hal.Module {
	t.Helper()
	m, err := d.Compile(context.Background(), hal.Source{Name: "test.kernel.c", Text: text})
	return closing(t, m, err)
}

func get(t testing.TB, m *hal.Module, name string) *hal.Kernel {
	t.Helper()
	k, err := m.Kernel(name)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wait(t testing.TB, q *hal.Queue) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	must(t, q.Wait(ctx))
}

// spin asks until all is done.
func spin(t testing.TB, ask func() (bool, error)) {
	t.Helper()
	for {
		done, err := ask()
		must(t, err)
		if done {
			return
		}
	}
}

// word is an aligned 32-bit word of host-visible memory.
func word(b *hal.Buffer, i int) *atomic.Uint32 {
	return (*atomic.Uint32)(unsafe.Pointer(&b.Bytes()[4*i]))
}

// kernels are those of all tests. Everything that waits gives up after a time by the device's clock.
const kernels = `
typedef unsigned int u32;
typedef unsigned long long u64;
static __device__ u64 now() { u64 t; asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(t)); return t; }
static __device__ u32 load(u32 *p) { u32 v; asm volatile("ld.acquire.sys.global.u32 %0, [%1];" : "=r"(v) : "l"(p) : "memory"); return v; }
static __device__ void store(u32 *p, u32 v) { asm volatile("st.release.sys.global.u32 [%0], %1;" :: "l"(p), "r"(v) : "memory"); }

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
extern "C" __global__ void deep(u32 *out, u32 n) {
	volatile u32 memory[4096];
	for (u32 i = 0; i < n; i++) memory[(i * 2654435761u) >> 20] = i;
	*out = memory[n & 4095];
}
extern "C" __global__ void fault_trap(u32 *w) { store(w, 0x600d); asm volatile("trap;"); }
extern "C" __global__ void fault_address(u32 *w, u32 *wrong) { store(w, 0x600d); *wrong = 1; }
extern "C" __global__ void fault_misaligned(u32 *w) { store(w, 0x600d); *(volatile u64 *)((char *)w + 12) = 1; }
`

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

// TestGPUAdd runs a kernel over every kind of memory and looks at words that it must not touch.
func TestGPUAdd(t *testing.T) {
	d := open(t)
	q, k := newQueue(t, d), get(t, compile(t, d, kernels), "add")
	const n, guard = 100_003, 64
	a, b := make([]byte, 4*n), make([]byte, 4*n)
	for i := range n {
		binary.LittleEndian.PutUint32(a[4*i:], math.Float32bits(float32(i)))
		binary.LittleEndian.PutUint32(b[4*i:], math.Float32bits(0.5))
	}
	for _, kind := range d.Info().Kinds {
		t.Run(kind.String(), func(t *testing.T) {
			ab, bb, cb := alloc(t, d, kind, 4*n), alloc(t, d, kind, 4*n), alloc(t, d, kind, 4*(n+guard))
			must(t, q.Write(ab, 0, a))
			must(t, q.Write(bb, 0, b))
			must(t, q.Write(cb, 0, bytes.Repeat([]byte{0xee}, 4*(n+guard))))
			must(t, q.Launch(k, [3]int{(n + 255) / 256}, [3]int{256}, hal.Memory(ab), hal.Memory(bb), hal.Memory(cb), hal.Int32(n)))
			got := make([]byte, 4*(n+guard))
			must(t, q.Read(got, cb, 0))
			for i := range n {
				if f := math.Float32frombits(binary.LittleEndian.Uint32(got[4*i:])); f != float32(i)+0.5 {
					t.Fatalf("element %d is %v", i, f)
				}
			}
			if !bytes.Equal(got[4*n:], bytes.Repeat([]byte{0xee}, 4*guard)) {
				t.Error("the kernel wrote past its end")
			}
			if (cb.Bytes() != nil) != kind.HostVisible() {
				t.Error("wrong visibility")
			}
			if kind.HostVisible() && !bytes.Equal(cb.Bytes(), got) {
				t.Error("Bytes and Read differ")
			}
			wait(t, q)
		})
	}
}

func TestGPUIDs(t *testing.T) {
	d := open(t)
	q, k := newQueue(t, d), get(t, compile(t, d, kernels), "ids")
	grid, group := [3]int{3, 2, 4}, [3]int{4, 3, 2}
	w, h, depth := 12, 6, 8
	out := alloc(t, d, hal.DeviceMemory, 4*w*h*depth)
	must(t, q.Launch(k, grid, group, hal.Memory(out)))
	got := make([]byte, 4*w*h*depth)
	must(t, q.Read(got, out, 0))
	for z := range depth {
		for y := range h {
			for x := range w {
				i := (z*h+y)*w + x
				if v := binary.LittleEndian.Uint32(got[4*i:]); v != uint32(x|y<<8|z<<16) {
					t.Fatalf("item %d,%d,%d wrote %#x", x, y, z, v)
				}
			}
		}
	}
}

func TestGPUArguments(t *testing.T) {
	d := open(t)
	q, k := newQueue(t, d), get(t, compile(t, d, kernels), "args")
	out, where := alloc(t, d, hal.DeviceMemory, 64), alloc(t, d, hal.HostCoherent, 4096)
	mixed := make([]byte, 16)
	mixed[0] = 0x41
	binary.LittleEndian.PutUint16(mixed[2:], 0xfffe)
	binary.LittleEndian.PutUint32(mixed[4:], 123456789)
	binary.LittleEndian.PutUint64(mixed[8:], math.Float64bits(2.5))
	all := []hal.Arg{hal.Memory(out), hal.Int32(-5), hal.Int64(-1 << 40), hal.Float32(1.25), hal.Value([]byte{200}), hal.Value(mixed), hal.Memory(where)}
	must(t, q.Launch(k, [3]int{}, [3]int{}, all...))
	got := make([]byte, 40)
	must(t, q.Read(got, out, 0))
	want := make([]byte, 40)
	binary.LittleEndian.PutUint32(want[0:], 0xfffffffb)
	binary.LittleEndian.PutUint64(want[8:], 0xffffff0000000000)
	binary.LittleEndian.PutUint32(want[16:], math.Float32bits(1.25))
	want[20] = 200
	copy(want[21:], mixed[:1])
	copy(want[22:], mixed[2:8])
	copy(want[32:], mixed[8:])
	for i := range want {
		if i >= 4 && i < 8 || i >= 28 && i < 32 {
			continue // nothing is written there
		}
		if got[i] != want[i] {
			t.Errorf("byte %d is %#x, want %#x", i, got[i], want[i])
		}
	}
	if v := word(where, 0).Load(); v != 77 {
		t.Errorf("host memory holds %d", v)
	}

	// What the driver can tell, it is asked.
	for what, args := range map[string][]hal.Arg{
		"one too few":  all[:6],
		"one too many": append(all[:7:7], hal.Int32(1)),
		"wrong size":   append([]hal.Arg{hal.Int32(1)}, all[1:]...),
	} {
		err := q.Launch(k, [3]int{}, [3]int{}, args...)
		if api, _ := startedDriver(); api.FuncGetParamInfo == 0 {
			t.Logf("%s: not checked by this driver (%v)", what, err)
		} else if !errors.Is(err, hal.ErrInvalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
	wait(t, q)

	// As with a driver before 12.4, which cannot.
	api, err := startedDriver()
	must(t, err)
	tell := api.FuncGetParamInfo
	api.FuncGetParamInfo = 0
	defer func() { api.FuncGetParamInfo = tell }()
	k = get(t, compile(t, d, kernels), "args")
	word(where, 0).Store(0)
	must(t, q.Launch(k, [3]int{}, [3]int{}, all...))
	wait(t, q)
	if v := word(where, 0).Load(); v != 77 {
		t.Errorf("host memory holds %d", v)
	}
	if err := q.Launch(k, [3]int{}, [3]int{}, make([]hal.Arg, stream.ArgCount+1)...); !errors.Is(err, hal.ErrInvalid) {
		t.Errorf("%d arguments: %v", stream.ArgCount+1, err)
	}
	if err := q.Launch(k, [3]int{}, [3]int{}, hal.Value(make([]byte, stream.ArgBytes)), hal.Value([]byte{1})); !errors.Is(err, hal.ErrInvalid) {
		t.Errorf("%d bytes of arguments: %v", stream.ArgBytes+1, err)
	}
}

func TestGPULimits(t *testing.T) {
	d := open(t)
	q, m := newQueue(t, d), compile(t, d, kernels)
	k := get(t, m, "ids")
	out := alloc(t, d, hal.DeviceMemory, 4096)
	for _, l := range []struct{ grid, group [3]int }{
		{[3]int{1}, [3]int{1025}},
		{[3]int{1}, [3]int{1, 1, 65}},
		{[3]int{1, 65536}, [3]int{1}},
		{[3]int{1, 1, 65536}, [3]int{1}},
		{[3]int{1 << 31}, [3]int{1}},
		{[3]int{-1}, [3]int{1 << 40}},
	} {
		if err := q.Launch(k, l.grid, l.group, hal.Memory(out)); !errors.Is(err, hal.ErrInvalid) {
			t.Errorf("grid %v of %v: %v", l.grid, l.group, err)
		}
	}
	if _, err := m.Kernel("nothing"); !errors.Is(err, hal.ErrInvalid) || !strings.Contains(err.Error(), "fault_trap, ids, increment") {
		t.Errorf("unknown kernel: %v", err)
	}
	if _, err := d.Alloc(hal.DeviceMemory, 1<<45); !errors.Is(err, hal.ErrOutOfMemory) {
		t.Errorf("32 TiB: %v", err)
	}
	if d.Info().Has(hal.Managed) {
		if _, err := d.Alloc(hal.Managed, int(d.Info().Memory)+1); !errors.Is(err, hal.ErrOutOfMemory) {
			t.Errorf("more managed memory than there is: %v", err)
		}
	}
	// All that was refused without harm.
	must(t, q.Launch(k, [3]int{2}, [3]int{32}, hal.Memory(out)))
	wait(t, q)
}

func TestGPUTransfers(t *testing.T) {
	d := open(t)
	const top = 3*stream.HalfSize + 7
	pinned := alloc(t, d, hal.HostCoherent, top+64)
	var workers sync.WaitGroup
	for n := range 4 {
		q, b := newQueue(t, d), alloc(t, d, hal.DeviceMemory, top+64)
		workers.Go(func() {
			rng := rand.New(rand.NewPCG(1, uint64(n)))
			for _, size := range []int{1, 3, 4096, stream.HalfSize - 1, stream.HalfSize, stream.HalfSize + 1, 2 * stream.HalfSize, 2*stream.HalfSize + 1, top} {
				offset := rng.IntN(64)
				sent, got := make([]byte, size), make([]byte, size)
				for i := range sent {
					sent[i] = byte(rng.Uint32())
				}
				err := errors.Join(q.Write(b, offset, sent), q.Read(got, b, offset))
				if err != nil || !bytes.Equal(sent, got) {
					t.Errorf("%d bytes at %d do not come back (%v)", size, offset, err)
				}
				if n == 0 { // without the bounce buffer
					p := pinned.Bytes()[offset : offset+size]
					clear(got)
					err := q.Read(p, b, offset)
					same := bytes.Equal(sent, p)
					p[0] ^= 0xff
					sent[0] ^= 0xff
					err = errors.Join(err, q.Write(b, offset, p), q.Read(got, b, offset))
					if err != nil || !same || !bytes.Equal(sent, got) {
						t.Errorf("%d pinned bytes at %d do not come back (%v)", size, offset, err)
					}
				}
			}
		})
	}
	workers.Wait()
}

func TestGPUMailbox(t *testing.T) {
	if !isolated(t, time.Minute) {
		return
	}
	d := open(t)
	q, m := newQueue(t, d), compile(t, d, kernels)
	for _, kind := range []hal.MemoryKind{hal.HostCoherent, hal.Managed} {
		if !d.Info().Has(kind) {
			continue
		}
		w := alloc(t, d, kind, 4096)
		clear(w.Bytes())
		const n = 1000
		stop := make(chan struct{})
		var server sync.WaitGroup
		server.Go(func() {
			for last := uint32(0); ; {
				select {
				case <-stop:
					return
				default:
				}
				if v := word(w, 0).Load(); v != last {
					last = v
					word(w, 1).Store(v * 3)
				}
				runtime.Gosched()
			}
		})
		start := time.Now()
		must(t, q.Launch(get(t, m, "mailbox"), [3]int{}, [3]int{}, hal.Memory(w), hal.Int32(n), hal.Int64(int64(5*time.Second))))
		wait(t, q)
		took := time.Since(start)
		close(stop)
		server.Wait()
		if v := word(w, 2).Load(); v != 0xffffffff {
			if kind == hal.Managed {
				t.Logf("%s memory: gave up at word %d", kind, v)
				continue
			}
			t.Fatalf("%s memory: gave up at word %d", kind, v)
		}
		t.Logf("%s memory: %v per word", kind, took/n)
	}
}

// TestGPUMark: the store comes after the kernel before it, and not earlier.
func TestGPUMark(t *testing.T) {
	if !isolated(t, time.Minute) {
		return
	}
	d := open(t)
	m := compile(t, d, kernels)
	w := startWaiting(t, d, m)
	marks := alloc(t, d, hal.HostCoherent, 4096)
	clear(marks.Bytes())
	if err := w.queue.Mark(marks, 64, 7); errors.Is(err, hal.ErrUnsupported) {
		t.Skipf("the driver writes no marks: %v", err)
	} else if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if word(marks, 16).Load() != 0 {
			t.Fatal("the mark is there while the kernel runs")
		}
		time.Sleep(time.Millisecond)
	}
	word(w.words, 1).Store(1)
	start := time.Now()
	for word(marks, 16).Load() != 7 {
		if time.Since(start) > 5*time.Second {
			t.Fatal("the mark does not come")
		}
	}
	t.Logf("the mark comes %v after the kernel was let go", time.Since(start))
	if !w.end(t) {
		t.Error("the kernel gave up")
	}
	must(t, w.queue.Mark(marks, 128, 9)) // on an idle queue
	wait(t, w.queue)
	if v := word(marks, 32).Load(); v != 9 {
		t.Errorf("the mark is %d after the end, want 9", v)
	}
	for _, offset := range []int{-4, 2, 4096} {
		if err := w.queue.Mark(marks, offset, 1); !errors.Is(err, hal.ErrInvalid) {
			t.Errorf("offset %d gives %v", offset, err)
		}
	}
	if err := w.queue.Mark(alloc(t, d, hal.DeviceMemory, 64), 0, 1); !errors.Is(err, hal.ErrInvalid) {
		t.Errorf("device memory gives %v", err)
	}
}

// waiting is a kernel that waits for the host.
type waiting struct {
	queue *hal.Queue
	words *hal.Buffer
}

const waitLimit = 3 * time.Second

func startWaiting(t *testing.T, d *hal.Device, m *hal.Module) waiting {
	t.Helper()
	w := waiting{newQueue(t, d), alloc(t, d, hal.HostCoherent, 4096)}
	w.again(t, get(t, m, "waiter"), waitLimit)
	return w
}

func (w waiting) again(t *testing.T, k *hal.Kernel, limit time.Duration) {
	t.Helper()
	clear(w.words.Bytes())
	must(t, w.queue.Launch(k, [3]int{}, [3]int{}, hal.Memory(w.words), hal.Int64(int64(limit))))
	for end := time.Now().Add(10 * time.Second); word(w.words, 0).Load() == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the kernel does not start")
		}
	}
}

// end lets the kernel go on and reports whether it had still been waiting.
func (w waiting) end(t *testing.T) bool {
	t.Helper()
	word(w.words, 1).Store(1)
	wait(t, w.queue)
	return word(w.words, 2).Load() == 1
}

// TestGPUBesides: what must go on while a kernel waits for this process.
func TestGPUBesides(t *testing.T) {
	if !isolated(t, 3*time.Minute) {
		return
	}
	d := open(t)
	m := compile(t, d, kernels)
	k := get(t, m, "waiter")
	w := startWaiting(t, d, m)
	w.end(t)
	other := newQueue(t, d)
	data := alloc(t, d, hal.DeviceMemory, 3*stream.HalfSize)
	host := alloc(t, d, hal.HostCoherent, 1<<20)
	bytes3 := make([]byte, 3*stream.HalfSize)
	must(t, other.Write(data, 0, bytes3))
	made, err := d.Compile(t.Context(), fresh())
	must(t, err)
	kept := []closer{made}
	keep := func(c closer, err error) error {
		if err == nil {
			kept = append(kept, c)
		}
		return err
	}
	var freeing [3]*hal.Buffer
	for i, kind := range d.Info().Kinds {
		b, err := d.Alloc(kind, 1<<20)
		must(t, err)
		freeing[i] = b
	}
	oldModule, err := d.Compile(t.Context(), hal.Source{Name: "old", Text: addSource})
	must(t, err)
	oldQueue, err := d.NewQueue()
	must(t, err)
	waitFor := func(q *hal.Queue) error {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		return q.Wait(ctx)
	}

	for _, op := range []struct {
		name string
		do   func() error
	}{
		{"Done", func() error {
			if done, err := w.queue.Done(); done || err != nil {
				return fmt.Errorf("done %v, %v", done, err)
			}
			return nil
		}},
		{"Write", func() error { return other.Write(data, 1, bytes3[1:]) }},
		{"Read", func() error { return other.Read(bytes3, data, 0) }},
		{"Read into pinned memory", func() error { return other.Read(host.Bytes(), data, 0) }},
		{"Read of host memory", func() error { return other.Read(bytes3[:1<<20], host, 0) }},
		{"Launch", func() error {
			return errors.Join(other.Launch(get(t, m, "increment"), [3]int{}, [3]int{}, hal.Memory(data)), waitFor(other))
		}},
		{"Alloc device", func() error { b, err := d.Alloc(hal.DeviceMemory, 1<<20); return keep(b, err) }},
		{"Alloc device, 256 MiB", func() error { b, err := d.Alloc(hal.DeviceMemory, 256<<20); return keep(b, err) }},
		{"Alloc host", func() error { b, err := d.Alloc(hal.HostCoherent, 1<<20); return keep(b, err) }},
		{"Alloc host, 64 MiB", func() error { b, err := d.Alloc(hal.HostCoherent, 64<<20); return keep(b, err) }},
		{"Alloc managed", func() error {
			b, err := d.Alloc(hal.Managed, 1<<20)
			if errors.Is(err, hal.ErrUnsupported) {
				return nil
			}
			return keep(b, err)
		}},
		{"Free", func() error {
			var errs []error
			for _, b := range freeing {
				if b != nil {
					errs = append(errs, b.Close())
				}
			}
			return errors.Join(errs...)
		}},
		{"NewQueue", func() error { q, err := d.NewQueue(); return keep(q, err) }},
		{"Queue.Close", func() error { return oldQueue.Close() }},
		{"Compile, given up", func() error {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			_, err := d.Compile(ctx, hal.Source{Name: "old", Text: addSource}) // from the cache: what it waits for is not NVRTC
			if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "waiter") {
				return fmt.Errorf("%v does not say that it waited for the kernel", err)
			}
			return nil
		}},
		{"Compile of what is wrong", func() error {
			_, err := d.Compile(t.Context(), hal.Source{Name: "wrong", Text: "not C++"})
			var ce *hal.CompileError
			if !errors.As(err, &ce) {
				return err
			}
			return nil
		}},
		{"an unknown kernel", func() error {
			if _, err := m.Kernel("nothing"); !errors.Is(err, hal.ErrInvalid) {
				return err
			}
			return nil
		}},
		{"first launch of a kernel", func() error {
			k, err := made.Kernel("fresh")
			if err != nil {
				return err
			}
			return errors.Join(other.Launch(k, [3]int{}, [3]int{}, hal.Memory(data)), waitFor(other))
		}},
		{"Module.Close", func() error { return oldModule.Close() }},
		{"Devices", func() error { _, err := (backend{}).Devices(t.Context()); return err }},
		{"Open and Close", func() error {
			second, err := hal.Open(t.Context(), "cuda:0")
			if err != nil {
				return err
			}
			return second.Close()
		}},
	} {
		t.Run(op.name, func(t *testing.T) {
			w.again(t, k, waitLimit)
			start := time.Now()
			err := op.do()
			took := time.Since(start)
			waited := w.end(t)
			t.Logf("took %v", took.Round(time.Microsecond))
			if err != nil {
				t.Error(err)
			}
			if !waited || took > waitLimit/2 {
				t.Errorf("took %v: it waited for the kernel", took)
			}
		})
	}
	for i := len(kept) - 1; i >= 0; i-- {
		must(t, kept[i].Close())
	}
	if done, err := w.queue.Done(); !done || err != nil {
		t.Errorf("done %v, %v", done, err)
	}
	if _, n := left(t); n != 0 {
		t.Errorf("%d releases left though nothing runs", n)
	}
}

// left is what the driver has open and to release.
func left(t *testing.T) (devices, releases int) {
	t.Helper()
	d, err := startedDriver()
	must(t, err)
	return d.streams.Left()
}

// fresh is a source that no cache has.
func fresh() hal.Source {
	return hal.Source{Name: "fresh", Text: addSource + "// " + time.Now().String() + "\n__device__ int table[1 << 12] = {1};\n" +
		"extern \"C\" __global__ void fresh(int *p) { *p += table[0]; }"}
}

// TestGPUCompileWaits: code is loaded when what runs has ended, and the wait for that holds up nobody.
func TestGPUCompileWaits(t *testing.T) {
	if !isolated(t, time.Minute) {
		return
	}
	d := open(t)
	m := compile(t, d, kernels)
	other, data, inc := newQueue(t, d), alloc(t, d, hal.DeviceMemory, 4096), get(t, m, "increment")
	must(t, other.Write(data, 0, make([]byte, 4096)))
	w := startWaiting(t, d, m)
	w.end(t)
	// round is a launch that is waited for; it gives the longest that one call took.
	round := func() (slowest time.Duration) {
		call := func(f func() error) {
			start := time.Now()
			must(t, f())
			slowest = max(slowest, time.Since(start))
		}
		call(func() error { return other.Launch(inc, [3]int{}, [3]int{}, hal.Memory(data)) })
		for done := false; !done; {
			call(func() (err error) { done, err = other.Done(); return err })
		}
		return slowest
	}

	w.again(t, get(t, m, "waiter"), waitLimit)
	type result struct {
		module *hal.Module
		err    error
	}
	compiled := make(chan result, 1)
	go func() {
		m, err := d.Compile(context.Background(), fresh())
		compiled <- result{m, err}
	}()
	rounds, slowest := 0, time.Duration(0)
	for start := time.Now(); time.Since(start) < time.Second; rounds++ {
		slowest = max(slowest, round())
		if done, err := w.queue.Done(); done || err != nil {
			t.Fatalf("the waiting kernel: done %v, %v", done, err)
		}
	}
	t.Logf("%d launches beside, the slowest call took %v", rounds, slowest)
	if slowest > waitLimit/4 {
		t.Errorf("a call took %v", slowest)
	}
	select {
	case r := <-compiled:
		if r.module != nil {
			_ = r.module.Close()
		}
		t.Errorf("compiled while a kernel runs (%v): no harm, but then nothing need wait", r.err)
		return
	default:
	}
	if !w.end(t) {
		t.Error("the kernel had given up")
	}
	// Launches that follow each other do not keep it waiting.
	start := time.Now()
	var r result
	for loaded := false; !loaded; {
		select {
		case r = <-compiled:
			loaded = true
		default:
			round()
			if time.Since(start) > 10*time.Second {
				t.Fatal("short launches keep code from being loaded")
			}
		}
	}
	t.Logf("compiled %v after the kernel's end", time.Since(start))
	fresh := closing(t, r.module, r.err)
	must(t, other.Launch(get(t, fresh, "fresh"), [3]int{}, [3]int{}, hal.Memory(data)))
	wait(t, other)

	// A context that has ended before changes nothing.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.Compile(ctx, hal.Source{Name: "test.kernel.c", Text: kernels}); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: %v", err)
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
	w, other, out := startWaiting(t, d, m), newQueue(t, d), alloc(t, d, hal.DeviceMemory, 4)
	start := time.Now()
	must(t, other.Launch(get(t, m, "deep"), [3]int{1}, [3]int{32}, hal.Memory(out), hal.Int32(10000)))
	launched := time.Since(start)
	wait(t, other)
	t.Logf("launch took %v, done after %v, the other kernel was still waiting: %v", launched, time.Since(start), w.end(t))
}

// TestGPUBacklog: more launches behind a waiting kernel than the hardware's queue holds.
func TestGPUBacklog(t *testing.T) {
	if !isolated(t, time.Minute) {
		return
	}
	d := open(t)
	m := compile(t, d, kernels)
	w := startWaiting(t, d, m)
	count, inc, q2 := alloc(t, d, hal.DeviceMemory, 4), get(t, m, "increment"), newQueue(t, d)
	must(t, q2.Write(count, 0, make([]byte, 4)))
	wait(t, q2)
	const n = 3000
	var launched atomic.Int32
	finished := make(chan error, 1)
	go func() {
		for range n {
			if err := w.queue.Launch(inc, [3]int{}, [3]int{}, hal.Memory(count)); err != nil {
				finished <- err
				return
			}
			launched.Add(1)
		}
		finished <- nil
	}()
	time.Sleep(300 * time.Millisecond)
	if got := launched.Load(); got < 100 || got > stream.BacklogMax {
		t.Errorf("%d launches behind a waiting kernel", got)
	}
	start := time.Now()
	if done, err := w.queue.Done(); done || err != nil {
		t.Errorf("done %v, %v", done, err)
	}
	other := make([]byte, 4)
	must(t, q2.Read(other, count, 0))
	if took := time.Since(start); took > 500*time.Millisecond {
		t.Errorf("another queue took %v", took)
	}
	if !w.end(t) {
		t.Error("the kernel had given up")
	}
	must(t, <-finished)
	must(t, w.queue.Read(other, count, 0))
	if v := binary.LittleEndian.Uint32(other); v != n {
		t.Errorf("%d of %d launches ran", v, n)
	}
}

func TestGPUFaults(t *testing.T) {
	needGPU(t)
	for _, tt := range []struct {
		kernel, cause string
		codes         []int
	}{
		{"fault_trap", "trap", []int{719, 715}},
		{"fault_address", "illegal address", []int{700}},
		{"fault_misaligned", "misaligned", []int{716}},
	} {
		t.Run(tt.kernel, func(t *testing.T) {
			if !isolated(t, time.Minute) {
				return
			}
			d, err := hal.Open(t.Context(), "cuda:0")
			must(t, err)
			q, err := d.NewQueue()
			must(t, err)
			q2, err := d.NewQueue()
			must(t, err)
			w, err := d.Alloc(hal.HostCoherent, 4096)
			must(t, err)
			clear(w.Bytes())
			b, err := d.Alloc(hal.DeviceMemory, 4096)
			must(t, err)
			m, err := d.Compile(t.Context(), hal.Source{Name: "k", Text: kernels})
			must(t, err)
			k := get(t, m, tt.kernel)
			args := []hal.Arg{hal.Memory(w)}
			if tt.kernel == "fault_address" {
				args = append(args, hal.Int64(0x10))
			}
			must(t, q.Launch(k, [3]int{}, [3]int{}, args...))
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			fault := q.Wait(ctx)
			t.Log(fault)
			var e *hal.Error
			if !errors.As(fault, &e) || !errors.Is(fault, hal.ErrDeviceLost) {
				t.Fatalf("%v is no lost device", fault)
			}
			if e.Kernel != tt.kernel || !strings.Contains(e.Error(), tt.cause) || !strings.Contains(e.Error(), "kernel "+tt.kernel) {
				t.Errorf("%q does not name kernel and cause", e)
			}
			known := false
			for _, c := range tt.codes {
				known = known || c == e.Code
			}
			if !known {
				t.Errorf("code %d", e.Code)
			}
			if v := word(w, 0).Load(); v != 0x600d {
				t.Errorf("host memory holds %#x", v)
			}
			word(w, 1).Store(1)
			for what, err := range map[string]error{
				"Launch":   q2.Launch(k, [3]int{}, [3]int{}, args...),
				"Write":    q2.Write(b, 0, make([]byte, 8)),
				"Read":     q2.Read(make([]byte, 8), b, 0),
				"Alloc":    second(d.Alloc(hal.DeviceMemory, 8)),
				"NewQueue": second(d.NewQueue()),
				"Compile":  second(d.Compile(t.Context(), hal.Source{Name: "k", Text: addSource})),
				"Kernel":   second(m.Kernel("add")),
				"Done":     second(q2.Done()),
			} {
				if !errors.Is(err, hal.ErrDeviceLost) {
					t.Errorf("%s afterwards: %v", what, err)
				}
			}
			start := time.Now()
			for _, c := range []closer{q, q2, m, b, d} {
				if err := c.Close(); err != nil {
					t.Errorf("close %T: %v", c, err)
				}
			}
			if v := word(w, 0).Load(); v != 0x600d {
				t.Errorf("after Device.Close host memory holds %#x", v)
			}
			must(t, w.Close())
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("closing took %v", took)
			}
			// Not promised: whether the driver gives this process a sound context once more.
			d, err = hal.Open(t.Context(), "cuda:0")
			if err == nil {
				_, err = d.Alloc(hal.DeviceMemory, 4096)
			}
			t.Logf("opened again in the same process: %v", err)
		})
	}
}

// TestGPUTwo: what devices have to do with each other.
func TestGPUTwo(t *testing.T) {
	needGPU(t)
	if infos, _ := (backend{}).Devices(t.Context()); len(infos) < 2 {
		t.Skip("needs two NVIDIA GPUs, there is one")
	}
	if !isolated(t, time.Minute) {
		return
	}
	d0 := open(t)
	d1, err := hal.Open(t.Context(), "cuda:1")
	d1 = closing(t, d1, err)
	if a, b := d0.Info(), d1.Info(); a.UUID == b.UUID || a.PCI == b.PCI || b.URI != "cuda:1" {
		t.Errorf("%+v\n%+v", a, b)
	}
	m0, m1 := compile(t, d0, kernels), compile(t, d1, kernels)
	q1, b0, b1 := newQueue(t, d1), alloc(t, d0, hal.DeviceMemory, 4096), alloc(t, d1, hal.DeviceMemory, 4096)
	for what, err := range map[string]error{
		"Launch of another's kernel":   q1.Launch(get(t, m0, "increment"), [3]int{}, [3]int{}, hal.Memory(b1)),
		"Launch with another's buffer": q1.Launch(get(t, m1, "increment"), [3]int{}, [3]int{}, hal.Memory(b0)),
		"Write to another's buffer":    q1.Write(b0, 0, []byte{1}),
		"Read from another's buffer":   q1.Read(make([]byte, 1), b0, 0),
	} {
		if !errors.Is(err, hal.ErrInvalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
	queued := func() int {
		_, n := left(t)
		return n
	}
	w := startWaiting(t, d0, m0)
	start := time.Now()
	own, err := d1.Alloc(hal.DeviceMemory, 1<<20)
	must(t, err)
	host, err := d1.Alloc(hal.HostCoherent, 1<<20)
	must(t, err)
	must(t, q1.Write(own, 0, make([]byte, 1<<20)))
	must(t, q1.Launch(get(t, m1, "increment"), [3]int{}, [3]int{}, hal.Memory(own)))
	wait(t, q1)
	must(t, own.Close())
	if n := queued(); n != 0 {
		t.Errorf("%d releases of an idle device's memory wait", n)
	}
	must(t, host.Close())
	if n := queued(); n != 1 {
		t.Errorf("%d releases of host memory wait, want 1", n)
	}
	took := time.Since(start)
	if waited := w.end(t); !waited || took > waitLimit/2 {
		t.Errorf("took %v: the other device was waited for", took)
	}
	if done, err := w.queue.Done(); !done || err != nil || queued() != 0 {
		t.Errorf("done %v, %v, %d releases wait", done, err, queued())
	}

	// A fault is the device's own.
	must(t, w.queue.Launch(get(t, m0, "fault_trap"), [3]int{}, [3]int{}, hal.Memory(w.words)))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := w.queue.Wait(ctx); !errors.Is(err, hal.ErrDeviceLost) {
		t.Errorf("fault: %v", err)
	}
	must(t, q1.Launch(get(t, m1, "increment"), [3]int{}, [3]int{}, hal.Memory(b1)))
	wait(t, q1)
}

// TestGPUHammer uses everything at once, and closes what others use.
func TestGPUHammer(t *testing.T) {
	if !isolated(t, time.Minute) {
		return
	}
	d := open(t)
	m := compile(t, d, kernels)
	k := get(t, m, "increment")
	end := time.Now().Add(2 * time.Second)
	fine := func(err error) {
		if err != nil && !errors.Is(err, hal.ErrClosed) {
			t.Error(err)
		}
	}
	var all sync.WaitGroup
	for range 6 {
		all.Go(func() {
			for time.Now().Before(end) {
				q, err := d.NewQueue()
				fine(err)
				b, err := d.Alloc(hal.DeviceMemory, 3*stream.HalfSize)
				fine(err)
				h, err := d.Alloc(hal.HostCoherent, 4096)
				fine(err)
				own, err := d.Compile(t.Context(), hal.Source{Name: "test.kernel.c", Text: kernels})
				fine(err)
				if t.Failed() {
					return
				}
				var users sync.WaitGroup
				users.Go(func() { fine(q.Write(b, 0, make([]byte, 3*stream.HalfSize))) })
				users.Go(func() { fine(q.Read(make([]byte, 3*stream.HalfSize), b, 0)) })
				users.Go(func() {
					for range 20 {
						fine(q.Launch(k, [3]int{}, [3]int{}, hal.Memory(b)))
						_, err := q.Done()
						fine(err)
					}
				})
				users.Go(func() { fine(q.Read(make([]byte, 4096), h, 0)) })
				if rand.IntN(2) == 0 {
					fine(q.Close())
				}
				users.Wait()
				for done := false; !done; {
					done, err = q.Done()
					fine(err)
				}
				for _, c := range []closer{own, h, b, q} {
					fine(c.Close())
				}
			}
		})
	}
	all.Wait()
}

func second[T any](_ T, err error) error { return err }

// TestGPUEndless: Close and the process's end do not wait for a kernel that does not end.
func TestGPUEndless(t *testing.T) {
	if !isolated(t, 30*time.Second) {
		return
	}
	d, err := hal.Open(t.Context(), "cuda:0")
	must(t, err)
	m, err := d.Compile(t.Context(), hal.Source{Name: "k", Text: kernels})
	must(t, err)
	q, err := d.NewQueue()
	must(t, err)
	words, err := d.Alloc(hal.HostCoherent, 4096)
	must(t, err)
	w := waiting{q, words}
	w.again(t, get(t, m, "waiter"), 5*time.Minute)
	if err := q.Stop(); !errors.Is(err, hal.ErrUnsupported) {
		t.Errorf("stop: %v", err)
	}
	start := time.Now()
	for _, c := range []closer{q, words, m, d} {
		must(t, c.Close())
		must(t, c.Close())
	}
	if took := time.Since(start); took > time.Second {
		t.Errorf("closing took %v", took)
	}
	// The same context is used again, and works.
	again := open(t)
	b, q2 := alloc(t, again, hal.DeviceMemory, 4096), newQueue(t, again)
	must(t, q2.Write(b, 0, []byte("12345678")))
	got := make([]byte, 8)
	must(t, q2.Read(got, b, 0))
	if string(got) != "12345678" {
		t.Errorf("read %q", got)
	}
	if _, err := q.Done(); !errors.Is(err, hal.ErrClosed) {
		t.Errorf("closed queue: %v", err)
	}
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
		for _, x := range []closer{h, b, q, m, d} {
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

// TestGPUBadCache: an entry that is sound by its sum, and no code.
func TestGPUBadCache(t *testing.T) {
	d := open(t)
	t.Setenv("DIALTONE_CACHE", t.TempDir())
	c, _ := loadedCompiler()
	src := hal.Source{Name: "bad", Text: addSource}
	for _, image := range []string{"this is no code\x00", "\x7fELF but no more than that, whatever the header says it is........................"} {
		key := entry(src, d.Driver().(*device).cc) + c.version()
		must(t, cache.Put(key, []byte(image)))
		m, err := d.Compile(t.Context(), src)
		if err != nil {
			t.Errorf("%.20q: %v", image, err)
			continue
		}
		get(t, m, "add")
		must(t, m.Close())
		if data, ok := cache.Get(key); !ok || bytes.HasSuffix(data, []byte(image)) {
			t.Errorf("%.20q is still there", image)
		}
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

// TestGPUAllocations: what runs often allocates nothing.
func TestGPUAllocations(t *testing.T) {
	d := open(t)
	driver := d.Driver()
	m := compile(t, d, kernels)
	_ = m
	dm, err := driver.Compile(t.Context(), hal.Source{Name: "test.kernel.c", Text: kernels})
	must(t, err)
	defer dm.Close()
	k, err := dm.Kernel("increment")
	must(t, err)
	q, err := driver.NewQueue()
	must(t, err)
	defer q.Close()
	b, err := driver.Alloc(hal.DeviceMemory, 4)
	must(t, err)
	defer b.Free()
	args := []hal.DriverArg{{Buffer: b}}
	launch := func() error { return q.Launch(k, [3]int{1, 1, 1}, [3]int{1, 1, 1}, args) }
	for what, f := range map[string]func() error{
		"Launch": launch,
		"Done": func() error {
			q.(*stream.Queue).Forget()
			_, err := q.Done()
			return err
		},
	} {
		must(t, launch())
		if n := testing.AllocsPerRun(200, func() {
			if err := f(); err != nil {
				t.Error(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", what, n)
		}
	}
	spin(t, q.Done)
}

// BenchmarkLaunch is an empty round through the queue: launch, and poll until done.
func BenchmarkLaunch(b *testing.B) {
	d := open(b)
	q, k, p := newQueue(b, d), get(b, compile(b, d, kernels), "increment"), alloc(b, d, hal.DeviceMemory, 4)
	for b.Loop() {
		if err := q.Launch(k, [3]int{}, [3]int{}, hal.Memory(p)); err != nil {
			b.Fatal(err)
		}
		spin(b, q.Done)
	}
}

// BenchmarkTransfer moves 16 MiB through the bounce buffer and without it.
func BenchmarkTransfer(b *testing.B) {
	d := open(b)
	const size = 16 << 20
	q, m, pinned := newQueue(b, d), alloc(b, d, hal.DeviceMemory, size), alloc(b, d, hal.HostCoherent, size)
	for name, p := range map[string][]byte{"go": make([]byte, size), "pinned": pinned.Bytes()} {
		for way, move := range map[string]func() error{
			"write": func() error { return q.Write(m, 0, p) },
			"read":  func() error { return q.Read(p, m, 0) },
		} {
			b.Run(way+"/"+name, func(b *testing.B) {
				b.SetBytes(size)
				for b.Loop() {
					must(b, move())
				}
			})
		}
	}
}
