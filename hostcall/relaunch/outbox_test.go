package relaunch

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/dialtone-gpu/dialtone/hostcall/wire"
)

// pen writes an outbox as a kernel does.
type pen struct {
	b      []byte
	launch uint32
}

func (p *pen) words(w ...uint32) *pen {
	for _, v := range w {
		p.b = binary.LittleEndian.AppendUint32(p.b, v)
	}
	return p
}

func (p *pen) head(kind, size, item uint32) *pen {
	return p.words(size|kind<<wire.RecordKindShift|p.launch<<wire.RecordLaunchShift, item)
}

func (p *pen) bytes(item uint32, b string) *pen {
	p.head(wire.RecordBytes, uint32(len(b)), item)
	p.b = append(p.b, b...)
	for len(p.b)%4 != 0 {
		p.b = append(p.b, 0)
	}
	return p
}

func callWord(op wire.Opcode, in, out int, flags uint32) uint32 {
	return uint32(op) | uint32(in)<<wire.InShift | uint32(out)<<wire.OutShift | flags
}

func (p *pen) call(item uint32, call, done uint32, w ...uint32) *pen {
	return p.head(wire.RecordCall, uint32(len(w)), item).words(call, done).words(w...)
}

func TestDecode(t *testing.T) {
	const items = 10
	write := callWord(wire.OpWrite, 4, 1, wire.WithBytes)
	for _, c := range []struct {
		name  string
		write func(p *pen)
		want  []string // bytes of the calls
		err   string
	}{
		{"nothing", func(p *pen) {}, nil, ""},
		{"one", func(p *pen) { p.bytes(3, "abc").call(3, write, 0, 3, 1, 0, 0) }, []string{"abc\x00"}, ""},
		{"in pieces, with others between", func(p *pen) {
			p.bytes(3, "abcd").bytes(4, "x").bytes(3, "ef").call(4, write, 0, 1, 1, 0, 0).call(3, write, 0, 6, 1, 0, 0).call(3, write, 0, 0, 1, 0, 0)
		}, []string{"x\x00\x00\x00", "abcdef\x00\x00", ""}, ""},
		{"an end", func(p *pen) {
			p.call(1, write, 0, 0, 1, 0, 0).words(wire.RecordEnd<<wire.RecordKindShift|7<<wire.RecordLaunchShift, 12345, 1)
		}, []string{""}, ""},
		{"no room in its middle", func(p *pen) {
			p.bytes(1, "lost").words(wire.RecordEnd<<wire.RecordKindShift | 7<<wire.RecordLaunchShift)
		}, nil, ""},
		{"of another launch", func(p *pen) { p.call(1, write, 0).words(0x06<<24|2<<20, 1, 1, 1) }, []string{""}, "was not written"},
		{"zeros", func(p *pen) { p.words(0, 0, 0) }, nil, "was not written"},
		{"kind", func(p *pen) { p.head(9, 0, 0) }, nil, "kind 9"},
		{"too long", func(p *pen) { p.head(wire.RecordBytes, 9, 0).words(1, 2) }, nil, "3 words"},
		{"far too long", func(p *pen) { p.head(wire.RecordCall, wire.RecordSizeMask, 0) }, nil, "words"},
		{"cut", func(p *pen) { p.words(wire.RecordCall<<wire.RecordKindShift | 7<<wire.RecordLaunchShift) }, nil, "2 words"},
		{"item", func(p *pen) { p.call(items, write, 0) }, nil, "work-item 10 of 10"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &pen{launch: 7}
			c.write(p)
			calls, breaches, err := decode(p.b, 0xabc07, items)
			if (err != nil) != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("got %v, want %q", err, c.err)
			}
			if len(calls) != len(c.want) || breaches != nil {
				t.Fatalf("%d calls, %d breaches", len(calls), len(breaches))
			}
			for i, r := range calls {
				if string(r.bytes) != c.want[i] {
					t.Errorf("call %d has %q, want %q", i, r.bytes, c.want[i])
				}
			}
		})
	}
	p := &pen{launch: 7}
	p.head(wire.RecordDiverged, 0, 3).words(callWord(wire.OpRead, 5, 1, 0)).head(wire.RecordRefused, 0, 4).words(callWord(wire.OpOpen, 3, 1, 0))
	if _, b, err := decode(p.b, 7, items); err != nil || len(b) != 2 || b[0].item != 3 || b[1].op != wire.OpOpen {
		t.Errorf("%+v, %v", b, err)
	}
}

func TestHead(t *testing.T) {
	b := make([]byte, HeadBytes)
	for i := range wire.OutHead {
		binary.LittleEndian.PutUint32(b[4*i:], uint32(100+i))
	}
	h := ReadHead(b)
	if h.Used(90, 1000) != 40 || h.Used(90, 7) != 28 || h.Used(100, 7) != 0 || !h.Cancelled(101) || h.Cancelled(102) || !h.Full(102) {
		t.Errorf("%v", h)
	}
	h[wire.OutPosted] = 5 // it came round
	if h.Used(0xfffffffe, 1000) != 28 {
		t.Errorf("%d bytes used", h.Used(0xfffffffe, 1000))
	}
}
