package nap

import (
	"syscall"
	"time"
)

// For sleeps d and the thread's timer slack, 50 us unless someone set another: nanosleep(2).
func For(d time.Duration) {
	t := syscall.NsecToTimespec(int64(d))
	syscall.Nanosleep(&t, nil)
}
