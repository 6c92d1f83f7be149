package relaunch

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dialtone-gpu/dialtone/hostcall/call"
	"github.com/dialtone-gpu/dialtone/hostcall/errno"
	"github.com/dialtone-gpu/dialtone/hostcall/wire"
)

// Opcodes of the tests.
const (
	opEcho  = wire.FirstUserOpcode + iota // words and bytes come back, the words plus one
	opBlock                               // until its context ends
	opPanic
	opExit // ends its goroutine
)

// printed is what was written, by descriptor.
type printed struct {
	mutex sync.Mutex
	text  map[uint32]string
}

func table(out *printed) *call.Table {
	t := &call.Table{}
	t.Set(wire.OpNoop, func(*call.Call) {}, true)
	t.Set(opEcho, call.PerLane(func(c *call.Call, lane int) errno.Errno {
		first := 0
		if c.HasBytes {
			first = 1
			c.SetWord(lane, 0, uint32(copy(c.Room(lane), c.Bytes(lane))))
		}
		for i := first; i < c.Out; i++ {
			c.SetWord(lane, i, c.Word(lane, i)+1)
		}
		return 0
	}), false)
	t.Set(opBlock, func(c *call.Call) { <-c.Context.Done(); c.FailAll(errno.ECANCELED) }, false)
	t.Set(opPanic, call.PerLane(func(*call.Call, int) errno.Errno { panic("as it was told") }), false)
	t.Set(opExit, call.PerLane(func(*call.Call, int) errno.Errno { runtime.Goexit(); return 0 }), false)
	t.Set(wire.OpWrite, call.PerLane(func(c *call.Call, lane int) errno.Errno {
		if c.Word(lane, 1) > 2 {
			return errno.EBADF
		}
		out.mutex.Lock()
		defer out.mutex.Unlock()
		out.text[c.Word(lane, 1)] += string(c.Bytes(lane))
		c.SetWord(lane, 0, uint32(len(c.Bytes(lane))))
		return 0
	}), false)
	return t
}

func server(t testing.TB, opts Options) (*Server, *printed) {
	t.Helper()
	out := &printed{text: map[uint32]string{}}
	if opts.Items == 0 {
		opts.Items = 1000
	}
	if opts.Share == 0 {
		opts.Share = 256
	}
	s := New(context.Background(), table(out), opts)
	t.Cleanup(func() {
		s.Abort()
		if !s.Close(10 * time.Second) {
			t.Error("a handler did not return")
		}
	})
	return s, out
}

func (p *pen) take(t testing.TB, s *Server) {
	t.Helper()
	if _, err := s.Take(p.b, p.launch, false); err != nil {
		t.Fatal(err)
	}
}

// answers reads an inbox as a kernel does: each work-item's answers, from its first.
type answer struct {
	call  uint32
	errno errno.Errno
	body  []uint32
}

func answers(t testing.TB, inbox []byte, item int) (first uint32, list []answer, pending bool) {
	t.Helper()
	at := int(word(inbox, item))
	if at == 0 {
		return 0, nil, false
	}
	first = word(inbox, at)
	for at++; ; {
		head := word(inbox, at)
		switch head >> wire.AnswerKindShift & wire.AnswerKindMask {
		case wire.AnswerEnd:
			return first, list, false
		case wire.AnswerPending:
			return first, list, true
		}
		a := answer{call: word(inbox, at+1), errno: errno.Errno(head)}
		size := int(head >> wire.AnswerSizeShift)
		for i := wire.AnswerHead; i < size; i++ {
			a.body = append(a.body, word(inbox, at+i))
		}
		list = append(list, a)
		at += size
	}
}

var never = make(chan struct{})

func TestAnswers(t *testing.T) {
	var panics atomic.Int32
	s, out := server(t, Options{Resumable: true, Panicked: func(wire.Opcode, any, []byte) { panics.Add(1) }})
	p := &pen{launch: 1}
	echo := callWord(opEcho, 3, 3, wire.WithBytes)
	p.bytes(1, "hello").call(1, echo, 0, 5, 6, 7)
	p.call(2, callWord(wire.OpNoop, 2, 2, 0), 0, 8, 9)
	p.call(3, callWord(99, 0, 2, 0), 0)
	p.call(4, callWord(opPanic, 1, 1, 0), 0, 1)
	p.call(5, callWord(opExit, 1, 0, 0), 0, 1)
	p.call(6, callWord(wire.OpWrite, 2, 1, wire.WithBytes), 0, 0, 1)                    // too few words
	p.call(7, callWord(opEcho, 5, 1, 0), 0, 1)                                          // another number of words
	p.call(8, echo, 0, 5, 6, 7)                                                         // bytes that were not sent
	p.bytes(9, "abc").call(9, callWord(wire.OpWrite, 4, 1, wire.WithBytes), 0, 3, 2, 0) // again another number
	p.bytes(10, "abc").call(10, callWord(wire.OpWrite, 4, 1, wire.WithBytes), 0, 3, 2, 0, 0)
	p.bytes(11, "de").call(11, callWord(wire.OpWrite, 4, 1, wire.WithBytes), 0, 2, 2, 0, 0)
	p.bytes(12, "abcd").call(12, callWord(opEcho, 1, 0, wire.WithBytes|wire.More), 0, 4)
	p.take(t, s)
	s.Wait(never, time.Second, false)
	inbox := s.Inbox(nil)
	for item, want := range map[int]string{
		1: "0 [5 7 8 1819043176 111]", 2: "0 [8 9]", 3: "38 [0 0]", 4: "14 [1]", 5: "14 []", 6: "71 [0]", 7: "71 [0]", 8: "22 [0 0 0]", 9: "71 [0]",
		10: "0 [3]", 11: "0 [2]", 12: "0 []",
	} {
		first, list, pending := answers(t, inbox, item)
		if first != 0 || pending || len(list) != 1 || fmt.Sprint(uint32(list[0].errno), list[0].body) != want {
			t.Errorf("item %d: %d, %v, %v, want %s", item, first, list, pending, want)
		}
	}
	if _, list, _ := answers(t, inbox, 13); list != nil {
		t.Errorf("item 13 has answers: %v", list)
	}
	if out.text[2] != "abcde" || panics.Load() != 2 || s.Served() != 12 {
		t.Errorf("%q, %d panics, %d served", out.text[2], panics.Load(), s.Served())
	}
	// The bytes of a call's earlier packet come first; what is forgotten is gone.
	p = &pen{launch: 2}
	p.bytes(12, "ef").call(12, echo, 1, 2, 0, 0)
	p.take(t, s)
	s.Wait(never, time.Second, false)
	first, list, _ := answers(t, s.Inbox(nil), 12)
	if first != 1 || len(list) != 1 || fmt.Sprint(list[0].body) != "[6 1 1 1684234849 26213]" {
		t.Errorf("%d, %v", first, list)
	}
}

func TestPending(t *testing.T) {
	s, _ := server(t, Options{Resumable: true})
	p := &pen{launch: 1}
	for i := range uint32(100) {
		p.call(i, callWord(opBlock, 0, 0, 0), 0)
	}
	p.call(500, callWord(opEcho, 1, 1, 0), 0, 1)
	p.take(t, s)
	start := time.Now()
	s.Wait(never, time.Millisecond, false) // the last one is answered although all others block
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
	inbox := s.Inbox(nil)
	if _, list, pending := answers(t, inbox, 500); len(list) != 1 || pending {
		t.Errorf("%v, %v", list, pending)
	}
	if _, list, pending := answers(t, inbox, 7); len(list) != 0 || !pending {
		t.Errorf("%v, %v", list, pending)
	}
	// Nothing more comes: Wait waits, until the run is over.
	over := make(chan struct{})
	time.AfterFunc(30*time.Millisecond, func() { close(over) })
	start = time.Now()
	if s.Wait(over, 0, false); time.Since(start) < 20*time.Millisecond {
		t.Error("it did not wait")
	}
	s.Wait(never, time.Millisecond, true) // there is room for others
	// A second call of a work-item whose first is open is no call.
	p = &pen{launch: 2}
	p.call(7, callWord(opEcho, 1, 1, 0), 0, 1)
	p.take(t, s)
	if _, list, pending := answers(t, s.Inbox(nil), 7); len(list) != 0 || !pending {
		t.Errorf("%v, %v", list, pending)
	}
}

func TestBounds(t *testing.T) {
	s, _ := server(t, Options{Resumable: true, Keep: 1000})
	for i := range 4 { // the third packet is too much
		p := &pen{launch: 1}
		flags, in := uint32(wire.WithBytes|wire.More), 1
		if i == 3 {
			flags = wire.WithBytes
		}
		p.bytes(1, strings.Repeat("x", 400)).call(1, callWord(opEcho, in, 1-in, flags), uint32(i), 400)
		p.take(t, s)
		s.Wait(never, time.Second, false)
	}
	if _, list, _ := answers(t, s.Inbox(nil), 1); len(list) == 0 || list[len(list)-1].errno != errno.E2BIG || s.Err() != nil {
		t.Errorf("%v, %v", list, s.Err())
	}
	for i := range uint32(60) {
		p := &pen{launch: 1}
		p.call(2, callWord(wire.OpNoop, 4, 4, 0), 0, i, i, i, i)
		p.take(t, s)
	}
	if err := s.Err(); !errors.Is(err, ErrTooMuch) {
		t.Errorf("got %v", err)
	}
}

// TestFinishedGroups: a group without a call has come to its end, and what it was answered is forgotten, unless somebody found no room.
func TestFinishedGroups(t *testing.T) {
	s, _ := server(t, Options{Resumable: true, Group: 4})
	noop := callWord(wire.OpNoop, 1, 1, 0)
	p := &pen{launch: 1}
	for i := range uint32(12) {
		p.call(i, noop, 0, i)
	}
	p.call(12, callWord(opBlock, 0, 0, 0), 0)
	logs := func() (items string) {
		inbox := s.Inbox(nil)
		for i := range min(16, len(inbox)/4) {
			if word(inbox, i) != 0 {
				items += fmt.Sprint(i, " ")
			}
		}
		return items
	}
	for launch, c := range []struct {
		complete bool
		want     string
	}{{true, "0 1 2 3 4 5 6 7 8 9 10 11 12 "}, {false, "0 1 2 3 4 5 6 7 8 9 10 11 12 "}, {true, "4 5 6 7 12 "}, {true, "12 "}} {
		if _, err := s.Take(p.b, uint32(launch+1), c.complete); err != nil {
			t.Fatal(err)
		}
		if got := logs(); got != c.want {
			t.Errorf("launch %d leaves the logs of %s, want %s", launch+1, got, c.want)
		}
		p = &pen{launch: uint32(launch + 2)}
		if launch < 2 {
			p.call(5, noop, 0, 1)
		}
	}
	// The open call is answered during a launch that was told that it is open.
	s.Abort()
	s.Idle(never)
	for launch, want := range []string{"12 ", ""} {
		if _, err := s.Take(nil, uint32(launch+5), true); err != nil {
			t.Fatal(err)
		}
		if got := logs(); got != want {
			t.Errorf("afterwards the logs of %s are left, want %s", got, want)
		}
	}
}

func TestDelivery(t *testing.T) {
	s, out := server(t, Options{})
	write := callWord(wire.OpWrite, 4, 1, wire.WithBytes)
	p := &pen{launch: 3}
	want := ""
	for i := range uint32(300) {
		text := fmt.Sprintf("line %d\n", i)
		p.bytes(i%7, text).call(i%7, write, 0, uint32(len(text)), 1, 0, 0)
		want += text
	}
	p.bytes(1, "in two ").call(1, callWord(wire.OpWrite, 1, 0, wire.WithBytes|wire.More), 0, 7)
	p.bytes(2, "between ").call(2, write, 0, 8, 1, 0, 0)
	p.bytes(1, "parts").call(1, write, 0, 5, 1, 0, 0)
	p.take(t, s)
	s.Idle(never)
	if want += "between in two parts"; out.text[1] != want || s.Err() != nil || s.Inbox(nil) != nil {
		t.Errorf("%q, %v", out.text[1], s.Err())
	}
	p = &pen{launch: 4}
	p.bytes(1, "x").call(1, write, 0, 1, 9, 0, 0).bytes(1, "y").call(1, write, 0, 1, 2, 0, 0)
	p.take(t, s)
	s.Idle(never)
	if err := s.Err(); !errors.Is(err, errno.EBADF) || !strings.Contains(err.Error(), "WRITE") || out.text[2] != "y" {
		t.Errorf("got %v, %q", err, out.text[2])
	}
}

// TestLogs compares the logs of an inbox with what was answered, whatever is forgotten meanwhile.
func TestLogs(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		out := &printed{text: map[uint32]string{}}
		s := New(context.Background(), table(out), Options{Items: 4, Resumable: true, Share: 64})
		defer s.Close(time.Second)
		var given [4][]answer
		var done [4]uint32
		for launch := range uint32(rapid.IntRange(1, 20).Draw(r, "launches")) {
			p := &pen{launch: launch}
			for item := range uint32(4) {
				if rapid.Bool().Draw(r, "calls") {
					done[item] = rapid.Uint32Range(done[item], uint32(len(given[item]))).Draw(r, "done")
					n := rapid.IntRange(0, 64).Draw(r, "bytes")
					w := callWord(opEcho, 2, 2, wire.WithBytes)
					p.bytes(item, strings.Repeat("z", n)).call(item, w, done[item], uint32(n), launch)
					body := []uint32{uint32(n), launch + 1}
					tail := append([]byte(strings.Repeat("z", n)), 0, 0, 0)
					for i := 0; i < n; i += 4 {
						body = append(body, binary.LittleEndian.Uint32(tail[i:]))
					}
					given[item] = append(given[item], answer{call: w, body: body})
				}
			}
			p.take(t, s)
			s.Wait(never, time.Minute, false)
			inbox := s.Inbox(nil)
			for item := range 4 {
				if len(given[item]) == 0 {
					continue
				}
				first, list, pending := answers(t, inbox, item)
				if want := given[item][first:]; first < done[item] || pending || fmt.Sprint(list) != fmt.Sprint(want) {
					r.Fatalf("item %d has forgotten %d (%d): %v, want %v", item, first, done[item], list, want)
				}
			}
		}
	})
}

// FuzzTake has anything in the outbox of one launch and of the next.
func FuzzTake(f *testing.F) {
	p := &pen{launch: 1}
	p.bytes(1, "hello").call(1, callWord(opEcho, 3, 3, wire.WithBytes), 0, 5, 6, 7).call(2, callWord(wire.OpNoop, 2, 2, 0), 0, 8, 9)
	f.Add(p.b, uint32(1), true)
	p = &pen{launch: 1}
	p.bytes(1, "abc").call(1, callWord(wire.OpWrite, 4, 1, wire.WithBytes), 0, 3, 2, 0, 0).head(wire.RecordDiverged, 0, 3).words(17)
	f.Add(p.b, uint32(0x101), false)
	f.Add([]byte{1, 2, 3}, uint32(0), true)
	f.Fuzz(func(t *testing.T, records []byte, launch uint32, resumable bool) {
		out := &printed{text: map[uint32]string{}}
		s := New(context.Background(), table(out), Options{Items: 16, Resumable: resumable, Share: 64, Keep: 1 << 16, Panicked: func(wire.Opcode, any, []byte) {}})
		over := make(chan struct{})
		close(over)
		for i := range uint32(2) {
			b := make([]byte, len(records))
			copy(b, records)
			s.Take(b, launch+i, i == 1)
			s.Wait(over, 0, false)
			inbox := s.Inbox(nil)
			for item := 0; inbox != nil && item < 16; item++ {
				answers(t, inbox, item) // as far as a kernel would read
			}
		}
		s.Abort()
		if !s.Close(10 * time.Second) {
			t.Fatal("a handler did not return")
		}
	})
}
