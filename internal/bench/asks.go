package bench

import (
	"encoding/binary"

	"github.com/dialtone-gpu/dialtone/program/wasm"
)

// A wanted is a call of WASI with its arguments.
type wanted struct {
	name   string
	params []byte // types
	args   []byte // instructions that push them
}

// The host's time, to address 8, and a write to standard output of the no bytes that a vector at address 16 has.
var (
	wantsTime  = wanted{"clock_time_get", []byte{i32, i64, i32}, []byte{byte(wasm.I32Const), 0, byte(wasm.I64Const), 0, byte(wasm.I32Const), 8}}
	wantsWrite = wanted{"fd_write", []byte{i32, i32, i32, i32},
		[]byte{byte(wasm.I32Const), 1, byte(wasm.I32Const), 16, byte(wasm.I32Const), 1, byte(wasm.I32Const), 8}}
)

const i32, i64 = byte(wasm.I32), byte(wasm.I64)

// asking is a module whose program makes a call so many times, and traps if that fails.
func asking(call wanted, rounds uint32) []byte {
	const wasi, void = "wasi_snapshot_preview1", 0x40
	code := []byte{1, 1, i32} // local 0 counts
	code = append(append(append(code, byte(wasm.Loop), void), call.args...), byte(wasm.Call), 0)
	code = append(code, byte(wasm.If), void, byte(wasm.Unreachable), byte(wasm.End))
	code = append(code, byte(wasm.LocalGet), 0, byte(wasm.I32Const), 1, byte(wasm.I32Add), byte(wasm.LocalTee), 0, byte(wasm.I32Const))
	code = append(code, signed(rounds)...)
	code = append(code, byte(wasm.I32LtU), byte(wasm.BrIf), 0, byte(wasm.End), byte(wasm.End))

	text := func(s string) []byte { return append([]byte{byte(len(s))}, s...) }
	m := []byte("\x00asm\x01\x00\x00\x00")
	section := func(id byte, parts ...[]byte) {
		var body []byte
		for _, p := range parts {
			body = append(body, p...)
		}
		m = append(binary.AppendUvarint(append(m, id), uint64(len(body))), body...)
	}
	section(1, []byte{2, 0x60, byte(len(call.params))}, call.params, []byte{1, i32, 0x60, 0, 0}) // types: of the call, of the program
	section(2, []byte{1}, text(wasi), text(call.name), []byte{0, 0})                             // imports function 0
	section(3, []byte{1, 1})                                                                     // function 1
	section(5, []byte{1, 0, 1})                                                                  // a page of memory
	section(7, []byte{2}, text("_start"), []byte{0, 1}, text("memory"), []byte{2, 0})            // exports
	section(10, []byte{1}, binary.AppendUvarint(nil, uint64(len(code))), code)
	return m
}

// signed is a constant of i32 in LEB128.
func signed(v uint32) []byte {
	var b []byte
	for x := int32(v); ; x >>= 7 {
		if x >= -64 && x < 64 {
			return append(b, byte(x)&0x7f)
		}
		b = append(b, byte(x)|0x80)
	}
}
