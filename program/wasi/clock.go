package wasi

import (
	"math"
	"time"

	"github.com/dialtone-gpu/dialtone/hostcall/errno"
)

// The clocks that there are. Those of the time that a process or thread has computed are EINVAL, as in POSIX where a system has none.
const (
	realtime  = 0
	monotonic = 1
)

func clockResGet(c *call) errno.Errno {
	ofMonotonic, ofRealtime, e := c.system.clock.Resolution()
	if e != errno.OK {
		return e
	}
	switch c.u32(0) {
	case realtime:
		c.put64(ofRealtime)
	case monotonic:
		c.put64(ofMonotonic)
	default:
		return errno.EINVAL
	}
	return errno.OK
}

func clockTimeGet(c *call) errno.Errno {
	now, e := c.now(c.u32(0))
	c.put64(now)
	return e
}

// now reads a clock, in nanoseconds.
func (c *call) now(clock uint32) (uint64, errno.Errno) {
	switch clock {
	case realtime:
		sec, nsec, e := c.system.clock.Wall()
		return uint64(sec)*1e9 + uint64(nsec), e
	case monotonic:
		return c.system.clock.Monotonic()
	}
	return 0, errno.EINVAL
}

// until is how long it is until a clock shows a time, or for that long if it is not absolute. Where programs read a device's monotonic
// clock, which has an origin of its own, device is what that shows now; else 0.
func (c *call) until(clock uint32, at uint64, absolute bool, device uint64) (time.Duration, errno.Errno) {
	now, e := c.now(clock)
	if clock == monotonic && device != 0 {
		now = device
	}
	switch {
	case e != errno.OK:
		return 0, e
	case absolute && at <= now:
		return 0, errno.OK
	case absolute:
		at -= now
	}
	return time.Duration(min(at, math.MaxInt64)), errno.OK
}
