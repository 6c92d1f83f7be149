package nap

import (
	"runtime"
	"syscall"
	"time"
)

// For sleeps d and the thread's timer slack, 50 us unless someone set another: nanosleep(2). Other goroutines run first: in a system call this one keeps its processor
// from them until the runtime takes that away, which an idle one does every 10 ms.
func For(d time.Duration) {
	runtime.Gosched()
	t := syscall.NsecToTimespec(int64(d))
	syscall.Nanosleep(&t, nil)
}
