package devicetest

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/dialtone-gpu/dialtone/internal/metaltest"
)

// metalMissing is why nothing stands in for Metal.
var metalMissing error

// metalFolder is where its stand-in keeps what it makes; Main removes it.
var metalFolder string

// EmulateMetal has the metal backend load what stands in for Metal, as metal:0 on this machine's cores. Call it before anything asks for
// devices. macOS has the real one; where nothing can stand in, metal's subtests are skipped with the reason.
func EmulateMetal() {
	wanted := os.Getenv(Variable)
	if runtime.GOOS == "darwin" || wanted != "" && !strings.Contains(wanted, "metal:") {
		return
	}
	if underRace && wanted == "" { // to the detector this device is the cpu device once more
		metalMissing = errors.New("not under the race detector, unless it is named")
		return
	}
	folder, err := os.MkdirTemp("", "dialtone-metal-")
	if err == nil {
		metalFolder = folder
		_, err = metaltest.Use(folder)
	}
	if err != nil {
		metalMissing = fmt.Errorf("no Metal, and nothing that stands in for it: %w", err)
	}
}
