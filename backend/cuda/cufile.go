package cuda

import (
	"github.com/dialtone-gpu/dialtone/backend/stream"
	"github.com/dialtone-gpu/dialtone/internal/dl"
	"github.com/dialtone-gpu/dialtone/internal/gpufile"
)

// cuFile is how libcufile is known. The error numbers are CUfileOpError's; the variables, "cuFile API Reference Guide", "Environment
// variables". A cufile.json may forbid copies all the same.
var cuFile = stream.Files{
	Options: gpufile.Options{Backend: name, Prefix: "cuFile", Refusals: map[int]string{
		5001: "driver not initialized", 5002: "invalid driver properties", 5004: "driver version mismatch", 5007: "platform not supported",
		5008: "IO not supported on this file system", 5009: "device not supported", 5010: "nvidia-fs driver error", 5011: "CUDA driver error",
		5019: "invalid file open flags", 5020: "direct IO not set", 5025: "permission denied",
	}},
	Names: func() []string {
		return dl.FromEnv("DIALTONE_CUFILE", "libcufile.so.0", "libcufile.so", "/usr/local/cuda/lib64/libcufile.so.0")
	},
	Allow: "CUFILE_ALLOW_COMPAT_MODE", Force: "CUFILE_FORCE_COMPAT_MODE",
}
