package wasm_test

import "github.com/dialtone-gpu/dialtone/program/wasm"

// This is a small assembler for tests. Numbers are encoded in the shortest way.

func u32(v uint32) []byte {
	var b []byte
	for ; v >= 0x80; v >>= 7 {
		b = append(b, byte(v)|0x80)
	}
	return append(b, byte(v))
}

func s64(v int64) []byte {
	var b []byte
	for ; v < -0x40 || v >= 0x40; v >>= 7 {
		b = append(b, byte(v)|0x80)
	}
	return append(b, byte(v)&0x7f)
}

// cat joins opcodes, numbers (as bytes), text and bytes.
func cat(parts ...any) []byte {
	var b []byte
	for _, p := range parts {
		switch p := p.(type) {
		case wasm.Op:
			if p >= 0x100 {
				b = append(append(b, 0xfc), u32(uint32(p-0x100))...)
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

// sized puts the length before.
func sized(content ...any) []byte {
	b := cat(content...)
	return append(u32(uint32(len(b))), b...)
}

// vec puts the number of elements before.
func vec(elements ...[]byte) []byte {
	b := u32(uint32(len(elements)))
	for _, e := range elements {
		b = append(b, e...)
	}
	return b
}

func section(id int, content ...any) []byte { return cat(id, sized(content...)) }

func name(s string) []byte { return sized(s) }

func file(sections ...[]byte) []byte { return join(sections) }

func funcType(params, results wasm.ValTypes) []byte {
	return cat(0x60, sized(string(params)), sized(string(results)))
}

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
