package hip

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/dialtone-gpu/dialtone/hal"
)

// gpu is what the process has on one GPU. HIP's current device is a thread's: it is set for each operation, on a thread that is
// locked for just that. No goroutine owns one.
type gpu struct {
	api     *driver
	uri     string
	bind    []uintptr // the ordinal as the arguments of hipSetDevice, made once: a new list for each call is an allocation
	lost    atomic.Pointer[hal.Error]
	mu      sync.Mutex
	queues  []*queue     // including closed ones whose work still runs
	pinned  []*buffer    // HostCoherent ones: transfers from and to them need no bounce buffer
	waiting atomic.Int64 // releases
	loads   atomic.Int64 // modules that wait for an idle device
	// unmarked is set when the driver was found to write no marks.
	unmarked atomic.Bool
}

var gpus = struct {
	sync.Mutex
	known map[int]*gpu // by ordinal
}{known: map[int]*gpu{}}

// gpu finds or makes the one of that ordinal. It stays: a device that was lost is lost to the process.
func (d *driver) gpu(ordinal int, uri string) *gpu {
	gpus.Lock()
	defer gpus.Unlock()
	g := gpus.known[ordinal]
	if g == nil {
		g = &gpu{api: d, uri: uri, bind: []uintptr{uintptr(ordinal)}}
		gpus.known[ordinal] = g
	}
	return g
}

// with runs f on a thread whose device this is. f must not block, yield or use channels: only call the driver.
func (g *gpu) with(f func() result) result {
	runtime.LockOSThread()
	r := code(g.api.SetDevice.Call(g.bind...)) // "Device Management"
	if r == success {
		r = f()
	}
	runtime.UnlockOSThread()
	return r
}

// usable is the fault by which the device was lost, if it was.
func (g *gpu) usable() error {
	if e := g.lost.Load(); e != nil {
		return e
	}
	return nil
}

// fail turns a result into an error. A fault is remembered as the device's end and names the kernels that ran; q is the queue
// concerned, or nil.
func (g *gpu) fail(op string, r result, q *queue) error {
	if e := g.lost.Load(); e != nil {
		return e
	}
	e := g.api.failure(op, g.uri, r)
	if _, ok := faults[r]; !ok {
		return e
	}
	e.Kernel = g.suspects(q)
	if g.lost.CompareAndSwap(nil, e) {
		return e
	}
	return g.lost.Load()
}

// suspects names the kernels that may have faulted: the driver does not say which it was.
func (g *gpu) suspects(q *queue) string {
	g.mu.Lock()
	queues := slices.Clone(g.queues)
	g.mu.Unlock()
	var list []string
	for _, one := range queues {
		if one == q || one.pending() {
			for _, k := range one.inFlight() {
				if !slices.Contains(list, k.name) {
					list = append(list, k.name)
				}
			}
		}
	}
	if len(list) > 1 {
		return "one of " + strings.Join(list, ", ")
	}
	return strings.Join(list, "")
}

// busy reports whether something runs or waits to run. A lost device runs nothing.
func (g *gpu) busy() bool {
	if g.lost.Load() != nil {
		return false
	}
	g.mu.Lock()
	queues := slices.Clone(g.queues)
	g.mu.Unlock()
	for _, q := range queues {
		if !q.idle() && g.lost.Load() == nil {
			return true
		}
	}
	return false
}

// closed is the error of using what was closed.
func (g *gpu) closed(what string) error { return fmt.Errorf("%s: %s: %w", g.uri, what, hal.ErrClosed) }
