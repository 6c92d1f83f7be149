package stream

import (
	"sync"
	"sync/atomic"

	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/internal/dl"
)

// Result is a CUresult or a hipError_t. Both are C ints: the upper half of the register that carries them is undefined.
type Result uint32

// Code takes the result of a driver's function.
func Code(r uintptr) Result { return Result(uint32(r)) }

// Codes that mean the same in both. CUresult: page "Data types used by CUDA driver"; hipError_t: hip_runtime_api.h, the same in
// HIP 5, 6 and 7.
const (
	Success          Result = 0
	InvalidValue     Result = 1
	OutOfMemory      Result = 2
	UnsupportedLimit Result = 215
	NotFound         Result = 500
	NotReady         Result = 600
	NotSupported     Result = 801
)

// Flags and enumerators that are the same in both.
const (
	StreamNonBlocking  = 1 // CU_STREAM_NON_BLOCKING, hipStreamNonBlocking
	EventDisableTiming = 2 // CU_EVENT_DISABLE_TIMING, hipEventDisableTiming
	AttachGlobal       = 1 // CU_MEM_ATTACH_GLOBAL, hipMemAttachGlobal
	LimitStackSize     = 0 // CU_LIMIT_STACK_SIZE, hipLimitStackSize
	RangeDMABuf        = 1 // CU_MEM_RANGE_HANDLE_TYPE_DMA_BUF_FD, hipMemRangeHandleTypeDmaBufFd
)

// Function is one of a driver's, and its name for errors.
type Function struct {
	dl.Func
	Name string
}

// Driver is a driver library, initialized: the functions of one vendor under the names of both. Their parameters are those of the
// CUDA function named beside them. ("CUDA Driver API": Context, Device, Event, Memory, Module and Stream Management, Execution
// Control, Stream Memory Operations. "HIP runtime API": the modules of nearly the same names.)
type Driver struct {
	Backend string // scheme of the URIs

	SetCurrent      Function // cuCtxSetCurrent; of HIP, hipSetDevice
	GetLimit        Function // cuCtxGetLimit; may be missing
	SetLimit        Function // cuCtxSetLimit; may be missing
	MemoryInfo      Function // cuMemGetInfo; may be missing
	Alloc           Function // cuMemAlloc
	Free            Function // cuMemFree
	AllocHost       Function // cuMemHostAlloc
	HostAddress     Function // cuMemHostGetDevicePointer
	FreeHost        Function // cuMemFreeHost
	AllocManaged    Function // cuMemAllocManaged; may be missing
	CopyToDevice    Function // cuMemcpyHtoDAsync
	CopyToHost      Function // cuMemcpyDtoHAsync
	StreamCreate    Function // cuStreamCreate
	StreamQuery     Function // cuStreamQuery
	StreamDestroy   Function // cuStreamDestroy
	StreamWriteWord Function // cuStreamWriteValue32; may be missing
	AllocInStream   Function // cuMemAllocAsync; may be missing. "Stream Ordered Memory Allocator"
	FreeInStream    Function // cuMemFreeAsync; may be missing
	CallHost        Function // cuLaunchHostFunc, of HIP under "Graph Management"; may be missing
	ExportRange     Function // cuMemGetHandleForAddressRange, of HIP under "Virtual Memory Management"; may be missing
	EventCreate     Function // cuEventCreate
	EventRecord     Function // cuEventRecord
	EventQuery      Function // cuEventQuery
	EventDestroy    Function // cuEventDestroy
	ModuleFunction  Function // cuModuleGetFunction
	ModuleUnload    Function // cuModuleUnload
	LaunchKernel    Function // cuLaunchKernel

	// HostFlags are those of AllocHost for memory whose words a running kernel and the host see each other write, mapped on every
	// device; the second ones are for a driver that does not know the first, and so on.
	HostFlags []uintptr
	// NoStack says why a driver without SetLimit has none, and what would help.
	NoStack string
	// KeepsImages is set where the driver may look at an image again after it was loaded.
	KeepsImages bool

	// Failure is what the driver said about an operation on a device.
	Failure func(op, device string, r Result) *hal.Error
	// Fault tells whether a code means that the device is of no more use to the process.
	Fault func(r Result) bool
	// Load makes a module of an image; nothing runs on the device.
	Load func(d *Device, source string, image []byte) (module uintptr, err error)
	// Describe says what there is to know of a kernel, and has it loaded; the context is current. op names the function whose result
	// it gives.
	Describe func(function uintptr) (e Entry, op string, r Result)
	// EntryPoints lists the kernels of an image, as far as that can be seen from outside.
	EntryPoints func(image []byte) []string
	// Refused tells of an error of Load or Describe whether it is the code itself that the driver rejects, as opposed to having no room
	// for it.
	Refused func(err error) bool

	// Exported looks at the descriptor that memory was exported as, and closes it. Nil is [trial.Exported]; doubles of a driver have no
	// DMA-BUFs to look at.
	Exported func(descriptor int, size int64) (detail string, err error)

	// gate is held shared while work is given to a device and exclusively while something
	// is given back or loaded. So nothing starts to run between the look that finds the
	// devices idle and the call that would wait for what runs. The exclusive side is only
	// ever tried for, and held only while nothing runs there.
	gate sync.RWMutex

	releases struct {
		sync.Mutex
		list    []release
		waiting atomic.Int64 // len(list), or more while some are being carried out
	}

	devices struct {
		sync.Mutex
		open map[int]*Device // by ordinal
	}
}

// Entry is what a driver says of a kernel.
type Entry struct {
	MaxGroup   int   // work-items that its registers allow, 0 if it does not say
	Params     []int // sizes of its parameters in bytes
	KnowParams bool  // Params are what it said: not every driver can
}

// Left is how many devices are open, and how many releases wait: for tests and diagnosis.
func (d *Driver) Left() (devices, releases int) {
	d.devices.Lock()
	devices = len(d.devices.open)
	d.devices.Unlock()
	d.releases.Lock()
	defer d.releases.Unlock()
	return devices, len(d.releases.list)
}
