package wasi

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/dialtone-gpu/dialtone/hostcall"
	"github.com/dialtone-gpu/dialtone/hostcall/errno"
	"github.com/dialtone-gpu/dialtone/hostcall/service"
)

// process is one instance.
type process struct {
	system   *System
	instance int
	files    *service.Files
	env      []byte // packed
	out, err *lines // nil with one instance

	mu       sync.Mutex // one call at a time, as the instance makes them
	ended    bool
	preopens map[int32]string // guest paths
	given    map[int32]away   // rights that were given away
	rest     *long            // what is left of the last reply
}

// away are the rights that a descriptor has no more.
type away struct{ base, inheriting Rights }

// long is a reply that did not fit into one packet.
type long struct {
	call    *Call
	bytes   []byte
	lengths [2]uint32
}

func (s *System) newProcess(instance int) (*process, errno.Errno) {
	p := &process{system: s, instance: instance, preopens: map[int32]string{}, given: map[int32]away{}}
	own := []string{"DIALTONE_INSTANCE=" + strconv.Itoa(instance), "DIALTONE_INSTANCES=" + strconv.Itoa(len(s.processes))}
	p.env = service.Block(append(slices.DeleteFunc(slices.Clone(s.policy.Env), func(v string) bool {
		return strings.HasPrefix(v, "DIALTONE_INSTANCE=") || strings.HasPrefix(v, "DIALTONE_INSTANCES=")
	}), own...))
	if len(s.processes) == 1 {
		p.files = s.host.Files(nil, nil)
	} else {
		p.out, p.err = &lines{to: s.host.Stdout()}, &lines{to: s.host.Stderr()}
		p.files = s.host.Files(p.out, p.err)
	}
	list, e := p.files.Preopens()
	for _, d := range list {
		p.preopens[d.FD] = d.Guest
	}
	if e == errno.OK {
		_, e = p.files.Listeners()
	}
	if e != errno.OK {
		p.files.Close()
		return nil, e
	}
	return p, errno.OK
}

// close writes what is left of its lines and closes its descriptors.
func (p *process) close() error {
	err := p.finish()
	p.files.Close()
	return err
}

// finish writes what is left of its lines.
func (p *process) finish() error {
	if p.out == nil {
		return nil
	}
	return errors.Join(p.out.finish(), p.err.finish())
}

// end ends the instance.
func (p *process) end(e End) {
	p.ended = true
	p.system.end(p.instance, e)
	p.system.lose(p.finish())
	p.files.Close()
}

// call serves one call. Its error is one of the run, of which the program hears nothing.
func (p *process) call(ctx context.Context, r *request, l *hostcall.Lane) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		l.Out[replyState] = stateEnded
		return nil
	}
	room := cap(l.Reply) &^ 3
	if r.offset > 0 && r.call.Number != numberRandomGet {
		return p.resume(r, l, room)
	}
	if r.call.waits {
		var stop context.CancelFunc
		ctx, stop = context.WithCancel(ctx)
		defer stop()
		defer context.AfterFunc(p.system.over, stop)()
	}
	c := &call{Context: ctx, process: p, request: r, reply: l.Reply[:0], room: room}
	p.rest = nil
	if r.call.serve == nil {
		return nil
	}
	num := errno.OK
	if gone := p.given[c.fd(0)].base; r.call.right&gone != 0 {
		num = errno.ENOTCAPABLE
	} else {
		num = r.call.serve(c)
	}
	switch {
	case p.ended:
		l.Out[replyState] = stateEnded
		return nil
	case num == errno.ECANCELED && ctx.Err() != nil:
		return num
	case num != errno.OK:
		l.Out[replyState] = wasiErrno(num)
		return nil
	}
	total := max(len(c.reply), c.total)
	l.Out[replyTotal] = uint32(total)
	copy(l.Out[replyLength:], c.lengths[:])
	switch {
	case total <= briefBytes:
		var b [briefBytes]byte
		copy(b[:], c.reply)
		for i := range briefBytes / 4 {
			l.Out[replyBrief+i] = binary.LittleEndian.Uint32(b[4*i:])
		}
		c.reply = c.reply[:0]
	case len(c.reply) > room:
		p.rest = &long{call: r.call, bytes: c.reply, lengths: c.lengths}
		c.reply = c.reply[:room]
	}
	l.Reply = append(l.Reply[:0], c.reply...)
	return nil
}

// resume sends what comes next of a long reply.
func (p *process) resume(r *request, l *hostcall.Lane, room int) error {
	if p.rest == nil || p.rest.call != r.call || uint64(r.offset) >= uint64(len(p.rest.bytes)) {
		return errno.EINVAL
	}
	b := p.rest.bytes[r.offset:]
	l.Out[replyTotal] = uint32(len(p.rest.bytes))
	copy(l.Out[replyLength:], p.rest.lengths[:])
	if len(b) > room {
		b = b[:room]
	} else {
		p.rest = nil
	}
	l.Reply = append(l.Reply[:0], b...)
	return nil
}

// call is a call being served: what it came with, and its reply.
type call struct {
	context.Context
	*process
	*request
	room int // bytes of the reply that travel at once

	reply   []byte
	lengths [2]uint32 // of the operands whose size the host says
	said    int       // how many of them
	total   int       // bytes of a reply that is made in parts, all of it
}

// fd, u32 and u64 are parameters; text is an operand of In that is no vector.
func (c *call) fd(i int) int32    { return int32(c.params[i]) }
func (c *call) u32(i int) uint32  { return uint32(c.params[i]) }
func (c *call) u64(i int) uint64  { return c.params[i] }
func (c *call) text(k int) string { return string(c.in[k][0]) }

// Operands of Out, in the order of the table.
func (c *call) put16(v uint16) { c.reply = append(binary.LittleEndian.AppendUint16(c.reply, v), 0, 0) }
func (c *call) put32(v uint32) { c.reply = binary.LittleEndian.AppendUint32(c.reply, v) }
func (c *call) put64(v uint64) { c.reply = binary.LittleEndian.AppendUint64(c.reply, v) }

// putBytes is an operand whose size the host says.
func (c *call) putBytes(b []byte) {
	c.reply = append(c.reply, b...)
	c.length(len(b))
}

// length says the size of the operand that ends here, and fills up its last word.
func (c *call) length(n int) {
	c.lengths[c.said] = uint32(n)
	c.said++
	for ; n%4 != 0; n++ {
		c.reply = append(c.reply, 0)
	}
}

// space is room for up to n bytes behind fixed ones, as much of it as travels at once. What is put there is told with filled.
func (c *call) space(fixed int, n uint64) []byte {
	n = min(n, uint64(max(0, c.room-fixed)))
	if uint64(cap(c.reply)) < uint64(fixed)+n {
		c.reply = make([]byte, 0, uint64(fixed)+n)
	}
	return c.reply[fixed : uint64(fixed)+n]
}

// filled takes n bytes of space for the reply, whose fixed operands have been put.
func (c *call) filled(n int) {
	c.reply = c.reply[:len(c.reply)+n]
	c.length(n)
}
