package hip

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
	gpu    *gpu
	kind   hal.MemoryKind
	size   int
	device uintptr // hipDeviceptr_t
	host   uintptr // 0 for device memory
	freed  atomic.Bool
}

// Alloc reserves memory: hipMalloc, hipHostMalloc, "Memory Management"; hipMallocManaged, "Managed Memory".
func (d *device) Alloc(kind hal.MemoryKind, size int) (hal.DriverBuffer, error) {
	g := d.gpu
	if err := d.usable(); err != nil {
		return nil, err
	}
	collect()
	b := &buffer{gpu: g, kind: kind, size: size}
	var op string
	var r result
	switch kind {
	case hal.DeviceMemory:
		op = "hipMalloc"
		r = g.with(func() result { return code(g.api.Malloc.Call(uintptr(unsafe.Pointer(&b.device)), uintptr(size))) })
	case hal.HostCoherent:
		op = "hipHostMalloc"
		r = g.with(func() result {
			b.host, b.device, r = g.api.hostAlloc(size)
			return r
		})
	case hal.Managed:
		op = "hipMallocManaged"
		if g.api.MallocManaged == 0 || g.api.MemGetInfo == 0 {
			return nil, fmt.Errorf("%s: %s memory: %w", g.uri, kind, hal.ErrUnsupported)
		}
		r = g.with(func() result {
			// It may be more than the device's memory, and then goes to and fro: nothing here wants that silently.
			var free, total uintptr
			if r := code(g.api.MemGetInfo.Call(uintptr(unsafe.Pointer(&free)), uintptr(unsafe.Pointer(&total)))); r != success {
				return r
			}
			if uintptr(size) > free {
				return outOfMemory
			}
			r := code(g.api.MallocManaged.Call(uintptr(unsafe.Pointer(&b.device)), uintptr(size), memAttachGlobal))
			b.host = b.device
			return r
		})
	default:
		return nil, fmt.Errorf("%s: %s memory: %w", g.uri, kind, hal.ErrUnsupported)
	}
	if r == outOfMemory {
		e := g.api.failure(op, g.uri, r)
		e.Err = fmt.Errorf("%d bytes of %s memory: %w", size, kind, hal.ErrOutOfMemory)
		if n := g.waiting.Load(); n > 0 {
			e.Err = fmt.Errorf("%w; %d freed objects wait for a running kernel to end", e.Err, n)
		}
		return nil, e
	}
	if r != success {
		return nil, g.fail(op, r, nil)
	}
	if kind == hal.HostCoherent {
		g.mu.Lock()
		g.pinned = append(g.pinned, b)
		g.mu.Unlock()
	}
	return b, nil
}

// hostAlloc makes pinned host memory that every device sees, of the kind whose words a running kernel and the host see each
// other write: fine-grained, which the flag Coherent asks for. Where a driver knows no such flag, what it maps by default has to
// do, and a probe tells whether it does. The device is set.
func (d *driver) hostAlloc(size int) (host, device uintptr, r result) {
	var p [2]uintptr
	for _, flags := range []uintptr{hostMallocPortable | hostMallocMapped | hostMallocCoherent, hostMallocPortable | hostMallocMapped} {
		r = code(d.HostMalloc.Call(uintptr(unsafe.Pointer(&p[0])), uintptr(size), flags))
		if r != notSupported && r != invalidValue {
			break
		}
	}
	if r != success {
		return 0, 0, r
	}
	if r := code(d.HostGetDevicePointer.Call(uintptr(unsafe.Pointer(&p[1])), p[0], 0)); r != success {
		d.HostFree.Call(p[0])
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

// Free gives the memory back as soon as nothing runs: hipFree and hipHostFree
// synchronize. On a lost device the memory goes with the process.
func (b *buffer) Free() error {
	if b.freed.Swap(true) {
		return nil
	}
	g := b.gpu
	r := release{gpu: g, everywhere: b.kind != hal.DeviceMemory}
	switch b.kind {
	case hal.HostCoherent:
		g.mu.Lock()
		g.pinned = slices.DeleteFunc(g.pinned, func(o *buffer) bool { return o == b })
		g.mu.Unlock()
		r.do = func() result { return code(g.api.HostFree.Call(b.host)) }
	default:
		r.do = func() result { return code(g.api.Free.Call(b.device)) }
	}
	r.add()
	collect()
	return nil
}

// isPinned reports whether the bytes lie in pinned memory, which the device can copy
// from and to by itself.
func (g *gpu) isPinned(p []byte) bool {
	at := uintptr(unsafe.Pointer(unsafe.SliceData(p)))
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, b := range g.pinned {
		if at >= b.host && at-b.host <= uintptr(b.size-len(p)) && len(p) <= b.size {
			return true
		}
	}
	return false
}
