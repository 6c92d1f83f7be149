package service

import (
	"os"
	"syscall"
	"unsafe"
)

const utimeOmit = 1<<30 - 2 // UTIME_OMIT of utimensat(2)

// setTimes is futimens(3): utimensat(2) without a path.
func setTimes(f *os.File, atime, mtime int64) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	times := [2]syscall.Timespec{timespec(atime), timespec(mtime)}
	failed := raw.Control(func(fd uintptr) {
		if _, _, e := syscall.Syscall6(syscall.SYS_UTIMENSAT, fd, 0, uintptr(unsafe.Pointer(&times)), 0, 0, 0); e != 0 {
			err = e
		}
	})
	if failed != nil {
		return failed
	}
	return err
}

func timespec(ns int64) syscall.Timespec {
	if ns == OmitTime {
		return syscall.Timespec{Nsec: utimeOmit}
	}
	return syscall.NsecToTimespec(ns)
}
