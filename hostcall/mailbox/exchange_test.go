package mailbox

import (
	"bytes"
	"context"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dialtone-gpu/dialtone/hostcall/call"
	"github.com/dialtone-gpu/dialtone/hostcall/errno"
	"github.com/dialtone-gpu/dialtone/hostcall/wire"
)

const (
	opMix    = wire.FirstUserOpcode + iota // word i of the answer: sum of those sent + i; a lane whose first word ends in 7 fails
	opInline                               // the same, in the poller
	opEcho                                 // the bytes back, their number in word 0
	opBlock                                // waits for its context
	opStuck                                // waits for the channel stuck
	opPanic
	opPanicInline
	opGoexit
	opNothing
)

func mix(c *call.Call) {
	for m := c.Mask; m != 0; m &= m - 1 {
		lane := bits.TrailingZeros64(m)
		var sum uint32
		for i := range c.In {
			sum += c.Word(lane, i)
		}
		if c.In > 0 && c.Word(lane, 0)%10 == 7 {
			c.Fail(lane, errno.Errno(c.Word(lane, 0)%200+1))
		}
		for i := range c.Out {
			c.SetWord(lane, i, sum+uint32(i))
		}
	}
}

// testTable serves the calls above.
func testTable(stuck chan struct{}) *Table {
	t := &Table{}
	t.Set(opMix, mix, false)
	t.Set(opInline, mix, true)
	t.Set(opEcho, call.PerLane(func(c *call.Call, lane int) errno.Errno {
		if !c.HasBytes {
			return errno.EINVAL
		}
		n := copy(c.Room(lane), c.Bytes(lane))
		if n < len(c.Bytes(lane)) {
			return errno.EMSGSIZE
		}
		c.SetWord(lane, 0, uint32(n))
		return 0
	}), false)
	t.Set(opBlock, func(c *call.Call) {
		<-c.Context.Done()
		c.FailAll(errno.ECANCELED)
	}, false)
	t.Set(opStuck, func(c *call.Call) { <-stuck }, false)
	t.Set(opPanic, func(c *call.Call) { panic("told to") }, false)
	t.Set(opPanicInline, func(c *call.Call) { panic("told to, inline") }, true)
	t.Set(opGoexit, func(c *call.Call) { runtime.Goexit() }, false)
	t.Set(opNothing, func(c *call.Call) {}, true)
	return t
}

// random makes a packet with random words.
func random(r *rand.Rand, op wire.Opcode, lanes int, mask uint64, in, out int, tagged, awaitsTagged bool) packet {
	p := packet{op: op, mask: mask, in: in, out: out, words: make([][]uint32, lanes), tagged: tagged, awaitsTagged: awaitsTagged}
	for lane := range p.words {
		p.words[lane] = make([]uint32, in)
		for w := range in {
			p.words[lane][w] = r.Uint32()
			if r.IntN(4) == 0 {
				p.words[lane][w] = wire.Tag(r.Uint32N(300), 0) // what might be mistaken for a tag
			}
		}
	}
	return p
}

// checkMix compares an answer with what mix does.
func checkMix(t testing.TB, p packet, a answer) {
	t.Helper()
	for lane := range p.words {
		if p.mask>>lane&1 == 0 {
			continue
		}
		var sum uint32
		for _, w := range p.words[lane] {
			sum += w
		}
		var fails uint8
		if p.in > 0 && p.words[lane][0]%10 == 7 {
			fails = uint8(p.words[lane][0]%200 + 1)
		}
		if a.errnos[lane] != fails {
			t.Fatalf("%+v: lane %d: errno %d, want %d", p, lane, a.errnos[lane], fails)
		}
		for i := range p.out {
			if a.words[lane][i] != sum+uint32(i) {
				t.Fatalf("%+v: lane %d: word %d is %#x, want %#x", p, lane, i, a.words[lane][i], sum+uint32(i))
			}
		}
	}
}

func TestExchange(t *testing.T) {
	for _, lanes := range []int{1, 4, 8, 12, 31, 32, 33, 64} {
		t.Run(fmt.Sprint(lanes), func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, uint64(lanes)))
			slots, clients := box(t, wire.Shape{Slots: 3, Lanes: lanes, Bulk: 4096})
			start(t, slots, testTable(nil), Options{HostCPU: true})
			for _, mask := range masks(r, lanes) {
				for n := range 300 {
					in, out := r.IntN(17), r.IntN(17)
					if n%2 == 0 {
						in, out = r.IntN(3), r.IntN(3)
					}
					op := wire.Opcode(opMix + n%3%2)
					p := random(r, op, lanes, mask, in, out, in <= 2 && r.IntN(2) == 0, out >= 1 && out <= 2 && r.IntN(2) == 0)
					if p.tagged && in == 0 {
						p.tagged = r.IntN(2) == 0
					}
					checkMix(t, p, clients[r.IntN(3)].call(t, p))
					if (testing.Short() || race) && n > 50 {
						break
					}
				}
			}
		})
	}
}

// TestManyAtOnce has a client in a goroutine of its own for every slot.
func TestManyAtOnce(t *testing.T) {
	for _, pollers := range []int{1, 4} {
		t.Run(fmt.Sprint(pollers), func(t *testing.T) {
			const lanes = 8
			rounds := 200
			if race {
				rounds = 30
			}
			slots, clients := box(t, wire.Shape{Slots: 160, Lanes: lanes, Bulk: 256})
			s := start(t, slots, testTable(nil), Options{Pollers: pollers, HostCPU: true})
			var group sync.WaitGroup
			for _, c := range clients {
				group.Go(func() {
					r := rand.New(rand.NewPCG(2, uint64(c.slot)))
					for n := range rounds {
						mask := max(1, r.Uint64()&0xff)
						p := random(r, wire.Opcode(opMix+n%2), lanes, mask, 1+r.IntN(2), 1+r.IntN(3), n%3 == 0, false)
						checkMix(t, p, c.call(t, p))
					}
				})
			}
			group.Wait()
			if n := s.Served(); n != uint64(160*rounds) {
				t.Errorf("served %d, want %d", n, 160*rounds)
			}
		})
	}
}

func TestBytes(t *testing.T) {
	for _, lanes := range []int{1, 32, 64} {
		t.Run(fmt.Sprint(lanes), func(t *testing.T) {
			r := rand.New(rand.NewPCG(3, uint64(lanes)))
			slots, clients := box(t, wire.Shape{Slots: 2, Lanes: lanes, Bulk: 4096})
			start(t, slots, testTable(nil), Options{HostCPU: true})
			for _, mask := range masks(r, lanes) {
				active := bits.OnesCount64(mask)
				share := 4096 / active &^ 15
				for range 20 {
					c := clients[r.IntN(2)]
					p := random(r, opEcho, lanes, mask, 1, 1, false, false)
					p.bytes = make([][]byte, lanes)
					for lane := range lanes {
						n := []int{0, 1, 3, share - 1, share, share + 1, 1 << 31, 1<<32 - 1}[r.IntN(8)]
						p.words[lane][0] = uint32(n)
						p.bytes[lane] = make([]byte, min(n, share))
						for i := range p.bytes[lane] {
							p.bytes[lane][i] = byte(r.Uint32())
						}
					}
					a := c.call(t, p)
					rank := 0
					for lane := range lanes {
						if mask>>lane&1 == 0 {
							continue
						}
						n := int(p.words[lane][0])
						switch {
						case n > share:
							if a.errnos[lane] != uint8(errno.EINVAL) {
								t.Errorf("lane %d: %d bytes of a share of %d: errno %d", lane, n, share, a.errnos[lane])
							}
						case a.errnos[lane] != 0 || int(a.words[lane][0]) != n || !bytes.Equal(c.received(p, rank, n), p.bytes[lane]):
							t.Errorf("lane %d: %d bytes come back as %d, errno %d", lane, n, a.words[lane][0], a.errnos[lane])
						}
						rank++
					}
				}
			}
		})
	}
}

// TestMore sends calls in many packets, of lengths that differ by lane.
func TestMore(t *testing.T) {
	const lanes, bulk = 8, 256 // a share is 32 bytes
	slots, clients := box(t, wire.Shape{Slots: 1, Lanes: lanes, Bulk: bulk})
	table := testTable(nil)
	var got [lanes][]byte
	table.Set(opEcho, func(c *call.Call) {
		for lane := range lanes {
			got[lane] = append(got[lane][:0], c.Bytes(lane)...)
		}
	}, false)
	s := start(t, slots, table, Options{HostCPU: true})
	c := clients[0]
	r := rand.New(rand.NewPCG(4, 4))
	for round := range 50 {
		var want [lanes][]byte
		p := packet{op: opEcho, mask: 0xff, in: 1, words: make([][]uint32, lanes), bytes: make([][]byte, lanes), more: true}
		for range r.IntN(20) + 1 {
			for lane := range lanes {
				piece := make([]byte, r.IntN(33))
				for i := range piece {
					piece[i] = byte(r.Uint32())
				}
				p.words[lane], p.bytes[lane] = []uint32{uint32(len(piece))}, piece
				want[lane] = append(want[lane], piece...)
			}
			if a := c.call(t, p); a.errnos[0] != 0 {
				t.Fatalf("errno %d", a.errnos[0])
			}
		}
		for lane := range lanes {
			p.words[lane], p.bytes[lane] = []uint32{1}, []byte{byte(lane)}
			want[lane] = append(want[lane], byte(lane))
		}
		p.more = false
		c.call(t, p)
		for lane := range lanes {
			if !bytes.Equal(got[lane], want[lane]) {
				t.Fatalf("round %d, lane %d: %d bytes, want %d", round, lane, len(got[lane]), len(want[lane]))
			}
		}
	}
	if n := s.kept.Load(); n != 0 {
		t.Errorf("%d bytes are still kept", n)
	}
}

// TestMoreThanIsKept sends more bytes in one call than a server keeps.
func TestMoreThanIsKept(t *testing.T) {
	if testing.Short() || race {
		t.Skip("moves 300 MB")
	}
	const bulk = 16 << 20
	slots, clients := box(t, wire.Shape{Slots: 1, Lanes: 1, Bulk: bulk})
	s := start(t, slots, testTable(nil), Options{})
	p := packet{op: opEcho, mask: 1, in: 1, words: [][]uint32{{bulk}}, bytes: [][]byte{make([]byte, bulk)}, more: true}
	for range 18 {
		clients[0].call(t, p)
	}
	p.more, p.words = false, [][]uint32{{1}}
	if a := clients[0].call(t, p); a.errnos[0] != uint8(errno.E2BIG) {
		t.Errorf("errno %d, want E2BIG", a.errnos[0])
	}
	if n := s.kept.Load(); n != 0 {
		t.Errorf("%d bytes are still kept", n)
	}
	if a := clients[0].call(t, p); a.errnos[0] != 0 {
		t.Errorf("the next call: errno %d", a.errnos[0])
	}
}

// TestMalformed sends headers that make no sense: each is answered.
func TestMalformed(t *testing.T) {
	const lanes = 8
	slots, clients := box(t, wire.Shape{Slots: 1, Lanes: lanes, Bulk: 256})
	start(t, slots, testTable(nil), Options{HostCPU: true})
	c := clients[0]
	for _, p := range []struct {
		name string
		call uint32
		mask uint64
		want errno.Errno
	}{
		{"no lane", opNothing, 0, errno.EPROTO},
		{"a lane that is not there", opNothing, 1 << lanes, errno.EPROTO},
		{"lanes that are not there", opNothing, 0xffffffff, errno.EPROTO},
		{"17 words", opNothing | 17<<16, 1, errno.EPROTO},
		{"31 words", opNothing | 31<<16, 1, errno.EPROTO},
		{"17 words back", opNothing | 17<<21, 1, errno.EPROTO},
		{"3 tagged words", opNothing | 3<<16 | wire.TaggedRequest, 1, errno.EPROTO},
		{"more without bytes", opNothing | wire.More, 1, errno.EPROTO},
		{"bytes without their number", opNothing | wire.WithBytes, 1, errno.EPROTO},
		{"bit 30", opNothing | 1<<30, 1, errno.EPROTO},
		{"bit 31", opNothing | 1<<31, 1, errno.EPROTO},
		{"everything", 0xffffffff, 0xffffffff, errno.EPROTO},
		{"nobody's opcode", 99, 1, errno.ENOSYS},
		{"another", 0x7fff, 1, errno.ENOSYS},
		{"a user's that is not there", 0xffff, 1, errno.ENOSYS},
		{"opcode 0", 0, 1, errno.ENOSYS},
		{"good", opNothing, 1, 0},
	} {
		c.next()
		tag := uint64(c.seq) << 40
		head := c.RequestHeader
		atomic.StoreUint64(c.cell(head+8), tag|p.mask)
		atomic.StoreUint64(c.cell(head), tag|uint64(p.call))
		if p.call&wire.TaggedReply != 0 {
			for range 1000 {
				runtime.Gosched()
			}
		}
		out := min(int(p.call>>21&31), 16)
		deadline := time.Now().Add(10 * time.Second)
		for uint32(atomic.LoadUint64(c.cell(c.ReplyHeader))>>40) != c.seq {
			if time.Now().After(deadline) {
				t.Fatalf("%s is not answered", p.name)
			}
			runtime.Gosched()
		}
		failed := uint8(atomic.LoadUint64(c.cell(c.ReplyHeader))>>32) != 0
		if want := p.want != 0 && p.mask&0xff != 0; failed != want {
			t.Errorf("%s: failed %v", p.name, failed)
		} else if want {
			if e := *c.word(c.plainAt(c.Reply, out, bits.TrailingZeros64(p.mask))); e != uint32(p.want) {
				t.Errorf("%s: errno %d, want %d", p.name, e, p.want)
			}
		}
	}
}

// TestOwnCallsNeedTheirWords sends dialtone's calls with fewer words than they have, and without bytes.
func TestOwnCallsNeedTheirWords(t *testing.T) {
	table := testTable(nil)
	for _, c := range wire.Calls {
		table.Set(c.Op, func(*call.Call) {}, c.Op == wire.OpNoop)
	}
	slots, clients := box(t, wire.Shape{Slots: 1, Lanes: 1, Bulk: 256})
	start(t, slots, table, Options{HostCPU: true})
	for _, c := range wire.Calls {
		for in := range 6 {
			for _, withBytes := range []bool{false, true} {
				if withBytes && in == 0 {
					continue
				}
				p := packet{op: c.Op, mask: 1, in: in, out: c.Out, words: [][]uint32{make([]uint32, in)}}
				if withBytes {
					p.bytes = [][]byte{{}}
				}
				var want errno.Errno
				if in < c.In || c.Bytes && !withBytes {
					want = errno.EPROTO
				}
				if a := clients[0].call(t, p); a.errnos[0] != uint8(want) {
					t.Errorf("%s with %d words, bytes %v: errno %d, want %d", c.Name, in, withBytes, a.errnos[0], want)
				}
			}
		}
	}
}

func TestPanics(t *testing.T) {
	for _, op := range []wire.Opcode{opPanic, opPanicInline, opGoexit} {
		var told atomic.Int32
		slots, clients := box(t, wire.Shape{Slots: 40, Lanes: 8, Bulk: 256})
		start(t, slots, testTable(nil), Options{Pollers: 2, HostCPU: true, Panicked: func(got wire.Opcode, cause any, stack []byte) {
			if got != op || len(stack) == 0 || cause == nil {
				t.Errorf("told of %d, %v", got, cause)
			}
			told.Add(1)
		}})
		r := rand.New(rand.NewPCG(5, 5))
		for n := range 30 {
			bad := random(r, op, 8, 0x3c, 1, 1, n%2 == 0, n%3 == 0)
			// All at once, so that a panic has others before and behind it.
			good := make([]packet, len(clients))
			for i, c := range clients {
				if good[i] = random(r, wire.Opcode(opMix+i%2), 8, 0xff, 2, 2, false, n%2 == 0); i == 7 {
					good[i] = bad
				}
				c.send(good[i])
			}
			for i, c := range clients {
				a := c.await(t, good[i])
				if i != 7 {
					checkMix(t, good[i], a)
				} else if a.errnos[2] != uint8(errno.EFAULT) || a.errnos[5] != uint8(errno.EFAULT) || a.errnos[0] != 0 {
					t.Errorf("errnos %v", a.errnos)
				}
			}
		}
		if n := told.Load(); n != 30 {
			t.Errorf("call %d: told of %d panics, want 30", op, n)
		}
	}
}

// TestPanicsOfLanes has lanes of one packet whose function panics or ends its goroutine, among others that get their answers.
func TestPanicsOfLanes(t *testing.T) {
	table := testTable(nil)
	table.Set(opNothing+1, call.PerLane(func(c *call.Call, lane int) errno.Errno {
		switch c.Word(lane, 0) % 4 {
		case 1:
			panic("told to")
		case 2:
			runtime.Goexit()
		case 3:
			return errno.ENOENT
		}
		c.SetWord(lane, 0, c.Word(lane, 0)+1)
		return 0
	}), false)
	var told atomic.Int32
	slots, clients := box(t, wire.Shape{Slots: 4, Lanes: 32, Bulk: 256})
	start(t, slots, table, Options{HostCPU: true, Panicked: func(wire.Opcode, any, []byte) { told.Add(1) }})
	r := rand.New(rand.NewPCG(7, 7))
	var want int32
	for n := range 200 {
		p := random(r, opNothing+1, 32, uint64(max(1, r.Uint32()&r.Uint32())), 1, 1, n%2 == 0, n%3 == 0)
		a := clients[n%4].call(t, p)
		for lane := range 32 {
			if p.mask>>lane&1 == 0 {
				continue
			}
			w := p.words[lane][0]
			e := []errno.Errno{0, errno.EFAULT, errno.EFAULT, errno.ENOENT}[w%4]
			if w%4 == 1 || w%4 == 2 {
				want++
			}
			if a.errnos[lane] != uint8(e) || e == 0 && a.words[lane][0] != w+1 {
				t.Fatalf("mask %#x, lane %d, word %d: errno %d, word %d", p.mask, lane, w, a.errnos[lane], a.words[lane][0])
			}
		}
	}
	if n := told.Load(); n != want {
		t.Errorf("told of %d panics, want %d", n, want)
	}
}

// TestMark: the server tells of its own run's mark only, however long it has been quiet.
func TestMark(t *testing.T) {
	slots, _ := box(t, wire.Shape{Slots: 4, Lanes: 8, Bulk: 64})
	word := (*atomic.Uint32)(slots.at(MarkOffset))
	for n, quiet := range []time.Duration{0, time.Millisecond, 60 * time.Millisecond} {
		s := start(t, slots, testTable(nil), Options{Mark: uint32(n + 5), HostCPU: n == 1})
		time.Sleep(quiet)
		select {
		case <-s.Marked():
			t.Fatalf("mark %d was seen while it is %d", n+5, word.Load())
		default:
		}
		word.Store(uint32(n + 5))
		select {
		case <-s.Marked():
		case <-time.After(10 * time.Second):
			t.Fatalf("mark %d is not seen", n+5)
		}
	}
}

// TestBlockedCallsLeaveOthersAlone has more calls waiting than there are processors.
func TestBlockedCallsLeaveOthersAlone(t *testing.T) {
	slots, clients := box(t, wire.Shape{Slots: 200, Lanes: 1, Bulk: 64})
	s := start(t, slots, testTable(nil), Options{HostCPU: true})
	blocked := packet{op: opBlock, mask: 1, out: 1}
	for _, c := range clients[1:] {
		c.send(blocked)
	}
	r := rand.New(rand.NewPCG(6, 6))
	for n := range 100 {
		p := random(r, wire.Opcode(opMix+n%2), 1, 1, 2, 2, false, false)
		checkMix(t, p, clients[0].call(t, p))
	}
	s.Abort()
	for _, c := range clients[1:] {
		if a := c.await(t, blocked); a.errnos[0] != wire.ErrnoStop {
			t.Fatalf("slot %d: errno %d, want %d", c.slot, a.errnos[0], wire.ErrnoStop)
		}
	}
	if a := clients[0].call(t, packet{op: opNothing, mask: 1}); a.errnos[0] != wire.ErrnoStop {
		t.Errorf("after the end: errno %d", a.errnos[0])
	}
	if v := atomic.LoadUint32(clients[0].word(0)); v == 0 {
		t.Error("the abort word is not set")
	}
}

// TestAbortServesWhatWasPosted posts while the poller is held up.
func TestAbortServesWhatWasPosted(t *testing.T) {
	for _, how := range []string{"abort", "close"} {
		t.Run(how, func(t *testing.T) {
			slots, clients := box(t, wire.Shape{Slots: 20, Lanes: 1, Bulk: 64})
			table := testTable(nil)
			entered, leave := make(chan struct{}), make(chan struct{})
			const opHold = opNothing + 1
			table.Set(opHold, func(*call.Call) { close(entered); <-leave }, true)
			var calls atomic.Int32
			table.Set(opMix, func(*call.Call) { calls.Add(1) }, false)
			s := Start(context.Background(), slots, table, Options{HostCPU: true})
			clients[0].send(packet{op: opHold, mask: 1})
			<-entered
			for _, c := range clients[1:] {
				c.send(packet{op: opMix, mask: 1})
			}
			ended := make(chan bool)
			if how == "abort" {
				go func() { s.Abort(); ended <- true }()
				for !s.aborted.Load() {
					runtime.Gosched()
				}
				close(leave)
				<-ended
				if !s.Close(10 * time.Second) {
					t.Error("a handler did not return")
				}
			} else {
				go func() { ended <- s.Close(10 * time.Second) }()
				close(leave)
				if !<-ended {
					t.Error("a handler did not return")
				}
			}
			if n := calls.Load(); n != 19 {
				t.Errorf("%d calls of 19 were served", n)
			}
			for _, c := range clients {
				c.await(t, packet{op: opMix, mask: 1})
			}
		})
	}
}

// TestAbandon ends a run whose handlers do not listen.
func TestAbandon(t *testing.T) {
	stuck := make(chan struct{})
	slots, clients := box(t, wire.Shape{Slots: 10, Lanes: 1, Bulk: 64})
	s := Start(context.Background(), slots, testTable(stuck), Options{HostCPU: true})
	p := packet{op: opStuck, mask: 1, out: 2, awaitsTagged: true}
	for _, c := range clients {
		c.send(p)
	}
	for s.Served() < 10 {
		runtime.Gosched()
	}
	s.Abort()
	if _, ok := clients[3].answered(p); ok {
		t.Error("Abort answers for a handler")
	}
	s.Abandon()
	for _, c := range clients {
		if a := c.await(t, p); a.errnos[0] != wire.ErrnoStop {
			t.Errorf("errno %d", a.errnos[0])
		}
		c.call(t, packet{op: opMix, mask: 1}) // the slot is good again
	}
	if s.Close(time.Millisecond) {
		t.Error("Close says that all handlers have returned")
	}
	close(stuck)
	s.workers.Wait()
	if a, ok := clients[0].answered(packet{op: opMix, mask: 1}); !ok || a.errnos[0] != wire.ErrnoStop {
		t.Error("a late handler wrote over the answer")
	}
}

// TestAbortHammer ends runs at random moments under load: every call is answered, rightly or with Stop.
func TestAbortHammer(t *testing.T) {
	rounds := 80
	if testing.Short() || race {
		rounds = 20
	}
	const lanes = 4
	slots, clients := box(t, wire.Shape{Slots: 64, Lanes: lanes, Bulk: 64})
	for round := range rounds {
		s := Start(context.Background(), slots, testTable(nil), Options{Pollers: 2, HostCPU: true, Panicked: func(wire.Opcode, any, []byte) {}})
		var group sync.WaitGroup
		var total atomic.Int64
		for _, c := range clients {
			group.Go(func() {
				r := rand.New(rand.NewPCG(uint64(round), uint64(c.slot)))
				for {
					op := []wire.Opcode{opMix, opInline, opBlock, opPanic, opPanicInline, opMix, opInline, opMix}[r.IntN(8)]
					p := random(r, op, lanes, 0xf, 1, 1, r.IntN(2) == 0, r.IntN(2) == 0)
					a := c.call(t, p)
					total.Add(1)
					if a.errnos[0] == wire.ErrnoStop {
						return
					}
					if op == opMix || op == opInline {
						checkMix(t, p, a)
					}
				}
			})
		}
		for total.Load() < int64(round*5) && total.Load() < 200 {
			runtime.Gosched()
		}
		var aborts sync.WaitGroup
		for range 3 {
			aborts.Go(s.Abort)
		}
		aborts.Wait()
		group.Wait()
		if !s.Close(10 * time.Second) {
			t.Fatal("a handler did not return")
		}
	}
}

// TestParkedPollers has a request arrive where the poller has gone to rest.
func TestParkedPollers(t *testing.T) {
	slots, clients := box(t, wire.Shape{Slots: 128, Lanes: 1, Bulk: 64})
	s := start(t, slots, testTable(nil), Options{Pollers: 4})
	if len(s.ranges) < 2 {
		t.Fatalf("%d pollers", len(s.ranges))
	}
	for round := range 3 {
		for i := 1; i < len(s.ranges); i++ {
			deadline := time.Now().Add(20 * time.Second)
			for !s.ranges[i].parked.Load() {
				if time.Now().After(deadline) {
					t.Fatalf("poller %d does not rest", i)
				}
				time.Sleep(time.Millisecond)
			}
		}
		p := random(rand.New(rand.NewPCG(7, uint64(round))), opMix, 1, 1, 1, 1, false, true)
		checkMix(t, p, clients[127-round].call(t, p))
	}
}

func TestNewRefuses(t *testing.T) {
	if _, err := New(make([]byte, 100), wire.Shape{Slots: 1, Lanes: 1}); err == nil {
		t.Error("too little memory is taken")
	}
	if _, err := New(nil, wire.Shape{Slots: 0, Lanes: 1}); err == nil {
		t.Error("a shape without slots is taken")
	}
	memory := aligned(1 << 20)
	for i := range memory {
		memory[i] = 0xff
	}
	slots, err := New(memory, wire.Shape{Slots: 2, Lanes: 32, Bulk: 64})
	if err != nil {
		t.Fatal(err)
	}
	for i, b := range memory {
		if (b == 0) != (i < slots.Size) {
			t.Fatalf("byte %d of %d is %#x", i, slots.Size, b)
		}
	}
}
