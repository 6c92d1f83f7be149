package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/dialtone-gpu/dialtone/hal"
)

// process is the command itself, or the child of it that runs kernels on a device which may take the process down (see isolate.go).
type process struct {
	stderr   *os.File
	progress *progress
	parent   *parent // nil in the command itself
	warnings warnings
	insists  sync.Once
}

func newProcess() *process {
	p := &process{stderr: os.Stderr}
	if p.parent = attach(); p.parent != nil {
		p.stderr = p.parent.stderr
	}
	p.progress = &progress{w: p.stderr, terminal: isTerminal(p.stderr)}
	return p
}

// execute runs the command line and gives the exit code.
func (p *process) execute(ctx context.Context, args []string) int {
	root := p.newRoot()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	p.progress.done()
	if err == nil {
		return 0
	}
	code := exitFailure
	if s, ok := errors.AsType[status](err); ok {
		if code = s.code; s.err == nil {
			return code
		}
	}
	fmt.Fprintf(p.stderr, "dialtone: %v\n", err)
	return code
}

// stage says what the process does from now on, until the next stage or running.
func (p *process) stage(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	p.tell(text)
	p.progress.stage(text)
}

// running says that a kernel runs from now on.
func (p *process) running(device, kernel string) {
	p.progress.done()
	p.tell(kernelStage(device, kernel))
}

func (p *process) tell(stage string) {
	if p.parent != nil {
		p.parent.tell(stage)
	}
}

// on opens a device, "" being the best one, and does something with it until it is done or a signal comes. In the command itself that is
// left to a child where the device calls for it. When something goes wrong all stays as it is: the process ends, and there may be a kernel
// that does not.
func (p *process) on(ctx context.Context, uri string, do func(ctx context.Context, dev *hal.Device) error) error {
	ctx, stop := p.untilSignal(ctx)
	defer stop()
	defer p.insist(ctx)()
	if p.parent != nil {
		uri = p.parent.device
	} else if backend, n, err := hal.ParseURI(uri); err == nil && isolated(backend) {
		return p.supervise(ctx, fmt.Sprintf("%s:%d", backend, n))
	}
	if uri == "" {
		p.stage("looking for devices")
	} else {
		p.stage("opening %s", uri)
	}
	dev, err := hal.Open(ctx, uri)
	if err != nil {
		return interrupted(ctx, deviceError(err))
	}
	if info := dev.Info(); p.parent == nil && isolated(info.Backend) {
		if err := dev.Close(); err != nil {
			return err
		}
		return p.supervise(ctx, info.URI)
	}
	if err := do(ctx, dev); err != nil {
		return interrupted(ctx, err)
	}
	return dev.Close()
}

// interrupted is err, or the signal that was its cause.
func interrupted(ctx context.Context, err error) error {
	if _, ok := errors.AsType[status](err); ok {
		return err
	}
	if i, ok := errors.AsType[interruption](context.Cause(ctx)); ok {
		return status{i.code(), i}
	}
	return err
}

// ending is what ended a context from outside: a signal, or --timeout.
type ending interface {
	error
	code() int // that the command exits with
}

// patience is what a command may take to come to its end once that has happened: more than the grace that a kernel has.
const patience = 5 * time.Second

// insist ends the process when the context has been ended from outside and the command does not come to its end: a call of a driver cannot be
// interrupted, and some are made where no context reaches. stop calls it off. A child is given up later than it would give up itself.
func (p *process) insist(ctx context.Context) (stop func()) {
	limit := patience
	if p.parent == nil {
		limit += time.Second
	}
	ended := make(chan struct{})
	go func() {
		select {
		case <-ctx.Done():
		case <-ended:
			return
		}
		over, ok := context.Cause(ctx).(ending)
		if !ok {
			return
		}
		select {
		case <-time.After(limit):
		case <-ended:
			return
		}
		p.insists.Do(func() {
			p.progress.done()
			fmt.Fprintf(p.stderr, "dialtone: %v; the driver has not answered %v later\n", over, limit)
			os.Exit(over.code())
		})
	}()
	return func() { close(ended) }
}

// interruption is the cause of a context that a signal ended.
type interruption struct{ signal syscall.Signal }

func (i interruption) Error() string {
	if i.signal == syscall.SIGINT {
		return "interrupted"
	}
	return "terminated"
}

func (i interruption) code() int { return exitSignal + int(i.signal) }

// sameSignal is the time in which a second signal is the first once more: timeout(1) sends it to the process and then to its group.
const sameSignal = 100 * time.Millisecond

// untilSignal gives a context that the first SIGINT or SIGTERM ends, with an interruption as its cause. The second ends the process. What
// this process was started to ignore, as nohup(1) and background jobs are, stays ignored.
func (p *process) untilSignal(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	signals := make(chan os.Signal, 2)
	if p.parent != nil {
		p.parent.subscribe(signals)
	} else {
		for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
			if !signal.Ignored(s) {
				signal.Notify(signals, s)
			}
		}
	}
	go func() {
		for ctx.Err() == nil {
			select {
			case s := <-signals:
				cancel(interruption{s.(syscall.Signal)})
			case <-ctx.Done():
			}
		}
		for first := time.Now(); ; {
			s := <-signals
			if time.Since(first) > sameSignal {
				p.progress.done()
				os.Exit(interruption{s.(syscall.Signal)}.code())
			}
		}
	}()
	return ctx, func() { cancel(nil) }
}

// warnings prints each message once: thousands of lanes may cause the same.
type warnings struct {
	mutex sync.Mutex
	seen  map[string]bool
}

// maxWarnings is how many different ones are printed.
const maxWarnings = 20

func (p *process) warn(message string) {
	w := &p.warnings
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if w.seen[message] || len(w.seen) > maxWarnings {
		return
	}
	if w.seen == nil {
		w.seen = map[string]bool{}
	}
	w.seen[message] = true
	if len(w.seen) > maxWarnings {
		message = "further warnings are not shown"
	}
	fmt.Fprintf(p.stderr, "dialtone: warning: %s\n", message)
}
