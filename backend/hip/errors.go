package hip

import (
	"errors"
	"fmt"

	"github.com/dialtone-gpu/dialtone/backend/stream"
	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/internal/dl"
)

// result is a hipError_t or a hiprtcResult.
type result = stream.Result

func code(r uintptr) result { return stream.Code(r) }

// hipError_t of hip_runtime_api.h, the same in HIP 5, 6 and 7: those that CUDA does not share.
const (
	success                   = stream.Success
	insufficientDriver result = 35
	noDevice           result = 100
	invalidDevice      result = 101
	invalidImage       result = 200
	noBinary           result = 209
	invalidKernelFile  result = 218
	initFailed         result = 303
	outOfResources     result = 701
)

// faults are the codes after which the device is of no more use to the process, each with its cause in plain words.
var faults = map[result]string{
	4:   "the driver is shutting down",
	214: "uncorrectable memory error",
	700: "illegal address",
	702: "the kernel ran for too long",
	709: "the context was destroyed",
	710: "assertion in the kernel",
	719: "trap or launch failure",
}

// codeNames serve where the driver cannot be asked or does not know its own code.
var codeNames = map[result]string{
	2: "hipErrorOutOfMemory", 3: "hipErrorNotInitialized", 100: "hipErrorNoDevice", 101: "hipErrorInvalidDevice",
	700: "hipErrorIllegalAddress", 719: "hipErrorLaunchFailure", 999: "hipErrorUnknown",
}

// errorName asks the driver: hipGetErrorName, "Error Handling" of the HIP runtime API reference.
func (d *driver) errorName(r result) string {
	if s := dl.GoString(d.GetErrorName.Call(uintptr(r))); s != "" {
		return s
	}
	return codeNames[r]
}

// failure is what the driver said about op.
func (d *driver) failure(op, device string, r result) *hal.Error {
	e := &hal.Error{Op: op, Backend: name, Device: device, Code: int(r), Name: d.errorName(r)}
	switch r {
	case stream.OutOfMemory:
		e.Err = hal.ErrOutOfMemory
	case noDevice, invalidDevice:
		e.Err = hal.ErrNoDevice
	case outOfResources:
		e.Err = fmt.Errorf("the group needs more registers or shared memory than there are: %w", hal.ErrInvalid)
	}
	if cause, ok := faults[r]; ok {
		e.Err = fmt.Errorf("%s: %w", cause, hal.ErrDeviceLost)
	}
	return e
}

// fail is what hiprtc said about op: hiprtcGetErrorString, hiprtc.h.
func (c *compiler) fail(op string, r result, cause error) error {
	return &hal.Error{Op: op, Backend: name, Code: int(r), Name: dl.GoString(c.GetErrorString.Call(uintptr(r))), Err: cause}
}

// refused reports whether the driver rejects the code itself, as opposed to having no room for it.
func refused(err error) bool {
	var e *hal.Error
	if !errors.As(err, &e) {
		return false
	}
	switch result(e.Code) {
	case invalidImage, noBinary, invalidKernelFile, initFailed, stream.NotFound:
		return true
	}
	return false
}
