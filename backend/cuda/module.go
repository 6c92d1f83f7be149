package cuda

import (
	"fmt"
	"unsafe"

	"github.com/dialtone-gpu/dialtone/backend/stream"
	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/internal/dl"
)

// load makes a module of an image: cuModuleLoadDataEx, page "Module Management".
func (d *driver) load(on *stream.Device, source string, image []byte) (module uintptr, err error) {
	const logSize = 8192
	log := make([]byte, logSize)
	// CUjit_option is an int; a value is a pointer or an integer in a pointer's place.
	keys := [...]int32{jitErrorLogBuffer, jitErrorLogBufferSize}
	values := struct {
		log  *byte
		size uintptr
	}{&log[0], logSize}
	r := on.With(func() result {
		return code(d.ModuleLoadDataEx.Call(uintptr(unsafe.Pointer(&module)), uintptr(unsafe.Pointer(&image[0])),
			uintptr(len(keys)), uintptr(unsafe.Pointer(&keys)), uintptr(unsafe.Pointer(&values))))
	})
	if r == success {
		return module, nil
	}
	err = on.Fail("cuModuleLoadDataEx", r)
	said := tidy(dl.Text(log))
	switch {
	case r == invalidPTX && said != "":
		return 0, &hal.CompileError{Device: on.URI(), Source: source, Log: said}
	case refused(err):
		e := *err.(*hal.Error)
		e.Err = fmt.Errorf("the driver (CUDA %d.%d) does not take the compiler's code: a newer driver or an older NVRTC would do: %w",
			d.version/1000, d.version%1000/10, hal.ErrUnavailable)
		if said != "" {
			e.Err = fmt.Errorf("%w\n%s", e.Err, said)
		}
		return 0, &e
	}
	return 0, err
}

// describeKernel also loads a kernel: cuFuncLoad, cuFuncGetAttribute, cuFuncGetParamInfo, page "Execution Control".
func (d *driver) describeKernel(function uintptr) (e stream.Entry, op string, r result) {
	var threads int32
	var offset, size uintptr
	if d.FuncLoad != 0 {
		if r := code(d.FuncLoad.Call(function)); r != success {
			return e, "cuFuncLoad", r
		}
	}
	if r := code(d.FuncGetAttribute.Call(uintptr(unsafe.Pointer(&threads)), funcMaxThreads, function)); r != success {
		return e, "cuFuncGetAttribute", r
	}
	e.MaxGroup = int(threads)
	for i := uintptr(0); d.FuncGetParamInfo != 0; i++ {
		// The parameter after the last is an invalid value.
		if code(d.FuncGetParamInfo.Call(function, i, uintptr(unsafe.Pointer(&offset)), uintptr(unsafe.Pointer(&size)))) != success {
			e.KnowParams = true
			break
		}
		e.Params = append(e.Params, int(size))
	}
	return e, "", success
}
