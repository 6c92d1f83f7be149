package wasi_test

import (
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/dialtone-gpu/dialtone/hostcall/policy"
)

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Skipf("no sockets here: %v", err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func dial(t testing.TB, l net.Listener) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.(*net.TCPConn)
}

func TestSockets(t *testing.T) {
	l := listen(t)
	p := dir(tree(t))
	p.Listen = []net.Listener{l}
	g := alone(t, p)
	const listener = 4 // behind the directory
	to, ro := g.alloc(4), g.alloc(4)
	if kind, _, base, _ := g.fdstat(listener); kind != 6 || base&(1<<29) == 0 {
		t.Errorf("a listener is of kind %d, with rights %#x", kind, base)
	}
	g.want(ebadf, "fd_prestat_get", listener, to)
	at := g.alloc(64)
	g.want(enotconn, "sock_recv", listener, g.vector(span{at, 8}), 1, 0, to, ro)
	g.want(enotconn, "sock_send", listener, g.vector(span{at, 8}), 1, 0, to)
	g.want(enotconn, "fd_read", listener, g.vector(span{at, 8}), 1, to)
	g.want(espipe, "fd_seek", listener, 0, 0, at)

	// Without a connection.
	g.ok("fd_fdstat_set_flags", listener, nonblock)
	g.want(eagain, "sock_accept", listener, 0, to)
	if got, _ := g.poll(onDescriptor(1, 1, listener), onClock(2, 1, 5e6, false)); !slices.Equal(got, []happening{{2, 0, 0}}) {
		t.Errorf("a listener: %v", got)
	}
	c := dial(t, l)
	if got, _ := g.poll(onDescriptor(1, 1, listener), onClock(2, 1, 3600e9, false)); !slices.Equal(got, []happening{{1, 0, 1}}) {
		t.Errorf("a listener: %v", got)
	}
	g.ok("sock_accept", listener, nonblock, to)
	fd := g.u32(to)
	if kind, flags, base, _ := g.fdstat(fd); fd != 5 || kind != 6 || flags != nonblock || base&(rightRead|rightWrite|1<<28) != rightRead|rightWrite|1<<28 {
		t.Errorf("connection %d is of kind %d, with flags %d and rights %#x", fd, kind, flags, base)
	}
	g.want(eagain, "sock_recv", fd, g.vector(span{at, 8}), 1, 0, to, ro)
	g.want(eagain, "fd_read", fd, g.vector(span{at, 8}), 1, to)
	g.ok("fd_fdstat_set_flags", fd, 0)

	go func() {
		time.Sleep(5 * time.Millisecond)
		io.WriteString(c, "hello")
		time.Sleep(5 * time.Millisecond)
		io.WriteString(c, " world")
	}()
	two := g.vector(span{at, 3}, span{at + 10, 8})
	g.ok("sock_recv", fd, two, 2, 1, to, ro) // it stays
	if g.u32(to) != 5 || g.str(at, 3)+g.str(at+10, 2) != "hello" || g.u16(ro) != 0 {
		t.Errorf("received %d bytes, %q and %q", g.u32(to), g.str(at, 3), g.str(at+10, 2))
	}
	g.ok("sock_recv", fd, two, 2, 2, to, ro) // all of it
	if g.u32(to) != 11 || g.str(at, 3)+g.str(at+10, 8) != "hello world" {
		t.Errorf("received %d bytes, %q", g.u32(to), g.str(at+10, 8))
	}
	g.want(einval, "sock_recv", fd, two, 2, 4, to, ro)
	g.ok("sock_send", fd, g.vector(span{at, 3}, span{at + 10, 2}), 2, 0, to)
	g.print(fd, "!\n")
	b := make([]byte, 7)
	if _, err := io.ReadFull(c, b); err != nil || string(b) != "hello!\n" {
		t.Errorf("sent %q: %v", b, err)
	}
	g.want(einval, "sock_send", fd, two, 2, 1, to)
	g.want(einval, "sock_shutdown", fd, 0)
	g.want(einval, "sock_shutdown", fd, 4)
	g.ok("sock_shutdown", fd, 2)
	if n, err := c.Read(b); n != 0 || err != io.EOF {
		t.Errorf("after the end: %d bytes, %v", n, err)
	}
	c.CloseWrite()
	g.ok("sock_recv", fd, two, 2, 0, to, ro)
	if g.u32(to) != 0 {
		t.Errorf("after the end: %d bytes", g.u32(to))
	}
	g.ok("fd_close", fd)
	g.want(einval, "sock_accept", listener, 1, to)

	// What is closed in another way.
	dial(t, l)
	g.ok("fd_fdstat_set_flags", listener, 0)
	g.ok("sock_accept", listener, 0, to)
	g.want(einval, "sock_accept", g.u32(to), 0, to)
	g.ok("sock_shutdown", g.u32(to), 3)
}

// TestAcceptEnds: a System can be closed while an instance waits for a connection, which the listener survives.
func TestAcceptEnds(t *testing.T) {
	l := listen(t)
	s := newSystem(t, policy.Policy{Listen: []net.Listener{l}}, 2)
	var all []chan error
	for i := range uint32(2) {
		g := newGuest(t, s, i)
		done := make(chan error, 1)
		all = append(all, done)
		go func() {
			c := lookup("sock_accept")
			_, _, err := g.call(g.ctx, g.mem, c, []uint64{3, 0, 8})
			done <- err
		}()
	}
	time.Sleep(5 * time.Millisecond)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	for _, done := range all {
		select {
		case <-done:
		case <-time.After(5 * time.Second):
			t.Fatal("sock_accept waits for ever")
		}
	}
	dial(t, l)
	c, err := l.Accept()
	if err != nil {
		t.Fatalf("the listener is not what it was: %v", err)
	}
	c.Close()
}
