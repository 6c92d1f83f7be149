package service

import (
	"os"
	"runtime"
	"strings"

	"github.com/dialtone-gpu/dialtone/hostcall/errno"
	"github.com/dialtone-gpu/dialtone/hostcall/policy"
)

// MaxPath is the longest path in bytes; a longer one gives ENAMETOOLONG. It is Linux's PATH_MAX without the NUL.
const MaxPath = 4095

// AtRoot stands where a method wants the descriptor of a directory: relative paths start at "/", as they do in the methods without At.
const AtRoot int32 = -100

// mount is one directory of the policy.
type mount struct {
	policy.Dir
	parts []string // the components of Guest
	root  *os.Root
}

// place is where a path leads: a name under a root, which os.Root then resolves without ever leaving it. Nothing here resolves ".." or
// symbolic links: what "a/../b" means depends on what a is.
type place struct {
	root     *os.Root
	name     string
	readOnly bool
}

// isRoot says that the name is that of the mounted directory itself, which can be neither removed nor renamed.
func (p place) isRoot() bool { return p.name == "." }

// resolve finds the place for a path that starts at the directory dir.
//
// With AtRoot the longest Guest that is a prefix of the path serves it. A path from a descriptor stays under that directory, as WASI
// has it: an absolute one, and one that leaves it, gives ENOTCAPABLE.
func (f *Files) resolve(dir int32, path string) (place, errno.Errno) {
	switch {
	case path == "":
		return place{}, errno.ENOENT
	case len(path) > MaxPath:
		return place{}, errno.ENAMETOOLONG
	case strings.IndexByte(path, 0) >= 0:
		return place{}, errno.EINVAL
	case runtime.GOOS == "windows" && strings.IndexByte(path, '\\') >= 0:
		return place{}, errno.EINVAL // no name on Windows can have it, and it must not act as a separator
	}
	if dir != AtRoot {
		e := f.get(dir)
		switch {
		case e == nil:
			return place{}, errno.EBADF
		case e.class != directory:
			return place{}, errno.ENOTDIR
		case e.root == nil:
			return place{}, errno.EACCES
		}
		return place{e.root, path, e.readOnly}, errno.OK
	}
	for i := range f.host.mounts {
		m := &f.host.mounts[i]
		if name, ok := m.match(path); ok {
			return place{m.root, name, m.ReadOnly}, errno.OK
		}
	}
	return place{}, errno.ENOTCAPABLE
}

// match returns the rest of path below the mount, "." for the mount itself.
func (m *mount) match(path string) (name string, ok bool) {
	for _, want := range m.parts {
		path = skipHere(path)
		if !strings.HasPrefix(path, want) {
			return "", false
		}
		path = path[len(want):]
		if path != "" && path[0] != '/' {
			return "", false
		}
	}
	path = skipHere(path)
	if path == "" {
		return ".", true
	}
	return path, true
}

// skipHere drops leading slashes and "." components, which mean nothing whatever the directory.
func skipHere(path string) string {
	for {
		switch {
		case strings.HasPrefix(path, "/"):
			path = path[1:]
		case strings.HasPrefix(path, "./"):
			path = path[2:]
		case path == ".":
			return ""
		default:
			return path
		}
	}
}
