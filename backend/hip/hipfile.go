package hip

import (
	"errors"
	"fmt"
	"unsafe"

	"github.com/dialtone-gpu/dialtone/backend/stream"
	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/internal/dl"
	"github.com/dialtone-gpu/dialtone/internal/filesystem"
	"github.com/dialtone-gpu/dialtone/internal/gpufile"
)

// files is how libhipfile is known. The error numbers are hipFileOpError_t's: "hipFile API reference", "Error handling". Its direct path
// goes through the kernel driver, and only its other one, the fallback, through pread and pwrite: "I/O backends". The variables: "hipFile
// environment variables".
func (d *device) files() stream.Files {
	return stream.Files{
		Options: gpufile.Options{Backend: name, Prefix: "hipFile", NoCalls: true, Refusals: map[int]string{
			5001: "GPU IO driver not loaded", 5007: "platform not supported", 5008: "not supported on this file", 5009: "GPU not supported",
			5010: "GPU IO driver error", 5019: "unsupported file open flags", 5020: "O_DIRECT not set", 5025: "permission denied",
			5034: "prohibited by its configuration",
		}},
		Names: hipFileNames,
		Allow: "HIPFILE_ALLOW_COMPAT_MODE", Force: "HIPFILE_FORCE_COMPAT_MODE",
		Explain: d.explain,
	}
}

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
