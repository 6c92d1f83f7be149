package wasi

import (
	"context"
	"time"

	"github.com/dialtone-gpu/dialtone/hostcall/errno"
	"github.com/dialtone-gpu/dialtone/hostcall/service"
)

// subscription is the structure of that name.
type subscription struct {
	userdata uint64
	kind     byte // eventtype

	clock    uint32
	timeout  uint64
	absolute bool

	fd int32
}

// eventtype, the type of that name.
const (
	eventClock = 0
	eventRead  = 1
	eventWrite = 2
)

func readSubscription(b []byte) (s subscription, e errno.Errno) {
	s = subscription{userdata: u64At(b, 0), kind: b[8]}
	switch s.kind {
	case eventClock:
		s.clock, s.timeout = u32At(b, 16), u64At(b, 24)
		flags := u16At(b, 40)
		s.absolute = flags&1 != 0
		if flags&^1 != 0 {
			e = errno.EINVAL
		}
	case eventRead, eventWrite:
		s.fd = int32(u32At(b, 16))
	default:
		e = errno.EINVAL
	}
	return s, e
}

// glance is how long a poll looks at descriptors that may have to be waited for, if something else has happened already.
const glance = time.Millisecond

// pollOneoff waits until at least one of the events has happened, and tells all that have. What is wrong with one of them is told as its event.
func pollOneoff(c *call) errno.Errno {
	n := int(c.u32(2))
	if n == 0 || uint64(n)*subscriptionSize != uint64(len(c.in[0][0])) { // those beyond mostSubscriptions did not travel
		return errno.EINVAL
	}
	list := make([]subscription, n)
	for i := range list {
		var e errno.Errno
		if list[i], e = readSubscription(c.in[0][0][i*subscriptionSize:]); e != errno.OK {
			return e
		}
	}

	events := make([]*event, n)
	happened := false
	note := func(i int, e errno.Errno) {
		events[i] = &event{userdata: list[i].userdata, kind: list[i].kind, error: wasiErrno(e)}
		happened = true
	}
	first := time.Duration(-1) // the timer that goes off first
	due := make([]time.Time, n)
	var waits []int // for descriptors
	now := time.Now()
	for i, s := range list {
		switch s.kind {
		case eventClock:
			d, e := c.until(s.clock, s.timeout, s.absolute, uint64(c.u32(1))<<32|uint64(c.u32(0)))
			if e != errno.OK || d == 0 {
				note(i, e)
				break
			}
			due[i] = now.Add(d)
			if first < 0 || d < first {
				first = d
			}
		case eventWrite:
			flags, e := c.files.Flags(s.fd)
			if e == errno.OK && flags&3 == service.ReadOnly {
				e = errno.EBADF
			}
			note(i, e) // a write may wait for its reader, but takes place
		case eventRead:
			flags, e := c.files.Flags(s.fd)
			if e == errno.OK && flags&3 == service.WriteOnly {
				e = errno.EBADF
			}
			if gone := c.given[s.fd].base; e == errno.OK && gone&RightPoll != 0 {
				e = errno.ENOTCAPABLE
			}
			if e != errno.OK {
				note(i, e)
			} else {
				waits = append(waits, i)
			}
		}
	}
	switch {
	case len(waits) > 0:
		limit := first
		if happened {
			limit = glance
		}
		for _, r := range c.readable(list, waits, limit) {
			if r.e != errno.ECANCELED {
				note(r.at, r.e)
			}
		}
	case !happened:
		c.system.clock.Sleep(c, first)
	}
	if !happened && c.Err() != nil {
		return errno.ECANCELED
	}
	now = time.Now()
	for i, s := range list {
		if s.kind == eventClock && events[i] == nil && !now.Before(due[i]) {
			note(i, errno.OK)
		}
	}
	var told []event
	for i, e := range events {
		if e == nil {
			continue
		}
		if e.kind == eventRead && e.error == 0 {
			e.bytes = c.available(list[i].fd)
		}
		told = append(told, *e)
	}
	c.put32(uint32(len(told)))
	c.putEvents(told)
	return errno.OK
}

// looked is what became of waiting for a descriptor; ECANCELED is nothing.
type looked struct {
	at int
	e  errno.Errno
}

// readable waits until one of the descriptors can be read, the limit (if it is not negative) is over, or the run is.
func (c *call) readable(list []subscription, waits []int, limit time.Duration) []looked {
	ctx, stop := context.WithCancel(c)
	if limit >= 0 {
		ctx, stop = context.WithTimeout(c, limit)
	}
	defer stop()
	results := make(chan looked, len(waits))
	for _, i := range waits {
		go func() { results <- looked{i, c.files.Ready(ctx, list[i].fd)} }()
	}
	var all []looked
	for range waits {
		r := <-results
		all = append(all, r)
		if r.e != errno.ECANCELED {
			time.AfterFunc(glance, stop) // those that have happened, too, say so soon
		}
	}
	return all
}

// available is how much can be read without waiting: of a file what is behind its position, of a stream at least one byte, or its end.
func (c *call) available(fd int32) uint64 {
	s, e := c.files.Fstat(fd)
	if e != errno.OK || s.Kind != service.KindFile {
		return 1
	}
	at, e := c.files.Seek(fd, 0, service.SeekCur)
	if e != errno.OK {
		return 1
	}
	return uint64(max(0, s.Size-at))
}
