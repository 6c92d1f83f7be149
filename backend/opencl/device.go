package opencl

import (
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/dialtone-gpu/dialtone/hal"
)

// device is an open device: a context of its own. OpenCL counts references, so closing
// while something made from it is still there only defers the end.
type device struct {
	*library
	candidate
	context uintptr // cl_context
	closed  atomic.Bool
	lost    atomic.Pointer[hal.Error] // the first abnormal end of a kernel
	running atomic.Int64              // kernels that the driver has, and that have not been seen to end
}

func newDevice(l *library, c candidate) (*device, error) {
	d := &device{library: l, candidate: c}
	var code int32
	// "Contexts": clCreateContext(properties, devices, callback). Without properties the
	// platform is the device's.
	d.context = l.CreateContext.Call(0, 1, uintptr(unsafe.Pointer(&c.handle)), 0, 0, uintptr(unsafe.Pointer(&code)))
	if code != success || d.context == 0 {
		return nil, d.fail("clCreateContext", code)
	}
	return d, nil
}

// Info gives what was found when the device was opened.
func (d *device) Info() hal.Info { return d.info }

func (d *device) fail(op string, code int32) error { return fail(op, d.info.URI, "", code) }

// usable is the error of every operation on a device that is lost or closed.
func (d *device) usable() error {
	if e := d.lost.Load(); e != nil {
		return e
	}
	if d.closed.Load() {
		return &hal.Error{Op: "use", Backend: backendName, Device: d.info.URI, Err: hal.ErrClosed}
	}
	return nil
}

// Oclgrind (21.10) keeps the commands of all queues, and the buffers of a context, in lists that nothing guards (src/core/Queue.cpp,
// Memory.cpp), and counts references without atomics. Two goroutines there at once end the process, or have one's memory given to the
// other, so what a simulator does is done in turns, whatever device it is for. A kernel looks its buffers up, too; what it does is not
// kept from those who allocate, since it may wait for one of them.
var (
	queues  sync.Mutex // held while a queue does anything, kernels included
	objects sync.Mutex // held while something is made or released; nothing waits in there
)

// lock takes one of these if the device is a simulator's.
func (d *device) lock(m *sync.Mutex) {
	if d.info.Sim {
		m.Lock()
	}
}

func (d *device) unlock(m *sync.Mutex) {
	if d.info.Sim {
		m.Unlock()
	}
}

// Close releases the context.
func (d *device) Close() error {
	if d.closed.Swap(true) {
		return nil
	}
	return d.release(func() error {
		d.lock(&objects)
		defer d.unlock(&objects)
		if code := d.ReleaseContext.Int(d.context); code != success {
			return d.fail("clReleaseContext", code)
		}
		return nil
	})
}

// release gives something back to the driver. NVIDIA's waits there until nothing runs any more, whoever needs it, so that is left to a
// goroutine as long as a kernel may run.
func (d *device) release(do func() error) error {
	if d.running.Load() > 0 {
		go do()
		return nil
	}
	return do()
}
