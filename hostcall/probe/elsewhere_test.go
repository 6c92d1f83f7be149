package probe_test

import (
	"testing"

	"github.com/dialtone-gpu/dialtone/internal/devicetest"
)

// onDevices are the tests that probe the devices of the machine.
const onDevices = "^Test(Devices|Cancelled|NothingIsLeftBehind|Survey|Declared)$"

func TestOclgrind(t *testing.T) {
	devicetest.Elsewhere(t, devicetest.Oclgrind, onDevices, "OCLGRIND_CHECK_API=1")
}

func TestRusticl(t *testing.T) { devicetest.Elsewhere(t, devicetest.Rusticl, onDevices) }
