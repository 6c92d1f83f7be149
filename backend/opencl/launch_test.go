package opencl_test

import (
	"errors"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/dialtone-gpu/dialtone/hal"
)

const addSource = `
__kernel void add(__global const int *a, __global const int *b, __global int *sum) {
	int i = get_global_id(0);
	sum[i + 1] = a[i] + b[i];
}
`

// TestAdd adds vectors and looks at the words around the result too.
func TestAdd(t *testing.T) {
	d := open(t, usual)
	k, q := compile(t, d, addSource, "add"), queue(t, d)
	const n, guard = 1 << 14, 0xDEADBEEF
	for _, kind := range d.Info().Kinds {
		t.Run(kind.String(), func(t *testing.T) {
			a, b, sum := make([]uint32, n), make([]uint32, n), make([]uint32, n+2)
			for i := range a {
				a[i], b[i] = uint32(i*7), uint32(i*i)
			}
			sum[0], sum[n+1] = guard, guard
			da, db, dsum := alloc(t, d, kind, 4*n), alloc(t, d, kind, 4*n), alloc(t, d, kind, 4*(n+2))
			must(t, q.Write(da, 0, words(a...)))
			must(t, q.Write(db, 0, words(b...)))
			must(t, q.Write(dsum, 0, words(sum...)))
			must(t, q.Launch(k, [3]int{n / 64}, [3]int{64}, hal.Memory(da), hal.Memory(db), hal.Memory(dsum)))
			got := make([]byte, 4*(n+2))
			must(t, q.Read(got, dsum, 0))
			wait(t, q)
			for i := range n {
				if w := word(got, i+1); w != a[i]+b[i] {
					t.Fatalf("sum[%d] = %d, want %d", i, w, a[i]+b[i])
				}
			}
			if word(got, 0) != guard || word(got, n+1) != guard {
				t.Errorf("guards are %#x and %#x, want %#x", word(got, 0), word(got, n+1), uint32(guard))
			}
		})
	}
}

// The kernel asks n questions one after another; word 0 is the question's number, word 32
// its value, word 64 the answer's number, word 96 its value. It gives up after many looks.
const mailboxSource = `
__kernel void ask(__global volatile uint *box, uint n, __global uint *result) {
	uint sum = 0, i = 1;
	for (; i <= n; i++) {
		box[32] = i * 3;
		mem_fence(CLK_GLOBAL_MEM_FENCE);
		box[0] = i;
		uint look = 0;
		while (box[64] != i && look < 2000000000u) look++;
		if (box[64] != i) break;
		mem_fence(CLK_GLOBAL_MEM_FENCE);
		sum += box[96];
	}
	result[0] = i - 1;
	result[1] = sum;
}
`

// TestMailbox lets a running kernel and a goroutine exchange words.
func TestMailbox(t *testing.T) {
	d := open(t, usual)
	if !d.Info().HostCPU {
		t.Skip("whether a device that is not the host's CPU exchanges words with the host is for a probe")
	}
	k, q := compile(t, d, mailboxSource, "ask"), queue(t, d)
	const n = 1000
	box, result := alloc(t, d, hal.HostCoherent, 512), alloc(t, d, hal.DeviceMemory, 8)
	shared := box.Bytes()
	clear(shared)
	at := func(i int) *uint32 { return (*uint32)(unsafe.Pointer(&shared[4*i])) }
	must(t, q.Launch(k, [3]int{}, [3]int{}, hal.Memory(box), hal.Int32(n), hal.Memory(result)))
	deadline := time.Now().Add(10 * time.Second)
	for i := uint32(1); i <= n; i++ {
		for atomic.LoadUint32(at(0)) != i {
			if time.Now().After(deadline) {
				t.Fatalf("question %d never came", i)
			}
			runtime.Gosched()
		}
		atomic.StoreUint32(at(96), atomic.LoadUint32(at(32))+i)
		atomic.StoreUint32(at(64), i)
	}
	wait(t, q)
	got := make([]byte, 8)
	must(t, q.Read(got, result, 0))
	if rounds, sum := word(got, 0), word(got, 1); rounds != n || sum != 4*n*(n+1)/2 {
		t.Errorf("%d rounds with sum %d, want %d with %d", rounds, sum, n, 4*n*(n+1)/2)
	}
}

// TestIDs looks at every work-item of a three-dimensional launch.
func TestIDs(t *testing.T) {
	d := open(t, usual)
	k, q := compile(t, d, `
__kernel void ids(__global uint *out) {
	uint x = get_global_id(0), y = get_global_id(1), z = get_global_id(2);
	uint i = (z * get_global_size(1) + y) * get_global_size(0) + x;
	out[i] += get_local_id(0) | get_local_id(1) << 4 | get_local_id(2) << 8
		| get_group_id(0) << 12 | get_group_id(1) << 16 | get_group_id(2) << 20
		| get_num_groups(0) << 24 | get_local_size(2) << 28;
}
`, "ids"), queue(t, d)
	grid, group := [3]int{5, 3, 2}, [3]int{4, 2, 3}
	const n = 5 * 4 * 3 * 2 * 2 * 3
	b := alloc(t, d, hal.DeviceMemory, 4*n)
	must(t, q.Write(b, 0, make([]byte, 4*n)))
	must(t, q.Launch(k, grid, group, hal.Memory(b)))
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

// TestArguments passes every form of argument.
func TestArguments(t *testing.T) {
	d := open(t, usual)
	k, q := compile(t, d, `
typedef struct { int a; char b; char pad[3]; long c; } pair;
__kernel void args(__global ulong *out, uchar u8, short i16, int i32, long i64, float f32, pair p, __global const int *mem, uint4 v) {
	out[0] = u8; out[1] = (ulong)(long)i16; out[2] = (ulong)(long)i32; out[3] = i64;
	out[4] = as_uint(f32); out[5] = p.a; out[6] = p.b; out[7] = p.c; out[8] = mem[1]; out[9] = v.w;
}
`, "args"), queue(t, d)
	out, mem := alloc(t, d, hal.HostCoherent, 80), alloc(t, d, hal.DeviceMemory, 8)
	must(t, q.Write(mem, 0, words(11, 22)))
	args := []hal.Arg{hal.Memory(out), hal.Value([]byte{200}), hal.Value([]byte{0xFE, 0xFF}), hal.Int32(-3), hal.Int64(-4 << 40),
		hal.Float32(1.5), hal.Value(append(words(5, 6), 7, 0, 0, 0, 0, 0, 0, 0)), hal.Memory(mem), hal.Value(words(1, 2, 3, 4))}
	must(t, q.Launch(k, [3]int{}, [3]int{}, args...))
	wait(t, q)
	want := []int64{200, -2, -3, -4 << 40, 0x3FC00000, 5, 6, 7, 22, 4}
	for i, w := range want {
		if got := *(*int64)(unsafe.Pointer(&out.Bytes()[8*i])); got != w {
			t.Errorf("argument %d arrived as %#x, want %#x", i, got, w)
		}
	}

	bad := func(i int, a hal.Arg) []hal.Arg {
		b := slices.Clone(args)
		b[i] = a
		return b
	}
	huge := d.Info().MaxGroup + 1
	for what, err := range map[string]error{
		"too few":       q.Launch(k, [3]int{}, [3]int{}, args[1:]...),
		"none":          q.Launch(k, [3]int{}, [3]int{}),
		"wrong size":    q.Launch(k, [3]int{}, [3]int{}, bad(3, hal.Int64(1))...),
		"empty":         q.Launch(k, [3]int{}, [3]int{}, bad(3, hal.Value(nil))...),
		"group":         q.Launch(k, [3]int{}, [3]int{huge}, args...),
		"negative grid": q.Launch(k, [3]int{-1}, [3]int{}, args...),
	} {
		if what == "negative grid" {
			if err != nil {
				t.Errorf("hal counts a grid below 1 as 1, but: %v", err)
			}
			continue
		}
		if !errors.Is(err, hal.ErrInvalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
	wait(t, q)
}

// TestManyGroups launches many more groups than there are workers, with a barrier.
func TestManyGroups(t *testing.T) {
	d := open(t, usual)
	k, q := compile(t, d, `
__kernel void sums(__global uint *out, __global uint *total) {
	__local uint part[32];
	uint l = get_local_id(0);
	part[l] = get_global_id(0);
	barrier(CLK_LOCAL_MEM_FENCE);
	for (uint s = get_local_size(0) / 2; s > 0; s /= 2) {
		if (l < s) part[l] += part[l + s];
		barrier(CLK_LOCAL_MEM_FENCE);
	}
	if (l == 0) {
		out[get_group_id(0)] = part[0];
		atomic_inc(total);
	}
}
`, "sums"), queue(t, d)
	const groups = 3000
	out, total := alloc(t, d, hal.DeviceMemory, 4*groups), alloc(t, d, hal.DeviceMemory, 4)
	must(t, q.Write(total, 0, words(0)))
	must(t, q.Launch(k, [3]int{groups}, [3]int{32}, hal.Memory(out), hal.Memory(total)))
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
