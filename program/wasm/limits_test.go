package wasm_test

import (
	"bytes"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/dialtone-gpu/dialtone/program/wasm"
)

// TestProportion decodes files of about 1 MB that ask for as much as their bytes can. What is allocated counts slices that have grown and been left.
func TestProportion(t *testing.T) {
	const size = 1 << 20
	times := func(unit []byte) []byte { return bytes.Repeat(unit, size/len(unit)) }
	many := func(element []byte) []byte { // a vector
		n := size / len(element)
		return append(u32(uint32(n)), bytes.Repeat(element, n)...)
	}
	thousand := wasm.ValTypes(strings.Repeat(string(i32), 1000))
	types := section(1, vec(funcType("", ""), funcType(thousand, ""), funcType("", thousand)))
	code := func(code ...any) []byte {
		return file(types, section(3, vec(u32(0), u32(1), u32(2))), section(10, vec(body(code...), body(), body(wasm.Unreachable))))
	}
	for name, file := range map[string][]byte{
		"types":           file(section(1, many(funcType("", "")))),
		"imports":         file(types, section(2, many(cat(0, 0, 0, 0)))),
		"functions":       file(types, section(3, u32(size/4), make([]byte, size/4)), section(10, u32(size/4), bytes.Repeat(body(), size/4))),
		"globals":         file(section(6, many(cat(wasm.FuncRef, 0, wasm.RefNull, wasm.FuncRef, wasm.End)))),
		"elems":           file(section(9, many(cat(1, 0, 0)))),
		"references":      file(section(9, vec(cat(5, wasm.FuncRef, many(cat(wasm.RefNull, wasm.FuncRef, wasm.End)))))),
		"data":            file(section(11, many(cat(1, 0)))),
		"custom sections": file(times(section(0, name("name"), 1, sized(vec(cat(0, name(""))))))),
		"producers":       file(section(0, name("producers"), vec(cat(name("sdk"), many(cat(0, 0)))))),
		"locals": file(section(1, vec(funcType("", ""))), section(3, vec(u32(0))),
			section(10, vec(sized(u32(40_000), bytes.Repeat(cat(1, wasm.I32), 40_000), times(cat(wasm.LocalGet, u32(39_999), wasm.Drop)), wasm.End)))),
		"unreachable calls":  code(wasm.Unreachable, times(cat(wasm.Call, 1))),
		"calls with results": code(times(cat(wasm.Call, 2, wasm.Call, 1))),
		"blocks":             code(times(cat(wasm.Block, 2, wasm.Unreachable, wasm.End, wasm.Return, wasm.Nop))),
		"labels":             code(wasm.Block, 2, wasm.Unreachable, wasm.BrTable, many(cat(0)), 0, wasm.End, wasm.Call, 1),
		"typed labels":       code(wasm.Block, 2, wasm.Call, 2, wasm.I32Const, 0, wasm.BrTable, many(cat(0)), 0, wasm.End, wasm.Call, 1),
		"nesting":            code(times(cat(wasm.Block, 0x40))),
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := time.Now()
			_, err := wasm.Decode(file)
			took := time.Since(start)
			runtime.ReadMemStats(&after)
			allocated := after.TotalAlloc - before.TotalAlloc
			t.Logf("%d bytes: allocated %d times that, %v: %v", len(file), allocated/uint64(len(file)), took, err)
			if allocated > 150*uint64(len(file)) {
				t.Errorf("allocated %d bytes for a file of %d", allocated, len(file))
			}
			if took > 5*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}
