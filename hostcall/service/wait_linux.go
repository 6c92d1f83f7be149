package service

import (
	"syscall"
	"unsafe"
)

// pollFD is a struct pollfd, see poll(2).
type pollFD struct {
	fd      int32
	events  int16
	revents int16
}

const pollIn = 1

// waitReadable waits until fd can be read (or is at its end, or broken: the read will tell) or wake can. It says whether fd can.
func waitReadable(fd, wake int) (bool, error) {
	list := [2]pollFD{{fd: int32(fd), events: pollIn}, {fd: int32(wake), events: pollIn}}
	for {
		_, _, e := syscall.Syscall6(syscall.SYS_PPOLL, uintptr(unsafe.Pointer(&list)), uintptr(len(list)), 0, 0, 0, 0)
		switch e {
		case 0:
			return list[0].revents != 0, nil
		case syscall.EINTR:
		default:
			return false, e
		}
	}
}
