package opencl

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"unsafe"

	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/internal/dl"
)

// environment names a library to use instead of the usual ones.
const environment = "DIALTONE_OPENCL"

// library holds the entry points. Section names are those of "The OpenCL
// Specification", version 3.0. Functions newer than 1.2 are optional, and called only
// for a device that reports what they do: a loader has them even for older platforms.
type library struct {
	// "Querying Platform Info": clGetPlatformIDs, clGetPlatformInfo.
	GetPlatformIDs  dl.Func `sym:"clGetPlatformIDs"`
	GetPlatformInfo dl.Func `sym:"clGetPlatformInfo"`
	// "Querying Devices": clGetDeviceIDs, clGetDeviceInfo.
	GetDeviceIDs  dl.Func `sym:"clGetDeviceIDs"`
	GetDeviceInfo dl.Func `sym:"clGetDeviceInfo"`
	// "Contexts": clCreateContext, clRetainContext, clReleaseContext.
	CreateContext  dl.Func `sym:"clCreateContext"`
	RetainContext  dl.Func `sym:"clRetainContext"`
	ReleaseContext dl.Func `sym:"clReleaseContext"`
	// "Command-Queues", deprecated by 2.0 and the only form that every platform has:
	// clCreateCommandQueue.
	CreateCommandQueue dl.Func `sym:"clCreateCommandQueue"`
	// "Command-Queues": clReleaseCommandQueue.
	ReleaseCommandQueue dl.Func `sym:"clReleaseCommandQueue"`
	// "Buffer Objects": clCreateBuffer, clEnqueueReadBuffer, clEnqueueWriteBuffer.
	CreateBuffer       dl.Func `sym:"clCreateBuffer"`
	EnqueueReadBuffer  dl.Func `sym:"clEnqueueReadBuffer"`
	EnqueueWriteBuffer dl.Func `sym:"clEnqueueWriteBuffer"`
	// "Retaining and Releasing Memory Objects": clReleaseMemObject.
	ReleaseMemObject dl.Func `sym:"clReleaseMemObject"`
	// "Shared Virtual Memory", since 2.0: clSVMAlloc, clSVMFree, clEnqueueSVMMap, clEnqueueSVMUnmap.
	SVMAlloc        dl.Func `sym:"clSVMAlloc" optional:"true"`
	SVMFree         dl.Func `sym:"clSVMFree" optional:"true"`
	EnqueueSVMMap   dl.Func `sym:"clEnqueueSVMMap" optional:"true"`
	EnqueueSVMUnmap dl.Func `sym:"clEnqueueSVMUnmap" optional:"true"`
	// "Program Objects": clCreateProgramWithSource, clBuildProgram, clGetProgramInfo,
	// clGetProgramBuildInfo, clReleaseProgram.
	CreateProgramWithSource dl.Func `sym:"clCreateProgramWithSource"`
	BuildProgram            dl.Func `sym:"clBuildProgram"`
	GetProgramInfo          dl.Func `sym:"clGetProgramInfo"`
	GetProgramBuildInfo     dl.Func `sym:"clGetProgramBuildInfo"`
	ReleaseProgram          dl.Func `sym:"clReleaseProgram"`
	// "Kernel Objects": clCreateKernel, clGetKernelInfo, clGetKernelWorkGroupInfo,
	// clReleaseKernel.
	CreateKernel           dl.Func `sym:"clCreateKernel"`
	GetKernelInfo          dl.Func `sym:"clGetKernelInfo"`
	GetKernelWorkGroupInfo dl.Func `sym:"clGetKernelWorkGroupInfo"`
	ReleaseKernel          dl.Func `sym:"clReleaseKernel"`
	// "Setting Kernel Arguments": clSetKernelArg; since 2.0 clSetKernelArgSVMPointer.
	SetKernelArg           dl.Func `sym:"clSetKernelArg"`
	SetKernelArgSVMPointer dl.Func `sym:"clSetKernelArgSVMPointer" optional:"true"`
	// "Executing Kernels": clEnqueueNDRangeKernel.
	EnqueueNDRangeKernel dl.Func `sym:"clEnqueueNDRangeKernel"`
	// "Event Objects": clGetEventInfo, clWaitForEvents, clReleaseEvent.
	GetEventInfo  dl.Func `sym:"clGetEventInfo"`
	WaitForEvents dl.Func `sym:"clWaitForEvents"`
	ReleaseEvent  dl.Func `sym:"clReleaseEvent"`
	// "Profiling Operations on Memory Objects and Kernels": clGetEventProfilingInfo.
	GetEventProfilingInfo dl.Func `sym:"clGetEventProfilingInfo"`
	// "Flush and Finish": clFlush, clFinish.
	Flush  dl.Func `sym:"clFlush"`
	Finish dl.Func `sym:"clFinish"`
}

// load opens the library once per process.
var load = sync.OnceValues(func() (*library, error) {
	file, err := dl.Open(dl.FromEnv(environment, libraryNames()...)...)
	if err != nil {
		return nil, &hal.Error{Op: "load the OpenCL library", Backend: backendName,
			Err: fmt.Errorf("%w: %w\n%s", hal.ErrUnavailable, err, remedy())}
	}
	l := new(library)
	if err := file.Bind(l); err != nil {
		return nil, &hal.Error{Op: "load the OpenCL library", Backend: backendName,
			Err: fmt.Errorf("%w: %w\n%s", hal.ErrUnavailable, errors.Join(err, file.Close()), remedy())}
	}
	return l, nil
})

func libraryNames() []string {
	switch runtime.GOOS {
	case "windows":
		return []string{"OpenCL.dll"}
	case "darwin":
		return []string{"/System/Library/Frameworks/OpenCL.framework/OpenCL"}
	}
	return []string{"libOpenCL.so.1", "libOpenCL.so"}
}

// remedy says what to install.
func remedy() string {
	switch runtime.GOOS {
	case "windows":
		return "OpenCL.dll comes with the graphics driver; " + environment + " names another one"
	case "darwin":
		return "OpenCL is part of macOS; " + environment + " names another library"
	}
	return "install a loader and a driver (Debian, Ubuntu: ocl-icd-libopencl1, and pocl-opencl-icd for the CPU or the GPU vendor's OpenCL package), " +
		"or name a library in " + environment
}

// frame is the argument list of a hot call, part of an object on the heap: a list made for
// the call would be an allocation. What the arguments point to is on the heap too and
// outlives the call by being part of the same operation.
type frame [9]uintptr

// query reads the variable-sized answer of a clGet...Info function. The object is one
// handle, or two where the answer is about an object on a device (second is 0 if not).
func query(f dl.Func, object, second uintptr, parameter uint32) ([]byte, int32) {
	ask := func(size uintptr, value *byte, need *uintptr) int32 {
		if second != 0 {
			return f.Int(object, second, uintptr(parameter), size, uintptr(unsafe.Pointer(value)), uintptr(unsafe.Pointer(need)))
		}
		return f.Int(object, uintptr(parameter), size, uintptr(unsafe.Pointer(value)), uintptr(unsafe.Pointer(need)))
	}
	var need uintptr
	if code := ask(0, nil, &need); code != success {
		return nil, code
	}
	if need == 0 {
		return nil, success
	}
	value := make([]byte, need)
	if code := ask(need, &value[0], nil); code != success {
		return nil, code
	}
	return value, success
}
