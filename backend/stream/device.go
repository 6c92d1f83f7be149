package stream

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/internal/cache"
)

// Context is what operations on a device begin with.
type Context struct {
	Current uintptr // what SetCurrent is given: a CUcontext, or HIP's number of the device
	// Release gives it back, when nothing uses it any more and nothing runs. Nil: it is the process's, and so is a device that was lost.
	Release func() error
}

// Device is what the process has on one GPU. Every object made on it holds one
// reference; its context goes when the last reference does and nothing runs.
type Device struct {
	driver  *Driver
	uri     string
	context Context
	current []uintptr // the arguments of SetCurrent, made once: a new list for each call is an allocation
	refs    int       // guarded by driver.devices
	lost    atomic.Pointer[hal.Error]
	mu      sync.Mutex
	queues  []*Queue     // including closed ones whose work still runs
	pinned  []*Buffer    // HostCoherent ones: transfers from and to them need no bounce buffer
	waiting atomic.Int64 // releases
	loads   atomic.Int64 // modules that wait for an idle device

	unmarked atomic.Bool // the driver was found to write no marks
}

// Limits are those of a launch.
type Limits struct {
	Grid    [3]int // groups
	Group   [3]int // work-items of a group
	Items   int    // work-items of all groups in one dimension; 0 is no limit besides
	NoMarks bool   // the device's streams write no words
}

// Handle is an open device of the hal.
type Handle struct {
	*Device
	info   hal.Info
	limits Limits
	closed atomic.Bool
}

// Open gives a device that info describes; begin makes its context, unless another handle or what was made from one still has it.
func (d *Driver) Open(info hal.Info, limits Limits, begin func() (Context, error)) (*Handle, error) {
	dev, err := d.retain(info, begin)
	if err != nil {
		return nil, err
	}
	return &Handle{Device: dev, info: info, limits: limits}, nil
}

// retain gives the device one more reference, making it if necessary.
func (d *Driver) retain(info hal.Info, begin func() (Context, error)) (*Device, error) {
	d.devices.Lock()
	defer d.devices.Unlock()
	if have := d.devices.open[info.Ordinal]; have != nil && have.refs == 0 {
		d.devices.Unlock()
		_ = have.close() // it was left open because something ran: perhaps no more
		d.devices.Lock()
	}
	if have := d.devices.open[info.Ordinal]; have != nil {
		have.refs++
		return have, nil
	}
	c, err := begin()
	if err != nil {
		return nil, err
	}
	made := &Device{driver: d, uri: info.URI, context: c, current: []uintptr{c.Current}, refs: 1}
	if d.devices.open == nil {
		d.devices.open = map[int]*Device{}
	}
	d.devices.open[info.Ordinal] = made
	return made, nil
}

// ref adds a reference for an object made on the device.
func (d *Device) ref() {
	d.driver.devices.Lock()
	d.refs++
	d.driver.devices.Unlock()
}

// unref drops one. The last one releases the context unless a kernel still runs.
func (d *Device) unref() error {
	d.driver.devices.Lock()
	d.refs--
	last := d.refs == 0
	d.driver.devices.Unlock()
	if !last {
		return nil
	}
	return d.close()
}

// close gives the context back if it is unused and idle. The exclusive gate is only tried
// for: some other goroutine may sit in a driver call for longer than anyone wants to wait.
func (d *Device) close() error {
	if d.context.Release == nil {
		return nil
	}
	all := d.driver
	for deadline := time.Now().Add(time.Second); !all.gate.TryLock(); time.Sleep(50 * time.Microsecond) {
		if time.Now().After(deadline) {
			return nil // left open, like one that is busy
		}
	}
	defer all.gate.Unlock()
	busy := all.carryOut()
	if busy[d] || d.waiting.Load() > 0 && d.lost.Load() == nil || d.lost.Load() != nil && len(busy) > 0 {
		// Deliberately left open: see the package comment. A lost context still has its host
		// memory, which other devices see too: they all have to be idle.
		return nil
	}
	all.devices.Lock()
	defer all.devices.Unlock()
	if d.refs > 0 {
		return nil // opened again meanwhile
	}
	for ordinal, have := range all.devices.open {
		if have == d {
			delete(all.devices.open, ordinal)
		}
	}
	if err := d.context.Release(); err != nil && d.lost.Load() == nil { // what a lost one answers is the old fault again
		return err
	}
	return nil
}

// URI is that of the device.
func (d *Device) URI() string { return d.uri }

// SetCurrent makes the context that of this thread, which is locked.
func (d *Device) SetCurrent() Result { return Code(d.driver.SetCurrent.Call(d.current...)) }

// With runs f on a thread that has the device's context. f must not block, yield or use
// channels: only call the driver.
func (d *Device) With(f func() Result) Result {
	runtime.LockOSThread()
	r := d.SetCurrent()
	if r == Success {
		r = f()
	}
	runtime.UnlockOSThread()
	return r
}

// Usable is the fault by which the device was lost, if it was.
func (d *Device) Usable() error {
	if e := d.lost.Load(); e != nil {
		return e
	}
	return nil
}

// Fail turns a result into an error. A fault is remembered as the device's end and names the kernels that ran.
func (d *Device) Fail(op string, r Result) error { return d.fail(op, r, nil) }

// fail is Fail for an operation of the queue, or of none.
func (d *Device) fail(op string, r Result, q *Queue) error {
	if e := d.lost.Load(); e != nil {
		return e
	}
	e := d.driver.Failure(op, d.uri, r)
	if !d.driver.Fault(r) {
		return e
	}
	e.Kernel = d.suspects(q)
	if d.lost.CompareAndSwap(nil, e) {
		return e
	}
	return d.lost.Load()
}

// suspects names the kernels that may have faulted: the driver does not say which it was.
func (d *Device) suspects(q *Queue) string {
	d.mu.Lock()
	queues := slices.Clone(d.queues)
	d.mu.Unlock()
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
func (d *Device) busy() bool {
	if d.lost.Load() != nil {
		return false
	}
	d.mu.Lock()
	queues := slices.Clone(d.queues)
	d.mu.Unlock()
	for _, q := range queues {
		if !q.idle() && d.lost.Load() == nil {
			return true
		}
	}
	return false
}

// closed is the error of using what was closed.
func (d *Device) closed(what string) error {
	return fmt.Errorf("%s: %s: %w", d.uri, what, hal.ErrClosed)
}

// foreign is the error of using what belongs to another device.
func (d *Device) foreign(what string) error {
	return fmt.Errorf("%s: %s of another device: %w", d.uri, what, hal.ErrInvalid)
}

// Info gives what the driver declares.
func (h *Handle) Info() hal.Info { return h.info }

// Usable is why the device is not, or nil.
func (h *Handle) Usable() error {
	if h.closed.Load() {
		return fmt.Errorf("%s: %w", h.uri, hal.ErrClosed)
	}
	return h.Device.Usable()
}

// Close releases the context when nothing else holds it and nothing runs; it waits for nothing.
func (h *Handle) Close() error {
	if h.closed.Swap(true) {
		return nil
	}
	h.driver.collect()
	return h.unref()
}

// Fetch compiles, or takes what is in the cache unless fresh is set. key is the entry's name then.
type Fetch func(ctx context.Context, src hal.Source, fresh bool) (image []byte, key string, err error)

// Compile makes code of a source at once and loads all of it when nothing runs on the device.
func (h *Handle) Compile(ctx context.Context, src hal.Source, fetch Fetch) (made hal.DriverModule, err error) {
	if err := h.Usable(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	h.ref() // the wait for the device may be long
	defer func() { err = errors.Join(err, h.unref()) }()
	image, key, err := fetch(ctx, src, false)
	if err != nil {
		return nil, err
	}
	m, err := h.load(ctx, src, image)
	if key != "" && h.driver.Refused(err) { // made by another compiler, perhaps, or for another driver
		cache.Remove(key)
		if image, _, err = fetch(ctx, src, true); err != nil {
			return nil, err
		}
		m, err = h.load(ctx, src, image)
	}
	if err != nil {
		return nil, err
	}
	return m, nil
}
