// Package devicetest gives tests the devices of this machine, and what tests on devices need: a child
// process for what a process does not survive, and a check that nothing is left behind.
//
// The devices are all those of hal.Devices: cpu:0, each opencl:* and cuda:*. The variable
// DIALTONE_TEST_DEVICES narrows them ("cpu:0,cuda:0"). A device that is named there must be
// there; one that is merely missing on this machine makes its subtest skip with the reason.
package devicetest

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	_ "github.com/dialtone-gpu/dialtone/backend/all" // every device that this machine has
	"github.com/dialtone-gpu/dialtone/hal"
)

// Variable narrows the devices.
const Variable = "DIALTONE_TEST_DEVICES"

// entry is a device under test, opened at its first use and open until the process ends.
type entry struct {
	uri    string
	absent error // why there is none
	once   sync.Once
	device *hal.Device
}

var list = sync.OnceValue(func() []*entry {
	infos, missing := hal.Devices(context.Background())
	var all []*entry
	if wanted := os.Getenv(Variable); wanted != "" {
		for _, uri := range strings.Split(wanted, ",") {
			all = append(all, &entry{uri: uri})
		}
		return all
	}
	for _, i := range infos {
		all = append(all, &entry{uri: i.URI})
	}
	for _, name := range hal.Backends() {
		if err, ok := missing[name]; ok && !slices.ContainsFunc(infos, func(i hal.Info) bool { return i.Backend == name }) {
			if name == "hip" && hipMissing != nil {
				err = hipMissing
			}
			if name == "metal" && metalMissing != nil {
				err = metalMissing
			}
			all = append(all, &entry{uri: name, absent: err})
		}
	}
	return all
})

func (e *entry) open(t testing.TB) *hal.Device {
	t.Helper()
	if e.absent != nil {
		t.Skipf("no %s device: %v", e.uri, e.absent)
	}
	e.once.Do(func() { e.device, e.absent = hal.Open(context.Background(), e.uri) })
	if e.absent != nil {
		t.Fatalf("%s: %v", e.uri, e.absent)
	}
	return e.device
}

// ForEach runs a subtest on every device, under the device's URI. A backend without a
// device here is a subtest that is skipped.
func ForEach(t *testing.T, f func(t *testing.T, dev *hal.Device)) {
	t.Helper()
	for _, e := range list() {
		t.Run(e.uri, func(t *testing.T) {
			dev := e.open(t)
			f(t, dev)
		})
	}
}

// Get gives one device and skips the test where it is not under test.
func Get(t testing.TB, uri string) *hal.Device {
	t.Helper()
	for _, e := range list() {
		if e.uri == uri {
			return e.open(t)
		}
	}
	t.Skipf("%s is not among the devices under test: %s", uri, strings.Join(URIs(), ", "))
	return nil
}

// All gives every device that is there.
func All(t testing.TB) []*hal.Device {
	t.Helper()
	var all []*hal.Device
	for _, e := range list() {
		if e.absent == nil {
			all = append(all, e.open(t))
		}
	}
	return all
}

// URIs lists the devices under test that are there.
func URIs() []string {
	var all []string
	for _, e := range list() {
		if e.absent == nil {
			all = append(all, e.uri)
		}
	}
	return all
}

// Fragile reports that a kernel that faults ends the process that launched it: drivers that run
// kernels on threads of their own inside this process catch no signals, and AMD's runtime ends the process itself.
func Fragile(dev *hal.Device) bool {
	info := dev.Info()
	if info.Backend == "hip" {
		return !info.Sim // what stands in for it reports the fault
	}
	return info.HostCPU && info.Backend != "cpu"
}

// Main runs a package's tests and tells which devices they had.
func Main(m *testing.M) {
	onlyPlatform()
	code := m.Run()
	if err := endMetal(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	if os.Getenv(childVariable) == "" {
		var skipped []string
		for _, e := range list() {
			if e.absent != nil {
				skipped = append(skipped, fmt.Sprintf("%s (%s)", e.uri, firstLine(e.absent)))
			}
		}
		fmt.Printf("devices under test: %s", strings.Join(URIs(), ", "))
		if skipped != nil {
			fmt.Printf("; none of: %s", strings.Join(skipped, ", "))
		}
		fmt.Println()
	}
	os.Exit(code)
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	if len(line) > 100 {
		line = line[:100] + "..."
	}
	return line
}
