package bytecode

import (
	"fmt"

	"github.com/dialtone-gpu/dialtone/program/wasm"
)

// initial fills in what an instance begins with.
func (l *lowering) initial() error {
	m, im := l.m, l.image
	for _, g := range m.Globals {
		im.Globals = append(im.Globals, l.constant(g.Init))
	}
	for i, t := range m.Tables {
		if t.Min > mostElements {
			return fmt.Errorf("table %d has %d elements, at most %d", i, t.Min, mostElements)
		}
		table := Table{Elements: make([]uint64, t.Min), Max: t.Min}
		if l.grows[i] {
			table.Max = ^uint32(0)
			if t.HasMax {
				table.Max = t.Max
			}
		}
		im.Tables = append(im.Tables, table)
	}
	for i, e := range m.Elems {
		if e.Mode != wasm.Active {
			continue
		}
		to, at := im.Tables[e.Table].Elements, uint64(uint32(l.constant(e.Offset)))
		if at+uint64(len(e.Init)) > uint64(len(to)) {
			return fmt.Errorf("element segment %d: elements %d to %d of a table of %d: out of bounds table access", i, at, at+uint64(len(e.Init)), len(to))
		}
		for k, c := range e.Init {
			to[at+uint64(k)] = l.constant(c)
		}
	}
	im.Datas, im.Elems = [][]byte{nil}, [][]uint64{nil} // number 0
	for _, index := range l.elems.named[1:] {
		var refs []uint64
		for _, c := range m.Elems[index].Init {
			refs = append(refs, l.constant(c))
		}
		im.Elems = append(im.Elems, refs)
	}
	for _, index := range l.datas.named[1:] {
		im.Datas = append(im.Datas, m.Datas[index].Init)
	}
	return l.memory()
}

// mostElements of a table there may be in the beginning: 128 MiB.
const mostElements = 1 << 24

func (l *lowering) memory() error {
	m, im := l.m, l.image
	if len(m.Memories) > 0 {
		im.Memory.Min, im.Memory.Max = m.Memories[0].Min, mostPages
		if m.Memories[0].HasMax {
			im.Memory.Max = m.Memories[0].Max
		}
	}
	for i, d := range m.Datas {
		if d.Mode != wasm.Active {
			continue
		}
		at, size := uint64(uint32(l.constant(d.Offset))), uint64(im.Memory.Min)*PageBytes
		if at+uint64(len(d.Init)) > size {
			return fmt.Errorf("data segment %d: bytes %d to %d of a memory of %d: out of bounds memory access", i, at, at+uint64(len(d.Init)), size)
		}
		if len(d.Init) > 0 {
			im.Memory.Segments = append(im.Memory.Segments, Segment{uint32(at), d.Init})
		}
	}
	return nil
}

// mostPages is all that 32 bits can address.
const mostPages = 1 << 16

// constant is the value of a constant expression. There are no imported globals that it could name.
func (l *lowering) constant(c wasm.Const) uint64 {
	if c.Op == wasm.RefFunc {
		return l.image.Ref(int(c.Value))
	}
	return c.Value
}
