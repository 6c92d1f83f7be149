package bytecode_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dialtone-gpu/dialtone/program/bytecode"
	"github.com/dialtone-gpu/dialtone/program/wasm"
	"github.com/dialtone-gpu/dialtone/program/wasm/wasmtest"
)

const (
	i32 = wasm.ValTypes(wasm.I32)
	i64 = wasm.ValTypes(wasm.I64)
	f64 = wasm.ValTypes(wasm.F64)
)

var (
	u32      = wasmtest.U32
	s64      = wasmtest.S64
	cat      = wasmtest.Cat
	sized    = wasmtest.Sized
	vec      = wasmtest.Vec
	section  = wasmtest.Section
	name     = wasmtest.Name
	funcType = wasmtest.FuncType
)

// function is a module with one function of those types, which has locals of those types, a memory, a table, and a global.
func function(params, results, locals wasm.ValTypes, code ...any) []byte {
	var declared [][]byte
	for _, l := range []byte(locals) {
		declared = append(declared, cat(1, wasm.ValType(l)))
	}
	return wasmtest.File(
		section(1, vec(funcType(params, results))), section(3, vec(u32(0))), section(4, vec(cat(wasm.FuncRef, 0, 1))), section(5, vec(cat(0, 1))),
		section(6, vec(cat(wasm.I32, 1, wasm.I32Const, 0, wasm.End))), section(10, vec(sized(vec(declared...), cat(code...), wasm.End))))
}

func decode(t *testing.T, file []byte) *wasm.Module {
	t.Helper()
	m, err := wasm.Decode(file)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestLower shows what becomes of functions.
func TestLower(t *testing.T) {
	for _, c := range []struct {
		name string
		file []byte
		want string
	}{
		{"operands are locals and constants, results go to locals", function(i32+i32, i32, i32,
			wasm.LocalGet, 0, wasm.LocalGet, 1, wasm.I32Add, wasm.LocalSet, 2, wasm.I32Const, 7, wasm.LocalGet, 2, wasm.I32Mul), `
     5 i32.add %2 %0 %1
     6 i32.mul %3 %2 0x7
     7 return.value %3`},
		{"a local that changes while it is an operand is copied", function(i32, i32, "",
			wasm.LocalGet, 0, wasm.LocalGet, 0, wasm.I32Const, 1, wasm.I32Add, wasm.LocalSet, 0, wasm.LocalGet, 0, wasm.I32Sub), `
     4 i32.add %2 %0 0x1
     5 copy.two %1 %0 %0 %2
     6 i32.sub %1 %1 %0
     7 return.value %1`},
		{"a copy of what the one before has written stands alone", function(i32+i32, i32, "",
			wasm.LocalGet, 0, wasm.LocalSet, 1, wasm.LocalGet, 1, wasm.LocalSet, 0, wasm.LocalGet, 0), `
     4 copy %1 %0
     5 copy %0 %1
     6 return.value %0`},
		{"bits that are looked at are in branches", function(i32, "", "",
			wasm.Loop, 0x40, wasm.LocalGet, 0, wasm.I32Const, 4, wasm.I32And, wasm.BrIf, 0,
			wasm.LocalGet, 0, wasm.I32Const, 8, wasm.I32And, wasm.I32Eqz, wasm.BrIf, 0, wasm.End), `
     4 br.i32.and %0 0x4 @4
     5 br.i32.and.not %0 0x8 @4
     6 return`},
		{"comparisons are in branches", function(i32, i32, "",
			wasm.Loop, 0x40, wasm.LocalGet, 0, wasm.I32Const, 1, wasm.I32Sub, wasm.LocalTee, 0, wasm.I32Const, 9, wasm.I32GtU, wasm.BrIf, 0, wasm.End,
			wasm.LocalGet, 0, wasm.I32Eqz, wasm.If, wasm.I32, wasm.I32Const, 3, wasm.Else, wasm.I32Const, 4, wasm.End), `
     4 i32.sub %0 %0 0x1
     5 br.i32.gt_u %0 0x9 @4
     6 br.i32.eqz.not %0 @9
     7 copy %1 0x3
     8 br @10
     9 copy %1 0x4
    10 return.value %1`},
		{"what is not less may be NaN", function(f64+f64, "", "",
			wasm.Block, 0x40, wasm.LocalGet, 0, wasm.LocalGet, 1, wasm.F64Lt, wasm.I32Eqz, wasm.BrIf, 0, wasm.Nop, wasm.Unreachable, wasm.End), `
     4 br.f64.lt.not %0 %1 @6
     5 unreachable
     6 return`},
		{"an address has its index in the instruction", function(i32+i32, i32, "",
			wasm.LocalGet, 0, wasm.LocalGet, 1, wasm.I32Const, 2, wasm.I32Shl, wasm.I32Add, wasm.LocalGet, 1, wasm.I32Store, 2, 8,
			wasm.LocalGet, 0, wasm.LocalGet, 1, wasm.I32Const, 2, wasm.I32Shl, wasm.I32Add, wasm.I32Load, 2, 4,
			wasm.LocalGet, 0, wasm.I32Const, s64(-1), wasm.I32Add, wasm.I32Load, 2, 4, wasm.I32Add), `
     4 i32.store [%0 + %1<<2 + 8] %1
     5 i32.load %2 [%0 + %1<<2 + 4]
     6 i32.load %3 [%0 + 4294967295 + 4]
     7 i32.add %2 %2 %3
     8 return.value %2`},
		{"a shift whose result stays is executed", function(i32+i32, i32, i32,
			wasm.LocalGet, 0, wasm.LocalGet, 1, wasm.I32Const, 2, wasm.I32Shl, wasm.LocalTee, 2, wasm.I32Add, wasm.I32Load, 2, 0, wasm.LocalGet, 2, wasm.I32Add), `
     5 i32.shl %2 %1 0x2
     6 i32.load %3 [%0 + %2<<0 + 0]
     7 i32.add %3 %3 %2
     8 return.value %3`},
		{"constants are stored from the instruction, if they fit", function(i32, "", "",
			wasm.LocalGet, 0, wasm.I64Const, s64(-1), wasm.I64Store, 3, 0, wasm.LocalGet, 0, wasm.I64Const, s64(1<<40), wasm.I64Store, 3, 0), `
     4 i64.store [%0 + 0 + 0] -0x1
     5 copy %2 0x10000000000
     6 i64.store [%0 + 0 + 0] %2
     7 return`},
		{"a branch takes its operands along", function(i32, i32, "",
			wasm.Block, wasm.I32, wasm.I32Const, 1, wasm.I32Const, 2, wasm.LocalGet, 0, wasm.BrIf, 0, wasm.Drop, wasm.End), `
     4 br_if.not %0 @7
     5 copy %1 0x2
     6 br @8
     7 copy %1 0x1
     8 return.value %1`},
		{"targets are behind a table's instruction", function(i32, "", "",
			wasm.Block, 0x40, wasm.Loop, 0x40, wasm.LocalGet, 0, wasm.BrTable, vec(u32(0), u32(1)), 2, wasm.End, wasm.End), `
     4 br_table %0 2
       @4 @6 @6
     6 return`},
		{"a jump through a table with a constant goes where the table does", function(i32, "", "",
			wasm.Block, 0x40, wasm.Loop, 0x40, wasm.Block, 0x40, wasm.LocalGet, 0, wasm.BrTable, vec(u32(0), u32(2)), 2, wasm.End,
			wasm.I32Const, 1, wasm.LocalSet, 0, wasm.Br, 0, wasm.End, wasm.End), `
     4 br_table %0 2
       @6 @8 @8
     6 copy %0 0x1
     7 br @8
     8 return`},
		{"but not if others come to the jump", function(i32, "", "",
			wasm.Block, 0x40, wasm.Loop, 0x40, wasm.Block, 0x40, wasm.LocalGet, 0, wasm.BrTable, vec(u32(0), u32(2)), 2, wasm.End,
			wasm.Block, 0x40, wasm.LocalGet, 0, wasm.BrIf, 0, wasm.I32Const, 1, wasm.LocalSet, 0, wasm.End, wasm.Br, 0, wasm.End, wasm.End), `
     4 br_table %0 2
       @6 @9 @9
     6 br_if %0 @8
     7 copy %0 0x1
     8 br @4
     9 return`},
		{"a stack pointer moves in one instruction", function("", "", i32,
			wasm.GlobalGet, 0, wasm.I32Const, 16, wasm.I32Sub, wasm.LocalTee, 0, wasm.GlobalSet, 0, wasm.LocalGet, 0, wasm.I32Const, 16, wasm.I32Add, wasm.GlobalSet, 0), `
     5 global.get %1 0
     6 global.move %0 %1 4294967280 0
     7 global.move %1 %0 16 0
     8 return`},
		{"what takes 32 bits takes them of 64", function(i64+i64, i32, "",
			wasm.LocalGet, 0, wasm.I32WrapI64, wasm.LocalGet, 1, wasm.I32WrapI64, wasm.I32Add, wasm.I64ExtendI32U, wasm.I64Const, 8, wasm.I64Add, wasm.I32WrapI64,
			wasm.I64Load, 3, 0, wasm.I32WrapI64), `
     4 i32.add %2 %0 %1
     5 i64.load %2 [%2 + 8 + 0]
     6 i32.wrap_i64 %2 %2
     7 return.value %2`},
		{"a call has its arguments where the callee has its parameters", function(i32+i64, i64, "",
			wasm.LocalGet, 0, wasm.I64Const, 5, wasm.Call, 0, wasm.Drop, wasm.LocalGet, 0, wasm.LocalGet, 1, wasm.LocalGet, 0, wasm.CallIndirect, 0, 0), `
     4 copy %2 %0
     5 copy %3 0x5
     6 call %2 @4 5
     7 copy.two %2 %0 %3 %1
     8 call_indirect %2 %0 0 0
     9 return.value %2`},
	} {
		im, err := bytecode.Lower(decode(t, c.file), bytecode.Options{})
		if err != nil {
			t.Fatal(err)
		}
		_, got, _ := strings.Cut(bytecode.Disassemble(im), "function 0:\n")
		_, got, _ = strings.Cut(got, "\n") // the frame
		for strings.HasPrefix(strings.TrimSpace(got[7:]), "zero") {
			_, got, _ = strings.Cut(got, "\n")
		}
		if got = "\n" + strings.TrimRight(got, "\n"); got != c.want {
			t.Errorf("%s:%s", c.name, got)
		}
	}
}

// TestRefused has modules that no instance can be made of.
func TestRefused(t *testing.T) {
	imports := func(kind ...any) []byte {
		return wasmtest.File(section(1, vec(funcType(i32, i32), funcType("", i32+i32))), section(2, vec(cat(name("env"), name("thing"), cat(kind...)))))
	}
	host := func(module, name string, _ wasm.FuncType) (int, error) {
		if module != "env" {
			return 0, errors.New("another module")
		}
		return 0, nil
	}
	memory := section(5, vec(cat(0, 1)))
	for _, c := range []struct {
		file []byte
		host func(string, string, wasm.FuncType) (int, error)
		want string
	}{
		{imports(0, 0), nil, "the function env.thing"},
		{imports(0, 0), host, ""},
		{imports(0, 1), host, "env.thing of type [] -> [i32 i32]"},
		{imports(0, 0), func(string, string, wasm.FuncType) (int, error) { return 0, errors.New("no such call") }, "env.thing of type [i32] -> [i32]: no such call"},
		{imports(1, wasm.FuncRef, 0, 1), host, "the table env.thing"},
		{imports(2, 0, 1), host, "the memory env.thing"},
		{imports(3, wasm.I32, 0), host, "the global env.thing"},
		{wasmtest.File(memory, section(11, vec(cat(0, wasm.I32Const, s64(1<<16-1), wasm.End, sized("a"))))), nil, ""},
		{wasmtest.File(memory, section(11, vec(cat(0, wasm.I32Const, s64(1<<16-1), wasm.End, sized("ab"))))), nil, "data segment 0: bytes 65535 to 65537 of a memory of 65536"},
		{wasmtest.File(memory, section(11, vec(cat(0, wasm.I32Const, s64(-1), wasm.End, sized("ab"))))), nil, "data segment 0"},
		{wasmtest.File(section(4, vec(cat(wasm.FuncRef, 0, 2))), section(9, vec(cat(5, wasm.FuncRef, 0), cat(6, 0, wasm.I32Const, 1, wasm.End, wasm.FuncRef, vec(cat(wasm.RefNull, wasm.FuncRef, wasm.End), cat(wasm.RefNull, wasm.FuncRef, wasm.End)))))), nil,
			"element segment 1: elements 1 to 3 of a table of 2"},
		{wasmtest.File(section(4, vec(cat(wasm.FuncRef, 0, u32(1<<30))))), nil, "table 0 has 1073741824 elements"},
	} {
		_, err := bytecode.Lower(decode(t, c.file), bytecode.Options{Host: c.host})
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%v, not %q", err, c.want)
		}
	}
}

// TestOps has every instruction with a name and C, and once in the order of use.
func TestOps(t *testing.T) {
	seen := map[bytecode.Op]bool{}
	for _, op := range bytecode.ByUse() {
		if seen[op] {
			t.Errorf("%v comes twice", op)
		}
		seen[op] = true
		if info := op.Info(); info.Name == "" || info.C == "" {
			t.Errorf("instruction %d: %+v", op, info)
		}
		if info := op.Info(); info.Use == bytecode.Main && (!info.Value || info.Stops) {
			t.Errorf("%v is what programs consist of, and has no value, or stops", op)
		}
	}
	names := map[string]bool{}
	for n := range bytecode.Ops() {
		op := bytecode.Op(n)
		if op != bytecode.Invalid && op != bytecode.Function && !seen[op] {
			t.Errorf("%v is not in the order of use", op)
		}
		if names[op.String()] {
			t.Errorf("%d has a name of another", n)
		}
		names[op.String()] = true
	}
}

// TestPrograms lowers what toolchains made, in time.
func TestPrograms(t *testing.T) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/tetratelabs/wazero").Output()
	dir := strings.TrimSpace(string(out))
	if err != nil || dir == "" {
		t.Skipf("no source of wazero, which has some, in the module cache: %v", err)
	}
	paths, err := filepath.Glob(filepath.Join(dir, "imports", "wasi_snapshot_preview1", "testdata", "*", "*.wasm"))
	if err != nil || len(paths) == 0 {
		t.Skipf("this version of wazero has none: %v", err)
	}
	for _, path := range paths {
		file, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		m, err := wasm.Decode(file)
		if err != nil {
			continue // for a proposal
		}
		start := time.Now()
		im, err := bytecode.Lower(m, bytecode.Options{Host: func(string, string, wasm.FuncType) (int, error) { return 0, nil }})
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		code := 0
		for _, f := range m.Funcs {
			code += len(f.Code)
		}
		t.Logf("%s: %d bytes of code, %d instructions, %v", filepath.Base(path), code, len(im.Code)/bytecode.Words, time.Since(start))
	}
}
