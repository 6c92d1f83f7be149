package cuda

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"unsafe"

	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/internal/dl"
	"github.com/dialtone-gpu/dialtone/internal/filesystem"
)

// cufileTable is what is used of libcufile, from the "cuFile API Reference Guide", sections "cuFile Driver APIs",
// "cuFile Synchronous IO APIs" and "cuFile Library APIs". All of it is called by the host: no kernel can.
type cufileTable struct {
	DriverOpen       dl.Func `sym:"cuFileDriverOpen"`
	DriverClose      dl.Func `sym:"cuFileDriverClose_v2,cuFileDriverClose"`
	HandleRegister   dl.Func `sym:"cuFileHandleRegister"`
	HandleDeregister dl.Func `sym:"cuFileHandleDeregister"`
	BufRegister      dl.Func `sym:"cuFileBufRegister"`
	BufDeregister    dl.Func `sym:"cuFileBufDeregister"`
	Read             dl.Func `sym:"cuFileRead"`
	Write            dl.Func `sym:"cuFileWrite"`
}

// cufileDescriptor is CUfileDescr_t.
type cufileDescriptor struct {
	kind       int32 // CU_FILE_HANDLE_TYPE_OPAQUE_FD
	_          int32
	descriptor int32
	_          int32
	operations uintptr // 0: those of the library
}

const cufileOpaque = 1 // CU_FILE_HANDLE_TYPE_OPAQUE_FD

// cufileCode is the first half of a CUfileError_t, which comes back by value in one register; the other is a CUresult.
func cufileCode(r uintptr) int { return int(int32(uint32(r))) }

// cufileNames are the CUfileOpError codes that say what a machine lacks.
var cufileNames = map[int]string{
	5001: "driver not initialized", 5002: "invalid driver properties", 5004: "driver version mismatch", 5007: "platform not supported",
	5008: "IO not supported on this file system", 5009: "device not supported", 5010: "nvidia-fs driver error", 5011: "CUDA driver error",
	5019: "invalid file open flags", 5020: "direct IO not set", 5025: "permission denied",
}

func cufileError(op string, code int) error {
	e := &hal.Error{Op: op, Backend: name, Code: code, Name: cufileNames[code]}
	if _, known := cufileNames[code]; known {
		e.Err = hal.ErrUnsupported
	}
	return e
}

// transferSize is a multiple of every block size in use.
const transferSize = 1 << 20

// readFile lets cuFile read a file into device memory, and compares. The compatibility mode must be off, or what comes
// back may have been copied by the host.
func (d *device) readFile(_ context.Context, storage string) (string, error) {
	return d.transfer(storage, func(f *cufileTable, handle, device uintptr, path string, b *buffer) error {
		want := transferPattern(1)
		if n := f.move(f.Read, handle, device, transferSize); n != transferSize {
			return cufileResult("cuFileRead", n)
		}
		return d.compare(b, want)
	}, transferPattern(1))
}

// writeFile lets cuFile write device memory to a file, and compares.
func (d *device) writeFile(_ context.Context, storage string) (string, error) {
	return d.transfer(storage, func(f *cufileTable, handle, device uintptr, path string, b *buffer) error {
		want := transferPattern(2)
		q, err := d.NewQueue()
		if err != nil {
			return err
		}
		defer q.Close()
		if err := finish(q, q.Write(b, 0, want)); err != nil {
			return err
		}
		if n := f.move(f.Write, handle, device, transferSize); n != transferSize {
			return cufileResult("cuFileWrite", n)
		}
		got, err := os.ReadFile(path)
		if err == nil && !bytes.Equal(got, want) {
			err = fmt.Errorf("the file has other bytes than were written: %w", hal.ErrUnsupported)
		}
		return err
	}, make([]byte, transferSize))
}

// move is cuFileRead or cuFileWrite: ssize_t (handle, device pointer, size, file offset, device offset).
func (f *cufileTable) move(op dl.Func, handle, device uintptr, size int) int {
	return int(op.Call(handle, device, uintptr(size), 0, 0))
}

// cufileResult is the error of a transfer that did not move all: -1 is a system error, less the negative CUfileOpError.
func cufileResult(op string, n int) error {
	if n < -1 {
		return cufileError(op, -n)
	}
	return &hal.Error{Op: op, Backend: name, Err: fmt.Errorf("gave %d instead of %d bytes", n, transferSize)}
}

// transferPattern is bytes that depend on their position.
func transferPattern(seed uint32) []byte {
	b := make([]byte, transferSize)
	for i := range b {
		b[i] = byte((uint32(i)*2654435761 + seed) >> 24)
	}
	return b
}

// compare reads device memory back by a way that has nothing to do with cuFile.
func (d *device) compare(b *buffer, want []byte) error {
	q, err := d.NewQueue()
	if err != nil {
		return err
	}
	defer q.Close()
	got := make([]byte, len(want))
	if err := finish(q, q.Read(got, b, 0)); err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("other bytes arrived than the file has: %w", hal.ErrUnsupported)
	}
	return nil
}

// transfer prepares a file and memory for cuFile, and takes everything down again.
func (d *device) transfer(storage string, do func(f *cufileTable, handle, device uintptr, path string, b *buffer) error, content []byte) (detail string, err error) {
	for _, v := range []string{"CUFILE_ALLOW_COMPAT_MODE", "CUFILE_FORCE_COMPAT_MODE"} {
		if os.Getenv(v) != "false" {
			return "", fmt.Errorf("%s is not false: a copy by the host could pass for DMA", v)
		}
	}
	lib, err := dl.Open(dl.FromEnv("DIALTONE_CUFILE", "libcufile.so.0", "libcufile.so", "/usr/local/cuda/lib64/libcufile.so.0")...)
	if err != nil {
		return "", fmt.Errorf("libcufile cannot be loaded: %w: %w", err, hal.ErrUnsupported)
	}
	f := new(cufileTable)
	if err := lib.Bind(f); err != nil {
		return "", fmt.Errorf("libcufile is too old: %w: %w", err, hal.ErrUnsupported)
	}
	path := filepath.Join(storage, fmt.Sprintf("dialtone-transfer-%d", os.Getpid()))
	file, err := openDirect(path, content)
	if err != nil {
		return "", fmt.Errorf("a file to transfer: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close(), os.Remove(path)) }()
	memory, err := d.Alloc(hal.DeviceMemory, transferSize)
	if err != nil {
		return "", err
	}
	b := memory.(*buffer)
	defer func() { err = errors.Join(err, b.Free()) }()

	// Every call needs the context, and the library keeps state of the thread.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if r := code(d.context.api.CtxSetCurrent.Call(d.context.handle)); r != success {
		return "", d.context.fail("cuCtxSetCurrent", r, nil)
	}
	if c := cufileCode(f.DriverOpen.Call()); c != 0 {
		return "", cufileError("cuFileDriverOpen", c)
	}
	defer f.DriverClose.Call()
	descriptor := &cufileDescriptor{kind: cufileOpaque, descriptor: int32(file.Fd())}
	var handle uintptr
	if c := cufileCode(f.HandleRegister.Call(uintptr(unsafe.Pointer(&handle)), uintptr(unsafe.Pointer(descriptor)))); c != 0 {
		return "", cufileError("cuFileHandleRegister", c)
	}
	defer f.HandleDeregister.Call(handle)
	if c := cufileCode(f.BufRegister.Call(b.device, transferSize, 0)); c != 0 {
		return "", cufileError("cuFileBufRegister", c)
	}
	defer f.BufDeregister.Call(b.device)
	if err := do(f, handle, b.device, path, b); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d bytes of a file on %s, compatibility mode off, byte for byte", transferSize, filesystem.Name(path)), nil
}
