// Package program runs ordinary programs on a device: WebAssembly modules that know the system as WASI preview 1, as the compilers of Rust,
// Go and C make them. What a program asks of the system is served by the same services, under the same policy, as a kernel's calls.
//
// A module is checked (package wasm) and lowered to a register code (package bytecode), which one kernel interprets (package
// interpreter); loops that only compute are compiled with that kernel (package region), or all of the program in place of the interpreter. Its calls of the system are hostcalls (package wasi).
package program

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/hostcall"
	"github.com/dialtone-gpu/dialtone/hostcall/policy"
	"github.com/dialtone-gpu/dialtone/program/bytecode"
	"github.com/dialtone-gpu/dialtone/program/interpreter"
	"github.com/dialtone-gpu/dialtone/program/machine"
	"github.com/dialtone-gpu/dialtone/program/region"
	"github.com/dialtone-gpu/dialtone/program/wasi"
	"github.com/dialtone-gpu/dialtone/program/wasm"
)

// Tier is how much of a program becomes code of the device.
type Tier string

const (
	// Regions has loops that only compute compiled, and all else interpreted. Each program is compiled once for each kind of device.
	Regions Tier = "regions"
	// Interpreter has everything interpreted, by one kernel for all programs.
	Interpreter Tier = "interpreter"
	// Whole has all of the program compiled, with recursion and a stack as the device has them: for devices whose language has that, and on which a running
	// kernel's calls are served. Compilers take long for it, and the device sets memory aside for the stack of every work-item that it can
	// have at a time, so it is for who asks for it.
	Whole Tier = "whole"
)

// Tiers lists them, the default first.
func Tiers() []Tier { return []Tier{Regions, Interpreter, Whole} }

// Options say how a program is loaded.
type Options struct {
	Tier Tier // Regions if empty
	// Stack is how many bytes the frames of nested calls may take with Whole: 0 is 1 MiB on a host's cores, and 32 KiB elsewhere.
	Stack int
	// CountSteps has the instructions counted that are interpreted, see Result.Steps.
	CountSteps bool
}

// Program is a module that is ready to run on a runtime's device.
type Program struct {
	runtime *hostcall.Runtime
	name    string
	module  *wasm.Module
	image   *bytecode.Image
	loaded  *interpreter.Loaded
	start   int
	regions []region.Region
	kernels *hostcall.Program
	steps   bool        // are counted
	whole   bool        // is code of the device, and not interpreted
	taken   atomic.Bool // a kernel that could not be ended has what is loaded
}

// trapped is the call by which the interpreter says that an instance trapped.
var trapped = wasi.Calls()[slices.IndexFunc(wasi.Calls(), func(c wasi.Call) bool { return c.Own && c.Name == "trap" })].Number

// entry is the function that WASI has a program begin with.
const entry = "_start"

// Load checks a module and compiles what it needs for the device. name is for messages. A module that makes no sense gives a *wasm.Error,
// with the offset; one that imports what is not there, an error with its name.
func Load(ctx context.Context, rt *hostcall.Runtime, name string, module []byte, opts Options) (*Program, error) {
	p := &Program{runtime: rt, name: name, steps: opts.CountSteps}
	var err error
	if p.module, err = wasm.Decode(module); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if p.start, err = begin(p.module); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	source := hal.Source{Name: "program.kernel.c"}
	lower, parts := bytecode.Options{Host: bind}, interpreter.Parts{Host: wasi.KernelSource, Trapped: &trapped, CountSteps: opts.CountSteps}
	switch opts.Tier {
	case Regions, "":
		p.regions = region.Select(p.module, region.Options{})
		for _, r := range p.regions {
			lower.Regions = append(lower.Regions, bytecode.Region{Func: r.Func, Start: r.Start, End: r.End, Exits: r.Exits})
		}
		if len(p.regions) > 0 {
			parts.Native, parts.Regions = region.Source(p.module, p.regions), len(p.regions)
		}
	case Interpreter, Whole:
	default:
		return nil, fmt.Errorf("tier %q: there are %q: %w", opts.Tier, Tiers(), hal.ErrInvalid)
	}
	if p.image, err = bytecode.Lower(p.module, lower); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if opts.Tier == Whole {
		if err := p.wholly(opts, &source, &parts); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	if err := rt.Declare(wasi.Import); err != nil {
		return nil, err
	}
	source.Text = interpreter.Source(parts)
	if p.kernels, err = rt.LoadSource(ctx, source); err != nil {
		return nil, err
	}
	if p.loaded, err = interpreter.Load(rt.Device(), p.image); err != nil {
		return nil, errors.Join(err, p.kernels.Close())
	}
	return p, nil
}

// begin finds the function that the program begins with.
func begin(m *wasm.Module) (int, error) {
	for _, e := range m.Exports {
		if e.Name != entry || e.Kind != wasm.KindFunc {
			continue
		}
		if t := m.Types[m.Funcs[e.Index].Type]; t.Params != "" || t.Results != "" {
			return 0, fmt.Errorf("its function %s has the type %v, not [] -> []", entry, t)
		}
		return int(e.Index), nil
	}
	return 0, fmt.Errorf("it exports no function %s: it is a library, not a program", entry)
}

// bind finds what an import is.
func bind(module, name string, t wasm.FuncType) (int, error) {
	if module != wasi.Module {
		return 0, fmt.Errorf("programs import from %s only", wasi.Module)
	}
	c, ok := wasi.Lookup(name)
	if !ok {
		return 0, fmt.Errorf("%s has no such function", wasi.Module)
	}
	if want := c.Type(); t != want {
		return 0, fmt.Errorf("it is of type %v", want)
	}
	return c.Number, nil
}

// Regions lists what is compiled, in the module's order.
func (p *Program) Regions() []region.Region { return p.regions }

// Close unloads the code.
func (p *Program) Close() error {
	if p.taken.Load() {
		return p.kernels.Close()
	}
	return errors.Join(p.loaded.Close(), p.kernels.Close())
}

// Launch says how a program runs and what it may reach.
type Launch struct {
	Instances int // 1 if 0. They know their number from the variables DIALTONE_INSTANCE and DIALTONE_INSTANCES
	// PerLane has an instance in each lane of a subgroup, where it has several. Else each instance has a subgroup to itself, so that
	// it waits for no other.
	PerLane bool
	Memory  uint64 // bytes that the memory of an instance may have; 0 chooses by the device's, 256 MiB at most
	Stack   int    // bytes of what the program's functions have of local values, of each instance; 0 is 1 MiB. With Whole see Options
	Policy  policy.Policy
	// Grace is how long the program may take to end after its run is over; 0 is two seconds.
	Grace time.Duration
}

// Result is how a run ended.
type Result struct {
	Ends    []End // of each instance
	Calls   uint64
	Elapsed time.Duration
	Steps   uint64 // interpreted instructions of all instances, with Options.CountSteps
}

// End is how an instance ended.
type End struct {
	Code int // that it exited with
	// Trap is not nil if the instance was ended for what it did.
	Trap *Trap
}

// Trap says what a program did that it must not do.
type Trap struct {
	Cause    machine.Trap
	Function string // where; its index if it has no name
}

func (t *Trap) Error() string { return fmt.Sprintf("%v, in %s", t.Cause, t.Function) }

// ExitCode is that of the whole: of the first instance that did not end with 0. A trap counts as 134, as after abort(3).
func (r Result) ExitCode() int {
	for _, e := range r.Ends {
		if e.Trap != nil {
			return trapCode
		}
		if e.Code != 0 {
			return e.Code
		}
	}
	return 0
}

const trapCode = 134

// Run runs a program to its end. The error is nil as well if instances trapped or exited with a code.
func (p *Program) Run(ctx context.Context, l Launch) (res Result, err error) {
	info := p.runtime.Device().Info()
	l.Instances = max(l.Instances, 1)
	pages, err := p.pages(info, l)
	if err != nil {
		return res, err
	}
	instances, err := p.instances(l, pages)
	if err != nil {
		return res, fmt.Errorf("%s: %w", p.name, err)
	}
	system, err := wasi.NewSystem(l.Policy, l.Instances)
	if err != nil {
		return res, errors.Join(err, instances.Close())
	}
	run, err := p.run(ctx, instances, system, l)
	err = errors.Join(err, system.Close())
	if errors.Is(err, hostcall.ErrStillRunning) || errors.Is(err, hal.ErrDeviceLost) {
		p.taken.Store(true)
		return res, err // the memory is the kernel's
	}
	if err == nil {
		res, err = p.result(instances, system, run)
	}
	return res, errors.Join(err, instances.Close())
}

// instances makes room for them. If nobody said how much memory one may have, it is what there is room for: devices have limits that they do not tell.
func (p *Program) instances(l Launch, pages int) (*interpreter.Instances, error) {
	for {
		instances, err := p.loaded.New(p.sizes(l, pages))
		if least := int(p.image.Memory.Min); err == nil || l.Memory != 0 || pages <= least || !errors.Is(err, hal.ErrOutOfMemory) {
			return instances, err
		} else {
			pages = max(pages/2, least)
		}
	}
}

func (p *Program) run(ctx context.Context, instances *interpreter.Instances, system *wasi.System, l Launch) (hostcall.Result, error) {
	if err := instances.Prepare(ctx, p.kernels); err != nil {
		return hostcall.Result{}, err
	}
	group := 1
	if l.PerLane {
		group = min(p.runtime.Device().Info().Subgroup, l.Instances)
	}
	launch, err := instances.Launch(ctx, group)
	if err != nil {
		return hostcall.Result{}, err
	}
	launch.Grace = l.Grace
	launch.Functions = map[string]hostcall.Function{wasi.Import: system.Function()}
	return p.kernels.Run(ctx, launch)
}

// result gathers how instances ended.
func (p *Program) result(instances *interpreter.Instances, system *wasi.System, run hostcall.Result) (Result, error) {
	res := Result{Calls: run.Calls, Elapsed: run.Elapsed}
	for i, e := range system.Ends() {
		end := End{Code: int(e.Code)}
		if e.Trap != 0 {
			end.Trap = &Trap{Cause: machine.Trap(e.Trap), Function: p.function(e.Function)}
		}
		res.Ends = append(res.Ends, end)
		if p.steps {
			s, err := instances.State(i)
			if err != nil {
				return res, err
			}
			res.Steps += s.Steps
		}
	}
	return res, nil
}

// function names one for people.
func (p *Program) function(index uint32) string {
	if int(index) >= len(p.module.Funcs) {
		return "no function"
	}
	if name := p.module.Funcs[index].Name; name != "" {
		return name
	}
	return fmt.Sprintf("function %d", index)
}

const (
	pageBytes  = bytecode.PageBytes
	mostMemory = 256 << 20 // of an instance, if nobody says
)

// pages decides what the memory of an instance may grow to.
func (p *Program) pages(info hal.Info, l Launch) (int, error) {
	least := uint64(p.image.Memory.Min) * pageBytes
	most := l.Memory
	if most == 0 {
		most = max(least, min(mostMemory, info.Memory/4/uint64(l.Instances)))
	}
	if most < least {
		return 0, fmt.Errorf("%s: the program begins with %s of memory, and may have %s: %w", p.name, size(least), size(most), hal.ErrInvalid)
	}
	if all := most * uint64(l.Instances); info.Memory > 0 && all > info.Memory {
		wanted := "a memory of " + size(all)
		if l.Instances > 1 {
			wanted = fmt.Sprintf("%d instances with %s of memory each, %s in all", l.Instances, size(most), size(all))
		}
		return 0, fmt.Errorf("%s: no room for %s: %s has %s: %w", p.name, wanted, info.URI, size(info.Memory), hal.ErrInvalid)
	}
	return int(most / pageBytes), nil
}

// size is bytes for people.
func size(bytes uint64) string {
	switch {
	case bytes >= 10<<30:
		return fmt.Sprintf("%d GiB", bytes>>30)
	case bytes >= 1<<20:
		return fmt.Sprintf("%d MiB", bytes>>20)
	}
	return fmt.Sprintf("%d KiB", bytes>>10)
}
