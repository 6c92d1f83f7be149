package cpu

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/dialtone-gpu/dialtone/hal"
)

// TestCompileEnds: a compiler is ended with its context, and so is what it has started, which would hold its output open.
func TestCompileEnds(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the cpu device is not for Windows")
	}
	folder := t.TempDir()
	t.Setenv("DIALTONE_CACHE", folder)
	slow := filepath.Join(t.TempDir(), "slow")
	if err := os.WriteFile(slow, []byte("#!/bin/sh\nsleep 600 &\necho begun >"+slow+".begun\nwait\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var ended time.Time
	go func() {
		for ctx.Err() == nil {
			if _, err := os.Stat(slow + ".begun"); err == nil {
				ended = time.Now()
				cancel()
			}
			time.Sleep(time.Millisecond)
		}
	}()
	d := &device{info: hal.Info{URI: "cpu:0"}, compiler: compiler{path: slow, id: t.Name()}}
	if _, err := d.Compile(ctx, hal.Source{Name: "k.c", Text: "int a;"}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if took := time.Since(ended); took > 4*time.Second {
		t.Errorf("it ended %v after its context", took)
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
