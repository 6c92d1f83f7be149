package service

import (
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/dialtone-gpu/dialtone/hostcall/errno"
)

// refuse returns why nothing can be changed at a place in a read-only directory: EROFS, unless the path leads out of the directory or
// cannot be followed.
func (p place) refuse() errno.Errno {
	_, err := p.root.Lstat(p.name)
	switch e := errno.From(err); e {
	case errno.OK, errno.ENOENT:
		return errno.EROFS
	default:
		return e
	}
}

// changeable resolves a path at which something is to be changed.
func (f *Files) changeable(dir int32, path string) (place, errno.Errno) {
	p, e := f.resolve(dir, path)
	if e == errno.OK && p.readOnly {
		e = p.refuse()
	}
	return p, e
}

// Mkdir makes a directory with the permissions mode (low nine bits, before the host's umask).
func (f *Files) Mkdir(path string, mode uint32) errno.Errno { return f.MkdirAt(AtRoot, path, mode) }

// MkdirAt is Mkdir for a path that starts at the directory dir.
func (f *Files) MkdirAt(dir int32, path string, mode uint32) errno.Errno {
	p, e := f.changeable(dir, path)
	if e != errno.OK {
		return e
	}
	return errno.From(p.root.Mkdir(p.name, os.FileMode(mode&0o777)))
}

// Unlink removes a name that is no directory: EISDIR for one.
func (f *Files) Unlink(path string) errno.Errno { return f.UnlinkAt(AtRoot, path) }

// UnlinkAt is Unlink for a path that starts at the directory dir.
func (f *Files) UnlinkAt(dir int32, path string) errno.Errno { return f.remove(dir, path, false) }

// Rmdir removes an empty directory: ENOTDIR for anything else, ENOTEMPTY, EBUSY for a directory of the policy.
func (f *Files) Rmdir(path string) errno.Errno { return f.RmdirAt(AtRoot, path) }

// RmdirAt is Rmdir for a path that starts at the directory dir.
func (f *Files) RmdirAt(dir int32, path string) errno.Errno { return f.remove(dir, path, true) }

// remove looks at what is there and removes it, since os.Root has one call for both kinds. When someone else puts a thing of the other kind
// there in between, that is removed; a directory with something in it never is.
func (f *Files) remove(dir int32, path string, wantDir bool) errno.Errno {
	p, e := f.changeable(dir, path)
	if e != errno.OK {
		return e
	}
	info, err := p.root.Lstat(p.name)
	switch {
	case err != nil:
		return errno.From(err)
	case wantDir && !info.IsDir():
		return errno.ENOTDIR
	case !wantDir && info.IsDir():
		return errno.EISDIR
	case p.isRoot():
		return errno.EBUSY
	}
	return errno.From(p.root.Remove(p.name))
}

// Rename moves a name; what to names is replaced at once, as POSIX has it: a file by a file, an empty directory by a directory. EXDEV
// between two directories of the policy (or two descriptors), EBUSY for such a directory itself.
func (f *Files) Rename(from, to string) errno.Errno { return f.RenameAt(AtRoot, from, AtRoot, to) }

// RenameAt is Rename for paths that start at directories.
func (f *Files) RenameAt(fromDir int32, from string, toDir int32, to string) errno.Errno {
	a, b, e := f.pair(fromDir, from, toDir, to)
	if e != errno.OK {
		return e
	}
	if a.isRoot() || b.isRoot() {
		return errno.EBUSY
	}
	e = errno.From(a.root.Rename(a.name, b.name))
	if e != errno.EEXIST {
		return e
	}
	return renameOntoDir(a, b)
}

// renameOntoDir renames where to is a directory, which os.Root refuses and POSIX allows for an empty one. It is two steps here: others may see
// that to is missing for a moment.
func renameOntoDir(a, b place) errno.Errno {
	from, err := a.root.Lstat(a.name)
	if err != nil {
		return errno.From(err)
	}
	to, err := b.root.Lstat(b.name)
	if err != nil {
		return errno.From(err)
	}
	switch {
	case !to.IsDir():
		return errno.EEXIST // it has just changed
	case !from.IsDir():
		return errno.EISDIR
	case os.SameFile(from, to):
		return errno.OK
	}
	if err := b.root.Remove(b.name); err != nil {
		return errno.From(err)
	}
	if err := a.root.Rename(a.name, b.name); err != nil {
		b.root.Mkdir(b.name, to.Mode().Perm())
		return errno.From(err)
	}
	return errno.OK
}

// pair resolves two paths that must lie in one directory of the policy, both of which are about to change.
func (f *Files) pair(fromDir int32, from string, toDir int32, to string) (a, b place, e errno.Errno) {
	if a, e = f.changeable(fromDir, from); e != errno.OK {
		return
	}
	if b, e = f.changeable(toDir, to); e != errno.OK {
		return
	}
	if a.root != b.root {
		e = errno.EXDEV
	}
	return
}

// Link gives the file from the further name to. A symbolic link is not followed.
func (f *Files) Link(from, to string) errno.Errno { return f.LinkAt(AtRoot, from, AtRoot, to) }

// LinkAt is Link for paths that start at directories.
func (f *Files) LinkAt(fromDir int32, from string, toDir int32, to string) errno.Errno {
	a, b, e := f.pair(fromDir, from, toDir, to)
	if e != errno.OK {
		return e
	}
	return errno.From(a.root.Link(a.name, b.name))
}

// Symlink makes path a symbolic link to target. An absolute target, which the guest could never follow, gives ENOTCAPABLE; a relative one may
// lead anywhere, and following it is denied where it leads out.
func (f *Files) Symlink(target, path string) errno.Errno { return f.SymlinkAt(target, AtRoot, path) }

// SymlinkAt is Symlink for a path that starts at the directory dir.
func (f *Files) SymlinkAt(target string, dir int32, path string) errno.Errno {
	p, e := f.changeable(dir, path)
	switch {
	case e != errno.OK:
		return e
	case target == "":
		return errno.ENOENT
	case len(target) > MaxPath:
		return errno.ENAMETOOLONG
	case strings.IndexByte(target, 0) >= 0:
		return errno.EINVAL
	case strings.HasPrefix(target, "/"), os.IsPathSeparator(target[0]), filepath.VolumeName(target) != "":
		return errno.ENOTCAPABLE
	}
	return errno.From(p.root.Symlink(filepath.FromSlash(target), p.name))
}

// Readlink returns the target of a symbolic link, EINVAL for anything else.
func (f *Files) Readlink(path string) (string, errno.Errno) { return f.ReadlinkAt(AtRoot, path) }

// ReadlinkAt is Readlink for a path that starts at the directory dir.
func (f *Files) ReadlinkAt(dir int32, path string) (string, errno.Errno) {
	p, e := f.resolve(dir, path)
	if e != errno.OK {
		return "", e
	}
	target, err := p.root.Readlink(p.name)
	if err != nil {
		return "", errno.From(err)
	}
	return filepath.ToSlash(target), errno.OK
}

// OmitTime leaves a time as it is in SetTimes.
const OmitTime int64 = -1 << 63

// SetTimes sets when path was last read and changed, in nanoseconds since 1970; OmitTime leaves one alone. It follows symbolic links.
func (f *Files) SetTimes(path string, atime, mtime int64) errno.Errno {
	return f.SetTimesAt(AtRoot, path, atime, mtime)
}

// SetTimesAt is SetTimes for a path that starts at the directory dir.
func (f *Files) SetTimesAt(dir int32, path string, atime, mtime int64) errno.Errno {
	p, e := f.changeable(dir, path)
	if e != errno.OK {
		return e
	}
	return errno.From(p.root.Chtimes(p.name, hostTime(atime), hostTime(mtime)))
}

// hostTime makes a time of nanoseconds; os.Chtimes leaves alone what the zero Time is given for.
func hostTime(ns int64) time.Time {
	if ns == OmitTime {
		return time.Time{}
	}
	return time.Unix(0, ns)
}
