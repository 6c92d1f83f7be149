package service

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/dialtone-gpu/dialtone/hostcall/errno"
	"github.com/dialtone-gpu/dialtone/hostcall/policy"
)

// writer records its writes and fails the test when two overlap.
type writer struct {
	t      *testing.T
	inside atomic.Bool
	writes []string
	limit  int // bytes it takes before err, if err is set
	err    error
}

func (w *writer) Write(p []byte) (int, error) {
	if !w.inside.CompareAndSwap(false, true) {
		w.t.Error("two writes at a time")
	}
	defer w.inside.Store(false)
	runtime.Gosched()
	if w.err != nil {
		n := min(len(p), w.limit)
		w.limit -= n
		w.writes = append(w.writes, string(p[:n]))
		if n < len(p) {
			return n, w.err
		}
		return n, nil
	}
	w.writes = append(w.writes, string(p))
	return len(p), nil
}

func (w *writer) sizes() (list []int) {
	for _, s := range w.writes {
		list = append(list, len(s))
	}
	return list
}

func TestWriteAll(t *testing.T) {
	piece := func(n int) []byte { return bytes.Repeat([]byte{byte('a' + n%26)}, n) }
	for name, c := range map[string]struct {
		sizes []int
		want  []int // of the writes
	}{
		"nothing":       {nil, nil},
		"empty":         {[]int{0, 0}, nil},
		"one":           {[]int{5}, []int{5}},
		"lanes":         {[]int{10, 0, 20, 30}, []int{60}},
		"a pipe's fill": {[]int{gatherSize - 1, 1, 1}, []int{gatherSize, 1}},
		"large":         {[]int{3, gatherSize + 1, 4, 5}, []int{3, gatherSize + 1, 9}},
		"large alone":   {[]int{gatherSize * 3}, []int{gatherSize * 3}},
		"just too much": {[]int{gatherSize, gatherSize}, []int{gatherSize, gatherSize}},
	} {
		w := &writer{t: t}
		f := openFiles(t, policy.Policy{Stdout: w})
		var bufs [][]byte
		var all []byte
		for _, n := range c.sizes {
			bufs = append(bufs, piece(n))
			all = append(all, piece(n)...)
		}
		n, e := f.WriteAll(1, bufs)
		if n != len(all) || e != errno.OK || strings.Join(w.writes, "") != string(all) || fmt.Sprint(w.sizes()) != fmt.Sprint(c.want) {
			t.Errorf("%s: %d of %d, %v, in writes of %d; want %d", name, n, len(all), e, w.sizes(), c.want)
		}
	}
}

func TestPartialWrites(t *testing.T) {
	for _, c := range []struct {
		err  error
		want errno.Errno
	}{{io.ErrClosedPipe, errno.EPIPE}, {os.ErrClosed, errno.EBADF}, {errors.New("broken"), errno.EIO}, {errno.ENOSPC, errno.ENOSPC}} {
		f := openFiles(t, policy.Policy{Stdout: &writer{t: t, limit: 7, err: c.err}})
		if n, e := f.Write(1, []byte("01234")); n != 5 || e != errno.OK {
			t.Errorf("first: %d, %v", n, e)
		}
		if n, e := f.Write(1, []byte("56789")); n != 2 || e != errno.OK {
			t.Errorf("what still fits: %d, %v", n, e)
		}
		if n, e := f.Write(1, []byte("789")); n != 0 || e != c.want {
			t.Errorf("then: %d, %v; want %v", n, e, c.want)
		}
		f = openFiles(t, policy.Policy{Stderr: &writer{t: t, limit: 7, err: c.err}})
		if n, e := f.WriteAll(2, [][]byte{[]byte("01234"), []byte("56789")}); n != 7 || e != c.want {
			t.Errorf("write all: %d, %v; want 7, %v", n, e, c.want)
		}
	}
	f := openFiles(t, policy.Policy{Stdout: liar(3), Stderr: liar(-2)})
	if n, e := f.WriteAll(1, [][]byte{[]byte("12345")}); n != 3 || e != errno.EIO {
		t.Errorf("a writer that writes less without an error: %d, %v", n, e)
	}
	if n, e := f.Write(2, []byte("12345")); n != 0 || e != errno.EIO {
		t.Errorf("a writer that counts backwards: %d, %v", n, e)
	}
}

// liar claims to have written that many bytes.
type liar int

func (l liar) Write([]byte) (int, error) { return int(l), nil }

// TestOutputIsNotMixed writes lines in pieces from many goroutines to both descriptors of one writer.
func TestOutputIsNotMixed(t *testing.T) {
	w := &writer{t: t}
	f := openFiles(t, policy.Policy{Stdout: w, Stderr: w})
	var wg sync.WaitGroup
	for g := range 32 {
		wg.Go(func() {
			for i := range 50 {
				line := [][]byte{fmt.Appendf(nil, "%d:", g), fmt.Appendf(nil, "%d:", i), []byte(strings.Repeat("x", g)), []byte("\n")}
				if i%2 == 0 {
					f.WriteAll(int32(1+g%2), line)
				} else {
					f.Write(int32(1+g%2), bytes.Join(line, nil))
				}
			}
		})
	}
	wg.Wait()
	next := map[int]int{}
	lines := bufio.NewScanner(strings.NewReader(strings.Join(w.writes, "")))
	for lines.Scan() {
		var g, i int
		var x string
		fmt.Sscanf(lines.Text(), "%d:%d:%s", &g, &i, &x)
		if i != next[g] || x != strings.Repeat("x", g) {
			t.Fatalf("line %q, want number %d of %d", lines.Text(), next[g], g)
		}
		next[g]++
	}
	if len(next) != 32 {
		t.Errorf("%d writers were heard", len(next))
	}
}

// TestFileWritesAreNotMixed does the same with one descriptor of a file.
func TestFileWritesAreNotMixed(t *testing.T) {
	f, dir := newFiles(t)
	fd := mustOpen(t, f, "log", WriteOnly|Create)
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Go(func() {
			for range 20 {
				b := []byte{byte('a' + g)}
				f.WriteAll(fd, [][]byte{bytes.Repeat(b, 5), bytes.Repeat(b, 10), []byte("\n")})
			}
		})
	}
	wg.Wait()
	lines := strings.Split(strings.TrimSuffix(content(t, dir+"/log"), "\n"), "\n")
	for _, l := range lines {
		if len(l) != 15 || strings.Count(l, l[:1]) != 15 {
			t.Fatalf("mixed line %q", l)
		}
	}
	if len(lines) != 320 {
		t.Errorf("%d lines", len(lines))
	}
}

// TestPanickingWriter leaves the stream usable.
func TestPanickingWriter(t *testing.T) {
	var w panicky
	f := openFiles(t, policy.Policy{Stdout: &w})
	func() {
		defer func() {
			if recover() == nil {
				t.Error("no panic")
			}
		}()
		f.Write(1, []byte("x"))
	}()
	if n, e := f.Write(1, []byte("y")); n != 1 || e != errno.OK {
		t.Errorf("next write: %d, %v", n, e)
	}
}

type panicky struct{ calls int }

func (p *panicky) Write(b []byte) (int, error) {
	if p.calls++; p.calls == 1 {
		panic("broken writer")
	}
	return len(b), nil
}

func TestClosedPipe(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	r.Close()
	pr, pw := io.Pipe()
	pr.Close()
	f := openFiles(t, policy.Policy{Stdout: w, Stderr: pw})
	for fd := int32(1); fd <= 2; fd++ {
		_, e := f.Write(fd, []byte("x"))
		want(t, "write", e, errno.EPIPE)
		n, e := f.WriteAll(fd, [][]byte{[]byte("x"), []byte("y")})
		if n != 0 || e != errno.EPIPE {
			t.Errorf("write all: %d, %v", n, e)
		}
	}
	if s, e := f.Fstat(1); e != errno.OK || s.Kind != KindFIFO && runtime.GOOS != "windows" {
		t.Errorf("fstat: %+v, %v", s, e)
	}
}

func TestFullDisk(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skipf("no device that is always full: %v", err)
	}
	defer full.Close()
	f := openFiles(t, policy.Policy{Stdout: full, Dirs: []policy.Dir{{Host: "/dev", Guest: "/dev"}}})
	fd := mustOpen(t, f, "/dev/full", WriteOnly)
	for _, fd := range []int32{1, fd} {
		_, e := f.Write(fd, []byte("x"))
		want(t, "write", e, errno.ENOSPC)
		n, e := f.WriteAll(fd, [][]byte{[]byte("x"), []byte("y")})
		if n != 0 || e != errno.ENOSPC {
			t.Errorf("write all: %d, %v", n, e)
		}
	}
	if s, e := f.Fstat(fd); e != errno.OK || s.Kind != KindChar {
		t.Errorf("fstat: %+v, %v", s, e)
	}
}

// uncomparable is a writer whose values cannot be compared.
type uncomparable []int

func (uncomparable) Write(p []byte) (int, error) { return len(p), nil }

func TestUncomparableWriters(t *testing.T) {
	u := uncomparable{1}
	f := openFiles(t, policy.Policy{Stdout: u, Stderr: u})
	if n, e := f.Write(2, []byte("x")); n != 1 || e != errno.OK {
		t.Errorf("%d, %v", n, e)
	}
}

// TestSIGPIPE writes to a closed pipe as standard output in a child process.
func TestSIGPIPE(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no SIGPIPE")
	}
	const role = "DIALTONE_TEST_SIGPIPE"
	if mode := os.Getenv(role); mode != "" {
		if mode == "caught" {
			CatchSIGPIPE()
		}
		f, _ := NewFiles(policy.Policy{Stdout: os.Stdout})
		_, e := f.Write(1, []byte("x"))
		os.Exit(int(e))
	}
	for mode, want := range map[string]int{"caught": int(errno.EPIPE), "default": -1} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		r.Close()
		cmd := exec.Command(os.Args[0], "-test.run=^TestSIGPIPE$")
		cmd.Env = append(os.Environ(), role+"="+mode)
		cmd.Stdout = w
		cmd.Run()
		w.Close()
		if got := cmd.ProcessState.ExitCode(); got != want {
			t.Errorf("%s: exit code %d, want %d (-1 is a signal): %v", mode, got, want, cmd.ProcessState)
		}
	}
}
