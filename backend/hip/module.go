package hip

import (
	"context"
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
	gpu    *gpu
	source string
	image  []byte  // the driver may look at it again
	handle uintptr // hipModule_t
	closed atomic.Bool

	mu       sync.Mutex
	kernels  map[string]*kernel
	complete bool // kernels has all of them
}

// kernel is an entry point.
type kernel struct {
	module     *module
	name       string
	function   uintptr // hipFunction_t
	maxThreads int
}

// Compile makes code of a source at once and loads all of it when nothing runs on the device.
func (d *device) Compile(ctx context.Context, src hal.Source) (hal.DriverModule, error) {
	if err := d.usable(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	image, key, err := d.fetch(ctx, src, false)
	if err != nil {
		return nil, err
	}
	m, err := d.gpu.load(ctx, src, image)
	if key != "" && refused(err) { // made by another hiprtc, perhaps, or for another driver
		discard(key)
		if image, _, err = d.fetch(ctx, src, true); err != nil {
			return nil, err
		}
		m, err = d.gpu.load(ctx, src, image)
	}
	if err != nil {
		return nil, err
	}
	return m, nil
}

// load makes a module of an image with all its kernels, as soon as nothing runs.
func (g *gpu) load(ctx context.Context, src hal.Source, image []byte) (*module, error) {
	if err := g.quiet(ctx, "load "+src.Name); err != nil {
		return nil, err
	}
	return dl.Within(ctx, g.uri+": load "+src.Name, func(m *module) { _ = m.Close() }, func() (*module, error) {
		var m *module
		err := g.deepen(src.Name, src.Stack)
		if err == nil {
			m, err = g.loadQuiet(src.Name, image)
		}
		gate.Unlock()
		if m != nil && err != nil {
			_ = m.Close()
			m = nil
		}
		return m, err
	})
}

// loadQuiet loads: hipModuleLoadData, "Module Management". The gate is held exclusively. A
// module that comes with an error is there to be closed.
func (g *gpu) loadQuiet(source string, image []byte) (*module, error) {
	m := &module{gpu: g, source: source, image: image, kernels: map[string]*kernel{}}
	r := g.with(func() result {
		return code(g.api.ModuleLoadData.Call(uintptr(unsafe.Pointer(&m.handle)), uintptr(unsafe.Pointer(&image[0]))))
	})
	if r != success {
		err := g.fail("hipModuleLoadData", r, nil)
		if refused(err) {
			e := *err.(*hal.Error)
			e.Err = fmt.Errorf("the driver (HIP %v) does not take the compiler's code: runtime and hiprtc of one version would do: %w", g.api.version, hal.ErrUnavailable)
			return nil, &e
		}
		return nil, err
	}
	for _, name := range entryPoints(image) {
		if _, err := m.resolve(name); err != nil {
			return m, err
		}
	}
	m.complete = len(m.kernels) > 0
	return m, nil
}

// resolve finds a kernel: hipModuleGetFunction, hipFuncGetAttribute, "Module Management".
func (m *module) resolve(name string) (*kernel, error) {
	g := m.gpu
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
	r := g.with(func() result {
		r := code(g.api.ModuleGetFunction.Call(uintptr(unsafe.Pointer(&k.function)), m.handle, uintptr(unsafe.Pointer(&cname[0]))))
		if r == success && (g.api.FuncGetAttribute == 0 ||
			code(g.api.FuncGetAttribute.Call(uintptr(unsafe.Pointer(&threads)), funcMaxThreads, k.function)) != success) {
			threads = 0 // the device's limit applies
		}
		return r
	})
	if r == notFound {
		return nil, m.unknown(name)
	}
	if r != success {
		return nil, g.fail("hipModuleGetFunction", r, nil)
	}
	k.maxThreads = int(threads)
	m.kernels[name] = k
	return k, nil
}

// unknown says which kernels there are; mu is held.
func (m *module) unknown(name string) error {
	have := slices.Sorted(maps.Keys(m.kernels))
	return fmt.Errorf("%s: no kernel %q in %s; there are: %s: %w", m.gpu.uri, name, m.source, strings.Join(have, ", "), hal.ErrInvalid)
}

// Kernel finds an entry point. The driver is asked only about an image whose kernels could not be listed.
func (m *module) Kernel(name string) (hal.DriverKernel, error) {
	if m.closed.Load() {
		return nil, m.gpu.closed("module " + m.source)
	}
	if err := m.gpu.usable(); err != nil {
		return nil, err
	}
	k, err := m.resolve(name)
	if err != nil {
		return nil, err
	}
	return k, nil
}

// Close unloads the code as soon as nothing runs: hipModuleUnload, "Module Management".
func (m *module) Close() error {
	if m.closed.Swap(true) {
		return nil
	}
	g := m.gpu
	release{gpu: g, do: func() result {
		r := code(g.api.ModuleUnload.Call(m.handle))
		m.image = nil
		return r
	}}.add()
	collect()
	return nil
}

// MaxGroup is what the kernel's registers allow.
func (k *kernel) MaxGroup() int { return k.maxThreads }
