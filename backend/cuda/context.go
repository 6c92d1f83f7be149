package cuda

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/dialtone-gpu/dialtone/hal"
)

// primary is the primary context of one GPU. Every object made on that GPU holds one
// reference; the context goes when the last reference does and nothing runs.
type primary struct {
	api     *driver
	uri     string
	device  uintptr   // CUdevice
	handle  uintptr   // CUcontext
	bind    []uintptr // the handle as the arguments of cuCtxSetCurrent, made once: a new list for each call is an allocation
	refs    int       // guarded by contexts
	lost    atomic.Pointer[hal.Error]
	mu      sync.Mutex
	queues  []*queue     // including closed ones whose work still runs
	pinned  []*buffer    // HostCoherent ones: transfers from and to them need no bounce buffer
	waiting atomic.Int64 // releases
	loads   atomic.Int64 // modules that wait for an idle device

	unmarked atomic.Bool // the driver was found not to write marks
}

var contexts = struct {
	sync.Mutex
	open map[int]*primary // by ordinal
}{open: map[int]*primary{}}

// retain gives the context of that GPU one more reference, making it if necessary:
// cuDevicePrimaryCtxRetain, page "Primary Context Management".
func retain(api *driver, ordinal int) (*primary, error) {
	contexts.Lock()
	defer contexts.Unlock()
	if c := contexts.open[ordinal]; c != nil && c.refs == 0 {
		contexts.Unlock()
		_ = c.close() // it was left open because something ran: perhaps no more
		contexts.Lock()
	}
	if c := contexts.open[ordinal]; c != nil {
		c.refs++
		return c, nil
	}
	uri := fmt.Sprintf("%s:%d", name, ordinal)
	var device int32
	if r := code(api.DeviceGet.Call(uintptr(unsafe.Pointer(&device)), uintptr(ordinal))); r != success {
		return nil, api.failure("cuDeviceGet", uri, r)
	}
	c := &primary{api: api, uri: uri, device: uintptr(device), refs: 1}
	if r := code(api.PrimaryCtxRetain.Call(uintptr(unsafe.Pointer(&c.handle)), c.device)); r != success {
		return nil, api.failure("cuDevicePrimaryCtxRetain", uri, r)
	}
	c.bind = []uintptr{c.handle}
	contexts.open[ordinal] = c
	return c, nil
}

// ref adds a reference for an object made on the device.
func (c *primary) ref() {
	contexts.Lock()
	c.refs++
	contexts.Unlock()
}

// unref drops one. The last one releases the context unless a kernel still runs.
func (c *primary) unref() error {
	contexts.Lock()
	c.refs--
	last := c.refs == 0
	contexts.Unlock()
	if !last {
		return nil
	}
	return c.close()
}

// close gives the context back if it is unused and idle. The exclusive gate is only tried
// for: some other goroutine may sit in a driver call for longer than anyone wants to wait.
func (c *primary) close() error {
	for deadline := time.Now().Add(time.Second); !gate.TryLock(); time.Sleep(50 * time.Microsecond) {
		if time.Now().After(deadline) {
			return nil // left open, like one that is busy
		}
	}
	defer gate.Unlock()
	busy := carryOut()
	if busy[c] || c.waiting.Load() > 0 && c.lost.Load() == nil || c.lost.Load() != nil && len(busy) > 0 {
		// Deliberately left open: see the package comment. A lost context still has its host
		// memory, which other devices see too: they all have to be idle.
		return nil
	}
	contexts.Lock()
	defer contexts.Unlock()
	if c.refs > 0 {
		return nil // opened again meanwhile
	}
	for ordinal, have := range contexts.open {
		if have == c {
			delete(contexts.open, ordinal)
		}
	}
	// Page "Primary Context Management". What a lost context answers is the old fault again.
	if r := code(c.api.PrimaryCtxRelease.Call(c.device)); r != success && c.lost.Load() == nil {
		return c.api.failure("cuDevicePrimaryCtxRelease", c.uri, r)
	}
	return nil
}

// with runs f on a thread to which the context is bound. f must not block, yield or use
// channels: only call the driver.
func (c *primary) with(f func() result) result {
	runtime.LockOSThread()
	r := code(c.api.CtxSetCurrent.Call(c.bind...)) // page "Context Management"
	if r == success {
		r = f()
	}
	runtime.UnlockOSThread()
	return r
}

// usable is the fault that ended the context, if one did.
func (c *primary) usable() error {
	if e := c.lost.Load(); e != nil {
		return e
	}
	return nil
}

// fail turns a result into an error. A fault is remembered as the context's end and
// names the kernels that ran; q is the queue concerned, or nil.
func (c *primary) fail(op string, r result, q *queue) error {
	if e := c.lost.Load(); e != nil {
		return e
	}
	e := c.api.failure(op, c.uri, r)
	if _, ok := faults[r]; !ok {
		return e
	}
	e.Kernel = c.suspects(q)
	if c.lost.CompareAndSwap(nil, e) {
		return e
	}
	return c.lost.Load()
}

// suspects names the kernels that may have faulted: the driver does not say which it was.
func (c *primary) suspects(q *queue) string {
	c.mu.Lock()
	queues := slices.Clone(c.queues)
	c.mu.Unlock()
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

// busy reports whether something runs or waits to run. A lost context runs nothing.
func (c *primary) busy() bool {
	if c.lost.Load() != nil {
		return false
	}
	c.mu.Lock()
	queues := slices.Clone(c.queues)
	c.mu.Unlock()
	for _, q := range queues {
		if !q.idle() && c.lost.Load() == nil {
			return true
		}
	}
	return false
}
