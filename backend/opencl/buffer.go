package opencl

import (
	"errors"
	"fmt"
	"math"
	"os"
	"sync/atomic"
	"unsafe"

	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/internal/dl"
	"github.com/dialtone-gpu/dialtone/internal/pages"
)

// buffer is memory in one of three forms: a memory object, a memory object over host
// memory that this backend owns, or shared virtual memory.
type buffer struct {
	device *device
	size   int
	object uintptr        // cl_mem, 0 for shared virtual memory
	host   unsafe.Pointer // nil for device memory
	pages  []byte         // what host is part of, nil if it is not ours to unmap
	copied bool           // the device works on a copy of host: see the package comment
	refs   atomic.Int32   // the owner's and one per command that may still use the memory
	freed  atomic.Bool
}

// Alloc reserves memory. It uses no queue, so it works while kernels hold the device.
func (d *device) Alloc(kind hal.MemoryKind, size int) (hal.DriverBuffer, error) {
	if err := d.usable(); err != nil {
		return nil, err
	}
	if d.limits.maxAlloc != 0 && uint64(size) > d.limits.maxAlloc {
		return nil, &hal.Error{Op: "allocate", Backend: backendName, Device: d.info.URI,
			Err: fmt.Errorf("%w: %d bytes, the device's largest buffer is %d", hal.ErrOutOfMemory, size, d.limits.maxAlloc)}
	}
	b := &buffer{device: d, size: size}
	b.refs.Store(1)
	d.lock(&objects)
	defer d.unlock(&objects)
	switch kind {
	case hal.DeviceMemory:
		var code int32
		b.object = d.CreateBuffer.Call(d.context, memReadWrite, uintptr(size), 0, uintptr(unsafe.Pointer(&code)))
		if code != success || b.object == 0 {
			return nil, d.fail("clCreateBuffer", code)
		}
		return b, nil
	case hal.HostCoherent:
		if d.limits.fineGrained() && b.allocShared() {
			return b, nil
		}
		if err := b.allocHost(); err != nil {
			return nil, err
		}
		return b, nil
	}
	return nil, &hal.Error{Op: "allocate " + kind.String() + " memory", Backend: backendName, Device: d.info.URI, Err: hal.ErrUnsupported}
}

// allocShared tries fine-grained shared virtual memory; some drivers report it and give none.
func (b *buffer) allocShared() bool {
	d := b.device
	flags := uintptr(memReadWrite | memSVMFineGrainBuffer)
	if d.limits.svm&svmAtomics != 0 {
		flags |= memSVMAtomics
	}
	p := d.SVMAlloc.Call(d.context, flags, uintptr(b.size), 0)
	if p == 0 {
		return false
	}
	// Unlike memory objects, this memory does not keep its context.
	d.RetainContext.Int(d.context)
	b.host = dl.Pointer(p)
	return true
}

// allocHost gives the device page-aligned host memory of whole pages: drivers use that
// in place where they can.
func (b *buffer) allocHost() error {
	d := b.device
	page := os.Getpagesize()
	if b.size > math.MaxInt-page {
		return &hal.Error{Op: "allocate host memory", Backend: backendName, Device: d.info.URI, Err: hal.ErrOutOfMemory}
	}
	memory, err := pages.Alloc((b.size + page - 1) / page * page)
	if err != nil {
		return &hal.Error{Op: "allocate host memory", Backend: backendName, Device: d.info.URI,
			Err: fmt.Errorf("%w: %w", hal.ErrOutOfMemory, err)}
	}
	var code int32
	b.object = d.CreateBuffer.Call(d.context, memReadWrite|memUseHostPtr, uintptr(len(memory)), uintptr(unsafe.Pointer(&memory[0])), uintptr(unsafe.Pointer(&code)))
	if code != success || b.object == 0 {
		return errors.Join(d.fail("clCreateBuffer", code), pages.Free(memory))
	}
	b.pages, b.host = memory, unsafe.Pointer(&memory[0])
	b.copied = !d.limits.sharesHost
	return nil
}

// Host is where the host sees the memory.
func (b *buffer) Host() unsafe.Pointer { return b.host }

// retain keeps the memory for a command; false if it is gone.
func (b *buffer) retain() bool {
	for {
		n := b.refs.Load()
		if n == 0 || b.freed.Load() {
			return false
		}
		if b.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// release gives up one reference and reports whether it was the last.
func (b *buffer) release() bool { return b.refs.Add(-1) == 0 }

// Free releases the memory once no command uses it any more.
func (b *buffer) Free() error {
	if b.freed.Swap(true) || !b.release() {
		return nil
	}
	return b.destroy()
}

func (b *buffer) destroy() error {
	d := b.device
	if b.object == 0 { // no simulator has such memory
		d.SVMFree.Call(d.context, uintptr(b.host))
		if code := d.ReleaseContext.Int(d.context); code != success {
			return d.fail("clReleaseContext", code)
		}
		return nil
	}
	return d.release(func() error {
		d.lock(&objects)
		defer d.unlock(&objects)
		if code := d.ReleaseMemObject.Int(b.object); code != success {
			return d.fail("clReleaseMemObject", code)
		}
		if b.pages != nil {
			return pages.Free(b.pages)
		}
		return nil
	})
}
