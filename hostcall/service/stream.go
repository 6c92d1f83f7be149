package service

import (
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/dialtone-gpu/dialtone/hostcall/errno"
)

// gatherSize is how much WriteAll collects before it writes: what a Linux pipe holds.
const gatherSize = 64 << 10

// stream is an output stream. Its lock makes each write one piece.
type stream struct {
	mu sync.Mutex
	w  io.Writer // nil discards
}

func (s *stream) write(p []byte) (int, errno.Errno) {
	if len(p) == 0 || s.w == nil {
		return len(p), errno.OK
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.put(p)
}

// Write makes an io.Writer of it.
func (s *stream) Write(p []byte) (int, error) {
	n, e := s.write(p)
	return n, e.Err()
}

// put writes p; the lock is held.
func (s *stream) put(p []byte) (int, errno.Errno) {
	if len(p) == 0 {
		return 0, errno.OK
	}
	n, err := s.w.Write(p)
	return written(n, len(p), err)
}

// written checks what a writer says: n of want bytes and err.
func written(n, want int, err error) (int, errno.Errno) {
	n = min(max(n, 0), want)
	switch {
	case err != nil:
		return n, errno.From(err)
	case n < want:
		return n, errno.EIO // io.Writer does not allow it
	}
	return n, errno.OK
}

// writeAll writes bufs one after the other, with as few writes as a copy into scratch allows.
func (s *stream) writeAll(bufs [][]byte) (int, errno.Errno) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.w == nil {
		n := 0
		for _, b := range bufs {
			n += len(b)
		}
		return n, errno.OK
	}
	return gather(bufs, s.put)
}

var gatherPool = sync.Pool{New: func() any { return new([gatherSize]byte) }}

// gather calls put with the bytes of bufs in order, collected into pieces of up to gatherSize; a larger buffer is a piece of its own. It
// stops at the first error.
func gather(bufs [][]byte, put func([]byte) (int, errno.Errno)) (total int, e errno.Errno) {
	scratch := gatherPool.Get().(*[gatherSize]byte)
	defer gatherPool.Put(scratch)
	pending := scratch[:0]
	for _, b := range bufs {
		if len(pending)+len(b) > gatherSize {
			n, e := put(pending)
			total += n
			if e != errno.OK {
				return total, e
			}
			pending = scratch[:0]
			if len(b) > gatherSize {
				n, e := put(b)
				total += n
				if e != errno.OK {
					return total, e
				}
				continue
			}
		}
		pending = append(pending, b...)
	}
	if len(pending) > 0 {
		n, e := put(pending)
		return total + n, e
	}
	return total, errno.OK
}

// fileOf returns the file behind a stream, nil if it is none.
func fileOf(v any) *os.File {
	f, _ := v.(*os.File)
	return f
}

// sameWriter says whether two writers are one. Writers of a type that cannot be compared are two.
func sameWriter(a, b io.Writer) (same bool) {
	defer func() {
		if recover() != nil {
			same = false
		}
	}()
	return a == b
}

// CatchSIGPIPE makes a write to a closed pipe fail with EPIPE also where it goes to descriptor 1 or 2 of the process. Without it the Go
// runtime then kills the process with SIGPIPE, as the documentation of os/signal says ("SIGPIPE"), and nothing is reported or cleaned up.
// A command calls it before a run whose Stdout or Stderr is os.Stdout or os.Stderr, and stop when it wants the usual behaviour back.
//
// It notifies a channel that nobody reads rather than ignore the signal: an ignored signal would stay ignored in the programs that this
// process starts. On Windows it does nothing.
func CatchSIGPIPE() (stop func()) {
	ch := make(chan os.Signal, 1)
	signal.Notify(ch, syscall.SIGPIPE)
	return func() { signal.Stop(ch) }
}
