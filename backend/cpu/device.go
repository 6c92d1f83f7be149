package cpu

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"sync"
	"unsafe"

	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/internal/dl"
	"github.com/dialtone-gpu/dialtone/internal/pages"
)

type device struct {
	info     hal.Info
	compiler compiler
	runtime  *library
	threads  int // groups that get on at once
	lent     int // more threads, for groups that begin while others wait
}

// Info gives the device's facts.
func (d *device) Info() hal.Info { return d.info }

// Close has nothing to release: the runtime stays loaded.
func (d *device) Close() error { return nil }

// Alloc gives page-aligned memory outside Go's heap, so that kernels may keep its address.
func (d *device) Alloc(_ hal.MemoryKind, size int) (hal.DriverBuffer, error) {
	m, err := pages.Alloc(size)
	if err != nil {
		return nil, &hal.Error{Op: fmt.Sprintf("allocate %d bytes", size), Backend: "cpu", Device: d.info.URI,
			Err: errors.Join(hal.ErrOutOfMemory, err)}
	}
	return &buffer{memory: m}, nil
}

type buffer struct{ memory []byte }

// Host is the memory's address: host and kernels share it.
func (b *buffer) Host() unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(b.memory)) }

// Free unmaps it.
func (b *buffer) Free() error { return pages.Free(b.memory) }

// unresolved is how loaders say that a function or variable does not exist: glibc, musl, Darwin.
var unresolved = regexp.MustCompile(`undefined symbol: \w+|\w+: symbol not found|symbol not found in flat namespace '\w+'`)

// mostStack is how much stack a work-item may have: there is one for each that has begun and waits.
const mostStack = 64 << 20

// Compile builds a shared object and binds it to the runtime.
func (d *device) Compile(ctx context.Context, src hal.Source) (hal.DriverModule, error) {
	if src.Stack > mostStack {
		return nil, fmt.Errorf("%s: compile %s: %d bytes of stack, at most %d: %w", d.info.URI, src.Name, src.Stack, mostStack, hal.ErrUnsupported)
	}
	path, log, err := d.compiler.build(ctx, src.Name, "#line 1 \"dialtone/abi.h\"\n"+abiText+bindText+src.Text)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if log == "" {
			return nil, &hal.Error{Op: "compile with " + d.compiler.String(), Backend: "cpu", Device: d.info.URI, Err: err}
		}
		return nil, &hal.CompileError{Device: d.info.URI, Source: src.Name, Log: log}
	}
	lib, err := dl.Open(path)
	if err != nil {
		if symbol := unresolved.FindString(err.Error()); symbol != "" {
			return nil, &hal.CompileError{Device: d.info.URI, Source: src.Name, Log: src.Name + ": " + symbol}
		}
		return nil, &hal.Error{Op: "load " + src.Name, Backend: "cpu", Device: d.info.URI, Err: err}
	}
	bind := lib.Lookup("dialtone_bind")
	if bind == 0 {
		lib.Close()
		return nil, &hal.Error{Op: "load " + src.Name, Backend: "cpu", Device: d.info.URI, Err: errors.New("BUG: no dialtone_bind")}
	}
	bind.Call(d.runtime.functions)
	return &module{library: lib, name: src.Name, device: d, stack: src.Stack}, nil
}

type module struct {
	device  *device
	library *dl.Library
	name    string
	stack   int // bytes that a work-item may need
}

// entryPrefix precedes a kernel's name in the shared object.
const entryPrefix = "dialtone_entry_"

// Kernel looks up the entry point that the C11 dialect generates.
func (m *module) Kernel(name string) (hal.DriverKernel, error) {
	f := m.library.Lookup(entryPrefix + name)
	if f == 0 {
		return nil, fmt.Errorf("%s has no kernel %q: %w", m.name, name, hal.ErrInvalid)
	}
	return &kernel{entry: f, name: name, stack: m.stack}, nil
}

// Close unloads the code; no kernel of it may run.
func (m *module) Close() error { return m.library.Close() }

type kernel struct {
	entry dl.Func
	name  string
	stack int
}

// MaxGroup is the device's own limit.
func (k *kernel) MaxGroup() int { return 0 }

// NewQueue starts the goroutine that runs the queue's operations in order.
func (d *device) NewQueue() (hal.DriverQueue, error) {
	q := &queue{device: d}
	q.idle = sync.NewCond(&q.mutex)
	return q, nil
}
