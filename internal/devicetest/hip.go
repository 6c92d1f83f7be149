package devicetest

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/dialtone-gpu/dialtone/backend/hip/standin"
	"github.com/dialtone-gpu/dialtone/hal"
)

// hipLibrary is where package hip is told which library to load.
const hipLibrary = "DIALTONE_LIBAMDHIP"

// hipMissing is why nothing stands in for HIP.
var hipMissing error

// EmulateHIP has the hip backend load what stands in for AMD's runtime: hip:0 with waves of 32 lanes, hip:1 with waves of 64, both
// on this machine's cores. Call it before anything asks for devices. Where a library is named, or AMD's driver is there, those are
// tested instead; where nothing can stand in, hip's subtests are skipped with the reason.
func EmulateHIP() {
	wanted := os.Getenv(Variable)
	if _, err := os.Stat("/dev/kfd"); err == nil || os.Getenv(hipLibrary) != "" || wanted != "" && !strings.Contains(wanted, "hip:") {
		return
	}
	if underRace && wanted == "" { // to the detector these devices are the cpu device once more
		hipMissing = errors.New("not under the race detector, unless it is named")
		return
	}
	path, err := standin.Build()
	if err != nil {
		hipMissing = fmt.Errorf("no HIP device, and nothing that stands in for one: %w", err)
		return
	}
	os.Setenv(hipLibrary, path) // and of child processes
}

// StandIn is the library that stands in for AMD's runtime, for package standin to order its faults; the test is skipped on other devices.
func StandIn(t testing.TB, dev *hal.Device) string {
	t.Helper()
	if i := dev.Info(); i.Backend != "hip" || !i.Sim {
		t.Skipf("%s: only what stands in for HIP fails to order", i.URI)
	}
	return os.Getenv(hipLibrary)
}
