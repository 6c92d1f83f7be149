package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dialtone-gpu/dialtone/device"
	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/hostcall"
	"github.com/dialtone-gpu/dialtone/hostcall/plan"
	"github.com/dialtone-gpu/dialtone/hostcall/policy"
	"github.com/dialtone-gpu/dialtone/hostcall/service"
	"github.com/dialtone-gpu/dialtone/program/toolchain"
)

// job is the command line of run.
type job struct {
	device, kernel string
	transport      string
	grid, block    dims
	dirs, env      []string
	listen         []string
	timeout        time.Duration
	file           string
	args           []string

	kind      toolchain.Kind
	instances int
	perLane   bool
	memory    string
	tier      string
}

func (p *process) newRun() *cobra.Command {
	var j job
	cmd := &cobra.Command{
		Use:   "run [flags] FILE [ARGS...]",
		Short: "Run a program on a device",
		Long: `Runs a program on a device and serves what it asks for meanwhile. FILE is

  NAME.wasm          a WebAssembly module for WASI preview 1
  NAME.rs, NAME.c    a Rust or C program: rustc or clang makes a module of it
  NAME.go, a folder  a Go program, or a package of Go or Cargo, likewise
  NAME.kernel.c      kernel C: one of the file's kernels is launched

Flags behind FILE belong to the program: its argument 0 is FILE, what follows are the others.
It has the standard streams, the clocks and random bytes; --dir, --env and --listen give it
more.

The exit code is the program's: the low eight bits of what it exited with, 0 if it simply
ended; of several instances, that of the first which is not 0. 1 is a program that does not
compile or went wrong, 2 a command line that cannot be followed, 124 a --timeout that passed,
134 a trap of a program, or hc_abort or hc_assert of a kernel, 128+N a signal N that ended it.
The first Ctrl-C ends the run, the second does not wait for it.`,
		Example: `  dialtone run hello.rs
  dialtone run --dir data:/data:ro ./cmd/count /data
  dialtone run --instances 1000 simulate.wasm
  dialtone run --listen localhost:8080 server.go
  dialtone run --dir .:/ examples/hello/hello.kernel.c
  dialtone run --grid 64 --block 8x8 --device opencl:0 mandelbrot.kernel.c
  dialtone run --dir src:/src:ro --dir out:/out --env LANG=C count.kernel.c --fast /src`,
		Args: between(1, -1, "FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			j.file, j.args = args[0], args
			if err := j.sort(cmd.Flags().Changed); err != nil {
				return err
			}
			return p.run(cmd.Context(), j)
		},
	}
	f := cmd.Flags()
	f.SetInterspersed(false)
	f.SortFlags = false
	f.StringVar(&j.device, "device", "", "the `device`, as dialtone devices lists them; the best one if not given")
	f.StringArrayVar(&j.dirs, "dir", nil, "open a directory to the program, `HOST[:GUEST[:ro]]`; may be repeated")
	f.StringArrayVar(&j.env, "env", nil, "set a variable of the program's environment, `K=V`; may be repeated")
	f.DurationVar(&j.timeout, "timeout", 0, "end the program after that `time`, as in 30s; it is counted from the program's start, and compiling before that is not (default none)")
	transportFlag(cmd, &j.transport)
	f.IntVar(&j.instances, "instances", 1, "not for kernels: run `N` instances of the program, each with a memory of its own")
	f.BoolVar(&j.perLane, "per-lane", false, "likewise: an instance in each lane of a subgroup, not one for each subgroup")
	f.StringVar(&j.memory, "memory", "", "likewise: `bytes` that an instance's memory may have, as in 64MiB (default by the device, at most 256MiB)")
	f.StringVar(&j.tier, "tier", "", "likewise: `regions`, loops that only compute are compiled for the device; interpreter, nothing is; whole, everything is, where the device has recursion (default regions)")
	f.StringArrayVar(&j.listen, "listen", nil, "likewise: let the program accept TCP connections at `HOST:PORT`, as a descriptor behind the directories; may be repeated")
	f.StringVar(&j.kernel, "kernel", "", "for kernels: the `name`, if the file has several")
	f.Var(&j.grid, "grid", "likewise: `groups` in up to three dimensions: N, NxM or NxMxK (default 1)")
	f.Var(&j.block, "block", "likewise: work-`items` of a group (default 1)")
	return cmd
}

// transportFlag is that of every command which plans.
func transportFlag(cmd *cobra.Command, to *string) {
	cmd.Flags().StringVar(to, "transport", "", "the `way` of calls to the host, mailbox or relaunch; what the plan chooses if not given")
}

// grace is how long a kernel may take to end once its run is over.
const grace = time.Second

// policy is what the flags open to the kernel.
func (p *process) policy(j job) (policy.Policy, error) {
	allowed := policy.Policy{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: p.stderr, Args: j.args}
	for _, s := range j.dirs {
		d, err := policy.ParseDir(s)
		if err != nil {
			return allowed, usagef("--dir: %w", err)
		}
		if st, err := os.Stat(d.Host); err != nil {
			return allowed, usagef("--dir %s: %w", s, err)
		} else if !st.IsDir() {
			return allowed, usagef("--dir %s: %s is not a directory", s, d.Host)
		}
		allowed.Dirs = append(allowed.Dirs, d)
	}
	for _, s := range j.env {
		v, err := policy.ParseEnv(s)
		if err != nil {
			return allowed, usagef("--env: %w", err)
		}
		name, _, _ := strings.Cut(v, "=")
		// The last of a name counts, as elsewhere.
		allowed.Env = append(slices.DeleteFunc(allowed.Env, func(other string) bool { return strings.HasPrefix(other, name+"=") }), v)
	}
	return allowed, usage(allowed.Check())
}

// entry finds the kernel to launch, before any device is looked at.
func (j *job) entry(text string) error {
	unit, err := device.Parse(j.file, text)
	if err != nil {
		return err
	}
	k, err := unit.Kernel(j.kernel)
	if err != nil {
		if j.kernel == "" && len(unit.Kernels) > 1 {
			err = fmt.Errorf("%w (--kernel NAME)", err)
		}
		return usage(err)
	}
	if len(k.Params) > 0 {
		var names []string
		for _, param := range k.Params {
			names = append(names, param.Name)
		}
		return usagef("%s: kernel %s takes parameters (%s): run starts kernels without any; a Go program gives them, see package hostcall",
			j.file, k.Name, strings.Join(names, ", "))
	}
	j.kernel = k.Name
	return nil
}

func (p *process) run(ctx context.Context, j job) error {
	var text []byte
	if j.kind == toolchain.Kernel {
		var err error
		if text, err = os.ReadFile(j.file); err != nil {
			return usage(err)
		}
		if err := j.entry(string(text)); err != nil {
			return err
		}
	}
	over := plan.Policy{Transport: plan.Transport(j.transport)}
	if err := over.Check(); err != nil {
		return usage(err)
	}
	if j.timeout < 0 {
		return usagef("--timeout %v is in the past", j.timeout)
	}
	allowed, err := p.policy(j)
	if err != nil {
		return err
	}
	return p.on(ctx, j.device, func(ctx context.Context, dev *hal.Device) error {
		rt, err := p.runtime(ctx, dev, over)
		switch {
		case err != nil:
			return err
		case j.kind == toolchain.Kernel:
			return p.runKernel(ctx, rt, j, string(text), allowed)
		}
		return p.runProgram(ctx, rt, j, allowed)
	})
}

func (p *process) runtime(ctx context.Context, dev *hal.Device, over plan.Policy) (*hostcall.Runtime, error) {
	p.stage("probing %s", dev.Info().URI)
	return hostcall.New(ctx, dev, &hostcall.Options{Warn: p.warn, Policy: over})
}

func (p *process) runKernel(ctx context.Context, rt *hostcall.Runtime, j job, text string, allowed policy.Policy) error {
	uri := rt.Device().Info().URI
	p.stage("compiling %s for %s", j.file, uri)
	prog, err := rt.Load(ctx, j.file, text)
	if err != nil {
		return err
	}
	p.running(uri, j.kernel)

	defer service.CatchSIGPIPE()()
	defer p.lingering()()
	limited, cancel := p.limit(ctx, j)
	defer cancel()
	res, err := prog.Run(limited, hostcall.Launch{Kernel: j.kernel, Grid: j.grid, Group: j.block, Policy: allowed, Grace: grace})
	if err != nil {
		return verdict(limited, kernelStage(uri, j.kernel), res.ExitCode, err)
	}
	if err := errors.Join(prog.Close(), rt.Close()); err != nil {
		return err
	}
	return exited(res.ExitCode)
}

// limit gives a context that --timeout ends, and the process if need be.
func (p *process) limit(ctx context.Context, j job) (context.Context, context.CancelFunc) {
	if j.timeout <= 0 {
		return ctx, func() {}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, j.timeout, timeout(j.timeout))
	stop := p.insist(ctx)
	return ctx, func() {
		stop()
		cancel()
	}
}

// exited is the end of a program that came to one.
func exited(code int) error {
	if code := service.ExitCode(service.Exit{Code: int32(code)}); code != 0 {
		return status{code: code}
	}
	return nil
}

type timeout time.Duration

func (t timeout) Error() string { return fmt.Sprintf("ended after %v (--timeout)", time.Duration(t)) }

func (t timeout) code() int { return exitTimeout }

// verdict turns the error of a run into the message, which begins with what ran, and the exit code; that is exit if a kernel called hc_exit.
func verdict(ctx context.Context, what string, exit int, err error) error {
	still := errors.Is(err, hostcall.ErrStillRunning)
	over := errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
	code := service.ExitCode(err)
	switch {
	case over:
		cause := context.Cause(ctx)
		code = exitTimeout
		if i, ok := cause.(interruption); ok {
			code = i.code()
		}
		err = fmt.Errorf("%s: %w", what, cause)
		if still {
			err = fmt.Errorf("%w; %w", err, hostcall.ErrStillRunning)
		}
	case still && code == exitFailure:
		// It called hc_exit, which ends everything: the rest of it ends with this process.
		return exited(exit)
	case code != exitFailure:
		// hc_abort or hc_assert. That something else still runs matters to nobody: the process ends.
		err = fmt.Errorf("%s: %w", what, said(err))
	case errors.Is(err, hal.ErrInvalid):
		code = exitUsage
	default:
		if fault, ok := errors.AsType[*hal.Error](err); ok && strings.HasPrefix(fault.Name, "SIG") {
			code = exitSignal + fault.Code
		}
	}
	return status{code, err}
}

// said is the kernel's own last word in an error.
func said(err error) error {
	if a, ok := errors.AsType[service.Assert](err); ok {
		return a
	}
	if a, ok := errors.AsType[service.Abort](err); ok {
		return a
	}
	return err
}

// kernelStage is how messages begin that concern a running kernel.
func kernelStage(device, kernel string) string { return device + ": kernel " + kernel }
