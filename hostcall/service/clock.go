package service

import (
	"context"
	"runtime"
	"time"

	"github.com/dialtone-gpu/dialtone/hostcall/errno"
	"github.com/dialtone-gpu/dialtone/hostcall/policy"
)

// Clock tells the time and waits. Its methods give ENOTCAPABLE where the policy has NoClocks. The zero Clock allows everything.
type Clock struct{ denied bool }

// NewClock returns the clock that p allows.
func NewClock(p policy.Policy) Clock { return Clock{denied: p.NoClocks} }

// start is the origin of the monotonic clock: when the process began, give or take. One second is taken off so that no reading is 0.
var start = time.Now().Add(-time.Second)

// Monotonic returns nanoseconds since an origin that is the same for the whole process; it never goes back. It does not allocate.
func Monotonic() uint64 { return uint64(time.Since(start)) }

// Wall returns the time of day: seconds and nanoseconds since 1970 in UTC. It does not allocate.
func Wall() (sec int64, nsec uint32) {
	t := time.Now()
	return t.Unix(), uint32(t.Nanosecond())
}

// Monotonic is the function of that name, where the policy allows it.
func (c Clock) Monotonic() (ns uint64, e errno.Errno) {
	if c.denied {
		return 0, errno.ENOTCAPABLE
	}
	return Monotonic(), errno.OK
}

// Wall is the function of that name, where the policy allows it.
func (c Clock) Wall() (sec int64, nsec uint32, e errno.Errno) {
	if c.denied {
		return 0, 0, errno.ENOTCAPABLE
	}
	sec, nsec = Wall()
	return sec, nsec, errno.OK
}

// Resolution returns the steps of the two clocks in nanoseconds, as the operating systems document them: 1 on Linux (clock_getres), 100
// on Windows (QueryPerformanceCounter, GetSystemTimePreciseAsFileTime), 1000 for the wall and 42 for the monotonic clock on macOS (gettimeofday; the
// 24 MHz counter of Apple's processors).
func (c Clock) Resolution() (monotonic, wall uint64, e errno.Errno) {
	if c.denied {
		return 0, 0, errno.ENOTCAPABLE
	}
	switch runtime.GOOS {
	case "windows":
		return 100, 100, errno.OK
	case "darwin":
		return 42, 1000, errno.OK
	}
	return 1, 1, errno.OK
}

// Sleep waits for d, which may be 0. It gives ECANCELED as soon as ctx ends, EINVAL for a negative d.
func (c Clock) Sleep(ctx context.Context, d time.Duration) errno.Errno {
	if c.denied {
		return errno.ENOTCAPABLE
	}
	if d < 0 {
		return errno.EINVAL
	}
	if ctx.Err() != nil {
		return errno.ECANCELED
	}
	if d == 0 {
		return errno.OK
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return errno.OK
	case <-ctx.Done():
		return errno.ECANCELED
	}
}
