package hostcall

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/dialtone-gpu/dialtone/device"
	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/hostcall/mailbox"
	"github.com/dialtone-gpu/dialtone/hostcall/policy"
	"github.com/dialtone-gpu/dialtone/hostcall/service"
	"github.com/dialtone-gpu/dialtone/hostcall/wire"
	"github.com/dialtone-gpu/dialtone/internal/nap"
)

// ErrStillRunning says that a kernel did not end although its run did, and that the backend cannot
// end it. The device is busy until the process ends.
var ErrStillRunning = errors.New("the kernel is still running and this device cannot stop it; it ends with the process")

// Program is a compiled kernel file.
type Program struct {
	runtime   *Runtime
	unit      *device.Unit
	module    *hal.Module
	functions *mailbox.Table
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
	place := place(info, subgroups, items)
	s, err := p.runtime.session(place.shape)
	if err != nil {
		return Result{}, err
	}
	r, err := newRun(p, s, place, l)
	if err != nil {
		return Result{}, errors.Join(err, p.runtime.release(s))
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
	program *Program
	session *session
	launch  Launch
	files   *service.Files
	server  atomic.Pointer[mailbox.Server]
	end     ending
	params  wire.Params
}

func newRun(p *Program, s *session, place placing, l Launch) (*run, error) {
	env, err := service.NewEnv(l.Policy)
	if err != nil {
		return nil, err
	}
	files, err := service.NewFiles(l.Policy)
	if err != nil {
		return nil, err
	}
	r := &run{program: p, session: s, launch: l, files: files, end: ending{signal: make(chan struct{})}}
	if err := s.setStrings(string(env.Block)); err != nil {
		return nil, errors.Join(err, files.Close())
	}
	r.params = wire.Params{
		Layout:  s.slots.Layout,
		Homes:   uint32(place.homes),
		Spread:  uint32(place.spread),
		Strings: uint32(s.locks()),
		Argc:    uint32(env.Argc),
		Envc:    uint32(env.Envc),
	}
	// Few callers want a short way, many want few bytes on the bus.
	if t := p.runtime.opts.Tagged; t != nil && *t || t == nil && place.homes <= fewCallers {
		r.params.Flags |= wire.FlagTagged
	}
	return r, nil
}

// fewCallers is up to how many subgroups a short way matters more than few bytes on the bus.
const fewCallers = 256

// do launches, serves, and cleans up.
func (r *run) do(ctx context.Context, kernel *hal.Kernel) (Result, error) {
	start := time.Now()
	rt, s := r.program.runtime, r.session
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.runs = max(1, s.runs+1)
	// The handlers' context ends when the kernel is told, not before: else a lane would get ECANCELED and go on.
	server := mailbox.Start(context.WithoutCancel(ctx), s.slots, r.table(), mailbox.Options{
		Pollers: rt.pollers(), HostCPU: rt.device.Info().HostCPU, Mark: s.runs, Panicked: rt.panicked,
	})
	r.server.Store(server)
	args := append([]hal.Arg{hal.Memory(s.local), hal.Memory(s.mail), hal.Value(r.params.Bytes())}, r.launch.Args...)
	err := s.queue.Launch(kernel, r.launch.Grid, r.launch.Group, args...)
	running := false
	if err == nil {
		// Without a mark, or if it fails, await asks the driver.
		marks := s.queue.Mark(s.mail, mailbox.MarkOffset, s.runs) == nil
		running, err = r.await(ctx, server, marks)
	}
	ended := err == nil // no lane was stopped with a slot in its hands
	if !ended {
		server.Abort() // nobody waits any more for what a handler may be waiting for
	}
	grace := r.grace()
	served := server.Close(grace)
	res := Result{Calls: server.Served(), Elapsed: time.Since(start)}
	err = r.outcome(&res, err, kernel.Name())
	if e := r.files.Close(); err == nil && e != nil {
		err = e
	}
	switch {
	case running:
		// The kernel may still write to the mailbox: its memory is left to it.
		err = errors.Join(err, fmt.Errorf("%s: kernel %s: %w", rt.device.Info().URI, kernel.Name(), ErrStillRunning))
	case !served:
		err = errors.Join(err, fmt.Errorf("kernel %s: a call's function did not return within %v after the run", kernel.Name(), 2*grace))
	case errors.Is(err, hal.ErrDeviceLost):
	case !ended:
		if e := s.close(); err == nil {
			err = e
		}
	default:
		if e := rt.release(s); err == nil {
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

// await waits for the kernel. With marks, a poller sees its end, and the driver is only asked now and then whether it failed: every wakening
// costs, and there should be few while a kernel is silent. When the run is over before it, it tells the kernel, and stops it if it does
// not listen. running says that it could not.
func (r *run) await(ctx context.Context, server *mailbox.Server, marks bool) (running bool, err error) {
	q := r.session.queue
	start := time.Now()
	var over time.Time
	marked := server.Marked()
	abandoned, stopped := false, false
	for {
		done, failed := q.Done()
		if err == nil {
			err = failed
		}
		if done {
			return false, err
		}
		if failed != nil {
			r.end.put(failed)
		}
		switch {
		case over.IsZero():
			if ended := ctx.Err(); ended != nil {
				r.end.put(ended)
			}
			if r.end.set.Load() {
				over = time.Now()
				server.Abort()
			}
		case !abandoned && time.Since(over) > r.stopAfter()/2:
			abandoned = true
			server.Abandon()
		case stopped && time.Since(over) > 2*r.grace():
			return true, err
		case !stopped && time.Since(over) > r.stopAfter():
			if q.Stop() != nil && time.Since(over) > r.grace() {
				return true, err
			}
			stopped = time.Since(over) > r.grace()
		}
		pause := min(time.Since(start)/50, 50*time.Millisecond)
		if marks {
			pause = max(time.Millisecond, min(time.Since(start)/10, 200*time.Millisecond))
		}
		switch {
		case !over.IsZero():
			nap.For(min(time.Since(over)/10, 2*time.Millisecond))
		case pause < time.Millisecond:
			nap.For(pause)
		default:
			select {
			case <-ctx.Done():
			case <-r.end.signal:
			case <-marked:
				marks, marked = false, nil // the driver agrees at once, or soon
				start = time.Now()
			case <-time.After(pause):
			}
		}
	}
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
		return nil
	case cause != nil:
		return fmt.Errorf("kernel %s: %w", kernel, cause)
	}
	return err
}

func (rt *Runtime) panicked(op wire.Opcode, cause any, stack []byte) {
	if rt.opts.Warn == nil {
		return
	}
	name := fmt.Sprintf("call %d", op)
	rt.mutex.Lock()
	for n, f := range rt.functions {
		if f.op == op {
			name = "call " + n
		}
	}
	rt.mutex.Unlock()
	for _, c := range wire.Calls {
		if c.Op == op {
			name = "call " + c.Name
		}
	}
	rt.opts.Warn(fmt.Sprintf("the handler of %s panicked: %v\n%s", name, cause, stack))
}

// warnFormat reports a format that does not fit its arguments: the kernel only sees EINVAL.
func (rt *Runtime) warnFormat(err error) {
	if rt.opts.Warn != nil {
		rt.opts.Warn("hc_printf: " + err.Error())
	}
}
