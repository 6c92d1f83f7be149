package program

import (
	"fmt"

	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/hostcall/plan"
	"github.com/dialtone-gpu/dialtone/program/interpreter"
	"github.com/dialtone-gpu/dialtone/program/region"
	"github.com/dialtone-gpu/dialtone/program/wasi"
)

// How deep calls of a whole program may nest, in bytes of their frames. A GPU sets it aside for every work-item that it can have at a time: 4 MiB for each
// multiprocessor with 2048 of them and 2 KiB. Programs have their arrays in linear memory, so that frames are small.
const (
	hostStack   = 1 << 20
	deviceStack = 32 << 10
	mostStack   = 1 << 29
)

// What is kept of the stack for the kernel and for calls of the host, which are not looked at when calls nest.
const (
	hostReserve   = 128 << 10
	deviceReserve = 4 << 10
)

// largeText is how much text is worth less effort of a compiler, bytes: NVRTC 13.0 takes 17 seconds for 400 KiB and two minutes for 1.5 MiB otherwise, and what it makes
// of loops is slower then.
const largeText = 1 << 20

// hostArgs is more slots than any of WASI's functions has parameters.
const hostArgs = 16

// wholly has the whole program compiled. Its imports have been bound.
func (p *Program) wholly(opts Options, source *hal.Source, parts *interpreter.Parts) error {
	rt := p.runtime
	info := rt.Device().Info()
	switch info.Dialect {
	case hal.CUDA, hal.HIP, hal.C11:
	default:
		return fmt.Errorf("tier %s: %s is programmed in %s, which has no recursion; tier %s needs none: %w", Whole, info.URI, info.Dialect, Regions, hal.ErrUnsupported)
	}
	if pl := rt.Plan(); pl.Transport == plan.Stopping {
		return fmt.Errorf("tier %s: kernels of %s stop for each call of the host (%s), and a stack of the device's cannot be left and come back to; tier %s keeps its own: %w",
			Whole, info.URI, pl.Reason, Regions, hal.ErrUnsupported)
	}
	stack, reserve := deviceStack, deviceReserve
	if info.Dialect == hal.C11 {
		stack, reserve = hostStack, hostReserve
	}
	if opts.Stack != 0 {
		stack = opts.Stack
	}
	if stack < 0 || stack > mostStack {
		return fmt.Errorf("%d bytes of stack, at most %d: %w", stack, mostStack, hal.ErrInvalid)
	}
	text, frame, err := region.Program(p.module, entry, func(_, name string) (int, error) {
		c, _ := wasi.Lookup(name) // which Lower has seen, too
		return c.Number, nil
	})
	if err != nil {
		return fmt.Errorf("tier %s: %w; tier %s may do", Whole, err, Regions)
	}
	p.whole = true
	parts.Program, parts.Stack = text, stack
	source.Stack = stack + frame + reserve
	source.Large = len(text) > largeText
	return nil
}

// sizes of the instances of a launch.
func (p *Program) sizes(l Launch, pages int) interpreter.Options {
	o := interpreter.Options{Instances: l.Instances, Entry: p.start, Pages: pages, Slots: l.Stack / 8}
	if p.whole {
		o.Slots, o.Calls = hostArgs, 1
	}
	return o
}
