package service

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"

	"github.com/dialtone-gpu/dialtone/hostcall/errno"
)

// Stdin reads a stream that may never answer, for callers who may lose patience. One reads at a time; the others wait their turn, and
// all of them can be cancelled.
//
// How it waits depends on what it reads:
//
//   - A file, terminal, pipe or socket of the operating system (an *os.File on Unix): until the system says that there is something to
//     read. Nothing is read ahead and no goroutine is left behind. The description is not made non-blocking, as other processes may share it;
//     should another one take the bytes between the wait and the read, that read waits for more and cannot be cancelled.
//   - A reader of bytes in memory: it never waits.
//   - Any other reader, and files on Windows: a goroutine calls its Read, and lives until that returns, as nothing can interrupt it; what it
//     got is kept for the next Read here. At most one such goroutine exists. It never asks for more than the caller did, except in
//     Ready.
//
// A program that runs several kernels one after the other on one general reader makes a Stdin of it once and gives that to all policies,
// so that what a cancelled read still received reaches the next kernel.
type Stdin struct {
	file   *os.File // what is read, if it is a file
	source source
	turn   chan struct{} // holds a token while nobody reads
	done   chan struct{} // closed by Close
	closed atomic.Bool
}

// source is one way to read. read and ready are called by one goroutine at a time and give ECANCELED when ctx ends, EBADF when done is closed.
type source interface {
	read(ctx context.Context, done <-chan struct{}, p []byte) (int, errno.Errno)
	ready(ctx context.Context, done <-chan struct{}) errno.Errno
	close()
}

// NewStdin returns a Stdin for r, which it does not close. nil is at its end from the start.
func NewStdin(r io.Reader) *Stdin {
	s := &Stdin{turn: make(chan struct{}, 1), done: make(chan struct{})}
	s.turn <- struct{}{}
	switch r := r.(type) {
	case nil:
		s.source = &instant{strings.NewReader("")}
	case *Stdin:
		return r
	case *bytes.Reader, *bytes.Buffer, *strings.Reader:
		s.source = &instant{r}
	case *os.File:
		s.file = r
		s.source = newFileSource(r)
	default:
		s.source = &pump{r: r}
	}
	return s
}

// Close wakes all readers, which get EBADF, and releases what s itself holds. It does not wait for them.
func (s *Stdin) Close() error {
	if s.closed.CompareAndSwap(false, true) {
		close(s.done)
		s.source.close()
	}
	return nil
}

// Read reads without a way to cancel; s is an io.Reader.
func (s *Stdin) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	n, e := s.ReadContext(context.Background(), p)
	if n == 0 && e == errno.OK {
		return 0, io.EOF
	}
	return n, e.Err()
}

// ReadContext reads up to len(p) bytes, waiting for the first of them; 0 with OK is the end, though a terminal may go on behind it. It gives
// ECANCELED as soon as ctx ends, and no byte is lost by that.
func (s *Stdin) ReadContext(ctx context.Context, p []byte) (int, errno.Errno) {
	if len(p) == 0 {
		return 0, errno.OK
	}
	if e := s.take(ctx); e != errno.OK {
		return 0, e
	}
	defer s.give()
	return s.source.read(ctx, s.done, p)
}

// peek is ReadContext, but the bytes stay. It gives ENOTSUP for a source that holds none itself.
func (s *Stdin) peek(ctx context.Context, p []byte) (int, errno.Errno) {
	held, ok := s.source.(*pump)
	if !ok {
		return 0, errno.ENOTSUP
	}
	if e := s.take(ctx); e != errno.OK {
		return 0, e
	}
	defer s.give()
	if e := held.ready(ctx, s.done); e != errno.OK {
		return 0, e
	}
	if len(held.have) == 0 {
		return count(0, held.err)
	}
	return copy(p, held.have), errno.OK
}

// Ready waits until ReadContext would return at once.
func (s *Stdin) Ready(ctx context.Context) errno.Errno {
	if e := s.take(ctx); e != errno.OK {
		return e
	}
	defer s.give()
	return s.source.ready(ctx, s.done)
}

func (s *Stdin) take(ctx context.Context) errno.Errno {
	if ctx.Err() != nil {
		return errno.ECANCELED
	}
	select {
	case <-s.turn:
	case <-ctx.Done():
		return errno.ECANCELED
	case <-s.done:
		return errno.EBADF
	}
	if s.closed.Load() {
		s.give()
		return errno.EBADF
	}
	return errno.OK
}

func (s *Stdin) give() { s.turn <- struct{}{} }

// instant reads what never waits.
type instant struct{ r io.Reader }

func (i *instant) read(_ context.Context, _ <-chan struct{}, p []byte) (int, errno.Errno) {
	return count(i.r.Read(p))
}
func (i *instant) ready(context.Context, <-chan struct{}) errno.Errno { return errno.OK }
func (i *instant) close()                                             {}

// pump reads what cannot be interrupted, in a goroutine.
type pump struct {
	r        io.Reader
	have     []byte        // received and not yet taken
	err      error         // came with the last of have, or alone; told once
	inFlight chan struct{} // closed when a Read that is under way has set got
	got      struct {
		b        []byte
		err      error
		panicked any
	}
}

const pumpLimit = 64 << 10 // bytes that one Read asks for at most

func (s *pump) read(ctx context.Context, done <-chan struct{}, p []byte) (int, errno.Errno) {
	if e := s.fetch(ctx, done, min(len(p), pumpLimit)); e != errno.OK {
		return 0, e
	}
	if len(s.have) > 0 {
		n := copy(p, s.have)
		s.have = s.have[n:]
		return n, errno.OK
	}
	err := s.err
	s.err = nil
	return count(0, err)
}

func (s *pump) ready(ctx context.Context, done <-chan struct{}) errno.Errno {
	return s.fetch(ctx, done, pumpLimit)
}

func (s *pump) close() {}

// fetch waits until there is something to tell, asking the reader for up to n bytes.
func (s *pump) fetch(ctx context.Context, done <-chan struct{}, n int) errno.Errno {
	for empty := 0; len(s.have) == 0 && s.err == nil; empty++ {
		if empty == 100 {
			s.err = io.ErrNoProgress
			break
		}
		if s.inFlight == nil {
			s.inFlight = make(chan struct{})
			go s.run(make([]byte, n), s.inFlight)
		}
		select {
		case <-s.inFlight:
		case <-ctx.Done():
			return errno.ECANCELED
		case <-done:
			return errno.EBADF
		}
		s.inFlight = nil
		if v := s.got.panicked; v != nil {
			panic(v) // in the goroutine of the caller, who can name the run
		}
		s.have, s.err = s.got.b, s.got.err
	}
	return errno.OK
}

// run is the goroutine: one Read.
func (s *pump) run(b []byte, finished chan<- struct{}) {
	defer close(finished)
	s.got.b, s.got.err, s.got.panicked = nil, nil, nil
	defer func() { s.got.panicked = recover() }()
	n, err := s.r.Read(b)
	if n < 0 || n > len(b) {
		panic(fmt.Sprintf("the reader of standard input returned a count of %d for a buffer of %d bytes", n, len(b)))
	}
	s.got.b, s.got.err = b[:n], err
}
