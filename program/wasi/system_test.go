package wasi_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/dialtone-gpu/dialtone/hostcall/policy"
	"github.com/dialtone-gpu/dialtone/program/wasi"
)

// guest is an instance whose calls a test makes, with a linear memory of its own.
type guest struct {
	t   testing.TB
	sys *wasi.System
	adapter
	mem []byte
	ctx context.Context
	top uint64 // of what is in use
}

const memorySize = 256 << 10

func newSystem(t testing.TB, p policy.Policy, instances int) *wasi.System {
	t.Helper()
	s, err := wasi.NewSystem(p, instances)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

func newGuest(t testing.TB, s *wasi.System, instance uint32) *guest {
	return &guest{t: t, sys: s, adapter: adapter{serve: s.Function(), instance: instance, room: 4096}, mem: make([]byte, memorySize), ctx: t.Context(), top: 8}
}

// alone is the one instance of a policy.
func alone(t testing.TB, p policy.Policy) *guest { return newGuest(t, newSystem(t, p, 1), 0) }

// alloc gives memory, at an odd address.
func (g *guest) alloc(n int) uint64 {
	g.top |= 1
	at := g.top
	g.top += uint64(n)
	if g.top > memorySize {
		g.t.Fatal("the test wants too much memory")
	}
	return at
}

// bytes puts bytes into memory.
func (g *guest) bytes(b []byte) uint64 {
	at := g.alloc(len(b))
	copy(g.mem[at:], b)
	return at
}

// vector puts pairs of pointer and length into memory.
func (g *guest) vector(list ...span) uint64 {
	at := g.alloc(8 * len(list))
	for i, s := range list {
		binary.LittleEndian.PutUint32(g.mem[at+8*uint64(i):], uint32(s.at))
		binary.LittleEndian.PutUint32(g.mem[at+8*uint64(i)+4:], uint32(s.n))
	}
	return at
}

func (g *guest) u16(at uint64) uint16    { return binary.LittleEndian.Uint16(g.mem[at:]) }
func (g *guest) u32(at uint64) uint32    { return binary.LittleEndian.Uint32(g.mem[at:]) }
func (g *guest) u64(at uint64) uint64    { return binary.LittleEndian.Uint64(g.mem[at:]) }
func (g *guest) str(at, n uint64) string { return string(g.mem[at : at+n]) }

// do makes a call by name. Strings among the arguments are put into memory and become pointer and length.
func (g *guest) do(name string, args ...any) uint32 {
	g.t.Helper()
	c, ok := wasi.Lookup(name)
	if !ok {
		g.t.Fatalf("no call %s", name)
	}
	var words []uint64
	for _, a := range args {
		switch a := a.(type) {
		case string:
			words = append(words, g.bytes([]byte(a)), uint64(len(a)))
		case int:
			words = append(words, uint64(a))
		case int32:
			words = append(words, uint64(uint32(a)))
		case uint32:
			words = append(words, uint64(a))
		case uint64:
			words = append(words, a)
		default:
			g.t.Fatalf("an argument of type %T", a)
		}
	}
	if len(words) != len(c.Params) {
		g.t.Fatalf("%s has %d parameters, got %d", name, len(c.Params), len(words))
	}
	e, ended, err := g.call(g.ctx, g.mem, c, words)
	if err != nil {
		g.t.Fatalf("%s: %v", name, err)
	}
	if ended {
		return ended32
	}
	return e
}

// ended32 is what do gives of a call that ends the instance.
const ended32 = 1 << 31

// want makes a call that must give that errno.
func (g *guest) want(errno uint32, name string, args ...any) {
	g.t.Helper()
	if e := g.do(name, args...); e != errno {
		g.t.Errorf("%s%v gives %d, want %d", name, args, e, errno)
	}
}

// ok makes a call that must succeed.
func (g *guest) ok(name string, args ...any) {
	g.t.Helper()
	if e := g.do(name, args...); e != 0 {
		g.t.Fatalf("%s%v gives %d", name, args, e)
	}
}

// All rights that there are.
const everyRight = uint64(1<<30 - 1)

// Rights by name, as the definition numbers them.
const (
	rightRead  = uint64(1 << 1)
	rightWrite = uint64(1 << 6)
)

const (
	creat, directory, excl, trunc = 1, 2, 4, 8 // oflags
	appending, nonblock           = 1, 4       // fdflags
)

// open opens a path from a directory, following links.
func (g *guest) open(dir uint32, path string, oflags int, rights uint64, fdflags int) uint32 {
	g.t.Helper()
	fd, e := g.tryOpen(dir, path, oflags, rights, fdflags)
	if e != 0 {
		g.t.Fatalf("path_open %s gives %d", path, e)
	}
	return fd
}

func (g *guest) tryOpen(dir uint32, path string, oflags int, rights uint64, fdflags int) (fd, errno uint32) {
	g.t.Helper()
	to := g.alloc(4)
	e := g.do("path_open", dir, 1, path, oflags, rights, everyRight, fdflags, to)
	return g.u32(to), e
}

// write writes a text in pieces of one, two, three... bytes.
func (g *guest) write(fd uint32, text string) (n, errno uint32) {
	g.t.Helper()
	var list []span
	for i := 1; len(text) > 0; i++ {
		k := min(i, len(text))
		list = append(list, span{g.bytes([]byte(text[:k])), uint64(k)})
		text = text[k:]
	}
	to := g.alloc(4)
	e := g.do("fd_write", fd, g.vector(list...), len(list), to)
	return g.u32(to), e
}

func (g *guest) print(fd uint32, text string) {
	g.t.Helper()
	if n, e := g.write(fd, text); e != 0 || int(n) != len(text) {
		g.t.Fatalf("fd_write of %d bytes to %d gives %d and writes %d", len(text), fd, e, n)
	}
}

// read reads up to n bytes into three pieces.
func (g *guest) read(fd uint32, n int) (string, uint32) {
	g.t.Helper()
	a := n / 3
	at := []uint64{g.alloc(a), g.alloc(1), g.alloc(n - a)}
	to := g.alloc(4)
	e := g.do("fd_read", fd, g.vector(span{at[0], uint64(a)}, span{at[1], 0}, span{at[2], uint64(n - a)}), 3, to)
	got := uint64(g.u32(to))
	if e != 0 {
		return "", e
	}
	first := min(got, uint64(a))
	return g.str(at[0], first) + g.str(at[2], got-first), e
}

// all reads to the end.
func (g *guest) all(fd uint32) string {
	g.t.Helper()
	var b bytes.Buffer
	for {
		top := g.top
		s, e := g.read(fd, 999)
		g.top = top
		if e != 0 {
			g.t.Fatalf("fd_read gives %d", e)
		}
		if s == "" {
			return b.String()
		}
		b.WriteString(s)
	}
}

// tree makes files for a test: name and content; a name that ends with a slash is a directory, content after "-> " the target of a link.
func tree(t testing.TB, files ...string) string {
	t.Helper()
	root := t.TempDir()
	for i := 0; i < len(files); i += 2 {
		name, content := filepath.Join(root, filepath.FromSlash(files[i])), files[i+1]
		var err error
		if to, ok := bytes.CutPrefix([]byte(content), []byte("-> ")); ok {
			err = os.Symlink(filepath.FromSlash(string(to)), name)
		} else if files[i][len(files[i])-1] == '/' {
			err = os.Mkdir(name, 0o755)
		} else {
			err = os.WriteFile(name, []byte(content), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func dir(root string) policy.Policy {
	return policy.Policy{Dirs: []policy.Dir{{Host: root, Guest: "/"}}}
}
