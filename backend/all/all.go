// Package all registers every backend with package hal.
package all

import (
	_ "github.com/dialtone-gpu/dialtone/backend/cpu"    // the host's own cores
	_ "github.com/dialtone-gpu/dialtone/backend/cuda"   // NVIDIA
	_ "github.com/dialtone-gpu/dialtone/backend/hip"    // AMD
	_ "github.com/dialtone-gpu/dialtone/backend/metal"  // Apple
	_ "github.com/dialtone-gpu/dialtone/backend/opencl" // any vendor's OpenCL
)
