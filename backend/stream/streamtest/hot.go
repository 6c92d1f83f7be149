package streamtest

import (
	"testing"

	"github.com/dialtone-gpu/dialtone/backend/stream"
	"github.com/dialtone-gpu/dialtone/hal"
)

// allocations: what runs often allocates nothing.
func (gpu *Backend) allocations(t *testing.T) {
	d := gpu.Open(t)
	driver := d.Driver()
	m := Compile(t, d, gpu.Kernels)
	_ = m
	dm, err := driver.Compile(t.Context(), hal.Source{Name: "test.kernel.c", Text: gpu.Kernels})
	Must(t, err)
	defer dm.Close()
	k, err := dm.Kernel("increment")
	Must(t, err)
	q, err := driver.NewQueue()
	Must(t, err)
	defer q.Close()
	b, err := driver.Alloc(hal.DeviceMemory, 4)
	Must(t, err)
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
		Must(t, launch())
		if n := testing.AllocsPerRun(200, func() {
			if err := f(); err != nil {
				t.Error(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", what, n)
		}
	}
	Spin(t, q.Done)
}

// Benchmark measures an empty round through the queue, launch and poll until done, and transfers of 16 MiB through the bounce buffer and
// without it.
func (gpu *Backend) Benchmark(b *testing.B) {
	d := gpu.Open(b)
	const size = 16 << 20
	q, k, p := NewQueue(b, d), Get(b, Compile(b, d, gpu.Kernels), "increment"), Alloc(b, d, hal.DeviceMemory, size)
	b.Run("launch", func(b *testing.B) {
		for b.Loop() {
			Must(b, q.Launch(k, [3]int{}, [3]int{}, hal.Memory(p)))
			Spin(b, q.Done)
		}
	})
	pinned := Alloc(b, d, hal.HostCoherent, size)
	for name, host := range map[string][]byte{"go": make([]byte, size), "pinned": pinned.Bytes()} {
		for way, move := range map[string]func() error{
			"write": func() error { return q.Write(p, 0, host) },
			"read":  func() error { return q.Read(host, p, 0) },
		} {
			b.Run(way+"/"+name, func(b *testing.B) {
				b.SetBytes(size)
				for b.Loop() {
					Must(b, move())
				}
			})
		}
	}
}
