// Package probe finds out what a device can do by doing it: it runs small kernels that end by
// themselves whatever happens, and checks what they and the host saw.
//
// A probe that gives no conclusive answer leaves its capability unknown and is not an error; errors are for
// devices that cannot even be asked. Only conclusive answers are kept for the next process, under the
// device's identity, its driver and the probes' own text.
package probe

import (
	"context"
	_ "embed"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"sort"
	"strings"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/dialtone-gpu/dialtone/capabilities"
	"github.com/dialtone-gpu/dialtone/device"
	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/hostcall/wire"
	"github.com/dialtone-gpu/dialtone/internal/cache"
	"github.com/dialtone-gpu/dialtone/internal/nap"
)

//go:embed kernels/probe.kernel.c
var text string

//go:embed kernels/yield.kernel.c
var yieldText string

// limit is how long one probe may take.
const limit = 5 * time.Second

// Device probes what a plan reads. The findings of an earlier process are taken if nothing that matters changed.
func Device(ctx context.Context, dev *hal.Device) (capabilities.Set, error) {
	info := dev.Info()
	dialect := string(info.Dialect)
	unit, err := device.Parse("dialtone/probe.kernel.c", text)
	if err != nil {
		return nil, err
	}
	full, err := unit.Assemble(dialect, device.Options{})
	if err != nil {
		return nil, err
	}
	key := "probe-" + cache.Key(info.URI, info.Name, info.Driver, info.UUID, info.Platform, full) + ".json"
	if data, ok := cache.Get(key); ok {
		var kept []kept
		if json.Unmarshal(data, &kept) == nil {
			return restore(kept), nil
		}
	}
	p := &prober{device: dev, set: capabilities.Set{}}
	if err := p.all(ctx, unit, full); err != nil {
		return nil, err
	}
	if data, ok := p.conclusive(); ok {
		// A cache that cannot be written costs time at the next start, nothing else.
		_ = cache.Put(key, data)
	}
	return p.set, nil
}

type kept struct {
	ID    capabilities.ID
	State capabilities.State
	Value float64
	Facts []capabilities.Fact
}

// UnmarshalJSON of State is not wanted elsewhere, so the cache keeps the number.
type keptJSON struct {
	ID    capabilities.ID
	State uint8
	Value float64
	Facts []capabilities.Fact
}

func (k kept) MarshalJSON() ([]byte, error) {
	return json.Marshal(keptJSON{k.ID, uint8(k.State), k.Value, k.Facts})
}

func (k *kept) UnmarshalJSON(b []byte) error {
	var j keptJSON
	err := json.Unmarshal(b, &j)
	*k = kept{j.ID, capabilities.State(j.State), j.Value, j.Facts}
	return err
}

func restore(list []kept) capabilities.Set {
	set := capabilities.Set{}
	for _, k := range list {
		set[k.ID] = capabilities.Finding{ID: k.ID, State: k.State, Value: k.Value, Facts: k.Facts}
	}
	return set
}

type prober struct {
	device *hal.Device
	module *hal.Module
	queue  *hal.Queue
	set    capabilities.Set
}

func (p *prober) conclusive() ([]byte, bool) {
	var list []kept
	for _, f := range p.set.List() {
		if f.State == capabilities.Unknown {
			return nil, false
		}
		list = append(list, kept{f.ID, f.State, f.Value, f.Facts})
	}
	data, err := json.Marshal(list)
	return data, err == nil
}

// note records a finding.
func (p *prober) note(id capabilities.ID, state capabilities.State, value float64, took time.Duration, source, format string, a ...any) {
	p.set[id] = capabilities.Finding{ID: id, State: state, Value: value,
		Facts: []capabilities.Fact{{Source: source, Value: fmt.Sprintf(format, a...), Took: took}}}
}

func (p *prober) all(ctx context.Context, unit *device.Unit, full string) (err error) {
	start := time.Now()
	p.module, err = p.device.Compile(ctx, hal.Source{Name: unit.Name, Text: full})
	var refused *hal.CompileError
	if errors.As(err, &refused) {
		// Not the kernel author's fault, and nothing that a run could get around.
		first, _, _ := strings.Cut(refused.Log, "\n")
		for _, id := range []capabilities.ID{capabilities.ExecBasic, capabilities.CommMailbox} {
			p.note(id, capabilities.Broken, 0, time.Since(start), "compiler", "it refuses the kernel library: %s", first)
		}
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.module.Close()) }()
	if p.queue, err = p.device.NewQueue(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.queue.Close()) }()
	for _, step := range []func(context.Context) error{p.basic, p.mailbox, p.clock, p.hostYield} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// launch runs a kernel of the probe module with the hidden arguments of every kernel, which probes do not use.
func (p *prober) launch(ctx context.Context, m *hal.Module, name string, grid, group int, args ...hal.Arg) error {
	k, err := m.Kernel(name)
	if err != nil {
		return err
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
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return p.queue.Wait(ctx)
}

// basic: exec.basic.
func (p *prober) basic(ctx context.Context) error {
	start := time.Now()
	const n, guard = 1000, 16
	out, err := p.device.Alloc(hal.DeviceMemory, 4*(n+2*guard))
	if err != nil {
		return err
	}
	defer out.Close()
	want := make([]byte, out.Size())
	for i := range want {
		want[i] = 0xa5
	}
	if err := p.queue.Write(out, 0, want); err != nil {
		return err
	}
	if err := p.launch(ctx, p.module, "guarded", (n+63)/64, 64, hal.Memory(out), hal.Int32(n)); err != nil {
		return fmt.Errorf("%s: the first probe kernel: %w", p.device.Info().URI, err)
	}
	got := make([]byte, out.Size())
	if err := p.queue.Read(got, out, 0); err != nil {
		return err
	}
	for i := range uint32(n) {
		binary.LittleEndian.PutUint32(want[4*(guard+i):], i*2654435761^0xd1a17011)
	}
	if string(got) != string(want) {
		p.note(capabilities.ExecBasic, capabilities.Broken, 0, time.Since(start), "kernel guarded", "wrong values")
		return fmt.Errorf("%s: a kernel of %d work-items wrote wrong values", p.device.Info().URI, n)
	}
	p.note(capabilities.ExecBasic, capabilities.Proven, 0, time.Since(start), "kernel guarded", "%d values and %d guard words as they should be", n, 2*guard)
	return nil
}

// words is host-coherent memory for a probe.
func (p *prober) words() (*hal.Buffer, error) {
	b, err := p.device.Alloc(hal.HostCoherent, 4096)
	if err == nil {
		clear(b.Bytes())
	}
	return b, err
}

func word(b *hal.Buffer, i int) *uint32 { return (*uint32)(unsafe.Pointer(&b.Bytes()[4*i])) }

func cell(b *hal.Buffer, i int) *uint64 { return (*uint64)(unsafe.Pointer(&b.Bytes()[4*i])) }

// mailbox: comm.mailbox and access.single64.
func (p *prober) mailbox(ctx context.Context) error {
	start := time.Now()
	if p.device.Info().NoConcurrentAccess {
		for _, id := range []capabilities.ID{capabilities.CommMailbox, capabilities.Access64} {
			p.note(id, capabilities.No, 0, 0, "device", "its API promises nothing about memory that the host and a running kernel share")
		}
		return nil
	}
	mail, err := p.words()
	if err != nil {
		return err
	}
	defer mail.Close()
	seen, err := p.device.Alloc(hal.DeviceMemory, 64)
	if err != nil {
		return err
	}
	defer seen.Close()
	if err := p.queue.Write(seen, 0, make([]byte, 64)); err != nil {
		return err
	}
	const rounds = 200
	// About a second or two: a wrong no costs more than the wait for a right one, which is kept.
	patience := 100_000_000
	if !p.device.Info().HostCPU {
		patience = 1_000_000
	}
	torn := 0
	stop, stopped := make(chan struct{}), make(chan struct{})
	var trips []time.Duration
	go func() {
		defer close(stopped)
		last := time.Now()
		for round := uint32(1); round <= rounds; round++ {
			for n := 0; atomic.LoadUint32(word(mail, 0)) != round; n++ {
				if n%256 == 255 {
					select {
					case <-stop:
						return
					default:
						nap.For(0)
					}
				}
			}
			if v := atomic.LoadUint64(cell(mail, 16)); v != 0 && uint32(v)^0x5a5a5a5a != uint32(v>>32) {
				torn++
			}
			atomic.StoreUint64(cell(mail, 80), uint64(round)<<32|uint64(round^0x5a5a5a5a))
			atomic.StoreUint32(word(mail, 64), round)
			now := time.Now()
			trips = append(trips, now.Sub(last))
			last = now
		}
	}()
	err = p.launch(ctx, p.module, "pingpong", 1, 1, hal.Memory(mail), hal.Memory(seen), hal.Int32(rounds), hal.Int32(int32(patience)))
	close(stop)
	<-stopped
	if err != nil {
		p.note(capabilities.CommMailbox, capabilities.Unknown, 0, time.Since(start), "kernel pingpong", "%v", err)
		return err
	}
	result := make([]byte, 8)
	if err := p.queue.Read(result, seen, 0); err != nil {
		return err
	}
	done, halves := binary.LittleEndian.Uint32(result), binary.LittleEndian.Uint32(result[4:])
	if done != rounds+1 {
		p.note(capabilities.CommMailbox, capabilities.No, 0, time.Since(start), "kernel pingpong",
			"round %d of %d never came back within %d looks", done, rounds, patience)
		p.note(capabilities.Access64, capabilities.No, 0, 0, "kernel pingpong", "not asked: %s is missing", capabilities.CommMailbox)
		return nil
	}
	sort.Slice(trips, func(i, j int) bool { return trips[i] < trips[j] })
	median := float64(trips[len(trips)/2].Nanoseconds())
	p.note(capabilities.CommMailbox, capabilities.Proven, median, time.Since(start), "kernel pingpong", "%d round trips, median %.1f us", rounds, median/1e3)
	if torn+int(halves) > 0 {
		p.note(capabilities.Access64, capabilities.No, 0, 0, "kernel pingpong", "%d torn words", torn+int(halves))
	} else {
		p.note(capabilities.Access64, capabilities.Proven, 0, 0, "kernel pingpong", "no torn word in %d", 2*rounds)
	}
	return nil
}

// clock: timer.global.
func (p *prober) clock(ctx context.Context) error {
	const id = capabilities.TimerGlobal
	start := time.Now()
	if _, err := p.module.Kernel("rate"); err != nil {
		p.note(id, capabilities.No, 0, 0, "kernel dialect", "the dialect %s has no clock", p.device.Info().Dialect)
		return nil
	}
	if !p.set.Has(capabilities.CommMailbox) {
		p.note(id, capabilities.No, 0, 0, "kernel rate", "not asked: %s is missing", capabilities.CommMailbox)
		return nil
	}
	back, err := p.clockOrder(ctx)
	if err != nil {
		return err
	}
	if back > 0 {
		p.note(id, capabilities.Broken, 0, time.Since(start), "kernel clocks", "it went back %d times across groups", back)
		return nil
	}
	mail, err := p.words()
	if err != nil {
		return err
	}
	defer mail.Close()
	at, err := p.device.Alloc(hal.DeviceMemory, 64)
	if err != nil {
		return err
	}
	defer at.Close()
	// The best of some tries: the host may be held up at a meeting, the clocks are not.
	best := 1.0
	var tick uint64
	for try := 0; try < 5 && best > 0.002 || try < 25 && best > 0.01; try++ {
		clear(mail.Bytes())
		host := make(chan [2]time.Time, 1)
		stop := make(chan struct{})
		go func() {
			var met [2]time.Time
			for m := range met {
				for n := 0; atomic.LoadUint32(word(mail, 0)) != uint32(m+1); n++ {
					if n%4096 == 4095 {
						select {
						case <-stop:
							host <- met
							return
						default:
						}
					}
				}
				met[m] = time.Now()
				atomic.StoreUint32(word(mail, 64), uint32(m+1))
			}
			host <- met
		}()
		err = p.launch(ctx, p.module, "rate", 1, 1, hal.Memory(mail), hal.Memory(at), hal.Int64(10e6), hal.Int32(2_000_000))
		close(stop)
		met := <-host
		if err != nil {
			return err
		}
		var raw [24]byte
		if err := p.queue.Read(raw[:], at, 0); err != nil {
			return err
		}
		first, second := binary.LittleEndian.Uint64(raw[:]), binary.LittleEndian.Uint64(raw[8:])
		tick = binary.LittleEndian.Uint64(raw[16:])
		if met[1].IsZero() || second <= first {
			continue
		}
		ratio := float64(second-first)/float64(met[1].Sub(met[0])) - 1
		best = min(best, max(ratio, -ratio))
	}
	if best > 0.01 {
		p.note(id, capabilities.Broken, 0, time.Since(start), "kernel rate", "its rate differs from the host's by %.2g%%", best*100)
		return nil
	}
	p.note(id, capabilities.Proven, float64(tick), time.Since(start), "kernels clocks and rate",
		"monotonic across groups, tick %d ns, %.2g%% off the host's clock", tick, best*100)
	return nil
}

// clockOrder counts readings that contradict the order of tickets drawn between them.
func (p *prober) clockOrder(ctx context.Context) (int, error) {
	const groups, readings = 64, 16
	ticket, err := p.device.Alloc(hal.DeviceMemory, 64)
	if err != nil {
		return 0, err
	}
	defer ticket.Close()
	rows, err := p.device.Alloc(hal.DeviceMemory, 16*groups*readings)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	if err := p.queue.Write(ticket, 0, make([]byte, 64)); err != nil {
		return 0, err
	}
	if err := p.launch(ctx, p.module, "clocks", groups, 1, hal.Memory(ticket), hal.Memory(rows), hal.Int32(readings)); err != nil {
		return 0, err
	}
	raw := make([]byte, rows.Size())
	if err := p.queue.Read(raw, rows, 0); err != nil {
		return 0, err
	}
	back, latest := 0, uint64(0)
	for i := 0; i < len(raw); i += 16 {
		before, after := binary.LittleEndian.Uint64(raw[i:]), binary.LittleEndian.Uint64(raw[i+8:])
		if after < latest || after < before {
			back++
		}
		latest = max(latest, before)
	}
	return back, nil
}

// hostYield: exec.hostyield, on devices whose lanes are threads of this machine's cores and whose
// dialect cannot call the system otherwise.
func (p *prober) hostYield(ctx context.Context) error {
	const id = capabilities.HostYield
	info := p.device.Info()
	if !info.HostCPU || info.Dialect != hal.OpenCL {
		p.note(id, capabilities.No, 0, 0, "device", "its lanes are no threads of this machine, or yield anyway")
		return nil
	}
	start := time.Now()
	unit, err := device.Parse("dialtone/yield.kernel.c", yieldText)
	if err != nil {
		return err
	}
	full, err := unit.Assemble(string(info.Dialect), device.Options{Defines: []string{"HC_HOST_YIELD"}})
	if err != nil {
		return err
	}
	m, err := p.device.Compile(ctx, hal.Source{Name: unit.Name, Text: full})
	if err != nil {
		p.note(id, capabilities.No, 0, time.Since(start), "kernel yielding", "it does not compile")
		return nil
	}
	defer m.Close()
	out, err := p.device.Alloc(hal.DeviceMemory, 64)
	if err != nil {
		return err
	}
	defer out.Close()
	if err := p.launch(ctx, m, "yielding", 1, 1, hal.Memory(out)); err != nil {
		p.note(id, capabilities.No, 0, time.Since(start), "kernel yielding", "%v", err)
		return nil
	}
	p.note(id, capabilities.Proven, 0, time.Since(start), "kernel yielding", "sched_yield(2) from a kernel returned")
	return nil
}
