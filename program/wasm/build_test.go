package wasm_test

import (
	"github.com/dialtone-gpu/dialtone/program/wasm"
	"github.com/dialtone-gpu/dialtone/program/wasm/wasmtest"
)

// The assembler, by shorter names.
var (
	u32      = wasmtest.U32
	s64      = wasmtest.S64
	cat      = wasmtest.Cat
	sized    = wasmtest.Sized
	vec      = wasmtest.Vec
	section  = wasmtest.Section
	name     = wasmtest.Name
	file     = wasmtest.File
	funcType = wasmtest.FuncType
)

// body is a function body without locals; the last end is added.
func body(code ...any) []byte { return sized(0, cat(code...), wasm.End) }

// function is a module with one function of type params -> results, a memory, a table of each type, a mutable global of type i32 and
// an immutable one of type i64.
func function(params, results wasm.ValTypes, code ...any) []byte {
	return file(
		section(1, vec(funcType(params, results))),
		section(3, vec(u32(0))),
		section(4, vec(cat(wasm.FuncRef, 0, 1), cat(wasm.ExternRef, 0, 1))),
		section(5, vec(cat(0, 1))),
		section(6, vec(cat(wasm.I32, 1, wasm.I32Const, 0, wasm.End), cat(wasm.I64, 0, wasm.I64Const, 0, wasm.End))),
		section(10, vec(body(code...))),
	)
}
