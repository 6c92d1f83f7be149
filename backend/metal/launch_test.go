package metal_test

import (
	"encoding/binary"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"unsafe"

	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/internal/devicetest"
)

// TestIDs looks at every work-item of a three-dimensional launch.
func TestIDs(t *testing.T) {
	d := open(t)
	k, hidden := portable(t, d, `
KERNEL(ids, GLOBAL hc_u32 *out) {
	const hc_u32 x = hc_global_id_in(0), y = hc_global_id_in(1), z = hc_global_id_in(2);
	const hc_u32 w = hc_group_count_in(0) * hc_group_size_in(0), h = hc_group_count_in(1) * hc_group_size_in(1);
	out[(z * h + y) * w + x] += hc_local_id_in(0) | hc_local_id_in(1) << 4 | hc_local_id_in(2) << 8
		| hc_group_id_in(0) << 12 | hc_group_id_in(1) << 16 | hc_group_id_in(2) << 20
		| hc_group_count_in(0) << 24 | hc_group_size_in(2) << 28;
}
`, "ids")
	q := queue(t, d)
	grid, group := [3]int{5, 3, 2}, [3]int{4, 2, 3}
	const n = 5 * 4 * 3 * 2 * 2 * 3
	b := alloc(t, d, hal.DeviceMemory, 4*n)
	must(t, q.Write(b, 0, make([]byte, 4*n)))
	must(t, q.Launch(k, grid, group, append(hidden, hal.Memory(b))...))
	got := make([]byte, 4*n)
	must(t, q.Read(got, b, 0))
	for i := range n {
		x, y, z := i%20, i/20%6, i/120
		want := uint32(x%4 | y%2<<4 | z%3<<8 | x/4<<12 | y/2<<16 | z/3<<20 | 5<<24 | 3<<28)
		if w := word(got, i); w != want {
			t.Fatalf("item %d,%d,%d wrote %#x, want %#x", x, y, z, w, want)
		}
	}
}

// TestArguments passes every form of argument, and assigns to parameters, which Metal has as constants.
func TestArguments(t *testing.T) {
	d := open(t)
	k, hidden := portable(t, d, `
KERNEL(args, GLOBAL hc_u64 *out, hc_u8 u8, short i16, hc_i32 i32, hc_i64 i64, float f32, GLOBAL const hc_i32 *mem) {
	union { float f; hc_u32 u; } x;
	x.f = f32 * 1.0;
	i32 -= 1;
	out[0] = u8; out[1] = (hc_u64)(hc_i64)i16; out[2] = (hc_u64)(hc_i64)i32; out[3] = (hc_u64)i64; out[4] = x.u; out[5] = (hc_u64)mem[1];
}
`, "args")
	q := queue(t, d)
	out, mem := alloc(t, d, hal.HostCoherent, 48), alloc(t, d, hal.DeviceMemory, 8)
	must(t, q.Write(mem, 0, words(11, 22)))
	args := append(hidden, hal.Memory(out), hal.Value([]byte{200}), hal.Value([]byte{0xFE, 0xFF}), hal.Int32(-3), hal.Int64(-4<<40),
		hal.Float32(1.5), hal.Memory(mem))
	must(t, q.Launch(k, [3]int{}, [3]int{}, args...))
	must(t, wait(t, q))
	want := []int64{200, -2, -4, -4 << 40, 0x3FC00000, 22}
	for i, w := range want {
		if got := int64(binary.LittleEndian.Uint64(out.Bytes()[8*i:])); got != w {
			t.Errorf("argument %d arrived as %#x, want %#x", i, got, w)
		}
	}
	other := again(t)
	foreign := alloc(t, other, hal.DeviceMemory, 8)
	with := func(a hal.Arg) []hal.Arg {
		return append(append([]hal.Arg{}, args[:5]...), append([]hal.Arg{a}, args[6:]...)...)
	}
	for what, err := range map[string]error{
		"too many":       q.Launch(k, [3]int{}, [3]int{}, make([]hal.Arg, 32)...),
		"empty":          q.Launch(k, [3]int{}, [3]int{}, with(hal.Value(nil))...),
		"too long":       q.Launch(k, [3]int{}, [3]int{}, with(hal.Value(make([]byte, 4097)))...),
		"another device": q.Launch(k, [3]int{}, [3]int{}, with(hal.Memory(foreign))...),
		"group":          q.Launch(k, [3]int{}, [3]int{k.MaxGroup() + 1}, args...),
		"grid":           q.Launch(k, [3]int{1 << 33}, [3]int{}, args...),
	} {
		if !errors.Is(err, hal.ErrInvalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if standIn == nil {
		return // what follows is undefined on Metal; the stand-in tells
	}
	must(t, q.Launch(k, [3]int{}, [3]int{}, args[:4]...))
	if err := wait(t, q); err == nil || !strings.Contains(err.Error(), "nothing is bound to buffer") {
		t.Errorf("too few arguments: %v", err)
	}
}

// TestGroups has many more groups than threads, memory of the group, barriers and an atomic.
func TestGroups(t *testing.T) {
	d := open(t)
	k, hidden := portable(t, d, `
typedef struct { hc_u32 first; hc_u32 rest[3]; } record;
DEVICE hc_u32 pick(GROUP const hc_u32 *from, hc_u32 i) { return from[i]; }
KERNEL(sums, GLOBAL hc_u32 *out, GLOBAL hc_u32 *total) {
	SHARED hc_u32 part[32], spare;
	SHARED record r;
	const hc_u32 l = hc_local_id();
	hc_u32 s;
	part[l] = hc_global_id();
	hc_barrier();
	for (s = hc_group_size() / 2u; s > 0u; s /= 2u) {
		if (l < s) part[l] += part[l + s];
		hc_barrier();
	}
	if (l == 1u) r.rest[2] = spare = pick(part, 0u);
	hc_barrier();
	if (l == 0u) {
		out[hc_group_id()] = spare == r.rest[2] ? spare : 0u;
		hc_atomic_add(total, 1u);
	}
}
`, "sums")
	q := queue(t, d)
	const groups = 1000
	out, total := alloc(t, d, hal.DeviceMemory, 4*groups), alloc(t, d, hal.DeviceMemory, 4)
	must(t, q.Write(total, 0, words(0)))
	must(t, q.Launch(k, [3]int{groups}, [3]int{32}, append(hidden, hal.Memory(out), hal.Memory(total))...))
	got, count := make([]byte, 4*groups), make([]byte, 4)
	must(t, q.Read(got, out, 0))
	must(t, q.Read(count, total, 0))
	for i := range groups {
		if w, want := word(got, i), uint32(i*1024+496); w != want {
			t.Fatalf("group %d has the sum %d, want %d", i, w, want)
		}
	}
	if word(count, 0) != groups {
		t.Errorf("%d groups counted, want %d", word(count, 0), groups)
	}
}

const waitSource = head + `
kernel void look(device unsigned int *words [[buffer(0)]], constant unsigned int &turns [[buffer(1)]]) {
	words[1] = 1;
	unsigned int seen = 0;
	for (unsigned int i = 0; i < turns; i++) seen |= metal::atomic_load_explicit((device metal::atomic_uint *)words, metal::memory_order_relaxed);
	words[2] = seen;
}
`

// TestNoConcurrentAccess: what info says is so on the stand-in, or programs would come to rely on more.
func TestNoConcurrentAccess(t *testing.T) {
	needStandIn(t)
	d := again(t)
	k, q := compile(t, d, waitSource, "look"), queue(t, d)
	b := alloc(t, d, hal.HostCoherent, 64)
	clear(b.Bytes())
	at := func(i int) *uint32 { return (*uint32)(unsafe.Pointer(&b.Bytes()[4*i])) }
	before := standIn.Started()
	must(t, q.Launch(k, [3]int{}, [3]int{}, hal.Memory(b), hal.Int32(100_000_000)))
	eventually(t, "the kernel runs", func() bool { return standIn.Started() > before })
	atomic.StoreUint32(at(0), 7)
	for range 1000 {
		seen := atomic.LoadUint32(at(1))
		done, err := q.Done()
		must(t, err)
		if done {
			break
		}
		if seen != 0 {
			t.Fatal("the host sees what a running kernel wrote")
		}
	}
	must(t, wait(t, q))
	if *at(0) != 7 || *at(1) != 1 || *at(2) != 0 {
		t.Errorf("words are %d %d %d, want 7 1 0: the host's word stays, the kernel's arrives, and it has not seen the host's", *at(0), *at(1), *at(2))
	}
}

const countSource = head + `
kernel void count(device unsigned int *words [[buffer(0)]], constant unsigned int &turn [[buffer(1)]]) {
	if (words[0] == turn) words[0] = turn + 1;
}
`

// TestOrder: many more launches than Metal takes at once, none of which blocks, in order.
func TestOrder(t *testing.T) {
	needStandIn(t)
	d := again(t)
	k, q := compile(t, d, countSource, "count"), queue(t, d)
	b := alloc(t, d, hal.DeviceMemory, 64)
	must(t, q.Write(b, 0, make([]byte, 64)))
	const n = 300
	standIn.Fault("launch hangs", -1)
	defer standIn.Fault("launch hangs", 0)
	for i := range n {
		must(t, q.Launch(k, [3]int{}, [3]int{}, hal.Memory(b), hal.Int32(int32(i))))
	}
	if done, err := q.Done(); done || err != nil {
		t.Errorf("done %v, %v", done, err)
	}
	standIn.Fault("launch hangs", 0)
	got := make([]byte, 4)
	must(t, q.Read(got, b, 0))
	if word(got, 0) != n {
		t.Errorf("%d launches came in order, want %d", word(got, 0), n)
	}
	must(t, wait(t, q))
}

// TestClose closes everything while work is waiting for it.
func TestClose(t *testing.T) {
	needStandIn(t)
	d := again(t)
	m, err := d.Compile(t.Context(), hal.Source{Name: "user.metal", Text: countSource})
	must(t, err)
	k, err := m.Kernel("count")
	must(t, err)
	q, err := d.NewQueue()
	must(t, err)
	b, err := d.Alloc(hal.DeviceMemory, 64)
	must(t, err)
	standIn.Fault("launch hangs", -1)
	defer standIn.Fault("launch hangs", 0)
	for range 100 {
		must(t, q.Launch(k, [3]int{}, [3]int{}, hal.Memory(b), hal.Int32(0)))
	}
	for range 2 {
		must(t, m.Close())
		must(t, b.Close())
		must(t, q.Close())
	}
	if err := q.Launch(k, [3]int{}, [3]int{}, hal.Memory(b), hal.Int32(0)); !errors.Is(err, hal.ErrClosed) {
		t.Errorf("launch of closed code: %v", err)
	}
	if _, err := m.Kernel("count"); !errors.Is(err, hal.ErrClosed) {
		t.Errorf("kernel of a closed module: %v", err)
	}
	if err := q.Write(b, 0, words(1)); !errors.Is(err, hal.ErrClosed) {
		t.Errorf("write to a closed buffer: %v", err)
	}
	other := again(t)
	must(t, other.Close())
	if _, err := other.Alloc(hal.DeviceMemory, 4); !errors.Is(err, hal.ErrClosed) {
		t.Errorf("memory of a closed device: %v", err)
	}
}

// TestManyQueues has queues, launches and memory come and go on several goroutines.
func TestManyQueues(t *testing.T) {
	d := open(t)
	k := compile(t, d, countSource, "count")
	devicetest.Leaks(t, func() {
		var all sync.WaitGroup
		for g := range 4 {
			all.Go(func() {
				q, err := d.NewQueue()
				if err != nil {
					t.Error(err)
					return
				}
				for range 5 {
					b, err := d.Alloc(hal.HostCoherent, 4096)
					if err != nil {
						t.Error(err)
						break
					}
					err = q.Write(b, 0, words(0))
					for i := range int32(20) {
						err = errors.Join(err, q.Launch(k, [3]int{}, [3]int{}, hal.Memory(b), hal.Int32(i)))
					}
					got := make([]byte, 4)
					err = errors.Join(err, q.Read(got, b, 0))
					if err != nil || word(got, 0) != 20 {
						t.Errorf("goroutine %d: %d, %v", g, word(got, 0), err)
					}
					if err := b.Close(); err != nil {
						t.Error(err)
					}
				}
				if err := q.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	})
}

// TestLaunchAllocatesNothing: neither does the goroutine that encodes. Completion handlers do, inside purego.
func TestLaunchAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	needStandIn(t)
	d := again(t)
	k, q := compile(t, d, countSource, "count"), queue(t, d)
	b := alloc(t, d, hal.DeviceMemory, 64)
	args := []hal.Arg{hal.Memory(b), hal.Int32(0)}
	launch := func() {
		if err := q.Launch(k, [3]int{}, [3]int{}, args...); err != nil {
			t.Fatal(err)
		}
	}
	defer standIn.Fault("launch hangs", 0)
	for range 2 { // the first round makes what the second uses again
		standIn.Fault("launch hangs", -1)
		n := testing.AllocsPerRun(100, launch)
		standIn.Fault("launch hangs", 0)
		must(t, wait(t, q))
		if n == 0 {
			return
		}
		t.Logf("a launch allocates %v times", n)
	}
	t.Error("and the second time too")
}

func BenchmarkLaunch(b *testing.B) {
	d := open(b)
	k, q := compile(b, d, countSource, "count"), queue(b, d)
	m := alloc(b, d, hal.DeviceMemory, 64)
	b.ReportAllocs()
	for b.Loop() {
		must(b, q.Launch(k, [3]int{}, [3]int{}, hal.Memory(m), hal.Int32(0)))
		must(b, wait(b, q))
	}
}
