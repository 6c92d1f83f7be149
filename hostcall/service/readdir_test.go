package service

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/dialtone-gpu/dialtone/hostcall/errno"
)

// lister is both ways to read a directory, whichever this system uses.
type lister interface {
	read(e *entry, cookie uint64, list []Dirent) (int, error)
	close()
}

// listers returns the readers for the directory fd, each with its own state.
func listers(t *testing.T, f *Files, fd int32) map[string]lister {
	t.Helper()
	index := &indexCursor{}
	t.Cleanup(index.close)
	return map[string]lister{"host": &f.get(fd).cursor, "index": index}
}

// all reads a directory to its end, size names at a time.
func all(t *testing.T, e *entry, l lister, size int) (got []Dirent) {
	t.Helper()
	list := make([]Dirent, size)
	for cookie := uint64(0); ; {
		n, err := l.read(e, cookie, list)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			return got
		}
		got = append(got, list[:n]...)
		cookie = list[n-1].Next
	}
}

func TestReaddir(t *testing.T) {
	f, dir := newFiles(t)
	const files = 1500
	var want []string
	for i := range files {
		name := fmt.Sprintf("file-%04d-äöü", i)
		put(t, dir, "d/"+name, "")
		want = append(want, name)
	}
	os.Mkdir(filepath.Join(dir, "d", "sub"), 0o755)
	want = append(want, "sub")
	kinds := map[string]Kind{"sub": KindDir}
	if os.Symlink("sub", filepath.Join(dir, "d", "tie")) == nil {
		want, kinds["tie"] = append(want, "tie"), KindSymlink
	}
	slices.Sort(want)

	fd := mustOpen(t, f, "d", ReadOnly|Directory)
	e := f.get(fd)
	for name, l := range listers(t, f, fd) {
		var first []Dirent
		for _, size := range []int{1, 2, 7, 100, 5000} {
			got := all(t, e, l, size)
			if first == nil {
				first = got
			}
			if !slices.Equal(got, first) {
				t.Errorf("%s: %d at a time give another order or other cookies", name, size)
			}
			var names []string
			for _, d := range got {
				names = append(names, d.Name)
				if k, ok := kinds[d.Name]; ok && d.Kind != k || !ok && d.Kind != KindFile {
					t.Errorf("%s: %s has kind %d", name, d.Name, d.Kind)
				}
			}
			slices.Sort(names)
			if !slices.Equal(names, want) {
				t.Errorf("%s: %d at a time give %d names, want %d", name, size, len(names), len(want))
			}
		}
		if runtime.GOOS != "windows" {
			for _, d := range first[:20] {
				if s, e := f.Lstat("d/" + d.Name); e != errno.OK || s.Inode != d.Inode {
					t.Errorf("%s: %s has inode %d in the list and %d in %v", name, d.Name, d.Inode, s.Inode, e)
				}
			}
		}
		// Any cookie goes on where it came from, in whatever order they are used.
		list := make([]Dirent, 3)
		for range 200 {
			i := rand.IntN(len(first))
			n, err := l.read(e, first[i].Next, list)
			rest := first[i+1:]
			if err != nil || n == 0 && len(rest) > 0 || !slices.Equal(list[:n], rest[:n]) {
				t.Fatalf("%s: behind name %d come %v, %v; want %v", name, i, list[:n], err, rest[:min(3, len(rest))])
			}
		}
	}
}

// TestReaddirSeesChanges starts over at cookie 0.
func TestReaddirSeesChanges(t *testing.T) {
	f, dir := newFiles(t)
	fd := mustOpen(t, f, "/", ReadOnly)
	for name, l := range listers(t, f, fd) {
		e := f.get(fd)
		if got := all(t, e, l, 10); len(got) != 0 {
			t.Errorf("%s: an empty directory has %v", name, got)
		}
		put(t, dir, "new", "")
		if got := all(t, e, l, 10); len(got) != 1 || got[0].Name != "new" {
			t.Errorf("%s: %v, want new", name, got)
		}
		os.Remove(filepath.Join(dir, "new"))
	}
}

func TestReaddirOfRemoved(t *testing.T) {
	f, dir := newFiles(t)
	put(t, dir, "d/x", "")
	fd := mustOpen(t, f, "d", ReadOnly)
	if err := os.RemoveAll(filepath.Join(dir, "d")); err != nil {
		t.Skipf("this system keeps open directories: %v", err)
	}
	if n, e := f.Readdir(fd, 0, make([]Dirent, 4)); n != 0 || e != errno.OK && runtime.GOOS == "linux" {
		t.Errorf("%d, %v", n, e)
	}
}
