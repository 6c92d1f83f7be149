package metal

import (
	"fmt"
	"sync/atomic"
	"unsafe"

	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/internal/dl"
)

// device is a GPU: id<MTLDevice>.
type device struct {
	*library
	handle   id
	info     hal.Info
	limit    mtlSize // threads of a group, per dimension
	maxAlloc uintptr // bytes, 0 if unknown
	closed   atomic.Bool
	lost     atomic.Pointer[hal.Error]
}

// Info gives what was found when the device was opened.
func (d *device) Info() hal.Info { return d.info }

// usable is the error of every operation on a device that is lost or closed.
func (d *device) usable() error {
	if e := d.lost.Load(); e != nil {
		return e
	}
	if d.closed.Load() {
		return fail("use", d.info.URI, hal.ErrClosed)
	}
	return nil
}

// Close gives up the device; objects made from it keep what they need.
func (d *device) Close() error {
	if !d.closed.Swap(true) {
		d.release(d.handle)
	}
	return nil
}

// users counts those who need an object: its owner, and each launch that is under way.
type users struct {
	count  atomic.Int32
	closed atomic.Bool // by the owner
}

// retain adds one; false if the owner is gone.
func (u *users) retain() bool {
	for {
		n := u.count.Load()
		if n == 0 || u.closed.Load() {
			return false
		}
		if u.count.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// drop gives one up and reports whether it was the last.
func (u *users) drop() bool { return u.count.Add(-1) == 0 }

// buffer is memory with shared storage: id<MTLBuffer>.
type buffer struct {
	users
	device *device
	handle id
	host   unsafe.Pointer
	size   int
}

// Alloc reserves memory. newBufferWithLength:options:, with MTLResourceStorageModeShared and the default cache mode, which is 0.
func (d *device) Alloc(kind hal.MemoryKind, size int) (hal.DriverBuffer, error) {
	if err := d.usable(); err != nil {
		return nil, err
	}
	if kind != hal.DeviceMemory && kind != hal.HostCoherent {
		return nil, fail("allocate "+kind.String()+" memory", d.info.URI, hal.ErrUnsupported)
	}
	if d.maxAlloc != 0 && uintptr(size) > d.maxAlloc {
		return nil, fail("allocate", d.info.URI, fmt.Errorf("%w: %d bytes, the device's largest buffer is %d", hal.ErrOutOfMemory, size, d.maxAlloc))
	}
	b := &buffer{device: d, size: size}
	b.count.Store(1)
	d.pooled(func() {
		if b.handle = id(d.send(d.handle, d.sel.NewBuffer, uintptr(size), 0)); b.handle != 0 {
			b.host = dl.Pointer(d.send(b.handle, d.sel.Contents))
		}
	})
	if b.host == nil {
		d.release(b.handle)
		return nil, fail("newBufferWithLength:options:", d.info.URI, fmt.Errorf("%w: %d bytes", hal.ErrOutOfMemory, size))
	}
	return b, nil
}

// Host is where the host sees the memory. Between launches it is the device's too.
func (b *buffer) Host() unsafe.Pointer { return b.host }

// Free releases the memory once no launch uses it any more.
func (b *buffer) Free() error {
	if !b.closed.Swap(true) {
		b.unuse()
	}
	return nil
}

func (b *buffer) unuse() {
	if b.drop() {
		b.device.release(b.handle)
	}
}
