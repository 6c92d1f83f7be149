package cuda

import (
	"context"
	"fmt"
	"os"

	"github.com/dialtone-gpu/dialtone/backend/stream"
	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/internal/dl"
	"github.com/dialtone-gpu/dialtone/internal/gpufile"
)

// cufile is how libcufile is known. The error numbers are CUfileOpError's.
var cufile = gpufile.Options{Backend: name, Prefix: "cuFile", Refusals: map[int]string{
	5001: "driver not initialized", 5002: "invalid driver properties", 5004: "driver version mismatch", 5007: "platform not supported",
	5008: "IO not supported on this file system", 5009: "device not supported", 5010: "nvidia-fs driver error", 5011: "CUDA driver error",
	5019: "invalid file open flags", 5020: "direct IO not set", 5025: "permission denied",
}}

// readFile lets cuFile read a file into device memory, and compares. The compatibility mode must be off, or what comes
// back may have been copied by the host.
func (d *device) readFile(_ context.Context, storage string) (string, error) {
	return d.moveFile(storage, "false", (*gpufile.Library).Read)
}

// writeFile lets cuFile write device memory to a file, and compares.
func (d *device) writeFile(_ context.Context, storage string) (string, error) {
	return d.moveFile(storage, "false", (*gpufile.Library).Write)
}

// readFileAnyhow lets cuFile read a file by whatever way it finds, and compares. The compatibility mode must be on, which it need not be
// where a cufile.json says otherwise.
func (d *device) readFileAnyhow(_ context.Context, storage string) (string, error) {
	return d.moveFile(storage, "true", (*gpufile.Library).ReadAnyhow)
}

// copies are the variables that allow the compatibility mode: "cuFile API Reference Guide", "Environment variables".
var copies = []string{allowCopies, "CUFILE_FORCE_COMPAT_MODE"}

const allowCopies = "CUFILE_ALLOW_COMPAT_MODE"

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
	lib, err := gpufile.Load(cufile, dl.FromEnv("DIALTONE_CUFILE", "libcufile.so.0", "libcufile.so", "/usr/local/cuda/lib64/libcufile.so.0")...)
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
	return move(lib, storage, gpufile.Memory{
		Address: memory.(*stream.Buffer).Address(),
		Bind: func() error {
			if r := d.SetCurrent(); r != success {
				return d.Fail("cuCtxSetCurrent", r)
			}
			return nil
		},
		Get: func(p []byte) error { return stream.Finish(q, q.Read(p, memory, 0)) },
		Put: func(p []byte) error { return stream.Finish(q, q.Write(memory, 0, p)) },
	})
}
