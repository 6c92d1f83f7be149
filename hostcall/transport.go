package hostcall

import (
	"context"
	"time"

	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/internal/nap"
)

// transport carries the calls of one run to the handlers of its table, and the answers back.
type transport interface {
	// serve launches the kernel and carries its calls until it has ended. running says that it could not be ended.
	serve(ctx context.Context, kernel *hal.Kernel) (running bool, err error)
	// abort ends the run: what has been posted by now is still taken on, handlers see their context end, and the kernel is
	// told as soon as it can be. A handler may call it.
	abort()
	// finish waits for the handlers. It reports whether they have returned within grace.
	finish(grace time.Duration) bool
	// calls is how many were served.
	calls() uint64
	// free gives the memory back; a run that ended well leaves it to the next one.
	free(ended bool) error
	// leave gives back what a call's function that has not returned cannot use any more.
	leave() error
}

// watched is a launch whose end is awaited.
type watched struct {
	queue   *hal.Queue
	marked  <-chan struct{} // closed at the kernel's end, if somebody sees it; else nil
	abort   func()          // the run is over
	abandon func()          // it has been for some time
}

// await waits for the kernel. With marks, a poller sees its end, and the driver is only asked now and then whether it failed: every wakening
// costs, and there should be few while a kernel is silent. When the run is over before it, it tells the kernel, and stops it if it does
// not listen. running says that it could not.
func (r *run) await(ctx context.Context, w watched) (running bool, err error) {
	q, marked, marks := w.queue, w.marked, w.marked != nil
	start := time.Now()
	var over time.Time
	abandoned, stopped := false, false
	for {
		done, failed := q.Done()
		if err == nil {
			err = failed
		}
		if done {
			return false, err
		}
		if failed != nil {
			r.end.put(failed)
		}
		switch {
		case over.IsZero():
			if ended := ctx.Err(); ended != nil {
				r.end.put(ended)
			}
			if r.end.set.Load() {
				over = time.Now()
				w.abort()
			}
		case !abandoned && time.Since(over) > r.stopAfter()/2:
			abandoned = true
			w.abandon()
		case stopped && time.Since(over) > 2*r.grace():
			return true, err
		case !stopped && time.Since(over) > r.stopAfter():
			if q.Stop() != nil && time.Since(over) > r.grace() {
				return true, err
			}
			stopped = time.Since(over) > r.grace()
		}
		pause := min(time.Since(start)/50, 50*time.Millisecond)
		if marks {
			pause = max(time.Millisecond, min(time.Since(start)/10, 200*time.Millisecond))
		}
		switch {
		case !over.IsZero():
			nap.For(min(time.Since(over)/10, 2*time.Millisecond))
		case pause < time.Millisecond:
			nap.For(pause)
		default:
			select {
			case <-ctx.Done():
			case <-r.end.signal:
			case <-marked:
				marks, marked = false, nil // the driver agrees at once, or soon
				start = time.Now()
			case <-time.After(pause):
			}
		}
	}
}
