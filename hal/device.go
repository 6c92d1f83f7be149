package hal

import (
	"context"
	"fmt"
	"sync/atomic"
	"unsafe"
)

// Device is an open device.
type Device struct {
	driver DriverDevice
	info   Info
	closed atomic.Bool
}

// Info gives what the backend declares.
func (d *Device) Info() Info { return d.info }

// Driver gives the backend's own object, for optional interfaces by type assertion.
func (d *Device) Driver() DriverDevice { return d.driver }

// Close releases the device. Buffers, modules and queues must be closed before.
func (d *Device) Close() error {
	if d.closed.Swap(true) {
		return nil
	}
	return d.driver.Close()
}

// Alloc reserves size bytes of memory of that kind; the contents are undefined.
func (d *Device) Alloc(kind MemoryKind, size int) (*Buffer, error) {
	if size <= 0 {
		return nil, fmt.Errorf("%s: allocate %d bytes: %w", d.info.URI, size, ErrInvalid)
	}
	if !d.info.Has(kind) {
		return nil, fmt.Errorf("%s: %s memory: %w", d.info.URI, kind, ErrUnsupported)
	}
	b, err := d.driver.Alloc(kind, size)
	if err != nil {
		return nil, err
	}
	return &Buffer{driver: b, kind: kind, size: size}, nil
}

// Source is kernel text in the device's dialect.
type Source struct {
	Name string // file name, as messages give it
	Text string
	// Stack is how many bytes of stack a work-item may need, where the compiler cannot tell because functions are recursive; 0 if it can. A
	// device that cannot give so much says so (ErrUnsupported) when the source is compiled.
	Stack int
	// Large says that the text has thousands of functions: a compiler that has a choice shall be done soon rather than make the most of each.
	Large bool
}

// Compile turns source into code for this device. The source being at fault gives a *CompileError. On
// some devices it waits until the kernels that run there have ended, so whoever serves a kernel
// compiles beforehand, or with a context that ends.
func (d *Device) Compile(ctx context.Context, src Source) (*Module, error) {
	m, err := d.driver.Compile(ctx, src)
	if err != nil {
		return nil, err
	}
	return &Module{driver: m, device: d}, nil
}

// NewQueue makes an independent queue.
func (d *Device) NewQueue() (*Queue, error) {
	q, err := d.driver.NewQueue()
	if err != nil {
		return nil, err
	}
	return &Queue{driver: q, device: d}, nil
}

// Buffer is memory of a device.
type Buffer struct {
	driver DriverBuffer
	kind   MemoryKind
	size   int
	closed atomic.Bool
}

// Size in bytes.
func (b *Buffer) Size() int { return b.size }

// Kind of memory.
func (b *Buffer) Kind() MemoryKind { return b.kind }

// Bytes is the buffer as the host sees it, nil for DeviceMemory. It is not Go
// memory and is gone after Close.
func (b *Buffer) Bytes() []byte {
	p := b.driver.Host()
	if p == nil {
		return nil
	}
	return unsafe.Slice((*byte)(p), b.size)
}

// Close frees the memory.
func (b *Buffer) Close() error {
	if b.closed.Swap(true) {
		return nil
	}
	return b.driver.Free()
}

// Module is compiled code.
type Module struct {
	driver DriverModule
	device *Device
	closed atomic.Bool
}

// Kernel finds an entry point by name.
func (m *Module) Kernel(name string) (*Kernel, error) {
	if m.closed.Load() {
		return nil, fmt.Errorf("%s: kernel %s: the module: %w", m.device.info.URI, name, ErrClosed)
	}
	k, err := m.driver.Kernel(name)
	if err != nil {
		return nil, err
	}
	return &Kernel{driver: k, name: name, device: m.device}, nil
}

// Close unloads the code.
func (m *Module) Close() error {
	if m.closed.Swap(true) {
		return nil
	}
	return m.driver.Close()
}

// Kernel is an entry point.
type Kernel struct {
	driver DriverKernel
	name   string
	device *Device
}

// Name of the entry point.
func (k *Kernel) Name() string { return k.name }

// MaxGroup is the largest number of work-items per group.
func (k *Kernel) MaxGroup() int {
	if n := k.driver.MaxGroup(); n > 0 {
		return min(n, k.device.info.MaxGroup)
	}
	return k.device.info.MaxGroup
}
