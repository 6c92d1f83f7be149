package wasi

import (
	"encoding/binary"
	"math"

	"github.com/dialtone-gpu/dialtone/hostcall/errno"
	"github.com/dialtone-gpu/dialtone/hostcall/service"
)

// fdAdvise checks its parameters and does nothing: there is nothing that advice would make faster here.
func fdAdvise(c *call) errno.Errno {
	s, e := c.files.Fstat(c.fd(0))
	switch {
	case e != errno.OK:
		return e
	case s.Kind == service.KindDir:
		return errno.EBADF
	case s.Kind != service.KindFile:
		return errno.ESPIPE
	case int64(c.u64(1)) < 0, int64(c.u64(2)) < 0, c.u32(3) > 5:
		return errno.EINVAL
	}
	return errno.OK
}

func fdAllocate(c *call) errno.Errno {
	return c.files.Allocate(c.fd(0), int64(c.u64(1)), int64(c.u64(2)))
}

func fdClose(c *call) errno.Errno {
	e := c.files.CloseFD(c.fd(0))
	delete(c.preopens, c.fd(0))
	delete(c.given, c.fd(0))
	return e
}

// fdSync serves fd_datasync, too, which promises less.
func fdSync(c *call) errno.Errno { return c.files.Fsync(c.fd(0)) }

// rightsOf are those of a descriptor, with its kind and flags.
func (c *call) rightsOf(fd int32) (base, inheriting Rights, kind service.Kind, flags service.OpenFlags, e errno.Errno) {
	s, e := c.files.Fstat(fd)
	if e != errno.OK {
		return
	}
	if flags, e = c.files.Flags(fd); e != errno.OK {
		return
	}
	readOnly, e := c.files.ReadOnly(fd)
	base, inheriting = rights(s.Kind, flags, readOnly)
	gone := c.given[fd]
	return base &^ gone.base, inheriting &^ gone.inheriting, s.Kind, flags, e
}

func fdFdstatGet(c *call) errno.Errno {
	base, inheriting, kind, flags, e := c.rightsOf(c.fd(0))
	c.put32(uint32(filetype(kind)) | uint32(flagsOf(flags))<<16)
	c.put32(0)
	c.put64(uint64(base))
	c.put64(uint64(inheriting))
	return e
}

func fdFdstatSetFlags(c *call) errno.Errno {
	if c.u32(1)&^fdFlags != 0 {
		return errno.EINVAL
	}
	now, e := c.files.Flags(c.fd(0))
	if e != errno.OK {
		return e
	}
	return c.files.SetFlags(c.fd(0), now&^(service.Append|service.NonBlock|service.Sync)|openFlags(c.u32(1)))
}

func fdFdstatSetRights(c *call) errno.Errno {
	base, inheriting, _, _, e := c.rightsOf(c.fd(0))
	if e != errno.OK {
		return e
	}
	keep, pass := Rights(c.u64(1)), Rights(c.u64(2))
	if keep&^base != 0 || pass&^inheriting != 0 {
		return errno.ENOTCAPABLE
	}
	gone := c.given[c.fd(0)]
	gone.base |= allRights &^ keep
	gone.inheriting |= allRights &^ pass
	c.given[c.fd(0)] = gone
	return errno.OK
}

func fdFilestatGet(c *call) errno.Errno {
	s, e := c.files.Fstat(c.fd(0))
	c.putFilestat(s)
	return e
}

func fdFilestatSetSize(c *call) errno.Errno {
	return c.files.Truncate(c.fd(0), int64(c.u64(1)))
}

func fdFilestatSetTimes(c *call) errno.Errno {
	atime, mtime, e := c.times(1)
	if e != errno.OK {
		return e
	}
	return c.files.SetTimesFD(c.fd(0), atime, mtime)
}

// times reads two times and what of them to set, the type fstflags, from parameter i on.
func (c *call) times(i int) (atime, mtime int64, e errno.Errno) {
	const setAtime, nowAtime, setMtime, nowMtime, all = 1, 2, 4, 8, 15
	flags := c.u32(i + 2)
	if flags&^all != 0 || flags&setAtime != 0 && flags&nowAtime != 0 || flags&setMtime != 0 && flags&nowMtime != 0 {
		return 0, 0, errno.EINVAL
	}
	sec, nsec := service.Wall() // what the file system would take for now
	now := sec*1e9 + int64(nsec)
	pick := func(given uint64, set, current uint32) int64 {
		switch {
		case flags&set != 0:
			if given > math.MaxInt64 {
				e = errno.EOVERFLOW
			}
			return int64(given)
		case flags&current != 0:
			return now
		}
		return service.OmitTime
	}
	atime, mtime = pick(c.u64(i), setAtime, nowAtime), pick(c.u64(i+1), setMtime, nowMtime)
	return atime, mtime, e
}

func fdPread(c *call) errno.Errno {
	n, e := c.files.Pread(c.fd(0), c.space(4, c.u64(1)), int64(c.u64(3)))
	c.put32(uint32(n))
	c.filled(n)
	return e
}

func fdRead(c *call) errno.Errno {
	n, e := c.files.Read(c, c.fd(0), c.space(4, c.u64(1)))
	c.put32(uint32(n))
	c.filled(n)
	return e
}

func fdPwrite(c *call) errno.Errno {
	at := int64(c.u64(3))
	done, e := 0, errno.OK
	if len(c.in[0]) == 0 {
		_, e = c.files.Pwrite(c.fd(0), nil, at)
	}
	for _, p := range c.in[0] {
		n, num := c.files.Pwrite(c.fd(0), p, at+int64(done))
		done += n
		if num != errno.OK || n < len(p) {
			if done == 0 {
				e = num
			}
			break
		}
	}
	c.put32(uint32(done))
	return e
}

func fdWrite(c *call) errno.Errno {
	n, e := c.files.WriteAllContext(c, c.fd(0), c.in[0])
	if n > 0 {
		e = errno.OK // the next one tells
	}
	c.put32(uint32(n))
	return e
}

func fdPrestatGet(c *call) errno.Errno {
	guest, ok := c.preopens[c.fd(0)]
	if !ok {
		return errno.EBADF
	}
	c.put32(0) // a directory
	c.put32(uint32(len(guest)))
	return errno.OK
}

func fdPrestatDirName(c *call) errno.Errno {
	guest, ok := c.preopens[c.fd(0)]
	switch {
	case !ok:
		return errno.EBADF
	case uint64(c.u32(2)) < uint64(len(guest)):
		return errno.ENAMETOOLONG
	}
	c.putBytes([]byte(guest))
	return errno.OK
}

// mostDirents bounds what one fd_readdir gives: a reply that does not fill its buffer would be the end of the directory.
const mostDirents = 16 << 20

// fdReaddir gives "." and ".." first, as wasi-libc's programs are used to; cookies 0 and 1 stand before them, others are two more than
// the host's.
func fdReaddir(c *call) errno.Errno {
	room := uint64(c.u32(2))
	if room > mostDirents {
		return errno.ENOMEM
	}
	fd, cookie := c.fd(0), c.u64(3)
	self, e := c.files.Fstat(fd)
	switch {
	case e != errno.OK:
		return e
	case self.Kind != service.KindDir:
		return errno.ENOTDIR
	}
	var b []byte
	for ; cookie < 2 && uint64(len(b)) < room; cookie++ {
		// That of the parent is not the program's to know; 0 would have wasi-libc ask for it, in vain.
		b = appendDirent(b, cookie+1, max(self.Inode, 1), service.KindDir, ".."[:cookie+1])
	}
	var list [64]service.Dirent
	for uint64(len(b)) < room {
		n, e := c.files.Readdir(fd, cookie-2, list[:])
		if e != errno.OK {
			return e
		}
		if n == 0 {
			break
		}
		for _, d := range list[:n] {
			b = appendDirent(b, d.Next+2, d.Inode, d.Kind, d.Name)
		}
		cookie = list[n-1].Next + 2
	}
	b = b[:min(uint64(len(b)), room)] // the last name may be cut
	c.put32(uint32(len(b)))
	c.putBytes(b)
	return errno.OK
}

func fdRenumber(c *call) errno.Errno {
	from, to := c.fd(0), c.fd(1)
	e := c.files.Renumber(from, to)
	if e != errno.OK || from == to {
		return e
	}
	// A preopened directory that has moved is an ordinary one.
	delete(c.preopens, from)
	delete(c.preopens, to)
	delete(c.given, to)
	if gone, ok := c.given[from]; ok {
		c.given[to] = gone
		delete(c.given, from)
	}
	return errno.OK
}

func fdSeek(c *call) errno.Errno {
	at, e := c.files.Seek(c.fd(0), int64(c.u64(1)), int(int32(min(c.u32(2), 3))))
	c.put64(uint64(at))
	return e
}

func fdTell(c *call) errno.Errno {
	at, e := c.files.Seek(c.fd(0), 0, service.SeekCur)
	c.put64(uint64(at))
	return e
}

// u16, u32 and u64 of a structure that a program wrote.
func u16At(b []byte, at int) uint16 { return binary.LittleEndian.Uint16(b[at:]) }
func u32At(b []byte, at int) uint32 { return binary.LittleEndian.Uint32(b[at:]) }
func u64At(b []byte, at int) uint64 { return binary.LittleEndian.Uint64(b[at:]) }
