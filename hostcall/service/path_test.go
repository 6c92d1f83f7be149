package service

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dialtone-gpu/dialtone/hostcall/errno"
	"github.com/dialtone-gpu/dialtone/hostcall/policy"
)

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		guest, path, want string
		no                bool
	}{
		{guest: "/", path: "/", want: "."},
		{guest: "/", path: ".", want: "."},
		{guest: "/", path: "././.", want: "."},
		{guest: "/", path: "a", want: "a"},
		{guest: "/", path: "//./a/", want: "a/"},
		{guest: "/", path: "../a", want: "../a"},
		{guest: "/", path: "...", want: "..."},
		{guest: "/", path: ".a", want: ".a"},
		{guest: "/a/b", path: "/a/b", want: "."},
		{guest: "/a/b", path: "/a/b/", want: "."},
		{guest: "/a/b", path: "a/./b/c/./d", want: "c/./d"},
		{guest: "/a/b", path: "/a//b//c", want: "c"},
		{guest: "/a/b", path: "/a/b/..", want: ".."},
		{guest: "/a/b", path: "/a/bc", no: true},
		{guest: "/a/b", path: "/a", no: true},
		{guest: "/a/b", path: "/a/", no: true},
		{guest: "/a/b", path: "/a/../a/b", no: true},
		{guest: "/a/b", path: "/x", no: true},
	} {
		m := mount{parts: strings.FieldsFunc(c.guest, func(r rune) bool { return r == '/' })}
		got, ok := m.match(c.path)
		if ok == c.no || got != c.want {
			t.Errorf("%s serves %s as %q, %v; want %q, %v", c.guest, c.path, got, ok, c.want, !c.no)
		}
	}
}

// jail is a directory with a secret beside it.
func jail(t testing.TB) (f *Files, inside string) {
	t.Helper()
	dir := t.TempDir()
	inside = filepath.Join(dir, "in")
	put(t, dir, "secret", "secret")
	put(t, dir, "in-too/secret", "secret") // a name of which the directory's is a prefix
	put(t, inside, "file", "content")
	put(t, inside, "d/e/file", "content")
	return openFiles(t, policy.Policy{Dirs: []policy.Dir{{Host: inside, Guest: "/"}}}), inside
}

// TestEscapes tries every way out by every call that takes a path.
func TestEscapes(t *testing.T) {
	f, inside := jail(t)
	outside := filepath.Dir(inside)
	paths := []string{
		"..", "../", "../secret", "/../secret", "//../secret", "d/../../secret", "d/e/../../../secret", "./../secret",
		"../in/file", "../in-too/secret", "d/../../in/file",
		strings.Repeat("../", 40) + "etc/passwd", strings.Repeat("d/../", 20) + "../secret",
	}
	links := map[string]string{
		"abs":      filepath.Join(outside, "secret"),
		"absin":    filepath.Join(inside, "file"), // absolute is denied even if it leads inside
		"etc":      "/etc/passwd",
		"rootdir":  "/",
		"up":       "..",
		"upfile":   "../secret",
		"d/up2":    "../..",
		"d/e/up3":  "../../../secret",
		"roundway": "../in/file",
		"chain1":   "chain2", "chain2": "d/chain3", "d/chain3": "../chain4", "chain4": "../secret",
		"dirchain": "d/up2",
		"dangling": "../none",
	}
	linked := true
	for name, target := range links {
		if err := os.Symlink(filepath.FromSlash(target), filepath.Join(inside, filepath.FromSlash(name))); err != nil {
			t.Logf("symbolic links cannot be made here, only paths are tried: %v", err)
			linked = false
			break
		}
	}
	if linked {
		for name := range links {
			paths = append(paths, name)
		}
		paths = append(paths, "up/secret", "rootdir/etc/passwd", "d/up2/secret", "dirchain/secret", "up/in/file", "up/none", "up/in/d/e")
	}
	if runtime.GOOS == "linux" {
		if _, err := os.Stat("/proc/self/root"); err == nil {
			proc := openFiles(t, policy.Policy{Dirs: []policy.Dir{{Host: "/proc/self", Guest: "/"}}})
			for _, path := range []string{"root", "root/etc/passwd", "cwd/..", "root/proc/self/root"} {
				_, e := proc.Open(path, ReadOnly, 0)
				want(t, "open /proc/self/"+path, e, errno.ENOTCAPABLE)
			}
		}
	}

	base := func(p string) bool { return linked && links[p] != "" }
	for _, path := range paths {
		for what, call := range map[string]func() errno.Errno{
			"open":      func() errno.Errno { _, e := f.Open(path, ReadOnly, 0); return e },
			"directory": func() errno.Errno { _, e := f.Open(path, ReadOnly|Directory, 0); return e },
			"write":     func() errno.Errno { _, e := f.Open(path, ReadWrite|Truncate, 0); return e },
			"create":    func() errno.Errno { _, e := f.Open(path, WriteOnly|Create, 0o600); return e },
			"stat":      func() errno.Errno { _, e := f.Stat(path); return e },
			"times":     func() errno.Errno { return f.SetTimes(path, 0, 0) },
			"mkdir":     func() errno.Errno { return f.Mkdir(path+"/x", 0o755) },
			"unlink":    func() errno.Errno { return f.Unlink(path + "/x") },
			"rmdir":     func() errno.Errno { return f.Rmdir(path + "/x") },
			"rename":    func() errno.Errno { return f.Rename(path+"/x", "y") },
			"rename to": func() errno.Errno { return f.Rename("file", path+"/x") },
			"link":      func() errno.Errno { return f.Link(path+"/x", "y") },
			"link to":   func() errno.Errno { return f.Link("file", path+"/x") },
			"symlink":   func() errno.Errno { return f.Symlink("file", path+"/x") },
			"readlink":  func() errno.Errno { _, e := f.Readlink(path + "/x"); return e },
		} {
			if e := call(); e != errno.ENOTCAPABLE {
				t.Errorf("%s %s: %v, want ENOTCAPABLE", what, path, e)
			}
		}
		// These act on the link itself, which is inside.
		if base(path) {
			if s, e := f.Lstat(path); e != errno.OK || s.Kind != KindSymlink {
				t.Errorf("lstat %s: %+v, %v", path, s, e)
			}
		} else {
			_, e := f.Lstat(path)
			want(t, "lstat "+path, e, errno.ENOTCAPABLE)
			want(t, "unlink "+path, f.Unlink(path), errno.ENOTCAPABLE)
			want(t, "rmdir "+path, f.Rmdir(path), errno.ENOTCAPABLE)
			want(t, "mkdir "+path, f.Mkdir(path, 0o755), errno.ENOTCAPABLE)
			want(t, "rename "+path, f.Rename(path, "y"), errno.ENOTCAPABLE)
			want(t, "rename to "+path, f.Rename("file", path), errno.ENOTCAPABLE)
		}
	}
	checkOutside(t, inside)
	if got := content(t, filepath.Join(inside, "file")); got != "content" {
		t.Errorf("the file inside has changed: %q", got)
	}
}

// checkOutside fails the test if anything beside the jail has changed.
func checkOutside(t testing.TB, inside string) {
	t.Helper()
	outside := filepath.Dir(inside)
	if got := content(t, filepath.Join(outside, "secret")); got != "secret" {
		t.Errorf("the secret has changed: %q", got)
	}
	names, err := os.ReadDir(outside)
	if err != nil || len(names) != 3 {
		t.Errorf("outside has changed: %v, %v", names, err)
	}
	if names, err := os.ReadDir(filepath.Join(outside, "in-too")); err != nil || len(names) != 1 {
		t.Errorf("outside has changed: %v, %v", names, err)
	}
}

// TestSwappedLink opens and writes a name that changes all the time between a directory and a link out. Whatever is caught, it is inside.
func TestSwappedLink(t *testing.T) {
	f, inside := jail(t)
	dir, aside, link := filepath.Join(inside, "swap"), filepath.Join(inside, "aside"), filepath.Join(inside, "link")
	put(t, inside, "swap/secret", "inside")
	symlink(t, "../in-too", link)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			os.Rename(dir, aside)
			os.Rename(link, dir)
			os.Rename(dir, link)
			os.Rename(aside, dir)
		}
	})
	var caught, denied int
	p := make([]byte, 16)
	for end := time.Now().Add(300 * time.Millisecond); time.Now().Before(end); {
		fd, e := f.Open("swap/secret", ReadWrite, 0)
		switch e {
		case errno.OK:
			caught++
			if n, e := f.Read(background, fd, p); e != errno.OK || string(p[:n]) != "inside" {
				t.Fatalf("read %q, %v", p[:n], e)
			}
			f.CloseFD(fd)
		case errno.ENOTCAPABLE:
			denied++
		case errno.ENOENT, errno.ENOTDIR, errno.ELOOP:
		default:
			t.Fatalf("open: %v", e)
		}
		f.Mkdir("swap/made", 0o755)
		f.Rmdir("swap/made")
		if fd, e := f.Open("swap/new", WriteOnly|Create, 0o600); e == errno.OK {
			f.CloseFD(fd)
		}
		f.Unlink("swap/new")
		f.Rename("file", "swap/file")
		f.Rename("swap/file", "file")
	}
	close(stop)
	wg.Wait()
	t.Logf("%d opens caught the directory, %d the link", caught, denied)
	checkOutside(t, inside)
}

// TestNoFollowSwapped does the same to the last component with NoFollow, which then never opens through the link.
func TestNoFollowSwapped(t *testing.T) {
	f, inside := jail(t)
	put(t, inside, "plain", "plain")
	put(t, inside, "other", "other")
	a, b := filepath.Join(inside, "name"), filepath.Join(inside, "tmp")
	symlink(t, "other", b)
	os.Link(filepath.Join(inside, "plain"), a)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			os.Symlink("other", b)
			os.Rename(b, a)
			os.Link(filepath.Join(inside, "plain"), b)
			os.Rename(b, a)
		}
	})
	p := make([]byte, 16)
	for end := time.Now().Add(200 * time.Millisecond); time.Now().Before(end); {
		fd, e := f.Open("name", ReadOnly|NoFollow, 0)
		if e != errno.OK {
			continue
		}
		if n, _ := f.Read(background, fd, p); string(p[:n]) != "plain" {
			t.Fatalf("opened through the link: %q", p[:n])
		}
		f.CloseFD(fd)
	}
	close(stop)
	wg.Wait()
}

// FuzzPath runs every call on arbitrary paths in a jail full of links: nothing panics, and nothing outside is read or changed.
func FuzzPath(f *testing.F) {
	for _, s := range []string{
		"file", "../secret", "up/secret", "/etc/passwd", "d/../file", "chain", "d/e/../../../secret", "a\x00b", "//..//", "up/in/up/in/file",
		"d/link/../../secret", "....//secret", ".\\..\\secret", "C:\\x", "\xff\xfe", "new/", "d/./new", "abs", "self/self/../..",
	} {
		f.Add(s, s)
	}
	files, inside := jail(f)
	for name, target := range map[string]string{"up": "..", "abs": "/etc/passwd", "chain": "d/next", "d/next": "../../secret", "d/link": "..", "self": "."} {
		if err := os.Symlink(target, filepath.Join(inside, name)); err != nil {
			f.Logf("without symbolic links: %v", err)
		}
	}
	secret, err := os.Stat(filepath.Join(filepath.Dir(inside), "secret"))
	if err != nil {
		f.Fatal(err)
	}
	outside := statOf(secret)
	f.Fuzz(func(t *testing.T, a, b string) {
		for _, path := range []string{a, b} {
			if s, e := files.Stat(path); e == errno.OK && outside.Inode != 0 && s.Inode == outside.Inode {
				t.Fatalf("stat %q leads outside", path)
			}
			for _, flags := range []OpenFlags{ReadOnly, ReadOnly | Directory, ReadOnly | NoFollow, ReadWrite | Create | Append, WriteOnly | Truncate} {
				fd, e := files.Open(path, flags, 0o600)
				if e != errno.OK {
					continue
				}
				if s, e := files.Fstat(fd); e != errno.OK || outside.Inode != 0 && s.Inode == outside.Inode {
					t.Fatalf("open %q: %+v, %v", path, s, e)
				}
				if flags.writable() {
					files.Write(fd, []byte("changed"))
				}
				files.CloseFD(fd)
			}
			files.Readlink(path)
			files.Lstat(path)
			files.SetTimes(path, 0, 0)
			files.Mkdir(path, 0o700)
		}
		files.Link(a, b)
		files.Rename(a, b)
		files.Unlink(b)
		files.Rmdir(b)
		files.Rename(b, a)
		files.Unlink(a)
		files.Rmdir(a)
		files.Symlink(a, b)
		files.Stat(b)
		files.Unlink(b)
		checkOutside(t, inside)
	})
}
