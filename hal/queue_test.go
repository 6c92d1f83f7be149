package hal

import (
	"context"
	"errors"
	"math"
	"strings"
	"sync"
	"testing"
	"time"
)

// device is an open one whose driver remembers.
func device(t *testing.T) (*Device, *fakeDevice) {
	t.Helper()
	f := &fakeDevice{info: Info{URI: "fake:0", Backend: "fake", MaxGroup: 64, Kinds: []MemoryKind{DeviceMemory, HostCoherent}}}
	return &Device{driver: f, info: f.info}, f
}

func must[T any](t *testing.T) func(x T, err error) T {
	return func(x T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
}

func TestAlloc(t *testing.T) {
	d, f := device(t)
	for _, tt := range []struct {
		kind MemoryKind
		size int
		want error
	}{
		{DeviceMemory, 0, ErrInvalid},
		{DeviceMemory, -1, ErrInvalid},
		{Managed, 1, ErrUnsupported},
		{HostCoherent, 8, nil},
	} {
		if _, err := d.Alloc(tt.kind, tt.size); !errors.Is(err, tt.want) {
			t.Errorf("%d bytes of %s memory: %v, want %v", tt.size, tt.kind, err, tt.want)
		}
	}
	for kind, visible := range map[MemoryKind]bool{DeviceMemory: false, HostCoherent: true} {
		b := must[*Buffer](t)(d.Alloc(kind, 8))
		if b.Size() != 8 || b.Kind() != kind || (len(b.Bytes()) == 8) != visible || kind.HostVisible() != visible {
			t.Errorf("%s: %d bytes, %d visible", b.Kind(), b.Size(), len(b.Bytes()))
		}
		before := f.freed
		if err := errors.Join(b.Close(), b.Close()); err != nil || f.freed != before+1 {
			t.Errorf("closed twice: %v, freed %d times", err, f.freed-before)
		}
	}
}

func TestDriverFailures(t *testing.T) {
	d, f := device(t)
	f.failure = &Error{Op: "all", Err: ErrDeviceLost}
	_, alloc := d.Alloc(DeviceMemory, 1)
	_, compile := d.Compile(t.Context(), Source{})
	_, queue := d.NewQueue()
	for what, err := range map[string]error{"Alloc": alloc, "Compile": compile, "NewQueue": queue} {
		if err != f.failure {
			t.Errorf("%s: %v is not the driver's own", what, err)
		}
	}
}

func TestCloseOnce(t *testing.T) {
	d, f := device(t)
	m := must[*Module](t)(d.Compile(t.Context(), Source{}))
	q := must[*Queue](t)(d.NewQueue())
	for range 2 {
		if err := errors.Join(m.Close(), q.Close(), d.Close()); err != nil {
			t.Error(err)
		}
	}
	if f.closed != 2 || f.queue.closed != 1 {
		t.Errorf("module and device were closed %d times, the queue %d times", f.closed, f.queue.closed)
	}
	if _, err := m.Kernel("k"); !errors.Is(err, ErrClosed) {
		t.Errorf("kernel of a closed module: %v", err)
	}
}

func TestLaunch(t *testing.T) {
	d, f := device(t)
	m, q := must[*Module](t)(d.Compile(t.Context(), Source{})), must[*Queue](t)(d.NewQueue())
	b := must[*Buffer](t)(d.Alloc(DeviceMemory, 8))
	k := must[*Kernel](t)(m.Kernel("four")) // its groups have at most four
	if k.Name() != "four" || k.MaxGroup() != 4 {
		t.Errorf("%s, %d", k.Name(), k.MaxGroup())
	}
	if k := must[*Kernel](t)(m.Kernel("")); k.MaxGroup() != 64 {
		t.Errorf("the device's limit is %d", k.MaxGroup())
	}
	for _, group := range [][3]int{{5}, {2, 3}, {1, 1, 5}, {1 << 32, 1 << 32}} {
		if err := q.Launch(k, [3]int{1}, group); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "kernel four") {
			t.Errorf("group %v: %v", group, err)
		}
	}
	if f.queue.launches != 0 {
		t.Error("a launch that makes no sense reached the driver")
	}
	err := q.Launch(k, [3]int{7}, [3]int{0, 2}, Memory(b), Value([]byte{1, 2, 3}), Int32(-2), Int64(math.MinInt64), Float32(1.5), Value(nil))
	if err != nil {
		t.Fatal(err)
	}
	if f.queue.grid != [3]int{7, 1, 1} || f.queue.group != [3]int{1, 2, 1} {
		t.Errorf("grid %v of groups %v", f.queue.grid, f.queue.group)
	}
	if got, want := string(f.queue.args), "B\x01\x02\x03\xfe\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00\x80\x00\x00\xc0\x3f"; got != want {
		t.Errorf("arguments %q, want %q", got, want)
	}
	for i, a := range f.queue.kept {
		if a.Buffer != nil || a.Value != nil {
			t.Errorf("argument %d is still held after the launch", i)
		}
	}
}

// TestLaunchShared launches from several goroutines: each has its own arguments.
func TestLaunchShared(t *testing.T) {
	d, f := device(t)
	k := must[*Kernel](t)(must[*Module](t)(d.Compile(t.Context(), Source{})).Kernel("k"))
	q := must[*Queue](t)(d.NewQueue())
	const workers, rounds = 4, 500
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			args := make([]Arg, w+1)
			for i := range args {
				args[i] = Int32(int32(w))
			}
			for range rounds {
				if err := q.Launch(k, [3]int{}, [3]int{}, args...); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if f.queue.launches != workers*rounds {
		t.Errorf("%d launches", f.queue.launches)
	}
}

func TestLaunchAllocations(t *testing.T) {
	d, _ := device(t)
	k := must[*Kernel](t)(must[*Module](t)(d.Compile(t.Context(), Source{})).Kernel("k"))
	q := must[*Queue](t)(d.NewQueue())
	b := must[*Buffer](t)(d.Alloc(DeviceMemory, 8))
	value := []byte{1, 2, 3}
	i := int32(0)
	if n := testing.AllocsPerRun(100, func() {
		i++
		if err := q.Launch(k, [3]int{1}, [3]int{1}, Memory(b), Int32(i), Int64(int64(i)), Float32(2), Value(value)); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations per launch", n)
	}
}

func BenchmarkLaunch(b *testing.B) {
	f := &fakeDevice{info: Info{MaxGroup: 64}}
	q := &Queue{driver: &f.queue, device: &Device{driver: f, info: f.info}}
	k := &Kernel{driver: fakeKernel(0), name: "k", device: q.device}
	b.ReportAllocs()
	for b.Loop() {
		if err := q.Launch(k, [3]int{1}, [3]int{1}, Int32(1), Int64(2)); err != nil {
			b.Fatal(err)
		}
	}
}

func TestTransferBounds(t *testing.T) {
	d, f := device(t)
	q, b := must[*Queue](t)(d.NewQueue()), must[*Buffer](t)(d.Alloc(DeviceMemory, 8))
	for _, tt := range []struct {
		n, offset int
		want      error
	}{
		{8, 0, nil}, {0, 8, nil}, {1, 7, nil}, {9, 0, ErrInvalid}, {1, 8, ErrInvalid}, {1, -1, ErrInvalid}, {0, 9, ErrInvalid}, {8, math.MaxInt, ErrInvalid},
	} {
		for what, err := range map[string]error{
			"read":  q.Read(make([]byte, tt.n), b, tt.offset),
			"write": q.Write(b, tt.offset, make([]byte, tt.n)),
		} {
			if !errors.Is(err, tt.want) {
				t.Errorf("%s of %d bytes at %d: %v, want %v", what, tt.n, tt.offset, err, tt.want)
			}
		}
	}
	if n := len(f.queue.transfers); n != 4 {
		t.Errorf("the driver saw %q", f.queue.transfers)
	}
}

func TestWait(t *testing.T) {
	failed := errors.New("failed")
	later := func(a ...answer) []answer { return a }
	for _, tt := range []struct {
		name    string
		answers []answer
		ends    bool // the context does
		want    []error
	}{
		{"at once", later(answer{true, nil}), false, nil},
		{"after a while", later(answer{}, answer{}, answer{}, answer{true, nil}), false, nil},
		{"a failure at the end", later(answer{}, answer{true, failed}), false, []error{failed}},
		{"a failure before the end", later(answer{false, failed}, answer{false, failed}, answer{true, failed}), false, []error{failed}},
		{"never", later(answer{}), true, []error{context.DeadlineExceeded}},
		{"never, after a failure", later(answer{false, failed}), true, []error{context.DeadlineExceeded, failed}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, f := device(t)
			f.queue.answers = tt.answers
			q := must[*Queue](t)(d.NewQueue())
			limit := time.Minute
			if tt.ends {
				limit = 20 * time.Millisecond
			}
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			err := q.Wait(ctx)
			if tt.want == nil && err != nil {
				t.Error(err)
			}
			for _, want := range tt.want {
				if !errors.Is(err, want) {
					t.Errorf("%v is not %v", err, want)
				}
			}
			if !tt.ends && f.queue.asked != len(tt.answers) {
				t.Errorf("asked %d times, the end was answer %d", f.queue.asked, len(tt.answers))
			}
		})
	}
}

func TestStop(t *testing.T) {
	d, _ := device(t)
	q := must[*Queue](t)(d.NewQueue())
	if err := q.Stop(); !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), "fake:0") {
		t.Errorf("a queue that cannot stop: %v", err)
	}
	s := &fakeStopper{}
	q = &Queue{driver: s, device: d}
	if err := q.Stop(); err != nil || s.stopped != 1 {
		t.Errorf("%v, stopped %d times", err, s.stopped)
	}
}
