//go:build !windows

package bench

import (
	"syscall"
	"time"
)

// processTime is the processor time of this process so far: getrusage(2).
func processTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
