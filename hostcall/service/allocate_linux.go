package service

import (
	"os"
	"syscall"
)

// allocate is fallocate(2), which keeps room. Where a file system has none the file grows.
func allocate(f *os.File, off, size int64) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	failed := raw.Control(func(fd uintptr) {
		for {
			if err = syscall.Fallocate(int(fd), 0, off, size); err != syscall.EINTR {
				return
			}
		}
	})
	if failed != nil {
		return failed
	}
	if err == syscall.EOPNOTSUPP {
		return grow(f, off+size)
	}
	return err
}
