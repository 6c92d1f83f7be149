package probe

import (
	"context"
	_ "embed"
	"fmt"
	"strings"
	"time"

	"github.com/dialtone-gpu/dialtone/capabilities"
	"github.com/dialtone-gpu/dialtone/hal"
)

//go:embed kernels/more.kernel.c
var moreText string

// extras are the probes of what no plan reads yet: only a survey runs them. Those that may take the device with them come last.
var extras = []probe{
	{name: "lanes", gives: []capabilities.ID{capabilities.SubgroupSize}, needs: basics, run: (*prober).lanes},
	{name: "hostmap", gives: []capabilities.ID{capabilities.MemHostMap, capabilities.MemUVA}, needs: basics, run: (*prober).hostmap},
	{name: "managed", gives: []capabilities.ID{capabilities.MemManaged}, needs: basics, run: (*prober).managed},
	{name: "adding", gives: []capabilities.ID{capabilities.Atomic32}, needs: basics, run: (*prober).adding},
	{name: "wide", gives: []capabilities.ID{capabilities.Atomic64}, needs: basics, run: (*prober).wide},
	{name: "floats", gives: []capabilities.ID{capabilities.AtomicFloat}, needs: basics, run: (*prober).floats},
	{name: "double", gives: []capabilities.ID{capabilities.Float64}, needs: basics, run: (*prober).double},
	{name: "cycles", gives: []capabilities.ID{capabilities.TimerCycle}, needs: basics, run: (*prober).cycles},
	{name: "system", gives: []capabilities.ID{capabilities.AtomicSystem}, needs: mailboxed, run: (*prober).system},
	{name: "messages", gives: []capabilities.ID{capabilities.FenceSystem}, needs: mailboxed, run: (*prober).messages},
	{name: "meeting", gives: []capabilities.ID{capabilities.ExecCoop}, needs: basics, run: (*prober).meeting},
	{name: "waiting", gives: []capabilities.ID{capabilities.ExecProgress}, needs: basics, run: (*prober).waiting},
	{name: "follow", gives: []capabilities.ID{capabilities.ArgsBindless}, needs: basics, risky: true, run: (*prober).follow},
	{name: "concurrent", gives: []capabilities.ID{capabilities.MemConcurrent}, needs: []capabilities.ID{capabilities.ExecBasic, capabilities.MemManaged}, risky: true, run: (*prober).concurrent},
	{name: "pageable", gives: []capabilities.ID{capabilities.MemPageable}, needs: basics, risky: true, faults: true, run: (*prober).pageable},
}

var (
	basics    = []capabilities.ID{capabilities.ExecBasic}
	mailboxed = []capabilities.ID{capabilities.ExecBasic, capabilities.CommMailbox}
)

// extra runs a kernel of the second file.
func (p *prober) extra(ctx context.Context, name string, grid, group int, args ...hal.Arg) error {
	if p.more == nil {
		m, err := p.compile(ctx, "more", moreText)
		if err != nil {
			return err
		}
		p.more = m
	}
	return p.launch(ctx, p.more, name, grid, group, args...)
}

// contention is how many groups and items do the same at once, and how often each.
func (p *prober) contention() (grid, group, times int) {
	info := p.device.Info()
	return min(max(4*info.Units, 8), 256), min(64, info.MaxGroup), 200
}

// proven notes what was done.
func (p *prober) proven(id capabilities.ID, start time.Time, source, format string, a ...any) {
	p.note(id, capabilities.Proven, 0, time.Since(start), source, format, a...)
}

// failed notes what was tried in vain.
func (p *prober) failed(id capabilities.ID, start time.Time, source, format string, a ...any) {
	p.note(id, capabilities.No, 0, time.Since(start), source, format, a...)
}

// lanes: subgroup.size. The figure is what the kernel library counts on; a device may have wider ones.
func (p *prober) lanes(ctx context.Context) error {
	const id = capabilities.SubgroupSize
	start := time.Now()
	want := max(p.device.Info().Subgroup, 1)
	group := min(2*want, p.device.Info().MaxGroup)
	rows, err := p.zeroed(8 * group)
	if err != nil {
		return err
	}
	defer rows.Close()
	if err := p.extra(ctx, "lanes", 1, group, hal.Memory(rows)); err != nil {
		return err
	}
	raw, err := p.read(rows)
	if err != nil {
		return err
	}
	for i := range group {
		if count, rank := u32(raw, 2*i), u32(raw, 2*i+1); int(count) != want || int(rank) != i%want {
			p.failed(id, start, "kernel lanes", "lane %d counts %d lanes and is number %d of them; the driver says %d", i, count, rank, want)
			return nil
		}
	}
	p.note(id, capabilities.Proven, float64(want), time.Since(start), "kernel lanes", "%d lanes count %d each, in order", group, want)
	return nil
}

// double: compute.float64.
func (p *prober) double(ctx context.Context) error {
	const id, n = capabilities.Float64, 1000
	start := time.Now()
	m, err := p.optional(ctx, id, start, "double", doubleText)
	if m == nil {
		return err
	}
	defer p.unload(m)
	out, err := p.zeroed(64)
	if err != nil {
		return err
	}
	defer out.Close()
	if err := p.launch(ctx, m, "doubles", 1, 1, hal.Memory(out), hal.Int64(n)); err != nil {
		return err
	}
	raw, err := p.read(out)
	if err != nil {
		return err
	}
	if got := u64(raw, 0); got != n {
		p.failed(id, start, "kernel doubles", "%d of %d small terms are left in the sum", got, n)
		return nil
	}
	p.proven(id, start, "kernel doubles", "a sum kept %d terms of 2 to the power of -30 beside 1", n)
	return nil
}

// cycles: timer.cycle. Some of AMD's GPUs count 20 bits, so that one of the readings may be less than the one before.
func (p *prober) cycles(ctx context.Context) error {
	const id = capabilities.TimerCycle
	start := time.Now()
	if d := p.device.Info().Dialect; d != hal.CUDA && d != hal.HIP {
		p.lacks(ctx, "cycle counter", id)
		return nil
	}
	m, err := p.optional(ctx, id, start, "cycle", cycleText)
	if m == nil {
		return err
	}
	defer p.unload(m)
	const readings, steps = 9, 32 // so little work that a counter of 20 bits does not begin anew twice
	out, err := p.zeroed(8 * readings)
	if err != nil {
		return err
	}
	defer out.Close()
	work, err := p.zeroed(64)
	if err != nil {
		return err
	}
	defer work.Close()
	if err := p.launch(ctx, m, "cycles", 1, 1, hal.Memory(out), hal.Memory(work), hal.Int32(readings), hal.Int32(steps)); err != nil {
		return err
	}
	raw, err := p.read(out)
	if err != nil {
		return err
	}
	if times, cycles := advances(raw, readings); times < readings-2 {
		p.failed(id, start, "kernel cycles", "of %d readings only %d were more than the one before", readings, times)
	} else {
		p.proven(id, start, "kernel cycles", "%d cycles for %d steps of work", cycles, times*steps)
	}
	return nil
}

// advances tells how often a reading was more than the one before, and how much more in all.
func advances(raw []byte, readings int) (times int, sum uint64) {
	for i := range readings - 1 {
		if from, to := u64(raw, i), u64(raw, i+1); to > from {
			times++
			sum += to - from
		}
	}
	return times, sum
}

// meeting: exec.coop, with as many groups as the device has units.
func (p *prober) meeting(ctx context.Context) error {
	const id = capabilities.ExecCoop
	start := time.Now()
	groups := p.device.Info().Units
	if groups == 0 {
		p.unknown(id, "kernel meeting", "not tried: the driver does not say how many units the device has")
		return nil
	}
	words, err := p.zeroed(64)
	if err != nil {
		return err
	}
	defer words.Close()
	met, err := p.zeroed(64)
	if err != nil {
		return err
	}
	defer met.Close()
	patience := p.patience() / 10 // no host has to come first
	if err := p.extra(ctx, "meeting", groups, 1, hal.Memory(words), hal.Memory(met), hal.Int32(int32(groups)), hal.Int32(patience)); err != nil {
		return err
	}
	raw, err := p.read(met)
	if err != nil {
		return err
	}
	if n := int(u32(raw, 0)); n != groups {
		p.failed(id, start, "kernel meeting", "%d of %d groups saw all others within %d looks", n, groups, patience)
		return nil
	}
	p.note(id, capabilities.Proven, float64(groups), time.Since(start), "kernel meeting", "%d groups, one for each unit, all saw each other", groups)
	return nil
}

// waiting: exec.fwdprogress. First another subgroup of the same group is waited for, then a lane of the same subgroup.
func (p *prober) waiting(ctx context.Context) error {
	const id = capabilities.ExecProgress
	start := time.Now()
	width := max(p.device.Info().Subgroup, 1)
	reached, who := "", ""
	for _, step := range []struct {
		level string
		other int
		who   string
	}{{"subgroup", width, "lanes of two subgroups"}, {"lane", 1, "two lanes of one subgroup"}} {
		if step.other >= p.device.Info().MaxGroup {
			continue
		}
		ok, err := p.waitsFor(ctx, step.other, min(2*width, p.device.Info().MaxGroup))
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		reached, who = step.level, step.who
	}
	if reached == "" {
		p.failed(id, start, "kernel waiting", "two items of a group that wait for each other do not both go on")
		return nil
	}
	p.proven(id, start, "kernel waiting", "%s waited for each other in turn, and both went on", who)
	p.level(id, reached)
	return nil
}

func (p *prober) waitsFor(ctx context.Context, other, group int) (bool, error) {
	words, err := p.zeroed(128)
	if err != nil {
		return false, err
	}
	defer words.Close()
	met, err := p.zeroed(64)
	if err != nil {
		return false, err
	}
	defer met.Close()
	if err := p.extra(ctx, "waiting", 1, group, hal.Memory(words), hal.Memory(met), hal.Int32(int32(other)), hal.Int32(p.patience()/10)); err != nil {
		return false, err
	}
	raw, err := p.read(met)
	return err == nil && u32(raw, 0) == 1, err
}

// trial makes a probe of what a backend tries by itself.
func trial(t hal.Trial) probe {
	id := capabilities.ID(t.Capability)
	name := strings.TrimSpace("trial " + t.Capability + " " + t.Level)
	return probe{name: name, gives: []capabilities.ID{id}, risky: t.Risky || t.Env != nil, env: t.Env, run: func(p *prober, ctx context.Context) error {
		start := time.Now()
		detail, err := t.Run(ctx, p.storage)
		switch {
		case err == nil:
			p.proven(id, start, "trial", "%s", detail)
			p.level(id, t.Level)
		case isUnsupported(err):
			p.failed(id, start, "trial", "%v", err)
		default:
			return fmt.Errorf("trial: %w", err)
		}
		return nil
	}}
}
