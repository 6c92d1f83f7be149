package streamtest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/dialtone-gpu/dialtone/backend/stream"
	"github.com/dialtone-gpu/dialtone/hal"
)

// add runs a kernel over every kind of memory and looks at words that it Must not touch.
func (gpu *Backend) add(t *testing.T) {
	d := gpu.Open(t)
	q, k := NewQueue(t, d), Get(t, Compile(t, d, gpu.Kernels), "add")
	const n, guard = 100_003, 64
	a, b := make([]byte, 4*n), make([]byte, 4*n)
	for i := range n {
		binary.LittleEndian.PutUint32(a[4*i:], math.Float32bits(float32(i)))
		binary.LittleEndian.PutUint32(b[4*i:], math.Float32bits(0.5))
	}
	for _, kind := range d.Info().Kinds {
		t.Run(kind.String(), func(t *testing.T) {
			ab, bb, cb := Alloc(t, d, kind, 4*n), Alloc(t, d, kind, 4*n), Alloc(t, d, kind, 4*(n+guard))
			Must(t, q.Write(ab, 0, a))
			Must(t, q.Write(bb, 0, b))
			Must(t, q.Write(cb, 0, bytes.Repeat([]byte{0xee}, 4*(n+guard))))
			Must(t, q.Launch(k, [3]int{(n + 255) / 256}, [3]int{256}, hal.Memory(ab), hal.Memory(bb), hal.Memory(cb), hal.Int32(n)))
			got := make([]byte, 4*(n+guard))
			Must(t, q.Read(got, cb, 0))
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
			Wait(t, q)
		})
	}
}

func (gpu *Backend) ids(t *testing.T) {
	d := gpu.Open(t)
	q, k := NewQueue(t, d), Get(t, Compile(t, d, gpu.Kernels), "ids")
	grid, group := [3]int{3, 2, 4}, [3]int{4, 3, 2}
	w, h, depth := 12, 6, 8
	out := Alloc(t, d, hal.DeviceMemory, 4*w*h*depth)
	Must(t, q.Launch(k, grid, group, hal.Memory(out)))
	got := make([]byte, 4*w*h*depth)
	Must(t, q.Read(got, out, 0))
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

func (gpu *Backend) arguments(t *testing.T) {
	d := gpu.Open(t)
	q, k := NewQueue(t, d), Get(t, Compile(t, d, gpu.Kernels), "args")
	out, where := Alloc(t, d, hal.DeviceMemory, 64), Alloc(t, d, hal.HostCoherent, 4096)
	mixed := make([]byte, 16)
	mixed[0] = 0x41
	binary.LittleEndian.PutUint16(mixed[2:], 0xfffe)
	binary.LittleEndian.PutUint32(mixed[4:], 123456789)
	binary.LittleEndian.PutUint64(mixed[8:], math.Float64bits(2.5))
	all := []hal.Arg{hal.Memory(out), hal.Int32(-5), hal.Int64(-1 << 40), hal.Float32(1.25), hal.Value([]byte{200}), hal.Value(mixed), hal.Memory(where)}
	Must(t, q.Launch(k, [3]int{}, [3]int{}, all...))
	got := make([]byte, 40)
	Must(t, q.Read(got, out, 0))
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
	if v := Word(where, 0).Load(); v != 77 {
		t.Errorf("host memory holds %d", v)
	}

	if err := q.Launch(k, [3]int{}, [3]int{}, make([]hal.Arg, stream.ArgCount+1)...); !errors.Is(err, hal.ErrInvalid) {
		t.Errorf("%d arguments: %v", stream.ArgCount+1, err)
	}
	if err := q.Launch(k, [3]int{}, [3]int{}, hal.Value(make([]byte, stream.ArgBytes)), hal.Value([]byte{1})); !errors.Is(err, hal.ErrInvalid) {
		t.Errorf("%d bytes of arguments: %v", stream.ArgBytes+1, err)
	}
	if !gpu.KnowsParams(t) {
		t.Log("this driver cannot be asked for the parameters, so that arguments are not compared with them")
		return
	}
	for what, args := range map[string][]hal.Arg{
		"one too few":  all[:6],
		"one too many": append(all[:7:7], hal.Int32(1)),
		"wrong size":   append([]hal.Arg{hal.Int32(1)}, all[1:]...),
	} {
		if err := q.Launch(k, [3]int{}, [3]int{}, args...); !errors.Is(err, hal.ErrInvalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
	Wait(t, q)
	gpu.Forgetting(t, func() { // as with an older one
		k := Get(t, Compile(t, d, gpu.Kernels), "args")
		Word(where, 0).Store(0)
		Must(t, q.Launch(k, [3]int{}, [3]int{}, all...))
		Wait(t, q)
		if v := Word(where, 0).Load(); v != 77 {
			t.Errorf("host memory holds %d", v)
		}
	})
}

func (gpu *Backend) limits(t *testing.T) {
	d := gpu.Open(t)
	q, m := NewQueue(t, d), Compile(t, d, gpu.Kernels)
	k := Get(t, m, "ids")
	out := Alloc(t, d, hal.DeviceMemory, 4096)
	for _, l := range append([]Shape{
		{[3]int{1}, [3]int{1025}},
		{[3]int{1 << 31}, [3]int{1}},
		{[3]int{-1}, [3]int{1 << 40}},
	}, gpu.TooLarge...) {
		if err := q.Launch(k, l.Grid, l.Group, hal.Memory(out)); !errors.Is(err, hal.ErrInvalid) {
			t.Errorf("grid %v of %v: %v", l.Grid, l.Group, err)
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
	Must(t, q.Launch(k, [3]int{2}, [3]int{32}, hal.Memory(out)))
	Wait(t, q)
}

func (gpu *Backend) transfers(t *testing.T) {
	d := gpu.Open(t)
	const top = 3*stream.HalfSize + 7
	pinned := Alloc(t, d, hal.HostCoherent, top+64)
	var workers sync.WaitGroup
	for n := range 4 {
		q, b := NewQueue(t, d), Alloc(t, d, hal.DeviceMemory, top+64)
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
