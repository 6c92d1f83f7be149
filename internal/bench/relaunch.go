package bench

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/dialtone-gpu/dialtone/device"
	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/hostcall"
	"github.com/dialtone-gpu/dialtone/hostcall/plan"
	"github.com/dialtone-gpu/dialtone/hostcall/policy"
	"github.com/dialtone-gpu/dialtone/hostcall/wire"
)

//go:embed kernels/relaunch.kernel.c
var relaunchText string

// relaunch: a call that is answered between two launches, against an empty launch and the wait for its end.
func (b *bench) relaunch(ctx context.Context) (err error) {
	b.say("the relaunch transport")
	rt, err := hostcall.New(ctx, b.device, &hostcall.Options{Policy: plan.Policy{Transport: plan.Stopping}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rt.Close()) }()
	program, err := rt.Load(ctx, "relaunch.kernel.c", relaunchText)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, program.Close()) }()
	empty, err := b.emptyLaunches(ctx, rt.Plan())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, empty.close()) }()

	wrong, err := b.words(hal.DeviceMemory, 16)
	if err != nil {
		return err
	}
	defer wrong.Close()
	rounds, items := 500, b.info.Subgroup
	if b.opts.Quick {
		rounds = 50
	}
	var floors, calls []float64
	for i := range b.repeats() + 1 {
		floor, err := empty.measure(ctx, items, rounds)
		if err != nil {
			return err
		}
		res, err := program.Run(ctx, hostcall.Launch{Kernel: "asks", Group: [3]int{items}, Args: []hal.Arg{hal.Memory(wrong), hal.Int32(int32(rounds))}})
		if err != nil {
			return err
		}
		if n, err := b.read(wrong); err != nil || n[0] != 0 {
			return fmt.Errorf("bench asks: wrong answers (%v)", err)
		}
		if i > 0 { // the first compiles, where that is done for each size of groups
			floors, calls = append(floors, floor), append(calls, float64(res.Elapsed)/float64(rounds))
		}
	}
	floor, call := median(floors), median(calls)
	b.add(Row{Name: "floor: empty launch and wait for its end", Value: floor / 1e3, Unit: "us"}, nil)
	b.add(Row{Name: "relaunch: a no-op call with its answer, one subgroup", Value: call / 1e3, Unit: "us", Ratio: call / floor, Target: "at most 3 x floor"},
		func(r Row) bool { return r.Ratio <= 3 })

	lines, grid := 20, 4*b.info.Units
	var rates []float64
	for i := range b.repeats() + 1 {
		res, err := program.Run(ctx, hostcall.Launch{Kernel: "prints", Grid: [3]int{grid}, Group: [3]int{64}, Args: []hal.Arg{hal.Int32(int32(lines))},
			Policy: policy.Policy{Stdout: io.Discard}})
		if err != nil {
			return err
		}
		if i > 0 {
			rates = append(rates, float64(grid*64*lines)/res.Elapsed.Seconds())
		}
	}
	b.report.Rows = append(b.report.Rows, Row{Name: fmt.Sprintf("relaunch: lines posted by %d work-items, discarded", grid*64), Value: median(rates) / 1e6, Unit: "M lines/s"})
	return nil
}

// empties launches a kernel that does nothing.
type empties struct {
	module *hal.Module
	kernel *hal.Kernel
	queue  *hal.Queue
	memory *hal.Buffer
}

func (b *bench) emptyLaunches(ctx context.Context, p plan.Plan) (_ *empties, err error) {
	unit, err := device.Parse("relaunch.kernel.c", relaunchText)
	if err != nil {
		return nil, err
	}
	full, err := unit.Assemble(string(b.info.Dialect), device.Options{Defines: p.Defines})
	if err != nil {
		return nil, err
	}
	e := &empties{}
	defer func() {
		if err != nil {
			e.close()
		}
	}()
	if e.module, err = b.device.Compile(ctx, hal.Source{Name: unit.Name, Text: full}); err != nil {
		return nil, err
	}
	if e.kernel, err = e.module.Kernel("empty"); err != nil {
		return nil, err
	}
	if e.memory, err = b.words(hal.DeviceMemory, 64); err != nil {
		return nil, err
	}
	e.queue, err = b.device.NewQueue()
	return e, err
}

// measure gives the time of a launch and the shorter of two waits for its end: a query that is repeated, and a read of a word behind it.
func (e *empties) measure(ctx context.Context, items, rounds int) (float64, error) {
	params := wire.Params{}
	args := []hal.Arg{hal.Memory(e.memory), hal.Memory(e.memory), hal.Value(params.Bytes())}
	word := make([]byte, 4)
	best := 0.0
	for _, wait := range []func() error{
		func() error { return e.queue.Wait(ctx) },
		func() error { return e.queue.Read(word, e.memory, 0) },
	} {
		start := time.Now()
		for range rounds {
			if err := e.queue.Launch(e.kernel, [3]int{1}, [3]int{items}, args...); err != nil {
				return 0, err
			}
			if err := wait(); err != nil {
				return 0, err
			}
		}
		if took := float64(time.Since(start)) / float64(rounds); best == 0 || took < best {
			best = took
		}
	}
	return best, nil
}

func (e *empties) close() error {
	var errs []error
	if e.queue != nil {
		errs = append(errs, e.queue.Close())
	}
	if e.memory != nil {
		errs = append(errs, e.memory.Close())
	}
	if e.module != nil {
		errs = append(errs, e.module.Close())
	}
	return errors.Join(errs...)
}
