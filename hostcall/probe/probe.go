// Package probe finds out what a device can do by doing it: it runs small kernels that end by
// themselves whatever happens, and checks what they and the host saw.
//
// The contract of every probe is that of package capabilities: done and checked is Proven, cannot be done is No, and
// everything else, such as a kernel that does not end in time, leaves the capability Unknown with the reason. That is
// no error: errors are for devices that cannot even be asked.
//
// [Device] asks the few things that a plan reads, in this process, and remembers what was conclusive under the
// device's identity, its driver and the probes' own text. [Survey] asks everything, of every device, in child
// processes: whatever a driver does there, the survey goes on and says what happened.
package probe

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dialtone-gpu/dialtone/capabilities"
	"github.com/dialtone-gpu/dialtone/device"
	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/hostcall/wire"
	"github.com/dialtone-gpu/dialtone/internal/cache"
)

//go:embed kernels/probe.kernel.c
var text string

// limit is how long one kernel of a probe may take; a variable for tests.
var limit = 5 * time.Second

// probe is something to do on a device.
type probe struct {
	name   string
	gives  []capabilities.ID
	needs  []capabilities.ID // what has to be proven before; without it the outcome is unknown
	risky  bool              // it may take the device or the process with it, and comes last, in a process of its own
	faults bool              // where the driver denies it, it certainly ends in a fault: it is not tried there
	env    []string          // of its process; one that has some is risky
	run    func(*prober, context.Context) error
}

// planned are the probes of what a plan reads, in their order.
var planned = []probe{
	{name: "basic", gives: []capabilities.ID{capabilities.ExecBasic, capabilities.ModuleJIT}, run: (*prober).basic},
	{name: "mailbox", gives: []capabilities.ID{capabilities.CommMailbox, capabilities.Access64, capabilities.MemFineGrain},
		needs: []capabilities.ID{capabilities.ExecBasic}, run: (*prober).mailbox},
	{name: "clock", gives: []capabilities.ID{capabilities.TimerGlobal, capabilities.TimerCorrelate},
		needs: []capabilities.ID{capabilities.ExecBasic}, run: (*prober).clock},
	{name: "yield", gives: []capabilities.ID{capabilities.HostYield}, needs: []capabilities.ID{capabilities.ExecBasic}, run: (*prober).hostYield},
}

// Planned lists the capabilities that [Device] asks about.
func Planned() []capabilities.ID {
	var ids []capabilities.ID
	for _, p := range planned {
		ids = append(ids, p.gives...)
	}
	return ids
}

// Device probes what a plan reads. The findings of an earlier process are taken if nothing that matters changed.
func Device(ctx context.Context, dev *hal.Device) (capabilities.Set, error) {
	info := dev.Info()
	p := &prober{device: dev, set: capabilities.Set{}}
	_, full, err := p.assemble("probe", text)
	if err != nil {
		return nil, err
	}
	key := "probe2-" + cache.Key(info.URI, info.Name, info.Driver, info.UUID, info.Platform, full) + ".json"
	if data, ok := cache.Get(key); ok {
		var kept []capabilities.Finding
		if json.Unmarshal(data, &kept) == nil {
			return capabilities.SetOf(kept), nil
		}
	}
	if err := p.all(ctx); err != nil {
		return nil, err
	}
	if data, err := json.Marshal(p.set.List()); err == nil && !p.unsure {
		// A cache that cannot be written costs time at the next start, nothing else.
		_ = cache.Put(key, data)
	}
	return p.set, nil
}

type prober struct {
	device  *hal.Device
	module  *hal.Module // of the planned probes
	more    *hal.Module // of the others, when one of them first needs it
	queue   *hal.Queue
	set     capabilities.Set
	storage string // folder for files of trials
	unsure  bool   // something may have another outcome the next time
	stuck   string // the kernel that did not end and cannot be stopped: nothing else can be asked
}

// note records a finding.
func (p *prober) note(id capabilities.ID, state capabilities.State, value float64, took time.Duration, source, format string, a ...any) {
	p.set[id] = capabilities.Finding{ID: id, State: state, Value: value,
		Facts: []capabilities.Fact{{Source: source, Value: fmt.Sprintf(format, a...), Took: took}}}
}

// level adds how far a capability goes.
func (p *prober) level(id capabilities.ID, level string) {
	f := p.set[id]
	f.Level = level
	p.set[id] = f
}

// unknown leaves a capability open, with the reason.
func (p *prober) unknown(id capabilities.ID, source, format string, a ...any) {
	p.note(id, capabilities.Unknown, 0, 0, source, format, a...)
	f := p.set[id]
	f.Reason = f.Facts[0].Value
	p.set[id] = f
}

// lacks settles what the kernel language here has no words for: no, but open where the driver claims it, since nothing has tried that.
func (p *prober) lacks(ctx context.Context, what string, ids ...capabilities.ID) {
	p.untried(ctx, "kernel dialect", fmt.Sprintf("the dialect %s has no %s", p.device.Info().Dialect, what), ids...)
}

// untried is the same for what cannot be tried here for another reason.
func (p *prober) untried(ctx context.Context, source, why string, ids ...capabilities.ID) {
	claims := capabilities.Claims(p.device.Info(), slices.Collect(p.device.Facts(ctx)))
	for _, id := range ids {
		if claims[id].State == capabilities.Claimed {
			p.unknown(id, source, "not tried: the driver claims it, %s", why)
		} else {
			p.note(id, capabilities.No, 0, 0, source, "%s", why)
		}
	}
}

// all runs the planned probes.
func (p *prober) all(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, p.close()) }()
	for _, one := range planned {
		if err := p.do(ctx, one); err != nil {
			if ctx.Err() != nil || one.name == "basic" || errors.Is(err, hal.ErrDeviceLost) {
				return err
			}
			p.open(one, err)
		}
	}
	return nil
}

// open leaves all that a failed probe did not settle unknown.
func (p *prober) open(one probe, err error) {
	p.unsure = true
	for _, id := range one.gives {
		if _, ok := p.set[id]; !ok {
			p.unknown(id, "probe "+one.name, "%v", err)
		}
	}
}

// do runs one probe. Its error says that the probe could not do what it should: what it did not note is open then.
func (p *prober) do(ctx context.Context, one probe) error {
	for _, need := range one.needs {
		if !p.set.Has(need) {
			for _, id := range one.gives {
				p.unknown(id, "probe "+one.name, "not asked: %s is %s", need, p.set[need].State)
			}
			return nil
		}
	}
	if p.stuck != "" {
		return fmt.Errorf("not asked: the kernel %s still holds the device", p.stuck)
	}
	if p.queue == nil {
		q, err := p.device.NewQueue()
		if err != nil {
			return err
		}
		p.queue = q
	}
	return one.run(p, ctx)
}

func (p *prober) close() error {
	if p.stuck != "" {
		return nil // whatever is released now may wait for that kernel
	}
	var errs []error
	for _, m := range []*hal.Module{p.module, p.more} {
		if m != nil {
			errs = append(errs, m.Close())
		}
	}
	if p.queue != nil {
		errs = append(errs, p.queue.Close())
	}
	return errors.Join(errs...)
}

// unload closes a module, unless a kernel of it may still run.
func (p *prober) unload(m *hal.Module) {
	if p.stuck == "" {
		_ = m.Close()
	}
}

// assemble puts the kernel library before a text.
func (p *prober) assemble(name, text string, defines ...string) (string, string, error) {
	unit, err := device.Parse("dialtone/"+name+".kernel.c", text)
	if err != nil {
		return "", "", err
	}
	full, err := unit.Assemble(string(p.device.Info().Dialect), device.Options{Defines: defines})
	return unit.Name, full, err
}

func (p *prober) compile(ctx context.Context, name, text string, defines ...string) (*hal.Module, error) {
	name, full, err := p.assemble(name, text, defines...)
	if err != nil {
		return nil, err
	}
	return p.device.Compile(ctx, hal.Source{Name: name, Text: full})
}

// refusal is the first line of a compiler's log that says something, if err is a refusal.
func refusal(err error) (string, bool) {
	refused, ok := errors.AsType[*hal.CompileError](err)
	if !ok {
		return "", false
	}
	lines := strings.Split(strings.TrimSpace(refused.Log), "\n")
	if i := slices.IndexFunc(lines, func(l string) bool { return strings.Contains(l, "error") }); i > 0 {
		return lines[i], true
	}
	return lines[0], true
}

// optional compiles a kernel that not every compiler takes. A refusal is noted as a no for id and gives neither module nor error.
func (p *prober) optional(ctx context.Context, id capabilities.ID, start time.Time, name, text string) (*hal.Module, error) {
	m, err := p.compile(ctx, name, text)
	if why, ok := refusal(err); ok {
		p.failed(id, start, "compiler", "%s", why)
		return nil, nil
	}
	return m, err
}

// patience is how often a kernel looks for what does not come: about a second, less than limit. A wrong no
// costs more than the wait for a right one.
func (p *prober) patience() int32 {
	switch info := p.device.Info(); {
	case info.HostCPU && info.Dialect == hal.C11:
		return 1_000_000 // each a nap, once nothing else is to do
	case info.Sim && info.Dialect == hal.OpenCL:
		return 500_000 // Oclgrind takes two microseconds for each
	case info.HostCPU && info.Platform == "rusticl":
		return 100_000_000 // nine nanoseconds
	case info.HostCPU:
		return 2_000_000_000 // PoCL takes a third of a nanosecond
	case info.Dialect == hal.CUDA:
		return 50_000 // each up to 65 us: see hc_pause there
	}
	return 1_000_000
}

// launch runs a kernel of a probe module with the hidden arguments of every kernel, which probes do not use.
func (p *prober) launch(ctx context.Context, m *hal.Module, name string, grid, group int, args ...hal.Arg) error {
	k, err := m.Kernel(name)
	if err != nil {
		return err
	}
	// A kernel may take smaller groups than its device: as many items in more of them, where it is one of many groups.
	for most := k.MaxGroup(); grid > 1 && most > 0 && group > most && group%2 == 0; {
		grid, group = 2*grid, group/2
	}
	unused, err := p.device.Alloc(hal.DeviceMemory, 64)
	if err != nil {
		return err
	}
	defer unused.Close()
	params := wire.Params{}
	all := append([]hal.Arg{hal.Memory(unused), hal.Memory(unused), hal.Value(params.Bytes())}, args...)
	if err := p.queue.Launch(k, [3]int{grid}, [3]int{group}, all...); err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err = p.queue.Wait(limited)
	if err == nil || ctx.Err() != nil || limited.Err() == nil {
		return err
	}
	p.stuck = name
	if p.queue.Stop() == nil {
		grace, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		_ = p.queue.Wait(grace)
		if grace.Err() == nil {
			p.stuck = ""
		}
	}
	return fmt.Errorf("the kernel %s did not end within %v", name, limit)
}

// zeroed is device memory that is cleared.
func (p *prober) zeroed(size int) (*hal.Buffer, error) {
	b, err := p.device.Alloc(hal.DeviceMemory, size)
	if err != nil {
		return nil, err
	}
	if err := p.queue.Write(b, 0, make([]byte, size)); err != nil {
		b.Close()
		return nil, err
	}
	return b, nil
}

// read copies device memory.
func (p *prober) read(b *hal.Buffer) ([]byte, error) {
	data := make([]byte, b.Size())
	return data, p.queue.Read(data, b, 0)
}
