package devicetest

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/dialtone-gpu/dialtone/internal/metaltest"
)

// metalMissing is why nothing stands in for Metal.
var metalMissing error

// metal is what stands in for it, nil if nothing does, and metalEnd removes what it made.
var (
	metal    *metaltest.StandIn
	metalEnd = func() error { return nil }
)

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
	var err error
	if metal, metalEnd, err = metaltest.Use(); err != nil {
		metalMissing = fmt.Errorf("no Metal, and nothing that stands in for it: %w", err)
	}
}

// endMetal ends what stands in for Metal, if something does, and reports objects that nobody released: of the devices under test one
// is open until the process ends.
func endMetal() error {
	var left error
	if metal != nil && os.Getenv(childVariable) == "" { // a child process may leave launches behind
		n, what := metal.Live()
		for deadline := time.Now().Add(5 * time.Second); n > 0 && what != "1 MTLDevice " && time.Now().Before(deadline); n, what = metal.Live() {
			time.Sleep(time.Millisecond)
		}
		if n > 0 && what != "1 MTLDevice " {
			left = fmt.Errorf("objects of Metal are left behind: %s", what)
		}
	}
	return errors.Join(left, metalEnd())
}
