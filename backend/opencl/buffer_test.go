package opencl_test

import (
	"bytes"
	"errors"
	"math"
	"testing"
	"unsafe"

	"github.com/dialtone-gpu/dialtone/hal"
)

func TestTransfer(t *testing.T) {
	d := open(t, usual)
	q := queue(t, d)
	for _, kind := range d.Info().Kinds {
		t.Run(kind.String(), func(t *testing.T) {
			const size = 10001 // no multiple of anything
			b := alloc(t, d, kind, size)
			want := make([]byte, size)
			for i := range want {
				want[i] = byte(i * 31)
			}
			must(t, q.Write(b, 0, want))
			copy(want[777:], "dial tone")
			must(t, q.Write(b, 777, []byte("dial tone")))
			got := make([]byte, size)
			must(t, q.Read(got[:500], b, 0))
			must(t, q.Read(got[500:], b, 500))
			if !bytes.Equal(got, want) {
				t.Error("what was read is not what was written")
			}
			if host := b.Bytes(); kind.HostVisible() {
				if !bytes.Equal(host, want) || uintptr(unsafe.Pointer(&host[0]))%128 != 0 {
					t.Error("the host's view differs, or is not aligned to 128 bytes")
				}
			} else if host != nil {
				t.Error("device memory has a host address")
			}
			must(t, q.Read(nil, b, size))
			for what, err := range map[string]error{
				"read beyond":  q.Read(make([]byte, 2), b, size-1),
				"read before":  q.Read(make([]byte, 2), b, -1),
				"write beyond": q.Write(b, size, []byte{1}),
				"write far":    q.Write(b, 1<<40, []byte{1}),
			} {
				if !errors.Is(err, hal.ErrInvalid) {
					t.Errorf("%s: %v", what, err)
				}
			}
			if done, err := q.Done(); !done || err != nil {
				t.Errorf("after all that: %t, %v", done, err)
			}
		})
	}
}

func TestAllocErrors(t *testing.T) {
	d := open(t, usual)
	for _, c := range []struct {
		kind hal.MemoryKind
		size int
		want error
	}{
		{hal.DeviceMemory, 0, hal.ErrInvalid},
		{hal.DeviceMemory, -1, hal.ErrInvalid},
		{hal.DeviceMemory, math.MaxInt, hal.ErrOutOfMemory},
		{hal.HostCoherent, math.MaxInt, hal.ErrOutOfMemory},
		{hal.Managed, 64, hal.ErrUnsupported},
	} {
		if _, err := d.Alloc(c.kind, c.size); !errors.Is(err, c.want) {
			t.Errorf("%d bytes of %s memory: %v, want %v", c.size, c.kind, err, c.want)
		}
	}
	if _, err := d.Driver().Alloc(hal.Managed, 64); !errors.Is(err, hal.ErrUnsupported) {
		t.Errorf("the driver, managed memory: %v", err)
	}
}

// TestFreeWhileUsed closes the memory of a running kernel.
func TestFreeWhileUsed(t *testing.T) {
	d := open(t, usual)
	q := queue(t, d)
	running, release := hold(t, d, q)
	eventually(t, "the kernel runs", running)
	k := compile(t, d, addSource, "add")
	for _, kind := range d.Info().Kinds {
		b, err := d.Alloc(kind, 1<<20)
		must(t, err)
		must(t, q.Launch(k, [3]int{1 << 10}, [3]int{64}, hal.Memory(b), hal.Memory(b), hal.Memory(b)))
		must(t, b.Close())
		if err := q.Launch(k, [3]int{1}, [3]int{}, hal.Memory(b), hal.Memory(b), hal.Memory(b)); !errors.Is(err, hal.ErrClosed) {
			t.Errorf("launch with closed memory: %v", err)
		}
		if err := q.Read(make([]byte, 1), b, 0); !errors.Is(err, hal.ErrClosed) {
			t.Errorf("read of closed memory: %v", err)
		}
	}
	release()
	wait(t, q)
}
