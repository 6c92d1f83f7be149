package probe

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/samber/lo"

	"github.com/dialtone-gpu/dialtone/capabilities"
	"github.com/dialtone-gpu/dialtone/hal"
)

// Options tune a Survey; nil means the defaults.
type Options struct {
	Devices []string           // URIs; none: every device of every backend
	Depth   capabilities.Depth // empty: functional
	// Only lists capabilities to try; nil: all. What they need is tried too.
	Only []capabilities.ID
	// Limit is how long a single step may take: listing a backend's devices, opening one, one probe. 0 is 15 s. Its
	// process is killed then, and the step's outcome is unknown.
	Limit   time.Duration
	Storage string // folder for files of direct transfers; empty: the one for temporary files
	Tool    string // the program, for the report
	// Command is the program whose main calls Child; nil: this one.
	Command func() (*exec.Cmd, error)
	// Progress is told what is being done; it may be called from several goroutines at once. Nil: nobody.
	Progress func(stage string)
}

// environment of every child, unless a trial wants another. cuFile and hipFile read these when they are loaded (cuFile API reference, "Environment variables";
// "hipFile environment variables"): a file that would be copied through host memory is an error then.
var environment = []string{"CUFILE_ALLOW_COMPAT_MODE=false", "CUFILE_FORCE_COMPAT_MODE=false",
	"HIPFILE_ALLOW_COMPAT_MODE=false", "HIPFILE_FORCE_COMPAT_MODE=false"}

// Survey asks what the devices of this machine can do. What goes wrong is part of the report: drivers that are
// missing, that crash, that hang. The error is one of the caller's: a device that is not there, or a context that ended.
func Survey(ctx context.Context, opts *Options) (*capabilities.Report, error) {
	s := newSurvey(opts)
	name, _ := os.Hostname()
	r := &capabilities.Report{
		Schema: capabilities.ReportSchema, Origin: capabilities.Recorded, Tool: s.Tool, Taken: time.Now().UTC().Truncate(time.Second),
		Host: capabilities.Host{Name: name, OS: runtime.GOOS, Arch: runtime.GOARCH, User: userName()}, Depth: s.Depth,
		Devices: []capabilities.Device{}, Missing: []capabilities.Missing{},
	}
	infos, err := s.list(ctx, r)
	if err != nil {
		return nil, err
	}
	r.Devices = s.devices(ctx, infos)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	r.Finish()
	return r, nil
}

func newSurvey(opts *Options) *survey {
	s := &survey{}
	if opts != nil {
		s.Options = *opts
		s.Devices = slices.Clone(opts.Devices)
	}
	s.Depth = cmp.Or(s.Depth, capabilities.DepthFunctional)
	s.Limit = cmp.Or(s.Limit, 15*time.Second)
	s.Storage = cmp.Or(s.Storage, os.TempDir())
	if s.Command == nil {
		s.Command = func() (*exec.Cmd, error) {
			path, err := os.Executable()
			return exec.Command(path), err
		}
	}
	if s.Progress == nil {
		s.Progress = func(string) {}
	}
	return s
}

// List finds the devices without trying anything, best first, and the backends that have none here. Drivers that crash or
// hang over it do so in child processes.
func List(ctx context.Context, opts *Options) ([]hal.Info, []capabilities.Missing, error) {
	s := newSurvey(opts)
	r := &capabilities.Report{}
	infos, err := s.list(ctx, r)
	return infos, r.Missing, err
}

func userName() string { return cmp.Or(os.Getenv("USER"), os.Getenv("USERNAME")) }

type survey struct{ Options }

// list finds the devices, each backend in a child of its own.
func (s *survey) list(ctx context.Context, r *capabilities.Report) ([]hal.Info, error) {
	s.Progress("looking for devices")
	backends := hal.Backends()
	for i, uri := range s.Devices {
		name, n, err := hal.ParseURI(uri)
		if err != nil {
			return nil, err
		}
		s.Devices[i] = fmt.Sprintf("%s:%d", name, n)
		if !slices.Contains(backends, name) {
			return nil, fmt.Errorf("device %q: no backend of that name; there are %s: %w", uri, strings.Join(backends, ", "), hal.ErrNoDevice)
		}
	}
	if len(s.Devices) > 0 {
		backends = lo.Filter(backends, func(b string, _ int) bool {
			return slices.ContainsFunc(s.Devices, func(uri string) bool { return strings.HasPrefix(uri, b+":") })
		})
	}
	found := make([][]hal.Info, len(backends))
	missing := make([]string, len(backends))
	var wait sync.WaitGroup
	for i, b := range backends {
		wait.Go(func() {
			end := s.child(ctx, order{Backend: b}, func(m message) {
				for _, d := range m.Devices {
					found[i] = append(found[i], d.Restore())
				}
				if m.Missing != "" { // another word follows
					missing[i] = m.Missing
				}
			})
			if end != nil {
				missing[i] = fmt.Sprintf("looking for its devices: %v", end)
			}
		})
	}
	wait.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	for i, why := range missing {
		if why != "" {
			r.Missing = append(r.Missing, capabilities.Missing{Backend: backends[i], Reason: why})
		}
	}
	infos := slices.Concat(found...)
	hal.Sort(infos)
	if len(s.Devices) == 0 {
		return infos, nil
	}
	for _, uri := range s.Devices {
		if !slices.ContainsFunc(infos, func(i hal.Info) bool { return i.URI == uri }) {
			err := fmt.Errorf("%s: %w", uri, hal.ErrNoDevice)
			for _, m := range r.Missing {
				if strings.HasPrefix(uri, m.Backend+":") {
					err = fmt.Errorf("%s: %s: %w", uri, m.Reason, hal.ErrUnavailable)
				}
			}
			return nil, err
		}
	}
	return lo.Filter(infos, func(i hal.Info, _ int) bool { return slices.Contains(s.Devices, i.URI) }), nil
}

// devices probes all of them: GPUs beside each other, but what is one piece of hardware, and the host's own cores, one after the other.
func (s *survey) devices(ctx context.Context, infos []hal.Info) []capabilities.Device {
	out := make([]capabilities.Device, len(infos))
	at := map[string]int{}
	for i, info := range infos {
		at[info.URI] = i
	}
	run := func(i int) { out[i] = s.device(ctx, infos[i]) }
	var wait sync.WaitGroup
	var cores []int
	for _, same := range capabilities.Physical(infos) {
		if same[0].HostCPU {
			for _, i := range same {
				cores = append(cores, at[i.URI])
			}
			continue
		}
		wait.Go(func() {
			for _, i := range same {
				run(at[i.URI])
			}
		})
	}
	wait.Wait()
	for _, i := range cores {
		run(i)
	}
	return out
}

// device probes one.
func (s *survey) device(ctx context.Context, info hal.Info) capabilities.Device {
	start := time.Now()
	d := &surveyed{survey: s, info: info, proofs: capabilities.Set{}, Device: capabilities.Device{
		Description: capabilities.Describe(info), Facts: []capabilities.Fact{}, Troubles: []string{},
	}}
	if s.Depth == capabilities.DepthDeclared {
		d.safely(ctx, nil)
	} else {
		safe, risky := s.wanted()
		d.safely(ctx, safe)
		d.riskily(ctx, risky)
	}
	set := capabilities.Judge(capabilities.Claims(info, d.Facts), d.proofs)
	if s.Only != nil {
		set = lo.PickByKeys(set, s.Only)
	}
	d.Capabilities = set.List()
	d.Violations = capabilities.Violations(info, d.Facts, set)
	d.Took = time.Since(start)
	return d.Device
}

// wanted are the probes for what is asked, with what they need.
func (s *survey) wanted() (safe, risky []probe) {
	want := map[capabilities.ID]bool{}
	for _, id := range s.Only {
		want[id] = true
	}
	all := slices.Concat(planned, extras)
	for range 3 { // needs of needs
		for _, p := range all {
			if s.Only == nil || slices.ContainsFunc(p.gives, func(id capabilities.ID) bool { return want[id] }) {
				for _, id := range slices.Concat(p.gives, p.needs) {
					want[id] = true
				}
			}
		}
	}
	for _, p := range all {
		if slices.ContainsFunc(p.gives, func(id capabilities.ID) bool { return want[id] }) {
			if p.risky {
				risky = append(risky, p)
			} else {
				safe = append(safe, p)
			}
		}
	}
	return safe, risky
}

// surveyed is a device being probed.
type surveyed struct {
	capabilities.Device
	survey  *survey
	info    hal.Info
	proofs  capabilities.Set
	trials  []trialOf
	asked   bool   // its facts and its trials are known
	tainted string // what was done to it that makes later answers worthless
}

// safely runs probes in one child; after a crash the rest goes to the next one.
func (d *surveyed) safely(ctx context.Context, probes []probe) {
	for first := true; first || len(probes) > 0; first = false {
		if ctx.Err() != nil || d.tainted != "" {
			break
		}
		left, opened := d.run(ctx, probes)
		if !opened {
			for _, p := range probes {
				d.leave(p, "the device could not be opened: "+lo.LastOr(d.Troubles, ""))
			}
			return
		}
		probes = left
	}
	for _, p := range probes {
		d.leave(p, "tainted: "+d.tainted)
	}
}

// riskily runs each probe in a child of its own, and the backend's trials.
func (d *surveyed) riskily(ctx context.Context, risky []probe) {
	if !d.asked {
		for _, p := range risky {
			d.leave(p, "the device could not be opened")
		}
		return
	}
	var trials, dangerous []probe
	for _, t := range d.trials {
		p := trial(hal.Trial{Capability: t.Capability, Level: t.Level, Risky: t.Risky, Env: t.Env})
		if d.survey.Only != nil && !slices.Contains(d.survey.Only, p.gives[0]) {
			continue
		}
		if p.risky {
			dangerous = append(dangerous, p)
		} else {
			trials = append(trials, p)
		}
	}
	if trials != nil {
		d.safely(ctx, trials)
	}
	claims := capabilities.Claims(d.info, d.Facts)
	for _, p := range append(dangerous, risky...) { // what may lose the device comes last
		if p.faults && claims[p.gives[0]].State == capabilities.No {
			continue // the driver's no is good enough: trying it would only lose the device
		}
		if i := slices.IndexFunc(p.needs, func(id capabilities.ID) bool { return !d.proofs.Has(id) }); i >= 0 {
			d.leave(p, fmt.Sprintf("not asked: %s is %s", p.needs[i], d.proofs[p.needs[i]].State))
			continue
		}
		d.safely(ctx, []probe{p})
	}
}

// settle takes a finding. A proof stands, whatever another probe of the same capability finds later; of two proofs the later one goes
// further.
func (d *surveyed) settle(f capabilities.Finding) {
	if was := d.proofs[f.ID]; was.State == capabilities.Proven {
		facts := slices.Concat(was.Facts, f.Facts)
		if f.State != capabilities.Proven {
			f = was
		}
		f.Facts = facts
	}
	d.proofs[f.ID] = f
}

// leave makes unknown what a probe would have given.
func (d *surveyed) leave(p probe, why string) {
	for _, id := range p.gives {
		if _, ok := d.proofs[id]; !ok {
			d.proofs[id] = capabilities.Finding{ID: id, State: capabilities.Unknown, Reason: why,
				Facts: []capabilities.Fact{{Source: "probe " + p.name, Error: why}}}
		}
	}
}

// run gives some probes to a child. left are those that it did not come to.
func (d *surveyed) run(ctx context.Context, probes []probe) (left []probe, opened bool) {
	o := order{Device: d.info.URI, Facts: !d.asked, Storage: d.survey.Storage}
	for _, p := range probes {
		o.Probes = append(o.Probes, p.name)
		o.env = append(o.env, p.env...)
	}
	for id := range d.proofs {
		if d.proofs.Has(id) {
			o.Proven = append(o.Proven, id)
		}
	}
	stage, refused := "open", ""
	end := d.survey.child(ctx, o, func(m message) {
		if m.Begin != "" {
			stage = m.Begin
			d.survey.Progress(fmt.Sprintf("probing %s: %s", d.info.URI, stage))
		}
		if m.Opened {
			opened = true
			d.trials = m.Trials
		}
		if m.Error != "" {
			refused = m.Error
		}
		d.Facts = append(d.Facts, m.Facts...)
		for _, f := range m.Findings {
			d.settle(f)
		}
		if m.Tainted != "" && !d.info.HostCPU {
			d.tainted = fmt.Sprintf("%s during probe %s", m.Tainted, stage)
		}
	})
	if opened {
		d.asked = true
	}
	if refused != "" {
		d.Troubles = append(d.Troubles, refused)
	}
	at := slices.IndexFunc(probes, func(p probe) bool { return p.name == stage })
	if end == nil {
		return probes[min(at+1, len(probes)):], opened
	}
	why := fmt.Sprintf("at step %s %v", stage, end)
	d.Troubles = append(d.Troubles, why)
	if !d.info.HostCPU {
		select { // the driver cleans up after a process that died in its midst
		case <-ctx.Done():
		case <-time.After(coolDown):
		}
	}
	// A kernel that hangs may hang on after its process; whatever runs on the host's cores ends with it.
	if errors.Is(end, errLate) && !d.info.HostCPU {
		d.tainted = why
	}
	if at < 0 { // it got no further than its facts
		if stage == "facts" {
			d.asked = true
			return probes, opened
		}
		return probes, false
	}
	d.leave(probes[at], why)
	return probes[at+1:], opened
}

// coolDown is how long a device is left alone after a crash.
const coolDown = 300 * time.Millisecond

// errLate is the end of a child that was killed because a step took too long.
var errLate = errors.New("it took too long")

// child runs one and hears what it says. Its error is how the process ended, if not well.
func (s *survey) child(ctx context.Context, o order, hear func(message)) error {
	text, err := json.Marshal(o)
	if err != nil {
		return err
	}
	cmd, err := s.Command()
	if err != nil {
		return err
	}
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Env = slices.Concat(cmd.Env, environment, o.env, []string{variable + "=" + string(text)}) // of two values the later counts
	return supervise(ctx, cmd, s.Limit, hear)
}

// supervise starts a child, hears it, and kills it when nothing comes for as long as limit, or the context ends.
func supervise(ctx context.Context, cmd *exec.Cmd, limit time.Duration, hear func(message)) error {
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	trouble := &tail{}
	cmd.Stderr = trouble
	cmd.WaitDelay = time.Second // what the driver started may hold the pipes
	if err := cmd.Start(); err != nil {
		return err
	}
	heard := make(chan message)
	go func() {
		defer close(heard)
		listen(out, heard)
	}()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	done, late := false, false
	for open := true; open; {
		select {
		case m, ok := <-heard:
			if open = ok; ok {
				hear(m)
				done = done || m.Done
				timer.Reset(limit)
			}
		case <-timer.C:
			late, open = true, false
		case <-ctx.Done():
			open = false
		}
	}
	if !done {
		_ = cmd.Process.Kill() // it has ended, or it has to
	}
	ended := make(chan error, 1)
	go func() {
		for range heard { // whatever is left
		}
		ended <- cmd.Wait()
	}()
	select {
	case err = <-ended:
	case <-time.After(5 * time.Second):
		// A process inside the kernel driver may not be killable. It is left to itself.
		return fmt.Errorf("%w (%v), and its process does not end", errLate, limit)
	}
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case done:
		return nil
	case late:
		return fmt.Errorf("%w (%v)", errLate, limit)
	}
	return fmt.Errorf("its process ended: %s", describeEnd(err, trouble.String()))
}

// listen parses what a child prints: messages begin with the mark, wherever in a line; all else is a driver's.
func listen(r io.Reader, heard chan<- message) {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		if i := bytes.LastIndexByte(line, mark); i >= 0 {
			var m message
			if json.Unmarshal(line[i+1:], &m) == nil {
				heard <- m
			}
		}
		if err != nil {
			return
		}
	}
}

// crashed begins what says why a process ended.
var crashed = regexp.MustCompile(`(?m)^(fatal error: |panic: |SIG[A-Z]+: |unexpected fault address |.*[Aa]ssert.*|.*terminate called.*).*$`)

func describeEnd(err error, printed string) string {
	how := "it said nothing"
	if err != nil {
		how = err.Error()
	}
	if line := crashed.FindString(printed); line != "" {
		return how + ": " + strings.TrimSpace(line)
	}
	if lines := strings.Split(strings.TrimSpace(printed), "\n"); lines[len(lines)-1] != "" {
		return how + ": " + lines[len(lines)-1]
	}
	return how
}

// tail keeps the beginning of what is printed: crash reports have their cause there.
type tail struct {
	mutex sync.Mutex
	text  []byte
}

const tailSize = 16 << 10

func (t *tail) Write(b []byte) (int, error) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	t.text = append(t.text, b[:min(len(b), tailSize-len(t.text))]...)
	return len(b), nil
}

func (t *tail) String() string {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	return string(t.text)
}
