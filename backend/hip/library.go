package hip

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"sync"
	"unsafe"

	"github.com/dialtone-gpu/dialtone/backend/stream"
	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/internal/dl"
)

// driverTable is what is used of the runtime library. The headings are the modules of the "HIP runtime API" reference,
// and of hip_runtime_api.h.
type driverTable struct {
	// Error Handling.
	GetErrorName dl.Func `sym:"hipGetErrorName"`
	// Initialization and Version.
	Init              dl.Func `sym:"hipInit"`
	RuntimeGetVersion dl.Func `sym:"hipRuntimeGetVersion"`
	GetProcAddress    dl.Func `sym:"hipGetProcAddress" optional:"true"`
	DeviceGet         dl.Func `sym:"hipDeviceGet"`
	DeviceGetName     dl.Func `sym:"hipDeviceGetName"`
	DeviceGetUuid     dl.Func `sym:"hipDeviceGetUuid" optional:"true"`
	DeviceGetPCIBusId dl.Func `sym:"hipDeviceGetPCIBusId"`
	DeviceTotalMem    dl.Func `sym:"hipDeviceTotalMem"`
	// Device Management. Of the properties only the layout of HIP 6, under the name that is only for it.
	GetDeviceCount      dl.Func `sym:"hipGetDeviceCount"`
	SetDevice           dl.Func `sym:"hipSetDevice"`
	DeviceGetAttribute  dl.Func `sym:"hipDeviceGetAttribute"`
	GetDeviceProperties dl.Func `sym:"hipGetDevicePropertiesR0600" optional:"true"`
	DeviceGetLimit      dl.Func `sym:"hipDeviceGetLimit" optional:"true"`
	DeviceSetLimit      dl.Func `sym:"hipDeviceSetLimit" optional:"true"` // since HIP 5.3
	// PeerToPeer Device Memory Access.
	DeviceCanAccessPeer   dl.Func `sym:"hipDeviceCanAccessPeer" optional:"true"`
	DeviceGetP2PAttribute dl.Func `sym:"hipDeviceGetP2PAttribute" optional:"true"`
	// Memory Management.
	Malloc               dl.Func `sym:"hipMalloc"`
	Free                 dl.Func `sym:"hipFree"`
	HostMalloc           dl.Func `sym:"hipHostMalloc"`
	HostGetDevicePointer dl.Func `sym:"hipHostGetDevicePointer"`
	HostFree             dl.Func `sym:"hipHostFree"`
	MallocManaged        dl.Func `sym:"hipMallocManaged" optional:"true"`
	MemGetInfo           dl.Func `sym:"hipMemGetInfo" optional:"true"`
	ExtMalloc            dl.Func `sym:"hipExtMallocWithFlags" optional:"true"`
	MemcpyHtoDAsync      dl.Func `sym:"hipMemcpyHtoDAsync"`
	MemcpyDtoHAsync      dl.Func `sym:"hipMemcpyDtoHAsync"`
	// Stream Ordered Memory Allocator, since HIP 5.2.
	MallocAsync dl.Func `sym:"hipMallocAsync" optional:"true"`
	FreeAsync   dl.Func `sym:"hipFreeAsync" optional:"true"`
	// Virtual Memory Management, of which this came with HIP 7.
	MemGetHandleForAddressRange dl.Func `sym:"hipMemGetHandleForAddressRange" optional:"true"`
	// Graph Management.
	LaunchHostFunc dl.Func `sym:"hipLaunchHostFunc" optional:"true"`
	// Stream Management.
	StreamCreate  dl.Func `sym:"hipStreamCreateWithFlags"`
	StreamQuery   dl.Func `sym:"hipStreamQuery"`
	StreamDestroy dl.Func `sym:"hipStreamDestroy"`
	// Event Management.
	EventCreate  dl.Func `sym:"hipEventCreateWithFlags"`
	EventRecord  dl.Func `sym:"hipEventRecord"`
	EventQuery   dl.Func `sym:"hipEventQuery"`
	EventDestroy dl.Func `sym:"hipEventDestroy"`
	// Module Management.
	ModuleLoadData     dl.Func `sym:"hipModuleLoadData"`
	ModuleGetFunction  dl.Func `sym:"hipModuleGetFunction"`
	ModuleUnload       dl.Func `sym:"hipModuleUnload"`
	FuncGetAttribute   dl.Func `sym:"hipFuncGetAttribute" optional:"true"`
	ModuleLaunchKernel dl.Func `sym:"hipModuleLaunchKernel"`
	// Stream Memory Operations, which the reference calls a beta.
	StreamWriteValue32 dl.Func `sym:"hipStreamWriteValue32" optional:"true"`
	StreamWaitValue32  dl.Func `sym:"hipStreamWaitValue32" optional:"true"`
	// Simulated is exported by what stands in for the library in tests, and by nothing of AMD's.
	Simulated dl.Func `sym:"dialtone_simulated" optional:"true"`
}

// hiprtcTable is what is used of the run-time compiler: "HIP RTC" reference, hiprtc.h.
type hiprtcTable struct {
	GetErrorString    dl.Func `sym:"hiprtcGetErrorString"`
	CreateProgram     dl.Func `sym:"hiprtcCreateProgram"`
	DestroyProgram    dl.Func `sym:"hiprtcDestroyProgram"`
	CompileProgram    dl.Func `sym:"hiprtcCompileProgram"`
	GetCodeSize       dl.Func `sym:"hiprtcGetCodeSize"`
	GetCode           dl.Func `sym:"hiprtcGetCode"`
	GetProgramLogSize dl.Func `sym:"hiprtcGetProgramLogSize"`
	GetProgramLog     dl.Func `sym:"hiprtcGetProgramLog"`
}

// hipDeviceAttribute_t of hip_runtime_api.h. Its numbers have nothing to do with CUDA's.
const (
	attrCanMapHostMemory   = 3
	attrConcurrentManaged  = 9
	attrManagedMemory      = 24
	attrMaxBlockDimX       = 26 // Y 27, Z 28
	attrMaxGridDimX        = 29 // Y 30, Z 31
	attrMaxThreadsPerBlock = 56
	attrMaxThreadsPerCU    = 57
	attrComputeUnits       = 63
	attrWarpSize           = 87
	attrGcnArchName        = 10004
	attrStreamWaitValue    = 10013 // hipDeviceAttributeCanUseStreamWaitValue
	attrWallClockRate      = 10017 // kHz; since HIP 5.3
)

// Flags and enumerators of the same header.
const (
	hostMallocPortable = 1          // hipHostMallocPortable
	hostMallocMapped   = 2          // hipHostMallocMapped
	hostMallocCoherent = 0x40000000 // hipHostMallocCoherent
	funcMaxThreads     = 0          // HIP_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK
	mallocSignal       = 2          // hipMallocSignalMemory
	waitAtLeast        = 0          // hipStreamWaitValueGte
)

// driver is the loaded runtime library.
type driver struct {
	driverTable
	streams stream.Driver
	library *dl.Library
	path    string
	version version
	compile func() (*compiler, error) // loads hiprtc once
}

// version is that of HIP.
type version struct{ major, minor, patch int }

// versionOf takes apart what hipRuntimeGetVersion gives: 60443484 for 6.4.43484. That is HIP_VERSION of hip_version.h.
func versionOf(n int) version { return version{n / 10_000_000, n / 100_000 % 100, n % 100_000} }

func (v version) String() string { return fmt.Sprintf("%d.%d.%d", v.major, v.minor, v.patch) }

// startedDriver is the runtime library of this process after hipInit.
var startedDriver = sync.OnceValues(func() (*driver, error) {
	d, err := loadDriver(dl.FromEnv("DIALTONE_LIBAMDHIP", driverNames(runtime.GOOS)...)...)
	if err != nil {
		return nil, err
	}
	return d, d.start()
})

func loadDriver(names ...string) (*driver, error) {
	lib, err := dl.Open(names...)
	if err != nil {
		return nil, fmt.Errorf("the HIP runtime cannot be loaded: %w\n"+
			"install AMD's GPU driver with ROCm (Debian: libamdhip64-5), or name the library in DIALTONE_LIBAMDHIP: %w", err, hal.ErrUnavailable)
	}
	d := &driver{library: lib, path: lib.Path}
	if err := lib.Bind(&d.driverTable); err != nil {
		return nil, fmt.Errorf("this HIP runtime is not one that can be used: %w; install HIP 5.2 or newer: %w", err, hal.ErrUnavailable)
	}
	var n int32
	if r := code(d.RuntimeGetVersion.Call(uintptr(unsafe.Pointer(&n)))); r == success {
		d.version = versionOf(int(n))
	}
	d.compile = sync.OnceValues(func() (*compiler, error) { return loadCompiler(d) })
	d.fillIn(&d.streams)
	return d, nil
}

// fillIn gives what the runtime has in common with CUDA's driver.
func (d *driver) fillIn(s *stream.Driver) {
	s.Backend = name
	s.SetCurrent = stream.Function{Func: d.SetDevice, Name: "hipSetDevice"}
	s.GetLimit = stream.Function{Func: d.DeviceGetLimit, Name: "hipDeviceGetLimit"}
	s.SetLimit = stream.Function{Func: d.DeviceSetLimit, Name: "hipDeviceSetLimit"}
	s.NoStack = fmt.Sprintf("HIP %v cannot be told: HIP 5.3 or newer would do", d.version)
	s.MemoryInfo = stream.Function{Func: d.MemGetInfo, Name: "hipMemGetInfo"}
	s.Alloc = stream.Function{Func: d.Malloc, Name: "hipMalloc"}
	s.Free = stream.Function{Func: d.Free, Name: "hipFree"}
	s.AllocHost = stream.Function{Func: d.HostMalloc, Name: "hipHostMalloc"}
	s.HostAddress = stream.Function{Func: d.HostGetDevicePointer, Name: "hipHostGetDevicePointer"}
	s.FreeHost = stream.Function{Func: d.HostFree, Name: "hipHostFree"}
	s.AllocManaged = stream.Function{Func: d.MallocManaged, Name: "hipMallocManaged"}
	s.CopyToDevice = stream.Function{Func: d.MemcpyHtoDAsync, Name: "hipMemcpyHtoDAsync"}
	s.CopyToHost = stream.Function{Func: d.MemcpyDtoHAsync, Name: "hipMemcpyDtoHAsync"}
	s.StreamCreate = stream.Function{Func: d.StreamCreate, Name: "hipStreamCreateWithFlags"}
	s.StreamQuery = stream.Function{Func: d.StreamQuery, Name: "hipStreamQuery"}
	s.StreamDestroy = stream.Function{Func: d.StreamDestroy, Name: "hipStreamDestroy"}
	s.StreamWriteWord = stream.Function{Func: d.StreamWriteValue32, Name: "hipStreamWriteValue32"}
	s.EventCreate = stream.Function{Func: d.EventCreate, Name: "hipEventCreateWithFlags"}
	s.EventRecord = stream.Function{Func: d.EventRecord, Name: "hipEventRecord"}
	s.EventQuery = stream.Function{Func: d.EventQuery, Name: "hipEventQuery"}
	s.EventDestroy = stream.Function{Func: d.EventDestroy, Name: "hipEventDestroy"}
	s.ModuleFunction = stream.Function{Func: d.ModuleGetFunction, Name: "hipModuleGetFunction"}
	s.ModuleUnload = stream.Function{Func: d.ModuleUnload, Name: "hipModuleUnload"}
	s.LaunchKernel = stream.Function{Func: d.ModuleLaunchKernel, Name: "hipModuleLaunchKernel"}
	s.AllocInStream = stream.Function{Func: d.MallocAsync, Name: "hipMallocAsync"}
	s.FreeInStream = stream.Function{Func: d.FreeAsync, Name: "hipFreeAsync"}
	s.CallHost = stream.Function{Func: d.LaunchHostFunc, Name: "hipLaunchHostFunc"}
	s.ExportRange = stream.Function{Func: d.MemGetHandleForAddressRange, Name: "hipMemGetHandleForAddressRange"}
	// Fine-grained memory is what the flag Coherent asks for. Where a driver knows no such flag, what it maps by default has to do, and
	// a probe tells whether it does.
	s.HostFlags = []uintptr{hostMallocPortable | hostMallocMapped | hostMallocCoherent, hostMallocPortable | hostMallocMapped}
	s.KeepsImages = true
	s.Failure = d.failure
	s.Fault = func(r result) bool { return faults[r] != "" }
	s.Load = d.load
	s.Describe = d.describeKernel
	s.EntryPoints = entryPoints
	s.Refused = refused
}

// start calls hipInit, which finds the devices. HIP 5 answers hipErrorInvalidDevice where there is none, later ones hipErrorNoDevice.
func (d *driver) start() error {
	r := code(d.Init.Call(0))
	if r == success {
		return nil
	}
	err := fmt.Errorf("%w", hal.ErrUnavailable)
	switch r {
	case noDevice, invalidDevice:
		err = fmt.Errorf("the HIP runtime is there (%s, HIP %v), an AMD GPU that it can use is not%s: %w", d.path, d.version, hint(), hal.ErrUnavailable)
	case insufficientDriver:
		err = fmt.Errorf("the HIP runtime (%s, HIP %v) needs a newer amdgpu driver: %w", d.path, d.version, hal.ErrUnavailable)
	}
	return &hal.Error{Op: "hipInit", Backend: name, Code: int(r), Name: d.errorName(r), Err: err}
}

// hint says what keeps a process from the GPUs on Linux.
func hint() string {
	if runtime.GOOS != "linux" {
		return ""
	}
	f, err := os.OpenFile("/dev/kfd", os.O_RDWR, 0)
	switch {
	case err == nil:
		f.Close()
		return " (ROCR_VISIBLE_DEVICES or HIP_VISIBLE_DEVICES may hide it)"
	case os.IsPermission(err):
		return " (no permission for /dev/kfd: the user is not in its group, render or video)"
	}
	return ""
}

// majors are the versions of HIP that are looked for, newest first.
var majors = []int{7, 6, 5}

// driverNames lists where the runtime library may be.
func driverNames(goos string) []string {
	if goos == "windows" { // System32 has that of the display driver
		return []string{"amdhip64_7.dll", "amdhip64_6.dll", "amdhip64.dll"}
	}
	if goos != "linux" {
		return []string{"libamdhip64.so"} // there is no HIP for it
	}
	var names []string
	for _, m := range majors {
		names = append(names, fmt.Sprintf("libamdhip64.so.%d", m))
	}
	names = append(names, rocm("libamdhip64.so")...)
	return append(names, "libamdhip64.so")
}

// rocm gives where a library of ROCm may be that the loader is not told of.
func rocm(name string) []string {
	var names []string
	for _, home := range []string{os.Getenv("ROCM_PATH"), os.Getenv("HIP_PATH"), "/opt/rocm"} {
		if home != "" {
			names = append(names, filepath.Join(home, "lib", name))
		}
	}
	for _, pattern := range []string{"/opt/rocm/core-*/lib", "/opt/rocm-*/lib"} { // since ROCm 7.11, and before
		versions, _ := filepath.Glob(filepath.Join(pattern, name)) // the patterns are sound
		names = append(names, versions...)
	}
	return names
}

// compiler is a loaded hiprtc.
type compiler struct {
	hiprtcTable
	path    string
	version version
}

// compilerNames lists where hiprtc may be beside a runtime of that version: since HIP 6 it is a library of its own. The
// empty name stands for the runtime library itself, in which HIP 5 has it, and HIP 6 still.
func compilerNames(goos string, v version) []string {
	var names []string
	add := func(m int) {
		switch {
		case goos == "windows" && m == v.major:
			names = append(names, fmt.Sprintf("hiprtc%02d%02d.dll", v.major, v.minor))
		case goos != "windows":
			names = append(names, fmt.Sprintf("libhiprtc.so.%d", m))
		}
	}
	if v.major >= 6 {
		add(v.major)
	}
	names = append(names, "")
	for _, m := range majors {
		if m != v.major || m < 6 {
			add(m)
		}
	}
	if goos != "windows" {
		names = append(names, rocm("libhiprtc.so")...)
	}
	return names
}

// major finds the version in a library's name: "libhiprtc.so.6", "libamdhip64.so.5.2.21153", "hiprtc0604.dll".
var major = regexp.MustCompile(`(?:\.so\.|hiprtc)(\d{1,2})(?:\.(\d+)|(\d\d)\.dll)?`)

// loadCompiler takes the hiprtc that belongs to the runtime, or else another.
func loadCompiler(d *driver) (*compiler, error) {
	var tried error
	for _, n := range dl.FromEnv("DIALTONE_HIPRTC", compilerNames(runtime.GOOS, d.version)...) {
		lib, err := d.library, error(nil)
		if n != "" {
			lib, err = dl.Open(n)
		}
		c := &compiler{version: d.version}
		if err == nil {
			err = lib.Bind(&c.hiprtcTable)
		}
		if err != nil {
			tried = errors.Join(tried, err)
			continue
		}
		c.path = lib.Path
		// hiprtcVersion said 9.0 for years. A library of another major version says in its name which.
		if m := major.FindStringSubmatch(filepath.Base(c.path)); n != "" && m != nil {
			if v, _ := strconv.Atoi(m[1]); v != d.version.major {
				c.version = version{major: v}
			}
		}
		return c, nil
	}
	return nil, fmt.Errorf("hiprtc, the HIP run-time compiler, cannot be loaded: %w\n"+
		"install it (ROCm: hip-runtime-amd, Debian: libamdhip64-5 or libhiprtc6), or name the library in DIALTONE_HIPRTC: %w", tried, hal.ErrUnavailable)
}
