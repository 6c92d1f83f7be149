package streamtest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dialtone-gpu/dialtone/backend/stream"
	"github.com/dialtone-gpu/dialtone/hal"
)

func (gpu *Backend) mailbox(t *testing.T) {
	if !gpu.Isolated(t, 2*time.Minute) {
		return
	}
	d := gpu.Open(t)
	q, k := NewQueue(t, d), Get(t, Compile(t, d, gpu.Kernels), "mailbox")
	n := 1000
	if d.Info().Sim {
		n = 200 // on a busy machine each may take as long as the scheduler gives others
	}
	for _, kind := range []hal.MemoryKind{hal.HostCoherent, hal.Managed} {
		if !d.Info().Has(kind) {
			continue
		}
		w := Alloc(t, d, kind, 4096)
		clear(w.Bytes())
		stop := make(chan struct{})
		var server sync.WaitGroup
		server.Go(func() {
			for last := uint32(0); ; {
				select {
				case <-stop:
					return
				default:
				}
				if v := Word(w, 0).Load(); v != last {
					last = v
					Word(w, 1).Store(v * 3)
				}
				runtime.Gosched()
			}
		})
		start := time.Now()
		Must(t, q.Launch(k, [3]int{}, [3]int{}, hal.Memory(w), hal.Int32(int32(n)), hal.Int64(int64(20*time.Second))))
		Wait(t, q)
		took := time.Since(start)
		close(stop)
		server.Wait()
		switch v := Word(w, 2).Load(); {
		case v == 0xffffffff:
			t.Logf("%s memory: %v per word", kind, took/time.Duration(n))
		case kind == hal.Managed: // which nobody promises to be good for that
			t.Logf("%s memory: gave up at word %d", kind, v)
		default:
			t.Fatalf("%s memory: gave up at word %d", kind, v)
		}
	}
}

// mark: the store comes after the kernel before it, and not earlier.
func (gpu *Backend) mark(t *testing.T) {
	if !gpu.Isolated(t, time.Minute) {
		return
	}
	d := gpu.Open(t)
	m := Compile(t, d, gpu.Kernels)
	w := StartWaiting(t, d, m)
	marks := Alloc(t, d, hal.HostCoherent, 4096)
	clear(marks.Bytes())
	if err := w.queue.Mark(marks, 64, 7); errors.Is(err, hal.ErrUnsupported) {
		t.Skipf("the driver writes no marks: %v", err)
	} else if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if Word(marks, 16).Load() != 0 {
			t.Fatal("the mark is there while the kernel runs")
		}
		time.Sleep(time.Millisecond)
	}
	Word(w.words, 1).Store(1)
	start := time.Now()
	for Word(marks, 16).Load() != 7 {
		if time.Since(start) > 5*time.Second {
			t.Fatal("the mark does not come")
		}
	}
	t.Logf("the mark comes %v after the kernel was let go", time.Since(start))
	if !w.End(t) {
		t.Error("the kernel gave up")
	}
	Must(t, w.queue.Mark(marks, 128, 9)) // on an idle queue
	Wait(t, w.queue)
	if v := Word(marks, 32).Load(); v != 9 {
		t.Errorf("the mark is %d after the end, want 9", v)
	}
	for _, offset := range []int{-4, 2, 4096} {
		if err := w.queue.Mark(marks, offset, 1); !errors.Is(err, hal.ErrInvalid) {
			t.Errorf("offset %d gives %v", offset, err)
		}
	}
	if err := w.queue.Mark(Alloc(t, d, hal.DeviceMemory, 64), 0, 1); !errors.Is(err, hal.ErrInvalid) {
		t.Errorf("device memory gives %v", err)
	}
}

// Waiting is a kernel that waits for the host.
type Waiting struct {
	queue *hal.Queue
	words *hal.Buffer
}

const waitLimit = 3 * time.Second

// StartWaiting starts one, which gives up after 3 s.
func StartWaiting(t *testing.T, d *hal.Device, m *hal.Module) Waiting {
	t.Helper()
	w := Waiting{NewQueue(t, d), Alloc(t, d, hal.HostCoherent, 4096)}
	w.Again(t, Get(t, m, "waiter"), waitLimit)
	return w
}

// Again starts it once more.
func (w Waiting) Again(t *testing.T, k *hal.Kernel, limit time.Duration) {
	t.Helper()
	clear(w.words.Bytes())
	Must(t, w.queue.Launch(k, [3]int{}, [3]int{}, hal.Memory(w.words), hal.Int64(int64(limit))))
	for end := time.Now().Add(10 * time.Second); Word(w.words, 0).Load() == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the kernel does not start")
		}
	}
}

// End lets the kernel go on and reports whether it had still been waiting.
func (w Waiting) End(t *testing.T) bool {
	t.Helper()
	Word(w.words, 1).Store(1)
	Wait(t, w.queue)
	return Word(w.words, 2).Load() == 1
}

// besides: what Must go on while a kernel waits for this process.
func (gpu *Backend) besides(t *testing.T) {
	if !gpu.Isolated(t, 3*time.Minute) {
		return
	}
	d := gpu.Open(t)
	m := Compile(t, d, gpu.Kernels)
	k := Get(t, m, "waiter")
	w := StartWaiting(t, d, m)
	w.End(t)
	other := NewQueue(t, d)
	data := Alloc(t, d, hal.DeviceMemory, 3*stream.HalfSize)
	host := Alloc(t, d, hal.HostCoherent, 1<<20)
	bytes3 := make([]byte, 3*stream.HalfSize)
	Must(t, other.Write(data, 0, bytes3))
	compiled := fresh() // to be taken from the cache
	made, err := d.Compile(t.Context(), compiled)
	Must(t, err)
	kept := []Closer{made}
	keep := func(c Closer, err error) error {
		if err == nil {
			kept = append(kept, c)
		}
		return err
	}
	var freeing [3]*hal.Buffer
	for i, kind := range d.Info().Kinds {
		b, err := d.Alloc(kind, 1<<20)
		Must(t, err)
		freeing[i] = b
	}
	oldModule, err := d.Compile(t.Context(), hal.Source{Name: "old", Text: AddSource})
	Must(t, err)
	oldQueue, err := d.NewQueue()
	Must(t, err)
	waitFor := func(q *hal.Queue) error {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		return q.Wait(ctx)
	}

	for _, op := range []struct {
		name string
		do   func() error
	}{
		{"Done", func() error {
			if done, err := w.queue.Done(); done || err != nil {
				return fmt.Errorf("done %v, %v", done, err)
			}
			return nil
		}},
		{"Write", func() error { return other.Write(data, 1, bytes3[1:]) }},
		{"Read", func() error { return other.Read(bytes3, data, 0) }},
		{"Read into pinned memory", func() error { return other.Read(host.Bytes(), data, 0) }},
		{"Read of host memory", func() error { return other.Read(bytes3[:1<<20], host, 0) }},
		{"Launch", func() error {
			return errors.Join(other.Launch(Get(t, m, "increment"), [3]int{}, [3]int{}, hal.Memory(data)), waitFor(other))
		}},
		{"Alloc device", func() error { b, err := d.Alloc(hal.DeviceMemory, 1<<20); return keep(b, err) }},
		{"Alloc device, 256 MiB", func() error { b, err := d.Alloc(hal.DeviceMemory, 256<<20); return keep(b, err) }},
		{"Alloc host", func() error { b, err := d.Alloc(hal.HostCoherent, 1<<20); return keep(b, err) }},
		{"Alloc host, 64 MiB", func() error { b, err := d.Alloc(hal.HostCoherent, 64<<20); return keep(b, err) }},
		{"Free", func() error {
			var errs []error
			for _, b := range freeing {
				if b != nil {
					errs = append(errs, b.Close())
				}
			}
			return errors.Join(errs...)
		}},
		{"Alloc managed", func() error {
			if !d.Info().Has(hal.Managed) {
				return nil
			}
			b, err := d.Alloc(hal.Managed, 1<<20)
			return keep(b, err)
		}},
		{"NewQueue", func() error { q, err := d.NewQueue(); return keep(q, err) }},
		{"Queue.Close", func() error { return oldQueue.Close() }},
		{"Compile, given up", func() error {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			_, err := d.Compile(ctx, compiled)
			if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "waiter") {
				return fmt.Errorf("%v does not say that it waited for the kernel", err)
			}
			return nil
		}},
		{"Compile of what is wrong", func() error {
			_, err := d.Compile(t.Context(), hal.Source{Name: "wrong", Text: "not C++"})
			var ce *hal.CompileError
			if !errors.As(err, &ce) {
				return err
			}
			return nil
		}},
		{"an unknown kernel", func() error {
			if _, err := m.Kernel("nothing"); !errors.Is(err, hal.ErrInvalid) {
				return err
			}
			return nil
		}},
		{"first launch of a kernel", func() error {
			k, err := made.Kernel("fresh")
			if err != nil {
				return err
			}
			return errors.Join(other.Launch(k, [3]int{}, [3]int{}, hal.Memory(data)), waitFor(other))
		}},
		{"Module.Close", func() error { return oldModule.Close() }},
		{"Devices", func() error { _, err := hal.DevicesOf(t.Context(), gpu.Name); return err }},
		{"Open and Close", func() error {
			second, err := hal.Open(t.Context(), gpu.URI(0))
			if err != nil {
				return err
			}
			return second.Close()
		}},
	} {
		t.Run(op.name, func(t *testing.T) {
			w.Again(t, k, waitLimit)
			start := time.Now()
			err := op.do()
			took := time.Since(start)
			waited := w.End(t)
			t.Logf("took %v", took.Round(time.Microsecond))
			if err != nil {
				t.Error(err)
			}
			if !waited || took > waitLimit/2 {
				t.Errorf("took %v: it waited for the kernel", took)
			}
		})
	}
	for i := len(kept) - 1; i >= 0; i-- {
		Must(t, kept[i].Close())
	}
	if done, err := w.queue.Done(); !done || err != nil {
		t.Errorf("done %v, %v", done, err)
	}
	if _, n := gpu.Left(t); n != 0 {
		t.Errorf("%d releases left though nothing runs", n)
	}
}

// fresh is a source that no cache has.
func fresh() hal.Source {
	return hal.Source{Name: "fresh", Text: AddSource + "// " + time.Now().String() + "\n__device__ int table[1 << 12] = {1};\n" +
		"extern \"C\" __global__ void fresh(int *p) { *p += table[0]; }"}
}

// compileWaits: code is loaded when what runs has ended, and the wait for that holds up nobody.
func (gpu *Backend) compileWaits(t *testing.T) {
	if !gpu.Isolated(t, time.Minute) {
		return
	}
	d := gpu.Open(t)
	m := Compile(t, d, gpu.Kernels)
	other, data, inc := NewQueue(t, d), Alloc(t, d, hal.DeviceMemory, 4096), Get(t, m, "increment")
	Must(t, other.Write(data, 0, make([]byte, 4096)))
	w := StartWaiting(t, d, m)
	w.End(t)
	// round is a launch that is waited for; it gives the longest that one call took.
	round := func() (slowest time.Duration) {
		call := func(f func() error) {
			start := time.Now()
			Must(t, f())
			slowest = max(slowest, time.Since(start))
		}
		call(func() error { return other.Launch(inc, [3]int{}, [3]int{}, hal.Memory(data)) })
		for done := false; !done; {
			call(func() (err error) { done, err = other.Done(); return err })
		}
		return slowest
	}

	w.Again(t, Get(t, m, "waiter"), waitLimit)
	type result struct {
		module *hal.Module
		err    error
	}
	compiled := make(chan result, 1)
	go func() {
		m, err := d.Compile(context.Background(), fresh())
		compiled <- result{m, err}
	}()
	rounds, slowest := 0, time.Duration(0)
	for start := time.Now(); time.Since(start) < time.Second; rounds++ {
		slowest = max(slowest, round())
		if done, err := w.queue.Done(); done || err != nil {
			t.Fatalf("the waiting kernel: done %v, %v", done, err)
		}
	}
	t.Logf("%d launches beside, the slowest call took %v", rounds, slowest)
	if slowest > waitLimit/4 {
		t.Errorf("a call took %v", slowest)
	}
	select {
	case r := <-compiled:
		if r.module != nil {
			_ = r.module.Close()
		}
		t.Errorf("compiled while a kernel runs (%v): no harm, but then nothing need wait", r.err)
		return
	default:
	}
	if !w.End(t) {
		t.Error("the kernel had given up")
	}
	// Launches that follow each other do not keep it waiting.
	start := time.Now()
	var r result
	for loaded := false; !loaded; {
		select {
		case r = <-compiled:
			loaded = true
		default:
			round()
			if time.Since(start) > 10*time.Second {
				t.Fatal("short launches keep code from being loaded")
			}
		}
	}
	t.Logf("compiled %v after the kernel's end", time.Since(start))
	fresh := Closing(t, r.module, r.err)
	Must(t, other.Launch(Get(t, fresh, "fresh"), [3]int{}, [3]int{}, hal.Memory(data)))
	Wait(t, other)

	// A context that has ended before changes nothing.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.Compile(ctx, hal.Source{Name: "test.kernel.c", Text: gpu.Kernels}); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: %v", err)
	}
}

// backlog: more launches behind a waiting kernel than the hardware's queue holds.
func (gpu *Backend) backlog(t *testing.T) {
	if !gpu.Isolated(t, time.Minute) {
		return
	}
	d := gpu.Open(t)
	m := Compile(t, d, gpu.Kernels)
	w := StartWaiting(t, d, m)
	count, inc, q2 := Alloc(t, d, hal.DeviceMemory, 4), Get(t, m, "increment"), NewQueue(t, d)
	Must(t, q2.Write(count, 0, make([]byte, 4)))
	Wait(t, q2)
	const n = 3000
	var launched atomic.Int32
	finished := make(chan error, 1)
	go func() {
		for range n {
			if err := w.queue.Launch(inc, [3]int{}, [3]int{}, hal.Memory(count)); err != nil {
				finished <- err
				return
			}
			launched.Add(1)
		}
		finished <- nil
	}()
	time.Sleep(300 * time.Millisecond)
	if got := launched.Load(); got < 100 || got > stream.BacklogMax {
		t.Errorf("%d launches behind a waiting kernel", got)
	}
	start := time.Now()
	if done, err := w.queue.Done(); done || err != nil {
		t.Errorf("done %v, %v", done, err)
	}
	other := make([]byte, 4)
	Must(t, q2.Read(other, count, 0))
	if took := time.Since(start); took > 500*time.Millisecond {
		t.Errorf("another queue took %v", took)
	}
	if !w.End(t) {
		t.Error("the kernel had given up")
	}
	Must(t, <-finished)
	Must(t, w.queue.Read(other, count, 0))
	if v := binary.LittleEndian.Uint32(other); v != n {
		t.Errorf("%d of %d launches ran", v, n)
	}
}

// endless: Close and the process's end do not wait for a kernel that does not end.
func (gpu *Backend) endless(t *testing.T) {
	if !gpu.Isolated(t, 30*time.Second) {
		return
	}
	d, err := hal.Open(t.Context(), gpu.URI(0))
	Must(t, err)
	m, err := d.Compile(t.Context(), hal.Source{Name: "k", Text: gpu.Kernels})
	Must(t, err)
	q, err := d.NewQueue()
	Must(t, err)
	words, err := d.Alloc(hal.HostCoherent, 4096)
	Must(t, err)
	w := Waiting{q, words}
	w.Again(t, Get(t, m, "waiter"), 5*time.Minute)
	if err := q.Stop(); !errors.Is(err, hal.ErrUnsupported) {
		t.Errorf("stop: %v", err)
	}
	start := time.Now()
	for _, c := range []Closer{q, words, m, d} {
		Must(t, c.Close())
		Must(t, c.Close())
	}
	if took := time.Since(start); took > time.Second {
		t.Errorf("closing took %v", took)
	}
	// The device can be used again.
	again := gpu.Open(t)
	b, q2 := Alloc(t, again, hal.DeviceMemory, 4096), NewQueue(t, again)
	Must(t, q2.Write(b, 0, []byte("12345678")))
	got := make([]byte, 8)
	Must(t, q2.Read(got, b, 0))
	if string(got) != "12345678" {
		t.Errorf("read %q", got)
	}
	if _, err := q.Done(); !errors.Is(err, hal.ErrClosed) {
		t.Errorf("closed queue: %v", err)
	}
}
