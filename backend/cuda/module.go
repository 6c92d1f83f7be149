package cuda

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/internal/dl"
)

// module is loaded code.
type module struct {
	context *primary
	source  string
	handle  uintptr // CUmodule
	closed  atomic.Bool

	mu       sync.Mutex
	kernels  map[string]*kernel
	complete bool // kernels has all of them
}

// kernel is an entry point, loaded.
type kernel struct {
	module     *module
	name       string
	function   uintptr // CUfunction
	maxThreads int
	params     []int // their sizes in bytes
	knowParams bool  // the driver can tell them
}

// Compile makes code of a source at once and loads all of it when nothing runs on the device.
func (d *device) Compile(ctx context.Context, src hal.Source) (made hal.DriverModule, err error) {
	if err := d.usable(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c := d.context
	c.ref() // the wait for the device may be long
	defer func() { err = errors.Join(err, c.unref()) }()
	image, key, err := fetch(ctx, d.info.URI, src, d.limits.cc, false)
	if err != nil {
		return nil, err
	}
	m, err := c.load(ctx, src, image)
	if key != "" && refused(err) { // made by another NVRTC, perhaps, or for another driver
		discard(key)
		if image, _, err = fetch(ctx, d.info.URI, src, d.limits.cc, true); err != nil {
			return nil, err
		}
		m, err = c.load(ctx, src, image)
	}
	if err != nil {
		return nil, err
	}
	return m, nil
}

// load makes a module of an image with all its kernels, as soon as nothing runs. The driver may take long: it translates PTX, which is what it
// gets from an NVRTC that does not know the device.
func (c *primary) load(ctx context.Context, src hal.Source, image []byte) (*module, error) {
	if err := c.quiet(ctx, "load "+src.Name); err != nil {
		return nil, err
	}
	c.ref() // for the driver's call, which the caller may leave alone
	return dl.Within(ctx, c.uri+": load "+src.Name, func(m *module) { _ = m.Close() }, func() (m *module, err error) {
		defer func() { err = errors.Join(err, c.unref()) }()
		if err = c.deepen(src.Name, src.Stack); err == nil {
			m, err = c.loadQuiet(src.Name, image)
		}
		gate.Unlock()
		if m != nil && err != nil {
			err = errors.Join(err, m.Close())
			m = nil
		}
		return m, err
	})
}

// loadQuiet loads: cuModuleLoadDataEx, page "Module Management". The gate is held exclusively. A
// module that comes with an error is there to be closed.
func (c *primary) loadQuiet(source string, image []byte) (*module, error) {
	const logSize = 8192
	log := make([]byte, logSize)
	// CUjit_option is an int; a value is a pointer or an integer in a pointer's place.
	keys := [...]int32{jitErrorLogBuffer, jitErrorLogBufferSize}
	values := struct {
		log  *byte
		size uintptr
	}{&log[0], logSize}
	m := &module{context: c, source: source, kernels: map[string]*kernel{}}
	r := c.with(func() result {
		return code(c.api.ModuleLoadDataEx.Call(uintptr(unsafe.Pointer(&m.handle)), uintptr(unsafe.Pointer(&image[0])),
			uintptr(len(keys)), uintptr(unsafe.Pointer(&keys)), uintptr(unsafe.Pointer(&values))))
	})
	if r != success {
		err := c.fail("cuModuleLoadDataEx", r, nil)
		said := tidy(dl.Text(log))
		switch {
		case r == invalidPTX && said != "":
			return nil, &hal.CompileError{Device: c.uri, Source: source, Log: said}
		case refused(err):
			e := *err.(*hal.Error)
			e.Err = fmt.Errorf("the driver (CUDA %d.%d) does not take the compiler's code: a newer driver or an older NVRTC would do: %w",
				c.api.version/1000, c.api.version%1000/10, hal.ErrUnavailable)
			if said != "" {
				e.Err = fmt.Errorf("%w\n%s", e.Err, said)
			}
			return nil, &e
		}
		return nil, err
	}
	c.ref()
	for _, name := range entryPoints(image) {
		if _, err := m.resolve(name); err != nil {
			return m, err
		}
	}
	m.complete = len(m.kernels) > 0
	return m, nil
}

// resolve finds and loads a kernel: cuModuleGetFunction, page "Module Management";
// cuFuncLoad, cuFuncGetAttribute, cuFuncGetParamInfo, page "Execution Control".
func (m *module) resolve(name string) (*kernel, error) {
	c := m.context
	m.mu.Lock()
	defer m.mu.Unlock()
	if k := m.kernels[name]; k != nil {
		return k, nil
	}
	if m.complete {
		return nil, m.unknown(name)
	}
	k := &kernel{module: m, name: name}
	cname := dl.CString(name)
	var threads int32
	var offset, size uintptr
	op := ""
	r := c.with(func() result {
		op = "cuModuleGetFunction"
		if r := code(c.api.ModuleGetFunction.Call(uintptr(unsafe.Pointer(&k.function)), m.handle, uintptr(unsafe.Pointer(&cname[0])))); r != success {
			return r
		}
		if c.api.FuncLoad != 0 {
			op = "cuFuncLoad"
			if r := code(c.api.FuncLoad.Call(k.function)); r != success {
				return r
			}
		}
		op = "cuFuncGetAttribute"
		if r := code(c.api.FuncGetAttribute.Call(uintptr(unsafe.Pointer(&threads)), funcMaxThreads, k.function)); r != success {
			return r
		}
		for i := uintptr(0); c.api.FuncGetParamInfo != 0; i++ {
			// The parameter after the last is an invalid value.
			if code(c.api.FuncGetParamInfo.Call(k.function, i, uintptr(unsafe.Pointer(&offset)), uintptr(unsafe.Pointer(&size)))) != success {
				k.knowParams = true
				break
			}
			k.params = append(k.params, int(size))
		}
		return success
	})
	if r == notFound && op == "cuModuleGetFunction" {
		return nil, m.unknown(name)
	}
	if r != success {
		return nil, c.fail(op, r, nil)
	}
	k.maxThreads = int(threads)
	m.kernels[name] = k
	return k, nil
}

// unknown says which kernels there are; mu is held.
func (m *module) unknown(name string) error {
	have := slices.Sorted(maps.Keys(m.kernels))
	return fmt.Errorf("%s: no kernel %q in %s; there are: %s: %w", m.context.uri, name, m.source, strings.Join(have, ", "), hal.ErrInvalid)
}

// Kernel finds an entry point. All of them are loaded already. The driver, which may then wait for
// what runs, is asked only about an image whose kernels could not be listed.
func (m *module) Kernel(name string) (hal.DriverKernel, error) {
	if m.closed.Load() {
		return nil, fmt.Errorf("%s: module %s: %w", m.context.uri, m.source, hal.ErrClosed)
	}
	if err := m.context.usable(); err != nil {
		return nil, err
	}
	k, err := m.resolve(name)
	if err != nil {
		return nil, err
	}
	return k, nil
}

// Close unloads the code as soon as nothing runs: cuModuleUnload, page "Module Management".
func (m *module) Close() error {
	if m.closed.Swap(true) {
		return nil
	}
	c := m.context
	release{context: c, do: func() result { return code(c.api.ModuleUnload.Call(m.handle)) }}.add()
	collect()
	return c.unref()
}

// MaxGroup is what the kernel's registers allow.
func (k *kernel) MaxGroup() int { return k.maxThreads }

// check compares the arguments with the parameters. The driver would read whatever lies
// behind an argument that is too short.
func (k *kernel) check(args []hal.DriverArg) error {
	if !k.knowParams {
		return nil
	}
	if len(args) != len(k.params) {
		return fmt.Errorf("%s: kernel %s: %d arguments for %d parameters: %w", k.module.context.uri, k.name, len(args), len(k.params), hal.ErrInvalid)
	}
	for i, a := range args {
		n := len(a.Value)
		if a.Buffer != nil {
			n = pointerSize
		}
		if n != k.params[i] {
			return fmt.Errorf("%s: kernel %s: argument %d has %d bytes, the parameter %d: %w", k.module.context.uri, k.name, i, n, k.params[i], hal.ErrInvalid)
		}
	}
	return nil
}
