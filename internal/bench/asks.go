package bench

import (
	"encoding/binary"

	"github.com/dialtone-gpu/dialtone/program/wasm"
)

// asking is a module whose program asks for the time so many times, and traps if it does not get it.
func asking(rounds uint32) []byte {
	const wasi, call = "wasi_snapshot_preview1", "clock_time_get"
	const i32, i64, void = byte(wasm.I32), byte(wasm.I64), 0x40
	code := []byte{1, 1, i32} // local 0 counts
	code = append(code, byte(wasm.Loop), void)
	code = append(code, byte(wasm.I32Const), 0, byte(wasm.I64Const), 0, byte(wasm.I32Const), 8, byte(wasm.Call), 0) // realtime, no precision, to address 8
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
	section(1, []byte{2, 0x60, 3, i32, i64, i32, 1, i32, 0x60, 0, 0})                 // types: of the call, of the program
	section(2, []byte{1}, text(wasi), text(call), []byte{0, 0})                       // imports function 0
	section(3, []byte{1, 1})                                                          // function 1
	section(5, []byte{1, 0, 1})                                                       // a page of memory
	section(7, []byte{2}, text("_start"), []byte{0, 1}, text("memory"), []byte{2, 0}) // exports
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
