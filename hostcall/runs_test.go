package hostcall_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/hostcall"
	"github.com/dialtone-gpu/dialtone/hostcall/plan"
	"github.com/dialtone-gpu/dialtone/hostcall/policy"
	"github.com/dialtone-gpu/dialtone/internal/devicetest"
)

// blocking waits for its context; kernels call it as "block".
func blocking(ctx context.Context, l *hostcall.Lane) error {
	<-ctx.Done()
	return ctx.Err()
}

func runsProgram(t testing.TB, dev target, block hostcall.Function) *hostcall.Program {
	t.Helper()
	rt := newRuntime(t, dev, nil)
	if err := rt.Register("block", block); err != nil {
		t.Fatal(err)
	}
	return load(t, rt, "runs")
}

// mark checks that a program is as good as ever.
func mark(t testing.TB, dev target, p *hostcall.Program, number, rounds, groups, items int) {
	t.Helper()
	out := checked(t, dev, p, hostcall.Launch{Kernel: "mark", Grid: grid(groups), Group: grid(items),
		Args: []hal.Arg{hal.Int32(int32(number)), hal.Int32(int32(rounds))}})
	var want []string
	for i := range rounds {
		for id := range groups * items {
			want = append(want, fmt.Sprintf("%08d %4d %4d", number, i, id))
		}
	}
	diffLines(t, sortedLines(out), want)
}

// how the kernel wait waits.
var waits = []string{"reading", "asleep", "in a call", "computing", "calling"}

// neverEnds skips what computes within one launch until it is told: what is printed appears when a launch ends, and the test waits for that.
func neverEnds(t testing.TB, dev target, how int) {
	t.Helper()
	if how == 3 || how > 4 {
		mailboxOnly(t, dev, "no launch of it ends: TestEndlessLaunch has those")
	}
}

// silentPipe never answers.
func silentPipe(t testing.TB) io.Reader {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return r
}

func TestCancel(t *testing.T) {
	forEach(t, func(t *testing.T, dev target) {
		p := runsProgram(t, dev, blocking)
		modes := len(waits)
		if dev.Info().Backend == "cpu" {
			modes += 2 // it ends what does not listen
		}
		for how := range modes {
			name := append(append([]string{}, waits...), "calling blindly", "for ever")[how]
			t.Run(name, func(t *testing.T) {
				neverEnds(t, dev, how)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				out := &lines{wrote: make(chan struct{}, 1)}
				go func() {
					<-out.wrote
					cancel()
				}()
				stdin := silentPipe(t)
				start := time.Now()
				_, err := p.Run(ctx, hostcall.Launch{Kernel: "wait", Grid: grid(2), Group: grid(4), Args: []hal.Arg{hal.Int32(int32(how))},
					Policy: policy.Policy{Stdin: stdin, Stdout: out}})
				if !errors.Is(err, context.Canceled) || errors.Is(err, hostcall.ErrStillRunning) || !strings.Contains(err.Error(), "kernel wait") {
					t.Errorf("got %v", err)
				}
				if took := time.Since(start); took > 20*time.Second {
					t.Errorf("it took %v", took)
				}
				if s := out.String(); !strings.HasPrefix(s, "here\n") || strings.Contains(s, "woken") {
					t.Errorf("printed %q", s)
				}
				mark(t, dev, p, how, 2, 2, 4)
			})
		}
		t.Run("before", func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			_, err := p.Run(ctx, hostcall.Launch{Kernel: "wait", Args: []hal.Arg{hal.Int32(1)}})
			if !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
		})
		t.Run("deadline", func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
			defer cancel()
			_, err := p.Run(ctx, hostcall.Launch{Kernel: "wait", Args: []hal.Arg{hal.Int32(1)}})
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
		})
		mark(t, dev, p, 1, 2, 2, 4)
	})
}

// TestDeaf has kernels that hear nothing on devices that cannot end them.
func TestDeaf(t *testing.T) {
	forEach(t, func(t *testing.T, dev target) {
		if dev.Info().Backend == "cpu" {
			t.Skip("TestCancel has them: this backend ends them")
		}
		neverEnds(t, dev, 6)
		for how, name := range map[int32]string{5: "calling blindly", 6: "for ever"} {
			t.Run(name, func(t *testing.T) {
				devicetest.Isolated(t, []string{devicetest.Variable + "=" + dev.Info().URI}, func(t *testing.T) {
					p := runsProgram(t, dev, blocking)
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					out := &lines{wrote: make(chan struct{}, 1)}
					go func() {
						<-out.wrote
						cancel()
					}()
					_, err := p.Run(ctx, hostcall.Launch{Kernel: "wait", Args: []hal.Arg{hal.Int32(how)},
						Grace: 100 * time.Millisecond, Policy: policy.Policy{Stdout: out}})
					if !errors.Is(err, context.Canceled) {
						t.Errorf("got %v", err)
					}
					if still := errors.Is(err, hostcall.ErrStillRunning); !still && dev.Info().Backend == "opencl" {
						t.Errorf("got %v", err)
					}
				})
			})
		}
	})
}

// TestEndlessLaunch has a launch that does not end by itself, which the end of the context ends where the backend can.
func TestEndlessLaunch(t *testing.T) {
	forEach(t, func(t *testing.T, dev target) {
		devicetest.Isolated(t, []string{devicetest.Variable + "=" + dev.Info().URI}, func(t *testing.T) {
			p := runsProgram(t, dev, blocking)
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			_, err := p.Run(ctx, hostcall.Launch{Kernel: "wait", Args: []hal.Arg{hal.Int32(6)}, Grace: 100 * time.Millisecond})
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
			if still := errors.Is(err, hostcall.ErrStillRunning); still != (dev.Info().Backend != "cpu") {
				t.Errorf("got %v", err)
			}
			if dev.Info().Backend == "cpu" {
				mark(t, dev, p, 1, 2, 2, 4)
			}
		})
	})
}

func TestFault(t *testing.T) {
	forEach(t, func(t *testing.T, dev target) {
		if dev.Info().Platform == "Oclgrind" {
			t.Skip("Oclgrind tells of an access out of bounds, and goes on")
		}
		var shown io.Writer = io.Discard
		fault := func(t *testing.T) {
			if devicetest.InChild(t) {
				shown = os.Stdout // what is left when the process dies
			}
			p := runsProgram(t, dev, blocking)
			b := buffer(t, dev, make([]byte, 64))
			for range 3 {
				var out lines
				_, err := p.Run(t.Context(), hostcall.Launch{Kernel: "fault", Grid: grid(3), Group: grid(4), Args: []hal.Arg{hal.Memory(b)},
					Policy: policy.Policy{Stdout: io.MultiWriter(&out, shown)}})
				var he *hal.Error
				if !errors.As(err, &he) || !strings.Contains(err.Error(), "fault") || he.Kernel != "fault" {
					t.Errorf("got %v", err)
				}
				// A launch that is served behind its end dies with its outbox where the device is lost.
				lost := dev.transport == plan.Stopping && dev.Info().Backend != "cpu"
				delivered := lost || strings.Contains(out.String(), "before 11\n")
				if !delivered || strings.Contains(out.String(), "after 11\n") {
					t.Errorf("printed %q", out.String())
				}
				if dev.Info().Backend != "cpu" {
					return // the device is lost
				}
				mark(t, dev, p, 1, 2, 2, 4)
			}
		}
		switch {
		case dev.Info().Backend == "cpu":
			fault(t)
		case devicetest.Fragile(dev.Device):
			r := devicetest.Child(t, devicetest.Variable+"="+dev.Info().URI)
			if r == nil {
				fault(t)
				return
			}
			delivered := strings.Contains(r.Output, "before 11\n") || dev.transport == plan.Stopping // the launch dies with its outbox
			if r.Code == 0 || r.Late || !delivered || strings.Contains(r.Output, "after 11\n") {
				t.Errorf("the process with the fault ended with code %d, late %v:\n%s", r.Code, r.Late, r.Output)
			}
		default:
			devicetest.Isolated(t, []string{devicetest.Variable + "=" + dev.Info().URI}, fault)
		}
	})
}

// TestCallThatDoesNotReturn has a function that does not look at its context.
func TestCallThatDoesNotReturn(t *testing.T) {
	forEach(t, func(t *testing.T, dev target) {
		release := make(chan struct{})
		entered := make(chan struct{}, 8)
		var returned sync.WaitGroup
		returned.Add(1)
		p := runsProgram(t, dev, func(context.Context, *hostcall.Lane) error {
			defer returned.Done()
			entered <- struct{}{}
			<-release
			return nil
		})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() {
			<-entered
			cancel()
		}()
		_, err := p.Run(ctx, hostcall.Launch{Kernel: "wait", Args: []hal.Arg{hal.Int32(2)}, Grace: 20 * time.Millisecond})
		if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "did not return") {
			t.Errorf("got %v", err)
		}
		mark(t, dev, p, 7, 1, 2, 4)
		close(release)
		returned.Wait()
		mark(t, dev, p, 8, 1, 2, 4)
	})
}

func TestRunsAtOnce(t *testing.T) {
	forEach(t, func(t *testing.T, dev target) {
		p := runsProgram(t, dev, blocking)
		q := runsProgram(t, dev, blocking)
		var group sync.WaitGroup
		for n := range 6 {
			group.Go(func() {
				which := p
				if n%2 == 1 {
					which = q
				}
				for k := range 4 {
					mark(t, dev, which, 1000*n+100*k, 3, 1+n, 4)
				}
			})
		}
		group.Wait()
	})
}

func TestDevicesAtOnce(t *testing.T) {
	all := devicetest.All(t)
	if len(all) < 2 {
		t.Skipf("%d device", len(all))
	}
	var group sync.WaitGroup
	for n, dev := range all {
		dev := target{dev, plan.Mailbox}
		if dev.Info().NoConcurrentAccess {
			dev.transport = plan.Stopping
		}
		p := runsProgram(t, dev, blocking)
		group.Go(func() {
			for k := range 10 {
				mark(t, dev, p, 1000*n+k, 3, 3, 4)
			}
		})
	}
	group.Wait()
}

// TestOneAfterTheOther keeps the sequence numbers of reused mailboxes right, for launches of several sizes.
func TestOneAfterTheOther(t *testing.T) {
	forEach(t, func(t *testing.T, dev target) {
		p := runsProgram(t, dev, blocking)
		for k := range 40 {
			mark(t, dev, p, k, k%3+1, k%5%3*k%7+1, 4)
		}
	})
}

func TestCloseInAnyOrder(t *testing.T) {
	forEach(t, func(t *testing.T, dev target) {
		rt := newRuntime(t, dev, nil)
		if err := rt.Register("block", blocking); err != nil {
			t.Fatal(err)
		}
		p := load(t, rt, "runs")
		mark(t, dev, p, 1, 1, 1, 4)
		for range 2 {
			if err := rt.Close(); err != nil {
				t.Error(err)
			}
		}
		mark(t, dev, p, 2, 1, 1, 4) // what runs after Close leaves nothing behind
		for range 2 {
			if err := p.Close(); err != nil {
				t.Error(err)
			}
		}
		o := run(t, p, hostcall.Launch{Kernel: "mark", Args: make([]hal.Arg, 3)})
		if !errors.Is(o.cause, hal.ErrClosed) {
			t.Errorf("a closed program gives %v", o.cause)
		}
		if err := rt.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestNothingIsLeftBehind(t *testing.T) {
	forEach(t, func(t *testing.T, dev target) {
		stdin := silentPipe(t)
		p := runsProgram(t, dev, blocking)
		t.Run("well", func(t *testing.T) {
			devicetest.Leaks(t, func() {
				// The first sub-runtime of this function is closed by hand, since Cleanup comes too late.
				opts := &hostcall.Options{}
				plan := planOf(t, dev)
				opts.Plan = &plan
				rt, err := hostcall.New(t.Context(), dev.Device, opts)
				if err != nil {
					t.Fatal(err)
				}
				q, err := rt.Load(t.Context(), "k.kernel.c", "KERNEL(k) { hc_puts(\"x\"); }")
				if err != nil {
					t.Fatal(err)
				}
				if out := good(t, q, hostcall.Launch{Grid: grid(5)}); out != "xxxxx" {
					t.Errorf("printed %q", out)
				}
				if err := errors.Join(q.Close(), rt.Close()); err != nil {
					t.Error(err)
				}
			})
		})
		for how, name := range waits {
			t.Run(name, func(t *testing.T) {
				neverEnds(t, dev, how)
				devicetest.Leaks(t, func() {
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					out := &lines{wrote: make(chan struct{}, 1)}
					go func() {
						<-out.wrote
						cancel()
					}()
					_, err := p.Run(ctx, hostcall.Launch{Kernel: "wait", Group: grid(4), Args: []hal.Arg{hal.Int32(int32(how))},
						Policy: policy.Policy{Stdin: stdin, Stdout: out}})
					if !errors.Is(err, context.Canceled) {
						t.Error(err)
					}
				})
			})
		}
		if dev.Info().Backend == "cpu" {
			b := buffer(t, dev, make([]byte, 64))
			t.Run("faulting", func(t *testing.T) {
				devicetest.Leaks(t, func() {
					if _, err := p.Run(t.Context(), hostcall.Launch{Kernel: "fault", Args: []hal.Arg{hal.Memory(b)}}); err == nil {
						t.Error("no fault")
					}
				})
			})
		}
	})
}

// TestOtherCompilers runs what is above on the cpu device with the other C compilers of the machine.
func TestOtherCompilers(t *testing.T) {
	if testing.Short() {
		t.Skip("runs tests again")
	}
	if !slices.Contains(devicetest.URIs(), "cpu:0") {
		t.Skip("cpu:0 is not under test")
	}
	for _, cc := range []string{"clang", "clang-15", "tcc"} {
		t.Run(cc, func(t *testing.T) {
			path, err := exec.LookPath(cc)
			if err != nil {
				t.Skipf("this compiler is not installed: %v", err)
			}
			cmd := exec.Command(os.Args[0], "-test.run=^Test(Calls|Panicking|Crowds|Files|Lap|Printf|Checkpoints|Posted|BackPressure|Exit|AbortAndAssert|Clocks|Stdin|Cancel|Fault|RunsAtOnce)$",
				"-test.short", "-test.timeout=3m")
			cmd.Env = append(os.Environ(), "CC="+path, devicetest.Variable+"=cpu:0")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%.8000s", err, out)
			}
		})
	}
}
