package bench

import (
	"bytes"
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
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
	// Command is the program dialtone, to be started for what a start takes, and for compilers to be ended that take longer than Limit. Empty
	// leaves out the former; compilers then run in this process, where a late one holds up others.
	Command string
	// Limit is how long compiling a program for the device may take: what takes longer is left out. 0 is DefaultLimit.
	Limit time.Duration
}

// DefaultLimit is for NVRTC above all, which takes 20 s for a C program that is compiled wholly, and minutes for one in Rust.
const DefaultLimit = time.Minute

type programsBench struct {
	bench
	folder, command string
	limit           time.Duration
	work            string // a folder that is removed in the end
}

// leftOut is why something is not measured.
type leftOut struct{ error }

// Programs measures ordinary programs on a device: what package program makes of WASI modules. What this machine cannot measure is in
// Report.LeftOut. With an error the report has what was measured until then.
func Programs(ctx context.Context, dev *hal.Device, opts ProgramOptions) (_ Report, err error) {
	b := &programsBench{bench: bench{opts: opts.Options, device: dev, info: dev.Info()}, folder: opts.Folder, command: opts.Command, limit: cmp.Or(opts.Limit, DefaultLimit)}
	if b.work, err = os.MkdirTemp("", "dialtone-bench-"); err != nil {
		return Report{}, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.work)) }()
	b.runtime, err = hostcall.New(ctx, dev, &hostcall.Options{Tagged: opts.Tagged, Pollers: opts.Pollers, Policy: plan.Policy{Transport: opts.Transport}})
	if err != nil {
		return Report{}, err
	}
	defer func() { err = errors.Join(err, b.runtime.Close()) }()
	b.begin()
	steps := []struct {
		what    string
		measure func(context.Context) error
	}{
		{"a program that computes, in each tier", func(ctx context.Context) error { return b.tiers(ctx, computes, "3") }},
		{"a program of calls, in each tier", func(ctx context.Context) error { return b.tiers(ctx, "c/recurse.c", "1") }},
		{"calls of the host", b.calls},
		{"many instances", b.instances},
		{"the start of a program", b.start},
	}
	for _, step := range steps {
		b.say("%s", step.what)
		err := step.measure(ctx)
		if left, ok := errors.AsType[leftOut](err); ok {
			b.leave(step.what, left)
		} else if err != nil {
			return b.report, fmt.Errorf("%s: %w", step.what, err)
		}
	}
	return b.report, b.table.err
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

// load compiles a program for the device, within the limit: leftOut says that it takes longer, or that the device does not have that. least are
// arguments with which the program does next to nothing.
func (b *programsBench) load(ctx context.Context, name string, module []byte, opts program.Options, least ...string) (*program.Program, error) {
	what := fmt.Sprintf("%s, %s", name, opts.Tier)
	if opts.CountSteps {
		what += " that counts"
	}
	b.say("  compiling %s, %v at most", what, b.limit)
	start := time.Now()
	within := func(do func(context.Context) error) error {
		limited, cancel := context.WithTimeout(ctx, b.limit)
		defer cancel()
		return do(limited)
	}
	err := error(nil)
	if opts.Tier != program.Interpreter { // that kernel is the same for all
		err = within(func(ctx context.Context) error { return b.compile(ctx, name, module, opts.Tier, least) })
	}
	var p *program.Program
	if err == nil {
		err = within(func(ctx context.Context) (err error) {
			p, err = program.Load(ctx, b.runtime, name, module, opts)
			return err
		})
	}
	switch {
	case err == nil:
		b.say("  compiled in %.1f s", time.Since(start).Seconds())
		return p, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, context.DeadlineExceeded):
		return nil, leftOut{fmt.Errorf("compiling it for %s takes more than %v", b.info.URI, b.limit)}
	case errors.Is(err, hal.ErrUnsupported):
		return nil, leftOut{err}
	}
	return nil, fmt.Errorf("%s: %w", what, err)
}

// compile fills the caches with what a program is compiled to for the device, by a process that runs the program and can be ended, and that may
// crash. That it fails otherwise is for the caller to find out.
func (b *programsBench) compile(ctx context.Context, name string, module []byte, tier program.Tier, least []string) error {
	if b.command == "" {
		return nil
	}
	file := filepath.Join(b.work, "compiled.wasm")
	if err := os.WriteFile(file, module, 0o600); err != nil {
		return err
	}
	var said strings.Builder
	cmd := b.run(ctx, append([]string{"--tier", string(tier), "--memory", strconv.Itoa(loneMemory), file}, least...)...)
	cmd.Stderr = &said
	err := cmd.Run()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && (!exit.Exited() || exit.ExitCode() > 128) {
		return leftOut{fmt.Errorf("a process that compiled it for %s ended with %w: %s", b.info.URI, err, strings.TrimSpace(said.String()))}
	}
	return nil
}

// run is dialtone run on the device. When the context ends it is told to end, so that it ends what it has started, a compiler for instance.
func (b *programsBench) run(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, b.command, "run", "--device", b.info.URI)
	if b.opts.Transport != "" {
		cmd.Args = append(cmd.Args, "--transport", string(b.opts.Transport))
	}
	cmd.Args = append(cmd.Args, args...)
	cmd.Cancel = func() error {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil { // Windows has none
			return cmd.Process.Kill()
		}
		return nil
	}
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// enough is the time that is spent on a figure, but for a first run that takes longer.
const enough = 10 * time.Second

// usual is the median of what run takes, in nanoseconds: of several runs after a first one, or of fewer if they take long.
func (b *programsBench) usual(run func() (ran, error)) (float64, error) {
	var took []float64
	start := time.Now()
	for i := range b.repeats() + 1 {
		r, err := run()
		if err != nil {
			return 0, err
		}
		late := time.Since(start) > enough
		if i > 0 || late { // the first compiles, where that is done for each size of groups
			took = append(took, float64(r.Elapsed))
		}
		if late {
			break
		}
	}
	return median(took), nil
}

// tiers has a lone instance of a program in all of them.
func (b *programsBench) tiers(ctx context.Context, name, times string) error {
	module, err := b.module(ctx, name)
	if err != nil {
		return err
	}
	if b.opts.Quick {
		times = "1"
	}
	counted, err := b.counted(ctx, name, module, times)
	if err != nil {
		return err
	}
	took := map[program.Tier]float64{}
	for _, tier := range []program.Tier{program.Interpreter, program.Regions, program.Whole} { // as long as compiling takes
		took[tier], err = b.lone(ctx, name, module, tier, times, counted.out)
		if left, ok := errors.AsType[leftOut](err); ok {
			b.leave(fmt.Sprintf("%s, %s", name, tier), left)
			continue
		} else if err != nil {
			return err
		}
		row := Row{Name: fmt.Sprintf("%s %s, %s", name, times, tier), Value: took[tier] / 1e6, Unit: "ms"}
		if tier != program.Interpreter {
			row.Ratio = took[tier] / took[program.Interpreter]
			row.Note = "ratio: to the interpreter"
		}
		b.add(row, nil)
		if tier == program.Interpreter {
			b.add(Row{Name: "an interpreted instruction, lone instance of " + name, Value: took[tier] / float64(counted.Steps), Unit: "ns", Target: "at most 80 ns",
				Note: fmt.Sprintf("%.1f M instructions", float64(counted.Steps)/1e6)}, func(r Row) bool { return r.Value <= 80 })
		}
	}
	if took[program.Whole] > 0 && took[program.Regions] > 0 {
		row := Row{Name: fmt.Sprintf("%s %s, regions against whole", name, times), Value: took[program.Regions] / took[program.Whole], Unit: "x"}
		if name == computes {
			row.Target = "at most 2 x"
			b.add(row, func(r Row) bool { return r.Value <= 2 })
		} else {
			b.add(row, nil)
		}
	}
	return nil
}

// computes is the program that is loops and little else.
const computes = "c/compute.c"

// counted is a run in which the instructions are counted.
func (b *programsBench) counted(ctx context.Context, name string, module []byte, times string) (r ran, err error) {
	p, err := b.load(ctx, name, module, program.Options{Tier: program.Interpreter, CountSteps: true})
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	return b.once(ctx, p, program.Launch{Memory: loneMemory}, name, times)
}

// lone is what an instance takes that is alone, in nanoseconds.
func (b *programsBench) lone(ctx context.Context, name string, module []byte, tier program.Tier, times, want string) (took float64, err error) {
	p, err := b.load(ctx, name, module, program.Options{Tier: tier}, "0")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	return b.usual(func() (ran, error) {
		r, err := b.once(ctx, p, program.Launch{Memory: loneMemory}, name, times)
		if err == nil && r.out != want {
			err = fmt.Errorf("%s, %s: it printed %q, and %q while its instructions were counted", name, tier, r.out, want)
		}
		return r, err
	})
}

// calls compares a program's with a kernel's.
func (b *programsBench) calls(ctx context.Context) (err error) {
	if b.program, err = b.runtime.Load(ctx, "calls.kernel.c", callsText); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.program.Close()) }()
	// A question for the time is answered where requests are decoded; a write takes a goroutine.
	if err := b.call(ctx, "the host's time", "asks_time", wantsTime, "at most 2 x kernel"); err != nil {
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
	p, err := b.load(ctx, "asking.wasm", asking(call, uint32(rounds)), program.Options{Tier: program.Interpreter})
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
func (b *programsBench) instances(ctx context.Context) error {
	const name = "rust/sort.rs"
	count, records := 4224, "1000" // 4224 are 32 subgroups for each unit of an H200
	if b.info.HostCPU {
		count = 64
		if b.opts.Quick {
			count, records = 8, "100"
		}
	}
	module, err := b.module(ctx, name)
	if err != nil {
		return err
	}
	best := 0.0
	var native core
	for _, tier := range []program.Tier{program.Regions, program.Whole} {
		ratio, err := b.crowd(ctx, tier, name, module, records, count, &native)
		if left, ok := errors.AsType[leftOut](err); ok {
			b.leave(fmt.Sprintf("many instances, %s", tier), left)
		} else if err != nil {
			return err
		}
		best = max(best, ratio)
	}
	if best > 0 {
		b.add(Row{Name: fmt.Sprintf("%d instances of %s -n %s, against a core", count, name, records), Value: best, Unit: "x", Target: "at least 25 x",
			Note: "the best of them"}, func(r Row) bool { return r.Value >= 25 })
	}
	return nil
}

// core is what one core of this machine takes for an instance, and what it runs.
type core struct {
	ns float64
	by string
}

// crowd has many instances in a tier, one for each subgroup and one in each lane, and gives the best ratio to what a core takes for as many. That
// is measured when it is not known yet.
func (b *programsBench) crowd(ctx context.Context, tier program.Tier, name string, module []byte, records string, count int, native *core) (best float64, err error) {
	p, err := b.load(ctx, name, module, program.Options{Tier: tier}, "-n", "0")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	alone, err := b.once(ctx, p, program.Launch{Memory: loneMemory}, name, "-n", records)
	if err != nil {
		return 0, err
	}
	if native.ns == 0 {
		if *native, err = b.core(ctx, name, records, alone.out); err != nil {
			return 0, err
		}
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
		took, err := b.usual(func() (ran, error) {
			r, err := b.once(ctx, p, launch, name, "-n", records)
			if err != nil {
				return r, err
			}
			for line := range strings.Lines(alone.out) {
				if n := strings.Count(r.out, line); n != count {
					return r, fmt.Errorf("%d of %d instances printed %q", n, count, line)
				}
			}
			return r, nil
		})
		if err != nil {
			return best, err
		}
		ratio := native.ns * float64(count) / took
		b.add(Row{Name: fmt.Sprintf("%d instances of %s -n %s, %s, %s", count, name, records, tier, how), Value: took / 1e6, Unit: "ms",
			Ratio: ratio, Note: "ratio: to " + native.by}, nil)
		best = max(best, ratio)
	}
	return best, nil
}

// core measures a core: with the program made for the processor, as a process, without what the process takes to start; or else with what the cpu
// device makes of the module. Both are the best of several.
func (b *programsBench) core(ctx context.Context, name, records, want string) (core, error) {
	path := b.built(name, ".native")
	if b.folder == "" {
		source, err := b.source(name)
		if err != nil {
			return core{}, err
		}
		path = filepath.Join(b.work, "native.exe")
		var said bytes.Buffer
		if err := Native(ctx, source, path, &said); err != nil {
			if _, ok := errors.AsType[*toolchain.Missing](err); !ok {
				return core{}, fmt.Errorf("%w\n%s", err, &said)
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
	for i := range 30 {
		a, err := timed(records, want)
		if err != nil {
			return core{}, err
		}
		s, err := timed("0", "")
		if err != nil {
			return core{}, err
		}
		if i == 0 {
			all, starts = a, s
		}
		all, starts = min(all, a), min(starts, s)
	}
	work := max(all-starts, 1)
	return core{work, fmt.Sprintf("a core that runs it natively, %.3g ms each", work/1e6)}, nil
}

func (b *programsBench) coreDevice(ctx context.Context, name, records string) (_ core, err error) {
	dev, err := hal.Open(ctx, "cpu:0")
	if err != nil {
		return core{}, leftOut{fmt.Errorf("neither a native %s nor the cpu device to compare with: %w", name, err)}
	}
	rt, err := hostcall.New(ctx, dev, nil)
	if err != nil {
		return core{}, err
	}
	defer func() { err = errors.Join(err, rt.Close()) }()
	module, err := b.module(ctx, name)
	if err != nil {
		return core{}, err
	}
	p, err := program.Load(ctx, rt, name, module, program.Options{})
	if err != nil {
		return core{}, err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	best := 0.0
	for i := range b.repeats() {
		r, err := b.once(ctx, p, program.Launch{Memory: loneMemory}, name, "-n", records)
		if err != nil {
			return core{}, err
		}
		if took := float64(r.Elapsed); i == 0 || took < best {
			best = took
		}
	}
	return core{best, fmt.Sprintf("the cpu device with regions, for want of a native one, %.3g ms each", best/1e6)}, nil
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
	var took []float64
	for i := range b.repeats() + 1 {
		limited, cancel := context.WithTimeout(ctx, b.limit)
		cmd := b.run(limited, "--dir", b.work+":/", file)
		var complaints strings.Builder
		cmd.Stdin, cmd.Stderr = strings.NewReader("Ada\n"), &complaints
		start := time.Now()
		out, err := cmd.Output()
		late := ctx.Err() == nil && limited.Err() != nil
		cancel()
		if late {
			return leftOut{fmt.Errorf("it takes more than %v", b.limit)}
		} else if err != nil {
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
