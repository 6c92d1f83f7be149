//go:build unix

package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// kernels may be started again, so that the same text goes by both transports: a call without an answer ends what a launch does. Their endless
// loops write to the group's memory, since compilers leave out those that nobody could see.
const kernels = `
KERNEL(endless) {
    HC_RESUMABLE;
    SHARED hc_u32 spins[1];
    if (hc_printf("ready\n") < 0) return;
    for (;;) ((volatile GROUP hc_u32 *)spins)[0]++;
}

KERNEL(polite) {
    HC_RESUMABLE;
    SHARED hc_u32 spins[1];
    hc_printf("ready\n");
    while (!hc_cancelled()) ((volatile GROUP hc_u32 *)spins)[0]++;
}

KERNEL(chatter) {
    HC_RESUMABLE;
    struct { hc_u32 lines; } s;
    if (!HC_RESTORE(s)) s.lines = 0u;
    do {
        HC_CHECKPOINT(s);
        s.lines++;
    } while (hc_printf("ready\n") > 0);
}

KERNEL(reader) {
    char c[1];
    int i;
    HC_RESUMABLE;
    if (hc_group_id() == 0u) {
        hc_read(0, c, 1);
        return;
    }
    for (i = 0; i < 50; i++) hc_printf("ready %d\n", i);
    hc_exit(5);
}

KERNEL(epipe) {
    hc_i64 n = 1;
    HC_RESUMABLE;
    while (n > 0) n = hc_puts("ready\n");
    hc_fprintf(2, "error %d\n", (int)-n);
    hc_exit(9);
}

KERNEL(crowd) {
    HC_RESUMABLE;
    if (hc_group_id() == 0u) {
        int i;
        for (i = 0; i < 200; i++) {
            if (hc_printf("ready\n") < 0) return;
        }
        *(volatile GLOBAL int *)(hc_size)8 = 1;
    }
    while (hc_fprintf(2, "x\n") > 0) {}
}
`

// session is a running command.
type session struct {
	t       *testing.T
	command *exec.Cmd
	stdin   io.WriteCloser
	stdout  io.ReadCloser
	lines   *bufio.Reader
	stderr  bytes.Buffer
}

// launch runs a kernel of the text above in a process of its own and waits until it is there.
func launch(t *testing.T, dev target, kernel string, flags ...string) *session {
	t.Helper()
	file := filepath.Join(t.TempDir(), "test.kernel.c")
	if err := os.WriteFile(file, []byte(kernels), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, append(append([]string{"--device", dev.Info().URI, "--transport", dev.transport, "--kernel", kernel}, flags...), file)...)
	if line, err := s.lines.ReadString('\n'); !strings.HasPrefix(line, "ready") {
		t.Fatalf("first line %q, %v; stderr %s", line, err, &s.stderr)
	}
	return s
}

// start runs something in a process of its own.
func start(t *testing.T, args ...string) *session {
	t.Helper()
	return startIn(t, nil, args...)
}

// startIn is start with more variables.
func startIn(t *testing.T, env []string, args ...string) *session {
	t.Helper()
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := &session{t: t, command: exec.Command(executable)}
	s.command.Args = append([]string{"dialtone", "run"}, args...)
	s.command.Env = append(os.Environ(), env...)
	s.command.Stderr = &s.stderr
	s.command.WaitDelay = 10 * time.Second
	if s.stdin, err = s.command.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if s.stdout, err = s.command.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	if err := s.command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.command.Process.Kill() })
	s.lines = bufio.NewReader(s.stdout)
	return s
}

func (s *session) signal(n syscall.Signal) {
	s.t.Helper()
	if err := s.command.Process.Signal(n); err != nil {
		s.t.Fatal(err)
	}
}

// end wants the process to end within the limit and gives its code and the rest of its output.
func (s *session) end(limit time.Duration) (code int, rest string) {
	s.t.Helper()
	late := time.AfterFunc(limit, func() {
		s.t.Errorf("still running after %v", limit)
		s.command.Process.Kill()
	})
	defer late.Stop()
	out, _ := io.ReadAll(s.lines)
	err := s.command.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode(), string(out)
	} else if err != nil {
		s.t.Fatal(err)
	}
	return 0, string(out)
}

// TestSignals: the first ends the run, with what the kernel wrote delivered.
func TestSignals(t *testing.T) {
	forEach(t, func(t *testing.T, dev target) {
		for _, c := range []struct {
			kernel string
			signal syscall.Signal
			code   int
			says   string
		}{
			{"polite", syscall.SIGINT, 130, "interrupted"},
			{"polite", syscall.SIGTERM, 143, "terminated"},
			{"chatter", syscall.SIGINT, 130, "interrupted"},
			{"endless", syscall.SIGINT, 130, "interrupted"},
		} {
			t.Run(c.kernel+" "+c.says, func(t *testing.T) {
				t.Parallel()
				if signal.Ignored(c.signal) {
					t.Skipf("the test was started with %v ignored", c.signal)
				}
				s := launch(t, dev, c.kernel)
				s.signal(c.signal)
				code, rest := s.end(10 * time.Second)
				if code != c.code {
					t.Errorf("exit code %d, want %d", code, c.code)
				}
				want := "dialtone: " + dev.Info().URI + ": kernel " + c.kernel + ": " + c.says
				if got := s.stderr.String(); !strings.HasPrefix(got, want) || strings.Count(got, "\n") != 1 {
					t.Errorf("stderr %q, want %q", got, want)
				}
				if strings.Trim(rest, "ready\n") != "" || rest != "" && !strings.HasSuffix(rest, "\n") {
					t.Errorf("the output ends in %q", rest[max(0, len(rest)-20):])
				}
			})
		}
	})
}

// TestSignalWhileTheDriverIsBusy: a compiler that takes a minute, and a call that nobody can leave alone, keep nobody who ends the command. The
// drivers are doubles.
func TestSignalWhileTheDriverIsBusy(t *testing.T) {
	if signal.Ignored(syscall.SIGTERM) {
		t.Skip("the test was started with SIGTERM ignored")
	}
	cc, err := exec.LookPath("cc")
	if err != nil {
		t.Skipf("needs a C compiler: %v", err)
	}
	folder := t.TempDir()
	double := func(source string) string {
		lib := filepath.Join(folder, filepath.Base(source)+".so")
		if out, err := exec.Command(cc, "-shared", "-fPIC", "-O1", "-pthread", "-o", lib, source).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return lib
	}
	slow := filepath.Join(folder, "slow")
	if err := os.WriteFile(slow, []byte("#!/bin/sh\nsleep 60 &\nwait\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(folder, "test.kernel.c")
	if err := os.WriteFile(file, []byte(kernels), 0o600); err != nil {
		t.Fatal(err)
	}
	cuda := []string{"DIALTONE_LIBCUDA=" + double("../../backend/cuda/testdata/double.c"), "DIALTONE_NVRTC=" + double("../../backend/cuda/testdata/nvrtc.c")}
	for _, c := range []struct {
		name, device string
		env          []string
		limit        time.Duration
		says         string
	}{
		{"cc", "cpu:0", []string{"CC=" + slow}, 4 * time.Second, "dialtone: terminated\n"},
		{"NVRTC", "cuda:0", append([]string{"NVRTC_DOUBLE=60000"}, cuda...), 4 * time.Second, "dialtone: terminated\n"},
		{"cuMemHostAlloc", "cuda:0", append([]string{"DOUBLE_SLOW=cuMemAlloc_v2:60000"}, cuda...), 12 * time.Second,
			"dialtone: terminated; the driver has not answered 6s later\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if runtime.GOOS == "darwin" && c.device != "cpu:0" {
				t.Skip("the doubles are not for macOS")
			}
			s := startIn(t, append(c.env, "DIALTONE_CACHE="+t.TempDir()), "--device", c.device, "--kernel", "polite", file)
			time.Sleep(time.Second) // by then it is at it
			s.signal(syscall.SIGTERM)
			if code, _ := s.end(c.limit); code != 143 || s.stderr.String() != c.says {
				t.Errorf("exit code %d; stderr %q, want %q", code, &s.stderr, c.says)
			}
		})
	}
}

// TestSecondSignal: it does not wait for anything.
func TestSecondSignal(t *testing.T) {
	forEach(t, func(t *testing.T, dev target) {
		if signal.Ignored(syscall.SIGINT) {
			t.Skip("the test was started with SIGINT ignored")
		}
		s := launch(t, dev, "endless")
		ended := make(chan struct{})
		go func() {
			for n := 0; n < 50; n++ { // several at once are one
				s.command.Process.Signal(syscall.SIGINT)
				select {
				case <-ended:
					return
				case <-time.After(20 * time.Millisecond):
				}
			}
		}()
		code, _ := s.end(10 * time.Second)
		close(ended)
		// The cpu device may have stopped the kernel by then. The others cannot, and would say so after a while.
		if code != 130 || s.stderr.Len() > 0 && dev.Info().Backend != "cpu" {
			t.Errorf("exit code %d; stderr %s", code, &s.stderr)
		}
	})
}

// TestKilled: a child does not outlive the command.
func TestKilled(t *testing.T) {
	forEach(t, func(t *testing.T, dev target) {
		s := launch(t, dev, "chatter")
		s.command.Process.Kill()
		start := time.Now()
		io.Copy(io.Discard, s.lines) // up to the end of the last process that has it
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("output went on for %v", took)
		}
		s.command.Wait()
	})
}

// TestSilentStdin: it stops only those that read it.
func TestSilentStdin(t *testing.T) {
	forEach(t, func(t *testing.T, dev target) {
		if dev.Info().Units < 2 {
			t.Skip("it runs one group at a time")
		}
		s := launch(t, dev, "reader", "--grid", "2")
		code, rest := s.end(10 * time.Second)
		if n := strings.Count(rest, "ready"); code != 5 || n != 49 || s.stderr.Len() > 0 {
			t.Errorf("exit code %d after %d lines; stderr %s", code, n+1, &s.stderr)
		}
	})
}

// TestClosedStdout: a pipe that nobody reads any more is the kernel's EPIPE.
func TestClosedStdout(t *testing.T) {
	forEach(t, func(t *testing.T, dev target) {
		s := launch(t, dev, "epipe")
		s.stdout.Close()
		code, _ := s.end(10 * time.Second)
		if code != 9 || s.stderr.String() != "error 32\n" {
			t.Errorf("exit code %d; stderr %s", code, &s.stderr)
		}
	})
}

// TestFaultInACrowd: what other groups write when one faults stays whole, and the message is the last line.
func TestFaultInACrowd(t *testing.T) {
	forEach(t, func(t *testing.T, dev target) {
		if dev.Info().Units < 2 {
			t.Skip("it runs one group at a time")
		}
		s := launch(t, dev, "crowd", "--grid", "2")
		code, rest := s.end(20 * time.Second)
		if n := strings.Count(rest, "ready\n"); n != 199 {
			t.Errorf("%d lines before the fault, want 200", n+1)
		}
		lines := strings.Split(strings.TrimSuffix(s.stderr.String(), "\n"), "\n")
		last := lines[len(lines)-1]
		if code == 0 || !strings.HasPrefix(last, "dialtone: "+dev.Info().URI+": kernel crowd: ") {
			t.Errorf("exit code %d, last line %q", code, last)
		}
		for _, l := range lines[:len(lines)-1] {
			if l != "x" {
				t.Fatalf("a line is %q", l)
			}
		}
	})
}
