package hal

import (
	"context"
	"unsafe"
)

// Backend is one vendor API. Its methods are called only after someone asks for
// devices: registering loads nothing.
type Backend interface {
	// Name is the URI scheme.
	Name() string
	// Devices lists what is there without keeping anything open. A missing driver
	// library is an error that wraps ErrUnavailable and names every file tried.
	Devices(ctx context.Context) ([]Info, error)
	// Open makes the device with that ordinal usable.
	Open(ctx context.Context, ordinal int) (DriverDevice, error)
}

// DriverDevice is an open device of a backend. The portable Device serialises
// nothing: implementations must be safe for concurrent use.
type DriverDevice interface {
	Info() Info
	Alloc(kind MemoryKind, size int) (DriverBuffer, error)
	// Compile returns *CompileError when the source is at fault. It may wait until kernels that run on
	// the device have ended, where the driver can load code only then; it does so without holding up any
	// other operation, and ends with its context, with an error that wraps the context's and says what
	// was waited for.
	Compile(ctx context.Context, src Source) (DriverModule, error)
	NewQueue() (DriverQueue, error)
	Close() error
}

// DriverBuffer is an allocation.
type DriverBuffer interface {
	// Host is where the host sees the memory, nil if it does not.
	Host() unsafe.Pointer
	Free() error
}

// DriverModule is compiled code.
type DriverModule interface {
	// Kernel finds an entry point; ErrInvalid names those that exist if it is not there.
	Kernel(name string) (DriverKernel, error)
	Close() error
}

// DriverKernel is an entry point of a module.
type DriverKernel interface {
	// MaxGroup is the largest group this kernel can be launched with, 0 if only the device's limit applies.
	MaxGroup() int
}

// DriverArg is a kernel argument: a buffer, or the bytes of a value.
type DriverArg struct {
	Buffer DriverBuffer
	Value  []byte
}

// DriverQueue runs operations in order. Launch, Read, Write and Copy only enqueue
// where the driver can; none may wait for a kernel that is running on another queue.
type DriverQueue interface {
	// Launch keeps neither args nor what their values point to: both are used again.
	Launch(k DriverKernel, grid, group [3]int, args []DriverArg) error
	// Read and Write transfer between host bytes and device memory and may wait for
	// earlier operations of this queue, never for another queue.
	Read(dst []byte, src DriverBuffer, offset int) error
	Write(dst DriverBuffer, offset int, src []byte) error
	// Done reports whether everything given to the queue has finished; the error is the first
	// failure since that was last so. A failure is reported until Done gives it together with
	// true; after that the queue is as good as new, unless the device is lost: then every Done gives true
	// and that error. Read and Write give the failure of an earlier operation too, and do not
	// forget it. Done never blocks.
	Done() (bool, error)
	Close() error
}

// Marker is a DriverQueue whose device can tell the host of the end of its work without the driver.
type Marker interface {
	// Mark enqueues a store of v to the 4-byte word at offset of a HostCoherent buffer, visible to the host as soon as all
	// that was enqueued before has finished. After a failure it may never come.
	Mark(b DriverBuffer, offset int, v uint32) error
}

// Stopper is a DriverQueue that can end a running kernel that does not end by itself.
type Stopper interface {
	// Stop ends what runs and discards what waits; Done then reports the end.
	Stop() error
}
