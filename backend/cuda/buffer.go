package cuda

import (
	"fmt"
	"slices"
	"sync/atomic"
	"unsafe"

	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/internal/dl"
)

// buffer is an allocation.
type buffer struct {
	context *primary
	kind    hal.MemoryKind
	size    int
	device  uintptr // CUdeviceptr
	host    uintptr // 0 for device memory
	freed   atomic.Bool
}

// Alloc reserves memory. Page "Memory Management": cuMemAlloc, cuMemHostAlloc, cuMemAllocManaged.
func (d *device) Alloc(kind hal.MemoryKind, size int) (hal.DriverBuffer, error) {
	c := d.context
	if err := d.usable(); err != nil {
		return nil, err
	}
	collect()
	b := &buffer{context: c, kind: kind, size: size}
	var op string
	var r result
	switch kind {
	case hal.DeviceMemory:
		op = "cuMemAlloc"
		r = c.with(func() result { return code(c.api.MemAlloc.Call(uintptr(unsafe.Pointer(&b.device)), uintptr(size))) })
	case hal.HostCoherent:
		op = "cuMemHostAlloc"
		r = c.with(func() result {
			b.host, b.device, r = c.api.hostAlloc(size)
			return r
		})
	case hal.Managed:
		op = "cuMemAllocManaged"
		r = c.with(func() result {
			// Managed memory may exceed the device's, and is then paged to and fro by
			// the kernel's faults: nothing here wants that silently.
			var free, total uintptr
			if r := code(c.api.MemGetInfo.Call(uintptr(unsafe.Pointer(&free)), uintptr(unsafe.Pointer(&total)))); r != success {
				return r
			}
			if uintptr(size) > free {
				return outOfMemory
			}
			r := code(c.api.MemAllocManaged.Call(uintptr(unsafe.Pointer(&b.device)), uintptr(size), attachGlobal))
			b.host = b.device
			return r
		})
	default:
		return nil, fmt.Errorf("%s: %s memory: %w", c.uri, kind, hal.ErrUnsupported)
	}
	if r == outOfMemory {
		e := c.api.failure(op, c.uri, r)
		e.Err = fmt.Errorf("%d bytes of %s memory: %w", size, kind, hal.ErrOutOfMemory)
		if n := c.waiting.Load(); n > 0 {
			e.Err = fmt.Errorf("%w; %d freed objects wait for a running kernel to end", e.Err, n)
		}
		return nil, e
	}
	if r != success {
		return nil, c.fail(op, r, nil)
	}
	c.ref()
	if kind == hal.HostCoherent {
		c.mu.Lock()
		c.pinned = append(c.pinned, b)
		c.mu.Unlock()
	}
	return b, nil
}

// hostAlloc makes pinned host memory that every device sees; the context is bound.
func (d *driver) hostAlloc(size int) (host, device uintptr, r result) {
	var p [2]uintptr
	if r := code(d.MemHostAlloc.Call(uintptr(unsafe.Pointer(&p[0])), uintptr(size), hostAllocPortable|hostAllocDeviceMap)); r != success {
		return 0, 0, r
	}
	if r := code(d.MemHostGetDevicePointer.Call(uintptr(unsafe.Pointer(&p[1])), p[0], 0)); r != success {
		d.MemFreeHost.Call(p[0])
		return 0, 0, r
	}
	return p[0], p[1], success
}

// Host is where the host sees it.
func (b *buffer) Host() unsafe.Pointer {
	if b.host == 0 {
		return nil
	}
	return dl.Pointer(b.host)
}

// Free gives the memory back as soon as nothing runs: cuMemFree and cuMemFreeHost
// synchronize. On a lost device the memory goes with the context.
func (b *buffer) Free() error {
	if b.freed.Swap(true) {
		return nil
	}
	c := b.context
	r := release{context: c, everywhere: b.kind != hal.DeviceMemory}
	switch b.kind {
	case hal.HostCoherent:
		c.mu.Lock()
		c.pinned = slices.DeleteFunc(c.pinned, func(o *buffer) bool { return o == b })
		c.mu.Unlock()
		r.do = func() result { return code(c.api.MemFreeHost.Call(b.host)) }
	default:
		r.do = func() result { return code(c.api.MemFree.Call(b.device)) }
	}
	r.add()
	collect()
	return c.unref()
}

// isPinned reports whether the bytes lie in pinned memory, which the device can copy
// from and to by itself.
func (c *primary) isPinned(p []byte) bool {
	at := uintptr(unsafe.Pointer(unsafe.SliceData(p)))
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, b := range c.pinned {
		if at >= b.host && at-b.host <= uintptr(b.size-len(p)) && len(p) <= b.size {
			return true
		}
	}
	return false
}
