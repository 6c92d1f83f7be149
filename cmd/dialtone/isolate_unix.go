//go:build unix

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"
)

// isolated says which backends run in a child.
func isolated(backend string) bool { return backend == "opencl" || backend == "hip" }

// The child's files.
const (
	childStderr  = 3
	childSignals = 4
	childStages  = 5
)

// parent is what a child knows of the command that started it.
type parent struct {
	device string
	stderr *os.File
	stages *os.File

	mutex      sync.Mutex
	subscriber chan<- os.Signal
}

// attach gives the parent, nil if this is not a child.
func attach() *parent {
	device := os.Getenv(isolatedVariable)
	if device == "" {
		return nil
	}
	os.Unsetenv(isolatedVariable)
	p := &parent{device: device, stderr: os.NewFile(childStderr, "stderr"), stages: os.NewFile(childStages, "stages")}
	signals := os.NewFile(childSignals, "signals")
	for _, f := range []*os.File{p.stderr, p.stages, signals} {
		if _, err := f.Stat(); err != nil {
			return nil // someone set the variable
		}
		syscall.CloseOnExec(int(f.Fd()))
	}
	// A terminal sends its signals to both processes: this one hears of them through the parent.
	signal.Notify(make(chan os.Signal, 1), os.Interrupt, syscall.SIGTERM)
	go p.listen(signals)
	return p
}

// listen does with the parent's signals what is to be done; with the parent gone, this process ends.
func (p *parent) listen(signals io.Reader) {
	var b [1]byte
	for {
		if _, err := io.ReadFull(signals, b[:]); err != nil {
			os.Exit(exitSignal + int(syscall.SIGHUP))
		}
		p.mutex.Lock()
		to := p.subscriber
		p.mutex.Unlock()
		if to == nil {
			os.Exit(exitSignal + int(b[0]))
		}
		to <- syscall.Signal(b[0])
	}
}

// subscribe sends the parent's signals to the channel from now on.
func (p *parent) subscribe(signals chan<- os.Signal) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.subscriber = signals
}

// tell says what the child does from now on.
func (p *parent) tell(stage string) { fmt.Fprintln(p.stages, stage) }

// faultSignals are what a faulting kernel gets.
var faultSignals = []os.Signal{syscall.SIGSEGV, syscall.SIGBUS, syscall.SIGILL, syscall.SIGFPE, syscall.SIGTRAP}

// lingerTime is what a child has from a fault to its end.
const lingerTime = 100 * time.Millisecond

// lingering lets a child live on for a moment after a kernel faulted, so that what other groups had asked for by then is done. While a
// signal is notified, a driver's thread that faults runs into its fault again and again; when it no longer is, that ends the process.
func (p *process) lingering() (stop func()) {
	if p.parent == nil {
		return func() {}
	}
	faults := make(chan os.Signal, 1)
	signal.Notify(faults, faultSignals...)
	go func() {
		if _, ok := <-faults; ok {
			time.Sleep(lingerTime)
			signal.Reset(faultSignals...)
		}
	}()
	return func() {
		signal.Stop(faults)
		close(faults)
	}
}

// supervise does the work of this command in a child and gives its end. When this process ends first, the child does too.
func (p *process) supervise(ctx context.Context, device string) error {
	p.progress.done()
	executable, err := os.Executable()
	if err != nil {
		return err
	}
	c := &child{device: device, stderr: p.stderr, command: exec.Command(executable)}
	c.command.Args = os.Args
	c.command.Env = append(os.Environ(), isolatedVariable+"="+device)
	c.command.Stdin, c.command.Stdout = os.Stdin, os.Stdout
	if err := c.start(); err != nil {
		return fmt.Errorf("start a process for %s: %w", device, err)
	}
	select {
	case <-ctx.Done():
		i, _ := errors.AsType[interruption](context.Cause(ctx))
		c.control.Write([]byte{byte(i.signal)})
		err := <-c.ended
		if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.Sys().(syscall.WaitStatus).Signal() == i.signal {
			return status{code: i.code()} // the terminal's signal came before the child was ready for it
		}
		return c.end(err)
	case err := <-c.ended:
		return c.end(err)
	}
}

// child is a running one.
type child struct {
	device  string
	command *exec.Cmd
	stderr  *os.File // what it prints goes there, and so does its crash
	control *os.File // its signals

	ended   chan error // of Wait
	stage   string     // what it did last; set when stages is closed
	crash   string     // what looked like a crash of its Go runtime; set when printed is closed
	stages  chan struct{}
	printed chan struct{}
}

func (c *child) start() (err error) {
	var ours, theirs [3]*os.File
	defer func() {
		for i := range theirs {
			if theirs[i] != nil {
				theirs[i].Close()
			}
			if err != nil && ours[i] != nil {
				ours[i].Close()
			}
		}
	}()
	if ours[0], theirs[0], err = os.Pipe(); err != nil {
		return err
	}
	if theirs[1], ours[1], err = os.Pipe(); err != nil {
		return err
	}
	if ours[2], theirs[2], err = os.Pipe(); err != nil {
		return err
	}
	c.command.Stderr = theirs[0]
	c.command.ExtraFiles = []*os.File{childStderr - 3: c.stderr, childSignals - 3: theirs[1], childStages - 3: theirs[2]}
	if err = c.command.Start(); err != nil {
		return err
	}
	c.control = ours[1]
	c.ended, c.stages, c.printed = make(chan error, 1), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(c.printed)
		c.crash = pass(c.stderr, ours[0])
	}()
	go func() {
		defer close(c.stages)
		for lines := bufio.NewScanner(ours[2]); lines.Scan(); {
			c.stage = lines.Text()
		}
	}()
	go func() {
		err := c.command.Wait()
		// A program that the driver started may have inherited the pipes: what is in them is enough.
		for _, r := range []*os.File{ours[0], ours[2]} {
			r.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		}
		<-c.stages
		<-c.printed
		c.ended <- err
	}()
	return nil
}

// crashLine begins what a Go runtime prints when it ends the process.
var crashLine = regexp.MustCompile(`^(fatal error: |panic: |SIG[A-Z]+: |runtime: |unexpected fault address |fatal: )`)

// counts is what PoCL's compiler prints beside its log.
var counts = regexp.MustCompile(`^(\d+ (warning|error)s?( and )?)+ generated\.\n$`)

// pass hands on what is printed line by line, up to a crash of the Go runtime, which it keeps.
func pass(w io.Writer, r io.Reader) (crash string) {
	var kept bytes.Buffer
	for lines := bufio.NewReader(r); ; {
		line, err := lines.ReadString('\n')
		switch {
		case kept.Len() > 0 || crashLine.MatchString(line):
			kept.WriteString(line)
		case !counts.MatchString(line):
			io.WriteString(w, line)
		}
		if err != nil {
			return kept.String()
		}
	}
}

// crashSignal finds the signal in what a Go runtime printed about one.
var crashSignal = regexp.MustCompile(`(?m)^\[?(?:signal )?(SIG[A-Z]+): `)

// end says how the child ended.
func (c *child) end(err error) error {
	exit, ok := errors.AsType[*exec.ExitError](err)
	if err != nil && !ok {
		return fmt.Errorf("process for %s: %w", c.device, err)
	}
	var state syscall.WaitStatus
	if ok {
		state = exit.Sys().(syscall.WaitStatus)
	}
	// A crash exit of the Go runtime is 2, or a signal if GOTRACEBACK=crash.
	if m := crashSignal.FindStringSubmatch(c.crash); m != nil && (state.Signaled() || state.ExitStatus() == 2) {
		for s, name := range signalNames {
			if name == m[1] {
				return c.killed(s)
			}
		}
	}
	io.WriteString(c.stderr, c.crash)
	switch {
	case state.Signaled():
		return c.killed(state.Signal())
	case c.crash != "" && state.ExitStatus() == 2:
		return fmt.Errorf("BUG: %s: the process for it crashed", c.doing())
	case state.ExitStatus() != 0:
		return status{code: state.ExitStatus()}
	}
	return status{} // it has printed everything
}

func (c *child) doing() string {
	if c.stage == "" {
		return c.device
	}
	return c.stage
}

// killed is the message about a child that a signal ended.
func (c *child) killed(s syscall.Signal) error {
	if !c.inKernel() && isTerminal(c.stderr) {
		io.WriteString(c.stderr, blank(78)) // what the child may have shown there
	}
	name := signalNames[s]
	if name == "" {
		name = s.String()
	}
	err := fmt.Errorf("%s: the process was killed by %s", c.doing(), name)
	if why := c.why(s); why != "" {
		err = fmt.Errorf("%w: %s", err, why)
	}
	return status{exitSignal + int(s), err}
}

// inKernel reports that a kernel was running last.
func (c *child) inKernel() bool { return strings.HasPrefix(c.stage, kernelStage(c.device, "")) }

var signalNames = map[syscall.Signal]string{
	syscall.SIGSEGV: "SIGSEGV", syscall.SIGBUS: "SIGBUS", syscall.SIGILL: "SIGILL", syscall.SIGTRAP: "SIGTRAP", syscall.SIGFPE: "SIGFPE",
	syscall.SIGABRT: "SIGABRT", syscall.SIGKILL: "SIGKILL", syscall.SIGHUP: "SIGHUP", syscall.SIGQUIT: "SIGQUIT",
}

// why is the usual cause.
func (c *child) why(s syscall.Signal) string {
	who := "the driver"
	if c.inKernel() {
		who = "the kernel"
	}
	switch s {
	case syscall.SIGSEGV, syscall.SIGBUS:
		return who + " accessed an invalid address"
	case syscall.SIGILL, syscall.SIGTRAP:
		return who + " executed a trap or an invalid instruction"
	case syscall.SIGFPE:
		return who + " divided by zero, or another arithmetic fault"
	case syscall.SIGABRT:
		return who + " gave up"
	case syscall.SIGKILL:
		return "by someone, or by the system for want of memory"
	}
	return ""
}
