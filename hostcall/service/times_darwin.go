package service

import (
	"os"
	"syscall"
)

// setTimes is futimes(2), which knows microseconds and leaves nothing alone: what is to stay is read before.
func setTimes(f *os.File, atime, mtime int64) error {
	if atime == OmitTime || mtime == OmitTime {
		info, err := f.Stat()
		if err != nil {
			return err
		}
		now := statOf(info)
		if atime == OmitTime {
			atime = now.ATime
		}
		if mtime == OmitTime {
			mtime = now.MTime
		}
	}
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	times := []syscall.Timeval{syscall.NsecToTimeval(atime), syscall.NsecToTimeval(mtime)}
	if failed := raw.Control(func(fd uintptr) { err = syscall.Futimes(int(fd), times) }); failed != nil {
		return failed
	}
	return err
}
