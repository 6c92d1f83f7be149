package hostcall

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"runtime"
	"sync"

	"github.com/dialtone-gpu/dialtone/capabilities"
	"github.com/dialtone-gpu/dialtone/device"
	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/hostcall/call"
	"github.com/dialtone-gpu/dialtone/hostcall/errno"
	"github.com/dialtone-gpu/dialtone/hostcall/plan"
	"github.com/dialtone-gpu/dialtone/hostcall/probe"
	"github.com/dialtone-gpu/dialtone/hostcall/wire"
)

// Options tune a Runtime; nil means the defaults.
type Options struct {
	// Plan replaces the plan that would be made from probing the device.
	Plan *plan.Plan
	// Policy is what a plan made from probing may rely on; the zero value is the default.
	Policy plan.Policy
	// Pollers is the most goroutines that watch for requests, 1 to 4; 0 chooses by the machine.
	Pollers int
	// Warn is told of what does not end a run: a handler that panicked, with its stack. Nil discards.
	Warn func(message string)
	// Tagged forces short requests to travel without a fence (true) or with one (false); nil
	// chooses by the size of the launch. For measurements.
	Tagged *bool
}

// Runtime loads and runs programs on one device.
type Runtime struct {
	device *hal.Device
	found  capabilities.Set
	plan   plan.Plan
	opts   Options

	mutex     sync.Mutex
	functions map[string]registered
	sessions  []*session // idle ones
	rooms     []*room    // likewise, of the relaunch transport
	closed    bool
	outbox    int // bytes of every outbox, for tests; 0 chooses by the launch
}

type registered struct {
	op     wire.Opcode
	serve  Function
	inline bool
}

// New plans for a device. The device must stay open as long as the Runtime.
func New(ctx context.Context, dev *hal.Device, opts *Options) (*Runtime, error) {
	r := &Runtime{device: dev, functions: map[string]registered{}}
	if opts != nil {
		r.opts = *opts
	}
	if r.opts.Plan != nil {
		r.plan = *r.opts.Plan
		return r, nil
	}
	err := r.opts.Policy.Check()
	if err != nil {
		return nil, err
	}
	if r.found, err = probe.Device(ctx, dev); err != nil {
		return nil, err
	}
	r.plan = r.opts.Policy.Make(dev.Info().URI, r.found)
	return r, nil
}

// Plan tells how each service is served.
func (r *Runtime) Plan() plan.Plan { return r.plan }

// Capabilities is what probing found; empty if Options gave the plan.
func (r *Runtime) Capabilities() capabilities.Set { return r.found }

// Device is the device that programs run on.
func (r *Runtime) Device() *hal.Device { return r.device }

var callName = regexp.MustCompile(`^[A-Za-z_]\w*$`)

// Register makes a Go function callable by kernels that are loaded afterwards, under the name that they
// give to HC_IMPORT. It may be called from several goroutines at once.
func (r *Runtime) Register(name string, f Function) error {
	if !callName.MatchString(name) {
		return fmt.Errorf("a call's name must be a C identifier, got %q", name)
	}
	if f == nil {
		return fmt.Errorf("call %s: the function is nil", name)
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if _, ok := r.functions[name]; ok {
		return fmt.Errorf("call %s is registered already", name)
	}
	op := wire.FirstUserOpcode + len(r.functions)
	if op > wire.OpcodeMask {
		return errors.New("too many calls are registered")
	}
	r.functions[name] = registered{op: wire.Opcode(op), serve: f}
	return nil
}

// Declare makes a call known to files that are loaded afterwards, for which every launch gives the function ([Launch.Functions]).
// It may be declared more than once.
func (r *Runtime) Declare(name string) error {
	r.mutex.Lock()
	_, known := r.functions[name]
	r.mutex.Unlock()
	if known {
		return nil
	}
	err := r.Register(name, func(context.Context, *Lane) error { return errno.ENOSYS })
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if _, known := r.functions[name]; known {
		return nil // by somebody else meanwhile
	}
	return err
}

// own binds the functions of a launch to the opcodes of those that they replace.
func (r *Runtime) own(functions map[string]Function) (map[wire.Opcode]call.Handler, error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	handlers := map[wire.Opcode]call.Handler{}
	for name, f := range functions {
		known, ok := r.functions[name]
		if !ok || f == nil {
			return nil, fmt.Errorf("call %s of a launch: it needs a function, and one registered under that name before the file was loaded: %w", name, hal.ErrInvalid)
		}
		handlers[known.op] = f.handler()
	}
	return handlers, nil
}

// Load compiles a kernel file. A file at fault gives a *hal.CompileError with the file's own line numbers.
func (r *Runtime) Load(ctx context.Context, name, text string) (*Program, error) {
	return r.LoadSource(ctx, hal.Source{Name: name, Text: text})
}

// LoadSource is Load for a kernel file that needs more than its text says, such as stack for recursive functions.
func (r *Runtime) LoadSource(ctx context.Context, src hal.Source) (*Program, error) {
	name := src.Name
	unit, err := device.Parse(name, src.Text)
	if err != nil {
		return nil, err
	}
	if err := r.plan.NeedsHost(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if err := r.waits(unit); err != nil {
		return nil, err
	}
	calls := map[string]uint16{}
	table := &call.Table{}
	r.mutex.Lock()
	for name, f := range r.functions {
		calls[name] = uint16(f.op)
		table.Set(f.op, f.serve.handler(), false)
	}
	r.mutex.Unlock()
	full, err := unit.Assemble(string(r.device.Info().Dialect), device.Options{Defines: r.plan.Defines, Calls: calls})
	if err != nil {
		return nil, err
	}
	src.Text = full
	module, err := r.device.Compile(ctx, src)
	if refused, ok := errors.AsType[*hal.CompileError](err); ok {
		refused.Log = unit.Diagnose(refused.Log)
	}
	if err != nil {
		return nil, err
	}
	return &Program{runtime: r, unit: unit, module: module, functions: table}, nil
}

// waits refuses a file with a kernel whose calls would never be answered.
func (r *Runtime) waits(unit *device.Unit) error {
	for _, k := range unit.Kernels {
		if unit.Resumable(k.Name) {
			continue
		}
		for _, call := range unit.Waits(k.Name) {
			if call == "hc_monotonic_ns" && r.plan.Route(plan.Monotonic) == plan.Device {
				continue
			}
			if err := r.plan.Waits(k.Name, call); err != nil {
				return fmt.Errorf("%s:%d: %w", unit.Name, k.Line, err)
			}
		}
	}
	return nil
}

// pollers is how many goroutines may watch a mailbox.
func (r *Runtime) pollers() int {
	if r.opts.Pollers > 0 {
		return r.opts.Pollers
	}
	if r.device.Info().HostCPU {
		return 1
	}
	return max(1, min(4, runtime.NumCPU()/4))
}

// Close frees what idle runs left behind. Programs must be closed before.
func (r *Runtime) Close() error {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.closed = true
	var errs []error
	for _, s := range r.sessions {
		errs = append(errs, s.close())
	}
	for _, m := range r.rooms {
		errs = append(errs, m.close())
	}
	r.sessions, r.rooms = nil, nil
	return errors.Join(errs...)
}
