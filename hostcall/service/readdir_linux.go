package service

import (
	"bytes"
	"encoding/binary"
	"math"
	"syscall"

	"github.com/dialtone-gpu/dialtone/hostcall/errno"
)

// cursor is how this system reads directories.
type cursor = offsetCursor

// offsetCursor reads a directory with getdents64(2), whose d_off is the cookie: the kernel finds its way back to any of them, so nothing has
// to be remembered here, however large the directory.
type offsetCursor struct {
	buf     []byte // records that the kernel gave
	at, end int
	next    uint64 // cookie of the record at at; where the kernel goes on if there is none
}

const direntBuffer = 16 << 10

func (c *offsetCursor) read(e *entry, cookie uint64, list []Dirent) (n int, err error) {
	if cookie > math.MaxInt64 {
		return 0, errno.EINVAL
	}
	raw, err := e.file.SyscallConn()
	if err != nil {
		return 0, err
	}
	failed := raw.Control(func(fd uintptr) {
		if cookie != c.next || cookie == 0 {
			c.at, c.end = 0, 0
			if _, err = syscall.Seek(int(fd), int64(cookie), 0); err != nil {
				c.next = math.MaxUint64 // nowhere
				return
			}
			c.next = cookie
		}
		for n < len(list) {
			if c.at == c.end {
				if c.buf == nil {
					c.buf = make([]byte, direntBuffer)
				}
				c.at, c.end = 0, 0
				c.end, err = readDirent(int(fd), c.buf)
				if c.end == 0 || err != nil {
					c.end, c.buf = 0, nil
					return
				}
			}
			if c.record(&list[n]) {
				n++
			}
		}
	})
	if failed != nil {
		return n, failed
	}
	for i := range list[:n] {
		if list[i].Kind == KindUnknown && e.root != nil { // some file systems do not say
			if info, err := e.root.Lstat(list[i].Name); err == nil {
				list[i].Kind = kindOf(info.Mode())
			}
		}
	}
	return n, err
}

func readDirent(fd int, buf []byte) (int, error) {
	for {
		n, err := syscall.ReadDirent(fd, buf)
		switch err {
		case syscall.EINTR:
			continue
		case syscall.ENOENT: // the directory has been removed; POSIX wants the end
			return 0, nil
		}
		return max(n, 0), err
	}
}

// record takes the record at c.at, a struct linux_dirent64: inode (8 bytes), offset of the next (8), length (2), type (1), name. It reports
// whether it is a name to tell.
func (c *offsetCursor) record(d *Dirent) bool {
	r := c.buf[c.at:c.end]
	length := int(binary.NativeEndian.Uint16(r[16:]))
	name := r[19:length]
	if i := bytes.IndexByte(name, 0); i >= 0 {
		name = name[:i]
	}
	c.at += length
	c.next = binary.NativeEndian.Uint64(r[8:])
	if string(name) == "." || string(name) == ".." {
		return false
	}
	*d = Dirent{Name: string(name), Inode: binary.NativeEndian.Uint64(r), Next: c.next}
	switch r[18] {
	case syscall.DT_REG:
		d.Kind = KindFile
	case syscall.DT_DIR:
		d.Kind = KindDir
	case syscall.DT_LNK:
		d.Kind = KindSymlink
	case syscall.DT_CHR:
		d.Kind = KindChar
	case syscall.DT_BLK:
		d.Kind = KindBlock
	case syscall.DT_FIFO:
		d.Kind = KindFIFO
	case syscall.DT_SOCK:
		d.Kind = KindSocket
	}
	return true
}

func (c *offsetCursor) close() {}
