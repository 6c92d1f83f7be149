package wasi_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/dialtone-gpu/dialtone/hostcall/policy"
)

func TestPaths(t *testing.T) {
	root := tree(t, "a", "content", "d/", "", "d/x", "deep", "link", "-> a", "dirlink", "-> d", "broken", "-> none")
	g := alone(t, dir(root))
	at := g.alloc(64)
	kind := func(path string, follow int, want uint64) {
		t.Helper()
		g.ok("path_filestat_get", 3, follow, path, at)
		if s := g.stat(at); s.kind != want {
			t.Errorf("%s (follow %d) is of kind %d, want %d", path, follow, s.kind, want)
		}
	}
	kind("a", 0, 4)
	kind("d", 0, 3)
	kind(".", 0, 3)
	kind("link", 0, 7)
	kind("link", 1, 4)
	kind("dirlink", 1, 3)
	kind("dirlink/x", 0, 4)
	kind("d/../a", 0, 4)
	kind("broken", 0, 7)
	g.want(enoent, "path_filestat_get", 3, 1, "broken", at)
	g.want(enoent, "path_filestat_get", 3, 0, "", at)
	g.want(enoent, "path_filestat_get", 3, 0, "none/x", at)
	g.want(enotdir, "path_filestat_get", 3, 0, "a/x", at)
	g.want(einval, "path_filestat_get", 3, 2, "a", at)
	g.want(einval, "path_filestat_get", 3, 0, "a\x00b", at)
	g.want(enametoolong, "path_filestat_get", 3, 0, strings.Repeat("long/", 1000), at)
	g.want(efault, "path_filestat_get", 3, 0, memorySize-3, 4, at)
	g.want(efault, "path_filestat_get", 3, 0, "a", memorySize-63)

	g.ok("path_filestat_set_times", 3, 1, "link", uint64(1e18), uint64(2e18), 1|4)
	g.ok("path_filestat_get", 3, 0, "a", at)
	if s := g.stat(at); s.atime != 1e18 || s.mtime != 2e18 {
		t.Errorf("times %d and %d", s.atime, s.mtime)
	}
	g.ok("path_filestat_set_times", 3, 0, "a", 0, 0, 8)
	g.want(enotsup, "path_filestat_set_times", 3, 0, "link", 0, 0, 8)
	g.want(enoent, "path_filestat_set_times", 3, 1, "none", 0, 0, 8)
	g.want(einval, "path_filestat_set_times", 3, 2, "a", 0, 0, 8)

	g.ok("path_create_directory", 3, "new")
	g.want(eexist, "path_create_directory", 3, "new")
	g.want(enoent, "path_create_directory", 3, "none/new")
	fd := g.open(3, "new/file", creat|excl, everyRight, 0)
	g.print(fd, "hello")
	if _, e := g.tryOpen(3, "new/file", creat|excl, rightRead, 0); e != eexist {
		t.Errorf("O_EXCL on a file that there is: %d", e)
	}
	g.want(enotempty, "path_remove_directory", 3, "new")
	g.want(enotdir, "path_remove_directory", 3, "a")
	g.want(eisdir, "path_unlink_file", 3, "new")
	g.want(enoent, "path_unlink_file", 3, "none")
	g.ok("path_rename", 3, "new/file", 3, "new/renamed")
	g.want(enoent, "path_rename", 3, "new/file", 3, "new/other")
	g.want(eisdir, "path_rename", 3, "a", 3, "d")
	g.ok("path_link", 3, 0, "new/renamed", 3, "hard")
	g.ok("fd_filestat_get", fd, at)
	if s := g.stat(at); s.links != 2 && runtime.GOOS != "windows" {
		t.Errorf("%d links", s.links)
	}
	g.want(eexist, "path_link", 3, 0, "a", 3, "hard")
	g.want(einval, "path_link", 3, 1, "link", 3, "other")
	g.ok("path_unlink_file", 3, "new/renamed")
	g.ok("path_remove_directory", 3, "new")
	g.ok("path_symlink", "hard", 3, "soft")
	g.want(eexist, "path_symlink", "hard", 3, "soft")
	g.want(enoent, "path_symlink", "", 3, "empty")
	if got := g.all(g.open(3, "soft", 0, rightRead, 0)); got != "hello" {
		t.Errorf("read %q", got)
	}
	to := g.alloc(4)
	buf := g.alloc(10)
	g.ok("path_readlink", 3, "soft", buf, 10, to)
	if got := g.str(buf, uint64(g.u32(to))); got != "hard" {
		t.Errorf("the link says %q", got)
	}
	g.ok("path_readlink", 3, "soft", buf+5, 2, to)
	if got := g.str(buf+5, uint64(g.u32(to))); got != "ha" {
		t.Errorf("the link says %q", got)
	}
	g.want(einval, "path_readlink", 3, "a", buf, 10, to)
	g.want(efault, "path_readlink", 3, "soft", memorySize-9, 10, to)

	// Paths start at any directory.
	sub := g.open(3, "d", directory, 0, 0)
	if got := g.all(g.open(sub, "x", 0, rightRead, 0)); got != "deep" {
		t.Errorf("read %q", got)
	}
	g.ok("path_rename", sub, "x", sub, "y")
}

func TestOpen(t *testing.T) {
	root := tree(t, "a", "content", "d/", "", "link", "-> a")
	g := alone(t, dir(root))
	to := g.alloc(4)
	if _, e := g.tryOpen(3, "a", directory, rightRead, 0); e != enotdir {
		t.Errorf("a file as a directory: %d", e)
	}
	if _, e := g.tryOpen(3, "d", 0, rightWrite, 0); e != eisdir {
		t.Errorf("a directory to write: %d", e)
	}
	if _, e := g.tryOpen(3, "none", 0, rightRead, 0); e != enoent {
		t.Errorf("a file that is not there: %d", e)
	}
	g.want(eloop, "path_open", 3, 0, "link", 0, rightRead, 0, 0, to)
	g.want(einval, "path_open", 3, 2, "a", 0, rightRead, 0, 0, to)
	g.want(einval, "path_open", 3, 0, "a", 16, rightRead, 0, 0, to)
	g.want(einval, "path_open", 3, 0, "a", 0, rightRead, 0, 32, to)
	g.want(einval, "path_open", 3, 0, "a", excl, rightRead, 0, 0, to)
	g.want(einval, "path_open", 3, 0, "a", creat|directory, rightRead, 0, 0, to)
	g.want(efault, "path_open", 3, 0, "b", creat, rightRead, 0, 0, memorySize-3)
	if _, err := os.Lstat(filepath.Join(root, "b")); err == nil {
		t.Error("a call with a bad pointer has made a file")
	}
	g.open(3, "a", trunc, rightRead, 0)
	if got, _ := os.ReadFile(filepath.Join(root, "a")); len(got) != 0 {
		t.Errorf("not cut: %q", got)
	}
}

// TestEscapes: no path leads out of its directory.
func TestEscapes(t *testing.T) {
	outer := tree(t, "secret", "secret", "inner/", "", "other/", "")
	root := filepath.Join(outer, "inner")
	for name, to := range map[string]string{"up": "..", "file": "../secret", "absolute": filepath.Join(outer, "secret"), "top": "/"} {
		if err := os.Symlink(to, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(root, "mine"), []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	g := alone(t, policy.Policy{Dirs: []policy.Dir{{Host: root, Guest: "/"}, {Host: filepath.Join(outer, "other"), Guest: "/other"}}})
	at := g.alloc(64)
	for _, path := range []string{"..", "../secret", "/", "/etc/passwd", "up", "up/secret", "file", "absolute", "top/etc", "./../secret", "mine/../../secret", "../inner/../secret"} {
		for _, c := range []struct {
			name string
			args []any
		}{
			{"path_open", []any{3, 1, path, 0, rightRead, 0, 0, at}},
			{"path_open", []any{3, 1, path, creat | trunc, rightWrite, 0, 0, at}},
			{"path_filestat_get", []any{3, 1, path, at}},
			{"path_filestat_set_times", []any{3, 1, path, 0, 0, 8}},
			{"path_create_directory", []any{3, path + "/new"}},
			{"path_unlink_file", []any{3, path + "/secret"}},
			{"path_remove_directory", []any{3, path + "/other"}},
			{"path_rename", []any{3, "mine", 3, path + "/mine"}},
			{"path_rename", []any{3, path + "/secret", 3, "got"}},
			{"path_link", []any{3, 0, path + "/secret", 3, "got"}},
			{"path_symlink", []any{"x", 3, path + "/new"}},
			{"path_readlink", []any{3, path + "/x", at, 10, at}},
		} {
			// A path through a file that is in the directory ends there.
			if e := g.do(c.name, c.args...); e != enotcapable && !(e == enotdir && strings.HasPrefix(path, "mine")) {
				t.Errorf("%s %s gives %d", c.name, path, e)
			}
		}
	}
	g.want(enotcapable, "path_symlink", "/etc/passwd", 3, "new")
	g.want(exdev, "path_rename", 3, "mine", 4, "mine")
	g.want(exdev, "path_link", 3, 0, "mine", 4, "mine")
	// An opened directory is a world of its own.
	g.ok("path_create_directory", 3, "sub")
	sub := g.open(3, "sub", directory, 0, 0)
	g.want(enotcapable, "path_filestat_get", sub, 1, "../mine", at)
	if got, err := os.ReadFile(filepath.Join(outer, "secret")); err != nil || string(got) != "secret" {
		t.Errorf("the secret is now %q: %v", got, err)
	}
	if list, _ := os.ReadDir(outer); len(list) != 3 {
		t.Errorf("outside there is now %v", list)
	}
}

func TestReadOnly(t *testing.T) {
	root := tree(t, "a", "content", "d/", "")
	p := dir(root)
	p.Dirs[0].ReadOnly = true
	g := alone(t, p)
	at := g.alloc(8)
	if got := g.all(g.open(3, "a", 0, rightRead, 0)); got != "content" {
		t.Errorf("read %q", got)
	}
	for _, c := range []struct {
		name string
		args []any
	}{
		{"path_open", []any{3, 1, "a", 0, rightWrite, 0, 0, at}}, {"path_open", []any{3, 1, "b", creat, rightRead, 0, 0, at}},
		{"path_open", []any{3, 1, "a", trunc, rightRead, 0, 0, at}}, {"path_create_directory", []any{3, "n"}}, {"path_unlink_file", []any{3, "a"}},
		{"path_remove_directory", []any{3, "d"}}, {"path_rename", []any{3, "a", 3, "b"}}, {"path_link", []any{3, 0, "a", 3, "b"}},
		{"path_symlink", []any{"a", 3, "b"}}, {"path_filestat_set_times", []any{3, 1, "a", 0, 0, 8}}, {"fd_filestat_set_times", []any{3, 0, 0, 8}},
		{"fd_filestat_set_size", []any{4, 0}}, {"fd_filestat_set_times", []any{4, 0, 0, 8}},
	} {
		g.want(erofs, c.name, c.args...)
	}
	g.want(ebadf, "fd_write", 4, g.vector(span{at, 1}), 1, at)
}
