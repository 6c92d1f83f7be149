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
	base     unsafe.Pointer
	expected []uint32 // the sequence number that the next request of a slot carries
	lapped   []bool   // the slot has been through all sequence numbers
	full     uint64   // the mask with every lane
}

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
		lapped:   make([]bool, shape.Slots),
		full:     ^uint64(0) >> (64 - shape.Lanes),
	}
	for i := range s.expected {
		s.expected[i] = 1
	}
	return s, nil
}

// Request is a packet that has arrived: its header, copied and not yet checked.
type Request struct {
	Slot int
	Seq  uint32
	Call uint32 // the call word
	Mask uint64
}

// Op is the opcode.
func (r Request) Op() wire.Opcode { return wire.Opcode(r.Call & wire.OpcodeMask) }

func (r Request) in() int  { return int(r.Call >> wire.InShift & wire.CountMask) }
func (r Request) out() int { return int(r.Call >> wire.OutShift & wire.CountMask) }

func (s *Slots) at(offset int) unsafe.Pointer { return unsafe.Add(s.base, offset) }

// load reads a cell; on every machine that Go runs on with 64-bit pointers this is one access.
func load(p unsafe.Pointer) uint64 { return atomic.LoadUint64((*uint64)(p)) }

// Peek looks for a new request in a slot. It is what a poller does most of the time.
func (s *Slots) Peek(slot int) (Request, bool) {
	head := s.at(s.RequestHeader + slot*wire.HeaderBytes)
	first := load(head)
	seq := s.expected[slot]
	if uint32(first>>32) != wire.Tag(seq, 0) {
		return Request{}, false
	}
	second := load(unsafe.Add(head, 8))
	if uint32(second>>32) != wire.Tag(seq, 0) {
		return Request{}, false // a cell is still on its way
	}
	r := Request{Slot: slot, Seq: seq, Call: uint32(first), Mask: uint64(uint32(second))}
	if s.Lanes > 32 {
		third := load(unsafe.Add(head, 16))
		if uint32(third>>32) != wire.Tag(seq, 0) {
			return Request{}, false
		}
		r.Mask |= uint64(uint32(third)) << 32
	}
	return r, true
}

// Accept copies the request's words and bytes into c. It reports false, and changes nothing, while
// cells are still on their way. The errno says that the packet makes no sense; it must be answered all
// the same.
func (s *Slots) Accept(r Request, c *call.Call) (bool, errno.Errno) {
	slot := r.Slot
	problem := errno.OK
	c.Op, c.Mask, c.In, c.Out = r.Op(), r.Mask&s.full, r.in(), r.out()
	c.HasBytes = r.Call&wire.WithBytes != 0
	if r.Mask == 0 || r.Mask&^s.full != 0 || c.In > wire.MaxWords || c.Out > wire.MaxWords ||
		r.Call&wire.TaggedRequest != 0 && c.In > wire.MaxTaggedWords ||
		r.Call&wire.TaggedReply != 0 && (c.Out > wire.MaxTaggedWords || c.Out == 0) ||
		r.Call&wire.More != 0 && r.Call&wire.WithBytes == 0 ||
		r.Call&wire.WithBytes != 0 && c.In == 0 || r.Call>>30 != 0 {
		problem = errno.EPROTO
		c.In, c.HasBytes = 0, false
	}
	payload := s.at(s.Layout.Request + slot*s.RequestStride)
	words := c.Words(c.In, s.Lanes)
	if r.Call&wire.TaggedRequest != 0 {
		if !s.acceptCells(words, payload, r) {
			return false, 0
		}
	} else {
		copy(words, unsafe.Slice((*uint32)(payload), len(words)))
	}
	s.expected[slot] = wire.NextSeq(r.Seq)
	if r.Seq == wire.SeqMask {
		s.lapped[slot] = true
	}
	clear(c.Errnos()[:s.Lanes])
	if problem != 0 {
		c.FailAll(problem)
		return true, problem
	}
	if c.HasBytes {
		s.bytes(slot, c)
	}
	return true, 0
}

// acceptCells copies words out of cells; false if one of them is still on its way.
func (s *Slots) acceptCells(words []uint32, payload unsafe.Pointer, r Request) bool {
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

// Reply writes the answer in c to the request's slot, which belongs to the kernel again at once.
func (s *Slots) Reply(r Request, c *call.Call) {
	payload := s.at(s.Layout.Reply + r.Slot*s.ReplyStride)
	if r.Seq == 1 && s.lapped[r.Slot] {
		// A new lap: cells of the last one must not be taken for this one's.
		clear(unsafe.Slice((*uint64)(payload), s.ReplyStride/8))
	}
	out := r.out()
	if r.Call&wire.TaggedReply != 0 && out > 0 && out <= wire.MaxTaggedWords {
		s.replyCells(payload, r, c, out)
		return
	}
	out = min(out, wire.MaxWords)
	var any errno.Errno
	for m := r.Mask & s.full; m != 0; m &= m - 1 {
		any |= c.Errno(bits.TrailingZeros64(m))
	}
	words := c.Words(out, s.Lanes)
	copy(unsafe.Slice((*uint32)(payload), len(words)), words)
	if any != 0 {
		row := unsafe.Slice((*uint32)(unsafe.Add(payload, out*s.Lanes*4)), s.Lanes)
		for lane := range row {
			row[lane] = uint32(c.Errnos()[lane])
		}
		any = 1
	}
	atomic.StoreUint64((*uint64)(s.at(s.ReplyHeader+r.Slot*wire.HeaderBytes)), wire.Cell(0, wire.Tag(r.Seq, uint8(any))))
}

// replyCells writes words that carry their own tags: a lane's poll that finds them has the answer.
// Plain stores are enough, each cell is valid by itself.
func (s *Slots) replyCells(payload unsafe.Pointer, r Request, c *call.Call, out int) {
	tag := uint64(wire.Tag(r.Seq, 0)) << 32
	errnos := c.Errnos()
	words := c.Words(out, s.Lanes)
	for row := 0; row < len(words); row += s.Lanes {
		if r.Mask == s.full {
			for lane, word := range words[row : row+s.Lanes] {
				i := lane & (wire.MaxLanes - 1)
				*(*uint64)(unsafe.Add(payload, (row+lane)*8)) = uint64(word) | tag | uint64(errnos[i])<<32
			}
			continue
		}
		for m := r.Mask & s.full; m != 0; m &= m - 1 {
			i := bits.TrailingZeros64(m) & (wire.MaxLanes - 1)
			*(*uint64)(unsafe.Add(payload, (row+i)*8)) = uint64(words[row+i]) | tag | uint64(errnos[i])<<32
		}
	}
}

// SetAbort sets or clears the word that long-running kernels look at.
func (s *Slots) SetAbort(on bool) {
	var v uint32
	if on {
		v = 1
	}
	atomic.StoreUint32((*uint32)(s.at(wire.ControlAbort*4)), v)
}
