package service

import "syscall"

// Darwin's poll(2) and kqueue(2) do not work for every terminal ("BUGS: The poll() system call currently does not support devices");
// select(2) does.

// selectSize is FD_SETSIZE.
const selectSize = 1024

// waitReadable waits until fd can be read (or is at its end, or broken: the read will tell) or wake can. It says whether fd can. It also
// returns every now and then where a descriptor's number is too large for select.
func waitReadable(fd, wake int) (bool, error) {
	if fd >= selectSize {
		return false, syscall.EMFILE
	}
	for {
		var set syscall.FdSet
		last := fd
		mark(&set, fd)
		var limit *syscall.Timeval
		if wake < selectSize {
			mark(&set, wake)
			last = max(last, wake)
		} else {
			limit = &syscall.Timeval{Usec: 20_000}
		}
		switch err := syscall.Select(last+1, &set, nil, nil, limit); err {
		case nil:
			return set.Bits[fd/32]&(1<<(fd%32)) != 0, nil
		case syscall.EINTR:
		default:
			return false, err
		}
	}
}

func mark(s *syscall.FdSet, fd int) { s.Bits[fd/32] |= 1 << (fd % 32) }
