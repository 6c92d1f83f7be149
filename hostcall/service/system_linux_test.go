package service

import (
	"fmt"
	"os"
	"syscall"
	"testing"
	"unsafe"
)

func mkfifo(path string) error { return syscall.Mkfifo(path, 0o600) }

// systemChannels adds what only this system has.
func systemChannels(kinds map[string]func(t *testing.T) channel) {
	kinds["blocking pipe"] = func(t *testing.T) channel {
		var p [2]int
		if err := syscall.Pipe2(p[:], syscall.O_CLOEXEC); err != nil {
			t.Fatal(err)
		}
		r, w := os.NewFile(uintptr(p[0]), "r"), os.NewFile(uintptr(p[1]), "w")
		t.Cleanup(func() {
			if flags, _, _ := syscall.Syscall(syscall.SYS_FCNTL, uintptr(p[0]), syscall.F_GETFL, 0); flags&syscall.O_NONBLOCK != 0 {
				t.Error("the shared description has been made non-blocking")
			}
			r.Close()
			w.Close()
		})
		return channel{r: r, w: w, end: func() { w.Close() }}
	}
	kinds["socket"] = func(t *testing.T) channel {
		p, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		r, w := os.NewFile(uintptr(p[0]), "r"), os.NewFile(uintptr(p[1]), "w")
		t.Cleanup(func() { r.Close(); w.Close() })
		return channel{r: r, w: w, end: func() { w.Close() }}
	}
	kinds["terminal"] = func(t *testing.T) channel {
		master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
		if err != nil {
			t.Skipf("no terminals here: %v", err)
		}
		fd := master.Fd()
		var unlock, number int32
		ioctl(fd, syscall.TIOCSPTLCK, &unlock)
		ioctl(fd, syscall.TIOCGPTN, &number)
		slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
		if err != nil {
			master.Close()
			t.Skipf("no terminals here: %v", err)
		}
		slave.Fd() // makes it blocking, as a process's own terminal is
		t.Cleanup(func() { slave.Close(); master.Close() })
		return channel{r: slave, w: master, end: func() { master.Write([]byte{4, 4, 4}) }} // Ctrl-D for each of the reads at the end
	}
}

func ioctl(fd uintptr, request uintptr, value *int32) {
	syscall.Syscall(syscall.SYS_IOCTL, fd, request, uintptr(unsafe.Pointer(value)))
}
