package hostcall

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dialtone-gpu/dialtone/device"
	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/hostcall/call"
	"github.com/dialtone-gpu/dialtone/hostcall/plan"
	"github.com/dialtone-gpu/dialtone/hostcall/policy"
	"github.com/dialtone-gpu/dialtone/hostcall/service"
	"github.com/dialtone-gpu/dialtone/hostcall/wire"
)

// ErrStillRunning says that a kernel did not end although its run did, and that the backend cannot
// end it. The device is busy until the process ends.
var ErrStillRunning = errors.New("the kernel is still running and this device cannot stop it; it ends with the process")

// Program is a compiled kernel file.
type Program struct {
	runtime   *Runtime
	unit      *device.Unit
	module    *hal.Module
	functions *call.Table
}

// Kernels lists the kernels of the file, in its order.
func (p *Program) Kernels() []string {
	var names []string
	for _, k := range p.unit.Kernels {
		names = append(names, k.Name)
	}
	return names
}

// Close unloads the code.
func (p *Program) Close() error { return p.module.Close() }

// Launch says what to run and what it may reach.
type Launch struct {
	Kernel string // empty: the only one of the file
	Grid   [3]int // groups per dimension, 0 as 1
	Group  [3]int // work-items per group and dimension, 0 as 1
	Args   []hal.Arg
	Policy policy.Policy
	// Functions serve this launch in place of those that are registered under their names.
	Functions map[string]Function
	// Grace is how long a kernel may take to end after its run is over; 0 is two seconds.
	Grace time.Duration
}

// Result is what a run that came to its end gives.
type Result struct {
	ExitCode int    // of hc_exit, otherwise 0
	Calls    uint64 // packets that were served
	Elapsed  time.Duration
}

// Run launches a kernel and serves it until it ends.
func (p *Program) Run(ctx context.Context, l Launch) (Result, error) {
	decl, err := p.unit.Kernel(l.Kernel)
	if err != nil {
		return Result{}, err
	}
	if len(l.Args) != len(decl.Params) {
		return Result{}, fmt.Errorf("kernel %s takes %d arguments, got %d", decl.Name, len(decl.Params), len(l.Args))
	}
	kernel, err := p.module.Kernel(decl.Name)
	if err != nil {
		return Result{}, err
	}
	info := p.runtime.device.Info()
	subgroups, items, err := l.count(info)
	if err != nil {
		return Result{}, err
	}
	if most := kernel.MaxGroup(); items > most {
		return Result{}, fmt.Errorf("%s: kernel %s: groups of %d work-items, at most %d: %w", info.URI, decl.Name, items, most, hal.ErrInvalid)
	}
	own, err := p.runtime.own(l.Functions)
	if err != nil {
		return Result{}, err
	}
	r, err := newRun(p, l)
	if err != nil {
		return Result{}, err
	}
	r.own = own
	if p.runtime.plan.Transport == plan.Stopping {
		r.transport, err = p.runtime.relaunched(r, decl.Name, items)
	} else {
		r.transport, err = p.runtime.mailed(r, subgroups, items)
	}
	if err != nil {
		return Result{}, errors.Join(err, r.files.Close())
	}
	return r.do(ctx, kernel)
}

// count gives the subgroups of the launch and the work-items of a group.
func (l *Launch) count(info hal.Info) (subgroups, items int, err error) {
	n := 1
	items = 1
	for i := range 3 {
		l.Grid[i], l.Group[i] = max(l.Grid[i], 1), max(l.Group[i], 1)
		if l.Grid[i] > 1<<40/n || l.Group[i] > 1<<20/items {
			return 0, 0, fmt.Errorf("a launch of %v groups of %v work-items is too large: %w", l.Grid, l.Group, hal.ErrInvalid)
		}
		n, items = n*l.Grid[i], items*l.Group[i]
	}
	return min(n*((items+info.Subgroup-1)/info.Subgroup), 1<<30), items, nil
}

// run is one launch being served.
type run struct {
	program   *Program
	launch    Launch
	env       service.Env
	files     *service.Files
	own       map[wire.Opcode]call.Handler // Launch.Functions
	transport transport
	end       ending
	lost      error // what was posted and could not be served
}

func newRun(p *Program, l Launch) (*run, error) {
	env, err := service.NewEnv(l.Policy)
	if err != nil {
		return nil, err
	}
	files, err := service.NewFiles(l.Policy)
	if err != nil {
		return nil, err
	}
	return &run{program: p, launch: l, env: env, files: files, end: ending{signal: make(chan struct{})}}, nil
}

// do launches, serves, and cleans up.
func (r *run) do(ctx context.Context, kernel *hal.Kernel) (Result, error) {
	start := time.Now()
	rt, t := r.program.runtime, r.transport
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	running, err := t.serve(ctx, kernel)
	ended := err == nil // no lane was stopped in the middle of a call
	if !ended {
		t.abort() // nobody waits any more for what a handler may be waiting for
	}
	grace := r.grace()
	served := t.finish(grace)
	res := Result{Calls: t.calls(), Elapsed: time.Since(start)}
	err = r.outcome(&res, err, kernel.Name())
	if e := r.files.Close(); err == nil && e != nil {
		err = e
	}
	switch {
	case running:
		// The kernel may still write to the transport's memory: it is left to it.
		err = errors.Join(err, fmt.Errorf("%s: kernel %s: %w", rt.device.Info().URI, kernel.Name(), ErrStillRunning))
	case !served:
		err = errors.Join(err, fmt.Errorf("kernel %s: a call's function did not return within %v after the run", kernel.Name(), 2*grace), t.leave())
	case errors.Is(err, hal.ErrDeviceLost):
	default:
		if e := t.free(ended); err == nil {
			err = e
		}
	}
	return res, err
}

func (r *run) grace() time.Duration {
	if r.launch.Grace > 0 {
		return r.launch.Grace
	}
	return 2 * time.Second
}

// stopAfter is how long a kernel has to notice the end by itself: it only has to make a call or look.
func (r *run) stopAfter() time.Duration { return r.grace() / 10 }

// outcome turns how the run ended into its result.
func (r *run) outcome(res *Result, err error, kernel string) error {
	cause := r.end.get()
	var exit service.Exit
	switch {
	case errors.As(cause, &exit):
		res.ExitCode = int(exit.Code)
		if r.lost != nil {
			return fmt.Errorf("kernel %s: %w", kernel, r.lost)
		}
		return nil
	case cause != nil:
		return fmt.Errorf("kernel %s: %w", kernel, cause)
	}
	if r.lost != nil {
		err = errors.Join(err, fmt.Errorf("kernel %s: %w", kernel, r.lost))
	}
	return err
}

func (rt *Runtime) panicked(op wire.Opcode, cause any, stack []byte) {
	if rt.opts.Warn != nil {
		rt.opts.Warn(fmt.Sprintf("the handler of call %s panicked: %v\n%s", rt.callName(op), cause, stack))
	}
}

// callName is an opcode for people.
func (rt *Runtime) callName(op wire.Opcode) string {
	name := fmt.Sprint(uint16(op))
	rt.mutex.Lock()
	for n, f := range rt.functions {
		if f.op == op {
			name = n
		}
	}
	rt.mutex.Unlock()
	for _, c := range wire.Calls {
		if c.Op == op {
			name = c.Name
		}
	}
	return name
}

// warnFormat reports a format that does not fit its arguments: the kernel only sees EINVAL.
func (rt *Runtime) warnFormat(err error) {
	if rt.opts.Warn != nil {
		rt.opts.Warn("hc_printf: " + err.Error())
	}
}
