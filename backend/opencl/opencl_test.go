package opencl_test

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	_ "github.com/dialtone-gpu/dialtone/backend/opencl"
	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/internal/devicetest"
)

// usual names the device that tests use if they do not care; DIALTONE_TEST_OPENCL changes
// it where the first device is not the one to test.
const usual = "opencl"

// open gives a device and skips the test where there is none.
func open(t testing.TB, uri string) *hal.Device {
	t.Helper()
	if other := os.Getenv("DIALTONE_TEST_OPENCL"); uri == usual && other != "" {
		uri = other
	}
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
	// Not the test's context: that has ended when what Cleanup was given runs.
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
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

// released is a kernel that runs until the host sets a word, or for so many looks.
const releasedSource = `
__kernel void hold(__global volatile uint *word) {
	word[1] = 1;
	for (uint look = 0; word[0] == 0 && look < 4000000000u; look++) {}
	word[2] = word[0];
}
`

// hold starts a kernel that runs until release is called, which is at the test's end at
// the latest. running reports whether it has begun.
func hold(t testing.TB, d *hal.Device, q *hal.Queue) (running func() bool, release func()) {
	t.Helper()
	if !d.Info().HostCPU {
		t.Skip("needs a device whose kernels see the host's writes while they run")
	}
	k, b := compile(t, d, releasedSource, "hold"), alloc(t, d, hal.HostCoherent, 64)
	shared := b.Bytes()
	clear(shared)
	at := func(i int) *uint32 { return (*uint32)(unsafe.Pointer(&shared[4*i])) }
	release = func() { atomic.StoreUint32(at(0), 1) }
	t.Cleanup(func() {
		release()
		wait(t, q)
	})
	must(t, q.Launch(k, [3]int{}, [3]int{}, hal.Memory(b)))
	return func() bool { return atomic.LoadUint32(at(1)) == 1 }, release
}

// eventually polls a condition.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// inChild runs the calling test again in a process of its own whose environment has the
// settings, because drivers read theirs once. It is true there, and the caller goes on;
// in the first process the result of the child is the result of the test.
func inChild(t *testing.T, settings ...string) (here bool) {
	t.Helper()
	if devicetest.InChild(t) {
		return true
	}
	devicetest.Isolated(t, settings, nil)
	return false
}

const pocl = "Portable Computing Language"

// onlyPoCL skips a test of PoCL's settings on any other platform.
func onlyPoCL(t testing.TB, d *hal.Device) {
	t.Helper()
	if p := d.Info().Platform; p != pocl {
		t.Skipf("the setting is PoCL's, the platform is %s", p)
	}
}
