package wasm_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/dialtone-gpu/dialtone/program/wasm"
	"github.com/dialtone-gpu/dialtone/program/wasm/wasmtest"
)

// TestWalk shows what a walker says of a function, one line per instruction.
func TestWalk(t *testing.T) {
	m, err := wasm.Decode(function(i32, i64,
		wasm.I64Const, s64(-3),
		wasm.Block, wasm.I64,
		wasm.LocalGet, 0,
		wasm.If, 0x40,
		wasm.I64Const, 5,
		wasm.Br, 1,
		wasm.Drop,
		wasm.Block, 0x40, wasm.Nop, wasm.End,
		wasm.Else,
		wasm.LocalGet, 0,
		wasm.I64Load32U, 1, u32(4096),
		wasm.LocalGet, 0,
		wasm.BrTable, vec(u32(2), u32(1)), 2,
		wasm.End,
		wasm.I64Const, 1,
		wasm.End,
		wasm.I64Add,
	))
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	w := wasm.NewWalker(m)
	for w.Begin(0); w.Next(); {
		line := fmt.Sprintf("%d %v", w.At-m.Funcs[0].Offset, w.Op)
		for _, imm := range w.Op.Info().Imm {
			switch imm {
			case wasm.LocalIndex:
				line += fmt.Sprintf(" %d", w.Index)
			case wasm.LabelIndex:
				label := w.Label(w.Index)
				line += fmt.Sprintf(" %d (%v, to height %d with %v)", w.Index, label.Op, label.Height, label.Operands())
			case wasm.LabelIndices:
				line += fmt.Sprintf(" %v", w.Labels)
			case wasm.MemArg:
				line += fmt.Sprintf(" offset=%d align=%d", w.Offset, w.Align)
			case wasm.I64Value:
				line += fmt.Sprintf(" %d", int64(w.Value))
			}
		}
		switch w.Op {
		case wasm.Block, wasm.If, wasm.Else, wasm.End:
			line += fmt.Sprintf(" (%v %v at height %d)", w.Block.Op, w.Block.Type, w.Block.Height)
		}
		if w.Dead {
			line += "; dead"
		} else {
			line += fmt.Sprintf("; height %d", w.Height)
		}
		lines = append(lines, line)
	}
	want := `
0 i64.const -3; height 0
2 block (block [] -> [i64] at height 1); height 1
4 local.get 0; height 1
6 if (if [] -> [] at height 1); height 2
8 i64.const 5; height 1
10 br 1 (block, to height 1 with [i64]); height 2
12 drop; dead
13 block (block [] -> [] at height 1); dead
15 nop; dead
16 end (block [] -> [] at height 1); dead
17 else (else [] -> [] at height 1); dead
18 local.get 0; height 1
20 i64.load32_u offset=4096 align=1; height 2
24 local.get 0; height 2
26 br_table [2 1 2]; height 3
31 end (else [] -> [] at height 1); dead
32 i64.const 1; height 1
34 end (block [] -> [i64] at height 1); height 2
35 i64.add; height 2
36 end (block [] -> [i64] at height 0); height 1`
	if got := "\n" + strings.Join(lines, "\n"); got != want {
		t.Error(got)
	}
}

// arity returns how many operands an instruction takes and leaves, from what is known without types.
func arity(m *wasm.Module, w *wasm.Walker) (in, out int) {
	call := func(t wasm.FuncType) (int, int) { return len(t.Params), len(t.Results) }
	info := w.Op.Info()
	in, out = len(info.In), len(info.Out)
	if !info.Varies {
		return in, out
	}
	switch w.Op {
	case wasm.Block, wasm.Loop, wasm.If:
		n := len(w.Block.Type.Params)
		return in + n, n
	case wasm.Else:
		return len(w.Block.Type.Results), len(w.Block.Type.Params)
	case wasm.End:
		return len(w.Block.Type.Results), len(w.Block.Type.Results)
	case wasm.BrIf:
		n := len(w.Label(w.Index).Operands())
		return in + n, n
	case wasm.Call:
		return call(m.Types[m.Funcs[w.Index].Type])
	case wasm.CallIndirect:
		in, out = call(m.Types[w.Index])
		return in + 1, out
	case wasm.Drop, wasm.LocalSet, wasm.GlobalSet:
		return 1, 0
	case wasm.Select, wasm.SelectTyped:
		return 3, 1
	case wasm.LocalGet, wasm.GlobalGet, wasm.RefNull, wasm.RefFunc:
		return 0, 1
	case wasm.LocalTee, wasm.TableGet, wasm.RefIsNull:
		return 1, 1
	case wasm.TableSet:
		return 2, 0
	case wasm.TableGrow:
		return 2, 1
	case wasm.TableInit, wasm.TableCopy, wasm.TableFill:
		return 3, 0
	}
	return 0, 0 // jumps
}

// follow walks a module and compares the heights that the walker gives with those that follow from arities.
func follow(m *wasm.Module) error {
	w := wasm.NewWalker(m)
	for fn := range m.Funcs {
		if m.Funcs[fn].Code == nil {
			continue
		}
		height, depth, end := 0, 1, m.Funcs[fn].Offset
		for w.Begin(fn); w.Next(); {
			if w.At < end {
				return fmt.Errorf("function %d: offset %d after %d", fn, w.At, end)
			}
			end = w.At + 1
			if !w.Dead && w.Height != height {
				return fmt.Errorf("function %d, offset %#x: height %d, not %d", fn, w.At, w.Height, height)
			}
			in, out := arity(m, w)
			switch w.Op {
			case wasm.Block, wasm.Loop, wasm.If:
				depth++
			case wasm.End:
				depth--
			}
			if w.Depth() != depth {
				return fmt.Errorf("function %d, offset %#x: depth %d, not %d", fn, w.At, w.Depth(), depth)
			}
			switch {
			case w.Op == wasm.Else || w.Op == wasm.End: // however the block was left
				if !w.Dead && height-in != w.Block.Height {
					return fmt.Errorf("function %d, offset %#x: %d operands left", fn, w.At, height-in-w.Block.Height)
				}
				height = w.Block.Height + out
			default:
				height += out - in
			}
		}
		if depth != 0 || end != m.Funcs[fn].Offset+len(m.Funcs[fn].Code) {
			return fmt.Errorf("function %d: ended at %d, in %d blocks", fn, end, depth)
		}
	}
	return nil
}

func TestHeights(t *testing.T) {
	check := func(t interface{ Fatal(...any) }, file []byte) {
		m, err := wasm.Decode(file)
		if err == nil {
			err = follow(m)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Run("generated", func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) { check(t, (&wasmtest.Gen{T: t}).Module(60, nil)) })
	})
	t.Run("spec", func(t *testing.T) {
		for _, file := range seeds(t, 1<<20) {
			check(t, file)
		}
	})
}

// TestWalkAllocatesNothing holds once the stacks are large enough.
func TestWalkAllocatesNothing(t *testing.T) {
	file, err := os.ReadFile(wazeroFile(t, "imports/wasi_snapshot_preview1/testdata/cargo-wasi/wasi.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := wasm.Decode(file)
	if err != nil {
		t.Fatal(err)
	}
	w := wasm.NewWalker(m)
	n := testing.AllocsPerRun(3, func() {
		for fn := range m.Funcs {
			if m.Funcs[fn].Code == nil {
				continue
			}
			for w.Begin(fn); w.Next(); {
			}
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}
