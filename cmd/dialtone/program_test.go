//go:build unix

package main

import (
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/internal/devicetest"
	"github.com/dialtone-gpu/dialtone/internal/wasmtest"
	"github.com/dialtone-gpu/dialtone/program"
	"github.com/dialtone-gpu/dialtone/program/machine"
)

// file writes one for a test.
func file(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const endless = `
#include <stdio.h>
int main(int argc, char **argv) {
    volatile int on = argc > 1;
    puts("ready");
    fflush(stdout);
    while (on) {}
    return 0;
}
`

// TestEndless: a program without an end is ended, by the transport that the plan chooses and by relaunch, and what it has written is there.
func TestEndless(t *testing.T) {
	module := file(t, "endless.wasm", wasmtest.Build(t, file(t, "endless.c", []byte(endless))))
	devicetest.ForEach(t, func(t *testing.T, dev *hal.Device) {
		for name, transport := range map[string]string{"chosen": "", "relaunch": "relaunch"} {
			t.Run(name, func(t *testing.T) {
				uri := dev.Info().URI
				flags := []string{"--device", uri, "--transport", transport, "--tier", "interpreter", "--memory", "2MiB"}
				run := func(more ...string) *session { return start(t, slices.Concat(flags, more)...) }
				ends := func(s *session, code int, says string) {
					t.Helper()
					got, out := s.end(time.Minute)
					if want := "dialtone: " + uri + ": " + module + ": " + says + "\n"; got != code || s.stderr.String() != want || out != "ready\n" {
						t.Errorf("exit code %d, want %d; printed %q; stderr %q, want %q", got, code, out, &s.stderr, want)
					}
				}
				// Some drivers compile in the first run.
				if code, out := run(module).end(2 * time.Minute); code != 0 || out != "ready\n" {
					t.Fatalf("exit code %d, printed %q", code, out)
				}
				t.Run("timeout", func(t *testing.T) {
					t.Parallel()
					ends(run("--timeout", "2s", module, "on"), exitTimeout, "ended after 2s (--timeout)")
				})
				t.Run("interrupt", func(t *testing.T) {
					t.Parallel()
					if signal.Ignored(syscall.SIGINT) {
						t.Skip("the test was started with SIGINT ignored")
					}
					s := run(module, "on")
					if _, err := s.lines.Peek(1); err != nil {
						t.Fatal(err)
					}
					s.signal(syscall.SIGINT)
					ends(s, exitSignal+int(syscall.SIGINT), "interrupted")
				})
			})
		}
	})
}

const server = `
package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
)

func check(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func main() {
	// The standard streams, a directory, and two listeners.
	l, err := net.FileListener(os.NewFile(5, "listener"))
	check(err)
	fmt.Println("ready")
	c, err := l.Accept()
	check(err)
	line, err := bufio.NewReader(c).ReadString('\n')
	check(err)
	fmt.Fprintf(c, "you said %s", line)
	check(c.Close())
}
`

// TestListen has a Go program accept a connection.
func TestListen(t *testing.T) {
	module := file(t, "server.wasm", wasmtest.Build(t, file(t, "server.go", []byte(server))))
	devicetest.ForEach(t, func(t *testing.T, dev *hal.Device) {
		port := free(t)
		flags := []string{"--device", dev.Info().URI, "--tier", "interpreter", "--memory", "16MiB", "--dir", t.TempDir() + ":/", "--listen", "127.0.0.1:0", "--listen", port}
		s := start(t, append(flags, module)...)
		if line, err := s.lines.ReadString('\n'); line != "ready\n" {
			code, _ := s.end(10 * time.Second)
			t.Fatalf("first line %q, %v; exit code %d, stderr %s", line, err, code, &s.stderr)
		}
		c, err := net.DialTimeout("tcp", port, 10*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(30 * time.Second))
		fmt.Fprintln(c, "hello")
		answer := make([]byte, 100)
		n, err := c.Read(answer)
		if string(answer[:n]) != "you said hello\n" {
			t.Errorf("it answers %q, %v", answer[:n], err)
		}
		code, out := s.end(30 * time.Second)
		if told := s.stderr.String(); code != 0 || out != "" || !strings.HasPrefix(told, "dialtone: listening at 127.0.0.1:") || strings.Count(told, "\n") != 1 {
			t.Errorf("exit code %d, printed %q, stderr %q", code, out, told)
		}

		// At an address that others listen at.
		taken, err := net.Listen("tcp", port)
		if err != nil {
			t.Fatal(err)
		}
		defer taken.Close()
		s = start(t, append(flags, module)...)
		code, _ = s.end(30 * time.Second)
		if told := s.stderr.String(); code != exitUsage || !strings.Contains(told, "\ndialtone: --listen "+port+": listen tcp "+port+": bind: address already in use\n") {
			t.Errorf("exit code %d, stderr %q", code, told)
		}
	})
}

// free gives an address at which nobody listens.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestTrapped(t *testing.T) {
	trap := func(cause machine.Trap, function string) program.End {
		return program.End{Trap: &program.Trap{Cause: cause, Function: function}}
	}
	a, b := trap(machine.Division, "f"), trap(machine.Unreachable, "g")
	for _, c := range []struct {
		ends []program.End
		want string
	}{
		{[]program.End{{}, {Code: 3}}, ""},
		{[]program.End{a}, "x: " + a.Trap.Error()},
		{[]program.End{{}, a}, "x: " + a.Trap.Error() + " (instance 1)"},
		{[]program.End{a, a, b, a}, "x: " + a.Trap.Error() + " (instances 0-1, 3); " + b.Trap.Error() + " (instance 2)"},
		{[]program.End{a, {}, a, {}, a, {}, a, {}, a, {}, a, {}, a}, "x: " + a.Trap.Error() + " (instances 0, 2, 4, 6, 8 and 2 more)"},
		{[]program.End{trap(1, "a"), trap(1, "b"), trap(1, "c"), trap(1, "d"), trap(1, "e"), trap(1, "f"), trap(1, "g")}, "; 2 other traps"},
	} {
		got := ""
		if err := trapped("x", program.Result{Ends: c.ends}); err != nil {
			got = err.Error()
		}
		if got != c.want && (!strings.HasPrefix(c.want, ";") || !strings.HasSuffix(got, c.want)) {
			t.Errorf("%v: %q, want %q", c.ends, got, c.want)
		}
	}
}
