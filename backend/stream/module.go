package stream

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

// Module is loaded code.
type Module struct {
	device *Device
	source string
	image  []byte  // while the driver may look at it again
	handle uintptr // CUmodule, hipModule_t
	closed atomic.Bool

	mu       sync.Mutex
	kernels  map[string]*Kernel
	complete bool // kernels has all of them
}

// Kernel is an entry point, loaded.
type Kernel struct {
	Entry
	module   *Module
	name     string
	function uintptr // CUfunction, hipFunction_t
}

// load makes a module of an image with all its kernels, as soon as nothing runs. The driver may take long: CUDA's translates PTX, which is
// what it gets from an NVRTC that does not know the device.
func (d *Device) load(ctx context.Context, src hal.Source, image []byte) (*Module, error) {
	if err := d.quiet(ctx, "load "+src.Name); err != nil {
		return nil, err
	}
	d.ref() // for the driver's call, which the caller may leave alone
	return dl.Within(ctx, d.uri+": load "+src.Name, func(m *Module) { _ = m.Close() }, func() (m *Module, err error) {
		defer func() { err = errors.Join(err, d.unref()) }()
		if err = d.deepen(src.Name, src.Stack); err == nil {
			m, err = d.loadQuiet(src.Name, image)
		}
		d.driver.gate.Unlock()
		if m != nil && err != nil {
			err = errors.Join(err, m.Close())
			m = nil
		}
		return m, err
	})
}

// loadQuiet loads; the gate is held exclusively. A module that comes with an error is there to be closed.
func (d *Device) loadQuiet(source string, image []byte) (*Module, error) {
	m := &Module{device: d, source: source, kernels: map[string]*Kernel{}}
	if d.driver.KeepsImages {
		m.image = image
	}
	var err error
	if m.handle, err = d.driver.Load(d, source, image); err != nil {
		return nil, err
	}
	d.ref()
	for _, name := range d.driver.EntryPoints(image) {
		if _, err := m.resolve(name); err != nil {
			return m, err
		}
	}
	m.complete = len(m.kernels) > 0
	return m, nil
}

// resolve finds and loads a kernel.
func (m *Module) resolve(name string) (*Kernel, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if k := m.kernels[name]; k != nil {
		return k, nil
	}
	if m.complete {
		return nil, m.unknown(name)
	}
	k, api, cname := &Kernel{module: m, name: name}, m.device.driver, dl.CString(name)
	op := api.ModuleFunction.Name
	r := m.device.With(func() (r Result) {
		if r := Code(api.ModuleFunction.Call(uintptr(unsafe.Pointer(&k.function)), m.handle, uintptr(unsafe.Pointer(&cname[0])))); r != Success {
			return r
		}
		k.Entry, op, r = api.Describe(k.function)
		return r
	})
	switch {
	case r == NotFound && op == api.ModuleFunction.Name:
		return nil, m.unknown(name)
	case r != Success:
		return nil, m.device.Fail(op, r)
	}
	m.kernels[name] = k
	return k, nil
}

// unknown says which kernels there are; mu is held.
func (m *Module) unknown(name string) error {
	have := slices.Sorted(maps.Keys(m.kernels))
	return fmt.Errorf("%s: no kernel %q in %s; there are: %s: %w", m.device.uri, name, m.source, strings.Join(have, ", "), hal.ErrInvalid)
}

// Kernel finds an entry point. All of them are loaded already. The driver, which may then wait for
// what runs, is asked only about an image whose kernels could not be listed.
func (m *Module) Kernel(name string) (hal.DriverKernel, error) {
	if m.closed.Load() {
		return nil, m.device.closed("module " + m.source)
	}
	if err := m.device.Usable(); err != nil {
		return nil, err
	}
	k, err := m.resolve(name)
	if err != nil {
		return nil, err
	}
	return k, nil
}

// Close unloads the code as soon as nothing runs.
func (m *Module) Close() error {
	if m.closed.Swap(true) {
		return nil
	}
	d := m.device
	d.later(release{do: func() Result {
		r := Code(d.driver.ModuleUnload.Call(m.handle))
		m.image = nil
		return r
	}})
	d.driver.collect()
	return d.unref()
}

// MaxGroup is what the kernel's registers allow.
func (k *Kernel) MaxGroup() int { return k.Entry.MaxGroup }

// check compares the arguments with the parameters. The driver would read whatever lies
// behind an argument that is too short.
func (k *Kernel) check(args []hal.DriverArg) error {
	if !k.KnowParams {
		return nil
	}
	if len(args) != len(k.Params) {
		return fmt.Errorf("%s: kernel %s: %d arguments for %d parameters: %w", k.module.device.uri, k.name, len(args), len(k.Params), hal.ErrInvalid)
	}
	for i, a := range args {
		n := len(a.Value)
		if a.Buffer != nil {
			n = pointerSize
		}
		if n != k.Params[i] {
			return fmt.Errorf("%s: kernel %s: argument %d has %d bytes, the parameter %d: %w", k.module.device.uri, k.name, i, n, k.Params[i], hal.ErrInvalid)
		}
	}
	return nil
}
