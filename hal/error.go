package hal

import (
	"errors"
	"fmt"
	"strings"
)

// Sentinels, for errors.Is.
var (
	// ErrUnavailable: the backend's driver library, compiler or hardware is not
	// on this machine. The message says what was tried and what to install.
	ErrUnavailable = errors.New("not available on this machine")
	// ErrUnsupported: this device cannot do what was asked.
	ErrUnsupported = errors.New("not supported by this device")
	// ErrNoDevice: no device answers to the URI.
	ErrNoDevice = errors.New("no such device")
	// ErrOutOfMemory: the device or the host has no memory left for it.
	ErrOutOfMemory = errors.New("out of memory")
	// ErrDeviceLost: a kernel faulted or the device disappeared; every later
	// operation on the Device fails, memory visible to the host stays readable.
	ErrDeviceLost = errors.New("device lost")
	// ErrClosed: the object was closed.
	ErrClosed = errors.New("use of a closed object")
	// ErrInvalid: an argument makes no sense, whatever the device.
	ErrInvalid = errors.New("invalid argument")
)

// Error is what a driver said about one operation.
type Error struct {
	Op      string // the foreign function or step, e.g. "cuLaunchKernel"
	Backend string // "cuda", "opencl", "cpu"
	Device  string // URI, or empty before a device is open
	Kernel  string // the kernel concerned, or empty
	Code    int    // the driver's own code, 0 if there is none
	Name    string // the driver's name for the code, e.g. "CUDA_ERROR_ILLEGAL_ADDRESS"
	Err     error  // a sentinel of this package or another cause; may be nil
}

// Error renders "cuda:0: kernel grep: cuStreamQuery: CUDA_ERROR_ILLEGAL_ADDRESS (700): device lost".
func (e *Error) Error() string {
	var b strings.Builder
	switch {
	case e.Device != "":
		b.WriteString(e.Device + ": ")
	case e.Backend != "":
		b.WriteString(e.Backend + ": ")
	}
	if e.Kernel != "" {
		b.WriteString("kernel " + e.Kernel + ": ")
	}
	b.WriteString(e.Op)
	if e.Name != "" || e.Code != 0 {
		if e.Name != "" {
			fmt.Fprintf(&b, ": %s (%d)", e.Name, e.Code)
		} else {
			fmt.Fprintf(&b, ": code %d", e.Code)
		}
	}
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	return b.String()
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// CompileError is a kernel that does not compile.
type CompileError struct {
	Device string // URI
	Source string // the source's name
	Log    string // the compiler's own words, with the user's line numbers
}

// Error gives the log under a line that names source and device.
func (e *CompileError) Error() string {
	return fmt.Sprintf("%s does not compile for %s:\n%s", e.Source, e.Device, strings.TrimRight(e.Log, "\n"))
}
