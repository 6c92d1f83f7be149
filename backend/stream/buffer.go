package stream

import (
	"fmt"
	"slices"
	"sync/atomic"
	"unsafe"

	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/internal/dl"
)

// Buffer is an allocation.
type Buffer struct {
	device  *Device
	kind    hal.MemoryKind
	size    int
	address uintptr // CUdeviceptr, hipDeviceptr_t
	host    uintptr // 0 for device memory
	freed   atomic.Bool
}

// Alloc reserves memory: Alloc, AllocHost, AllocManaged.
func (h *Handle) Alloc(kind hal.MemoryKind, size int) (hal.DriverBuffer, error) {
	if err := h.Usable(); err != nil {
		return nil, err
	}
	d, api := h.Device, h.driver
	api.collect()
	b := &Buffer{device: d, kind: kind, size: size}
	var f Function
	var r Result
	switch kind {
	case hal.DeviceMemory:
		f = api.Alloc
		r = d.With(func() Result { return Code(api.Alloc.Call(uintptr(unsafe.Pointer(&b.address)), uintptr(size))) })
	case hal.HostCoherent:
		f = api.AllocHost
		r = d.With(func() Result {
			b.host, b.address, r = api.allocHost(size)
			return r
		})
	case hal.Managed:
		f = api.AllocManaged
		if api.AllocManaged.Func == 0 || api.MemoryInfo.Func == 0 {
			return nil, fmt.Errorf("%s: %s memory: %w", d.uri, kind, hal.ErrUnsupported)
		}
		r = d.With(func() Result {
			// Managed memory may exceed the device's, and is then paged to and fro by
			// the kernel's faults: nothing here wants that silently.
			var free, total uintptr
			if r := Code(api.MemoryInfo.Call(uintptr(unsafe.Pointer(&free)), uintptr(unsafe.Pointer(&total)))); r != Success {
				return r
			}
			if uintptr(size) > free {
				return OutOfMemory
			}
			r := Code(api.AllocManaged.Call(uintptr(unsafe.Pointer(&b.address)), uintptr(size), AttachGlobal))
			b.host = b.address
			return r
		})
	default:
		return nil, fmt.Errorf("%s: %s memory: %w", d.uri, kind, hal.ErrUnsupported)
	}
	if r == OutOfMemory {
		e := api.Failure(f.Name, d.uri, r)
		e.Err = fmt.Errorf("%d bytes of %s memory: %w", size, kind, hal.ErrOutOfMemory)
		if n := d.waiting.Load(); n > 0 {
			e.Err = fmt.Errorf("%w; %d freed objects wait for a running kernel to end", e.Err, n)
		}
		return nil, e
	}
	if r != Success {
		return nil, d.Fail(f.Name, r)
	}
	d.ref()
	if kind == hal.HostCoherent {
		d.mu.Lock()
		d.pinned = append(d.pinned, b)
		d.mu.Unlock()
	}
	return b, nil
}

// allocHost makes pinned host memory that every device sees; the context is current.
func (d *Driver) allocHost(size int) (host, address uintptr, r Result) {
	var p [2]uintptr
	for _, flags := range d.HostFlags {
		r = Code(d.AllocHost.Call(uintptr(unsafe.Pointer(&p[0])), uintptr(size), flags))
		if r != NotSupported && r != InvalidValue {
			break
		}
	}
	if r != Success {
		return 0, 0, r
	}
	if r := Code(d.HostAddress.Call(uintptr(unsafe.Pointer(&p[1])), p[0], 0)); r != Success {
		d.FreeHost.Call(p[0])
		return 0, 0, r
	}
	return p[0], p[1], Success
}

// Address is where the device sees it.
func (b *Buffer) Address() uintptr { return b.address }

// Host is where the host sees it.
func (b *Buffer) Host() unsafe.Pointer {
	if b.host == 0 {
		return nil
	}
	return dl.Pointer(b.host)
}

// Free gives the memory back as soon as nothing runs: both functions for it
// synchronize. On a lost device the memory goes with the context.
func (b *Buffer) Free() error {
	if b.freed.Swap(true) {
		return nil
	}
	d := b.device
	r := release{everywhere: b.kind != hal.DeviceMemory}
	switch b.kind {
	case hal.HostCoherent:
		d.mu.Lock()
		d.pinned = slices.DeleteFunc(d.pinned, func(o *Buffer) bool { return o == b })
		d.mu.Unlock()
		r.do = func() Result { return Code(d.driver.FreeHost.Call(b.host)) }
	default:
		r.do = func() Result { return Code(d.driver.Free.Call(b.address)) }
	}
	d.later(r)
	d.driver.collect()
	return d.unref()
}

// isPinned reports whether the bytes lie in pinned memory, which the device can copy
// from and to by itself.
func (d *Device) isPinned(p []byte) bool {
	at := uintptr(unsafe.Pointer(unsafe.SliceData(p)))
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, b := range d.pinned {
		if at >= b.host && at-b.host <= uintptr(b.size-len(p)) && len(p) <= b.size {
			return true
		}
	}
	return false
}
