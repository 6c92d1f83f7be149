//go:build !windows

package mailbox

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/dialtone-gpu/dialtone/hostcall/call"
	"github.com/dialtone-gpu/dialtone/hostcall/errno"
	"github.com/dialtone-gpu/dialtone/hostcall/wire"
	"github.com/dialtone-gpu/dialtone/internal/pages"
)

// guarded gives memory between two pages that nobody may touch: what goes beyond it dies.
func guarded(t testing.TB, size int) []byte {
	t.Helper()
	const page = 4096
	whole, err := pages.Alloc(size + 2*page)
	if err != nil {
		t.Fatal(err)
	}
	for _, guard := range [][]byte{whole[:page], whole[page+size:]} {
		if err := syscall.Mprotect(guard, syscall.PROT_NONE); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { pages.Free(whole) })
	return whole[page:][:size:size]
}

// greedy serves every opcode with a handler that reads all that it is shown and fills all room that it
// is given.
func greedy(inline bool) *Table {
	t := &Table{}
	var sink atomic.Uint32
	h := call.PerLane(func(c *call.Call, lane int) errno.Errno {
		sum := uint32(0)
		for _, b := range c.Bytes(lane) {
			sum += uint32(b)
		}
		room := c.Room(lane)
		for i := range room {
			room[i] = byte(sum)
		}
		for i := range wire.MaxWords {
			sum += c.Word(lane, i)
			c.SetWord(lane, i, sum)
		}
		sink.Add(sum)
		return errno.Errno(sum % 3)
	})
	for _, c := range wire.Calls {
		t.Set(c.Op, h, inline != (c.Op%2 == 0))
	}
	for op := range 8 {
		t.Set(wire.FirstUserOpcode+wire.Opcode(op), h, inline != (op%2 == 0))
	}
	return t
}

// FuzzMailbox lets a device write what it likes: the input is a list of stores, each followed by a look of
// the server. Whatever was written, nothing outside the mailbox is touched, every packet that is taken on is
// answered, and the server ends.
func FuzzMailbox(f *testing.F) {
	shapes := []wire.Shape{{Slots: 2, Lanes: 1, Bulk: 64}, {Slots: 3, Lanes: 32, Bulk: 256}, {Slots: 1, Lanes: 64, Bulk: 4096}, {Slots: 2, Lanes: 12, Bulk: 0}}
	r := rand.New(rand.NewPCG(8, 8))
	// A packet: kind 0, slot, call word, mask. Words: kind 1..4, slot, offset, value.
	packet := func(kind, slot byte, a, b uint32) []byte {
		return binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32([]byte{kind, slot}, a), b)
	}
	f.Add(byte(0), packet(0, 0, uint32(wire.OpNoop)|1<<16|1<<21, 1))
	f.Add(byte(1), append(packet(0, 1, uint32(wire.OpWrite)|4<<16|1<<21|wire.WithBytes, 0xffffffff), packet(0, 1, uint32(wire.OpNoop)|1<<16|1<<21, 7)...))
	f.Add(byte(1), append(packet(0, 0, 0x8001|1<<16|wire.WithBytes|wire.More, 3), packet(0, 0, 0x8001|1<<16|wire.WithBytes, 3)...))
	f.Add(byte(2), append(packet(1, 0, 0, 0xffffffff), packet(0, 0, 0x8002|2<<16|2<<21|wire.WithBytes, 5)...))
	f.Add(byte(3), append(packet(4, 0, 0, 0), packet(0, 0, 0x8003|2<<16|2<<21|wire.TaggedRequest|wire.TaggedReply, 5)...))
	for shape := range 4 {
		noise := make([]byte, 400)
		for i := range noise {
			noise[i] = byte(r.Uint32())
			if i%10 == 0 {
				noise[i] %= 6
			}
		}
		f.Add(byte(shape), noise)
	}
	var memories [4][]byte
	for i, shape := range shapes {
		l, err := shape.Layout()
		if err != nil {
			f.Fatal(err)
		}
		memories[i] = guarded(f, l.Size)
	}
	f.Fuzz(func(t *testing.T, which byte, input []byte) {
		shape := shapes[which%4]
		slots, clients := boxIn(t, memories[which%4], shape)
		l := slots.Layout
		s := still(t, slots, greedy(which&4 != 0), Options{Panicked: func(op wire.Opcode, cause any, stack []byte) {
			t.Errorf("the handler of %d panicked: %v\n%s", op, cause, stack)
		}})
		for len(input) >= 10 {
			kind, c, a, b := input[0], clients[int(input[1])%len(clients)], binary.LittleEndian.Uint32(input[2:]), binary.LittleEndian.Uint32(input[6:])
			input = input[10:]
			at := func(start, size int) *uint32 { return c.word(start + int(a)%max(size, 4)&^3) }
			switch kind % 6 {
			case 0: // a header with the right number
				expected := atomic.LoadUint32(&slots.expected[c.slot])
				c.seq = expected >> 8
				tag := uint64(expected) << 32
				head := c.RequestHeader + wire.RequestHeaderBytes*c.slot
				atomic.StoreUint64(c.cell(head+8), tag|uint64(b))
				atomic.StoreUint64(c.cell(head+16), tag|uint64(a^b))
				atomic.StoreUint64(c.cell(head), tag|uint64(a))
				if a&wire.TaggedRequest != 0 && b&1 != 0 { // most of the time its cells, too
					for at := 0; at < c.Request.CellsStride; at += 8 {
						atomic.StoreUint64(c.cell(c.Request.Cells+c.slot*c.Request.CellsStride+at), tag|uint64(b))
					}
				}
			case 1:
				*at(c.Request.Short+c.slot*c.Request.ShortStride, c.Request.ShortStride) = b
			case 2:
				*at(c.Request.Long+c.slot*c.Request.LongStride, c.Request.LongStride) = b
			case 3:
				*at(c.Request.Cells+c.slot*c.Request.CellsStride, c.Request.CellsStride) = b
			case 4:
				*at(wire.ControlSize, l.Size-wire.ControlSize) = b
			case 5:
				*at(c.RequestHeader+wire.RequestHeaderBytes*c.slot, 64) = b
			}
			before := s.Served()
			s.sweep(0)
			taken := s.Served() - before
			if kind%6 != 0 || taken == 0 {
				continue
			}
			if taken > uint64(shape.Slots) {
				t.Fatalf("%d packets were taken from %d slots at once", taken, shape.Slots)
			}
			// The answer: the slot is open for the next number, and where a lane asked for it, it says so.
			deadline := time.Now().Add(5 * time.Second)
			for atomic.LoadUint32(&slots.expected[c.slot]) == busy {
				if time.Now().After(deadline) {
					t.Fatalf("the packet %#x with the mask %#x is not answered", a, b)
				}
				runtime.Gosched()
			}
		}
		if s.kept.Load() > moreLimit {
			t.Errorf("%d bytes are kept", s.kept.Load())
		}
	})
}

// TestHostileDevice rewrites everything all the time while requests are served.
func TestHostileDevice(t *testing.T) {
	shape := wire.Shape{Slots: 70, Lanes: 32, Bulk: 1024}
	l, err := shape.Layout()
	if err != nil {
		t.Fatal(err)
	}
	memory := guarded(t, l.Size)
	duration := 2 * time.Second
	if testing.Short() {
		duration = 200 * time.Millisecond
	}
	for _, inline := range []bool{true, false} {
		slots, clients := boxIn(t, memory, shape)
		s := Start(context.Background(), slots, greedy(inline), Options{Pollers: 2, HostCPU: true, Panicked: func(op wire.Opcode, cause any, stack []byte) {
			t.Errorf("the handler of %d panicked: %v\n%s", op, cause, stack)
		}})
		var stop atomic.Bool
		var group sync.WaitGroup
		for n := range 2 {
			group.Go(func() {
				r := rand.New(rand.NewPCG(9, uint64(n)))
				for !stop.Load() {
					c := clients[r.IntN(len(clients))]
					tag := uint64(spy(slots, c.slot)) << 32
					for range r.IntN(6) {
						switch r.IntN(4) {
						case 0:
							atomic.StoreUint32(c.word(4*r.IntN(l.Size/4)), r.Uint32())
						case 1:
							c.memory[c.RequestHeader+wire.RequestHeaderBytes*c.slot+r.IntN(64)] = byte(r.Uint32())
						case 2:
							lane := r.IntN(32)
							atomic.StoreUint64(c.cell(c.cellAt(c.Request, r.IntN(2), lane)), tag|uint64(r.Uint32()))
							*c.word(c.plainAt(c.Request, r.IntN(16), lane)) = r.Uint32N(40)
						case 3:
							op := uint32(wire.Calls[r.IntN(len(wire.Calls))].Op)
							if r.IntN(2) == 0 {
								op = wire.FirstUserOpcode + r.Uint32N(9)
							}
							word := op | r.Uint32()&^0xffff
							if r.IntN(3) != 0 {
								word = op | r.Uint32N(17)<<16 | r.Uint32N(17)<<21 | (r.Uint32()&(wire.WithBytes|wire.More|wire.TaggedReply))&r.Uint32()
							}
							head := c.RequestHeader + wire.RequestHeaderBytes*c.slot
							atomic.StoreUint64(c.cell(head+8), tag|uint64(r.Uint32()))
							atomic.StoreUint64(c.cell(head), tag|uint64(word))
						}
					}
					if r.IntN(64) == 0 {
						runtime.Gosched()
					}
				}
			})
		}
		deadline := time.Now().Add(duration)
		for time.Now().Before(deadline) {
			time.Sleep(10 * time.Millisecond)
		}
		if inline {
			s.Abort() // it goes on while the run ends, too
			s.Abandon()
		}
		closed := make(chan bool)
		go func() { closed <- s.Close(10 * time.Second) }()
		if inline {
			if !<-closed {
				t.Error("a handler did not return")
			}
			stop.Store(true)
			group.Wait()
		} else {
			stop.Store(true)
			group.Wait()
			if !<-closed {
				t.Error("a handler did not return")
			}
		}
		t.Logf("inline %v: served %d packets", inline, s.Served())
		if s.Served() == 0 {
			t.Error("nothing was served")
		}
		if n := s.kept.Load(); n < 0 || n > moreLimit {
			t.Errorf("%d bytes are kept", n)
		}
	}
}

// spy tells a hostile device what the server waits for, which a real one would have to keep count of.
//
//go:norace
//go:noinline
func spy(s *Slots, slot int) uint32 { return s.expected[slot] }

// TestLap has the numbers come round: no old cell or header is left to be mistaken for a new one.
func TestLap(t *testing.T) {
	const lanes = 8
	slots, clients := box(t, wire.Shape{Slots: 2, Lanes: lanes, Bulk: 64})
	start(t, slots, testTable(nil), Options{HostCPU: true})
	for _, from := range []uint32{wire.SeqMask - 1, wire.SeqMask - 5, wire.SeqMask - 17} {
		c := clients[from%2]
		c.seq = from
		atomic.StoreUint32(&slots.expected[c.slot], wire.Tag(wire.NextSeq(from), 0))
		// What the first packets of the last lap may have left.
		for lane := range lanes {
			for w := range 2 {
				seq := uint64(1 + (lane*2+w)%20)
				atomic.StoreUint64(c.cell(c.cellAt(c.Reply, w, lane)), seq<<40|0xbad)
				atomic.StoreUint64(c.cell(c.cellAt(c.Request, w, lane)), seq<<40|0xbad)
			}
		}
		atomic.StoreUint64(c.cell(c.ReplyHeader+64*c.slot), 7<<40)
		r := rand.New(rand.NewPCG(10, uint64(from)))
		for n := range 60 {
			p := random(r, wire.Opcode(opMix+n%2), lanes, max(1, r.Uint64()&0xff), 1+r.IntN(2), 1+r.IntN(2), r.IntN(2) == 0, r.IntN(2) == 0)
			checkMix(t, p, c.call(t, p))
		}
		if c.seq > 100 {
			t.Errorf("from %d the numbers did not come round: %d", from, c.seq)
		}
	}
	if got := wire.NextSeq(wire.SeqMask); got != 1 {
		t.Errorf("%d follows the last number", got)
	}
}
