package cuda

import (
	"fmt"
	"unsafe"

	"github.com/dialtone-gpu/dialtone/hal"
)

// deepen has threads have at least so many bytes of stack, and takes nothing away: cuCtxGetLimit, cuCtxSetLimit, page "Context
// Management". The driver sets memory aside for every thread that may be resident, until the context goes. It may wait for all
// that runs; the gate is held exclusively.
func (c *primary) deepen(source string, stack int) error {
	if stack == 0 {
		return nil
	}
	var have uintptr
	get := func() result {
		return code(c.api.CtxGetLimit.Call(uintptr(unsafe.Pointer(&have)), limitStackSize))
	}
	op := "cuCtxGetLimit"
	r := c.with(func() result {
		if r := get(); r != success || have >= uintptr(stack) {
			return r
		}
		op = "cuCtxSetLimit"
		if r := code(c.api.CtxSetLimit.Call(limitStackSize, uintptr(stack))); r != success {
			return r
		}
		op = "cuCtxGetLimit"
		return get() // the driver may have changed the value
	})
	switch {
	case r == success && have >= uintptr(stack):
		return nil
	case r == success || r == invalidValue || r == unsupportedLimit:
		e := c.api.failure(op, c.uri, r)
		e.Err = fmt.Errorf("%s needs %d bytes of stack for each work-item, the driver gives %d: %w", source, stack, have, hal.ErrUnsupported)
		return e
	}
	return c.fail(op+" to "+fmt.Sprint(stack)+" bytes of stack", r, nil)
}
