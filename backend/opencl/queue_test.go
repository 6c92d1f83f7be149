package opencl_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/dialtone-gpu/dialtone/hal"
)

// TestLaunchReturns launches while the device is busy and asks often whether it is done.
// The basic device of PoCL runs the kernel inside the enqueueing call.
func TestLaunchReturns(t *testing.T) {
	for _, c := range []struct{ name, setting string }{{"default", "DIALTONE_NOTHING=1"}, {"basic", "POCL_DEVICES=basic"}} {
		t.Run(c.name, func(t *testing.T) {
			if !inChild(t, c.setting) {
				return
			}
			d := open(t, usual)
			if c.name == "basic" {
				onlyPoCL(t, d)
			}
			k := compile(t, d, addSource, "add")
			a := alloc(t, d, hal.DeviceMemory, 64)
			q := queue(t, d)
			running, release := hold(t, d, q)
			eventually(t, "the kernel runs", running)
			// None of this may wait for the kernel: only release, below, ends it in time.
			for range 100 {
				must(t, q.Launch(k, [3]int{8}, [3]int{}, hal.Memory(a), hal.Memory(a), hal.Memory(a)))
			}
			for range 1000 {
				if done, err := q.Done(); done || err != nil {
					t.Fatalf("done while the kernel runs: %t, %v", done, err)
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer cancel()
			if err := q.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("wait with a deadline: %v", err)
			}
			second := queue(t, d)
			if done, err := second.Done(); !done || err != nil {
				t.Errorf("an idle queue beside it: %t, %v", done, err)
			}
			alloc(t, d, hal.DeviceMemory, 4096)
			alloc(t, d, hal.HostCoherent, 4096)
			release()
			wait(t, q)
		})
	}
}

// TestOrder checks that a queue keeps the order of what it is given.
func TestOrder(t *testing.T) {
	d := open(t, usual)
	k, q := compile(t, d, "__kernel void next(__global uint *p, uint i) { if (p[0] == i) p[0] = i + 1; }", "next"), queue(t, d)
	b := alloc(t, d, hal.DeviceMemory, 4)
	must(t, q.Write(b, 0, words(0)))
	const n = 500
	for i := range int32(n) {
		must(t, q.Launch(k, [3]int{}, [3]int{}, hal.Memory(b), hal.Int32(i)))
	}
	got := make([]byte, 4)
	must(t, q.Read(got, b, 0))
	if w := word(got, 0); w != n {
		t.Errorf("%d steps in order, want %d", w, n)
	}
	if done, err := q.Done(); !done || err != nil {
		t.Errorf("after a read that waited for everything: %t, %v", done, err)
	}
}

// TestHammer uses one kernel from several queues and goroutines at once.
func TestHammer(t *testing.T) {
	d := open(t, usual)
	k := compile(t, d, "__kernel void put(__global uint *p, uint v) { p[get_global_id(0)] = v + get_global_id(0); }", "put")
	const queues, perQueue, rounds, items = 3, 2, 60, 256
	// A simulator's kernels may not run while something is allocated: its list of buffers moves. There all memory is made before.
	early := map[hal.MemoryKind]chan *hal.Buffer{}
	memory := func(kind hal.MemoryKind) (*hal.Buffer, error) {
		if d.Info().Sim {
			return <-early[kind], nil
		}
		return d.Alloc(kind, 4*items)
	}
	for _, kind := range []hal.MemoryKind{hal.DeviceMemory, hal.HostCoherent} {
		early[kind] = make(chan *hal.Buffer, queues*perQueue*rounds)
		for d.Info().Sim && len(early[kind]) < cap(early[kind]) {
			early[kind] <- alloc(t, d, kind, 4*items)
		}
	}
	var group sync.WaitGroup
	for range queues {
		q := queue(t, d)
		for g := range perQueue {
			group.Go(func() {
				got := make([]byte, 4*items)
				for r := range rounds {
					kind := hal.DeviceMemory
					if r%2 == 1 {
						kind = hal.HostCoherent
					}
					b, err := memory(kind)
					if err != nil {
						t.Error(err)
						return
					}
					v := uint32(g*100000 + r*1000)
					if err := q.Launch(k, [3]int{items / 32}, [3]int{32}, hal.Memory(b), hal.Value(words(v))); err != nil {
						t.Error(err)
					}
					if err := q.Read(got, b, 0); err != nil {
						t.Error(err)
					}
					for i := range items {
						if w := word(got, i); w != v+uint32(i) {
							t.Errorf("round %d: word %d is %d, want %d", r, i, w, v+uint32(i))
							break
						}
					}
					if _, err := q.Done(); err != nil {
						t.Error(err)
					}
					if d.Info().Sim {
						continue
					}
					if err := b.Close(); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	finished := make(chan struct{})
	go func() { group.Wait(); close(finished) }()
	select {
	case <-finished:
	case <-time.After(30 * time.Second):
		t.Fatal("stuck")
	}
}

// TestCloseWhileRunning closes everything under a kernel that runs.
func TestCloseWhileRunning(t *testing.T) {
	d := open(t, usual)
	before := runtime.NumGoroutine()
	for range 10 {
		d, err := hal.Open(t.Context(), d.Info().URI)
		must(t, err)
		m, err := d.Compile(t.Context(), hal.Source{Name: "user.kernel.c", Text: addSource})
		must(t, err)
		k, err := m.Kernel("add")
		must(t, err)
		q, err := d.NewQueue()
		must(t, err)
		b, err := d.Alloc(hal.HostCoherent, 1<<20)
		must(t, err)
		for range 5 {
			must(t, q.Launch(k, [3]int{1 << 8}, [3]int{64}, hal.Memory(b), hal.Memory(b), hal.Memory(b)))
		}
		must(t, q.Close())
		must(t, b.Close())
		must(t, m.Close())
		must(t, d.Close())
	}
	eventually(t, "the queues' goroutines end", func() bool { return runtime.NumGoroutine() <= before })
}

// TestFailedLaunch reports what goes wrong after Launch has returned.
func TestFailedLaunch(t *testing.T) {
	d := open(t, usual)
	k, err := compileAttributed(t, d)
	must(t, err)
	q := queue(t, d)
	b := alloc(t, d, hal.DeviceMemory, 64)
	err = q.Launch(k, [3]int{1}, [3]int{4}, hal.Memory(b))
	if err == nil {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		err = q.Wait(ctx)
	}
	var e *hal.Error
	if !errors.As(err, &e) || !errors.Is(err, hal.ErrInvalid) || e.Kernel != "eight" || e.Code == 0 || e.Name == "" {
		t.Fatalf("a launch with the wrong group: %v", err)
	}
	t.Log(err)
	// It is reported once; the queue and the device go on.
	wait(t, q)
	must(t, q.Launch(k, [3]int{1}, [3]int{8}, hal.Memory(b)))
	wait(t, q)

	// A read after a failed launch must not give the old contents as if nothing had happened.
	must(t, q.Launch(k, [3]int{1}, [3]int{4}, hal.Memory(b)))
	if err := q.Read(make([]byte, 4), b, 0); !errors.Is(err, hal.ErrInvalid) {
		t.Errorf("read after a failed launch: %v", err)
	}
	if done, err := q.Done(); !done || !errors.Is(err, hal.ErrInvalid) {
		t.Errorf("done after a failed launch: %t, %v", done, err)
	}
	wait(t, q)
}

// compileAttributed gives a kernel that insists on groups of eight.
func compileAttributed(t *testing.T, d *hal.Device) (*hal.Kernel, error) {
	t.Helper()
	m, err := d.Compile(t.Context(), hal.Source{Name: "user.kernel.c",
		Text: "__kernel __attribute__((reqd_work_group_size(8, 1, 1))) void eight(__global int *p) { p[get_global_id(0)] = 8; }"})
	if err != nil {
		return nil, fmt.Errorf("reqd_work_group_size: %w", err)
	}
	t.Cleanup(func() { must(t, m.Close()) })
	return m.Kernel("eight")
}

func TestAllocations(t *testing.T) {
	d := open(t, usual)
	k, q := compile(t, d, addSource, "add"), queue(t, d)
	b := alloc(t, d, hal.DeviceMemory, 128)
	args := []hal.Arg{hal.Memory(b), hal.Memory(b), hal.Memory(b)}
	idle := testing.AllocsPerRun(100, func() { q.Done() })
	launch := testing.AllocsPerRun(100, func() {
		if err := q.Launch(k, [3]int{4}, [3]int{4}, args...); err != nil {
			t.Error(err)
		}
		for done := false; !done; done, _ = q.Done() {
			runtime.Gosched()
		}
	})
	if raceEnabled {
		launch = 0 // the race detector makes sync.Pool, in the foreign calls, forget at random
	}
	if idle != 0 || launch != 0 {
		t.Errorf("%v allocations per Done, %v per launch and wait", idle, launch)
	}
	_, release := hold(t, d, q)
	if busy := testing.AllocsPerRun(100, func() { q.Done() }); busy != 0 {
		t.Errorf("%v allocations per Done while a kernel runs", busy)
	}
	release()
}

func BenchmarkDone(b *testing.B) {
	d := open(b, usual)
	b.Run("idle", func(b *testing.B) {
		q := queue(b, d)
		b.ReportAllocs()
		for b.Loop() {
			q.Done()
		}
	})
	b.Run("running", func(b *testing.B) {
		q := queue(b, d)
		running, release := hold(b, d, q)
		eventually(b, "the kernel runs", running)
		b.ReportAllocs()
		for b.Loop() {
			q.Done()
		}
		release()
	})
}

func BenchmarkLaunch(b *testing.B) {
	d := open(b, usual)
	k, q := compile(b, d, addSource, "add"), queue(b, d)
	m := alloc(b, d, hal.DeviceMemory, 64)
	args := []hal.Arg{hal.Memory(m), hal.Memory(m), hal.Memory(m)}
	wait := func() {
		for done := false; !done; done, _ = q.Done() {
			runtime.Gosched()
		}
	}
	b.Run("call", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			must(b, q.Launch(k, [3]int{1}, [3]int{}, args...))
			if i%64 == 63 {
				b.StopTimer()
				wait()
				b.StartTimer()
			}
		}
		wait()
	})
	b.Run("round", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			must(b, q.Launch(k, [3]int{1}, [3]int{}, args...))
			wait()
		}
	})
}
