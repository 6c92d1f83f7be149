package wasi_test

import (
	"encoding/binary"
	"io"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/dialtone-gpu/dialtone/hostcall/policy"
)

// A subscription to a clock or a descriptor.
func onClock(user uint64, clock uint32, ns uint64, absolute bool) []byte {
	b := make([]byte, 48)
	binary.LittleEndian.PutUint64(b, user)
	binary.LittleEndian.PutUint32(b[16:], clock)
	binary.LittleEndian.PutUint64(b[24:], ns)
	if absolute {
		b[40] = 1
	}
	return b
}

func onDescriptor(user uint64, kind byte, fd uint32) []byte {
	b := make([]byte, 48)
	binary.LittleEndian.PutUint64(b, user)
	b[8] = kind
	binary.LittleEndian.PutUint32(b[16:], fd)
	return b
}

// happening is an event.
type happening struct {
	user  uint64
	error uint16
	kind  byte
}

// poll gives what happened, in the order of the subscriptions, and how many bytes the first one speaks of.
func (g *guest) poll(subscriptions ...[]byte) ([]happening, uint64) {
	g.t.Helper()
	in := g.bytes(slices.Concat(subscriptions...))
	out, to := g.alloc(32*len(subscriptions)), g.alloc(4)
	g.ok("poll_oneoff", in, out, len(subscriptions), to)
	var all []happening
	for i := range uint64(g.u32(to)) {
		at := out + 32*i
		all = append(all, happening{g.u64(at), g.u16(at + 8), g.mem[at+10]})
	}
	return all, g.u64(out + 16)
}

func TestPoll(t *testing.T) {
	root := tree(t, "a", "content")
	r, w := io.Pipe()
	p := dir(root)
	p.Stdin = r
	g := alone(t, p)
	now := g.alloc(8)
	short := func(what string, least, most time.Duration, subscriptions [][]byte, want ...happening) uint64 {
		t.Helper()
		start := time.Now()
		got, bytes := g.poll(subscriptions...)
		if d := time.Since(start); d < least || d > most {
			t.Errorf("%s takes %v", what, d)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
		return bytes
	}
	const ms, long = uint64(1e6), uint64(3600e9)
	short("a timer", 5*time.Millisecond, time.Second, [][]byte{onClock(7, 1, 5*ms, false)}, happening{7, 0, 0})
	short("the earlier one of two", 5*time.Millisecond, time.Second, [][]byte{onClock(7, 1, long, false), onClock(8, 0, 5*ms, false)}, happening{8, 0, 0})
	short("no time", 0, time.Second, [][]byte{onClock(7, 1, 0, false)}, happening{7, 0, 0})
	for clock := range uint32(2) {
		g.ok("clock_time_get", clock, 0, now)
		short("an absolute timer", 4*time.Millisecond, time.Second, [][]byte{onClock(1, clock, g.u64(now)+5*ms, true)}, happening{1, 0, 0})
		short("one that is over", 0, time.Second, [][]byte{onClock(1, clock, 5, true)}, happening{1, 0, 0})
	}
	short("a clock that there is not", 0, time.Second, [][]byte{onClock(1, 2, 0, false), onClock(2, 1, long, false)}, happening{1, einval, 0})
	short("writing", 0, time.Second, [][]byte{onDescriptor(3, 2, 1), onClock(2, 1, long, false)}, happening{3, 0, 2})
	fd := g.open(3, "a", 0, rightRead, 0)
	g.read(fd, 3)
	if n := short("reading a file", 0, time.Second, [][]byte{onDescriptor(4, 1, fd), onDescriptor(5, 1, 0)}, happening{4, 0, 1}); n != 4 {
		t.Errorf("%d bytes are there", n)
	}
	short("descriptors that are no good", 0, time.Second, [][]byte{onDescriptor(4, 1, 77), onDescriptor(5, 2, 78), onDescriptor(6, 1, 1), onDescriptor(7, 2, 0)},
		happening{4, ebadf, 1}, happening{5, ebadf, 2}, happening{6, ebadf, 1}, happening{7, ebadf, 2})
	short("a silent stream", 5*time.Millisecond, time.Second, [][]byte{onDescriptor(5, 1, 0), onClock(6, 1, 5*ms, false)}, happening{6, 0, 0})

	g.ok("fd_fdstat_set_flags", 0, nonblock)
	if _, e := g.read(0, 5); e != eagain {
		t.Errorf("a read that does not wait: %d", e)
	}
	go func() {
		time.Sleep(5 * time.Millisecond)
		io.WriteString(w, "xyz")
	}()
	short("a stream", 0, time.Second, [][]byte{onDescriptor(5, 1, 0), onClock(6, 1, long, false)}, happening{5, 0, 1})
	short("a stream, again", 0, time.Second, [][]byte{onDescriptor(5, 1, 0), onDescriptor(6, 2, 1), onDescriptor(7, 1, 0)},
		happening{5, 0, 1}, happening{6, 0, 2}, happening{7, 0, 1})
	if text, e := g.read(0, 5); e != 0 || text != "xyz" {
		t.Errorf("read %q, %d", text, e)
	}
	w.Close()
	short("a stream at its end", 0, time.Second, [][]byte{onDescriptor(5, 1, 0), onClock(6, 1, long, false)}, happening{5, 0, 1})
	if text, e := g.read(0, 5); e != 0 || text != "" {
		t.Errorf("read %q, %d", text, e)
	}

	at := g.alloc(64)
	g.want(einval, "poll_oneoff", at, at, 0, at)
	g.want(einval, "poll_oneoff", g.bytes(onDescriptor(1, 3, 0)), at, 1, at)
	bad := onClock(1, 0, 0, false)
	bad[40] = 2
	g.want(einval, "poll_oneoff", g.bytes(bad), at, 1, at)
	g.want(einval, "poll_oneoff", 0, 0, 2000, at)
	g.want(efault, "poll_oneoff", memorySize-47, at, 1, at)
	g.want(efault, "poll_oneoff", at, memorySize-31, 1, at)
	g.want(efault, "poll_oneoff", at, at, 0xffffffff, at)

	g = alone(t, policy.Policy{NoClocks: true})
	if got, _ := g.poll(onClock(1, 1, 5, false)); !slices.Equal(got, []happening{{1, notcapable, 0}}) {
		t.Errorf("a timer without clocks: %v", got)
	}
}

// TestPollPipe: a pipe of the system, which is waited for in another way.
func TestPollPipe(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	g := alone(t, policy.Policy{Stdin: r})
	if got, _ := g.poll(onDescriptor(1, 1, 0), onClock(2, 1, 5e6, false)); !slices.Equal(got, []happening{{2, 0, 0}}) {
		t.Errorf("a silent pipe: %v", got)
	}
	g.ok("fd_fdstat_set_flags", 0, nonblock)
	if _, e := g.read(0, 5); e != eagain {
		t.Errorf("a read that does not wait: %d", e)
	}
	io.WriteString(w, "abc")
	if got, _ := g.poll(onDescriptor(1, 1, 0), onClock(2, 1, 3600e9, false)); !slices.Equal(got, []happening{{1, 0, 1}}) {
		t.Errorf("a pipe: %v", got)
	}
	if text, e := g.read(0, 5); e != 0 || text != "abc" {
		t.Errorf("read %q, %d", text, e)
	}
}
