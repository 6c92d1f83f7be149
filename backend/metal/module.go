package metal

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"unsafe"

	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/internal/dl"
)

// module is compiled code: id<MTLLibrary>.
type module struct {
	users
	device *device
	handle id
	names  []string

	mu      sync.Mutex
	kernels map[string]*kernel
}

// kernel is an entry point: id<MTLComputePipelineState>.
type kernel struct {
	module   *module
	name     string
	handle   id
	maxGroup int
}

// Errors of newLibraryWithSource:options:error:, "MTLLibraryError.Code".
const (
	libraryErrors  = "MTLLibraryErrorDomain"
	compileFailure = 3
)

// Compile makes code of a source. The compiler cannot be interrupted: when the context ends first, what it makes is thrown
// away in the background.
func (d *device) Compile(ctx context.Context, src hal.Source) (hal.DriverModule, error) {
	if err := d.usable(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	d.send(d.handle, d.sel.Retain)                 // until the build has ended: the device may be closed before
	closeLate := func(m *module) { _ = m.Close() } // it never fails
	m, err := dl.Within(ctx, d.info.URI+": compile "+src.Name, closeLate, func() (*module, error) {
		defer d.release(d.handle)
		return d.build(src)
	})
	if err != nil {
		return nil, err
	}
	return m, nil
}

func (d *device) build(src hal.Source) (m *module, err error) {
	d.pooled(func() {
		options := id(d.send(d.class("MTLCompileOptions"), d.sel.New))
		defer d.release(options)
		// Fast math drops NaN and infinities, which C has.
		if d.responds(options, d.sel.SetFastMathEnabled) {
			d.send(options, d.sel.SetFastMathEnabled, 0)
		}
		why := new(id)
		handle := id(d.send(d.handle, d.sel.NewLibrary, uintptr(d.nsString(src.Text)), uintptr(options), uintptr(unsafe.Pointer(why))))
		if handle == 0 {
			domain, code, text := d.nsError(*why)
			if domain == libraryErrors && code == compileFailure {
				err = &hal.CompileError{Device: d.info.URI, Source: src.Name, Log: compileLog(text)}
				return
			}
			e := fail("newLibraryWithSource:options:error:", d.info.URI, fmt.Errorf("%s", text))
			e.Name, e.Code = domain, code
			err = e
			return
		}
		m = &module{device: d, handle: handle, kernels: map[string]*kernel{}}
		m.count.Store(1)
		names := id(d.send(handle, d.sel.FunctionNames))
		for i := range int(d.send(names, d.sel.Count)) {
			m.names = append(m.names, d.goString(id(d.send(names, d.sel.ObjectAtIndex, uintptr(i)))))
		}
		slices.Sort(m.names)
	})
	return m, err
}

// compileLog drops what Metal writes in front of the compiler's words.
func compileLog(text string) string {
	return strings.TrimSpace(strings.TrimPrefix(text, "Compilation failed:"))
}

// Kernel finds an entry point; the GPU's own code is made then.
func (m *module) Kernel(name string) (k hal.DriverKernel, err error) {
	d := m.device
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := d.usable(); err != nil {
		return nil, err
	}
	failed := func(op string, cause error) error {
		e := fail(op, d.info.URI, cause)
		e.Kernel = name
		return e
	}
	if m.closed.Load() {
		return nil, failed("find kernel", hal.ErrClosed)
	}
	if k, ok := m.kernels[name]; ok {
		return k, nil
	}
	if !slices.Contains(m.names, name) {
		there := "the module has no kernels"
		if len(m.names) > 0 {
			there = "the module has " + strings.Join(m.names, ", ")
		}
		return nil, failed("find kernel", fmt.Errorf("%w: no kernel of that name, %s", hal.ErrInvalid, there))
	}
	d.pooled(func() {
		function := id(d.send(m.handle, d.sel.NewFunction, uintptr(d.nsString(name))))
		defer d.release(function)
		if function == 0 {
			err = failed("newFunctionWithName:", hal.ErrInvalid)
			return
		}
		why := new(id)
		handle := id(d.send(d.handle, d.sel.NewPipeline, uintptr(function), uintptr(unsafe.Pointer(why))))
		if handle == 0 {
			domain, code, text := d.nsError(*why)
			e := failed("newComputePipelineStateWithFunction:error:", fmt.Errorf("%s", text)).(*hal.Error)
			e.Name, e.Code = domain, code
			err = e
			return
		}
		made := &kernel{module: m, name: name, handle: handle, maxGroup: int(d.send(handle, d.sel.MaxTotalThreads))}
		m.kernels[name] = made
		k = made
	})
	return k, err
}

// Close unloads the code once no launch uses it any more.
func (m *module) Close() error {
	if !m.closed.Swap(true) {
		m.unuse()
	}
	return nil
}

func (m *module) unuse() {
	if !m.drop() {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, k := range m.kernels {
		m.device.release(k.handle)
	}
	m.device.release(m.handle)
}

// MaxGroup is maxTotalThreadsPerThreadgroup.
func (k *kernel) MaxGroup() int { return k.maxGroup }
