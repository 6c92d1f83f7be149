package opencl

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ebitengine/purego"

	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/internal/dl"
)

// strict is a driver whose kernels run until they are let go, and whose clGetEventInfo waits while another call does that waits for them.
// NVIDIA's is like that.
type strict struct {
	ended   chan struct{} // closed: no kernel runs any more
	waiting atomic.Int32  // calls that wait for kernels
}

// await is what clFinish and blocking transfers do.
func (s *strict) await() uintptr {
	s.waiting.Add(1)
	<-s.ended
	s.waiting.Add(-1)
	return success
}

func (s *strict) library() *library {
	function := func(f any) dl.Func { return dl.Func(purego.NewCallback(f)) }
	succeed := function(func(uintptr) uintptr { return success })
	waits := function(func(uintptr) uintptr {
		<-s.ended
		return success
	})
	transfer := function(func(_, _, blocks, _, _, _, _, _, _ uintptr) uintptr {
		if uint32(blocks) != blocking {
			return success
		}
		return s.await()
	})
	return &library{
		CreateCommandQueue: function(func(_, _, _ uintptr, code *int32) uintptr { *code = success; return 1 }),
		EnqueueNDRangeKernel: function(func(_, _, _, _, _, _, _, _ uintptr, event *uintptr) uintptr {
			*event = 1
			return success
		}),
		EnqueueReadBuffer:  transfer,
		EnqueueWriteBuffer: transfer,
		GetEventInfo: function(func(_, _, _ uintptr, status *int32, _ uintptr) uintptr {
			if s.waiting.Load() > 0 {
				<-s.ended
			}
			select {
			case <-s.ended:
				*status = complete
			default:
				*status = 1 // CL_RUNNING
			}
			return success
		}),
		ReleaseEvent:        succeed,
		Flush:               succeed,
		Finish:              function(func(uintptr) uintptr { return s.await() }),
		ReleaseCommandQueue: succeed,
		ReleaseKernel:       waits,
		ReleaseProgram:      waits,
		ReleaseMemObject:    waits,
		ReleaseContext:      waits,
	}
}

// TestWatchedWhileTheDriverWaits: whoever watches over a kernel is never kept waiting by it, whatever the queue has to do behind it.
func TestWatchedWhileTheDriverWaits(t *testing.T) {
	for _, c := range []struct {
		name   string
		behind func(q *queue, b *buffer) error // waits for the kernel
	}{
		{"read", func(q *queue, b *buffer) error { return q.Read(make([]byte, 4), b, 0) }},
		{"write", func(q *queue, b *buffer) error { return q.Write(b, 0, make([]byte, 4)) }},
		{"close", func(q *queue, _ *buffer) error { return q.Close() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &strict{ended: make(chan struct{})}
			d := &device{library: s.library(), candidate: candidate{limits: limits{itemSizes: [3]uintptr{1, 1, 1}}}}
			k := &kernel{module: &module{device: d}, name: "endless"}
			k.module.kernels = map[string]*kernel{k.name: k}
			k.idle = append(k.idle, &instance{kernel: k, handle: 1})
			b := borrowed(d, nil, 4)
			made, err := d.NewQueue()
			if err != nil {
				t.Fatal(err)
			}
			q := made.(*queue)
			if err := q.Launch(k, [3]int{1, 1, 1}, [3]int{1, 1, 1}, nil); err != nil {
				t.Fatal(err)
			}
			behind := make(chan error, 1)
			go func() { behind <- c.behind(q, b) }()
			within(t, "the driver waits", func() bool { return s.waiting.Load() > 0 })

			watched := make(chan error, 1)
			go func() {
				for range 100 {
					if done, err := q.Done(); done || err != nil {
						watched <- errors.Join(errors.New("done while the kernel runs"), err)
						return
					}
				}
				watched <- errors.Join(q.Close(), k.module.Close(), (&buffer{device: d, object: 1}).destroy(), d.Close())
			}()
			select {
			case err := <-watched:
				if err != nil {
					t.Error(err)
				}
			case <-time.After(5 * time.Second):
				t.Error("Done or Close waits for the kernel")
			}
			close(s.ended)
			if err := <-behind; err != nil {
				t.Error(err)
			}
			within(t, "done after the kernel's end", func() bool {
				done, err := q.Done()
				if err != nil {
					t.Error(err)
				}
				return done
			})
			if err := q.Launch(k, [3]int{1, 1, 1}, [3]int{1, 1, 1}, nil); !errors.Is(err, hal.ErrClosed) {
				t.Errorf("launch after close: %v", err)
			}
		})
	}
}

// within polls a condition.
func within(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for limit := time.Now().Add(5 * time.Second); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("never: %s", what)
		}
	}
}
