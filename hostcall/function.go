package hostcall

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"

	"github.com/dialtone-gpu/dialtone/hostcall/call"
	"github.com/dialtone-gpu/dialtone/hostcall/errno"
)

// Function is a Go function that kernels call, once for each active lane. An error reaches the lane as its
// portable number (see errno.From); the context ends with the run.
type Function func(ctx context.Context, lane *Lane) error

// Lane is what one lane sent, and what it gets.
type Lane struct {
	Index int      // of the lane in its subgroup
	In    []uint32 // the words it sent
	Out   []uint32 // the words it gets, zero at first; as many as it asked for
	Bytes []byte   // the bytes it sent, a copy
	Reply []byte   // append the bytes it gets; more than cap(Reply) fails with EMSGSIZE

	// Wait may be set by the function where it would have to wait for something: it is called after the function has returned nil for
	// every lane of the packet, those of several lanes at the same time, and then gives the outcome. Lanes that make a call together
	// would wait one after the other else.
	Wait func() error
}

// handler marshals for a function. A call made with hc_call carries a byte count in word 0 each
// way, one made with hc_call_words does not.
func (f Function) handler() call.Handler {
	return func(c *call.Call) {
		var late waiters
		returned := false
		defer func() {
			if late.wait() && returned {
				c.Settle()
				panic(late.cause)
			}
		}()
		call.PerLane(func(c *call.Call, lane int) errno.Errno {
			l, e := f.lane(c, lane)
			if e != 0 {
				return e
			}
			room := cap(l.Reply)
			err := f(c.Context, l)
			if err == nil && l.Wait != nil {
				late.add(func(e errno.Errno) { c.Fail(lane, e) }, func() errno.Errno { return l.answer(c, lane, room, l.Wait()) })
				return 0
			}
			return l.answer(c, lane, room, err)
		})(c)
		returned = true
	}
}

// lane is what a lane sent.
func (f Function) lane(c *call.Call, lane int) (*Lane, errno.Errno) {
	l := &Lane{Index: lane}
	first := 0
	if c.HasBytes {
		first = 1
		var e errno.Errno
		if l.Bytes, e = counted(c.Bytes(lane)); e != 0 {
			return nil, e
		}
		l.Reply = c.Room(lane)[:0]
	}
	in, out := max(0, c.In-first), max(0, c.Out-first)
	words := make([]uint32, in+out)
	l.In, l.Out = words[:in:in], words[in:]
	for i := range l.In {
		l.In[i] = c.Word(lane, first+i)
	}
	return l, 0
}

// answer gives a lane what the function left.
func (l *Lane) answer(c *call.Call, lane, room int, err error) errno.Errno {
	if err != nil {
		return errno.From(err)
	}
	if len(l.Reply) > room {
		return errno.EMSGSIZE
	}
	first := 0
	if c.HasBytes {
		first = 1
		if c.Out > 0 {
			copy(c.Room(lane), l.Reply)
			c.SetWord(lane, 0, uint32(len(l.Reply)))
		}
	}
	for i, v := range l.Out[:min(len(l.Out), max(0, c.Out-first))] {
		c.SetWord(lane, first+i, v)
	}
	return 0
}

// waiters are the lanes whose functions wait. Each writes its own lane's outcome only, so they may end at the same time.
type waiters struct {
	list  []func()
	mu    sync.Mutex
	cause any // why the first one that panicked did
}

func (w *waiters) add(fail func(errno.Errno), wait func() errno.Errno) {
	w.list = append(w.list, func() {
		e := errno.EFAULT
		defer func() {
			if v := recover(); v != nil {
				w.mu.Lock()
				defer w.mu.Unlock()
				if w.cause == nil {
					w.cause = fmt.Sprintf("%v\n%s", v, debug.Stack())
				}
			}
			fail(e)
		}()
		e = wait()
	})
}

// wait runs them, and reports whether one panicked.
func (w *waiters) wait() bool {
	if len(w.list) == 1 {
		w.list[0]()
	} else {
		var group sync.WaitGroup
		for _, f := range w.list {
			group.Go(f)
		}
		group.Wait()
	}
	return w.cause != nil
}
