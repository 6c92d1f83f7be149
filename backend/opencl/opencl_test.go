package opencl_test

import (
	"context"
	"encoding/binary"
	"errors"
	"testing"
	"time"

	_ "github.com/dialtone-gpu/dialtone/backend/opencl"
	"github.com/dialtone-gpu/dialtone/hal"
)

// open gives a device and skips the test where there is none.
func open(t testing.TB, uri string) *hal.Device {
	t.Helper()
	d, err := hal.Open(t.Context(), uri)
	if errors.Is(err, hal.ErrUnavailable) {
		t.Skipf("no OpenCL device: %v", err)
	}
	must(t, err)
	t.Cleanup(func() { must(t, d.Close()) })
	return d
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// compile builds text and gives a kernel of it.
func compile(t testing.TB, d *hal.Device, text, name string) *hal.Kernel {
	t.Helper()
	m, err := d.Compile(t.Context(), hal.Source{Name: "user.kernel.c", Text: text})
	must(t, err)
	t.Cleanup(func() { must(t, m.Close()) })
	k, err := m.Kernel(name)
	must(t, err)
	return k
}

func queue(t testing.TB, d *hal.Device) *hal.Queue {
	t.Helper()
	q, err := d.NewQueue()
	must(t, err)
	t.Cleanup(func() { must(t, q.Close()) })
	return q
}

func alloc(t testing.TB, d *hal.Device, kind hal.MemoryKind, size int) *hal.Buffer {
	t.Helper()
	b, err := d.Alloc(kind, size)
	must(t, err)
	t.Cleanup(func() { must(t, b.Close()) })
	return b
}

// wait bounds every wait of these tests.
func wait(t testing.TB, q *hal.Queue) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	must(t, q.Wait(ctx))
}

// words renders 32-bit words as the device stores them.
func words(ws ...uint32) []byte {
	var b []byte
	for _, w := range ws {
		b = binary.NativeEndian.AppendUint32(b, w)
	}
	return b
}

// word reads word i.
func word(b []byte, i int) uint32 { return binary.NativeEndian.Uint32(b[4*i:]) }
