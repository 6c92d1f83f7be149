package cuda

import (
	"errors"
	"fmt"
	"unsafe"

	"github.com/dialtone-gpu/dialtone/backend/stream"
	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/internal/dl"
)

// result is a CUresult or an nvrtcResult.
type result = stream.Result

func code(r uintptr) result { return stream.Code(r) }

// CUresult, page "Data types used by CUDA driver": those that HIP does not share.
const (
	success               = stream.Success
	stubLibrary    result = 34
	noDevice       result = 100
	invalidDevice  result = 101
	invalidImage   result = 200
	noBinary       result = 209
	invalidPTX     result = 218
	unsupportedPTX result = 222
	outOfResources result = 701
	notPermitted   result = 800
	driverMismatch result = 803
)

// faults are the codes after which the context is of no more use, each with its cause in plain words.
var faults = map[result]string{
	4:   "the driver is shutting down",
	46:  "the device is unavailable",
	201: "the context is gone",
	214: "uncorrectable memory error",
	220: "uncorrectable NVLink error",
	226: "the device was contained after an error",
	700: "illegal address",
	702: "the kernel ran longer than the display's watchdog allows",
	709: "the context was destroyed",
	710: "assertion in the kernel",
	714: "stack error",
	715: "illegal instruction",
	716: "misaligned address",
	717: "invalid address space",
	718: "invalid program counter",
	719: "trap or launch failure",
}

// codeNames serve where the driver cannot be asked or does not know its own code.
var codeNames = map[result]string{
	2: "CUDA_ERROR_OUT_OF_MEMORY", 3: "CUDA_ERROR_NOT_INITIALIZED", 34: "CUDA_ERROR_STUB_LIBRARY",
	100: "CUDA_ERROR_NO_DEVICE", 101: "CUDA_ERROR_INVALID_DEVICE", 700: "CUDA_ERROR_ILLEGAL_ADDRESS",
	803: "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH", 999: "CUDA_ERROR_UNKNOWN",
}

// errorName asks the driver: cuGetErrorName, page "Error Handling".
func (d *driver) errorName(r result) string {
	var p uintptr
	if code(d.GetErrorName.Call(uintptr(r), uintptr(unsafe.Pointer(&p)))) == success && p != 0 {
		return dl.GoString(p)
	}
	return codeNames[r]
}

// failure is what the driver said about op.
func (d *driver) failure(op, device string, r result) *hal.Error {
	e := &hal.Error{Op: op, Backend: name, Device: device, Code: int(r), Name: d.errorName(r)}
	switch r {
	case stream.OutOfMemory:
		e.Err = hal.ErrOutOfMemory
	case invalidDevice:
		e.Err = hal.ErrNoDevice
	case outOfResources:
		e.Err = fmt.Errorf("the group needs more registers or shared memory than there are: %w", hal.ErrInvalid)
	}
	if cause, ok := faults[r]; ok {
		e.Err = fmt.Errorf("%s: %w", cause, hal.ErrDeviceLost)
	}
	return e
}

// fail is what NVRTC said about op: nvrtcGetErrorString, section "Error Handling".
func (c *compiler) fail(op string, r result, cause error) error {
	return &hal.Error{Op: op, Backend: name, Code: int(r), Name: dl.GoString(c.GetErrorString.Call(uintptr(r))), Err: cause}
}

// refused reports whether the driver rejects the code itself, as opposed to having no room for it.
func refused(err error) bool {
	var ce *hal.CompileError
	if errors.As(err, &ce) {
		return true // of PTX, by the driver
	}
	var e *hal.Error
	if !errors.As(err, &e) {
		return false
	}
	switch result(e.Code) {
	case invalidImage, noBinary, invalidPTX, unsupportedPTX, stream.NotFound:
		return true
	}
	return false
}
