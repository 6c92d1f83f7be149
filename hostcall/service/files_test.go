package service

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dialtone-gpu/dialtone/hostcall/errno"
	"github.com/dialtone-gpu/dialtone/hostcall/policy"
)

var background = context.Background()

// newFiles returns the files of a fresh directory that is "/", and that directory.
func newFiles(t testing.TB) (*Files, string) {
	t.Helper()
	dir := t.TempDir()
	return openFiles(t, policy.Policy{Dirs: []policy.Dir{{Host: dir, Guest: "/"}}}), dir
}

func openFiles(t testing.TB, p policy.Policy) *Files {
	t.Helper()
	f, err := NewFiles(p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// want fails the test unless got is want.
func want(t testing.TB, what string, got, want errno.Errno) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func mustOpen(t testing.TB, f *Files, path string, flags OpenFlags) int32 {
	t.Helper()
	fd, e := f.Open(path, flags, 0o644)
	if e != errno.OK {
		t.Fatalf("open %s: %v", path, e)
	}
	return fd
}

// put makes a file of the host, with its directories.
func put(t testing.TB, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func content(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func symlink(t testing.TB, target, path string) {
	t.Helper()
	if err := os.Symlink(target, path); err != nil {
		t.Skipf("symbolic links cannot be made here: %v", err)
	}
}

func TestReadWhatWasWritten(t *testing.T) {
	f, dir := newFiles(t)
	fd, e := f.Open("/a.txt", ReadWrite|Create|Exclusive, 0o644)
	if e != errno.OK || fd != 3 {
		t.Fatalf("open: fd %d, %v", fd, e)
	}
	if n, e := f.Write(fd, []byte("hello, world\n")); n != 13 || e != errno.OK {
		t.Fatalf("write: %d, %v", n, e)
	}
	if at, e := f.Seek(fd, 7, SeekSet); at != 7 || e != errno.OK {
		t.Fatalf("seek: %d, %v", at, e)
	}
	b := make([]byte, 100)
	if n, e := f.Read(background, fd, b); string(b[:n]) != "world\n" || e != errno.OK {
		t.Fatalf("read: %q, %v", b[:n], e)
	}
	if n, e := f.Read(background, fd, b); n != 0 || e != errno.OK {
		t.Fatalf("read at the end: %d, %v", n, e)
	}
	if n, e := f.Pread(fd, b[:5], 0); string(b[:n]) != "hello" || e != errno.OK {
		t.Fatalf("pread: %q, %v", b[:n], e)
	}
	if n, e := f.Pread(fd, b, 7); string(b[:n]) != "world\n" || e != errno.OK {
		t.Fatalf("short pread: %q, %v", b[:n], e)
	}
	if n, e := f.Pread(fd, b, 1000); n != 0 || e != errno.OK {
		t.Fatalf("pread behind the end: %d, %v", n, e)
	}
	if n, e := f.Pwrite(fd, []byte("WORLD"), 7); n != 5 || e != errno.OK {
		t.Fatalf("pwrite: %d, %v", n, e)
	}
	if at, e := f.Seek(fd, 0, SeekCur); at != 13 || e != errno.OK {
		t.Fatalf("pread or pwrite moved the position: %d, %v", at, e)
	}
	if at, e := f.Seek(fd, -6, SeekEnd); at != 7 || e != errno.OK {
		t.Fatalf("seek from the end: %d, %v", at, e)
	}
	s, e := f.Stat("a.txt")
	if e != errno.OK || s.Size != 13 || s.Kind != KindFile {
		t.Fatalf("stat: %+v, %v", s, e)
	}
	if got := content(t, filepath.Join(dir, "a.txt")); got != "hello, WORLD\n" {
		t.Fatalf("on the host: %q", got)
	}
	want(t, "close", f.CloseFD(fd), errno.OK)
	want(t, "second close", f.CloseFD(fd), errno.EBADF)
}

func TestNothingWithoutPolicy(t *testing.T) {
	f := openFiles(t, policy.Policy{})
	for _, path := range []string{"/", ".", "/etc/passwd", "etc", "..", "/dev/stdin"} {
		_, e := f.Open(path, ReadOnly, 0)
		want(t, "open "+path, e, errno.ENOTCAPABLE)
		_, e = f.Stat(path)
		want(t, "stat "+path, e, errno.ENOTCAPABLE)
		want(t, "mkdir "+path, f.Mkdir(path, 0o755), errno.ENOTCAPABLE)
	}
	b := make([]byte, 8)
	if n, e := f.Read(background, 0, b); n != 0 || e != errno.OK {
		t.Errorf("empty standard input: %d, %v", n, e)
	}
	for fd := int32(1); fd <= 2; fd++ {
		if n, e := f.Write(fd, b); n != 8 || e != errno.OK {
			t.Errorf("discarded output %d: %d, %v", fd, n, e)
		}
		if n, e := f.WriteAll(fd, [][]byte{b, b}); n != 16 || e != errno.OK {
			t.Errorf("discarded output %d: %d, %v", fd, n, e)
		}
	}
}

// TestErrors is the table of what fails how.
func TestErrors(t *testing.T) {
	f, dir := newFiles(t)
	put(t, dir, "file", "content")
	put(t, dir, "dir/inner", "")
	os.Mkdir(filepath.Join(dir, "empty"), 0o755)
	r := mustOpen(t, f, "file", ReadOnly)
	w := mustOpen(t, f, "file", WriteOnly)
	d := mustOpen(t, f, "dir", ReadOnly)
	b := make([]byte, 4)
	open := func(path string, flags OpenFlags) errno.Errno {
		fd, e := f.Open(path, flags, 0o644)
		if e == errno.OK {
			f.CloseFD(fd)
		} else if fd >= 0 {
			t.Errorf("open %s: descriptor %d with %v", path, fd, e)
		}
		return e
	}
	second := func(_ int, e errno.Errno) errno.Errno { return e }
	at := func(_ int64, e errno.Errno) errno.Errno { return e }
	st := func(_ Stat, e errno.Errno) errno.Errno { return e }
	list := make([]Dirent, 1)
	long := strings.Repeat("n", 256)

	for _, c := range []struct {
		what string
		got  errno.Errno
		want errno.Errno
	}{
		{"open nothing", open("none", ReadOnly), errno.ENOENT},
		{"open the empty path", open("", ReadOnly), errno.ENOENT},
		{"open NUL", open("a\x00b", ReadOnly|Create), errno.EINVAL},
		{"open a long name", open(long, ReadOnly), errno.ENAMETOOLONG},
		{"open a long path", open(strings.Repeat("a/", MaxPath), ReadOnly), errno.ENAMETOOLONG},
		{"open a directory to write", open("dir", WriteOnly), errno.EISDIR},
		{"open a directory to write", open("/", ReadWrite), errno.EISDIR},
		{"open a file as a directory", open("file", ReadOnly|Directory), errno.ENOTDIR},
		{"open below a file", open("file/x", ReadOnly), errno.ENOTDIR},
		{"open a file with a slash", open("file/", ReadOnly), errno.ENOTDIR},
		{"make what exists", open("file", WriteOnly|Create|Exclusive), errno.EEXIST},
		{"make without a parent", open("none/x", WriteOnly|Create), errno.ENOENT},
		{"open with unknown flags", open("file", 1<<30), errno.EINVAL},
		{"open for nothing", open("file", 3), errno.EINVAL},
		{"truncate without writing", open("file", ReadOnly|Truncate), errno.EINVAL},
		{"exclusive without create", open("file", ReadOnly|Exclusive), errno.EINVAL},
		{"create a directory", open("x", ReadOnly|Create|Directory), errno.EINVAL},
		{"open with dots", open("./dir/../file", ReadOnly), errno.OK},
		{"open with slashes", open("//dir//./inner", ReadOnly), errno.OK},

		{"read a bad descriptor", second(f.Read(background, 99, b)), errno.EBADF},
		{"read a negative descriptor", second(f.Read(background, -1, b)), errno.EBADF},
		{"read a huge descriptor", second(f.Read(background, 1<<30, b)), errno.EBADF},
		{"read a directory", second(f.Read(background, d, b)), errno.EISDIR},
		{"read what is for writing", second(f.Read(background, w, b)), errno.EBADF},
		{"read standard output", second(f.Read(background, 1, b)), errno.EBADF},
		{"write what is for reading", second(f.Write(r, b)), errno.EBADF},
		{"write standard input", second(f.Write(0, b)), errno.EBADF},
		{"write a directory", second(f.Write(d, b)), errno.EBADF},
		{"write all to what is for reading", second(f.WriteAll(r, [][]byte{b})), errno.EBADF},
		{"pread before the start", second(f.Pread(r, b, -1)), errno.EINVAL},
		{"pread a directory", second(f.Pread(d, b, 0)), errno.EISDIR},
		{"pread what is for writing", second(f.Pread(w, b, 0)), errno.EBADF},
		{"pread standard input", second(f.Pread(0, b, 0)), errno.ESPIPE},
		{"pread standard output", second(f.Pread(1, b, 0)), errno.EBADF},
		{"pwrite before the start", second(f.Pwrite(w, b, -1)), errno.EINVAL},
		{"pwrite what is for reading", second(f.Pwrite(r, b, 0)), errno.EBADF},
		{"pwrite standard output", second(f.Pwrite(1, b, 0)), errno.ESPIPE},
		{"seek standard input", at(f.Seek(0, 0, SeekCur)), errno.ESPIPE},
		{"seek standard error", at(f.Seek(2, 0, SeekCur)), errno.ESPIPE},
		{"seek before the start", at(f.Seek(r, -1, SeekSet)), errno.EINVAL},
		{"seek from nowhere", at(f.Seek(r, 0, 3)), errno.EINVAL},
		{"seek from nowhere", at(f.Seek(r, 0, -1)), errno.EINVAL},
		{"seek a directory", at(f.Seek(d, 0, SeekSet)), errno.EISDIR},
		{"seek a bad descriptor", at(f.Seek(99, 0, SeekSet)), errno.EBADF},
		{"truncate below nothing", f.Truncate(w, -1), errno.EINVAL},
		{"truncate what is for reading", f.Truncate(r, 1), errno.EINVAL},
		{"truncate a directory", f.Truncate(d, 1), errno.EINVAL},
		{"truncate standard output", f.Truncate(1, 1), errno.EINVAL},
		{"truncate a bad descriptor", f.Truncate(99, 1), errno.EBADF},
		{"sync standard output", f.Fsync(1), errno.EINVAL},
		{"sync a bad descriptor", f.Fsync(99), errno.EBADF},
		{"sync a file", f.Fsync(w), errno.OK},
		{"stat a bad descriptor", st(f.Fstat(99)), errno.EBADF},
		{"stat nothing", st(f.Stat("none")), errno.ENOENT},
		{"list a file", second(f.Readdir(r, 0, list)), errno.ENOTDIR},
		{"list standard input", second(f.Readdir(0, 0, list)), errno.ENOTDIR},
		{"list a bad descriptor", second(f.Readdir(99, 0, list)), errno.EBADF},
		{"list into nothing", second(f.Readdir(d, 0, nil)), errno.EINVAL},
		{"list from nowhere", second(f.Readdir(d, 1<<63, list)), map[bool]errno.Errno{true: errno.EINVAL}[runtime.GOOS == "linux"]},

		{"mkdir what exists", f.Mkdir("dir", 0o755), errno.EEXIST},
		{"mkdir over a file", f.Mkdir("file", 0o755), errno.EEXIST},
		{"mkdir without a parent", f.Mkdir("none/x", 0o755), errno.ENOENT},
		{"mkdir below a file", f.Mkdir("file/x", 0o755), errno.ENOTDIR},
		{"mkdir the root", f.Mkdir("/", 0o755), errno.EEXIST},
		{"unlink nothing", f.Unlink("none"), errno.ENOENT},
		{"unlink a directory", f.Unlink("empty"), errno.EISDIR},
		{"unlink the root", f.Unlink("/"), errno.EISDIR},
		{"rmdir nothing", f.Rmdir("none"), errno.ENOENT},
		{"rmdir a file", f.Rmdir("file"), errno.ENOTDIR},
		{"rmdir what is not empty", f.Rmdir("dir"), errno.ENOTEMPTY},
		{"rmdir the root", f.Rmdir("/"), errno.EBUSY},
		{"rmdir the root", f.Rmdir("dir/.."), errno.EINVAL},
		{"rename nothing", f.Rename("none", "x"), errno.ENOENT},
		{"rename into nothing", f.Rename("file", "none/x"), errno.ENOENT},
		{"rename a file onto a directory", f.Rename("file", "empty"), errno.EISDIR},
		{"rename a directory onto a file", f.Rename("empty", "file"), errno.ENOTDIR},
		{"rename a directory onto a full one", f.Rename("empty", "dir"), errno.ENOTEMPTY},
		{"rename a directory into itself", f.Rename("dir", "dir/x"), errno.EINVAL},
		{"rename the root", f.Rename("/", "x"), errno.EBUSY},
		{"rename onto the root", f.Rename("file", "/"), errno.EBUSY},
		{"rename onto itself", f.Rename("file", "file"), errno.OK},
		{"rename a directory onto itself", f.Rename("empty", "empty"), errno.OK},
		{"readlink a file", func() errno.Errno { _, e := f.Readlink("file"); return e }(), errno.EINVAL},
		{"link to what exists", f.Link("file", "dir"), errno.EEXIST},
		{"link nothing", f.Link("none", "x"), errno.ENOENT},
		{"symlink to nothing", f.Symlink("", "x"), errno.ENOENT},
		{"symlink to the host", f.Symlink("/etc/passwd", "x"), errno.ENOTCAPABLE},
		{"symlink over a file", f.Symlink("dir", "file"), errno.EEXIST},
		{"symlink with NUL", f.Symlink("a\x00", "x"), errno.EINVAL},
		{"symlink to a long path", f.Symlink(strings.Repeat("a", MaxPath+1), "x"), errno.ENAMETOOLONG},
		{"set times of nothing", f.SetTimes("none", 0, 0), errno.ENOENT},
		{"start at a file", func() errno.Errno { _, e := f.OpenAt(r, "x", ReadOnly, 0); return e }(), errno.ENOTDIR},
		{"start at a bad descriptor", func() errno.Errno { _, e := f.OpenAt(99, "x", ReadOnly, 0); return e }(), errno.EBADF},
		{"renumber nothing", f.Renumber(99, r), errno.EBADF},
		{"renumber to nothing", f.Renumber(r, 99), errno.EBADF},
		{"renumber to itself", f.Renumber(r, r), errno.OK},
	} {
		if runtime.GOOS == "windows" && c.got != c.want && c.got != errno.OK && c.want != errno.OK {
			t.Logf("%s: %v here, %v elsewhere", c.what, c.got, c.want) // Windows tells some of these apart differently
			continue
		}
		want(t, c.what, c.got, c.want)
	}
	if got := content(t, filepath.Join(dir, "file")); got != "content" {
		t.Errorf("the file has changed: %q", got)
	}
}

func TestDenied(t *testing.T) {
	if os.Getuid() == 0 || runtime.GOOS == "windows" {
		t.Skip("permissions do not bind this user")
	}
	f, dir := newFiles(t)
	path := put(t, dir, "secret", "x")
	os.Chmod(path, 0)
	put(t, dir, "d/x", "")
	os.Chmod(filepath.Join(dir, "d"), 0o400)
	defer os.Chmod(filepath.Join(dir, "d"), 0o700)
	_, e := f.Open("secret", ReadOnly, 0)
	want(t, "open", e, errno.EACCES)
	_, e = f.Stat("d/x")
	want(t, "stat in a directory without search permission", e, errno.EACCES)
	// Listing needs no search permission; starting a path there does.
	fd := mustOpen(t, f, "d", ReadOnly|Directory)
	if runtime.GOOS == "linux" {
		list := make([]Dirent, 4)
		if n, e := f.Readdir(fd, 0, list); n != 1 || e != errno.OK || list[0].Name != "x" {
			t.Errorf("list: %d, %v", n, e)
		}
	}
	_, e = f.OpenAt(fd, "x", ReadOnly, 0)
	want(t, "open from it", e, errno.EACCES)
}

func TestReadOnly(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "file", "content")
	put(t, dir, "d/x", "")
	f := openFiles(t, policy.Policy{Dirs: []policy.Dir{{Host: dir, Guest: "/in", ReadOnly: true}}})
	open := func(path string, flags OpenFlags) errno.Errno {
		fd, e := f.Open(path, flags, 0o644)
		f.CloseFD(fd)
		return e
	}
	r := mustOpen(t, f, "/in/file", ReadOnly)
	d := mustOpen(t, f, "/in/d", ReadOnly|Directory)
	for _, c := range []struct {
		what      string
		got, want errno.Errno
	}{
		{"read", open("/in/file", ReadOnly), errno.OK},
		{"write", open("/in/file", WriteOnly), errno.EROFS},
		{"truncate", open("/in/file", ReadWrite|Truncate), errno.EROFS},
		{"append", open("/in/file", WriteOnly|Append), errno.EROFS},
		{"create", open("/in/new", WriteOnly|Create), errno.EROFS},
		{"create to read", open("/in/new", ReadOnly|Create), errno.EROFS},
		{"create what exists", open("/in/file", ReadOnly|Create), errno.OK},
		{"create exclusively what exists", open("/in/file", ReadOnly|Create|Exclusive), errno.EEXIST},
		{"write a directory", open("/in/d", WriteOnly), errno.EROFS},
		{"write outside", open("/in/../x", WriteOnly|Create), errno.ENOTCAPABLE},
		{"mkdir", f.Mkdir("/in/new", 0o755), errno.EROFS},
		{"mkdir outside", f.Mkdir("/in/../x", 0o755), errno.ENOTCAPABLE},
		{"unlink", f.Unlink("/in/file"), errno.EROFS},
		{"unlink nothing", f.Unlink("/in/none"), errno.EROFS},
		{"rmdir", f.Rmdir("/in/d"), errno.EROFS},
		{"rename", f.Rename("/in/file", "/in/new"), errno.EROFS},
		{"link", f.Link("/in/file", "/in/new"), errno.EROFS},
		{"symlink", f.Symlink("file", "/in/new"), errno.EROFS},
		{"set times", f.SetTimes("/in/file", 0, 0), errno.EROFS},
		{"truncate a descriptor", f.Truncate(r, 0), errno.EROFS},
		{"write a descriptor", func() errno.Errno { _, e := f.Write(r, []byte("x")); return e }(), errno.EBADF},
		{"write from a directory", func() errno.Errno { _, e := f.OpenAt(d, "x", WriteOnly, 0); return e }(), errno.EROFS},
		{"unlink from a directory", f.UnlinkAt(d, "x"), errno.EROFS},
		{"sync", f.Fsync(r), errno.OK},
	} {
		want(t, c.what, c.got, c.want)
	}
	if got := content(t, filepath.Join(dir, "file")); got != "content" {
		t.Errorf("the file has changed: %q", got)
	}
	names, _ := os.ReadDir(dir)
	if len(names) != 2 {
		t.Errorf("the directory has changed: %v", names)
	}
}

func TestSeveralDirs(t *testing.T) {
	a, b, c := t.TempDir(), t.TempDir(), t.TempDir()
	put(t, a, "name", "a")
	put(t, a, "data/name", "shadowed")
	put(t, a, "database/name", "not data")
	put(t, b, "name", "b")
	put(t, c, "name", "c")
	f := openFiles(t, policy.Policy{Dirs: []policy.Dir{
		{Host: a, Guest: "/"}, {Host: b, Guest: "/data"}, {Host: c, Guest: "/data/deep/er"},
	}})
	for path, want := range map[string]string{
		"/name": "a", "name": "a", "./name": "a",
		"/data/name": "b", "data/name": "b", "/./data/././name": "b", "//data//name": "b",
		"/data/deep/er/name": "c", "database/name": "not data",
	} {
		fd := mustOpen(t, f, path, ReadOnly)
		buf := make([]byte, 20)
		if n, e := f.Read(background, fd, buf); e != errno.OK || string(buf[:n]) != want {
			t.Errorf("%s: %q, %v; want %q", path, buf[:n], e, want)
		}
	}
	_, e := f.Stat("/data/../name")
	want(t, "from one directory up into another", e, errno.ENOTCAPABLE)
	_, e = f.Stat("/data/deep")
	want(t, "a directory that is only on the way to another", e, errno.ENOENT)
	want(t, "rename across", f.Rename("/name", "/data/x"), errno.EXDEV)
	want(t, "link across", f.Link("/name", "/data/x"), errno.EXDEV)
	want(t, "rmdir of a directory of the policy", f.Rmdir("/data"), errno.EBUSY)
	want(t, "rename of a directory of the policy", f.Rename("/data", "/data/x"), errno.EBUSY)

	pre, e := f.Preopens()
	want(t, "preopens", e, errno.OK)
	for i, guest := range []string{"/", "/data", "/data/deep/er"} {
		if pre[i].Guest != guest {
			t.Errorf("preopen %d is %+v", i, pre[i])
		}
		if s, e := f.StatAt(pre[i].FD, "name", true); e != errno.OK || s.Size != 1 {
			t.Errorf("stat from %s: %+v, %v", guest, s, e)
		}
	}
}

func TestNewFilesFails(t *testing.T) {
	dir := t.TempDir()
	file := put(t, dir, "file", "")
	inner := filepath.Join(dir, "a", "b")
	os.MkdirAll(inner, 0o755)
	for name, c := range map[string]struct {
		dirs  []policy.Dir
		fails string
	}{
		"missing":             {[]policy.Dir{{Host: filepath.Join(dir, "none"), Guest: "/"}}, "none"},
		"a file":              {[]policy.Dir{{Host: file, Guest: "/"}}, "not a directory"},
		"relative guest":      {[]policy.Dir{{Host: dir, Guest: "x"}}, "write /x"},
		"read-only inside":    {[]policy.Dir{{Host: dir, Guest: "/"}, {Host: inner, Guest: "/in", ReadOnly: true}}, "lies inside"},
		"writable inside":     {[]policy.Dir{{Host: dir, Guest: "/", ReadOnly: true}, {Host: inner, Guest: "/out"}}, ""},
		"both read-only":      {[]policy.Dir{{Host: dir, Guest: "/", ReadOnly: true}, {Host: inner, Guest: "/in", ReadOnly: true}}, ""},
		"the same, two names": {[]policy.Dir{{Host: dir, Guest: "/out"}, {Host: dir, Guest: "/in", ReadOnly: true}}, ""},
	} {
		f, err := NewFiles(policy.Policy{Dirs: c.dirs})
		if err == nil {
			f.Close()
		}
		if (err == nil) != (c.fails == "") || err != nil && !strings.Contains(err.Error(), c.fails) {
			t.Errorf("%s: %v, want an error with %q", name, err, c.fails)
		}
	}
}

func TestReadOnlyInsideThroughLink(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	os.Mkdir(filepath.Join(dir, "in"), 0o755)
	symlink(t, filepath.Join(dir, "in"), filepath.Join(other, "link"))
	f, err := NewFiles(policy.Policy{Dirs: []policy.Dir{{Host: dir, Guest: "/"}, {Host: filepath.Join(other, "link"), Guest: "/in", ReadOnly: true}}})
	if err == nil {
		f.Close()
		t.Error("a read-only directory inside a writable one was accepted")
	}
}

func TestAppend(t *testing.T) {
	f, dir := newFiles(t)
	path := put(t, dir, "log", "0")
	fd := mustOpen(t, f, "log", ReadWrite|Append)
	f.Seek(fd, 0, SeekSet)
	f.Write(fd, []byte("1"))
	if at, _ := f.Seek(fd, 0, SeekCur); at != 2 {
		t.Errorf("position after an append: %d", at)
	}
	f.Seek(fd, 1, SeekSet)
	if n, e := f.Pwrite(fd, []byte("2"), 0); n != 1 || e != errno.OK {
		t.Errorf("pwrite: %d, %v", n, e)
	}
	if at, _ := f.Seek(fd, 0, SeekCur); at != 1 {
		t.Errorf("position after pwrite: %d", at)
	}
	f.WriteAll(fd, [][]byte{[]byte("3"), nil, []byte("4")})
	if got := content(t, path); got != "01234" {
		t.Errorf("file: %q", got)
	}
	if flags, e := f.Flags(fd); flags != ReadWrite|Append || e != errno.OK {
		t.Errorf("flags: %o, %v", flags, e)
	}
}

func TestTruncateAndHoles(t *testing.T) {
	f, dir := newFiles(t)
	path := put(t, dir, "x", "0123456789")
	fd := mustOpen(t, f, "x", ReadWrite)
	want(t, "shorten", f.Truncate(fd, 4), errno.OK)
	want(t, "lengthen", f.Truncate(fd, 6), errno.OK)
	if n, e := f.Pwrite(fd, []byte("!"), 8); n != 1 || e != errno.OK {
		t.Errorf("write behind the end: %d, %v", n, e)
	}
	if got := content(t, path); got != "0123\x00\x00\x00\x00!" {
		t.Errorf("file: %q", got)
	}
	mustOpen(t, f, "x", WriteOnly|Create|Truncate)
	if got := content(t, path); got != "" {
		t.Errorf("file after Truncate: %q", got)
	}
}

func TestTree(t *testing.T) {
	f, dir := newFiles(t)
	want(t, "mkdir", f.Mkdir("/a", 0o755), errno.OK)
	want(t, "mkdir with a slash", f.Mkdir("/a/b/", 0o755), errno.OK)
	fd := mustOpen(t, f, "/a/b/c", WriteOnly|Create)
	f.Write(fd, []byte("x"))
	want(t, "rename", f.Rename("/a/b/c", "/d"), errno.OK)
	put(t, dir, "e", "old")
	want(t, "rename onto a file", f.Rename("/d", "/e"), errno.OK)
	if got := content(t, filepath.Join(dir, "e")); got != "x" {
		t.Errorf("renamed file: %q", got)
	}
	if n, e := f.Write(fd, []byte("y")); n != 1 || e != errno.OK {
		t.Errorf("write to a renamed file: %d, %v", n, e)
	}
	want(t, "unlink", f.Unlink("/e"), errno.OK)
	if n, e := f.Write(fd, []byte("z")); runtime.GOOS != "windows" && (n != 1 || e != errno.OK) {
		t.Errorf("write to a removed file: %d, %v", n, e)
	}
	want(t, "mkdir", f.Mkdir("/empty", 0o755), errno.OK)
	want(t, "rename a directory onto an empty one", f.Rename("/a", "/empty"), errno.OK)
	if s, e := f.Stat("/empty/b"); e != errno.OK || s.Kind != KindDir {
		t.Errorf("stat of what was renamed: %+v, %v", s, e)
	}
	want(t, "mkdir", f.Mkdir("/empty/b/in", 0o755), errno.OK)
	want(t, "rename a directory onto an empty one in itself", f.Rename("/empty", "/empty/b/in"), errno.EINVAL)
	if _, e := f.Stat("/empty/b/in"); e != errno.OK {
		t.Errorf("the empty directory has gone: %v", e)
	}
	f.Rmdir("/empty/b/in")
	want(t, "rmdir", f.Rmdir("/empty/b/"), errno.OK)
	want(t, "rmdir", f.Rmdir("/empty"), errno.OK)
	if names, _ := os.ReadDir(dir); len(names) != 0 {
		t.Errorf("left over: %v", names)
	}
}

func TestLinks(t *testing.T) {
	f, dir := newFiles(t)
	put(t, dir, "d/file", "content")
	if e := f.Symlink("d/file", "/link"); e != errno.OK {
		t.Skipf("symbolic links cannot be made here: %v", e)
	}
	if got, e := f.Readlink("link"); got != "d/file" || e != errno.OK {
		t.Errorf("readlink: %q, %v", got, e)
	}
	if s, _ := f.Stat("link"); s.Kind != KindFile {
		t.Errorf("stat: %+v", s)
	}
	if s, _ := f.Lstat("link"); s.Kind != KindSymlink {
		t.Errorf("lstat: %+v", s)
	}
	mustOpen(t, f, "link", ReadOnly)
	_, e := f.Open("link", ReadOnly|NoFollow, 0)
	want(t, "open without following", e, errno.ELOOP)
	mustOpen(t, f, "d/file", ReadOnly|NoFollow)
	mustOpen(t, f, "d/made", WriteOnly|Create|NoFollow)
	_, e = f.Open("link", WriteOnly|Create|Exclusive, 0o644)
	want(t, "make what is a link", e, errno.EEXIST)
	want(t, "unlink", f.Unlink("link"), errno.OK)
	if _, e := f.Stat("d/file"); e != errno.OK {
		t.Error("unlink followed the link")
	}

	symlink(t, "d", filepath.Join(dir, "dirlink"))
	mustOpen(t, f, "dirlink/file", ReadOnly)
	mustOpen(t, f, "dirlink", ReadOnly|Directory)
	// What ".." means depends on where the link leads: this is d/..
	if _, e := f.Stat("dirlink/../d/file"); e != errno.OK {
		t.Errorf("stat through a link and ..: %v", e)
	}
	os.MkdirAll(filepath.Join(dir, "x", "y"), 0o755)
	put(t, dir, "x/here", "")
	symlink(t, filepath.Join("x", "y"), filepath.Join(dir, "deep"))
	if _, e := f.Stat("deep/../here"); e != errno.OK && runtime.GOOS != "windows" {
		t.Errorf("deep/../here is x/here: %v", e)
	}
	_, e = f.Stat("here")
	want(t, "here without the link", e, errno.ENOENT)

	symlink(t, "loop", filepath.Join(dir, "loop"))
	_, e = f.Stat("loop")
	want(t, "a link to itself", e, errno.ELOOP)

	want(t, "link", f.Link("d/file", "hard"), errno.OK)
	a, _ := f.Stat("d/file")
	b, _ := f.Stat("hard")
	if runtime.GOOS != "windows" && (a.Inode != b.Inode || b.Nlink != 2 || a.Inode == 0) {
		t.Errorf("hard link: %+v and %+v", a, b)
	}
}

func TestStat(t *testing.T) {
	f, dir := newFiles(t)
	path := put(t, dir, "x", "12345")
	os.Chmod(path, 0o640)
	at := time.Date(2020, 2, 3, 4, 5, 6, 789_000_000, time.UTC)
	want(t, "set times", f.SetTimes("x", at.UnixNano(), at.Add(time.Hour).UnixNano()), errno.OK)
	fd := mustOpen(t, f, "x", ReadOnly)
	s, _ := f.Stat("x")
	fs, e := f.Fstat(fd)
	fs.ATime = s.ATime // nothing was read, but some systems set it
	if e != errno.OK || s != fs {
		t.Errorf("stat %+v and fstat %+v, %v", s, fs, e)
	}
	if s.Size != 5 || s.Kind != KindFile || s.MTime != at.Add(time.Hour).UnixNano() || s.Nlink != 1 || s.CTime == 0 {
		t.Errorf("stat: %+v", s)
	}
	if runtime.GOOS != "windows" && (s.Mode != 0o640 || s.Inode == 0 || s.Dev == 0) {
		t.Errorf("stat: %+v", s)
	}
	want(t, "leave a time", f.SetTimes("x", OmitTime, at.UnixNano()), errno.OK)
	if again, _ := f.Stat("x"); again.ATime != s.ATime || again.MTime != at.UnixNano() {
		t.Errorf("times: %+v, were %+v", again, s)
	}
	if d, _ := f.Stat("/"); d.Kind != KindDir {
		t.Errorf("root: %+v", d)
	}
	if s, e := f.Fstat(1); e != errno.OK || s.Kind != KindFIFO {
		t.Errorf("stream: %+v, %v", s, e)
	}
}

func TestModeOfNewFiles(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no such permissions")
	}
	f, dir := newFiles(t)
	fd, e := f.Open("x", WriteOnly|Create, 0o7600) // what is not a permission is left out
	want(t, "open", e, errno.OK)
	f.CloseFD(fd)
	want(t, "mkdir", f.Mkdir("d", 0o1700), errno.OK)
	for name, mode := range map[string]os.FileMode{"x": 0o600, "d": 0o700 | os.ModeDir} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode() != mode {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
}

func TestAt(t *testing.T) {
	f, dir := newFiles(t)
	put(t, dir, "d/e/file", "x")
	put(t, dir, "secret", "s")
	d := mustOpen(t, f, "d", ReadOnly|Directory)
	os.Rename(filepath.Join(dir, "d"), filepath.Join(dir, "moved")) // the descriptor goes with it
	fd, e := f.OpenAt(d, "e/file", ReadOnly, 0)
	want(t, "open", e, errno.OK)
	if s, _ := f.Fstat(fd); s.Size != 1 {
		t.Errorf("opened %+v", s)
	}
	for _, path := range []string{"..", "../secret", "e/../../secret", "/secret", "/"} {
		_, e := f.OpenAt(d, path, ReadOnly, 0)
		want(t, "open "+path, e, errno.ENOTCAPABLE)
	}
	want(t, "mkdir", f.MkdirAt(d, "n", 0o755), errno.OK)
	want(t, "rename", f.RenameAt(d, "e/file", d, "n/file"), errno.OK)
	want(t, "link", f.LinkAt(d, "n/file", d, "l"), errno.OK)
	want(t, "rename from another", f.RenameAt(AtRoot, "secret", d, "s"), errno.EXDEV)
	want(t, "unlink", f.UnlinkAt(d, "l"), errno.OK)
	want(t, "rmdir", f.RmdirAt(d, "e"), errno.OK)
	want(t, "set times", f.SetTimesAt(d, "n/file", 0, 0), errno.OK)
	want(t, "rmdir of itself", f.RmdirAt(d, "."), errno.EBUSY)
	if e := f.SymlinkAt("../secret", d, "out"); e == errno.OK {
		_, e := f.OpenAt(d, "out", ReadOnly, 0)
		want(t, "follow a link out of the descriptor's directory", e, errno.ENOTCAPABLE)
		if to, e := f.ReadlinkAt(d, "out"); to != "../secret" || e != errno.OK {
			t.Errorf("readlink: %q, %v", to, e)
		}
	}
}

func TestDescriptorNumbers(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "x", "")
	f := openFiles(t, policy.Policy{Dirs: []policy.Dir{{Host: dir, Guest: "/"}}, MaxOpen: 6})
	for want := int32(3); want < 6; want++ {
		if fd := mustOpen(t, f, "x", ReadOnly); fd != want {
			t.Errorf("descriptor %d, want %d", fd, want)
		}
	}
	_, e := f.Open("new", WriteOnly|Create, 0o644)
	want(t, "one more", e, errno.EMFILE)
	if _, err := os.Stat(filepath.Join(dir, "new")); err == nil {
		t.Error("a file was made for an open that failed")
	}
	f.CloseFD(4)
	f.CloseFD(0)
	for _, want := range []int32{0, 4} {
		if fd := mustOpen(t, f, "x", ReadOnly); fd != want {
			t.Errorf("descriptor %d, want the lowest free, %d", fd, want)
		}
	}
	want(t, "renumber", f.Renumber(5, 1), errno.OK)
	_, e = f.Fstat(5)
	want(t, "the old number", e, errno.EBADF)
	_, e = f.Write(1, []byte("x"))
	want(t, "the new number", e, errno.EBADF) // a file open for reading, no longer a stream
	if fd := mustOpen(t, f, "x", ReadOnly); fd != 5 {
		t.Errorf("descriptor %d, want 5", fd)
	}
}

func TestCloseOfAll(t *testing.T) {
	f, dir := newFiles(t)
	put(t, dir, "x", "")
	fd := mustOpen(t, f, "x", ReadOnly)
	for range 2 {
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	_, e := f.Read(background, fd, make([]byte, 1))
	want(t, "read", e, errno.EBADF)
	_, e = f.Write(1, make([]byte, 1))
	want(t, "write", e, errno.EBADF)
	_, e = f.Open("x", ReadOnly, 0)
	want(t, "open", e, errno.EBADF)
	want(t, "mkdir", f.Mkdir("d", 0o755), errno.EBADF)
}

// TestSharedPosition reads one descriptor from many goroutines: every record comes once.
func TestSharedPosition(t *testing.T) {
	const records, size = 4096, 16
	f, dir := newFiles(t)
	var b strings.Builder
	for i := range records {
		fmt.Fprintf(&b, "%0*d", size, i)
	}
	put(t, dir, "x", b.String())
	fd := mustOpen(t, f, "x", ReadOnly)
	var seen [records]atomic.Int32
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			p := make([]byte, size)
			for {
				n, e := f.Read(background, fd, p)
				if n == 0 && e == errno.OK {
					return
				}
				var i int
				if _, err := fmt.Sscanf(string(p[:n]), "%d", &i); n != size || e != errno.OK || err != nil {
					t.Errorf("read: %q, %v", p[:n], e)
					return
				}
				seen[i].Add(1)
			}
		})
	}
	wg.Wait()
	for i := range seen {
		if n := seen[i].Load(); n != 1 {
			t.Fatalf("record %d came %d times", i, n)
		}
	}
}

// TestHammer opens, uses and closes descriptors from many goroutines that do not respect each other's. Nothing may break, and what is read
// is always some file's own content.
func TestHammer(t *testing.T) {
	f, dir := newFiles(t)
	for i := range 8 {
		put(t, dir, fmt.Sprintf("f%d", i), strings.Repeat(string(rune('a'+i)), 64))
	}
	put(t, dir, "d/x", "")
	var wg sync.WaitGroup
	for g := range 64 {
		wg.Go(func() {
			p := make([]byte, 64)
			for i := range 60 {
				fd, e := f.Open(fmt.Sprintf("f%d", (g+i)%8), ReadWrite, 0)
				if e != errno.OK {
					t.Errorf("open: %v", e)
					return
				}
				other := 3 + (fd+int32(i)-3)%64
				n, e := f.Pread(other, p, 0)
				if e != errno.OK && e != errno.EBADF && e != errno.EISDIR {
					t.Errorf("pread: %v", e)
				}
				if n > 0 && strings.Count(string(p[:n]), string(p[:1])) != n {
					t.Errorf("mixed content %q", p[:n])
				}
				f.Read(background, fd, p)
				f.Seek(other, 0, SeekSet)
				f.Fstat(other)
				if d, e := f.Open("d", ReadOnly|Directory, 0); e == errno.OK {
					f.Readdir(d, 0, make([]Dirent, 2))
					f.StatAt(d, "x", true)
					f.CloseFD(d)
				}
				if i%3 == 0 {
					f.CloseFD(other) // perhaps another's
				}
				f.CloseFD(fd)
			}
		})
	}
	wg.Wait()
}

// TestManyOpen keeps more descriptors open than the default allows.
func TestManyOpen(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "x", "")
	f := openFiles(t, policy.Policy{Dirs: []policy.Dir{{Host: dir, Guest: "/"}}})
	for i := 3; i < policy.DefaultMaxOpen; i++ {
		if fd, e := f.Open("x", ReadOnly, 0); e == errno.EMFILE {
			t.Skipf("the host allows this process %d open files", i)
		} else if fd != int32(i) {
			t.Fatalf("descriptor %d, %v; want %d", fd, e, i)
		}
	}
	_, e := f.Open("x", ReadOnly, 0)
	want(t, "one more", e, errno.EMFILE)
}

func TestLargeFile(t *testing.T) {
	f, _ := newFiles(t)
	fd := mustOpen(t, f, "x", ReadWrite|Create)
	const far = 5 << 30
	if e := f.Truncate(fd, far); e != errno.OK {
		t.Skipf("this file system has no large sparse files: %v", e)
	}
	if n, e := f.Pwrite(fd, []byte("end"), far-3); n != 3 || e != errno.OK {
		t.Fatalf("pwrite: %d, %v", n, e)
	}
	p := make([]byte, 10)
	if at, _ := f.Seek(fd, -3, SeekEnd); at != far-3 {
		t.Errorf("seek: %d", at)
	}
	if n, e := f.Read(background, fd, p); string(p[:n]) != "end" || e != errno.OK {
		t.Errorf("read: %q, %v", p[:n], e)
	}
}

var _ io.Reader = (*Stdin)(nil)

// TestCloseUnderFire ends a run in the middle of everything.
func TestCloseUnderFire(t *testing.T) {
	noneLeft(t)
	for range 20 {
		dir := t.TempDir()
		put(t, dir, "x", "content")
		r, w := io.Pipe()
		f, err := NewFiles(policy.Policy{Dirs: []policy.Dir{{Host: dir, Guest: "/"}}, Stdin: r})
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for g := range 16 {
			wg.Go(func() {
				p := make([]byte, 8)
				if g == 0 {
					f.Read(background, 0, p)
				}
				for e := errno.OK; e != errno.EBADF; {
					var fd int32
					if fd, e = f.Open("x", ReadWrite, 0); e != errno.OK && e != errno.EBADF {
						t.Errorf("open: %v", e)
					}
					f.Read(background, fd, p)
					f.Pread(fd, p, 0)
					f.Write(fd, p)
					if d, e := f.Open("/", ReadOnly, 0); e == errno.OK {
						f.Readdir(d, 0, make([]Dirent, 3))
						f.Renumber(d, fd)
					}
					f.Stat("x")
					f.CloseFD(fd)
				}
			})
		}
		time.Sleep(time.Millisecond)
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		wg.Wait()
		w.Close()
	}
}

func BenchmarkOpen(b *testing.B) {
	f, dir := newFiles(b)
	put(b, dir, "d/x", "")
	for _, path := range []string{"d/x", "d"} {
		b.Run(path, func(b *testing.B) {
			for b.Loop() {
				fd, _ := f.Open(path, ReadOnly, 0)
				f.CloseFD(fd)
			}
		})
	}
}
