package hip

import (
	"fmt"
	"unsafe"

	"github.com/dialtone-gpu/dialtone/hal"
)

// deepen has work-items have at least so many bytes of stack, and takes nothing away: hipDeviceGetLimit, hipDeviceSetLimit, "Device
// Management". Setting it may wait for all that runs; the gate is held exclusively.
func (g *gpu) deepen(source string, stack int) error {
	if stack == 0 {
		return nil
	}
	if g.api.DeviceGetLimit == 0 || g.api.DeviceSetLimit == 0 {
		return fmt.Errorf("%s: %s needs %d bytes of stack for each work-item, and HIP %v cannot be told: HIP 5.3 or newer would do: %w",
			g.uri, source, stack, g.api.version, hal.ErrUnsupported)
	}
	var have uintptr
	get := func() result {
		return code(g.api.DeviceGetLimit.Call(uintptr(unsafe.Pointer(&have)), limitStackSize))
	}
	op := "hipDeviceGetLimit"
	r := g.with(func() result {
		if r := get(); r != success || have >= uintptr(stack) {
			return r
		}
		op = "hipDeviceSetLimit"
		if r := code(g.api.DeviceSetLimit.Call(limitStackSize, uintptr(stack))); r != success {
			return r
		}
		op = "hipDeviceGetLimit"
		return get() // the driver may have changed the value
	})
	switch {
	case r == success && have >= uintptr(stack):
		return nil
	case r == success || r == invalidValue || r == unsupportedLimit || r == notSupported:
		e := g.api.failure(op, g.uri, r)
		e.Err = fmt.Errorf("%s needs %d bytes of stack for each work-item, the driver gives %d: %w", source, stack, have, hal.ErrUnsupported)
		return e
	}
	return g.fail(op+" to "+fmt.Sprint(stack)+" bytes of stack", r, nil)
}
