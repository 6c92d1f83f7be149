package hip

import (
	"errors"
	"strings"
	"testing"
	"unsafe"

	"github.com/dialtone-gpu/dialtone/backend/stream"
	"github.com/dialtone-gpu/dialtone/hal"
)

// TestStack: a module says how much stack it needs; what is set is never lowered, and what cannot be had is an error.
func TestStack(t *testing.T) {
	d := needStandIn(t)
	dev := open(t)
	g := dev.Driver().(*device)
	limit := func(g *device) (n uintptr) {
		r := g.With(func() result {
			return code(g.api.DeviceGetLimit.Call(uintptr(unsafe.Pointer(&n)), stream.LimitStackSize))
		})
		if r != success {
			t.Fatal(g.Fail("hipDeviceGetLimit", r))
		}
		return n
	}
	load := func(stack int) error {
		m, err := dev.Compile(t.Context(), hal.Source{Name: "deep", Text: addSource, Stack: stack})
		if err == nil {
			err = m.Close()
		}
		return err
	}
	first := limit(g)
	must(t, load(0))
	if n := limit(g); n != first {
		t.Errorf("%d bytes of stack, %d before a module that says nothing", n, first)
	}
	must(t, load(48<<10+8))
	deep := limit(g)
	if deep < 48<<10+8 {
		t.Errorf("%d bytes of stack", deep)
	}
	must(t, load(2048))
	if n := limit(g); n != deep {
		t.Errorf("%d bytes of stack after a module that needs less than %d", n, deep)
	}
	if err := load(1 << 30); !errors.Is(err, hal.ErrUnsupported) || !strings.Contains(err.Error(), "hipDeviceSetLimit") || !strings.Contains(err.Error(), "deep needs 1073741824 bytes") {
		t.Errorf("a GiB: %v", err)
	}
	for faults, want := range map[string]struct {
		err  error
		text string
	}{
		"hipDeviceSetLimit=2":   {hal.ErrOutOfMemory, "65536 bytes of stack"},
		"hipDeviceSetLimit=801": {hal.ErrUnsupported, "hipErrorNotSupported (801)"},
		"hipDeviceGetLimit=1":   {hal.ErrUnsupported, "hipDeviceGetLimit: hipErrorInvalidValue (1)"},
	} {
		standInFaults(t, d, faults)
		if err := load(64 << 10); !errors.Is(err, want.err) || !strings.Contains(err.Error(), want.text) {
			t.Errorf("%s: %v", faults, err)
		}
	}
	standInFaults(t, d, "")
	if n := limit(g); n != deep {
		t.Errorf("%d bytes of stack after errors, %d before", n, deep)
	}
	older, err := another(t, "-DhipDeviceSetLimit=gone1")
	must(t, err)
	old, err := older.open(0)
	must(t, err)
	defer old.Close()
	if _, err := old.Compile(t.Context(), hal.Source{Name: "deep", Text: addSource, Stack: 4096}); !errors.Is(err, hal.ErrUnsupported) || !strings.Contains(err.Error(), "HIP 5.3") {
		t.Errorf("before HIP 5.3: %v", err)
	}
	m, err := old.Compile(t.Context(), hal.Source{Name: "shallow", Text: addSource})
	must(t, err)
	must(t, m.Close())
}
