package hip

import (
	"fmt"
	"unsafe"

	"github.com/dialtone-gpu/dialtone/backend/stream"
	"github.com/dialtone-gpu/dialtone/hal"
)

// load makes a module of an image: hipModuleLoadData, "Module Management".
func (d *driver) load(on *stream.Device, _ string, image []byte) (module uintptr, err error) {
	r := on.With(func() result {
		return code(d.ModuleLoadData.Call(uintptr(unsafe.Pointer(&module)), uintptr(unsafe.Pointer(&image[0]))))
	})
	if r == success {
		return module, nil
	}
	err = on.Fail("hipModuleLoadData", r)
	if refused(err) {
		e := *err.(*hal.Error)
		e.Err = fmt.Errorf("the driver (HIP %v) does not take the compiler's code: runtime and hiprtc of one version would do: %w", d.version, hal.ErrUnavailable)
		return 0, &e
	}
	return 0, err
}

// describeKernel asks for what there is: hipFuncGetAttribute, "Module Management". The driver cannot be asked for the parameters.
func (d *driver) describeKernel(function uintptr) (e stream.Entry, op string, r result) {
	var threads int32
	if d.FuncGetAttribute != 0 && code(d.FuncGetAttribute.Call(uintptr(unsafe.Pointer(&threads)), funcMaxThreads, function)) == success {
		e.MaxGroup = int(threads) // else the device's limit applies
	}
	return e, "", success
}
