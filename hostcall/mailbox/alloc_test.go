package mailbox

import (
	"fmt"
	"math/bits"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/dialtone-gpu/dialtone/hostcall/wire"
)

// TestNothingIsAllocated: neither looking, nor answering in the poller, nor handing over.
func TestNothingIsAllocated(t *testing.T) {
	if race {
		t.Skip("the race detector allocates")
	}
	slots, clients := box(t, wire.Shape{Slots: 64, Lanes: 32, Bulk: 2048})
	s := still(t, slots, testTable(nil), Options{})
	r := rand.New(rand.NewPCG(11, 11))
	for _, c := range []struct {
		name string
		p    packet
		n    int
	}{
		{"nothing", packet{}, 0},
		{"inline", random(r, opInline, 32, 0xffffffff, 1, 1, true, true), 1},
		{"inline, plain", random(r, opInline, 32, 0xffffffff, 16, 16, false, false), 64},
		{"some lanes", random(r, opInline, 32, 0x10f0, 2, 2, true, true), 64},
		{"by a worker", random(r, opMix, 32, 0xffffffff, 1, 1, false, false), 1},
		{"by workers", random(r, opMix, 32, 0xffffffff, 4, 4, false, false), 64},
		{"malformed", random(r, opMix, 32, 0, 1, 1, false, false), 1},
		{"nobody's", random(r, 99, 32, 1, 1, 1, false, false), 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			round := func() {
				for _, client := range clients[:c.n] {
					client.send(c.p)
				}
				s.sweep(0)
				for _, client := range clients[:c.n] {
					for !client.ready(c.p) {
						runtime.Gosched()
					}
				}
			}
			for range 50 {
				round()
			}
			if n := testing.AllocsPerRun(500, round); n != 0 {
				t.Errorf("%v allocations per round of %d calls", n, c.n)
			}
		})
	}
}

// ready is answered without a look at the contents.
func (c *client) ready(p packet) bool {
	at := c.ReplyHeader + wire.ReplyHeaderBytes*c.slot
	if p.awaitsTagged {
		at = c.cellAt(c.Reply, p.out-1, bits.Len64(p.mask)-1)
	}
	return uint32(atomic.LoadUint64(c.cell(at))>>40) == c.seq
}

// BenchmarkNoop is one call there and back between two goroutines' worth of work on one: post, look, answer.
func BenchmarkNoop(b *testing.B) {
	for _, lanes := range []int{1, 32} {
		for _, way := range []string{"tagged", "plain"} {
			for _, n := range []int{64, 1024} {
				b.Run(fmt.Sprintf("lanes=%d/%s/slots=%d", lanes, way, n), func(b *testing.B) {
					slots, clients := box(b, wire.Shape{Slots: n, Lanes: lanes, Bulk: 64})
					s := still(b, slots, testTable(nil), Options{})
					full := ^uint64(0) >> (64 - lanes)
					p := random(rand.New(rand.NewPCG(12, 12)), opNothing, lanes, full, 1, 1, way == "tagged", way == "tagged")
					b.ReportAllocs()
					for i := 0; i < b.N; i += n {
						b.StopTimer()
						for _, c := range clients {
							c.send(p)
						}
						b.StartTimer()
						s.sweep(0)
					}
				})
			}
		}
	}
}

// BenchmarkHandOver is the same through a worker.
func BenchmarkHandOver(b *testing.B) {
	for _, lanes := range []int{1, 32} {
		b.Run(fmt.Sprintf("lanes=%d", lanes), func(b *testing.B) {
			slots, clients := box(b, wire.Shape{Slots: 1, Lanes: lanes, Bulk: 64})
			s := still(b, slots, testTable(nil), Options{})
			p := random(rand.New(rand.NewPCG(13, 13)), opMix, lanes, ^uint64(0)>>(64-lanes), 1, 1, false, false)
			b.ReportAllocs()
			for b.Loop() {
				clients[0].send(p)
				s.sweep(0)
				for !clients[0].ready(p) {
					runtime.Gosched()
				}
			}
		})
	}
}

// BenchmarkAnswerOfWorker is what a device waits for the answer of a worker, where a poller spins.
func BenchmarkAnswerOfWorker(b *testing.B) {
	slots, clients := box(b, wire.Shape{Slots: 1, Lanes: 1, Bulk: 64})
	start(b, slots, testTable(nil), Options{})
	p := random(rand.New(rand.NewPCG(13, 13)), opMix, 1, 1, 1, 1, false, false)
	for b.Loop() {
		clients[0].send(p)
		for !clients[0].ready(p) { // on a thread of its own, as nothing here gives it away
		}
	}
}

// BenchmarkScan looks at slots in which there is nothing.
func BenchmarkScan(b *testing.B) {
	for _, n := range []int{1, 1024, 8448} {
		b.Run(fmt.Sprintf("slots=%d", n), func(b *testing.B) {
			slots, _ := box(b, wire.Shape{Slots: n, Lanes: 32, Bulk: 64})
			s := still(b, slots, testTable(nil), Options{})
			b.ReportAllocs()
			for b.Loop() {
				s.sweep(0)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/slot")
		})
	}
}
