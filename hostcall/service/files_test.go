package service

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/dialtone-gpu/dialtone/hostcall/errno"
	"github.com/dialtone-gpu/dialtone/hostcall/policy"
)

// newFiles returns the files of a fresh directory mounted at "/", and that directory.
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
	if n, e := f.Read(context.Background(), fd, b); string(b[:n]) != "world\n" || e != errno.OK {
		t.Fatalf("read: %q, %v", b[:n], e)
	}
	if n, e := f.Read(context.Background(), fd, b); n != 0 || e != errno.OK {
		t.Fatalf("read at the end: %d, %v", n, e)
	}
	if n, e := f.Pread(fd, b[:5], 0); string(b[:n]) != "hello" || e != errno.OK {
		t.Fatalf("pread: %q, %v", b[:n], e)
	}
	s, e := f.Stat("a.txt")
	if e != errno.OK || s.Size != 13 || s.Kind != KindFile {
		t.Fatalf("stat: %+v, %v", s, e)
	}
	if got, _ := os.ReadFile(filepath.Join(dir, "a.txt")); !bytes.Equal(got, []byte("hello, world\n")) {
		t.Fatalf("on the host: %q", got)
	}
	if e := f.CloseFD(fd); e != errno.OK {
		t.Fatal(e)
	}
	if e := f.CloseFD(fd); e != errno.EBADF {
		t.Fatalf("second close: %v", e)
	}
}
