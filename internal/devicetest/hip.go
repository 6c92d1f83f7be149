package devicetest

import (
	"fmt"
	"os"
	"strings"

	"github.com/dialtone-gpu/dialtone/backend/hip/standin"
)

// hipLibrary is where package hip is told which library to load.
const hipLibrary = "DIALTONE_LIBAMDHIP"

// hipMissing is why nothing stands in for HIP.
var hipMissing error

// EmulateHIP has the hip backend load what stands in for AMD's runtime: hip:0 with waves of 32 lanes, hip:1 with waves of 64, both
// on this machine's cores. Call it before anything asks for devices. Where the variable names a library, or a GPU is to be
// tested, that is left alone; where nothing can stand in, hip's subtests are skipped with the reason.
func EmulateHIP() {
	wanted := os.Getenv(Variable)
	if os.Getenv(hipLibrary) != "" || wanted != "" && !strings.Contains(wanted, "hip:") || os.Getenv("DIALTONE_TEST_HIP") == "real" {
		return
	}
	path, err := standin.Build()
	if err != nil {
		hipMissing = fmt.Errorf("no HIP device, and nothing that stands in for one: %w", err)
		return
	}
	os.Setenv(hipLibrary, path) // and of child processes
}
