//go:build unix

package service

import (
	"context"
	"os"
	"sync"
	"syscall"

	"github.com/dialtone-gpu/dialtone/hostcall/errno"
)

// newFileSource reads a disk's file directly, everything else when it is ready.
func newFileSource(f *os.File) source {
	info, err := f.Stat()
	if err == nil && info.Mode().IsRegular() {
		return &instant{f}
	}
	s := &descriptor{fd: -1}
	if err == nil {
		s.fd, err = duplicate(f)
	}
	s.failed = errno.From(err)
	return s
}

// duplicate returns a new descriptor of the same open file, so that it stays good for as long as it is waited on.
func duplicate(f *os.File) (int, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return -1, err
	}
	dup := -1
	failed := raw.Control(func(fd uintptr) {
		syscall.ForkLock.RLock()
		defer syscall.ForkLock.RUnlock()
		if dup, err = syscall.Dup(int(fd)); err == nil {
			syscall.CloseOnExec(dup)
		}
	})
	if failed != nil {
		err = failed
	}
	return dup, err
}

// descriptor waits for a file of the operating system together with a pipe, into which a byte is written to wake it up.
type descriptor struct {
	fd     int
	failed errno.Errno // why there is no fd

	mu      sync.Mutex
	pipe    [2]int // made by the first wait
	hasPipe bool
	busy    bool // a reader uses fd and pipe and will close them if it finds closed
	closed  bool
}

func (d *descriptor) read(ctx context.Context, done <-chan struct{}, p []byte) (n int, e errno.Errno) {
	e = d.use(func() errno.Errno {
		for {
			if e := d.wait(ctx, done); e != errno.OK {
				return e
			}
			var err error
			n, err = syscall.Read(d.fd, p[:min(len(p), maxRead)])
			switch err {
			case nil:
				return errno.OK
			case syscall.EAGAIN, syscall.EINTR:
				continue // it is non-blocking already and another process was faster; or a signal came
			}
			n = 0
			return errno.From(err)
		}
	})
	return n, e
}

// maxRead keeps one read below what Darwin accepts.
const maxRead = 1 << 30

func (d *descriptor) ready(ctx context.Context, done <-chan struct{}) errno.Errno {
	return d.use(func() errno.Errno { return d.wait(ctx, done) })
}

// use runs what needs the descriptors, which a Close during it leaves open until its end.
func (d *descriptor) use(what func() errno.Errno) errno.Errno {
	d.mu.Lock()
	switch {
	case d.failed != errno.OK:
		d.mu.Unlock()
		return d.failed
	case d.closed:
		d.mu.Unlock()
		return errno.EBADF
	case !d.hasPipe:
		if err := newPipe(&d.pipe); err != nil {
			d.mu.Unlock()
			return errno.From(err)
		}
		d.hasPipe = true
	}
	d.busy = true
	d.mu.Unlock()
	defer func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.busy = false
		if d.closed {
			d.release()
		}
	}()
	return what()
}

// wait returns OK when fd can be read.
func (d *descriptor) wait(ctx context.Context, done <-chan struct{}) errno.Errno {
	if ctx.Done() != nil {
		told := make(chan struct{})
		stop := context.AfterFunc(ctx, func() {
			d.wake()
			close(told)
		})
		defer func() {
			if !stop() { // the byte is in the pipe or about to be; the next wait must not find it
				<-told
				d.drain()
			}
		}()
	}
	for {
		ready, err := waitReadable(d.fd, d.pipe[0])
		switch {
		case isClosed(done):
			return errno.EBADF
		case ctx.Err() != nil:
			return errno.ECANCELED
		case err != nil:
			return errno.From(err)
		case ready:
			return errno.OK
		}
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// wake makes waitReadable return. At most two bytes are ever in the pipe, so this does not block.
func (d *descriptor) wake() {
	for {
		if _, err := syscall.Write(d.pipe[1], []byte{0}); err != syscall.EINTR {
			return
		}
	}
}

// drain takes one byte out of the pipe.
func (d *descriptor) drain() {
	var b [1]byte
	for {
		if _, err := syscall.Read(d.pipe[0], b[:]); err != syscall.EINTR {
			return
		}
	}
}

func (d *descriptor) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return
	}
	d.closed = true
	if d.busy {
		d.wake()
	} else {
		d.release()
	}
}

// release closes what is open; d.mu is held.
func (d *descriptor) release() {
	if d.fd >= 0 {
		syscall.Close(d.fd)
		d.fd = -1
	}
	if d.hasPipe {
		syscall.Close(d.pipe[0])
		syscall.Close(d.pipe[1])
		d.hasPipe = false
	}
}

// newPipe makes a pipe that programs started by this process do not inherit.
func newPipe(p *[2]int) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := syscall.Pipe(p[:]); err != nil {
		return err
	}
	syscall.CloseOnExec(p[0])
	syscall.CloseOnExec(p[1])
	return nil
}
