package service

import (
	"context"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/dialtone-gpu/dialtone/hostcall/errno"
	"github.com/dialtone-gpu/dialtone/hostcall/policy"
)

// hotCalls are the calls that a kernel makes millions of times: they allocate nothing.
func hotCalls(t testing.TB) map[string]func() errno.Errno {
	dir := t.TempDir()
	put(t, dir, "x", strings.Repeat("x", 4096))
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { null.Close() })
	f := openFiles(t, policy.Policy{
		Stdin: strings.NewReader(strings.Repeat("x", 1<<20)), Stdout: null, Stderr: io.Discard, Dirs: []policy.Dir{{Host: dir, Guest: "/"}},
	})
	fd := mustOpen(t, f, "x", ReadWrite)
	c, r := NewClock(policy.Policy{}), NewRandom(policy.Policy{})
	ctx, cancel := context.WithCancel(background)
	t.Cleanup(cancel)
	p, line := make([]byte, 64), []byte("hello\n")
	lines := [][]byte{line, line, line, line}
	second := func(_ int, e errno.Errno) errno.Errno { return e }
	return map[string]func() errno.Errno{
		"write a stream of the system": func() errno.Errno { return second(f.Write(1, line)) },
		"write another stream":         func() errno.Errno { return second(f.Write(2, line)) },
		"write all to a stream":        func() errno.Errno { return second(f.WriteAll(1, lines)) },
		"write all to a file":          func() errno.Errno { f.Seek(fd, 0, SeekSet); return second(f.WriteAll(fd, lines)) },
		"write a file":                 func() errno.Errno { f.Seek(fd, 0, SeekSet); return second(f.Write(fd, line)) },
		"read a file":                  func() errno.Errno { return second(f.Read(ctx, fd, p)) },
		"pread":                        func() errno.Errno { return second(f.Pread(fd, p, 100)) },
		"pread at the end":             func() errno.Errno { return second(f.Pread(fd, p, 1<<20)) },
		"pwrite":                       func() errno.Errno { return second(f.Pwrite(fd, line, 100)) },
		"read standard input":          func() errno.Errno { return second(f.Read(ctx, 0, p)) },
		"monotonic":                    func() errno.Errno { _, e := c.Monotonic(); return e },
		"wall":                         func() errno.Errno { _, _, e := c.Wall(); return e },
		"random":                       func() errno.Errno { return r.Fill(p) },
	}
}

func TestHotCallsDoNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for name, call := range hotCalls(t) {
		if n := testing.AllocsPerRun(200, func() {
			if e := call(); e != errno.OK {
				t.Fatalf("%s: %v", name, e)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkHotCalls(b *testing.B) {
	for name, call := range hotCalls(b) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				call()
			}
		})
	}
}
