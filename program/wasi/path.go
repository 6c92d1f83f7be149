package wasi

import (
	"github.com/dialtone-gpu/dialtone/hostcall/errno"
	"github.com/dialtone-gpu/dialtone/hostcall/service"
)

// follow is the only one of lookupflags.
const follow = 1

func pathCreateDirectory(c *call) errno.Errno {
	return c.files.MkdirAt(c.fd(0), c.text(0), 0o777)
}

func pathFilestatGet(c *call) errno.Errno {
	if c.u32(1)&^follow != 0 {
		return errno.EINVAL
	}
	s, e := c.files.StatAt(c.fd(0), c.text(0), c.u32(1)&follow != 0)
	c.putFilestat(s)
	return e
}

// pathFilestatSetTimes cannot set those of a symbolic link itself, for which package os has no call.
func pathFilestatSetTimes(c *call) errno.Errno {
	if c.u32(1)&^follow != 0 {
		return errno.EINVAL
	}
	atime, mtime, e := c.times(4)
	if e != errno.OK {
		return e
	}
	if c.u32(1)&follow == 0 {
		s, e := c.files.StatAt(c.fd(0), c.text(0), false)
		if e != errno.OK {
			return e
		}
		if s.Kind == service.KindSymlink {
			return errno.ENOTSUP
		}
	}
	return c.files.SetTimesAt(c.fd(0), c.text(0), atime, mtime)
}

// pathLink does not follow a symbolic link that is linked to, nor does the host.
func pathLink(c *call) errno.Errno {
	switch {
	case c.u32(1) != 0:
		return errno.EINVAL
	case c.given[c.fd(4)].base&RightPathLinkTarget != 0:
		return errno.ENOTCAPABLE
	}
	return c.files.LinkAt(c.fd(0), c.text(0), c.fd(4), c.text(1))
}

func pathOpen(c *call) errno.Errno {
	const creat, directory, excl, trunc, all = 1, 2, 4, 8, 15
	asked, oflags, fdflags := Rights(c.u64(5)), c.u32(4), c.u32(7)
	if c.u32(1)&^follow != 0 || oflags&^all != 0 || fdflags&^fdFlags != 0 {
		return errno.EINVAL
	}
	gone := c.given[c.fd(0)]
	if asked&gone.inheriting&(RightRead|RightWrite) != 0 ||
		oflags&creat != 0 && gone.base&RightPathCreateFile != 0 || oflags&trunc != 0 && gone.base&RightPathFilestatSetSize != 0 {
		return errno.ENOTCAPABLE
	}
	flags := openFlags(fdflags)
	// The host cuts nothing that it does not open for writing.
	reads, writes := asked&RightRead != 0, asked&RightWrite != 0 || oflags&trunc != 0
	switch {
	case reads && writes:
		flags |= service.ReadWrite
	case writes:
		flags |= service.WriteOnly
	}
	for _, pair := range [...]struct {
		bit  uint32
		flag service.OpenFlags
	}{{creat, service.Create}, {directory, service.Directory}, {excl, service.Exclusive}, {trunc, service.Truncate}} {
		if oflags&pair.bit != 0 {
			flags |= pair.flag
		}
	}
	if c.u32(1)&follow == 0 {
		flags |= service.NoFollow
	}
	fd, e := c.files.OpenAt(c.fd(0), c.text(0), flags, 0o666)
	if e != errno.OK {
		return e
	}
	if gone.inheriting != 0 {
		c.given[fd] = away{gone.inheriting, gone.inheriting}
	}
	c.put32(uint32(fd))
	return errno.OK
}

// pathReadlink cuts what does not fit, as readlink does.
func pathReadlink(c *call) errno.Errno {
	target, e := c.files.ReadlinkAt(c.fd(0), c.text(0))
	target = target[:min(uint64(len(target)), uint64(c.u32(4)))]
	c.put32(uint32(len(target)))
	c.putBytes([]byte(target))
	return e
}

func pathRemoveDirectory(c *call) errno.Errno { return c.files.RmdirAt(c.fd(0), c.text(0)) }

func pathRename(c *call) errno.Errno {
	if c.given[c.fd(3)].base&RightPathRenameTarget != 0 {
		return errno.ENOTCAPABLE
	}
	return c.files.RenameAt(c.fd(0), c.text(0), c.fd(3), c.text(1))
}

func pathSymlink(c *call) errno.Errno {
	if c.given[c.fd(2)].base&RightPathSymlink != 0 {
		return errno.ENOTCAPABLE
	}
	return c.files.SymlinkAt(c.text(0), c.fd(2), c.text(1))
}

func pathUnlinkFile(c *call) errno.Errno { return c.files.UnlinkAt(c.fd(0), c.text(0)) }
