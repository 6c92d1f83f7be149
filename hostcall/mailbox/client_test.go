package mailbox

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/dialtone-gpu/dialtone/hostcall/wire"
)

// client is a kernel's side of one slot, after the description in package wire: it shares no code with the
// server but the layout's numbers.
type client struct {
	memory []byte
	wire.Layout
	slot int
	seq  uint32
}

// packet is what a client sends. Words and bytes are by lane.
type packet struct {
	op                   wire.Opcode
	mask                 uint64
	in, out              int
	words                [][]uint32
	bytes                [][]byte // nil: a call without bytes
	more                 bool
	tagged, awaitsTagged bool
}

// answer is what it gets, by lane; nil and 0 for lanes that did not take part.
type answer struct {
	words  [][]uint32
	errnos []uint8
}

// aligned gives memory of Go's for a mailbox, so that the race detector watches it.
func aligned(n int) []byte {
	b := make([]byte, n+4096)
	skip := -int(uintptr(unsafe.Pointer(&b[0]))) & 4095
	return b[skip:][:n:n]
}

func (c *client) word(at int) *uint32 { return (*uint32)(unsafe.Pointer(&c.memory[at])) }
func (c *client) cell(at int) *uint64 { return (*uint64)(unsafe.Pointer(&c.memory[at])) }

// plainAt is where plain word w of a lane is.
func (c *client) plainAt(p wire.Payload, w, lane int) int {
	if w < 2 {
		return p.Short + c.slot*p.ShortStride + 4*(w*c.Lanes+lane)
	}
	return p.Long + c.slot*p.LongStride + 4*((w-2)*c.Lanes+lane)
}

func (c *client) cellAt(p wire.Payload, w, lane int) int {
	return p.Cells + c.slot*p.CellsStride + 8*(w*c.Lanes+lane)
}

// next is the sequence number that follows; a lap of them begins with empty cells.
func (c *client) next() {
	if c.seq++; c.seq == 1<<24 {
		c.seq = 1
		for lane := range c.Lanes {
			for w := range 2 {
				atomic.StoreUint64(c.cell(c.cellAt(c.Request, w, lane)), 0)
			}
		}
	}
}

// send puts a packet into the slot.
func (c *client) send(p packet) {
	c.next()
	call := uint32(p.op) | uint32(p.in)<<16 | uint32(p.out)<<21
	tag := uint64(c.seq) << 40
	if p.bytes != nil {
		call |= 1 << 28
		share := c.Bulk / bits.OnesCount64(p.mask) / 16 * 16
		rank := 0
		for lane := range c.Lanes {
			if p.mask>>lane&1 != 0 {
				copy(c.memory[c.BulkIn+c.slot*c.Bulk+rank*share:][:share], p.bytes[lane])
				rank++
			}
		}
	}
	if p.more {
		call |= 1 << 29
	}
	if p.awaitsTagged {
		call |= 1 << 27
	}
	if p.tagged {
		call |= 1 << 26
	}
	head := c.RequestHeader + wire.RequestHeaderBytes*c.slot
	publish := func() {
		atomic.StoreUint64(c.cell(head+8), tag|uint64(uint32(p.mask)))
		if c.Lanes > 32 {
			atomic.StoreUint64(c.cell(head+16), tag|p.mask>>32)
		}
		atomic.StoreUint64(c.cell(head), tag|uint64(call))
	}
	if p.tagged {
		publish() // in any order: every cell is valid by itself
	}
	for lane := range c.Lanes {
		for w := range p.in {
			switch {
			case p.mask>>lane&1 == 0:
			case p.tagged:
				atomic.StoreUint64(c.cell(c.cellAt(c.Request, w, lane)), tag|uint64(p.words[lane][w]))
			default:
				*c.word(c.plainAt(c.Request, w, lane)) = p.words[lane][w]
			}
		}
	}
	if !p.tagged {
		publish()
	}
}

// answered looks for the answer to a packet.
func (c *client) answered(p packet) (answer, bool) {
	a := answer{words: make([][]uint32, c.Lanes), errnos: make([]uint8, c.Lanes)}
	if p.awaitsTagged {
		for lane := range c.Lanes {
			if p.mask>>lane&1 == 0 {
				continue
			}
			for w := range p.out {
				v := atomic.LoadUint64(c.cell(c.cellAt(c.Reply, w, lane)))
				if uint32(v>>40) != c.seq {
					return a, false
				}
				a.words[lane] = append(a.words[lane], uint32(v))
				a.errnos[lane] = uint8(v >> 32)
			}
		}
		return a, true
	}
	ready := atomic.LoadUint64(c.cell(c.ReplyHeader + wire.ReplyHeaderBytes*c.slot))
	if uint32(ready>>40) != c.seq {
		return a, false
	}
	for lane := range c.Lanes {
		if p.mask>>lane&1 == 0 {
			continue
		}
		for w := range p.out {
			a.words[lane] = append(a.words[lane], *c.word(c.plainAt(c.Reply, w, lane)))
		}
		if uint8(ready>>32) != 0 {
			a.errnos[lane] = uint8(*c.word(c.plainAt(c.Reply, p.out, lane)))
		}
	}
	return a, true
}

// received gives the room of the active lane with that rank.
func (c *client) received(p packet, rank, n int) []byte {
	share := c.Bulk / bits.OnesCount64(p.mask) / 16 * 16
	return c.memory[c.BulkOut+c.slot*c.Bulk+rank*share:][:n]
}

// await waits for the answer.
func (c *client) await(t testing.TB, p packet) answer {
	deadline := time.Now().Add(20 * time.Second)
	for n := 0; ; n++ {
		if a, ok := c.answered(p); ok {
			return a
		}
		if n%64 == 63 {
			if time.Now().After(deadline) {
				panic(fmt.Sprintf("slot %d: packet %d (%+v) is not answered", c.slot, c.seq, p))
			}
			runtime.Gosched()
		}
	}
}

func (c *client) call(t testing.TB, p packet) answer {
	c.send(p)
	return c.await(t, p)
}

// box is a mailbox in Go's memory with a client for each slot.
func box(t testing.TB, shape wire.Shape) (*Slots, []*client) {
	t.Helper()
	l, err := shape.Layout()
	if err != nil {
		t.Fatal(err)
	}
	return boxIn(t, aligned(l.Size), shape)
}

func boxIn(t testing.TB, memory []byte, shape wire.Shape) (*Slots, []*client) {
	t.Helper()
	slots, err := New(memory, shape)
	if err != nil {
		t.Fatal(err)
	}
	clients := make([]*client, shape.Slots)
	for i := range clients {
		clients[i] = &client{memory: memory, Layout: slots.Layout, slot: i}
	}
	return slots, clients
}

// start serves a table until the test ends.
func start(t testing.TB, slots *Slots, table *Table, opts Options) *Server {
	t.Helper()
	if opts.Panicked == nil {
		opts.Panicked = func(op wire.Opcode, cause any, stack []byte) { t.Errorf("call %d panicked: %v\n%s", op, cause, stack) }
	}
	s := Start(context.Background(), slots, table, opts)
	t.Cleanup(func() {
		if !s.Close(10 * time.Second) {
			t.Error("a handler does not return")
		}
	})
	return s
}

// still gives a server that looks at its slots only when sweep is called.
func still(t testing.TB, slots *Slots, table *Table, opts Options) *Server {
	s := Start(context.Background(), slots, table, opts)
	close(s.quit)
	for i := range s.ranges {
		s.wake(i)
	}
	s.pollers.Wait()
	t.Cleanup(func() {
		s.cancel()
		close(s.work)
		s.workers.Wait()
	})
	return s
}

// masks gives masks of every shape for that many lanes.
func masks(r *rand.Rand, lanes int) []uint64 {
	full := ^uint64(0) >> (64 - lanes)
	list := []uint64{full, 1, 1 << (lanes - 1), 0x5555555555555555 & full, 0xaaaaaaaaaaaaaaaa & full, full >> 1, full &^ 1}
	for range 6 {
		list = append(list, r.Uint64()&full, r.Uint64()&r.Uint64()&r.Uint64()&full)
	}
	var good []uint64
	for _, m := range list {
		if m != 0 {
			good = append(good, m)
		}
	}
	return good
}

func word32(b []byte, at int) uint32 { return binary.LittleEndian.Uint32(b[at:]) }
