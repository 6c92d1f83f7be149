package cuda

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"unsafe"

	"github.com/dialtone-gpu/dialtone/backend/stream"
	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/internal/dl"
)

// driverTable is what is used of the driver library. The pages named are those of the
// "CUDA Driver API" reference manual; its section numbers change, its module names do not.
type driverTable struct {
	// Error Handling.
	GetErrorName dl.Func `sym:"cuGetErrorName"`
	// Initialization.
	Init dl.Func `sym:"cuInit"`
	// Version Management.
	DriverGetVersion dl.Func `sym:"cuDriverGetVersion"`
	// Device Management.
	DeviceGetCount     dl.Func `sym:"cuDeviceGetCount"`
	DeviceGet          dl.Func `sym:"cuDeviceGet"`
	DeviceGetName      dl.Func `sym:"cuDeviceGetName"`
	DeviceGetUuid      dl.Func `sym:"cuDeviceGetUuid_v2,cuDeviceGetUuid" optional:"true"`
	DeviceGetAttribute dl.Func `sym:"cuDeviceGetAttribute"`
	DeviceTotalMem     dl.Func `sym:"cuDeviceTotalMem_v2,cuDeviceTotalMem"`
	// Unified Addressing / Device: "cuDeviceGetPCIBusId".
	DeviceGetPCIBusId dl.Func `sym:"cuDeviceGetPCIBusId"`
	// Peer Context Memory Access.
	DeviceCanAccessPeer   dl.Func `sym:"cuDeviceCanAccessPeer" optional:"true"`
	DeviceGetP2PAttribute dl.Func `sym:"cuDeviceGetP2PAttribute" optional:"true"`
	// Primary Context Management.
	PrimaryCtxRetain  dl.Func `sym:"cuDevicePrimaryCtxRetain"`
	PrimaryCtxRelease dl.Func `sym:"cuDevicePrimaryCtxRelease_v2,cuDevicePrimaryCtxRelease"`
	// Context Management.
	CtxSetCurrent dl.Func `sym:"cuCtxSetCurrent"`
	CtxGetLimit   dl.Func `sym:"cuCtxGetLimit"`
	CtxSetLimit   dl.Func `sym:"cuCtxSetLimit"`
	// Memory Management.
	MemGetInfo                  dl.Func `sym:"cuMemGetInfo_v2,cuMemGetInfo"`
	MemAlloc                    dl.Func `sym:"cuMemAlloc_v2,cuMemAlloc"`
	MemFree                     dl.Func `sym:"cuMemFree_v2,cuMemFree"`
	MemHostAlloc                dl.Func `sym:"cuMemHostAlloc"`
	MemHostGetDevicePointer     dl.Func `sym:"cuMemHostGetDevicePointer_v2,cuMemHostGetDevicePointer"`
	MemFreeHost                 dl.Func `sym:"cuMemFreeHost"`
	MemAllocManaged             dl.Func `sym:"cuMemAllocManaged" optional:"true"`
	MemcpyHtoDAsync             dl.Func `sym:"cuMemcpyHtoDAsync_v2,cuMemcpyHtoDAsync"`
	MemcpyDtoHAsync             dl.Func `sym:"cuMemcpyDtoHAsync_v2,cuMemcpyDtoHAsync"`
	MemGetHandleForAddressRange dl.Func `sym:"cuMemGetHandleForAddressRange" optional:"true"` // CUDA 11.7
	// Stream Ordered Memory Allocator, since CUDA 11.2.
	MemAllocAsync dl.Func `sym:"cuMemAllocAsync" optional:"true"`
	MemFreeAsync  dl.Func `sym:"cuMemFreeAsync" optional:"true"`
	// Stream Management.
	StreamCreate  dl.Func `sym:"cuStreamCreate"`
	StreamQuery   dl.Func `sym:"cuStreamQuery"`
	StreamDestroy dl.Func `sym:"cuStreamDestroy_v2,cuStreamDestroy"`
	// Stream Memory Operations.
	StreamWaitValue32  dl.Func `sym:"cuStreamWaitValue32_v2,cuStreamWaitValue32" optional:"true"`
	StreamWriteValue32 dl.Func `sym:"cuStreamWriteValue32_v2,cuStreamWriteValue32" optional:"true"`
	// Event Management.
	EventCreate  dl.Func `sym:"cuEventCreate"`
	EventRecord  dl.Func `sym:"cuEventRecord"`
	EventQuery   dl.Func `sym:"cuEventQuery"`
	EventDestroy dl.Func `sym:"cuEventDestroy_v2,cuEventDestroy"`
	// Module Management.
	ModuleLoadDataEx  dl.Func `sym:"cuModuleLoadDataEx"`
	ModuleGetFunction dl.Func `sym:"cuModuleGetFunction"`
	ModuleUnload      dl.Func `sym:"cuModuleUnload"`
	// Execution Control. cuFuncLoad and cuFuncGetParamInfo came with CUDA 12.4.
	FuncGetAttribute dl.Func `sym:"cuFuncGetAttribute"`
	FuncLoad         dl.Func `sym:"cuFuncLoad" optional:"true"`
	FuncGetParamInfo dl.Func `sym:"cuFuncGetParamInfo" optional:"true"`
	LaunchKernel     dl.Func `sym:"cuLaunchKernel"`
	LaunchHostFunc   dl.Func `sym:"cuLaunchHostFunc" optional:"true"`
}

// nvrtcTable is what is used of the run-time compiler, from the "NVRTC" manual, sections
// General Information Query, Error Handling and Compilation.
type nvrtcTable struct {
	GetErrorString       dl.Func `sym:"nvrtcGetErrorString"`
	Version              dl.Func `sym:"nvrtcVersion"`
	GetNumSupportedArchs dl.Func `sym:"nvrtcGetNumSupportedArchs"`
	GetSupportedArchs    dl.Func `sym:"nvrtcGetSupportedArchs"`
	CreateProgram        dl.Func `sym:"nvrtcCreateProgram"`
	DestroyProgram       dl.Func `sym:"nvrtcDestroyProgram"`
	CompileProgram       dl.Func `sym:"nvrtcCompileProgram"`
	GetPTXSize           dl.Func `sym:"nvrtcGetPTXSize"`
	GetPTX               dl.Func `sym:"nvrtcGetPTX"`
	GetCUBINSize         dl.Func `sym:"nvrtcGetCUBINSize"`
	GetCUBIN             dl.Func `sym:"nvrtcGetCUBIN"`
	GetProgramLogSize    dl.Func `sym:"nvrtcGetProgramLogSize"`
	GetProgramLog        dl.Func `sym:"nvrtcGetProgramLog"`
}

// CUdevice_attribute, page "Data types used by CUDA driver".
const (
	attrMaxThreadsPerBlock = 1
	attrMaxBlockDimX       = 2 // Y 3, Z 4
	attrMaxGridDimX        = 5 // Y 6, Z 7
	attrWarpSize           = 10
	attrMultiprocessors    = 16
	attrCanMapHostMemory   = 19
	attrMaxThreadsPerSM    = 39
	attrMajor              = 75
	attrMinor              = 76
	attrManagedMemory      = 83
	attrConcurrentManaged  = 89
)

// Flags and enumerators, same page.
const (
	hostAllocPortable     = 1 // CU_MEMHOSTALLOC_PORTABLE
	hostAllocDeviceMap    = 2 // CU_MEMHOSTALLOC_DEVICEMAP
	funcMaxThreads        = 0 // CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK
	jitErrorLogBuffer     = 5 // CU_JIT_ERROR_LOG_BUFFER
	jitErrorLogBufferSize = 6 // CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES
)

// driver is the loaded driver library.
type driver struct {
	driverTable
	streams stream.Driver
	path    string
	version int // 13000 for 13.0
}

// loadedDriver is the driver library of this process, not yet initialized.
var loadedDriver = sync.OnceValues(loadDriver)

// startedDriver is the driver library after cuInit.
var startedDriver = sync.OnceValues(func() (*driver, error) {
	d, err := loadedDriver()
	if err != nil {
		return nil, err
	}
	return d, d.start()
})

func loadDriver() (*driver, error) {
	lib, err := dl.Open(dl.FromEnv("DIALTONE_LIBCUDA", driverNames(runtime.GOOS)...)...)
	if err != nil {
		return nil, fmt.Errorf("the CUDA driver library cannot be loaded: %w\n"+
			"install NVIDIA's GPU driver (Debian, Ubuntu: libcuda1 or libnvidia-compute-*), or name the library in DIALTONE_LIBCUDA: %w",
			err, hal.ErrUnavailable)
	}
	d := &driver{path: lib.Path}
	if err := lib.Bind(&d.driverTable); err != nil {
		return nil, fmt.Errorf("the CUDA driver library is too old: %w; install a driver for CUDA 11 or newer: %w", err, hal.ErrUnavailable)
	}
	var v int32
	if r := code(d.DriverGetVersion.Call(uintptr(unsafe.Pointer(&v)))); r == success {
		d.version = int(v)
	}
	d.fillIn(&d.streams)
	return d, nil
}

// fillIn gives what the driver has in common with HIP.
func (d *driver) fillIn(s *stream.Driver) {
	s.Backend = name
	s.SetCurrent = stream.Function{Func: d.CtxSetCurrent, Name: "cuCtxSetCurrent"}
	s.GetLimit = stream.Function{Func: d.CtxGetLimit, Name: "cuCtxGetLimit"}
	s.SetLimit = stream.Function{Func: d.CtxSetLimit, Name: "cuCtxSetLimit"}
	s.MemoryInfo = stream.Function{Func: d.MemGetInfo, Name: "cuMemGetInfo"}
	s.Alloc = stream.Function{Func: d.MemAlloc, Name: "cuMemAlloc"}
	s.Free = stream.Function{Func: d.MemFree, Name: "cuMemFree"}
	s.AllocHost = stream.Function{Func: d.MemHostAlloc, Name: "cuMemHostAlloc"}
	s.HostAddress = stream.Function{Func: d.MemHostGetDevicePointer, Name: "cuMemHostGetDevicePointer"}
	s.FreeHost = stream.Function{Func: d.MemFreeHost, Name: "cuMemFreeHost"}
	s.AllocManaged = stream.Function{Func: d.MemAllocManaged, Name: "cuMemAllocManaged"}
	s.CopyToDevice = stream.Function{Func: d.MemcpyHtoDAsync, Name: "cuMemcpyHtoDAsync"}
	s.CopyToHost = stream.Function{Func: d.MemcpyDtoHAsync, Name: "cuMemcpyDtoHAsync"}
	s.StreamCreate = stream.Function{Func: d.StreamCreate, Name: "cuStreamCreate"}
	s.StreamQuery = stream.Function{Func: d.StreamQuery, Name: "cuStreamQuery"}
	s.StreamDestroy = stream.Function{Func: d.StreamDestroy, Name: "cuStreamDestroy"}
	s.StreamWriteWord = stream.Function{Func: d.StreamWriteValue32, Name: "cuStreamWriteValue32"}
	s.EventCreate = stream.Function{Func: d.EventCreate, Name: "cuEventCreate"}
	s.EventRecord = stream.Function{Func: d.EventRecord, Name: "cuEventRecord"}
	s.EventQuery = stream.Function{Func: d.EventQuery, Name: "cuEventQuery"}
	s.EventDestroy = stream.Function{Func: d.EventDestroy, Name: "cuEventDestroy"}
	s.ModuleFunction = stream.Function{Func: d.ModuleGetFunction, Name: "cuModuleGetFunction"}
	s.ModuleUnload = stream.Function{Func: d.ModuleUnload, Name: "cuModuleUnload"}
	s.LaunchKernel = stream.Function{Func: d.LaunchKernel, Name: "cuLaunchKernel"}
	s.AllocInStream = stream.Function{Func: d.MemAllocAsync, Name: "cuMemAllocAsync"}
	s.FreeInStream = stream.Function{Func: d.MemFreeAsync, Name: "cuMemFreeAsync"}
	s.CallHost = stream.Function{Func: d.LaunchHostFunc, Name: "cuLaunchHostFunc"}
	s.ExportRange = stream.Function{Func: d.MemGetHandleForAddressRange, Name: "cuMemGetHandleForAddressRange"}
	s.HostFlags = []uintptr{hostAllocPortable | hostAllocDeviceMap}
	s.Failure = d.failure
	s.Fault = func(r result) bool { return faults[r] != "" }
	s.Load = d.load
	s.Describe = d.describeKernel
	s.EntryPoints = entryPoints
	s.Refused = refused
}

// start calls cuInit, which finds the devices.
func (d *driver) start() error {
	r := code(d.Init.Call(0))
	if r == success {
		return nil
	}
	err := fmt.Errorf("%w", hal.ErrUnavailable)
	switch r {
	case noDevice:
		err = fmt.Errorf("the driver library is there (%s), an NVIDIA GPU is not: %w", d.path, hal.ErrUnavailable)
	case stubLibrary:
		err = fmt.Errorf("%s is a stub for linking, not the driver: %w", d.path, hal.ErrUnavailable)
	case driverMismatch:
		err = fmt.Errorf("%s and the kernel module are of different versions (restart after an update): %w", d.path, hal.ErrUnavailable)
	}
	return &hal.Error{Op: "cuInit", Backend: name, Code: int(r), Name: d.errorName(r), Err: err}
}

// driverNames lists where the driver library may be.
func driverNames(goos string) []string {
	switch goos {
	case "windows":
		return []string{"nvcuda.dll"}
	case "darwin":
		return []string{"/usr/local/cuda/lib/libcuda.dylib"} // until CUDA 10.2; there is no newer one
	}
	return []string{
		"libcuda.so.1",
		"/usr/lib/wsl/lib/libcuda.so.1",
		"/run/opengl-driver/lib/libcuda.so.1", // NixOS
		"libcuda.so",
	}
}

// compiler is a loaded NVRTC.
type compiler struct {
	nvrtcTable
	path         string
	major, minor int32
	archs        []int32 // 70 for compute capability 7.0, ascending
}

// loadedCompiler is the NVRTC of this process.
var loadedCompiler = sync.OnceValues(func() (*compiler, error) {
	version := 0
	if d, err := loadedDriver(); err == nil {
		version = d.version
	}
	return loadCompiler(version)
})

// loadCompiler takes the newest NVRTC that the driver's version is made for, then older
// ones, then newer ones, whose code the driver may refuse.
func loadCompiler(driverVersion int) (*compiler, error) {
	lib, err := openCompiler(dl.FromEnv("DIALTONE_NVRTC", compilerNames(runtime.GOOS, driverVersion)...))
	if err != nil {
		return nil, fmt.Errorf("NVRTC, the CUDA run-time compiler, cannot be loaded: %w\n"+
			"install it (Debian: libnvrtc12 or libnvrtc11.2, NVIDIA's repository: cuda-nvrtc-13-0, Python: nvidia-cuda-nvrtc),"+
			" or name the library in DIALTONE_NVRTC: %w", err, hal.ErrUnavailable)
	}
	c := &compiler{path: lib.Path}
	if err := lib.Bind(&c.nvrtcTable); err != nil {
		return nil, fmt.Errorf("NVRTC is too old: %w; install NVRTC 11.2 or newer: %w", err, hal.ErrUnavailable)
	}
	var n int32
	r := cmp.Or(code(c.Version.Call(uintptr(unsafe.Pointer(&c.major)), uintptr(unsafe.Pointer(&c.minor)))), code(c.GetNumSupportedArchs.Call(uintptr(unsafe.Pointer(&n)))))
	if r == 0 && n > 0 {
		c.archs = make([]int32, n)
		r = code(c.GetSupportedArchs.Call(uintptr(unsafe.Pointer(&c.archs[0]))))
	}
	if r != 0 || n <= 0 {
		return nil, fmt.Errorf("%s does not say what it compiles for: %w", c.path, c.fail("nvrtcGetSupportedArchs", r, hal.ErrUnavailable))
	}
	slices.Sort(c.archs)
	return c, nil
}

// openCompiler loads NVRTC and, where its folder is known, first the library of built-in
// functions that it would look for by bare name.
func openCompiler(names []string) (*dl.Library, error) {
	var tried []error
	for _, n := range names {
		if filepath.IsAbs(n) {
			for _, pattern := range []string{"libnvrtc-builtins.so.*", "nvrtc-builtins64_*.dll"} {
				for _, b := range glob(filepath.Join(filepath.Dir(n), pattern)) {
					_, _ = dl.Open(b) // only helps: without it NVRTC's own search decides
				}
			}
		}
		lib, err := dl.Open(n)
		if err == nil {
			return lib, nil
		}
		tried = append(tried, err)
	}
	return nil, errors.Join(tried...)
}

// compilerNames lists where NVRTC may be, best first for a driver of that version (0: unknown).
func compilerNames(goos string, driverVersion int) []string {
	var names, folders []string
	majors := []int{13, 12, 11}
	if have := driverVersion / 1000; have > 0 {
		slices.SortStableFunc(majors, func(a, b int) int { return cmp.Compare(tooNew(a, have), tooNew(b, have)) })
	}
	home := slices.DeleteFunc([]string{os.Getenv("CUDA_PATH"), os.Getenv("CUDA_HOME")}, func(s string) bool { return s == "" })
	if goos == "windows" {
		for _, h := range append(home, glob(filepath.Join(os.Getenv("ProgramFiles"), "NVIDIA GPU Computing Toolkit", "CUDA", "v*"))...) {
			folders = append(folders, filepath.Join(h, "bin"), filepath.Join(h, "bin", "x64"))
		}
		for _, m := range majors {
			names = append(names, map[int]string{13: "nvrtc64_130_0.dll", 12: "nvrtc64_120_0.dll", 11: "nvrtc64_112_0.dll"}[m])
		}
		for _, f := range folders {
			names = append(names, glob(filepath.Join(f, "nvrtc64_*_0.dll"))...)
		}
		return names
	}
	if goos == "darwin" {
		return []string{"/usr/local/cuda/lib/libnvrtc.dylib"}
	}
	sonames := make([]string, 0, len(majors))
	for _, m := range majors {
		sonames = append(sonames, map[int]string{13: "libnvrtc.so.13", 12: "libnvrtc.so.12", 11: "libnvrtc.so.11.2"}[m])
	}
	for _, h := range append(append(home, "/usr/local/cuda", "/opt/cuda"), glob("/usr/local/cuda-*")...) {
		folders = append(folders, filepath.Join(h, "lib64"), filepath.Join(h, "targets/*/lib"))
	}
	for _, root := range []string{os.Getenv("VIRTUAL_ENV"), os.Getenv("CONDA_PREFIX"), "/usr/local", "/usr"} {
		if root != "" {
			folders = append(folders, filepath.Join(root, "lib"), // conda; NVIDIA's wheels for CUDA 11, 12 and 13 follow
				filepath.Join(root, "lib/python3*/*-packages/nvidia/c*/lib"))
		}
	}
	for _, so := range sonames {
		names = append(names, so)
		for _, f := range folders {
			names = append(names, glob(filepath.Join(f, so))...)
		}
	}
	names = append(names, "libnvrtc.so")
	for _, f := range folders {
		names = append(names, glob(filepath.Join(f, "libnvrtc.so"))...)
	}
	return names
}

// tooNew is 1 for a compiler whose major version the driver does not know.
func tooNew(compiler, driver int) int {
	if compiler > driver {
		return 1
	}
	return 0
}

// glob gives the matches, the newest version first as far as names tell.
func glob(pattern string) []string {
	m, _ := filepath.Glob(pattern)
	slices.SortFunc(m, func(a, b string) int { return strings.Compare(b, a) })
	return m
}
