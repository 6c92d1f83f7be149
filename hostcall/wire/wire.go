// Package wire is the packet layout that kernels and the host share, described once.
//
// The C header device/wire.h is generated from this package (go generate
// ./hostcall/wire); docs/protocol.md explains the exchange. Everything here is little-endian
// 32-bit words, because many devices have no wider atomic access; where the plan found
// that 64-bit accesses are single, a [Cell] travels as one.
//
// A mailbox has Slots slots. A slot belongs to one subgroup from the claim to the
// last word of the answer. Its parts, each written by one side only:
//
//	request header  64 bytes   device  cells: call, mask low, mask high
//	request short   word-major device  words 0 and 1 of all lanes
//	request long    word-major device  the other words
//	request cells   word-major device  words 0 and 1 as cells, in place of both
//	reply header    64 bytes   host    one cell
//	reply short     word-major host    words 0 and 1
//	reply long      word-major host    the other words, and a row of errnos
//	reply cells     word-major host    words 0 and 1 as cells, in place of both
//	bulk in         bytes      device  each active lane's share
//	bulk out        bytes      host    each active lane's share
//
// Short parts of all slots lie together, so that many short calls touch few pages. Cells have a part
// of their own, since a plain word may have any value, that of a coming cell's tag among them.
package wire

//go:generate go run ./gen

import "fmt"

// Sizes of the format.
const (
	MaxWords    = 16 // payload words per lane, each way
	MaxLanes    = 64 // lanes in the widest subgroup
	ShortWords  = 2  // words in a short part
	ControlSize = 4096

	// The distances of two headers: a cache line each.
	RequestHeaderBytes = 64
	ReplyHeaderBytes   = 64

	SeqBits = 24
	SeqMask = 1<<SeqBits - 1

	// LockStride is the distance of two slot locks in device memory, in words, so that
	// neighbours do not share an atomic unit's sector.
	LockStride = 8
)

// Bits of the call word, the value of the request header's first cell.
const (
	OpcodeMask = 0xffff // bits 0..15
	InShift    = 16     // bits 16..20: words sent per lane
	OutShift   = 21     // bits 21..25: words wanted per lane
	CountMask  = 0x1f

	TaggedRequest = 1 << 26 // the request payload is cells, not plain words
	TaggedReply   = 1 << 27 // the answer is awaited in cells of the reply payload
	WithBytes     = 1 << 28 // word 0 of each lane is the number of bytes in its bulk share
	More          = 1 << 29 // the bytes continue in the next packet of this slot
)

// Bits of Params.Flags.
const (
	// FlagTagged lets short requests travel as cells without a fence: best latency. Without
	// it requests are published by one release store: best throughput.
	FlagTagged = 1 << 0
)

// Words of the control block at the start of the mailbox. The host writes the first, the device's queue the second, which
// is in a line of its own.
const (
	ControlAbort = 0  // not 0: the run is over, leave
	ControlMark  = 16 // the number of the last run whose kernel has ended, where the device tells it
)

// ErrnoStop in a reply ends the calling lane: the run is over.
const ErrnoStop = 255

// FirstUserOpcode is where the opcodes of a program's own calls begin.
const FirstUserOpcode = 0x8000

// Tag is the upper half of a cell: the slot's sequence number and, in a reply, the errno.
func Tag(seq uint32, errno uint8) uint32 { return seq<<8 | uint32(errno) }

// Cell is a word with its tag: valid by itself as soon as the tag is the awaited one.
func Cell(word, tag uint32) uint64 { return uint64(word) | uint64(tag)<<32 }

// NextSeq follows seq; 0 is never used, fresh memory is full of it.
func NextSeq(seq uint32) uint32 {
	if seq = (seq + 1) & SeqMask; seq == 0 {
		return 1
	}
	return seq
}

// Shape is what a mailbox is laid out for.
type Shape struct {
	Slots int // subgroups that can have a call open at once
	Lanes int // lanes of a subgroup, at most MaxLanes
	Bulk  int // bytes per slot each way, a multiple of 64
}

// Layout holds the byte offsets of a mailbox's parts.
type Layout struct {
	Shape
	RequestHeader, ReplyHeader int
	Request, Reply             Payload
	BulkIn, BulkOut            int
	Size                       int
}

// Payload is where the words of one direction are.
type Payload struct {
	Short, ShortStride int // offset and bytes per slot
	Long, LongStride   int
	Cells, CellsStride int
}

// Layout computes the offsets. The error says which number makes no sense.
func (s Shape) Layout() (Layout, error) {
	if s.Slots < 1 || s.Lanes < 1 || s.Lanes > MaxLanes || s.Bulk < 0 || s.Bulk%64 != 0 {
		return Layout{}, fmt.Errorf("mailbox of %d slots, %d lanes, %d bulk bytes: slots from 1, lanes 1 to %d, bulk a multiple of 64",
			s.Slots, s.Lanes, s.Bulk, MaxLanes)
	}
	if s.Slots > 1<<32/RequestHeaderBytes || s.Bulk > 1<<32/s.Slots {
		return Layout{}, fmt.Errorf("mailbox of %d slots with %d bulk bytes each: at most 4 GiB", s.Slots, s.Bulk)
	}
	l := Layout{Shape: s}
	at := ControlSize
	place := func(bytes int) int {
		here := at
		at += (bytes + 4095) &^ 4095
		return here
	}
	l.RequestHeader = place(s.Slots * RequestHeaderBytes)
	l.ReplyHeader = place(s.Slots * ReplyHeaderBytes)
	payload := func(words int) Payload {
		p := Payload{ShortStride: align(ShortWords * s.Lanes * 4), LongStride: align((words - ShortWords) * s.Lanes * 4),
			CellsStride: align(MaxTaggedWords * s.Lanes * 8)}
		p.Short = place(s.Slots * p.ShortStride)
		p.Long = place(s.Slots * p.LongStride)
		p.Cells = place(s.Slots * p.CellsStride)
		return p
	}
	l.Request = payload(MaxWords)
	l.Reply = payload(MaxWords + 1)
	l.BulkIn = place(s.Slots * s.Bulk)
	l.BulkOut = place(s.Slots * s.Bulk)
	l.Size = at
	if at > 1<<32-1 {
		return Layout{}, fmt.Errorf("mailbox of %d slots with %d bulk bytes each needs %d bytes, at most 4 GiB", s.Slots, s.Bulk, at)
	}
	return l, nil
}

func align(n int) int { return (n + 63) &^ 63 }

// Share is the number of bulk bytes of each of n active lanes.
func (s Shape) Share(active int) int {
	if active == 0 {
		return 0
	}
	return s.Bulk / active &^ 15
}

// MaxTaggedWords is how many words may travel as cells.
const MaxTaggedWords = 2
