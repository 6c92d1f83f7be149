package errno

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"
)

func TestFrom(t *testing.T) {
	_, missing := os.Open(filepath.Join(t.TempDir(), "missing"))
	for _, c := range []struct {
		err  error
		want Errno
	}{
		{nil, OK},
		{ENOTCAPABLE, ENOTCAPABLE},
		{fmt.Errorf("call: %w", EROFS), EROFS},
		{OK, EIO}, // an error value that says it is none
		{missing, ENOENT},
		{&fs.PathError{Op: "open", Path: "x", Err: syscall.EACCES}, EACCES},
		{&os.LinkError{Op: "rename", Old: "a", New: "b", Err: syscall.EXDEV}, EXDEV},
		{os.NewSyscallError("write", syscall.ENOSPC), ENOSPC},
		{&net.OpError{Op: "read", Err: os.NewSyscallError("recvfrom", syscall.ECONNRESET)}, ECONNRESET},
		{errors.Join(errors.New("first"), syscall.EISDIR), EISDIR},
		{syscall.EWOULDBLOCK, EAGAIN},
		{syscall.EOPNOTSUPP, ENOTSUP},
		{syscall.ENOTSUP, ENOTSUP},
		{syscall.Errno(0), EIO},
		{syscall.Errno(99999), EIO},
		{fs.ErrNotExist, ENOENT},
		{fs.ErrExist, EEXIST},
		{fs.ErrPermission, EACCES},
		{fs.ErrInvalid, EINVAL},
		{fs.ErrClosed, EBADF},
		{net.ErrClosed, EBADF},
		{os.ErrDeadlineExceeded, ETIMEDOUT},
		{io.ErrClosedPipe, EPIPE},
		{io.ErrUnexpectedEOF, EIO},
		{io.EOF, EIO},
		{errors.ErrUnsupported, ENOTSUP},
		{context.Canceled, ECANCELED},
		{context.DeadlineExceeded, ETIMEDOUT},
		{fmt.Errorf("wrapped: %w", context.Canceled), ECANCELED},
		{errors.New("something else"), EIO},
	} {
		if got := From(c.err); got != c.want {
			t.Errorf("From(%v) = %v, want %v", c.err, got, c.want)
		}
	}
}

// TestFromRoot provokes the errors that package os makes without exporting them, through every method that can.
func TestFromRoot(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	now := time.Now()
	for name, call := range map[string]func(path string) error{
		"OpenFile": func(p string) error { _, err := root.OpenFile(p, os.O_RDONLY, 0); return err },
		"OpenRoot": func(p string) error { _, err := root.OpenRoot(p); return err },
		"Stat":     func(p string) error { _, err := root.Stat(p); return err },
		"Lstat":    func(p string) error { _, err := root.Lstat(p); return err },
		"Mkdir":    func(p string) error { return root.Mkdir(p, 0o755) },
		"Remove":   root.Remove,
		"Readlink": func(p string) error { _, err := root.Readlink(p); return err },
		"Chtimes":  func(p string) error { return root.Chtimes(p, now, now) },
		"Rename":   func(p string) error { return root.Rename(p, "new") },
		"RenameTo": func(p string) error { return root.Rename("file", p) },
		"Link":     func(p string) error { return root.Link(p, "new") },
		"LinkTo":   func(p string) error { return root.Link("file", p) },
		"Symlink":  func(p string) error { return root.Symlink("file", p) },
	} {
		for _, path := range []string{"../x", "..", "a/../../x", "/etc/passwd"} {
			if path[0] == 'a' && runtime.GOOS != "windows" {
				os.Mkdir(filepath.Join(dir, "a"), 0o755) // ".." means something only behind a directory that exists
			}
			if err := call(path); From(err) != ENOTCAPABLE {
				t.Errorf("%s(%q) = %v -> %v, want ENOTCAPABLE", name, path, err, From(err))
			}
		}
		if err := call(""); From(err) != ENOENT {
			t.Errorf("%s(\"\") = %v -> %v, want ENOENT", name, err, From(err))
		}
	}
	if _, err := os.OpenRoot(filepath.Join(dir, "file")); From(err) != ENOTDIR {
		t.Errorf("OpenRoot of a file: %v -> %v", err, From(err))
	}
	if err := root.Mkdir("d", 0o7777); From(err) != EINVAL {
		t.Errorf("Mkdir with a strange mode: %v -> %v", err, From(err))
	}
	f, err := root.Open("file")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.ReadAt(make([]byte, 1), -1); From(err) != EINVAL {
		t.Errorf("ReadAt(-1): %v -> %v", err, From(err))
	}
	f.Close()
	if _, err := f.Read(make([]byte, 1)); From(err) != EBADF {
		t.Errorf("Read after Close: %v -> %v", err, From(err))
	}
}

func TestAll(t *testing.T) {
	all := All()
	if !slices.IsSortedFunc(all, func(a, b Description) int { return int(a.Number) - int(b.Number) }) {
		t.Error("not in order")
	}
	names := map[string]bool{}
	for _, d := range all {
		if names[d.Name] || d.Message == "" || d.Number == OK || d.Number > 200 {
			t.Errorf("bad row %+v", d)
		}
		names[d.Name] = true
		if want := d.Name + ": " + d.Message; d.Number.Error() != want {
			t.Errorf("Error() = %q, want %q", d.Number.Error(), want)
		}
	}
	for name, number := range map[string]Errno{"ENOENT": 2, "EAGAIN": 11, "ENOSYS": 38, "ENOTSUP": 95, "ECANCELED": 125, "ENOTCAPABLE": 200} {
		if i := slices.IndexFunc(all, func(d Description) bool { return d.Name == name }); i < 0 || all[i].Number != number {
			t.Errorf("%s is not %d", name, number)
		}
	}
}

// TestHostNumbers checks that every portable number that the host has comes back from the host's, and on Linux that they are the same.
func TestHostNumbers(t *testing.T) {
	seen := map[Errno]bool{}
	for _, p := range commonErrnos {
		seen[p.portable] = true
		got := From(p.host)
		switch {
		case runtime.GOOS == "windows" && p.host == syscall.ENOTDIR: // is ERROR_PATH_NOT_FOUND
		case got != p.portable:
			t.Errorf("From(%v) = %v, want %v", p.host, got, p.portable)
		}
		if (runtime.GOARCH == "amd64" || runtime.GOARCH == "arm64") && runtime.GOOS == "linux" && int(p.host) != int(p.portable) {
			t.Errorf("%v is %d here and not Linux's %d", p.portable, p.portable, p.host)
		}
	}
	for _, d := range All() {
		if !seen[d.Number] && d.Number != ENOTCAPABLE {
			t.Errorf("no host number becomes %s", d.Name)
		}
	}
}

func TestIs(t *testing.T) {
	for _, c := range []struct {
		e      Errno
		target error
	}{
		{ENOENT, fs.ErrNotExist}, {EEXIST, fs.ErrExist}, {EACCES, fs.ErrPermission}, {ENOTCAPABLE, fs.ErrPermission},
		{ENOSYS, errors.ErrUnsupported}, {ETIMEDOUT, os.ErrDeadlineExceeded}, {ECANCELED, context.Canceled},
	} {
		if !errors.Is(c.e, c.target) || errors.Is(EIO, c.target) {
			t.Errorf("errors.Is(%v, %v)", c.e, c.target)
		}
	}
}

func TestWords(t *testing.T) {
	for e, want := range map[Errno]string{OK: "OK: no error", 41: "errno 41: unknown error", 255: "errno 255: unknown error"} {
		if e.Error() != want {
			t.Errorf("%d: %q, want %q", uint8(e), e.Error(), want)
		}
	}
	if OK.Err() != nil || EIO.Err() != EIO {
		t.Error("Err")
	}
}
