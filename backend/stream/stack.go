package stream

import (
	"fmt"
	"unsafe"

	"github.com/dialtone-gpu/dialtone/hal"
)

// deepen has work-items have at least so many bytes of stack, and takes nothing away: GetLimit, SetLimit. The driver sets memory aside for
// every work-item that may be resident, until the context goes. It may wait for all that runs; the gate is held exclusively.
func (d *Device) deepen(source string, stack int) error {
	if stack == 0 {
		return nil
	}
	api := d.driver
	if api.GetLimit.Func == 0 || api.SetLimit.Func == 0 {
		return fmt.Errorf("%s: %s needs %d bytes of stack for each work-item, and %s: %w", d.uri, source, stack, api.NoStack, hal.ErrUnsupported)
	}
	var have uintptr
	get := func() Result { return Code(api.GetLimit.Call(uintptr(unsafe.Pointer(&have)), LimitStackSize)) }
	op := api.GetLimit.Name
	r := d.With(func() Result {
		if r := get(); r != Success || have >= uintptr(stack) {
			return r
		}
		op = api.SetLimit.Name
		if r := Code(api.SetLimit.Call(LimitStackSize, uintptr(stack))); r != Success {
			return r
		}
		op = api.GetLimit.Name
		return get() // the driver may have changed the value
	})
	switch {
	case r == Success && have >= uintptr(stack):
		return nil
	case r == Success || r == InvalidValue || r == UnsupportedLimit || r == NotSupported:
		e := api.Failure(op, d.uri, r)
		e.Err = fmt.Errorf("%s needs %d bytes of stack for each work-item, the driver gives %d: %w", source, stack, have, hal.ErrUnsupported)
		return e
	}
	return d.Fail(op+" to "+fmt.Sprint(stack)+" bytes of stack", r)
}
