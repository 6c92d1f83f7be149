// Package wasmtest makes modules for tests: a small assembler of the binary format, in which numbers are encoded in the shortest way.
package wasmtest

import "github.com/dialtone-gpu/dialtone/program/wasm"

// U32 encodes an unsigned number.
func U32(v uint32) []byte {
	var b []byte
	for ; v >= 0x80; v >>= 7 {
		b = append(b, byte(v)|0x80)
	}
	return append(b, byte(v))
}

// S64 encodes a signed number.
func S64(v int64) []byte {
	var b []byte
	for ; v < -0x40 || v >= 0x40; v >>= 7 {
		b = append(b, byte(v)|0x80)
	}
	return append(b, byte(v)&0x7f)
}

// Cat joins opcodes, types, numbers (as bytes), text and bytes.
func Cat(parts ...any) []byte {
	var b []byte
	for _, p := range parts {
		switch p := p.(type) {
		case wasm.Op:
			if p >= 0x100 {
				b = append(append(b, 0xfc), U32(uint32(p-0x100))...)
			} else {
				b = append(b, byte(p))
			}
		case int:
			b = append(b, byte(p))
		case wasm.ValType:
			b = append(b, byte(p))
		case string:
			b = append(b, p...)
		case []byte:
			b = append(b, p...)
		default:
			panic(p)
		}
	}
	return b
}

// Sized joins parts and puts the length before.
func Sized(content ...any) []byte {
	b := Cat(content...)
	return append(U32(uint32(len(b))), b...)
}

// Vec puts the number of elements before them.
func Vec(elements ...[]byte) []byte {
	b := U32(uint32(len(elements)))
	for _, e := range elements {
		b = append(b, e...)
	}
	return b
}

// Section is a section of the module.
func Section(id int, content ...any) []byte { return Cat(id, Sized(content...)) }

// Name is text with its length.
func Name(s string) []byte { return Sized(s) }

// File is a module of those sections.
func File(sections ...[]byte) []byte {
	b := []byte("\x00asm\x01\x00\x00\x00")
	for _, s := range sections {
		b = append(b, s...)
	}
	return b
}

// FuncType is a type of functions.
func FuncType(params, results wasm.ValTypes) []byte {
	return Cat(0x60, Sized(string(params)), Sized(string(results)))
}
