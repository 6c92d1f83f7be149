package service

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dialtone-gpu/dialtone/hostcall/errno"
	"github.com/dialtone-gpu/dialtone/hostcall/policy"
)

// TestSharedHost: several Files over one Host have descriptors of their own, and share streams and directories.
func TestSharedHost(t *testing.T) {
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "a"), []byte("content"), 0o644); err != nil {
		t.Fatal(err)
	}
	var out, own bytes.Buffer
	h, err := NewHost(policy.Policy{Stdin: strings.NewReader("abcdef"), Stdout: &out, Stderr: &out, Dirs: []policy.Dir{{Host: root, Guest: "/"}}})
	if err != nil {
		t.Fatal(err)
	}
	f, g := h.Files(nil, nil), h.Files(&own, nil)
	for _, x := range []*Files{f, g} {
		if list, e := x.Preopens(); e != errno.OK || len(list) != 1 || list[0] != (Preopen{3, "/"}) {
			t.Fatalf("preopened %v: %v", list, e)
		}
		if s, e := x.Fstat(3); e != errno.OK || s.Kind != KindDir || s.Size == 0 && s.Inode == 0 && s.MTime == 0 {
			t.Errorf("the directory is %+v: %v", s, e)
		}
	}
	b := make([]byte, 3)
	for i, want := range []string{"abc", "def"} {
		x := []*Files{f, g}[i]
		if n, e := x.Read(t.Context(), 0, b); string(b[:n]) != want || e != errno.OK {
			t.Errorf("read %q: %v", b[:n], e)
		}
	}
	f.Write(1, []byte("1"))
	g.Write(1, []byte("2"))
	g.Write(2, []byte("3"))
	io.WriteString(h.Stdout(), "4")
	io.WriteString(h.Stderr(), "5")
	if out.String() != "1345" || own.String() != "2" {
		t.Errorf("written %q and %q", out.String(), own.String())
	}
	fd, e := f.OpenAt(3, "a", ReadOnly, 0)
	if e != errno.OK || fd != 4 {
		t.Fatalf("descriptor %d: %v", fd, e)
	}
	if _, e := g.Fstat(4); e != errno.EBADF {
		t.Errorf("another's descriptor: %v", e)
	}
	// One that is closed, with its directory, leaves the other's as they are; also while its directory is being listed.
	var list [1]Dirent
	if n, e := f.Readdir(3, 0, list[:]); n != 1 || e != errno.OK {
		t.Errorf("listed %d names: %v", n, e)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if e := f.Fsync(3); e != errno.EBADF {
		t.Errorf("a closed one: %v", e)
	}
	for cookie, names := uint64(0), 0; ; names++ {
		n, e := g.Readdir(3, cookie, list[:])
		if e != errno.OK || n == 0 {
			if names != 1 || e != errno.OK {
				t.Errorf("%d names: %v", names, e)
			}
			break
		}
		cookie = list[0].Next
	}
	if e := g.Fsync(3); e != errno.OK {
		t.Errorf("syncing a directory: %v", e)
	}
	if err := g.Close(); err != nil {
		t.Error(err)
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
}

// TestDescriptorFlags: Append and NonBlock can be set where the host knows nothing of them.
func TestDescriptorFlags(t *testing.T) {
	root := t.TempDir()
	r, w := io.Pipe()
	defer w.Close()
	f, err := NewFiles(policy.Policy{Stdin: r, Dirs: []policy.Dir{{Host: root, Guest: "/"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fd, e := f.Open("/a", ReadWrite|Create, 0o600)
	if e != errno.OK {
		t.Fatal(e)
	}
	f.Write(fd, []byte("12345"))
	f.Seek(fd, 0, SeekSet)
	if e := f.SetFlags(fd, ReadWrite|Append); e != errno.OK {
		t.Fatal(e)
	}
	if flags, _ := f.Flags(fd); flags != ReadWrite|Append {
		t.Errorf("flags %o", flags)
	}
	f.WriteAll(fd, [][]byte{[]byte("6"), []byte("7")})
	f.Seek(fd, 2, SeekSet)
	if n, e := f.Pwrite(fd, []byte("8"), 0); n != 1 || e != errno.OK {
		t.Errorf("wrote %d: %v", n, e)
	}
	if at, _ := f.Seek(fd, 0, SeekCur); at != 2 {
		t.Errorf("position %d", at)
	}
	if got, _ := os.ReadFile(filepath.Join(root, "a")); string(got) != "12345678" {
		t.Errorf("written %q", got)
	}
	for _, c := range []struct {
		fd    int32
		flags OpenFlags
		want  errno.Errno
	}{{fd, ReadOnly, errno.ENOTSUP}, {fd, ReadWrite | Sync, errno.ENOTSUP}, {77, 0, errno.EBADF}, {fd, ReadWrite, errno.OK}, {0, NonBlock, errno.OK}} {
		if e := f.SetFlags(c.fd, c.flags); e != c.want {
			t.Errorf("SetFlags(%d, %o): %v, want %v", c.fd, c.flags, e, c.want)
		}
	}
	if _, e := f.Read(t.Context(), 0, make([]byte, 1)); e != errno.EAGAIN {
		t.Errorf("a read that does not wait: %v", e)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if _, e := f.Read(over, 0, make([]byte, 1)); e != errno.ECANCELED {
		t.Errorf("a cancelled read: %v", e)
	}
}

// TestConnections: a listener is waited for with patience, and stays the caller's.
func TestConnections(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Skipf("no sockets here: %v", err)
	}
	defer l.Close()
	f, err := NewFiles(policy.Policy{Listen: []net.Listener{l}, MaxOpen: 5})
	if err != nil {
		t.Fatal(err)
	}
	list, e := f.Listeners()
	if e != errno.OK || len(list) != 1 || list[0] != 3 {
		t.Fatalf("listeners %v: %v", list, e)
	}
	short, stop := context.WithTimeout(t.Context(), 5*time.Millisecond)
	defer stop()
	if _, e := f.Accept(short, 3, 0); e != errno.ECANCELED {
		t.Errorf("nobody there: %v", e)
	}
	var all []net.Conn
	dial := func() {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	dial()
	fd, e := f.Accept(t.Context(), 3, 0)
	if e != errno.OK || fd != 4 {
		t.Fatalf("descriptor %d: %v", fd, e)
	}
	// The table is full: the connection stays for whoever has room.
	dial()
	if _, e := f.Accept(t.Context(), 3, 0); e != errno.EMFILE {
		t.Errorf("no descriptor left: %v", e)
	}
	if e := f.CloseFD(fd); e != errno.OK {
		t.Error(e)
	}
	if _, err := all[0].Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("after the other side has closed: %v", err)
	}
	if fd, e = f.Accept(t.Context(), 3, 0); e != errno.OK {
		t.Fatal(e)
	}
	if _, e := f.Accept(t.Context(), fd, 0); e != errno.EINVAL {
		t.Errorf("accepting from a connection: %v", e)
	}
	// A peer that does not read holds a sender up only as long as its context lasts.
	short, stop = context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer stop()
	big := [][]byte{make([]byte, 64<<20)}
	if n, e := f.Send(short, fd, big); n == len(big[0]) || e != errno.OK && e != errno.ECANCELED {
		t.Errorf("sent %d bytes: %v", n, e)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	dial()
	c, err := l.Accept()
	if err != nil {
		t.Fatalf("the listener is not what it was: %v", err)
	}
	for _, c := range append(all, c) {
		c.Close()
	}
}
