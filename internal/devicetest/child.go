package devicetest

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// childVariable holds the name of the test that a child process runs.
const childVariable = "DIALTONE_TEST_CHILD"

// Result is how a child process ended.
type Result struct {
	Output string         // of both streams
	Code   int            // exit code, -1 if a signal ended it
	Signal syscall.Signal // 0 if it exited
	Late   bool           // it was killed because it took too long
}

// childLimit is how long a child may take.
const childLimit = 2 * time.Minute

// InChild reports whether this process is the child of the running test.
func InChild(t testing.TB) bool { return os.Getenv(childVariable) == t.Name() }

// Child runs the test that calls it in a child process, with additional environment, and gives
// how that ended. In the child itself it gives nil, and the test does its work.
func Child(t *testing.T, env ...string) *Result {
	t.Helper()
	if InChild(t) {
		return nil
	}
	if os.Getenv(childVariable) != "" {
		t.Skip("a child process runs one test only")
	}
	ctx, cancel := context.WithTimeout(context.Background(), childLimit)
	defer cancel()
	var parts []string
	for _, p := range strings.Split(t.Name(), "/") {
		parts = append(parts, "^"+regexp.QuoteMeta(p)+"$")
	}
	args := []string{"-test.run=" + strings.Join(parts, "/"), "-test.v", "-test.count=1", "-test.timeout=" + childLimit.String()}
	if testing.Short() {
		args = append(args, "-test.short")
	}
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(append(os.Environ(), childVariable+"="+t.Name()), env...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	r := &Result{Output: out.String(), Late: ctx.Err() != nil}
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		r.Code = exit.ExitCode()
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			r.Signal = status.Signal()
		}
	case err != nil:
		t.Fatalf("child process: %v", err)
	}
	return r
}

// Isolated runs f in a child process with additional environment, and fails as it does.
func Isolated(t *testing.T, env []string, f func(t *testing.T)) {
	t.Helper()
	r := Child(t, env...)
	if r == nil {
		f(t)
		return
	}
	if r.Code != 0 || r.Late {
		t.Fatalf("child process (code %d, signal %v, late %v):\n%s", r.Code, r.Signal, r.Late, r.Output)
	}
	if strings.Contains(r.Output, "--- SKIP: "+t.Name()) {
		t.Skipf("skipped in the child process:\n%s", r.Output)
	}
}
