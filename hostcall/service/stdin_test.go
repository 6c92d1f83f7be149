package service

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dialtone-gpu/dialtone/hostcall/errno"
	"github.com/dialtone-gpu/dialtone/hostcall/policy"
)

// noneLeft fails the test when goroutines or descriptors that it made are still there at its end. Called before anything else, it looks after
// all other cleanups.
func noneLeft(t *testing.T) {
	t.Helper()
	goroutines, open := runtime.NumGoroutine(), openDescriptors()
	t.Cleanup(func() {
		for end := time.Now().Add(2 * time.Second); runtime.NumGoroutine() > goroutines; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				stacks := make([]byte, 1<<16)
				t.Errorf("%d goroutines, %d at the start:\n%s", runtime.NumGoroutine(), goroutines, stacks[:runtime.Stack(stacks, true)])
				return
			}
		}
		if now := openDescriptors(); now > open {
			t.Errorf("%d descriptors, %d at the start", now, open)
		}
	})
}

func openDescriptors() int {
	names, _ := os.ReadDir("/proc/self/fd")
	return len(names)
}

// channel is a stream with two ends.
type channel struct {
	r io.Reader
	w io.Writer
	// end makes the reader see the end.
	end func()
	// pumped says that a goroutine may be left until end.
	pumped bool
}

// channels are the kinds of input that can keep a reader waiting.
func channels(t *testing.T) map[string]func(t *testing.T) channel {
	kinds := map[string]func(t *testing.T) channel{
		"os.Pipe": func(t *testing.T) channel {
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { r.Close(); w.Close() })
			return channel{r: r, w: w, end: func() { w.Close() }, pumped: runtime.GOOS == "windows"}
		},
		"io.Pipe": func(t *testing.T) channel {
			r, w := io.Pipe()
			t.Cleanup(func() { w.Close() })
			return channel{r: r, w: asyncWriter{w}, end: func() { w.Close() }, pumped: true}
		},
	}
	systemChannels(kinds)
	return kinds
}

// asyncWriter keeps a test from waiting for its reader.
type asyncWriter struct{ w io.Writer }

func (a asyncWriter) Write(p []byte) (int, error) {
	b := bytes.Clone(p)
	go a.w.Write(b)
	return len(p), nil
}

func TestStdin(t *testing.T) {
	for name, make1 := range channels(t) {
		t.Run(name, func(t *testing.T) {
			noneLeft(t)
			c := make1(t)
			f := openFiles(t, policy.Policy{Stdin: c.r})
			p := make([]byte, 4)

			c.w.Write([]byte("line\n"))
			got := ""
			for len(got) < 5 {
				n, e := f.Read(background, 0, p)
				if e != errno.OK || n == 0 {
					t.Fatalf("read: %d, %v", n, e)
				}
				got += string(p[:n])
			}
			if got != "line\n" {
				t.Fatalf("read %q", got)
			}

			// A read that nobody answers ends with its context, and only that.
			for _, early := range []bool{true, false} {
				ctx, cancel := context.WithCancel(background)
				if early {
					cancel()
				} else {
					time.AfterFunc(20*time.Millisecond, cancel)
				}
				start := time.Now()
				n, e := f.Read(ctx, 0, p)
				if n != 0 || e != errno.ECANCELED {
					t.Fatalf("cancelled read: %d, %v", n, e)
				}
				if d := time.Since(start); d > time.Second {
					t.Errorf("cancelling took %v", d)
				}
				cancel()
			}
			ctx, cancel := context.WithTimeout(background, 5*time.Millisecond)
			defer cancel()
			want(t, "ready", f.Ready(ctx, 0), errno.ECANCELED)

			// What comes later goes to the next reader, whole.
			c.w.Write([]byte("next\n"))
			want(t, "ready", f.Ready(background, 0), errno.OK)
			got = ""
			for len(got) < 5 {
				n, e := f.Read(background, 0, p[:2])
				if e != errno.OK || n == 0 {
					t.Fatalf("read: %d, %v", n, e)
				}
				got += string(p[:n])
			}
			if got != "next\n" {
				t.Fatalf("read %q after a cancelled read", got)
			}

			// Many wait, one is answered, the others are cancelled.
			ctx, cancel = context.WithCancel(background)
			results := make(chan int, 20)
			for range cap(results) {
				go func() {
					p := make([]byte, 10)
					n, e := f.Read(ctx, 0, p)
					if e == errno.ECANCELED {
						n = -1
					}
					results <- n
				}()
			}
			c.w.Write([]byte("one\n"))
			if n := <-results; n != 4 {
				t.Errorf("one of many read %d bytes", n)
			}
			cancel()
			for range cap(results) - 1 {
				if n := <-results; n != -1 {
					t.Errorf("another of many read %d bytes", n)
				}
			}

			c.end()
			for range 2 {
				if n, e := f.Read(background, 0, p); n != 0 || e != errno.OK {
					t.Errorf("at the end: %d, %v", n, e)
				}
			}
			want(t, "ready at the end", f.Ready(background, 0), errno.OK)
		})
	}
}

// TestStdinLeavesNothing cancels a read whose input stays silent: where the input can be waited on, nothing is left although it never answers.
func TestStdinLeavesNothing(t *testing.T) {
	for name, make1 := range channels(t) {
		t.Run(name, func(t *testing.T) {
			c := make1(t)
			if c.pumped {
				t.Skip("this input cannot be interrupted: a goroutine is left until it answers")
			}
			before := runtime.NumGoroutine()
			f := openFiles(t, policy.Policy{Stdin: c.r})
			ctx, cancel := context.WithTimeout(background, 10*time.Millisecond)
			defer cancel()
			_, e := f.Read(ctx, 0, make([]byte, 1))
			want(t, "read", e, errno.ECANCELED)
			for end := time.Now().Add(2 * time.Second); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
				if time.Now().After(end) {
					t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
				}
			}
		})
	}
}

// TestStdinClose wakes whoever waits.
func TestStdinClose(t *testing.T) {
	for name, make1 := range channels(t) {
		t.Run(name, func(t *testing.T) {
			noneLeft(t)
			c := make1(t)
			f, err := NewFiles(policy.Policy{Stdin: c.r})
			if err != nil {
				t.Fatal(err)
			}
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					_, e := f.Read(background, 0, make([]byte, 1))
					want(t, "read", e, errno.EBADF)
				})
			}
			time.Sleep(5 * time.Millisecond)
			f.Close()
			wg.Wait()
			c.end()
		})
	}
}

// TestStdinHammer cancels readers at random while a counted stream comes in: no byte is lost, doubled or out of order.
func TestStdinHammer(t *testing.T) {
	for name, make1 := range channels(t) {
		t.Run(name, func(t *testing.T) {
			if name == "io.Pipe" || name == "terminal" {
				t.Skip("this test's writer would need the order of writes, or fill the terminal")
			}
			noneLeft(t)
			const total = 20000
			c := make1(t)
			f := openFiles(t, policy.Policy{Stdin: c.r})
			var wg sync.WaitGroup
			wg.Go(func() {
				b := make([]byte, 0, 16)
				for i := 0; i < total; {
					b = b[:0]
					for len(b) < cap(b) && i < total {
						b = append(b, byte(i))
						i++
					}
					c.w.Write(b)
					if i%512 == 0 {
						time.Sleep(50 * time.Microsecond)
					}
				}
				c.end()
			})
			got, p := 0, make([]byte, 7)
			for i := 0; ; i++ {
				ctx, cancel := context.WithTimeout(background, time.Duration(i%40)*time.Microsecond)
				n, e := f.Read(ctx, 0, p)
				cancel()
				if e == errno.ECANCELED {
					continue
				}
				if e != errno.OK {
					t.Fatalf("read: %v", e)
				}
				if n == 0 {
					break
				}
				for _, b := range p[:n] {
					if b != byte(got) {
						t.Fatalf("byte %d is %d", got, b)
					}
					got++
				}
			}
			if got != total {
				t.Errorf("%d bytes of %d", got, total)
			}
			wg.Wait()
		})
	}
}

func TestStdinOfRegularFile(t *testing.T) {
	noneLeft(t)
	path := put(t, t.TempDir(), "in", "0123456789")
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	f := openFiles(t, policy.Policy{Stdin: file})
	p := make([]byte, 8)
	for _, want := range []string{"01234567", "89", "", ""} {
		if n, e := f.Read(background, 0, p); string(p[:n]) != want || e != errno.OK {
			t.Errorf("read: %q, %v; want %q", p[:n], e, want)
		}
	}
	if s, e := f.Fstat(0); e != errno.OK || s.Kind != KindFile || s.Size != 10 {
		t.Errorf("fstat: %+v, %v", s, e)
	}
	// Another process may have it too: the next reader goes on where the last one stopped.
	file.Seek(4, io.SeekStart)
	g := openFiles(t, policy.Policy{Stdin: file})
	if n, e := g.Read(background, 0, p[:2]); string(p[:n]) != "45" || e != errno.OK {
		t.Errorf("read: %q, %v", p[:n], e)
	}
	if rest, _ := io.ReadAll(file); string(rest) != "6789" {
		t.Errorf("left in the file: %q", rest)
	}
}

func TestStdinOfClosedFile(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	r.Close()
	f := openFiles(t, policy.Policy{Stdin: r})
	_, e := f.Read(background, 0, make([]byte, 1))
	want(t, "read", e, errno.EBADF)
	f = openFiles(t, policy.Policy{Stdin: (*os.File)(nil)})
	_, e = f.Read(background, 0, make([]byte, 1))
	if e == errno.OK {
		t.Error("read of no file succeeded")
	}
}

// TestSharedStdin gives one Stdin to two runs. The first is cancelled while its reader waits; what that read still receives is the second's.
func TestSharedStdin(t *testing.T) {
	noneLeft(t)
	r, w := io.Pipe()
	shared := NewStdin(r)
	first := openFiles(t, policy.Policy{Stdin: shared})
	ctx, cancel := context.WithTimeout(background, 5*time.Millisecond)
	defer cancel()
	_, e := first.Read(ctx, 0, make([]byte, 10))
	want(t, "first run", e, errno.ECANCELED)
	first.Close()
	w.Write([]byte("hello"))
	second := openFiles(t, policy.Policy{Stdin: shared})
	p := make([]byte, 3)
	for _, want := range []string{"hel", "lo"} {
		if n, e := second.Read(background, 0, p); string(p[:n]) != want || e != errno.OK {
			t.Errorf("second run: %q, %v; want %q", p[:n], e, want)
		}
	}
	w.Close()
	if rest, err := io.ReadAll(shared); len(rest) != 0 || err != nil {
		t.Errorf("rest: %q, %v", rest, err)
	}
}

func TestStdinTakesNoMoreThanAsked(t *testing.T) {
	for name, r := range map[string]io.Reader{"in memory": strings.NewReader("0123456789"), "general": struct{ io.Reader }{strings.NewReader("0123456789")}} {
		f := openFiles(t, policy.Policy{Stdin: r})
		p := make([]byte, 4)
		ctx, cancel := context.WithCancel(background)
		if n, e := f.Read(ctx, 0, p); n != 4 || e != errno.OK {
			t.Errorf("%s: %d, %v", name, n, e)
		}
		cancel()
		if rest, _ := io.ReadAll(r); string(rest) != "456789" {
			t.Errorf("%s: left in the reader: %q", name, rest)
		}
	}
}

// script is a reader of prepared answers.
type script []func(p []byte) (int, error)

func (s *script) Read(p []byte) (int, error) {
	answer := (*s)[0]
	*s = (*s)[1:]
	return answer(p)
}

func TestStdinOfOddReaders(t *testing.T) {
	gives := func(text string, err error) func([]byte) (int, error) {
		return func(p []byte) (int, error) { return copy(p, text), err }
	}
	f := openFiles(t, policy.Policy{Stdin: &script{
		gives("", nil), gives("", nil), gives("abc", nil), // nothing twice is no end
		gives("de", io.EOF), gives("f", errors.New("broken")), gives("", os.ErrDeadlineExceeded), gives("g", nil),
		func([]byte) (int, error) { panic("reader") }, gives("h", nil),
		func(p []byte) (int, error) { return len(p) + 1, nil },
	}})
	p := make([]byte, 8)
	for i, c := range []struct {
		text string
		e    errno.Errno
	}{{"abc", 0}, {"de", 0}, {"", 0}, {"f", 0}, {"", errno.EIO}, {"", errno.ETIMEDOUT}, {"g", 0}} {
		if n, e := f.Read(background, 0, p); string(p[:n]) != c.text || e != c.e {
			t.Errorf("read %d: %q, %v; want %q, %v", i, p[:n], e, c.text, c.e)
		}
	}
	panics := func() (v any) {
		defer func() { v = recover() }()
		f.Read(background, 0, p)
		return nil
	}
	if v := panics(); v != "reader" {
		t.Errorf("the reader's panic became %v", v)
	}
	if n, e := f.Read(background, 0, p); string(p[:n]) != "h" || e != errno.OK {
		t.Errorf("after a panic: %q, %v", p[:n], e)
	}
	if v := panics(); v == nil {
		t.Error("a count that is too large was believed")
	}
	f = openFiles(t, policy.Policy{Stdin: silent{}})
	_, e := f.Read(background, 0, p)
	want(t, "a reader that never gives anything", e, errno.EIO)
}

type silent struct{}

func (silent) Read([]byte) (int, error) { return 0, nil }

// TestFIFO opens a FIFO from a directory: no open waits, reads can be cancelled, and closing wakes them.
func TestFIFO(t *testing.T) {
	noneLeft(t)
	f, dir := newFiles(t)
	path := filepath.Join(dir, "fifo")
	if err := mkfifo(path); err != nil {
		t.Skipf("no FIFOs here: %v", err)
	}
	_, e := f.Open("fifo", WriteOnly, 0)
	want(t, "open for writing without a reader", e, errno.ENXIO)
	r := mustOpen(t, f, "fifo", ReadOnly)
	if s, e := f.Fstat(r); e != errno.OK || s.Kind != KindFIFO {
		t.Errorf("fstat: %+v, %v", s, e)
	}
	p := make([]byte, 10)
	ctx, cancel := context.WithTimeout(background, 10*time.Millisecond)
	_, e = f.Read(ctx, r, p)
	want(t, "read before there is a writer", e, errno.ECANCELED)
	cancel()
	w := mustOpen(t, f, "fifo", WriteOnly)
	ctx, cancel = context.WithTimeout(background, 10*time.Millisecond)
	defer cancel()
	_, e = f.Read(ctx, r, p)
	want(t, "cancelled read", e, errno.ECANCELED)
	f.Write(w, []byte("hello"))
	if n, e := f.Read(background, r, p); string(p[:n]) != "hello" || e != errno.OK {
		t.Errorf("read: %q, %v", p[:n], e)
	}
	_, e = f.Pread(r, p, 0)
	want(t, "pread", e, errno.ESPIPE)
	_, e = f.Pwrite(w, p, 0)
	want(t, "pwrite", e, errno.ESPIPE)
	_, e = f.Seek(r, 0, SeekSet)
	want(t, "seek", e, errno.ESPIPE)
	want(t, "truncate", f.Truncate(w, 0), errno.EINVAL)
	done := make(chan errno.Errno)
	go func() {
		_, e := f.Read(background, r, p)
		done <- e
	}()
	time.Sleep(5 * time.Millisecond)
	want(t, "close", f.CloseFD(r), errno.OK)
	want(t, "read of what was closed", <-done, errno.EBADF)
	_, e = f.Write(w, []byte("x"))
	want(t, "write without a reader", e, errno.EPIPE)
}
