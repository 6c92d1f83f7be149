package hip

import (
	"context"
	"errors"
	"fmt"
	"os"
	"unsafe"

	"github.com/dialtone-gpu/dialtone/backend/stream"
	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/internal/dl"
	"github.com/dialtone-gpu/dialtone/internal/filesystem"
	"github.com/dialtone-gpu/dialtone/internal/gpufile"
)

// hipFile is how libhipfile is known. The error numbers are hipFileOpError_t's: "hipFile API reference", "Error handling". Its direct path
// goes through the kernel driver, and only its other one, the fallback, through pread and pwrite: "I/O backends".
var hipFile = gpufile.Options{Backend: name, Prefix: "hipFile", NoCalls: true, Refusals: map[int]string{
	5001: "GPU IO driver not loaded", 5007: "platform not supported", 5008: "not supported on this file", 5009: "GPU not supported",
	5010: "GPU IO driver error", 5019: "unsupported file open flags", 5020: "O_DIRECT not set", 5025: "permission denied",
	5034: "prohibited by its configuration",
}}

// hipFileInternal is what hipFile gives, too, when its direct path does not take a transfer and the fallback is off.
const hipFileInternal = 5030

// hipFileNames lists where libhipfile may be.
func hipFileNames() []string {
	names := append([]string{"libhipfile.so.0"}, rocm("libhipfile.so")...)
	return dl.FromEnv("DIALTONE_HIPFILE", append(names, "libhipfile.so")...)
}

// fileFunctions are those of the runtime library that hipFile's direct path needs: "Check system compatibility with ais-check".
var fileFunctions = []string{"hipAmdFileRead", "hipAmdFileWrite"}

// hasFunction asks the runtime for a function that no header has: hipGetProcAddress of the HIP runtime API reference, since HIP 6.
func (d *driver) hasFunction(name string) bool {
	if d.GetProcAddress == 0 {
		return false
	}
	text := dl.CString(name)
	var version, status int32 // status 0 is HIP_GET_PROC_ADDRESS_SUCCESS
	var address uintptr
	if code(d.RuntimeGetVersion.Call(uintptr(unsafe.Pointer(&version)))) != success {
		return false
	}
	r := code(d.GetProcAddress.Call(uintptr(unsafe.Pointer(&text[0])), uintptr(unsafe.Pointer(&address)), uintptr(version), 0, uintptr(unsafe.Pointer(&status))))
	return r == success && status == 0 && address != 0
}

// fileFacts are about direct transfers between storage and device memory. A library that is not there is an empty version.
func (d *driver) fileFacts() []hal.Fact {
	f := hal.Fact{Name: "hipfile", Source: "hipFileGetVersion"}
	if lib, err := dl.Open(hipFileNames()...); err == nil {
		var v [3]uint32 // major, minor, patch
		switch version := lib.Lookup("hipFileGetVersion"); {
		case version == 0:
			f.Error = lib.Path + " has no hipFileGetVersion"
		default:
			// hipFileError_t comes back by value in one register.
			if r := version.Call(uintptr(unsafe.Pointer(&v[0])), uintptr(unsafe.Pointer(&v[1])), uintptr(unsafe.Pointer(&v[2]))); uint32(r) != 0 {
				f.Error = fmt.Sprintf("code %d", uint32(r))
			} else {
				f.Value = fmt.Sprintf("%d.%d.%d (%s)", v[0], v[1], v[2], lib.Path)
			}
		}
	}
	facts := []hal.Fact{f}
	for _, name := range fileFunctions {
		f := hal.Fact{Name: name, Source: "hipGetProcAddress", Value: "0"}
		if d.hasFunction(name) {
			f.Value = "1"
		}
		facts = append(facts, f)
	}
	return facts
}

// readFile lets hipFile read a file into device memory, and compares. The fallback must be off, or what comes back
// may have been copied by the host.
func (d *device) readFile(_ context.Context, storage string) (string, error) {
	return d.moveFile(storage, "false", (*gpufile.Library).Read)
}

// writeFile lets hipFile write device memory to a file, and compares.
func (d *device) writeFile(_ context.Context, storage string) (string, error) {
	return d.moveFile(storage, "false", (*gpufile.Library).Write)
}

// readFileAnyhow lets hipFile read a file by whatever way it finds, and compares. The fallback must be on.
func (d *device) readFileAnyhow(_ context.Context, storage string) (string, error) {
	return d.moveFile(storage, "true", (*gpufile.Library).ReadAnyhow)
}

// copies are the variables that allow the fallback: "hipFile environment variables".
var copies = []string{allowCopies, "HIPFILE_FORCE_COMPAT_MODE"}

const allowCopies = "HIPFILE_ALLOW_COMPAT_MODE"

// moveFile does it if the environment allows copies by the host, "true", or forbids them, "false".
func (d *device) moveFile(storage, allowed string, move func(*gpufile.Library, string, gpufile.Memory) (string, error)) (string, error) {
	for _, v := range copies {
		switch set := os.Getenv(v); {
		case allowed == "false" && set != "false":
			return "", fmt.Errorf("%s is not false: a copy by the host could pass for DMA", v)
		case allowed == "true" && v == allowCopies && set != "true":
			return "", fmt.Errorf("%s is not true: a copy by the host may be refused", v)
		}
	}
	lib, err := gpufile.Load(hipFile, hipFileNames()...)
	if err != nil {
		return "", err
	}
	memory, err := d.Alloc(hal.DeviceMemory, gpufile.Size)
	if err != nil {
		return "", err
	}
	defer memory.Free()
	q, err := d.NewQueue()
	if err != nil {
		return "", err
	}
	defer q.Close()
	detail, err := move(lib, storage, gpufile.Memory{
		Address: memory.(*stream.Buffer).Address(),
		Bind: func() error {
			if r := d.SetCurrent(); r != success {
				return d.Fail("hipSetDevice", r)
			}
			return nil
		},
		Get: func(p []byte) error { return stream.Finish(q, q.Read(p, memory, 0)) },
		Put: func(p []byte) error { return stream.Finish(q, q.Write(memory, 0, p)) },
	})
	if allowed == "true" {
		return detail, err
	}
	return detail, d.explain(err, storage)
}

// explain finds out what hipFile's internal error is about: its direct path needs functions of the runtime, and a file on ext4 or xfs
// ("Filesystem and file type requirements").
func (d *device) explain(err error, storage string) error {
	var e *hal.Error
	if !errors.As(err, &e) || e.Code != hipFileInternal {
		return err
	}
	for _, name := range fileFunctions {
		if !d.api.hasFunction(name) {
			return fmt.Errorf("%w: the HIP runtime has no %s: %w", err, name, hal.ErrUnsupported)
		}
	}
	if fs := filesystem.Name(storage); fs != "ext4" && fs != "xfs" {
		return fmt.Errorf("%w: its direct path takes files on ext4 and xfs, this is %s: %w", err, fs, hal.ErrUnsupported)
	}
	return fmt.Errorf("%w, which it also gives for a transfer that its direct path does not take", err)
}
