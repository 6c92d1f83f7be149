package wasi_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dialtone-gpu/dialtone/hostcall/policy"
)

func TestReadAndWrite(t *testing.T) {
	for _, room := range []int{64, 4096} {
		t.Run(fmt.Sprint("room ", room), func(t *testing.T) {
			text := strings.Repeat("0123456789", 50)
			root := tree(t, "a", text)
			g := alone(t, dir(root))
			g.room = room
			fd := g.open(3, "a", 0, rightRead|rightWrite, 0)
			if got := g.all(fd); got != text {
				t.Errorf("read %q", got)
			}
			to := g.alloc(8)
			g.ok("fd_tell", fd, to)
			if g.u64(to) != 500 {
				t.Errorf("position %d", g.u64(to))
			}
			g.ok("fd_seek", fd, -493, 1, to)
			if g.u64(to) != 7 {
				t.Errorf("position %d", g.u64(to))
			}
			if got, e := g.read(fd, 7); e != 0 || got != "7890123" {
				t.Errorf("read %q, %d", got, e)
			}
			g.print(fd, "WRITTEN")
			g.ok("fd_seek", fd, 0, 2, to)
			if g.u64(to) != 500 {
				t.Errorf("the end is at %d", g.u64(to))
			}
			g.print(fd, "!")
			g.want(einval, "fd_seek", fd, -1, 0, to)
			g.want(einval, "fd_seek", fd, 0, 3, to)
			g.want(einval, "fd_seek", fd, 0, 0xff, to)

			at := g.alloc(8)
			g.ok("fd_pread", fd, g.vector(span{at, 3}, span{at + 3, 5}), 2, 12, to)
			if g.u32(to) != 8 || g.str(at, 8) != "23WRITTE" {
				t.Errorf("read %q (%d)", g.str(at, 8), g.u32(to))
			}
			g.ok("fd_pwrite", fd, g.vector(span{at, 2}, span{at, 0}, span{at + 4, 1}), 3, 498, to)
			if g.u32(to) != 3 {
				t.Errorf("%d bytes written", g.u32(to))
			}
			g.ok("fd_tell", fd, to)
			if g.u64(to) != 501 {
				t.Errorf("position %d", g.u64(to))
			}
			g.want(einval, "fd_pread", fd, g.vector(span{at, 3}), 1, -1, to)
			g.want(einval, "fd_pwrite", fd, g.vector(span{at, 3}), 1, -1, to)
			want := text[:14] + "WRITTEN" + text[21:498] + "23I"
			if got, _ := os.ReadFile(filepath.Join(root, "a")); string(got) != want {
				t.Errorf("the file is %q", got)
			}

			// Pieces that are too many, or not there.
			many := make([]span, 2000)
			for i := range many {
				many[i] = span{at, 1}
			}
			g.ok("fd_pread", fd, g.vector(many...), len(many), 0, to)
			if n := g.u32(to); n == 0 || n > 501 {
				t.Errorf("%d bytes into 2000 pieces", n)
			}
			g.ok("fd_read", fd, g.vector(), 0, to)
			for _, c := range []string{"fd_read", "fd_write"} {
				g.want(efault, c, fd, memorySize-7, 1, to)
				g.want(efault, c, fd, g.vector(span{8, 8}, span{memorySize - 7, 8}), 2, to)
				g.want(efault, c, fd, g.vector(span{0xffffffff, 0xffffffff}), 1, to)
				g.want(efault, c, fd, g.vector(span{8, 8}), 1, memorySize-3)
				g.want(efault, c, fd, 8, 0xffffffff, to)
			}
			if i, err := os.Stat(filepath.Join(root, "a")); err != nil || i.Size() != 501 {
				t.Errorf("a call with a bad pointer has written: %v", err)
			}
		})
	}
}

// TestLarge: a write of more than travels at once is cut, and what a read gives is not more than there is room for.
func TestLarge(t *testing.T) {
	root := tree(t)
	p := dir(root)
	g := alone(t, p)
	g.mem = make([]byte, 4<<20)
	for i := range g.mem {
		g.mem[i] = byte(i * 7)
	}
	g.top = 4 << 20
	// The memory of this guest is larger than what alloc knows of: its parameters are put by hand.
	copy(g.mem[16:], "big")
	put := func(at int, v uint32) { copy(g.mem[at:], []byte{byte(v), byte(v >> 8), byte(v >> 16), byte(v >> 24)}) }
	g.ok("path_open", 3, 1, 16, 3, creat, rightRead|rightWrite, 0, 0, 32)
	fd := g.u32(32)
	put(40, 1001)
	put(44, 3<<20)
	g.ok("fd_write", fd, 40, 1, 32)
	if n := g.u32(32); n != 1<<20 {
		t.Errorf("%d bytes of 3 MiB written", n)
	}
	got, err := os.ReadFile(filepath.Join(root, "big"))
	if err != nil || !bytes.Equal(got, g.mem[1001:][:1<<20]) {
		t.Errorf("the file has other content: %v", err)
	}
	g.ok("fd_pread", fd, 40, 1, 0, 32)
	if n := g.u32(32); n != 4096-4 {
		t.Errorf("%d bytes read", n)
	}
}

func TestDescriptors(t *testing.T) {
	root := tree(t, "a", "A", "b", "B", "d/", "")
	p := dir(root)
	p.MaxOpen = 7
	g := alone(t, p)
	a, b := g.open(3, "a", 0, rightRead, 0), g.open(3, "b", 0, rightRead, 0)
	if a != 4 || b != 5 {
		t.Errorf("descriptors %d and %d", a, b)
	}
	g.ok("fd_renumber", a, b)
	if got := g.all(b); got != "A" {
		t.Errorf("after renumbering: %q", got)
	}
	g.want(ebadf, "fd_renumber", a, b)
	g.want(ebadf, "fd_renumber", b, 6)
	g.ok("fd_renumber", b, b)
	if fd := g.open(3, "b", 0, rightRead, 0); fd != 4 {
		t.Errorf("the lowest free descriptor is %d", fd)
	}
	g.open(3, "b", 0, rightRead, 0)
	const emfile = 33
	if _, e := g.tryOpen(3, "b", 0, rightRead, 0); e != emfile {
		t.Errorf("one descriptor too many: %d", e)
	}
	g.ok("fd_close", 4)
	g.want(ebadf, "fd_close", 4)
	for _, bad := range []uint32{4, 77, 1 << 30, 0xffffffff, 0x80000000} {
		to := g.alloc(64)
		for _, c := range []struct {
			name string
			args []any
		}{
			{"fd_advise", []any{bad, 0, 0, 0}}, {"fd_allocate", []any{bad, 0, 1}}, {"fd_close", []any{bad}}, {"fd_datasync", []any{bad}},
			{"fd_fdstat_get", []any{bad, to}}, {"fd_fdstat_set_flags", []any{bad, 0}}, {"fd_fdstat_set_rights", []any{bad, 0, 0}},
			{"fd_filestat_get", []any{bad, to}}, {"fd_filestat_set_size", []any{bad, 0}}, {"fd_filestat_set_times", []any{bad, 0, 0, 0}},
			{"fd_pread", []any{bad, 8, 0, 0, to}}, {"fd_prestat_get", []any{bad, to}}, {"fd_prestat_dir_name", []any{bad, to, 1}},
			{"fd_pwrite", []any{bad, 8, 0, 0, to}}, {"fd_read", []any{bad, 8, 0, to}}, {"fd_readdir", []any{bad, to, 10, 0, to}},
			{"fd_renumber", []any{bad, 3}}, {"fd_renumber", []any{3, bad}}, {"fd_seek", []any{bad, 0, 0, to}}, {"fd_sync", []any{bad}},
			{"fd_tell", []any{bad, to}}, {"fd_write", []any{bad, 8, 0, to}}, {"path_create_directory", []any{bad, "x"}},
			{"path_filestat_get", []any{bad, 0, "a", to}}, {"path_filestat_set_times", []any{bad, 1, "a", 0, 0, 0}},
			{"path_link", []any{bad, 0, "a", 3, "x"}}, {"path_link", []any{3, 0, "a", bad, "x"}}, {"path_open", []any{bad, 0, "a", 0, 0, 0, 0, to}},
			{"path_readlink", []any{bad, "a", to, 1, to}}, {"path_remove_directory", []any{bad, "d"}}, {"path_rename", []any{bad, "a", 3, "x"}},
			{"path_rename", []any{3, "a", bad, "x"}}, {"path_symlink", []any{"a", bad, "x"}}, {"path_unlink_file", []any{bad, "a"}},
			{"sock_accept", []any{bad, 0, to}}, {"sock_recv", []any{bad, 8, 0, 0, to, to}}, {"sock_send", []any{bad, 8, 0, 0, to}},
			{"sock_shutdown", []any{bad, 3}},
		} {
			g.want(ebadf, c.name, c.args...)
		}
	}
	for _, c := range []struct {
		name string
		args []any
	}{
		{"fd_readdir", []any{5, 64, 10, 0, 8}}, {"path_open", []any{5, 0, "a", 0, 0, 0, 0, 8}}, {"path_unlink_file", []any{5, "a"}},
	} {
		g.want(enotdir, c.name, c.args...)
	}
	for _, name := range []string{"sock_accept", "sock_recv", "sock_send", "sock_shutdown"} {
		args := map[string][]any{"sock_accept": {5, 0, 8}, "sock_recv": {5, 8, 0, 0, 8, 8}, "sock_send": {5, 8, 0, 0, 8}, "sock_shutdown": {5, 3}}
		g.want(enotsock, name, args[name]...)
	}
	// A standard stream can be closed, and its number is used again.
	g.ok("fd_close", 1)
	g.want(ebadf, "fd_write", 1, 8, 0, 8)
	if fd := g.open(3, "b", 0, rightRead, 0); fd != 1 {
		t.Errorf("the lowest free descriptor is %d", fd)
	}
}

func TestPrestat(t *testing.T) {
	one, two := tree(t), tree(t)
	g := alone(t, policy.Policy{Dirs: []policy.Dir{{Host: one, Guest: "/"}, {Host: two, Guest: "/data/two", ReadOnly: true}}})
	to := g.alloc(8)
	for i, guest := range []string{"/", "/data/two"} {
		fd := 3 + i
		g.ok("fd_prestat_get", fd, to)
		if g.u32(to) != 0 || int(g.u32(to+4)) != len(guest) {
			t.Errorf("descriptor %d: kind %d, %d bytes", fd, g.u32(to), g.u32(to+4))
		}
		at := g.alloc(20)
		g.ok("fd_prestat_dir_name", fd, at, 20)
		if got := g.str(at, uint64(len(guest)+1)); got != guest+"\x00" {
			t.Errorf("descriptor %d: %q", fd, got)
		}
		g.want(enametoolong, "fd_prestat_dir_name", fd, at, len(guest)-1)
		g.want(efault, "fd_prestat_dir_name", fd, memorySize-2, 3)
	}
	for _, fd := range []int{0, 1, 2, 5} {
		g.want(ebadf, "fd_prestat_get", fd, to)
	}
	// An opened directory is none, and a closed one no more.
	fd := g.open(3, ".", directory, 0, 0)
	g.want(ebadf, "fd_prestat_get", fd, to)
	g.ok("fd_close", 4)
	g.want(ebadf, "fd_prestat_get", 4, to)
}

// stat is a filestat in memory.
type stat struct{ inode, kind, links, size, atime, mtime uint64 }

func (g *guest) stat(at uint64) stat {
	return stat{g.u64(at + 8), uint64(g.mem[at+16]), g.u64(at + 24), g.u64(at + 32), g.u64(at + 40), g.u64(at + 48)}
}

func TestFilestat(t *testing.T) {
	root := tree(t, "a", "content", "d/", "")
	g := alone(t, dir(root))
	fd := g.open(3, "a", 0, rightRead|rightWrite, 0)
	d := g.open(3, "d", directory, 0, 0)
	at := g.alloc(64)
	for _, c := range []struct {
		fd   uint32
		kind uint64
		size uint64
	}{{fd, 4, 7}, {d, 3, 0}, {3, 3, 0}, {0, 0, 0}, {1, 0, 0}} {
		g.ok("fd_filestat_get", c.fd, at)
		if s := g.stat(at); s.kind != c.kind || c.kind == 4 && s.size != c.size || s.links == 0 {
			t.Errorf("descriptor %d: %+v", c.fd, s)
		}
	}
	g.ok("fd_filestat_set_times", fd, 1_000_000_000_000_000_000, uint64(1_100_000_000_000_000_000), 1|4)
	g.ok("fd_filestat_get", fd, at)
	if s := g.stat(at); s.atime != 1_000_000_000_000_000_000 || s.mtime != 1_100_000_000_000_000_000 {
		t.Errorf("times %d and %d", s.atime, s.mtime)
	}
	before := uint64(time.Now().Add(-time.Minute).UnixNano())
	g.ok("fd_filestat_set_times", fd, 5, 5, 8) // the second one is now, the first one stays
	g.ok("fd_filestat_get", fd, at)
	if s := g.stat(at); s.atime != 1_000_000_000_000_000_000 || s.mtime < before {
		t.Errorf("times %d and %d", s.atime, s.mtime)
	}
	g.ok("fd_filestat_set_times", 3, 0, uint64(1_200_000_000_000_000_000), 4)
	g.ok("fd_filestat_get", 3, at)
	if s := g.stat(at); s.mtime != 1_200_000_000_000_000_000 {
		t.Errorf("the directory's time is %d", s.mtime)
	}
	g.want(einval, "fd_filestat_set_times", fd, 0, 0, 1|2)
	g.want(einval, "fd_filestat_set_times", fd, 0, 0, 4|8)
	g.want(einval, "fd_filestat_set_times", fd, 0, 0, 16)
	g.want(61, "fd_filestat_set_times", fd, uint64(1<<63), 0, 1)
	g.want(einval, "fd_filestat_set_times", 0, 0, 0, 4)
	g.want(efault, "fd_filestat_get", fd, memorySize-63)

	g.ok("fd_filestat_set_size", fd, 3)
	if got, _ := os.ReadFile(filepath.Join(root, "a")); string(got) != "con" {
		t.Errorf("cut to %q", got)
	}
	g.want(einval, "fd_filestat_set_size", fd, -1)
	g.want(einval, "fd_filestat_set_size", 3, 0)
	g.ok("fd_allocate", fd, 2, 8)
	g.ok("fd_allocate", fd, 0, 5)
	if i, _ := os.Stat(filepath.Join(root, "a")); i.Size() != 10 {
		t.Errorf("%d bytes", i.Size())
	}
	g.want(einval, "fd_allocate", fd, 0, 0)
	g.want(einval, "fd_allocate", fd, -1, 5)
	g.want(22, "fd_allocate", fd, uint64(1)<<62, uint64(1)<<62)
	g.want(ebadf, "fd_allocate", 3, 0, 1)
	g.want(espipe, "fd_allocate", 1, 0, 1)
	g.ok("fd_sync", fd)
	g.ok("fd_datasync", fd)
	g.ok("fd_sync", 3)
	g.want(einval, "fd_sync", 1)
	g.ok("fd_advise", fd, 0, 10, 5)
	g.want(einval, "fd_advise", fd, 0, 10, 6)
	g.want(einval, "fd_advise", fd, -1, 10, 0)
	g.want(ebadf, "fd_advise", 3, 0, 10, 0)
	g.want(espipe, "fd_advise", 1, 0, 10, 0)
	g.want(espipe, "fd_seek", 1, 0, 0, at)
	g.want(espipe, "fd_tell", 0, at)
	g.want(espipe, "fd_pread", 0, g.vector(span{at, 1}), 1, 0, at)
	g.want(espipe, "fd_pwrite", 1, g.vector(span{at, 1}), 1, 0, at)
	g.want(eisdir, "fd_read", 3, g.vector(span{at, 1}), 1, at)
	g.want(ebadf, "fd_write", 3, g.vector(span{at, 1}), 1, at)
	g.want(ebadf, "fd_read", 1, g.vector(span{at, 1}), 1, at)
	g.want(ebadf, "fd_write", 0, g.vector(span{at, 1}), 1, at)
	only := g.open(3, "a", 0, rightWrite, 0)
	g.want(ebadf, "fd_read", only, g.vector(span{at, 1}), 1, at)
	only = g.open(3, "a", 0, rightRead, 0)
	g.want(ebadf, "fd_write", only, g.vector(span{at, 1}), 1, at)
}

// fdstat is what fd_fdstat_get gives.
func (g *guest) fdstat(fd uint32) (kind byte, flags uint16, base, inheriting uint64) {
	g.t.Helper()
	at := g.alloc(24)
	g.ok("fd_fdstat_get", fd, at)
	return g.mem[at], g.u16(at + 2), g.u64(at + 8), g.u64(at + 16)
}

func TestFdstat(t *testing.T) {
	root := tree(t, "a", "content", "d/", "")
	p := dir(root)
	p.Dirs = append(p.Dirs, policy.Dir{Host: tree(t, "b", ""), Guest: "/ro", ReadOnly: true})
	g := alone(t, p)
	const seek, tell, openPath, create, readdir, setSize = 1 << 2, 1 << 5, 1 << 13, 1 << 10, 1 << 14, 1 << 22
	for _, c := range []struct {
		name     string
		fd       uint32
		kind     byte
		flags    uint16
		has, not uint64
		pass     uint64
	}{
		{"standard input", 0, 0, 0, rightRead, rightWrite | seek | tell, 0},
		{"standard output", 1, 0, 0, rightWrite, rightRead | seek | tell, 0},
		{"a directory", 3, 3, 0, openPath | create | readdir, rightRead | rightWrite | seek, rightRead | rightWrite | seek | tell | openPath},
		{"a read-only directory", 4, 3, 0, openPath | readdir, create | rightWrite, rightRead | seek | tell | openPath},
		{"a file to read", g.open(3, "a", 0, rightRead, 0), 4, 0, rightRead | seek | tell, rightWrite | setSize | openPath, 0},
		{"a file to append to", g.open(3, "a", 0, rightWrite, appending), 4, appending, rightWrite | seek | tell | setSize, rightRead | openPath, 0},
		{"a file to do both", g.open(3, "a", 0, everyRight, nonblock), 4, nonblock, rightRead | rightWrite | setSize, openPath, 0},
		{"an opened directory", g.open(3, "d", 0, rightRead, 0), 3, 0, openPath | create | readdir, rightRead | rightWrite, rightRead | rightWrite},
		{"a file of the read-only one", g.open(4, "b", 0, rightRead, 0), 4, 0, rightRead | seek, rightWrite | setSize, 0},
	} {
		kind, flags, base, inheriting := g.fdstat(c.fd)
		if kind != c.kind || flags != c.flags || base&c.has != c.has || base&c.not != 0 || inheriting&c.pass != c.pass || c.pass == 0 && inheriting != 0 {
			t.Errorf("%s: kind %d, flags %d, rights %#x, passing on %#x", c.name, kind, flags, base, inheriting)
		}
	}
}

func TestRights(t *testing.T) {
	root := tree(t, "a", "content", "d/", "", "d/x", "")
	g := alone(t, dir(root))
	fd := g.open(3, "a", 0, everyRight, 0)
	_, _, base, _ := g.fdstat(fd)
	g.want(enotcapable, "fd_fdstat_set_rights", fd, base|1<<13, 0)
	g.want(enotcapable, "fd_fdstat_set_rights", fd, base, 1)
	g.ok("fd_fdstat_set_rights", fd, base&^rightWrite, 0)
	if _, _, now, _ := g.fdstat(fd); now != base&^rightWrite {
		t.Errorf("rights %#x of %#x", now, base)
	}
	g.want(enotcapable, "fd_fdstat_set_rights", fd, base, 0) // not to be had back
	_, e := g.write(fd, "x")
	if e != enotcapable {
		t.Errorf("a write without the right: %d", e)
	}
	g.want(enotcapable, "fd_pwrite", fd, g.vector(), 0, 0, 8)
	if got := g.all(fd); got != "content" {
		t.Errorf("read %q", got)
	}
	// The number moves with its rights, and a new file of that number has all of them.
	g.ok("fd_renumber", fd, 2)
	if _, e := g.write(2, "x"); e != enotcapable {
		t.Errorf("a write without the right: %d", e)
	}
	g.ok("fd_close", 2)
	if fd := g.open(3, "a", 0, everyRight, 0); fd != 2 {
		t.Errorf("descriptor %d", fd)
	}
	g.print(2, "x")

	// What a directory does not pass on, what is opened from it has not got.
	_, _, base, inheriting := g.fdstat(3)
	const createDirectory, createFile, unlink, setSize, linkTarget, renameTarget, symlink = 1 << 9, 1 << 10, 1 << 26, 1 << 19, 1 << 12, 1 << 17, 1 << 24
	g.ok("fd_fdstat_set_rights", 3, base&^(createDirectory|createFile|unlink|setSize|linkTarget|renameTarget|symlink), inheriting&^(rightWrite|unlink))
	g.want(enotcapable, "path_create_directory", 3, "new")
	g.want(enotcapable, "path_unlink_file", 3, "a")
	g.want(enotcapable, "path_link", 3, 0, "a", 3, "new")
	g.want(enotcapable, "path_rename", 3, "a", 3, "new")
	g.want(enotcapable, "path_symlink", "a", 3, "new")
	for _, c := range []struct {
		oflags int
		rights uint64
	}{{creat, rightRead}, {trunc, rightRead}, {0, rightWrite}} {
		if _, e := g.tryOpen(3, "a", c.oflags, c.rights, 0); e != enotcapable {
			t.Errorf("oflags %d, rights %#x: %d", c.oflags, c.rights, e)
		}
	}
	sub := g.open(3, "d", directory, rightRead, 0)
	g.want(enotcapable, "path_unlink_file", sub, "x")
	if _, e := g.tryOpen(sub, "x", 0, rightWrite, 0); e != enotcapable {
		t.Errorf("a file of a directory that passes no right to write on: %d", e)
	}
	g.open(sub, "x", 0, rightRead, 0)
	if got, _ := os.ReadDir(root); len(got) != 2 {
		t.Errorf("%d names", len(got))
	}
}

func TestFlags(t *testing.T) {
	root := tree(t, "a", "12345")
	g := alone(t, dir(root))
	fd := g.open(3, "a", 0, rightRead|rightWrite, 0)
	g.print(fd, "x")
	g.ok("fd_fdstat_set_flags", fd, appending)
	if _, flags, _, _ := g.fdstat(fd); flags != appending {
		t.Errorf("flags %d", flags)
	}
	g.print(fd, "y")
	to := g.alloc(8)
	g.ok("fd_pwrite", fd, g.vector(span{g.bytes([]byte("z")), 1}), 1, 0, to)
	g.ok("fd_fdstat_set_flags", fd, nonblock)
	g.ok("fd_seek", fd, 1, 0, to)
	g.print(fd, "w")
	if got, _ := os.ReadFile(filepath.Join(root, "a")); string(got) != "xw345yz" {
		t.Errorf("written %q", got)
	}
	opened := g.open(3, "a", 0, rightWrite, appending)
	g.print(opened, "!")
	g.want(enotsup, "fd_fdstat_set_flags", opened, 0)
	g.ok("fd_fdstat_set_flags", opened, appending|nonblock)
	g.want(enotsup, "fd_fdstat_set_flags", fd, 16)
	g.want(einval, "fd_fdstat_set_flags", fd, 32)
	g.ok("fd_fdstat_set_flags", 0, nonblock)
	if got, _ := os.ReadFile(filepath.Join(root, "a")); string(got) != "xw345yz!" {
		t.Errorf("written %q", got)
	}
}

// dirent is one name of a directory.
type dirent struct {
	name string
	kind byte
	next uint64
}

// readdir lists a directory with a buffer of that size.
func (g *guest) readdir(fd uint32, size int) []dirent {
	g.t.Helper()
	at, to := g.alloc(size), g.alloc(4)
	var all []dirent
	for cookie := uint64(0); ; {
		g.ok("fd_readdir", fd, at, size, cookie, to)
		used := uint64(g.u32(to))
		if used > uint64(size) {
			g.t.Fatalf("%d bytes of %d", used, size)
		}
		whole := 0
		for b := uint64(0); b+24 <= used; {
			n := uint64(g.u32(at + b + 16))
			if b+24+n > used {
				break
			}
			d := dirent{g.str(at+b+24, n), g.mem[at+b+20], g.u64(at + b)}
			if g.u64(at+b+8) == 0 && runtime.GOOS != "windows" {
				g.t.Errorf("%s has no inode", d.name)
			}
			all = append(all, d)
			cookie = d.next
			b += 24 + n
			whole++
		}
		if used < uint64(size) {
			return all
		}
		if whole == 0 {
			g.t.Fatalf("a buffer of %d bytes is full without a name", size)
		}
	}
}

func TestReaddir(t *testing.T) {
	files := []string{"d/", "", "l", "-> d"}
	want := []string{". 3", ".. 3", "d 3", "l 7"}
	for i := range 150 {
		name := fmt.Sprintf("file%03d", i)
		files = append(files, name, "")
		want = append(want, name+" 4")
	}
	slices.Sort(want)
	root := tree(t, files...)
	g := alone(t, dir(root))
	before := handles(t)
	for _, c := range []struct{ room, size int }{{4096, 64 << 10}, {64, 4000}, {4096, 60}, {128, 333}} {
		g.room = c.room
		top := g.top
		var got []string
		list := g.readdir(3, c.size)
		for _, d := range list {
			got = append(got, fmt.Sprint(d.name, " ", d.kind))
		}
		if list[0].name != "." || list[1].name != ".." {
			t.Errorf("it begins with %q and %q", list[0].name, list[1].name)
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("room %d, size %d: %d names, %.200q", c.room, c.size, len(got), got)
		}
		// From each name on.
		for i, d := range list[:10] {
			to := g.alloc(1000)
			g.ok("fd_readdir", 3, to+4, 900, d.next, to)
			if name := g.str(to+4+24, uint64(g.u32(to+4+16))); name != list[i+1].name {
				t.Errorf("behind %s comes %s, not %s", d.name, name, list[i+1].name)
			}
		}
		g.top = top
	}
	g.readdir(3, 64<<10)
	if after := handles(t); after > before {
		t.Errorf("%d handles more after listing", after-before)
	}
	at := g.alloc(8)
	g.want(einval, "fd_readdir", 3, at, 100, uint64(1)<<63+2, at)
	g.want(efault, "fd_readdir", 3, memorySize-99, 100, 0, at)
	sub := g.open(3, "d", directory, 0, 0)
	if got := g.readdir(sub, 100); len(got) != 2 {
		t.Errorf("an empty directory has %v", got)
	}
}
