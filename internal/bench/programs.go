package bench

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/dialtone-gpu/dialtone/examples/programs"
	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/hostcall"
	"github.com/dialtone-gpu/dialtone/hostcall/plan"
	"github.com/dialtone-gpu/dialtone/hostcall/policy"
	"github.com/dialtone-gpu/dialtone/program"
	"github.com/dialtone-gpu/dialtone/program/toolchain"
)

//go:embed kernels/calls.kernel.c
var callsText string

// ProgramOptions tune a run of Programs.
type ProgramOptions struct {
	Options
	// Folder has programs that were built before, as .ci/programs.go does it: each under its path with .wasm behind it, and one for this machine's
	// processor with .native behind it. Empty: they are built, which takes the compilers of C and Rust.
	Folder string
	// Command is the program dialtone, to be started for what a start takes. Empty leaves that out.
	Command string
}

type programsBench struct {
	bench
	folder, command string
	work            string // a folder that is removed in the end
}

// leftOut is why something is not measured.
type leftOut struct{ error }

// Programs measures ordinary programs on a device: what package program makes of WASI modules. What this machine cannot measure is in
// Report.LeftOut.
func Programs(ctx context.Context, dev *hal.Device, opts ProgramOptions) (_ Report, err error) {
	b := &programsBench{bench: bench{opts: opts.Options, device: dev, info: dev.Info()}, folder: opts.Folder, command: opts.Command}
	if b.work, err = os.MkdirTemp("", "dialtone-bench-"); err != nil {
		return Report{}, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.work)) }()
	b.runtime, err = hostcall.New(ctx, dev, &hostcall.Options{Tagged: opts.Tagged, Pollers: opts.Pollers, Policy: plan.Policy{Transport: opts.Transport}})
	if err != nil {
		return Report{}, err
	}
	defer func() { err = errors.Join(err, b.runtime.Close()) }()
	b.report = Report{Schema: 1, Device: b.info.URI, Name: b.info.Name, Driver: b.info.Driver,
		Host: fmt.Sprintf("%s/%s, %d cores", runtime.GOOS, runtime.GOARCH, runtime.NumCPU())}
	steps := []struct {
		what    string
		measure func(context.Context) error
	}{
		{"a program that computes, in each tier", func(ctx context.Context) error { return b.tiers(ctx, "c/compute.c", "3") }},
		{"a program of calls, in each tier", func(ctx context.Context) error { return b.tiers(ctx, "c/recurse.c", "1") }},
		{"calls of the host", b.calls},
		{"many instances", b.instances},
		{"the start of a program", b.start},
	}
	if opts.Quick {
		steps = steps[1:]
	}
	for _, step := range steps {
		b.say("%s", step.what)
		err := step.measure(ctx)
		if left, ok := errors.AsType[leftOut](err); ok {
			b.report.LeftOut = append(b.report.LeftOut, LeftOut{step.what, left.Error()})
		} else if err != nil {
			return b.report, fmt.Errorf("%s: %w", step.what, err)
		}
	}
	return b.report, nil
}

// module is a program of examples/programs.
func (b *programsBench) module(ctx context.Context, name string) ([]byte, error) {
	if b.folder != "" {
		module, err := os.ReadFile(b.built(name, ".wasm"))
		if errors.Is(err, fs.ErrNotExist) {
			return nil, leftOut{err}
		}
		return module, err
	}
	path, err := b.source(name)
	if err != nil {
		return nil, err
	}
	var said bytes.Buffer
	module, err := toolchain.Build(ctx, path, &said)
	if missing, ok := errors.AsType[*toolchain.Missing](err); ok {
		return nil, leftOut{fmt.Errorf("%s; %s", missing.What, missing.Get)}
	} else if err != nil {
		return nil, fmt.Errorf("%w\n%s", err, &said)
	}
	return module, nil
}

// built is where a program is that was built before.
func (b *programsBench) built(name, suffix string) string {
	return filepath.Join(b.folder, "examples", "programs", filepath.FromSlash(name)+suffix)
}

// source writes that of a program where compilers find it.
func (b *programsBench) source(name string) (string, error) {
	text, err := programs.Sources.ReadFile(name)
	if err != nil {
		return "", err
	}
	path := filepath.Join(b.work, filepath.Base(name))
	return path, os.WriteFile(path, text, 0o600)
}

// ran is one run of a program.
type ran struct {
	program.Result
	out string
}

func (b *programsBench) once(ctx context.Context, p *program.Program, l program.Launch, args ...string) (ran, error) {
	var out, complaints bytes.Buffer
	l.Policy = policy.Policy{Args: args, Stdout: &out, Stderr: &complaints}
	res, err := p.Run(ctx, l)
	if err == nil && (res.ExitCode() != 0 || complaints.Len() > 0) {
		err = fmt.Errorf("%s ended with %d: %s", args[0], res.ExitCode(), &complaints)
	}
	return ran{res, out.String()}, err
}

// loneMemory is what an instance may have that is alone.
const loneMemory = 16 << 20

// tiers has a lone instance of a program in all of them, in turns.
func (b *programsBench) tiers(ctx context.Context, name, times string) (err error) {
	module, err := b.module(ctx, name)
	if err != nil {
		return err
	}
	if b.opts.Quick {
		times = "1"
	}
	launch := program.Launch{Memory: loneMemory}
	counting, err := program.Load(ctx, b.runtime, name, module, program.Options{Tier: program.Interpreter, CountSteps: true})
	if err != nil {
		return err
	}
	counted, err := b.once(ctx, counting, launch, name, times)
	if err := errors.Join(err, counting.Close()); err != nil {
		return err
	}
	loaded := map[program.Tier]*program.Program{}
	took := map[program.Tier][]float64{}
	for _, tier := range program.Tiers() {
		p, err := program.Load(ctx, b.runtime, name, module, program.Options{Tier: tier})
		if errors.Is(err, hal.ErrUnsupported) {
			b.report.LeftOut = append(b.report.LeftOut, LeftOut{fmt.Sprintf("%s, %s", name, tier), err.Error()})
			continue
		} else if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, p.Close()) }()
		loaded[tier] = p
	}
	for range b.repeats() {
		for tier, p := range loaded {
			r, err := b.once(ctx, p, launch, name, times)
			if err != nil {
				return err
			}
			if r.out != counted.out {
				return fmt.Errorf("%s, %s: it printed %q, and %q while its instructions were counted", name, tier, r.out, counted.out)
			}
			took[tier] = append(took[tier], float64(r.Elapsed))
		}
	}
	interpreted := median(took[program.Interpreter])
	b.add(Row{Name: "an interpreted instruction, lone instance of " + name, Value: interpreted / float64(counted.Steps), Unit: "ns", Target: "at most 80 ns",
		Note: fmt.Sprintf("%.1f M instructions", float64(counted.Steps)/1e6)}, func(r Row) bool { return r.Value <= 80 })
	for _, tier := range program.Tiers() {
		if loaded[tier] == nil {
			continue
		}
		row := Row{Name: fmt.Sprintf("%s %s, %s", name, times, tier), Value: median(took[tier]) / 1e6, Unit: "ms"}
		if tier != program.Interpreter {
			row.Ratio = median(took[tier]) / interpreted
		}
		b.add(row, nil)
	}
	return nil
}

// calls compares a program's with a kernel's.
func (b *programsBench) calls(ctx context.Context) (err error) {
	if b.program, err = b.runtime.Load(ctx, "calls.kernel.c", callsText); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.program.Close()) }()
	// A kernel's question for the time is answered where requests are decoded; all else, and what programs ask, takes a goroutine.
	if err := b.call(ctx, "the host's time", "asks_time", wantsTime, ""); err != nil {
		return err
	}
	return b.call(ctx, "a write of nothing", "writes_nothing", wantsWrite, "at most 2 x kernel")
}

func (b *programsBench) call(ctx context.Context, what, kernel string, call wanted, target string) (err error) {
	rounds := 20000
	if b.runtime.Plan().Transport != plan.Mailbox {
		rounds = 500
	}
	if b.opts.Quick {
		rounds /= 10
	}
	p, err := program.Load(ctx, b.runtime, "asking.wasm", asking(call, uint32(rounds)), program.Options{Tier: program.Interpreter})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	var theirs, own []float64
	for i := range b.repeats() + 1 {
		k, err := b.checked(ctx, kernel, 1, 1, nil, hal.Int32(int32(rounds)))
		if err != nil {
			return err
		}
		r, err := b.once(ctx, p, program.Launch{Memory: 1 << 16}, "asking")
		if err != nil {
			return err
		}
		if k.Calls < uint64(rounds) || r.Calls < uint64(rounds) {
			return fmt.Errorf("%d and %d calls were served of %d", k.Calls, r.Calls, rounds)
		}
		if i > 0 { // the first compiles, where that is done for each size of groups
			theirs, own = append(theirs, float64(k.Elapsed)/float64(rounds)), append(own, float64(r.Elapsed)/float64(rounds))
		}
	}
	b.add(Row{Name: what + ", a kernel's call", Value: median(theirs) / 1e3, Unit: "us"}, nil)
	row := Row{Name: what + ", a program's call", Value: median(own) / 1e3, Unit: "us", Ratio: median(own) / median(theirs), Target: target}
	if target == "" {
		b.add(row, nil)
	} else {
		b.add(row, func(r Row) bool { return r.Ratio <= 2 })
	}
	return nil
}

// instances has many of a program sort what a core of this machine sorts as well.
func (b *programsBench) instances(ctx context.Context) (err error) {
	const name = "rust/sort.rs"
	count, records := 4224, "1000"
	if b.info.HostCPU {
		count = 64
	}
	if b.opts.Quick {
		count, records = 8, "100"
	}
	module, err := b.module(ctx, name)
	if err != nil {
		return err
	}
	rows, err := b.crowd(ctx, program.Regions, name, module, records, count)
	if err != nil {
		return err
	}
	whole, err := b.crowd(ctx, program.Whole, name, module, records, count)
	if errors.Is(err, hal.ErrUnsupported) {
		b.report.LeftOut = append(b.report.LeftOut, LeftOut{fmt.Sprintf("many instances, %s", program.Whole), err.Error()})
	} else if err != nil {
		return err
	}
	rows = append(rows, whole...)
	best := 0
	for i, row := range rows {
		if row.Ratio > rows[best].Ratio {
			best = i
		}
	}
	for i, row := range rows {
		if i != best {
			b.add(row, nil)
			continue
		}
		row.Target = "at least 25 x a core"
		b.add(row, func(r Row) bool { return r.Ratio >= 25 })
	}
	return nil
}

// crowd has many instances in a tier, one for each subgroup and one in each lane, and what a core takes for as many.
func (b *programsBench) crowd(ctx context.Context, tier program.Tier, name string, module []byte, records string, count int) (rows []Row, err error) {
	p, err := program.Load(ctx, b.runtime, name, module, program.Options{Tier: tier})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	alone, err := b.once(ctx, p, program.Launch{Memory: loneMemory}, name, "-n", records)
	if err != nil {
		return nil, err
	}
	core, by, err := b.core(ctx, name, records, alone.out)
	if err != nil {
		return nil, err
	}
	for _, perLane := range []bool{false, true} {
		how := "one for each subgroup"
		if perLane {
			how = "one in each lane"
			if b.info.Subgroup == 1 {
				continue
			}
		}
		launch := program.Launch{Instances: count, PerLane: perLane, Memory: 2 << 20, Stack: 128 << 10}
		var took []float64
		for range b.repeats() {
			r, err := b.once(ctx, p, launch, name, "-n", records)
			if err != nil {
				return nil, err
			}
			for line := range strings.Lines(alone.out) {
				if n := strings.Count(r.out, line); n != count {
					return nil, fmt.Errorf("%d of %d instances printed %q", n, count, line)
				}
			}
			took = append(took, float64(r.Elapsed))
		}
		m := median(took)
		rows = append(rows, Row{Name: fmt.Sprintf("%d instances of %s -n %s, %s, %s", count, name, records, tier, how), Value: m / 1e6, Unit: "ms",
			Ratio: core * float64(count) / m, Note: "ratio: to " + by})
	}
	return rows, nil
}

// core is what one core of this machine takes for an instance, in nanoseconds, and what it runs: the program made for the processor, as a process, without what
// the process takes to start; or else what the cpu device makes of the module. Both are the best of several.
func (b *programsBench) core(ctx context.Context, name, records, want string) (float64, string, error) {
	path := b.built(name, ".native")
	if b.folder == "" {
		source, err := b.source(name)
		if err != nil {
			return 0, "", err
		}
		path = filepath.Join(b.work, "native.exe")
		var said bytes.Buffer
		if err := Native(ctx, source, path, &said); err != nil {
			if _, ok := errors.AsType[*toolchain.Missing](err); !ok {
				return 0, "", fmt.Errorf("%w\n%s", err, &said)
			}
			path = ""
		}
	}
	if _, err := os.Stat(path); err != nil {
		return b.coreDevice(ctx, name, records)
	}
	timed := func(records, want string) (float64, error) {
		start := time.Now()
		out, err := exec.CommandContext(ctx, path, "-n", records).Output()
		took := float64(time.Since(start))
		if err == nil && want != "" && string(out) != want {
			err = fmt.Errorf("%s prints %q, on the device %q", path, out, want)
		}
		return took, err
	}
	var all, starts float64
	for i := range 10 * b.repeats() {
		a, err := timed(records, want)
		if err != nil {
			return 0, "", err
		}
		s, err := timed("0", "")
		if err != nil {
			return 0, "", err
		}
		if i == 0 {
			all, starts = a, s
		}
		all, starts = min(all, a), min(starts, s)
	}
	work := max(all-starts, 1)
	return work, fmt.Sprintf("a core that runs it natively, %s ms each", strconv.FormatFloat(work/1e6, 'g', 3, 64)), nil
}

func (b *programsBench) coreDevice(ctx context.Context, name, records string) (_ float64, _ string, err error) {
	dev, err := hal.Open(ctx, "cpu:0")
	if err != nil {
		return 0, "", leftOut{fmt.Errorf("neither a native %s nor the cpu device to compare with: %w", name, err)}
	}
	rt, err := hostcall.New(ctx, dev, nil)
	if err != nil {
		return 0, "", err
	}
	defer func() { err = errors.Join(err, rt.Close()) }()
	module, err := b.module(ctx, name)
	if err != nil {
		return 0, "", err
	}
	p, err := program.Load(ctx, rt, name, module, program.Options{})
	if err != nil {
		return 0, "", err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	best := 0.0
	for i := range b.repeats() {
		r, err := b.once(ctx, p, program.Launch{Memory: loneMemory}, name, "-n", records)
		if err != nil {
			return 0, "", err
		}
		if took := float64(r.Elapsed); i == 0 || took < best {
			best = took
		}
	}
	return best, fmt.Sprintf("the cpu device with regions, for want of a native one, %.3g ms each", best/1e6), nil
}

// start runs the command, from the beginning of its process to its end. What it compiles is in its caches by then.
func (b *programsBench) start(ctx context.Context) error {
	const name = "rust/hello.rs"
	if b.command == "" {
		return leftOut{errors.New("no command was named to run")}
	}
	module, err := b.module(ctx, name)
	if err != nil {
		return err
	}
	file := filepath.Join(b.work, "hello.wasm")
	if err := os.WriteFile(file, module, 0o600); err != nil {
		return err
	}
	args := []string{"run", "--device", b.info.URI, "--dir", b.work + ":/"}
	if b.opts.Transport != "" {
		args = append(args, "--transport", string(b.opts.Transport))
	}
	var took []float64
	for i := range b.repeats() + 1 {
		cmd := exec.CommandContext(ctx, b.command, append(args, file)...)
		var complaints strings.Builder
		cmd.Stdin, cmd.Stderr = strings.NewReader("Ada\n"), &complaints
		start := time.Now()
		out, err := cmd.Output()
		if err != nil {
			return fmt.Errorf("%s: %w: %s", cmd, err, complaints.String())
		}
		if !strings.Contains(string(out), "Nice to meet you, Ada.\n") {
			return fmt.Errorf("%s printed %q", cmd, out)
		}
		if i > 0 {
			took = append(took, float64(time.Since(start)))
		}
	}
	b.add(Row{Name: "dialtone run of " + name + ", from start to exit", Value: median(took) / 1e6, Unit: "ms", Target: "under 500 ms"},
		func(r Row) bool { return r.Value < 500 })
	return nil
}
