package service

import (
	"os"
	"syscall"
)

// setTimes is SetFileTime, for which a time that is not given stays.
func setTimes(f *os.File, atime, mtime int64) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	if failed := raw.Control(func(fd uintptr) { err = syscall.SetFileTime(syscall.Handle(fd), nil, filetime(atime), filetime(mtime)) }); failed != nil {
		return failed
	}
	return err
}

func filetime(ns int64) *syscall.Filetime {
	if ns == OmitTime {
		return nil
	}
	t := syscall.NsecToFiletime(ns)
	return &t
}
