package command

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os/exec"
	"runtime"
	"testing"
	"time"
)

// TestAllEnd has a command start another, which holds the output open, and ends it: the output ends with both.
func TestAllEnd(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no groups of processes")
	}
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skipf("needs a shell: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cmd := New(ctx, sh, "-c", "sleep 600 & echo begun; wait")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	begun := make([]byte, len("begun\n"))
	if _, err := io.ReadFull(out, begun); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	cancel()
	rest := new(bytes.Buffer)
	if _, err := rest.ReadFrom(out); err != nil || rest.Len() > 0 {
		t.Errorf("%v, %q", err, rest)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("it ended by itself")
	}
	if took := time.Since(start); took > cmd.WaitDelay {
		t.Errorf("the output was open for %v", took)
	}
}

// TestRuns: nothing else is different.
func TestRuns(t *testing.T) {
	out, err := New(t.Context(), "go", "version").Output()
	if errors.Is(err, exec.ErrNotFound) {
		t.Skipf("needs a Go toolchain to run: %v", err)
	}
	if err != nil || !bytes.HasPrefix(out, []byte("go version ")) {
		t.Errorf("%q, %v", out, err)
	}
}
