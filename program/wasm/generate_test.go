package wasm_test

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/dialtone-gpu/dialtone/program/wasm"
	"github.com/dialtone-gpu/dialtone/program/wasm/wasmtest"
)

// TestEveryInstruction has each accepted instruction, in valid functions, accepted by us and by wazero.
func TestEveryInstruction(t *testing.T) {
	seen := map[wasm.Op]bool{}
	rapid.Check(t, func(t *rapid.T) {
		some := rapid.IntRange(0, 3).Draw(t, "a quarter of the opcodes")
		for op := range wasmtest.AllOps {
			if first := wasmtest.Begin[op]; first != nil && int(op)%4 == some {
				g := &wasmtest.Gen{T: t, Seen: seen}
				if !compare(t, g.Module(4, first)) {
					t.Fatalf("%v: refused", op)
				}
			}
		}
	})
	for op := range wasmtest.AllOps {
		if !seen[op] {
			t.Errorf("%v (%#x) was never generated", op, uint16(op))
		}
	}
}

// TestGenerated has larger functions.
func TestGenerated(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		for range 10 {
			g := &wasmtest.Gen{T: t}
			if !compare(t, g.Module(60, nil)) {
				t.Fatal("refused")
			}
		}
	})
}

// TestSingleFaults has one error in a module that is valid otherwise.
func TestSingleFaults(t *testing.T) {
	reasons := map[string]string{wasmtest.WrongType: "type mismatch", wasmtest.NoOperand: "type mismatch", wasmtest.Surplus: "type mismatch", wasmtest.WrongIndex: "unknown ",
		wasmtest.WrongAlign: "alignment", wasmtest.SetImmutable: "global is immutable"}
	made := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		for _, fault := range []string{wasmtest.WrongType, wasmtest.NoOperand, wasmtest.WrongIndex, wasmtest.WrongAlign, wasmtest.SetImmutable, wasmtest.Surplus} {
			g := &wasmtest.Gen{T: t, Fault: fault}
			var first func(*wasmtest.Gen)
			if fault == wasmtest.SetImmutable { // too rare to wait for
				first = wasmtest.Begin[wasm.GlobalSet]
			}
			file := g.Module(40, first)
			compare(t, file)
			var e *wasm.Error
			if _, err := wasm.Decode(file); !errors.As(err, &e) || !strings.HasPrefix(e.Reason, reasons[g.Fault]) {
				t.Fatalf("%s: %v\n%x", g.Fault, err, file)
			}
			made[g.Fault]++
		}
	})
	t.Log(made)
	for _, fault := range []string{wasmtest.WrongType, wasmtest.NoOperand, wasmtest.Surplus, wasmtest.WrongIndex, wasmtest.WrongAlign, wasmtest.SetImmutable} {
		if made[fault] < 10 {
			t.Errorf("%s: only %d times", fault, made[fault])
		}
	}
}
