package hostcall

import (
	"context"

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
}

// handler marshals for a function. A call made with hc_call carries a byte count in word 0 each
// way, one made with hc_call_words does not.
func (f Function) handler() call.Handler {
	return call.PerLane(func(c *call.Call, lane int) errno.Errno {
		withBytes := c.HasBytes
		l := Lane{Index: lane}
		first := 0
		if withBytes {
			first = 1
			var e errno.Errno
			if l.Bytes, e = counted(c.Bytes(lane)); e != 0 {
				return e
			}
			l.Reply = c.Room(lane)[:0]
		}
		for i := first; i < c.In; i++ {
			l.In = append(l.In, c.Word(lane, i))
		}
		l.Out = make([]uint32, max(0, c.Out-first))
		room := cap(l.Reply)
		if err := f(c.Context, &l); err != nil {
			return errno.From(err)
		}
		if len(l.Reply) > room {
			return errno.EMSGSIZE
		}
		if withBytes && c.Out > 0 {
			copy(c.Room(lane), l.Reply)
			c.SetWord(lane, 0, uint32(len(l.Reply)))
		}
		for i, v := range l.Out[:min(len(l.Out), max(0, c.Out-first))] {
			c.SetWord(lane, first+i, v)
		}
		return 0
	})
}
