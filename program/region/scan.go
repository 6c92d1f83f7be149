package region

import (
	"slices"

	"github.com/dialtone-gpu/dialtone/program/machine"
	"github.com/dialtone-gpu/dialtone/program/wasm"
)

// A construct is a block, loop or if, or a whole function.
type construct struct {
	op         wasm.Op
	start, end int      // in the function's code; end is behind its end
	targeted   bool     // a branch leads to its label
	traps      bool     // something in it may trap, not counting functions that it calls
	size       int      // instructions, with those of constructs in it
	depth      int      // how deep loops are nested in it, with itself
	nested     int      // how deep constructs are nested in it
	calls      []uint32 // functions that it calls, sorted
	hosts      bool     // it calls what is imported, or through a table
	grows      bool     // it grows the memory
	unfit      wasm.Op  // an instruction that has no C, or 0
	outer      int      // the construct around, -1 for a function
}

// mostNested is how deep constructs may be nested in C: clang refuses 256 levels of braces, and hiprtc, PoCL and Metal's compiler are made of it.
const mostNested = 200

// A body is a function's constructs in the order in which they begin. The first is the function itself.
type body []construct

// A scanner looks at functions, each once.
type scanner struct {
	m      *wasm.Module
	w      *wasm.Walker
	bodies map[int]body
}

func newScanner(m *wasm.Module) *scanner {
	return &scanner{m: m, w: wasm.NewWalker(m), bodies: map[int]body{}}
}

// imported reports that a function is the host's.
func (s *scanner) imported(fn int) bool { return s.m.Funcs[fn].Code == nil }

// body scans a function, which must not be imported.
func (s *scanner) body(fn int) body {
	if b, ok := s.bodies[fn]; ok {
		return b
	}
	f := &s.m.Funcs[fn]
	b := body{{op: wasm.Block, end: len(f.Code), outer: -1, unfit: refs(s.m.Types[f.Type])}}
	locals := localTypes(s.m, fn)
	open := []int{0}
	end := -1 // the construct that ended with the last instruction
	for s.w.Begin(fn); s.w.Next(); {
		at := s.w.At - f.Offset
		if end >= 0 {
			b[end].end = at
			end = -1
		}
		switch s.w.Op {
		case wasm.Block, wasm.Loop, wasm.If:
			b = append(b, construct{op: s.w.Op, start: at, outer: open[len(open)-1], unfit: refs(s.w.Block.Type)})
			open = append(open, len(b)-1)
		case wasm.End:
			end = open[len(open)-1]
			open = open[:len(open)-1]
			b.close(end)
			continue
		}
		if s.w.Dead {
			continue
		}
		s.count(&b[open[len(open)-1]], locals)
		switch s.w.Op {
		case wasm.Br, wasm.BrIf:
			b[open[len(open)-1-int(s.w.Index)]].targeted = true
		case wasm.BrTable:
			for _, i := range s.w.Labels {
				b[open[len(open)-1-int(i)]].targeted = true
			}
		}
	}
	s.bodies[fn] = b
	return b
}

// close adds what was found in a construct to the one around.
func (b body) close(i int) {
	c := &b[i]
	slices.Sort(c.calls)
	c.calls = slices.Compact(c.calls)
	if c.op == wasm.Loop {
		c.depth++
	}
	if c.outer < 0 {
		return
	}
	o := &b[c.outer]
	if o.nested = max(o.nested, c.nested+1); o.nested > mostNested {
		return // there is no C of it, and nothing to know besides
	}
	o.traps = o.traps || c.traps
	o.size += c.size
	o.depth = max(o.depth, c.depth)
	o.calls = append(o.calls, c.calls...)
	o.hosts = o.hosts || c.hosts
	o.grows = o.grows || c.grows
	if o.unfit == 0 {
		o.unfit = c.unfit
	}
}

// count adds the walker's instruction to the innermost construct.
func (s *scanner) count(c *construct, locals []wasm.ValType) {
	op := s.w.Op
	c.size++
	fit := true
	switch op {
	case wasm.Call:
		if s.imported(int(s.w.Index)) {
			c.hosts = true
		} else {
			c.calls = append(c.calls, s.w.Index)
		}
		fit = refs(s.m.Types[s.m.Funcs[s.w.Index].Type]) == 0
	case wasm.CallIndirect:
		c.hosts = true
		fit = refs(s.m.Types[s.w.Index]) == 0
	case wasm.MemoryGrow:
		c.grows = true
	case wasm.LocalGet, wasm.LocalTee, wasm.LocalSet:
		fit = !locals[s.w.Index].IsRef()
	case wasm.GlobalGet, wasm.GlobalSet:
		fit = !s.m.Globals[s.w.Index].Type.IsRef()
	case wasm.SelectTyped:
		fit = !s.w.Type.IsRef()
	case wasm.Unreachable:
		c.traps = true
	case wasm.Nop, wasm.Block, wasm.Loop, wasm.If, wasm.Else, wasm.Br, wasm.BrIf, wasm.BrTable, wasm.Return, wasm.Drop, wasm.Select,
		wasm.I32Const, wasm.I64Const, wasm.F32Const, wasm.F64Const, wasm.MemorySize:
	default:
		o, ok := machine.Find(op)
		c.traps = c.traps || o.Traps
		fit = ok
	}
	if !fit && c.unfit == 0 {
		c.unfit = op
	}
}

// refs gives an instruction that stands for references in a type; 0 if there are none.
func refs(t wasm.FuncType) wasm.Op {
	for _, v := range []byte(t.Params + t.Results) {
		if wasm.ValType(v).IsRef() {
			return wasm.RefNull
		}
	}
	return 0
}

// localTypes returns the types of a function's parameters and locals.
func localTypes(m *wasm.Module, fn int) []wasm.ValType {
	f := &m.Funcs[fn]
	var types []wasm.ValType
	for _, v := range []byte(m.Types[f.Type].Params) {
		types = append(types, wasm.ValType(v))
	}
	params := len(types)
	for _, l := range f.Locals {
		for len(types) < params+int(l.End) {
			types = append(types, l.Type)
		}
	}
	return types
}
