package wire

import (
	"encoding/binary"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// part is a piece of a mailbox.
type part struct {
	name             string
	at, stride, size int // size: what one slot uses
	align            int
}

func parts(l Layout) []part {
	return []part{
		{"request header", l.RequestHeader, RequestHeaderBytes, 24, 64},
		{"reply header", l.ReplyHeader, ReplyHeaderBytes, 8, 64},
		{"request short", l.Request.Short, l.Request.ShortStride, ShortWords * l.Lanes * 4, 64},
		{"request long", l.Request.Long, l.Request.LongStride, (MaxWords - ShortWords) * l.Lanes * 4, 64},
		{"request cells", l.Request.Cells, l.Request.CellsStride, MaxTaggedWords * l.Lanes * 8, 64},
		{"reply short", l.Reply.Short, l.Reply.ShortStride, ShortWords * l.Lanes * 4, 64},
		{"reply long", l.Reply.Long, l.Reply.LongStride, (MaxWords + 1 - ShortWords) * l.Lanes * 4, 64},
		{"reply cells", l.Reply.Cells, l.Reply.CellsStride, MaxTaggedWords * l.Lanes * 8, 64},
		{"bulk in", l.BulkIn, l.Bulk, l.Bulk, 64},
		{"bulk out", l.BulkOut, l.Bulk, l.Bulk, 64},
	}
}

func TestLayout(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := Shape{
			Slots: rapid.IntRange(1, 70_000).Draw(t, "slots"),
			Lanes: rapid.IntRange(1, MaxLanes).Draw(t, "lanes"),
			Bulk:  64 * rapid.IntRange(0, 1024).Draw(t, "bulk"),
		}
		l, err := s.Layout()
		if err != nil {
			if s.Slots*(s.Bulk*2+16_000) < 1<<32 {
				t.Fatalf("%+v: %v", s, err)
			}
			return
		}
		list := parts(l)
		for _, p := range list {
			if p.stride < p.size || p.at%4096 != 0 || p.stride%p.align != 0 {
				t.Fatalf("%+v: %+v", s, p)
			}
		}
		slices.SortFunc(list, func(a, b part) int { return a.at - b.at })
		end := ControlSize
		for _, p := range list {
			if p.at < end {
				t.Fatalf("%+v: %s begins at %d, before %d", s, p.name, p.at, end)
			}
			end = p.at + s.Slots*p.stride
		}
		if l.Size < end || l.Size%4096 != 0 || l.Size >= 1<<32 {
			t.Fatalf("%+v: size %d, used %d", s, l.Size, end)
		}
		active := rapid.IntRange(1, s.Lanes).Draw(t, "active")
		if share := s.Share(active); share%16 != 0 || share*active > s.Bulk || share < s.Bulk/active-15 {
			t.Fatalf("%+v: %d lanes share %d each", s, active, share)
		}
		p := Params{Layout: l, Flags: 5, ClockOffset: -7, Strings: 11, Argc: 13, Envc: 17}
		b := p.Bytes()
		if len(b) != 4*len(ParamTable) {
			t.Fatalf("%d bytes of parameters", len(b))
		}
		value := map[string]uint32{}
		for i, f := range ParamTable {
			value[f.Name] = binary.LittleEndian.Uint32(b[4*i:])
		}
		for name, want := range map[string]int{"slots": s.Slots, "bulk": s.Bulk, "flags": 5, "request_header": l.RequestHeader, "reply_header": l.ReplyHeader,
			"request": l.Request.Short, "reply_cells": l.Reply.Cells, "bulk_in": l.BulkIn, "bulk_out": l.BulkOut, "strings": 11, "argc": 13, "envc": 17,
			"clock_low": 1<<32 - 7, "clock_high": 1<<32 - 1} {
			if got, ok := value[name]; !ok || got != uint32(want) {
				t.Fatalf("%s is %d, want %d", name, got, want)
			}
		}
	})
}

func TestLayoutRefuses(t *testing.T) {
	for _, s := range []Shape{{}, {Slots: 1}, {Slots: -1, Lanes: 1}, {Slots: 1, Lanes: 65}, {Slots: 1, Lanes: -1}, {Slots: 1, Lanes: 1, Bulk: 63},
		{Slots: 1, Lanes: 1, Bulk: -64}, {Slots: 1 << 20, Lanes: 64, Bulk: 4096}, {Slots: 1 << 40, Lanes: 1}, {Slots: 1 << 62, Lanes: 1}, {Slots: 1, Lanes: 1, Bulk: 1 << 62}, {Slots: 1 << 32, Lanes: 32, Bulk: 1 << 40}} {
		if l, err := s.Layout(); err == nil {
			t.Errorf("%+v gives %+v", s, l)
		}
	}
	if got := (Shape{Bulk: 64}).Share(0); got != 0 {
		t.Errorf("no lanes share %d", got)
	}
}

func TestSequence(t *testing.T) {
	for _, c := range []struct{ from, to uint32 }{{0, 1}, {1, 2}, {SeqMask - 1, SeqMask}, {SeqMask, 1}} {
		if got := NextSeq(c.from); got != c.to {
			t.Errorf("%d follows %d, want %d", got, c.from, c.to)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		seq, e, w := rapid.Uint32Range(1, SeqMask).Draw(t, "seq"), rapid.Byte().Draw(t, "errno"), rapid.Uint32().Draw(t, "word")
		cell := Cell(w, Tag(seq, e))
		if uint32(cell) != w || uint32(cell>>40) != seq || byte(cell>>32) != e {
			t.Fatalf("%#x", cell)
		}
	})
}

func TestCalls(t *testing.T) {
	ops, names := map[Opcode]bool{}, map[string]bool{}
	for _, c := range Calls {
		if ops[c.Op] || names[c.Name] || c.Op == 0 || c.Op >= 128 || c.In > MaxWords || c.Out > MaxWords || c.Bytes && c.In == 0 || c.Doc == "" {
			t.Errorf("%+v", c)
		}
		ops[c.Op], names[c.Name] = true, true
	}
}
