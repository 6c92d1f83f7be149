// Package mailbox carries hostcalls through memory that a running kernel and the host share.
//
// [Slots] knows the packets: it finds a request in a slot, copies it out once, checks it, and
// writes the answer. [Server] watches the slots while a kernel runs. docs/protocol.md specifies
// both sides; the layout is package wire's.
//
// Whatever a kernel writes can at worst make its own calls fail: every number is checked after it
// was copied, and nothing that the device can reach is read twice to decide something.
package mailbox

import (
	"fmt"
	"math/bits"
	"sync/atomic"
	"unsafe"

	"github.com/dialtone-gpu/dialtone/hostcall/call"
	"github.com/dialtone-gpu/dialtone/hostcall/errno"
	"github.com/dialtone-gpu/dialtone/hostcall/wire"
)

// Slots is the host's view of a mailbox.
type Slots struct {
	wire.Layout
	base unsafe.Pointer
	// expected is the tag that the next request of a slot carries; busy while a handler has the last one.
	expected []uint32
	full     uint64 // the mask with every lane
}

// busy is no tag that a request can have: a request's lowest byte is 0.
const busy = ^uint32(0)

// New lays a mailbox out in memory, which it clears. memory must be aligned to 64 bytes and stay
// where it is.
func New(memory []byte, shape wire.Shape) (*Slots, error) {
	l, err := shape.Layout()
	if err != nil {
		return nil, err
	}
	if len(memory) < l.Size {
		return nil, fmt.Errorf("a mailbox of %d slots needs %d bytes, got %d", shape.Slots, l.Size, len(memory))
	}
	clear(memory[:l.Size])
	s := &Slots{
		Layout:   l,
		base:     unsafe.Pointer(unsafe.SliceData(memory)),
		expected: make([]uint32, shape.Slots),
		full:     ^uint64(0) >> (64 - shape.Lanes),
	}
	for i := range s.expected {
		s.expected[i] = wire.Tag(1, 0)
	}
	return s, nil
}

// Request is a packet that has arrived: its header, copied and not yet checked.
type Request struct {
	Slot int
	Seq  uint32
	Call uint32 // the call word
	Mask uint64

	in, out   uint8 // words each way
	malformed bool  // the header makes no sense
	failed    uint8 // a row of errnos follows the words of the answer
}

// Op is the opcode.
func (r *Request) Op() wire.Opcode { return wire.Opcode(r.Call & wire.OpcodeMask) }

func (s *Slots) at(offset int) unsafe.Pointer { return unsafe.Add(s.base, offset) }

// load reads a cell; on every machine that Go runs on with 64-bit pointers this is one access.
func load(p unsafe.Pointer) uint64 { return atomic.LoadUint64((*uint64)(p)) }

// Find looks for new requests in slots from..to-1, puts as many as fit into list, and gives their number
// and the slot to go on with. It is what a poller does most of the time.
func (s *Slots) Find(list []Request, from, to int) (n, next int) {
	head := s.at(s.RequestHeader + from*wire.RequestHeaderBytes)
	expected := s.expected[:to]
	for slot := from; slot < to; slot++ {
		first := load(head)
		if tag := uint32(first >> 32); tag == atomic.LoadUint32(&expected[slot]) && tag != busy {
			second := load(unsafe.Add(head, 8))
			r := &list[n]
			*r = Request{Slot: slot, Seq: tag >> 8, Call: uint32(first), Mask: uint64(uint32(second))}
			if uint32(second>>32) == tag && (s.Lanes <= 32 || s.highMask(r, head, tag)) { // else a cell is still on its way
				s.parse(r)
				s.prefetch(r)
				if n++; n == len(list) {
					return n, slot + 1
				}
			}
		}
		head = unsafe.Add(head, wire.RequestHeaderBytes)
	}
	return n, to
}

func (s *Slots) highMask(r *Request, head unsafe.Pointer, tag uint32) bool {
	third := load(unsafe.Add(head, 16))
	r.Mask |= uint64(uint32(third)) << 32
	return uint32(third>>32) == tag
}

// prefetch brings in what answering the request will touch, so that the waits for several requests
// overlap: the device has just written the one half and read the other.
func (s *Slots) prefetch(r *Request) {
	in, out := int(r.in), int(r.out)
	if in > wire.ShortWords || out > wire.ShortWords {
		return // see prefetchLong
	}
	from, inBytes := s.near(&s.Request, r.Slot, in, r.Call&wire.TaggedRequest != 0)
	to, outBytes := s.near(&s.Layout.Reply, r.Slot, out, r.Call&wire.TaggedReply != 0)
	prefetch(from, to, inBytes, outBytes)
}

// near is where n short words of a slot are, and their size.
func (s *Slots) near(p *wire.Payload, slot, n int, tagged bool) (unsafe.Pointer, int) {
	if tagged {
		return s.at(p.Cells + slot*p.CellsStride), n * s.Lanes * 8
	}
	return s.at(p.Short + slot*p.ShortStride), n * s.Lanes * 4
}

// prefetchLong does the same for the long part of a request that comes next: one ahead is as many lines as a
// processor can wait for.
func (s *Slots) prefetchLong(r *Request) {
	if in := int(r.in); in > wire.ShortWords && in <= wire.MaxWords && r.Call&wire.TaggedRequest == 0 {
		prefetch(s.at(s.Request.Long+r.Slot*s.Request.LongStride), s.at(s.ReplyHeader+r.Slot*wire.ReplyHeaderBytes), (in-wire.ShortWords)*s.Lanes*4, 1)
	}
}

// parse takes the call word apart.
func (s *Slots) parse(r *Request) {
	in, out := r.Call>>wire.InShift&wire.CountMask, r.Call>>wire.OutShift&wire.CountMask
	r.in, r.out = uint8(in), uint8(out)
	r.malformed = r.Mask == 0 || r.Mask&^s.full != 0 || in > wire.MaxWords || out > wire.MaxWords ||
		r.Call&wire.TaggedRequest != 0 && in > wire.MaxTaggedWords ||
		r.Call&wire.TaggedReply != 0 && (out > wire.MaxTaggedWords || out == 0) ||
		r.Call&wire.More != 0 && r.Call&wire.WithBytes == 0 ||
		r.Call&wire.WithBytes != 0 && in == 0 || r.Call>>30 != 0
}

// Accept copies the request's words into c, and shows it the bytes. It reports false, and changes nothing,
// while cells are still on their way. A malformed packet is accepted with EPROTO for every lane: it must be
// answered as well. Until the answer the slot is busy.
func (s *Slots) Accept(r *Request, c *call.Call) bool {
	c.Op, c.Mask, c.In, c.Out = r.Op(), r.Mask&s.full, int(r.in), int(r.out)
	c.HasBytes = r.Call&wire.WithBytes != 0
	if r.malformed {
		c.In, c.HasBytes = 0, false
	}
	words := c.Words(c.In, s.Lanes)
	if r.Call&wire.TaggedRequest == 0 {
		n := min(len(words), wire.ShortWords*s.Lanes)
		copy(words, unsafe.Slice((*uint32)(s.at(s.Request.Short+r.Slot*s.Request.ShortStride)), n))
		if n < len(words) {
			copy(words[n:], unsafe.Slice((*uint32)(s.at(s.Request.Long+r.Slot*s.Request.LongStride)), len(words)-n))
		}
	} else if !s.acceptCells(words, s.at(s.Request.Cells+r.Slot*s.Request.CellsStride), r) {
		return false
	}
	s.expected[r.Slot] = busy
	clear(c.Errnos()[:(s.Lanes+7)&^7])
	c.Begin()
	if r.malformed {
		c.FailAll(errno.EPROTO)
	} else if c.HasBytes {
		s.bytes(r.Slot, c)
	}
	return true
}

// acceptCells copies words out of cells; false if one of them is still on its way.
func (s *Slots) acceptCells(words []uint32, payload unsafe.Pointer, r *Request) bool {
	tag := uint64(wire.Tag(r.Seq, 0)) << 32
	if r.Mask == s.full {
		for i := range words {
			v := load(unsafe.Add(payload, i*8))
			if v&^0xffffffff != tag {
				return false
			}
			words[i] = uint32(v)
		}
		return true
	}
	for row := 0; row < len(words); row += s.Lanes {
		for m := r.Mask & s.full; m != 0; m &= m - 1 {
			i := row + bits.TrailingZeros64(m)
			v := load(unsafe.Add(payload, i*8))
			if v&^0xffffffff != tag {
				return false
			}
			words[i] = uint32(v)
		}
	}
	return true
}

// bytes gives each lane its share of the bulk memory; a length beyond it fails the lane.
func (s *Slots) bytes(slot int, c *call.Call) {
	share := s.Share(bits.OnesCount64(c.Mask))
	at := slot * s.Bulk
	for m := c.Mask; m != 0; m &= m - 1 {
		lane := bits.TrailingZeros64(m)
		n := int(c.Word(lane, 0))
		if n > share {
			n = 0
			c.Fail(lane, errno.EINVAL)
		}
		c.SetBytes(lane, unsafe.Slice((*byte)(s.at(s.BulkIn+at)), n))
		c.SetRoom(lane, unsafe.Slice((*byte)(s.at(s.BulkOut+at)), share))
		at += share
	}
}

// Reopen makes the slot ready for the next request, before the device can see the answer to this one. The
// poller of the slot may do it, or with shared set any other goroutine.
func (s *Slots) Reopen(r *Request, shared bool) {
	next := wire.Tag(wire.NextSeq(r.Seq), 0)
	if shared {
		atomic.StoreUint32(&s.expected[r.Slot], next)
	} else {
		s.expected[r.Slot] = next
	}
}

// Reply writes the answer in c to the request's slot, which belongs to the kernel again at once. The
// slot must have been reopened.
func (s *Slots) Reply(r *Request, c *call.Call) {
	if s.Fill(r, c) {
		streamFence()
		s.Announce(r)
	}
}

// Fill is the first half of Reply. It reports whether the kernel waits for the second, Announce, before
// which there must be a streamFence; one will do for many.
func (s *Slots) Fill(r *Request, c *call.Call) (announce bool) {
	if r.Seq == wire.SeqMask || r.Seq == 1 {
		s.forget(r.Slot)
	}
	out := int(r.out)
	if r.Call&wire.TaggedReply != 0 && out > 0 && out <= wire.MaxTaggedWords {
		s.replyCells(s.at(s.Layout.Reply.Cells+r.Slot*s.Layout.Reply.CellsStride), c.Words(out, s.Lanes), r, c)
		return false
	}
	short := s.at(s.Layout.Reply.Short + r.Slot*s.Layout.Reply.ShortStride)
	long := s.at(s.Layout.Reply.Long + r.Slot*s.Layout.Reply.LongStride)
	out = min(out, wire.MaxWords)
	words := c.Words(out, s.Lanes)
	n := min(len(words), wire.ShortWords*s.Lanes)
	copy(unsafe.Slice((*uint32)(short), n), words)
	switch rest := words[n:]; {
	case len(rest) >= streamWords && len(rest)%16 == 0:
		copyStream(long, unsafe.Pointer(&rest[0]), len(rest)*4)
	case len(rest) > 0:
		copy(unsafe.Slice((*uint32)(long), len(rest)), rest)
	}
	if anyErrno(c.Errnos(), s.Lanes) {
		r.failed = 1
		row := unsafe.Add(short, out*s.Lanes*4)
		if out >= wire.ShortWords {
			row = unsafe.Add(long, (out-wire.ShortWords)*s.Lanes*4)
		}
		for lane, e := range c.Errnos()[:s.Lanes] {
			*(*uint32)(unsafe.Add(row, lane*4)) = uint32(e)
		}
	}
	return true
}

// forget empties the cells that a slot's kernel awaits. A lap of the sequence numbers ends and begins with it: with the
// last number go the cells of all numbers before, ahead of their return, and with the first those of the last.
func (s *Slots) forget(slot int) {
	atomic.StoreUint64((*uint64)(s.at(s.ReplyHeader+slot*wire.ReplyHeaderBytes)), 0)
	cells := s.at(s.Layout.Reply.Cells + slot*s.Layout.Reply.CellsStride)
	for at := 0; at < s.Layout.Reply.CellsStride; at += 8 {
		storeCell(unsafe.Add(cells, at), 0)
	}
}

// streamWords is from how many words on a long part is written past the caches: a processor has too few
// line buffers to read that many lines of one mailbox and own as many.
const streamWords = 128

// Announce tells the kernel that the answer is there.
func (s *Slots) Announce(r *Request) {
	publish(s.at(s.ReplyHeader+r.Slot*wire.ReplyHeaderBytes), wire.Cell(0, wire.Tag(r.Seq, r.failed)))
}

// replyCells writes words that carry their own tags: a lane's poll that finds them has the answer.
// Plain stores are enough, each cell is valid by itself.
func (s *Slots) replyCells(part unsafe.Pointer, words []uint32, r *Request, c *call.Call) {
	if len(words) == 0 {
		return
	}
	tag := uint64(wire.Tag(r.Seq, 0)) << 32
	errnos := c.Errnos()
	if r.Mask == s.full && s.Lanes%8 == 0 && !anyErrno(errnos, s.Lanes) {
		interleave(part, &words[0], len(words), wire.Tag(r.Seq, 0))
		return
	}
	for row := 0; row < len(words); row += s.Lanes {
		for m := r.Mask & s.full; m != 0; m &= m - 1 {
			i := bits.TrailingZeros64(m) & (wire.MaxLanes - 1)
			storeCell(unsafe.Add(part, (row+i)*8), uint64(words[row+i])|tag|uint64(errnos[i])<<32)
		}
	}
}

// anyErrno looks at eight lanes at a time. Those of inactive lanes are 0.
func anyErrno(errnos *[wire.MaxLanes]errno.Errno, lanes int) bool {
	var any uint64
	for i := 0; i < lanes; i += 8 {
		any |= *(*uint64)(unsafe.Pointer(&errnos[i&(wire.MaxLanes-8)]))
	}
	return any != 0
}

// MarkOffset is where the device's queue may tell of the end of a run, see [Options].Mark.
const MarkOffset = wire.ControlMark * 4

// marked is the mark that came last.
func (s *Slots) marked() uint32 { return atomic.LoadUint32((*uint32)(s.at(MarkOffset))) }

// SetAbort sets or clears the word that long-running kernels look at.
func (s *Slots) SetAbort(on bool) {
	var v uint32
	if on {
		v = 1
	}
	atomic.StoreUint32((*uint32)(s.at(wire.ControlAbort*4)), v)
}
