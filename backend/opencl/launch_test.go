package opencl_test

import (
	"runtime"
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
	d := open(t, "opencl")
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
	d := open(t, "opencl")
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
