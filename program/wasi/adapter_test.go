package wasi_test

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/dialtone-gpu/dialtone/hostcall"
	"github.com/dialtone-gpu/dialtone/program/wasi"
)

// adapter does in Go what marshal.h does on a device: it gathers and stores the operands of a call by the table.
type adapter struct {
	serve    hostcall.Function
	instance uint32
	room     int // bytes of a reply that travel at once
	calls    int // packets
}

// Error numbers of the definition of WASI preview 1.
const (
	success, eacces, eagain, ebadf, eexist, efault, einval, eisdir, eloop, enametoolong, enoent, enosys, enotconn, enotdir, enotempty, enotsock, enotsup, eperm, erofs, espipe, exdev, enotcapable = 0,
		2, 6, 8, 20, 21, 28, 31, 32, 37, 44, 52, 53, 54, 55, 57, 58, 63, 69, 70, 75, 76
)

func inside(mem []byte, at, n uint64) bool { return at+n <= uint64(len(mem)) }

// span is a piece of linear memory.
type span struct{ at, n uint64 }

// pieces are where an operand lies; not ok if some of it is outside.
func pieces(mem []byte, o wasi.Operand, args []uint64) (list []span, ok bool) {
	at := uint64(uint32(args[o.Param]))
	switch o.Kind {
	case wasi.Bytes:
		list = []span{{at, uint64(uint32(args[o.Length])) * uint64(o.Size)}}
	case wasi.Fixed:
		list = []span{{at, uint64(o.Size)}}
	case wasi.Open:
		return []span{{at, 0}}, true
	case wasi.Vector:
		n := min(uint64(uint32(args[o.Length])), wasi.MostPieces)
		if !inside(mem, at, 8*n) {
			return nil, false
		}
		for i := range n {
			pair := mem[at+8*i:]
			list = append(list, span{uint64(binary.LittleEndian.Uint32(pair)), uint64(binary.LittleEndian.Uint32(pair[4:]))})
		}
	}
	for _, s := range list {
		if !inside(mem, s.at, s.n) {
			return nil, false
		}
	}
	return list, true
}

// call makes a call and gives its errno. ended says that the instance is over.
func (a *adapter) call(ctx context.Context, mem []byte, c wasi.Call, args []uint64) (errno uint32, ended bool, err error) {
	params := append([]uint64(nil), args...)
	if c.Name == "poll_oneoff" {
		params[0], params[1] = 0, 0 // there is no clock but the host's
	}
	var sent []byte
	out := make([][]span, len(c.Out))
	for k, o := range append(append([]wasi.Operand(nil), c.In...), c.Out...) {
		list, ok := pieces(mem, o, args)
		if !ok {
			return efault, false, nil
		}
		left := uint64(1<<31 - 1)
		if k < len(c.In) {
			left = uint64(o.Most)
		} else {
			out[k-len(c.In)] = list
		}
		total := uint64(0)
		for _, s := range list {
			n := min(s.n, left)
			left -= n
			total += n
			if k < len(c.In) {
				sent = binary.LittleEndian.AppendUint32(sent, uint32(n))
				sent = append(sent, mem[s.at:s.at+n]...)
				sent = append(sent, make([]byte, -len(sent)&3)...)
			}
		}
		if o.Kind == wasi.Vector {
			params[o.Param] = total
		}
	}
	var reply []byte
	for total := -1; total < 0 || len(reply) < total; {
		words := []uint32{uint32(c.Number), a.instance, uint32(len(reply))}
		for i, wide := range c.Wide() {
			words = append(words, uint32(params[i]))
			if wide {
				words = append(words, uint32(params[i]>>32))
			}
		}
		l := hostcall.Lane{In: words, Out: make([]uint32, wasi.ReplyWords), Bytes: sent, Reply: make([]byte, 0, a.room)}
		a.calls++
		err := a.serve(ctx, &l)
		if err == nil && l.Wait != nil {
			err = l.Wait()
		}
		if err != nil {
			return 0, false, err
		}
		switch l.Out[wasi.ReplyState] {
		case wasi.StateEnded:
			return 0, true, nil
		case 0:
		default:
			return l.Out[wasi.ReplyState], false, nil
		}
		if cap(l.Reply) != a.room && len(l.Reply) > a.room {
			return 0, false, fmt.Errorf("%s: a reply of %d bytes for a room of %d", c.Name, len(l.Reply), a.room)
		}
		sent = nil
		total = int(l.Out[wasi.ReplyTotal])
		reply = append(reply, l.Reply...)
		if total <= wasi.BriefBytes {
			if len(l.Reply) > 0 {
				return 0, false, fmt.Errorf("%s: a brief reply has %d bytes besides its words", c.Name, len(l.Reply))
			}
			for _, w := range l.Out[wasi.ReplyBrief:][:wasi.BriefBytes/4] {
				reply = binary.LittleEndian.AppendUint32(reply, w)
			}
			reply = reply[:total]
		}
		if len(l.Reply) == 0 && len(reply) < total {
			return 0, false, fmt.Errorf("%s: nothing comes after %d of %d bytes", c.Name, len(reply), total)
		}
		if len(reply) < total {
			continue
		}
		rest, said := reply, 0
		for k, o := range c.Out {
			n := o.Size
			if o.Kind != wasi.Fixed {
				n = int(l.Out[wasi.ReplyLength+said])
				said++
			}
			b := rest[:n]
			rest = rest[(n+3)&^3:]
			if o.Kind == wasi.Open {
				if !inside(mem, out[k][0].at, uint64(n)) {
					return efault, false, nil
				}
				out[k][0].n = uint64(n)
			}
			for _, s := range out[k] {
				b = b[copy(mem[s.at:s.at+s.n], b):]
			}
			if len(b) > 0 {
				return 0, false, fmt.Errorf("%s: %d bytes too many", c.Name, len(b))
			}
		}
		if len(rest) > 0 {
			return 0, false, fmt.Errorf("%s: %d bytes behind the reply", c.Name, len(rest))
		}
	}
	return 0, false, nil
}
