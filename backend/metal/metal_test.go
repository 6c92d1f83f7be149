package metal_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/dialtone-gpu/dialtone/device"
	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/hostcall/wire"
	"github.com/dialtone-gpu/dialtone/internal/metaltest"
)

var (
	standIn *metaltest.StandIn
	missing error // why there is none
)

func TestMain(m *testing.M) {
	end := func() error { return nil }
	missing = errors.New("this system has the real one")
	if runtime.GOOS != "darwin" {
		standIn, end, missing = metaltest.Use()
	}
	code := m.Run()
	if err := end(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// needStandIn skips the test where there is none, and fails it if objects are left behind.
func needStandIn(t testing.TB) *metaltest.StandIn {
	t.Helper()
	if standIn == nil {
		t.Skipf("needs the stand-in for Metal: %v", missing)
	}
	t.Cleanup(func() {
		var n int
		var what string
		for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
			if n, what = standIn.Live(); n == 0 {
				return
			}
		}
		t.Errorf("%d objects were not released: %s", n, what)
	})
	return standIn
}

// open gives the stand-in's device, on macOS the first real one.
func open(t testing.TB) *hal.Device {
	t.Helper()
	if runtime.GOOS != "darwin" {
		needStandIn(t)
	}
	return again(t)
}

// again opens the device once more in a test.
func again(t testing.TB) *hal.Device {
	t.Helper()
	d, err := hal.Open(t.Context(), "metal:0")
	if errors.Is(err, hal.ErrUnavailable) {
		t.Skipf("no Metal: %v", err)
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

// compile builds Metal Shading Language and gives a kernel of it.
func compile(t testing.TB, d *hal.Device, text, name string) *hal.Kernel {
	t.Helper()
	m, err := d.Compile(t.Context(), hal.Source{Name: "user.metal", Text: text})
	must(t, err)
	t.Cleanup(func() { must(t, m.Close()) })
	k, err := m.Kernel(name)
	must(t, err)
	return k
}

// portable builds kernel C, and gives a kernel of it and the three arguments that are the library's.
func portable(t testing.TB, d *hal.Device, text, name string) (*hal.Kernel, []hal.Arg) {
	t.Helper()
	u, err := device.Parse("user.kernel.c", text)
	must(t, err)
	full, err := u.Assemble(string(d.Info().Dialect), device.Options{})
	must(t, err)
	unused := alloc(t, d, hal.DeviceMemory, 64)
	return compile(t, d, full, name), []hal.Arg{hal.Memory(unused), hal.Memory(unused), hal.Value((&wire.Params{}).Bytes())}
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

func wait(t testing.TB, q *hal.Queue) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	err := q.Wait(ctx)
	if ctx.Err() != nil {
		t.Fatal(err)
	}
	return err
}

func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

func word(b []byte, i int) uint32 { return binary.LittleEndian.Uint32(b[4*i:]) }

func words(ws ...uint32) []byte {
	var b []byte
	for _, w := range ws {
		b = binary.LittleEndian.AppendUint32(b, w)
	}
	return b
}

const head = "#include <metal_stdlib>\n"

func TestInfo(t *testing.T) {
	needStandIn(t)
	d := again(t)
	i := d.Info()
	if !i.Sim || !i.NoConcurrentAccess || i.HostCPU || i.Dialect != hal.MSL || i.Subgroup != 1 || i.Kind != hal.GPU {
		t.Errorf("%+v", i)
	}
	if i.Name != "Stand-in GPU" || i.Arch != "apple8" || i.MaxGroup != 1024 || i.Memory != 1<<32 || i.Driver != "macOS Version 0.0 (stand-in)" {
		t.Errorf("%+v", i)
	}
}

func TestAdd(t *testing.T) {
	d := open(t)
	k, hidden := portable(t, d, "KERNEL(add, GLOBAL const hc_i32 *a, GLOBAL const hc_i32 *b, GLOBAL hc_i32 *sum) {\n"+
		"const hc_u32 i = hc_global_id();\nsum[i + 1u] = a[i] + b[i]; }\n", "add")
	q := queue(t, d)
	const n, guard = 1 << 12, 0xDEADBEEF
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
			must(t, q.Launch(k, [3]int{n / 64}, [3]int{64}, append(hidden, hal.Memory(da), hal.Memory(db), hal.Memory(dsum))...))
			got := make([]byte, 4*(n+2))
			must(t, q.Read(got, dsum, 0))
			must(t, wait(t, q))
			for i := range n {
				if w := word(got, i+1); w != a[i]+b[i] {
					t.Fatalf("sum[%d] = %d, want %d", i, w, a[i]+b[i])
				}
			}
			if word(got, 0) != guard || word(got, n+1) != guard {
				t.Errorf("guards are %#x and %#x", word(got, 0), word(got, n+1))
			}
		})
	}
}
