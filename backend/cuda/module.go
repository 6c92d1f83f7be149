package cuda

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/internal/dl"
)

// module is loaded code.
type module struct {
	context *primary
	source  string
	handle  uintptr // CUmodule
	closed  atomic.Bool
	mu      sync.Mutex
	kernels map[string]*kernel
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

// Compile makes code of a source and loads all of it.
func (d *device) Compile(ctx context.Context, src hal.Source) (hal.DriverModule, error) {
	if err := d.usable(); err != nil {
		return nil, err
	}
	image, key, err := fetch(ctx, d.info.URI, src, d.limits.cc, false)
	if err != nil {
		return nil, err
	}
	m, err := d.context.load(src.Name, image)
	if key != "" && refused(err) { // made by another NVRTC, perhaps, or for another driver
		discard(key)
		if image, _, err = fetch(ctx, d.info.URI, src, d.limits.cc, true); err != nil {
			return nil, err
		}
		m, err = d.context.load(src.Name, image)
	}
	if err != nil {
		return nil, err
	}
	return m, nil
}

// load makes a module of an image with all its kernels: cuModuleLoadDataEx, page "Module Management".
func (c *primary) load(source string, image []byte) (*module, error) {
	const logSize = 8192
	log := make([]byte, logSize)
	// CUjit_option is an int; a value is a pointer or an integer in a pointer's place.
	keys := []int32{jitErrorLogBuffer, jitErrorLogBufferSize}
	values := []uintptr{addr(&log[0]), logSize}
	m := &module{context: c, source: source, kernels: map[string]*kernel{}}
	r := c.with(func() result {
		return code(c.api.ModuleLoadDataEx.Call(addr(&m.handle), addr(&image[0]), uintptr(len(keys)), addr(&keys[0]), addr(&values[0])))
	})
	runtime.KeepAlive(image)
	if r != success {
		err := c.fail("cuModuleLoadDataEx", r, nil)
		said := tidy(dl.GoString(addr(&log[0])))
		runtime.KeepAlive(log)
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
			return nil, errors.Join(err, m.Close())
		}
	}
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
	k := &kernel{module: m, name: name}
	cname := dl.CString(name)
	threads := new(int32)
	offset, size := new(uintptr), new(uintptr)
	op := ""
	r := c.with(func() result {
		op = "cuModuleGetFunction"
		if r := code(c.api.ModuleGetFunction.Call(addr(&k.function), m.handle, addr(&cname[0]))); r != success {
			return r
		}
		if c.api.FuncLoad != 0 {
			op = "cuFuncLoad"
			if r := code(c.api.FuncLoad.Call(k.function)); r != success {
				return r
			}
		}
		op = "cuFuncGetAttribute"
		if r := code(c.api.FuncGetAttribute.Call(addr(threads), funcMaxThreads, k.function)); r != success {
			return r
		}
		for i := uintptr(0); c.api.FuncGetParamInfo != 0; i++ {
			// The parameter after the last is an invalid value.
			if code(c.api.FuncGetParamInfo.Call(k.function, i, addr(offset), addr(size))) != success {
				k.knowParams = true
				break
			}
			k.params = append(k.params, int(*size))
		}
		return success
	})
	runtime.KeepAlive(cname)
	if r == notFound && op == "cuModuleGetFunction" {
		have := make([]string, 0, len(m.kernels))
		for n := range m.kernels {
			have = append(have, n)
		}
		slices.Sort(have)
		return nil, fmt.Errorf("%s: no kernel %q in %s; there are: %s: %w", c.uri, name, m.source, strings.Join(have, ", "), hal.ErrInvalid)
	}
	if r != success {
		return nil, c.fail(op, r, nil)
	}
	k.maxThreads = int(*threads)
	m.kernels[name] = k
	return k, nil
}

// Kernel finds an entry point. All of them are loaded already, so the driver is asked
// for an unknown name only.
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
