package service

import (
	"context"

	"net"
	"sync"
	"time"

	"github.com/dialtone-gpu/dialtone/hostcall/errno"
)

// listener hands the connections of a net.Listener to callers who may lose patience. At most one goroutine is in its Accept, and only while
// somebody waits; a connection that comes when nobody does any more is kept for the next.
type listener struct {
	l net.Listener

	mu       sync.Mutex
	asking   chan struct{} // closed when the Accept under way has returned
	have     net.Conn
	err      error // told once
	released bool
}

func newListener(l net.Listener) *listener { return &listener{l: l} }

// accept waits for a connection. It gives ECANCELED when ctx ends first.
func (l *listener) accept(ctx context.Context) (net.Conn, errno.Errno) {
	for {
		if num := l.ready(ctx); num != errno.OK {
			return nil, num
		}
		l.mu.Lock()
		c, err := l.have, l.err
		l.have, l.err = nil, nil
		l.mu.Unlock()
		switch {
		case c != nil:
			return c, errno.OK
		case err != nil:
			return nil, errno.From(err)
		}
		// somebody else took it
	}
}

// ready waits until there is a connection, or an error to tell.
func (l *listener) ready(ctx context.Context) errno.Errno {
	for {
		l.mu.Lock()
		switch {
		case l.have != nil || l.err != nil:
			l.mu.Unlock()
			return errno.OK
		case l.released:
			l.mu.Unlock()
			return errno.EBADF
		}
		if l.asking == nil {
			l.asking = make(chan struct{})
			go l.ask(l.asking)
		}
		asking := l.asking
		l.mu.Unlock()
		select {
		case <-asking:
		case <-ctx.Done():
			return errno.ECANCELED
		}
	}
}

// ask is the goroutine: one Accept.
func (l *listener) ask(done chan<- struct{}) {
	c, err := l.l.Accept()
	l.mu.Lock()
	defer l.mu.Unlock()
	defer close(done)
	l.asking = nil
	if l.released {
		if c != nil {
			c.Close()
		}
		if d, ok := l.l.(deadliner); ok {
			d.SetDeadline(time.Time{})
		}
		return
	}
	l.have, l.err = c, err
}

// deadliner is a listener whose Accept can be ended: those of package net can.
type deadliner interface{ SetDeadline(time.Time) error }

// release closes a connection that nobody took, and ends an Accept that is under way where the listener allows that. The listener stays open.
func (l *listener) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.have != nil {
		l.have.Close()
		l.have = nil
	}
	if d, ok := l.l.(deadliner); ok && l.asking != nil && !l.released {
		d.SetDeadline(time.Unix(1, 0))
	}
	l.released = true
}

// Listeners opens a descriptor for every listener of the policy, in the policy's order, at the lowest free numbers.
func (f *Files) Listeners() ([]int32, errno.Errno) {
	var all []int32
	for _, l := range f.host.listeners {
		fd, e := f.add(&entry{class: listening, flags: ReadOnly, listener: l})
		if e != errno.OK {
			return all, e
		}
		all = append(all, fd)
	}
	return all, errno.OK
}

// Accept waits for a connection at the listener fd and opens a descriptor for it, with NonBlock if flags have it. It gives ECANCELED when
// ctx ends first, and EAGAIN in place of waiting if fd is NonBlock.
func (f *Files) Accept(ctx context.Context, fd int32, flags OpenFlags) (int32, errno.Errno) {
	e := f.get(fd)
	switch {
	case e == nil:
		return -1, errno.EBADF
	case e.class == connected:
		return -1, errno.EINVAL
	case e.class != listening:
		return -1, errno.ENOTSOCK
	case flags&^NonBlock != 0:
		return -1, errno.EINVAL
	}
	if num := e.patience(ctx, e.listener.ready); num != errno.OK {
		return -1, num
	}
	to, num := f.reserve() // before a connection is taken that could not be kept
	if num != errno.OK {
		return -1, num
	}
	conn, num := e.listener.accept(ctx)
	if num != errno.OK {
		f.free(to)
		return -1, num
	}
	c := &entry{class: connected, flags: ReadWrite, conn: conn, in: NewStdin(conn), out: &stream{w: conn}}
	c.status.Store(uint32(flags))
	if !f.fill(to, c) {
		c.close()
		return -1, errno.EBADF
	}
	return to, errno.OK
}

// socket returns the entry of a connection.
func (f *Files) socket(fd int32) (*entry, errno.Errno) {
	e := f.get(fd)
	switch {
	case e == nil:
		return nil, errno.EBADF
	case e.class == listening:
		return nil, errno.ENOTCONN
	case e.class != connected:
		return nil, errno.ENOTSOCK
	}
	return e, errno.OK
}

// Receive reads from a connection as Read does. With peek the bytes stay; with all it waits until p is full or nothing more comes.
func (f *Files) Receive(ctx context.Context, fd int32, p []byte, peek, all bool) (int, errno.Errno) {
	e, num := f.socket(fd)
	if num != errno.OK {
		return 0, num
	}
	if peek {
		if num := e.patience(ctx, e.in.Ready); num != errno.OK {
			return 0, num
		}
		return e.in.peek(ctx, p)
	}
	n, num := f.Read(ctx, fd, p)
	for all && n > 0 && n < len(p) {
		more, num := f.Read(ctx, fd, p[n:])
		if more == 0 {
			if num == errno.ECANCELED {
				return n, errno.OK // what was read must not be lost
			}
			break // the end, or an error that the next call tells
		}
		n += more
	}
	return n, num
}

// Send writes bufs to a connection, as one piece. It gives up when ctx ends.
func (f *Files) Send(ctx context.Context, fd int32, bufs [][]byte) (int, errno.Errno) {
	e, num := f.socket(fd)
	if num != errno.OK {
		return 0, num
	}
	return e.send(ctx, bufs)
}

// send writes to a connection whose other side may not read.
func (e *entry) send(ctx context.Context, bufs [][]byte) (int, errno.Errno) {
	stop := context.AfterFunc(ctx, func() { e.conn.SetWriteDeadline(time.Unix(1, 0)) })
	defer stop()
	n, num := e.out.writeAll(bufs)
	switch {
	case n > 0:
		num = errno.OK
	case num == errno.ETIMEDOUT && ctx.Err() != nil:
		num = errno.ECANCELED
	}
	return n, num
}

// Shutdown ends one or both directions of a connection.
func (f *Files) Shutdown(fd int32, read, write bool) errno.Errno {
	e, num := f.socket(fd)
	switch {
	case num != errno.OK:
		return num
	case !read && !write:
		return errno.EINVAL
	}
	if read {
		c, ok := e.conn.(interface{ CloseRead() error })
		if !ok {
			return errno.ENOTSUP
		}
		if num := errno.From(c.CloseRead()); num != errno.OK {
			return num
		}
	}
	if write {
		c, ok := e.conn.(interface{ CloseWrite() error })
		if !ok {
			return errno.ENOTSUP
		}
		return errno.From(c.CloseWrite())
	}
	return errno.OK
}
