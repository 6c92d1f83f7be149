package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/samber/lo"

	"github.com/dialtone-gpu/dialtone/hostcall"
	"github.com/dialtone-gpu/dialtone/hostcall/policy"
	"github.com/dialtone-gpu/dialtone/hostcall/service"
	"github.com/dialtone-gpu/dialtone/program"
	"github.com/dialtone-gpu/dialtone/program/bytecode"
	"github.com/dialtone-gpu/dialtone/program/toolchain"
)

// Flags of run that are for one sort of file.
var (
	kernelFlags  = []string{"kernel", "grid", "block"}
	programFlags = []string{"instances", "per-lane", "memory", "tier", "listen"}
)

// sort finds out what the file is, and refuses flags that say nothing about it.
func (j *job) sort(changed func(flag string) bool) error {
	kind, err := toolchain.KindOf(j.file)
	if err != nil {
		return usage(err)
	}
	j.kind = kind
	others, what := programFlags, "programs, and this is kernel C"
	if kind != toolchain.Kernel {
		others, what = kernelFlags, "kernel C, and this is a program"
	}
	for _, name := range others {
		if changed(name) {
			return usagef("--%s is for %s: %s", name, what, j.file)
		}
	}
	if j.instances < 1 {
		return usagef("--instances %d: at least 1", j.instances)
	}
	if n, err := parseBytes(j.memory); err != nil {
		return usagef("--memory %s: %w", j.memory, err)
	} else if j.memory != "" && n < bytecode.PageBytes {
		return usagef("--memory %s: at least %d KiB, a page of WebAssembly", j.memory, bytecode.PageBytes>>10)
	}
	if tiers := program.Tiers(); j.tier != "" && !slices.Contains(tiers, program.Tier(j.tier)) {
		return usagef("--tier %s: there are %s", j.tier, strings.Join(lo.Map(tiers, func(t program.Tier, _ int) string { return string(t) }), ", "))
	}
	for _, address := range j.listen {
		if _, _, err := net.SplitHostPort(address); err != nil {
			return usagef("--listen %s: the form is HOST:PORT, as in localhost:8080, or :8080 for all of the machine's addresses", address)
		}
	}
	return nil
}

// listeners opens what --listen names. Where the port is left to the system, it tells the address.
func (p *process) listeners(j job) (all []net.Listener, err error) {
	for _, address := range j.listen {
		l, err := net.Listen("tcp", address)
		if err != nil {
			return all, usagef("--listen %s: %w", address, err)
		}
		all = append(all, l)
		if _, port, _ := net.SplitHostPort(address); port == "0" || port == "" {
			fmt.Fprintf(p.stderr, "dialtone: listening at %v\n", l.Addr())
		}
	}
	return all, nil
}

// parseBytes reads a size such as 64MiB; "" is 0.
func parseBytes(s string) (uint64, error) {
	if s == "" {
		return 0, nil
	}
	number, shift := s, 0
	for i, unit := range []string{"KiB", "MiB", "GiB"} {
		if rest, ok := strings.CutSuffix(s, unit); ok {
			number, shift = rest, 10*(i+1)
		}
	}
	n, err := strconv.ParseUint(strings.TrimSpace(number), 10, 64)
	if err != nil || n == 0 || n > math.MaxUint64>>shift {
		return 0, errors.New("a size is a number of bytes, or one of KiB, MiB or GiB, as in 64MiB")
	}
	return n << shift, nil
}

// words is where a compiler writes: standard error, without what is shown there of the progress.
func (p *process) words() io.Writer {
	return writer(func(b []byte) (int, error) {
		p.progress.done()
		return p.stderr.Write(b)
	})
}

type writer func([]byte) (int, error)

func (w writer) Write(b []byte) (int, error) { return w(b) }

func (p *process) runProgram(ctx context.Context, rt *hostcall.Runtime, j job, allowed policy.Policy) error {
	uri := rt.Device().Info().URI
	if j.kind != toolchain.Module {
		p.stage("compiling %s (%v)", j.file, j.kind)
	}
	module, err := toolchain.Build(ctx, j.file, p.words())
	if err != nil {
		return err
	}
	p.stage("compiling %s for %s", j.file, uri)
	prog, err := program.Load(ctx, rt, j.file, module, program.Options{Tier: program.Tier(j.tier)})
	if err != nil {
		return err
	}
	what := uri + ": " + j.file
	p.progress.done()
	p.tell(what)
	allowed.Listen, err = p.listeners(j)
	defer func() {
		for _, l := range allowed.Listen {
			l.Close()
		}
	}()
	if err != nil {
		return err
	}

	defer service.CatchSIGPIPE()()
	defer p.lingering()()
	limited, cancel := p.limit(ctx, j)
	defer cancel()
	memory, _ := parseBytes(j.memory)
	res, err := prog.Run(limited, program.Launch{Instances: j.instances, PerLane: j.perLane, Memory: memory, Policy: allowed, Grace: grace})
	if err != nil {
		return verdict(limited, what, 0, err)
	}
	if err := errors.Join(prog.Close(), rt.Close()); err != nil {
		return err
	}
	if err := trapped(what, res); err != nil {
		return status{res.ExitCode(), err}
	}
	return exited(res.ExitCode())
}

// mostTraps are told, each with the instances that ended so.
const mostTraps = 5

// trapped says what instances trapped, and which; nil if none did.
func trapped(what string, res program.Result) error {
	var traps []string // different ones, as they came first
	instances := map[string][]int{}
	for i, e := range res.Ends {
		if e.Trap == nil {
			continue
		}
		text := e.Trap.Error()
		if instances[text] == nil {
			traps = append(traps, text)
		}
		instances[text] = append(instances[text], i)
	}
	if traps == nil {
		return nil
	}
	said := lo.Map(traps[:min(len(traps), mostTraps)], func(text string, _ int) string {
		if len(res.Ends) == 1 {
			return text
		}
		return fmt.Sprintf("%s (%s)", text, numbered(instances[text]))
	})
	if more := len(traps) - len(said); more > 0 {
		said = append(said, fmt.Sprintf("%d other traps", more))
	}
	return fmt.Errorf("%s: %s", what, strings.Join(said, "; "))
}

// numbered names instances: those that follow each other by the first and the last of them, and not more than five times.
func numbered(instances []int) string {
	const most = 5
	var parts []string
	rest := instances
	for len(rest) > 0 && len(parts) < most {
		n := 1
		for n < len(rest) && rest[n] == rest[0]+n {
			n++
		}
		part := strconv.Itoa(rest[0])
		if n > 1 {
			part += "-" + strconv.Itoa(rest[n-1])
		}
		parts, rest = append(parts, part), rest[n:]
	}
	text := lo.Ternary(len(instances) > 1, "instances ", "instance ") + strings.Join(parts, ", ")
	if len(rest) > 0 {
		text += fmt.Sprintf(" and %d more", len(rest))
	}
	return text
}
