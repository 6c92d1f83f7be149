package wasm_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/dialtone-gpu/dialtone/program/wasm"
)

const (
	i32 = wasm.ValTypes(wasm.I32)
	i64 = wasm.ValTypes(wasm.I64)
)

// TestDecode decodes a module that has something of everything.
func TestDecode(t *testing.T) {
	module := file(
		section(1, vec(funcType(i32, i64), funcType("", ""))),
		section(2, vec(
			cat(name("env"), name("f"), 0, 1), cat(name("env"), name("t"), 1, wasm.ExternRef, 1, 2, 3),
			cat(name("env"), name("m"), 2, 0, 1), cat(name("env"), name("g"), 3, wasm.I32, 0))),
		section(3, vec(u32(0), u32(1))),
		section(4, vec(cat(wasm.FuncRef, 0, 5))),
		section(6, vec(
			cat(wasm.I64, 1, wasm.I64Const, s64(-2), wasm.End),
			cat(wasm.F32, 0, wasm.F32Const, "\x00\x00\x80\x3f", wasm.End),
			cat(wasm.FuncRef, 0, wasm.RefFunc, 2, wasm.End))),
		section(7, vec(cat(name("run"), 0, 1), cat(name("memory"), 2, 0))),
		section(8, 2),
		section(9, vec(
			cat(2, 1, wasm.GlobalGet, 0, wasm.End, 0, vec(u32(1), u32(2))),
			cat(7, wasm.ExternRef, vec(cat(wasm.RefNull, wasm.ExternRef, wasm.End))),
			cat(1, 0, vec()))),
		section(12, 2),
		section(10, vec(
			sized(vec(cat(u32(300), wasm.I32), cat(0, wasm.F64), cat(1, wasm.I64)), wasm.LocalGet, u32(301), wasm.End),
			body(wasm.Nop))),
		section(11, vec(cat(0, wasm.I32Const, s64(1000), wasm.End, sized("abc")), cat(1, sized()))),
		section(0, name("name"), 0, sized(name("hello")), 1, sized(vec(cat(1, name("main.main")), cat(9, name("nobody")))), 2, sized(0)),
		section(0, name("producers"), vec(cat(name("language"), vec(cat(name("Go"), name("go1.26")))))),
	)
	m, err := wasm.Decode(module)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(module[m.Funcs[1].Offset:]), string(m.Funcs[1].Code)) {
		t.Error("code is not at its offset")
	}
	global0 := wasm.Const{Op: wasm.GlobalGet, Value: 0}
	want := &wasm.Module{
		Name:  "hello",
		Types: []wasm.FuncType{{Params: i32, Results: i64}, {}},
		Imports: []wasm.Import{
			{Module: "env", Name: "f", Kind: wasm.KindFunc}, {Module: "env", Name: "t", Kind: wasm.KindTable},
			{Module: "env", Name: "m", Kind: wasm.KindMemory}, {Module: "env", Name: "g", Kind: wasm.KindGlobal}},
		Funcs: []wasm.Func{
			{Type: 1},
			{Type: 0, Name: "main.main", Locals: []wasm.Locals{{wasm.I32, 300}, {wasm.F64, 300}, {wasm.I64, 301}}, Code: cat(wasm.LocalGet, u32(301), wasm.End)},
			{Type: 1, Code: cat(wasm.Nop, wasm.End)}},
		Tables: []wasm.Table{
			{Type: wasm.ExternRef, Limits: wasm.Limits{Min: 2, Max: 3, HasMax: true}, Imported: true},
			{Type: wasm.FuncRef, Limits: wasm.Limits{Min: 5}}},
		Memories: []wasm.Memory{{Limits: wasm.Limits{Min: 1}, Imported: true}},
		Globals: []wasm.Global{
			{Type: wasm.I32, Imported: true},
			{Type: wasm.I64, Mutable: true, Init: wasm.Const{Op: wasm.I64Const, Value: 1<<64 - 2}},
			{Type: wasm.F32, Init: wasm.Const{Op: wasm.F32Const, Value: 0x3f800000}},
			{Type: wasm.FuncRef, Init: wasm.Const{Op: wasm.RefFunc, Value: 2}}},
		Exports: []wasm.Export{{Name: "run", Kind: wasm.KindFunc, Index: 1}, {Name: "memory", Kind: wasm.KindMemory}},
		Start:   2,
		Elems: []wasm.Elem{
			{Type: wasm.FuncRef, Table: 1, Offset: global0, Init: []wasm.Const{{Op: wasm.RefFunc, Value: 1}, {Op: wasm.RefFunc, Value: 2}}},
			{Mode: wasm.Declarative, Type: wasm.ExternRef, Init: []wasm.Const{{Op: wasm.RefNull}}},
			{Mode: wasm.Passive, Type: wasm.FuncRef}},
		Datas: []wasm.Data{
			{Offset: wasm.Const{Op: wasm.I32Const, Value: 1000}, Init: []byte("abc")},
			{Mode: wasm.Passive}},
		Producers: []wasm.Producer{{Field: "language", Name: "Go", Version: "go1.26"}},
	}
	diff := cmp.Diff(want, m, cmpopts.IgnoreUnexported(wasm.Module{}, wasm.Func{}), cmpopts.IgnoreFields(wasm.Func{}, "Offset"), cmpopts.EquateEmpty())
	if diff != "" {
		t.Error(diff)
	}
	if &m.Datas[0].Init[0] != &module[strings.Index(string(module), "abc")] {
		t.Error("data is a copy")
	}
}

// TestRefusedSections has errors with the place, to the byte, and the reason. What is right and wrong at all, TestSpec knows better.
func TestRefusedSections(t *testing.T) {
	const head = 8
	for _, c := range []struct {
		name     string
		file     []byte
		offset   int
		place    string
		reason   string
		proposal string
	}{
		{"empty", nil, 0, "header", "unexpected end", ""},
		{"text", []byte("(module $with_text)"), 0, "header", "magic header not detected", ""},
		{"component", []byte("\x00asm\x0d\x00\x01\x00"), 4, "header", "unknown binary version 0x1000d: component model is not supported", "component model"},
		{"order", file(section(3, 0), section(1, 0)), head + 3, "type section", "unexpected content after last section", ""},
		{"tags", file(section(13, 0)), head, "section header", "malformed section id 13", "exception handling"},
		{"left over", file(section(1, 0, 0)), head + 3, "type section", "section size mismatch: 1 bytes are left over", ""},
		{"too long", file(cat(1, u32(5), 0)), head + 1, "type section", "length out of bounds: 1 bytes are left of 5", ""},
		{"struct", file(section(1, vec(cat(0x5f, 0, 0)))), head + 3, "type section", "malformed function type: form 0x5f", "garbage collection"},
		{"v128", file(section(1, vec(funcType("\x7b", "")))), head + 5, "type section", "malformed value type 0x7b", "fixed-width SIMD"},
		{"parameters", file(section(1, vec(funcType(wasm.ValTypes(strings.Repeat(string(i32), 1001)), "")))), head + 5, "type section",
			"implementation limit: 1001 parameters, more than 1000", ""},
		{"count", file(section(1, u32(1<<32-1))), head + 2, "type section", "unexpected end: 0 bytes are too few for 4294967295 elements", ""},
		{"shared memory", file(section(5, vec(cat(3, 1, 2)))), head + 3, "memory section", "malformed limits flags 0x03", "threads"},
		{"64-bit memory", file(section(5, vec(cat(4, 1)))), head + 3, "memory section", "malformed limits flags 0x04", "memory64"},
		{"page size", file(section(5, vec(cat(8, 1, 0)))), head + 3, "memory section", "malformed limits flags 0x08", "custom page sizes"},
		{"two memories", file(section(5, vec(cat(0, 1), cat(0, 1)))), head + 7, "memory section", "a second memory", "multiple memories"},
		{"UTF-8", file(section(2, vec(cat(name("\xff"), name(""), 0, 0)))), head + 3, "import section", "malformed UTF-8 encoding", ""},
		{"export twice", file(section(5, vec(cat(0, 1))), section(7, vec(cat(name("m"), 2, 0), cat(name("m"), 2, 0)))), head + 12, "export section",
			`duplicate export name "m"`, ""},
		{"export", file(section(7, vec(cat(name("f"), 0, 0)))), head + 6, "export section", "unknown function 0", ""},
		{"extended constant", file(section(6, vec(cat(wasm.I32, 0, wasm.I32Const, 1, wasm.I32Const, 1, wasm.I32Add, wasm.End)))), head + 9, "global section",
			"constant expression required, found i32.add", "extended constant expressions"},
		{"no code", file(section(1, vec(funcType("", ""))), section(3, vec(u32(0)))), head + 10, "module",
			"function and code section have inconsistent lengths: 1 functions lack code", ""},

		{"locals", file(section(1, vec(funcType(i32, ""))), section(3, vec(u32(0))), section(10, vec(sized(vec(cat(u32(49_999), wasm.I32), cat(1, wasm.I64)), wasm.End)))),
			head + 15, "code section", "too many locals: 50001, and the implementation limit is 50000", ""},
		{"named", append(function("", "", wasm.Br, 1), section(0, name("name"), 1, sized(vec(cat(0, name("main\n")))))...), head + 42, `function 0 ("main\n")`,
			"unknown label 1", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			refused(t, c.file, wasm.Error{Offset: c.offset, Place: c.place, Reason: c.reason, Proposal: c.proposal})
		})
	}
}

// TestRefusedInstructions has errors in a function's code; offsets are in that.
func TestRefusedInstructions(t *testing.T) {
	for _, c := range []struct {
		name            string
		params, results wasm.ValTypes
		code            []byte
		offset          int
		reason          string
		proposal        string
	}{
		{"operand", "", i32, cat(wasm.I64Const, 1, wasm.I32Eqz), 2, "type mismatch: i32.eqz takes [i32], found [i64]", ""},
		{"no operand", "", "", cat(wasm.Block, 0x40, wasm.Drop, wasm.End), 2, "type mismatch: drop has too few operands", ""},
		{"result", "", i32, nil, 0, "type mismatch: end takes [i32], found []", ""},
		{"two results", "", i32, cat(wasm.I32Const, 1, wasm.I32Const, 1), 4, "type mismatch: a block leaves 1 operands too many", ""},
		{"behind the end", "", "", cat(wasm.End), 1, "section size mismatch: 1 bytes behind the last end", ""},
		{"no end", "", "", cat(wasm.Block, 0x40), 3, "unexpected end", ""},
		{"else", "", "", cat(wasm.Else), 0, "else without if", ""},
		{"label", "", "", cat(wasm.Br, 1), 0, "unknown label 1", ""},
		{"local", i32, "", cat(wasm.LocalGet, 1), 0, "unknown local 1", ""},
		{"immutable", "", "", cat(wasm.I64Const, 1, wasm.GlobalSet, 1), 2, "global is immutable: 1", ""},
		{"alignment", "", "", cat(wasm.I32Const, 0, wasm.I32Load16S, 2, 0), 2, "alignment must not be larger than natural: 2^2 of 2 bytes", ""},
		{"memory index", "", "", cat(wasm.I32Const, 0, wasm.I32Load, 0x42, 1, 0), 2, "an index of a memory in i32.load", "multiple memories"},
		{"undeclared", "", "", cat(wasm.RefFunc, 0), 0, "undeclared function reference: 0", ""},
		{"data count", "", "", cat(wasm.DataDrop, 0), 0, "data count section required", ""},
		{"constant", "", "", cat(wasm.I32Const, "\xff\xff\xff\xff\x08"), 1, "integer too large", ""},
		{"long constant", "", "", cat(wasm.I32Const, "\xff\xff\xff\xff\xff\x7f"), 1, "integer representation too long", ""},
		{"opcode", "", "", cat(0x27), 0, "illegal opcode 0x27", ""},
		{"sub-opcode", "", "", cat(0xfc, 23), 0, "illegal opcode 0xfc", ""},
		{"try", "", "", cat(6, 0x40), 0, "illegal opcode 0x06", "exception handling"},
		{"return_call", "", "", cat(0x12, 0), 0, "illegal opcode 0x12", "tail calls"},
		{"call_ref", "", "", cat(0x14, 0), 0, "illegal opcode 0x14", "typed function references"},
		{"ref.eq", "", "", cat(0xd3), 0, "illegal opcode 0xd3", "garbage collection"},
		{"memory.discard", "", "", cat(0xfc, 18, 0), 0, "illegal opcode 0xfc", "memory control"},
		{"i64.add128", "", "", cat(0xfc, 19), 0, "illegal opcode 0xfc", "wide arithmetic"},
		{"v128.load", "", "", cat(0xfd, 0, 0, 0), 0, "illegal opcode 0xfd", "fixed-width SIMD"},
		{"relaxed_swizzle", "", "", cat(0xfd, u32(0x100)), 0, "illegal opcode 0xfd", "relaxed SIMD"},
		{"atomic.notify", "", "", cat(0xfe, 0, 2, 0), 0, "illegal opcode 0xfe", "threads"},
		{"labels", "", "", cat(strings.Repeat("\x02\x40", 1<<16)), 2 * (1<<16 - 1), "implementation limit: 65536 nested blocks", ""},
		{"operands", "", "", cat(strings.Repeat("\x41\x00", 1<<16+1)), 2 << 16, "implementation limit: 65536 operands", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := function(c.params, c.results, c.code)
			start := len(file) - len(c.code) - 1
			refused(t, file, wasm.Error{Offset: start + c.offset, Place: "function 0", Reason: c.reason, Proposal: c.proposal})
		})
	}
}

// refused fails the test unless Decode refuses the file with that error; the reason may be only the beginning of it.
func refused(t *testing.T, file []byte, want wasm.Error) {
	t.Helper()
	_, err := wasm.Decode(file)
	var e *wasm.Error
	if !errors.As(err, &e) {
		t.Fatalf("accepted, or another type of error: %v", err)
	}
	got := *e
	if strings.HasPrefix(got.Reason, want.Reason) {
		got.Reason = want.Reason
	}
	if got != want {
		t.Errorf("%+v\nwant %+v", *e, want)
	}
}
