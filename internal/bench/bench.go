// Package bench measures hostcalls against the floor of the same device in the same process: a bare
// flag ping-pong through host memory, and plain accesses to that memory.
//
// Every figure is warmed up and the median of several runs. Answers are checked: a figure with a wrong
// answer is an error.
package bench

import (
	"context"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/dialtone-gpu/dialtone/device"
	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/hostcall"
	"github.com/dialtone-gpu/dialtone/hostcall/plan"
	"github.com/dialtone-gpu/dialtone/hostcall/policy"
	"github.com/dialtone-gpu/dialtone/hostcall/wire"
)

//go:embed kernels/bench.kernel.c
var text string

// Options tune a run; the zero value is what the command does.
type Options struct {
	Progress io.Writer // says what is being measured; nil is silent
	Table    io.Writer // gets the report's table, each line when it has been measured; nil: nobody does
	Quick    bool      // fewer repetitions
	Tagged   *bool     // see hostcall.Options
	Pollers  int       // see hostcall.Options
	// Transport, if not empty, is measured alone; see hostcall.Options. Else it is all that work.
	Transport plan.Transport
}

type bench struct {
	opts    Options
	device  *hal.Device
	info    hal.Info
	runtime *hostcall.Runtime
	program *hostcall.Program
	clock   bool // kernels read the device's clock
	report  Report
	table   table
}

// begin makes the report's head.
func (b *bench) begin() {
	b.report = Report{Schema: 1, Device: b.info.URI, Name: b.info.Name, Driver: b.info.Driver,
		Host: fmt.Sprintf("%s/%s, %d cores", runtime.GOOS, runtime.GOARCH, runtime.NumCPU())}
	b.table = table{w: b.opts.Table}
	b.table.head(b.report)
}

// Run measures a device. With an error the report has what was measured until then.
func Run(ctx context.Context, dev *hal.Device, opts Options) (_ Report, err error) {
	b := &bench{opts: opts, device: dev, info: dev.Info()}
	b.runtime, err = hostcall.New(ctx, dev, &hostcall.Options{Tagged: opts.Tagged, Pollers: opts.Pollers, Policy: plan.Policy{Transport: opts.Transport}})
	if err != nil {
		return Report{}, err
	}
	defer func() { err = errors.Join(err, b.runtime.Close()) }()
	b.clock = slices.Contains(b.runtime.Plan().Defines, "HC_DEVICE_CLOCK")
	steps := []func(context.Context) error{b.latency, b.rates, b.wide, b.silence, b.extras, b.relaunch}
	switch {
	case b.runtime.Plan().Transport != plan.Mailbox:
		steps = []func(context.Context) error{b.relaunch}
	case opts.Transport == plan.Mailbox:
		steps = steps[:len(steps)-1]
		fallthrough
	default:
		b.program, err = b.runtime.Load(ctx, "bench.kernel.c", text)
		if err != nil {
			return Report{}, err
		}
		defer func() { err = errors.Join(err, b.program.Close()) }()
	}
	b.begin()
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return b.report, err
		}
	}
	return b.report, b.table.err
}

func (b *bench) say(format string, a ...any) {
	if b.opts.Progress != nil {
		fmt.Fprintf(b.opts.Progress, format+"\n", a...)
	}
}

// h200 reports whether the targets are for this device, by whatever driver.
func (b *bench) h200() bool { return strings.Contains(b.info.Name, "H200") }

func (b *bench) add(r Row, met func(Row) bool) {
	if !b.h200() {
		r.Target = ""
	} else if met != nil {
		ok := met(r)
		r.Met = &ok
	}
	b.report.Rows = append(b.report.Rows, r)
	b.table.row(r)
}

// leave notes what is not measured, and why.
func (b *bench) leave(what string, why error) {
	l := LeftOut{what, why.Error()}
	b.report.LeftOut = append(b.report.LeftOut, l)
	b.table.leftOut(l)
}

// words is device memory of n words, zeroed.
func (b *bench) words(kind hal.MemoryKind, n int) (*hal.Buffer, error) {
	buf, err := b.device.Alloc(kind, 4*n)
	if err != nil {
		return nil, err
	}
	if buf.Bytes() != nil {
		clear(buf.Bytes())
		return buf, nil
	}
	return buf, b.write(buf, make([]byte, 4*n))
}

func (b *bench) write(buf *hal.Buffer, data []byte) error {
	return b.transfer(func(q *hal.Queue) error { return q.Write(buf, 0, data) })
}

func (b *bench) read(buf *hal.Buffer) ([]uint32, error) {
	raw := make([]byte, buf.Size())
	if err := b.transfer(func(q *hal.Queue) error { return q.Read(raw, buf, 0) }); err != nil {
		return nil, err
	}
	out := make([]uint32, len(raw)/4)
	for i := range out {
		out[i] = binary.LittleEndian.Uint32(raw[4*i:])
	}
	return out, nil
}

func (b *bench) transfer(do func(*hal.Queue) error) error {
	q, err := b.device.NewQueue()
	if err != nil {
		return err
	}
	return errors.Join(do(q), q.Close())
}

// run launches a kernel of the bench with the server running.
func (b *bench) run(ctx context.Context, kernel string, grid, group int, args ...hal.Arg) (hostcall.Result, error) {
	return b.program.Run(ctx, hostcall.Launch{Kernel: kernel, Grid: [3]int{grid}, Group: [3]int{group}, Args: args})
}

// bare launches a kernel without a server.
func (b *bench) bare(ctx context.Context, kernel string, grid, group int, args ...hal.Arg) (time.Duration, error) {
	unit, err := device.Parse("bench.kernel.c", text)
	if err != nil {
		return 0, err
	}
	calls, err := unit.Assemble(string(b.info.Dialect), device.Options{Defines: b.runtime.Plan().Defines})
	if err != nil {
		return 0, err
	}
	m, err := b.device.Compile(ctx, hal.Source{Name: unit.Name, Text: calls})
	if err != nil {
		return 0, err
	}
	defer m.Close()
	k, err := m.Kernel(kernel)
	if err != nil {
		return 0, err
	}
	unused, err := b.words(hal.DeviceMemory, 64)
	if err != nil {
		return 0, err
	}
	defer unused.Close()
	q, err := b.device.NewQueue()
	if err != nil {
		return 0, err
	}
	defer q.Close()
	params := wire.Params{}
	start := time.Now()
	if err := q.Launch(k, [3]int{grid}, [3]int{group}, append([]hal.Arg{hal.Memory(unused), hal.Memory(unused), hal.Value(params.Bytes())}, args...)...); err != nil {
		return 0, err
	}
	err = q.Wait(ctx)
	return time.Since(start), err
}

// timing is the distribution of the rounds of one kernel, in nanoseconds.
type timing struct{ median, p99 float64 }

func distribution(ns []uint32) timing {
	ns = slices.Sorted(slices.Values(ns[len(ns)/10:])) // the first rounds are warm-up
	return timing{float64(ns[len(ns)/2]), float64(ns[len(ns)*99/100])}
}

// floor measures the bare ping-pong.
func (b *bench) floor(ctx context.Context, rounds int) (timing, error) {
	mail, err := b.words(hal.HostCoherent, 1024)
	if err != nil {
		return timing{}, err
	}
	defer mail.Close()
	times, err := b.words(hal.DeviceMemory, rounds)
	if err != nil {
		return timing{}, err
	}
	defer times.Close()
	request := (*uint32)(unsafe.Pointer(&mail.Bytes()[0]))
	reply := (*uint32)(unsafe.Pointer(&mail.Bytes()[256]))
	var quit atomic.Bool
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		next := uint32(1)
		for n := 0; ; n++ {
			if v := atomic.LoadUint32(request); v == next {
				atomic.StoreUint32(reply, v)
				next++
				n = 0
			}
			if n&0xff == 0xff {
				if quit.Load() {
					return
				}
				if b.info.HostCPU {
					runtime.Gosched()
				}
			}
		}
	}()
	took, err := b.bare(ctx, "floor_pingpong", 1, b.info.Subgroup, hal.Memory(mail), hal.Memory(times), hal.Int32(int32(rounds)))
	quit.Store(true)
	<-stopped
	if err != nil {
		return timing{}, err
	}
	return b.times(times, took, rounds)
}

func (b *bench) times(times *hal.Buffer, took time.Duration, rounds int) (timing, error) {
	if !b.clock {
		return timing{median: float64(took) / float64(rounds)}, nil
	}
	ns, err := b.read(times)
	if err != nil {
		return timing{}, err
	}
	return distribution(ns[:rounds]), nil
}

// checked runs a kernel whose argument before the last ones counts wrong answers.
func (b *bench) checked(ctx context.Context, kernel string, grid, group int, before []hal.Arg, after ...hal.Arg) (hostcall.Result, error) {
	wrong, err := b.words(hal.DeviceMemory, 16)
	if err != nil {
		return hostcall.Result{}, err
	}
	defer wrong.Close()
	args := append(append(slices.Clone(before), hal.Memory(wrong)), after...)
	res, err := b.run(ctx, kernel, grid, group, args...)
	if err != nil {
		return res, err
	}
	n, err := b.read(wrong)
	if err == nil && n[0] != 0 {
		err = fmt.Errorf("bench %s: %d wrong answers", kernel, n[0])
	}
	return res, err
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

func (b *bench) repeats() int {
	if b.opts.Quick {
		return 1
	}
	return 5
}

// latency: floor and synchronous call of one subgroup, taken in turns.
func (b *bench) latency(ctx context.Context) error {
	b.say("latency of one subgroup")
	rounds := 20000
	if b.opts.Quick {
		rounds = 2000
	}
	times, err := b.words(hal.DeviceMemory, rounds)
	if err != nil {
		return err
	}
	defer times.Close()
	var floors, calls, floor99, call99 []float64
	for range b.repeats() {
		f, err := b.floor(ctx, rounds)
		if err != nil {
			return err
		}
		res, err := b.checked(ctx, "noop_latency", 1, b.info.Subgroup, []hal.Arg{hal.Memory(times)}, hal.Int32(int32(rounds)))
		if err != nil {
			return err
		}
		c, err := b.times(times, res.Elapsed, rounds)
		if err != nil {
			return err
		}
		floors, calls = append(floors, f.median), append(calls, c.median)
		floor99, call99 = append(floor99, f.p99), append(call99, c.p99)
	}
	floor, call := median(floors), median(calls)
	b.add(Row{Name: "floor: flag ping-pong, one subgroup", Value: floor / 1e3, P99: median(floor99) / 1e3, Unit: "us"}, nil)
	b.add(Row{Name: "no-op call, one subgroup, a word per lane both ways", Value: call / 1e3, P99: median(call99) / 1e3, Unit: "us",
		Ratio: call / floor, Target: "at most 1.2 x floor"}, func(r Row) bool { return r.Ratio <= 1.2 })
	return nil
}

// shape spreads a number of subgroups over groups of at most 4.
func (b *bench) shape(subgroups int) (grid, group int) {
	per := 1
	for _, n := range []int{4, 2} {
		if subgroups%n == 0 && subgroups >= 4*b.info.Units {
			per = n
			break
		}
	}
	return subgroups / per, per * b.info.Subgroup
}

// rate is calls per second of a kernel with that many rounds of one call each.
func (b *bench) rate(ctx context.Context, kernel string, subgroups, calls int) (float64, error) {
	grid, group := b.shape(subgroups)
	rounds := max(1, calls/subgroups)
	var rates []float64
	for i := range b.repeats() + 1 {
		res, err := b.checked(ctx, kernel, grid, group, nil, hal.Int32(int32(rounds)))
		if err != nil {
			return 0, err
		}
		if i > 0 || b.opts.Quick {
			rates = append(rates, float64(subgroups)*float64(rounds)/res.Elapsed.Seconds())
		}
	}
	return median(rates), nil
}

// calls is how many to make so that a rate takes some tenths of a second.
func (b *bench) calls() int {
	n := 20_000_000
	if b.info.Kind != hal.GPU {
		n = 200_000
	}
	if b.opts.Quick {
		n /= 20
	}
	return n
}

func (b *bench) rates(ctx context.Context) error {
	sizes := []int{132, 1056, 4224, 8448}
	if b.info.HostCPU {
		sizes = []int{1, 4, 64, 1024}
	}
	for _, n := range sizes {
		b.say("no-op calls from %d subgroups", n)
		r, err := b.rate(ctx, "noop_rate", n, b.calls())
		if err != nil {
			return err
		}
		row := Row{Name: fmt.Sprintf("no-op calls, %d subgroups, a word per lane both ways", n), Value: r / 1e6, Unit: "M calls/s"}
		if n >= 1056 {
			row.Target = "at least 50 M/s"
			b.add(row, func(r Row) bool { return r.Value >= 50 })
		} else {
			b.add(row, nil)
		}
	}
	return nil
}

// wide: calls with 64 bytes per lane, against the bus.
func (b *bench) wide(ctx context.Context) error {
	if b.info.HostCPU {
		return nil // there is no bus
	}
	b.say("bandwidth of host memory")
	const words = 64 << 20 / 4
	mem, err := b.words(hal.HostCoherent, words)
	if err != nil {
		return err
	}
	defer mem.Close()
	sum, err := b.words(hal.DeviceMemory, 16)
	if err != nil {
		return err
	}
	defer sum.Close()
	grid, rounds := b.info.Units*2, 16
	bandwidth := func(kernel string, args ...hal.Arg) (float64, error) {
		var v []float64
		for range b.repeats() {
			took, err := b.bare(ctx, kernel, grid, 512, args...)
			if err != nil {
				return 0, err
			}
			v = append(v, float64(words*4*rounds)/took.Seconds()/1e9)
		}
		return median(v), nil
	}
	write, err := bandwidth("host_write", hal.Memory(mem), hal.Int32(words), hal.Int32(int32(rounds)))
	if err != nil {
		return err
	}
	read, err := bandwidth("host_read", hal.Memory(mem), hal.Memory(sum), hal.Int32(words), hal.Int32(int32(rounds)))
	if err != nil {
		return err
	}
	b.add(Row{Name: "bus: kernel writes host memory", Value: write, Unit: "GB/s"}, nil)
	b.add(Row{Name: "bus: kernel reads host memory", Value: read, Unit: "GB/s"}, nil)
	b.say("64 bytes per lane and call")
	r, err := b.rate(ctx, "wide_rate", 1056, b.calls()/4)
	if err != nil {
		return err
	}
	gb := r * 64 * float64(b.info.Subgroup) / 1e9
	b.add(Row{Name: "64 bytes per lane both ways, 1056 subgroups", Value: gb, Unit: "GB/s each way", Ratio: gb / min(write, read),
		Target: "at least 0.7 x bus", Note: fmt.Sprintf("%.3g M calls/s", r/1e6)}, func(r Row) bool { return r.Ratio >= 0.7 })
	return nil
}

// silence: what an idle server costs, and how soon it wakes.
func (b *bench) silence(ctx context.Context) error {
	if !b.clock {
		return nil // the kernel could not keep silent for a known time
	}
	b.say("idle server")
	rounds := 100
	if b.opts.Quick {
		rounds = 10
	}
	wake, _, err := b.wake(ctx, rounds, 20*time.Millisecond)
	if err != nil {
		return err
	}
	b.add(Row{Name: "call after 20 ms of silence", Value: wake.median / 1e3, P99: wake.p99 / 1e3, Unit: "us", Target: "under 60 us"}, func(r Row) bool { return r.Value < 60 })
	long := 8 * time.Second
	if b.opts.Quick {
		long = time.Second
	}
	late, used, err := b.wake(ctx, 1, long)
	if err != nil {
		return err
	}
	if b.info.HostCPU {
		return nil // there the kernel's own waiting is in it
	}
	b.add(Row{Name: fmt.Sprintf("processor time during %v of silence", long), Value: used, Unit: "% of a core", Target: "under 1 %",
		Note: fmt.Sprintf("the call after it took %.3g ms", late.median/1e6)}, func(r Row) bool { return r.Value < 1 })
	return nil
}

// wake times calls with silence before each, and the process's share of a core meanwhile.
func (b *bench) wake(ctx context.Context, rounds int, silence time.Duration) (timing, float64, error) {
	times, err := b.words(hal.DeviceMemory, rounds)
	if err != nil {
		return timing{}, 0, err
	}
	defer times.Close()
	cpu, start := processTime(), time.Now()
	if _, err := b.checked(ctx, "wake_latency", 1, b.info.Subgroup, []hal.Arg{hal.Memory(times)}, hal.Int32(int32(rounds)), hal.Int64(int64(silence))); err != nil {
		return timing{}, 0, err
	}
	used := float64(processTime()-cpu) / float64(time.Since(start)) * 100
	ns, err := b.read(times)
	if err != nil {
		return timing{}, 0, err
	}
	return distribution(ns[:rounds]), used, nil
}

// extras: figures without a target.
func (b *bench) extras(ctx context.Context) error {
	if b.clock {
		times, err := b.words(hal.DeviceMemory, 16)
		if err != nil {
			return err
		}
		defer times.Close()
		if _, err := b.run(ctx, "clock_cost", 1, 1, hal.Memory(times), hal.Int32(1000)); err != nil {
			return err
		}
		ns, err := b.read(times)
		if err != nil {
			return err
		}
		b.add(Row{Name: "hc_monotonic_ns from the device's clock", Value: float64(ns[0]) / 1000, Unit: "ns"}, nil)
	}
	b.say("printed lines")
	subgroups, rounds := 1056, 20
	if b.info.HostCPU {
		subgroups, rounds = 64, 100
	}
	grid, group := b.shape(subgroups)
	var rates []float64
	for range b.repeats() {
		res, err := b.program.Run(ctx, hostcall.Launch{Kernel: "print_rate", Grid: [3]int{grid}, Group: [3]int{group},
			Args: []hal.Arg{hal.Int32(int32(rounds))}, Policy: policy.Policy{Stdout: io.Discard}})
		if err != nil {
			return err
		}
		rates = append(rates, float64(grid*group*rounds)/res.Elapsed.Seconds())
	}
	b.add(Row{Name: fmt.Sprintf("lines printed by %d subgroups, discarded", subgroups), Value: median(rates) / 1e6, Unit: "M lines/s"}, nil)
	return nil
}
