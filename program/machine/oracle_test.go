package machine_test

import (
	"context"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/tetratelabs/wazero"

	"github.com/dialtone-gpu/dialtone/program/machine"
	"github.com/dialtone-gpu/dialtone/program/machine/machinetest"
	"github.com/dialtone-gpu/dialtone/program/wasm"
)

// A small assembler.

func leb(v uint64) (b []byte) {
	for ; v >= 0x80; v >>= 7 {
		b = append(b, byte(v)|0x80)
	}
	return append(b, byte(v))
}

func sized(b []byte) []byte { return append(leb(uint64(len(b))), b...) }

func section(id byte, elements ...[]byte) []byte {
	return append([]byte{id}, sized(append(leb(uint64(len(elements))), slices.Concat(elements...)...))...)
}

func opcode(op wasm.Op) []byte {
	if op >= 0x100 {
		return append([]byte{0xfc}, leb(uint64(op-0x100))...)
	}
	return []byte{byte(op)}
}

// page is the size of wazero's memory: that of a trial is its end.
const page = 65536

// signature is the type of a function that does an operation.
func signature(op wasm.Op) (in, out wasm.ValTypes) {
	for _, o := range machinetest.Others {
		if o.Op == op && o.Out != 0 {
			return o.In, wasm.ValTypes([]byte{byte(o.Out)})
		}
	}
	return op.Info().In, op.Info().Out
}

// module has a function for every operation, and of loads and stores for every offset; names gives their places.
func module(ops []wasm.Op) (file []byte, place map[wasm.Op]int) {
	place = map[wasm.Op]int{}
	var types, functions, exports, bodies [][]byte
	add := func(op wasm.Op, code ...[]byte) {
		in, out := signature(op)
		n := len(functions)
		types = append(types, slices.Concat([]byte{0x60}, sized([]byte(in)), sized([]byte(out))))
		functions = append(functions, leb(uint64(n)))
		exports = append(exports, slices.Concat(sized([]byte(name(n))), []byte{0}, leb(uint64(n))))
		body := []byte{0}
		bodies = append(bodies, sized(append(append(body, slices.Concat(code...)...), byte(wasm.End))))
	}
	get := func(n int) []byte { return []byte{byte(wasm.LocalGet), byte(n)} }
	for _, op := range ops {
		place[op] = len(functions)
		in, _ := signature(op)
		var args []byte
		for i := range len(in) {
			args = append(args, get(i)...)
		}
		switch op {
		case machinetest.F64MulAdd:
			add(op, get(0), get(1), opcode(wasm.F64Mul), get(2), opcode(wasm.F64Add))
		case machinetest.F32MulAdd:
			add(op, get(0), get(1), opcode(wasm.F32Mul), get(2), opcode(wasm.F32Add))
		case machinetest.F64MulSub:
			add(op, get(2), get(0), get(1), opcode(wasm.F64Mul), opcode(wasm.F64Sub))
		case machinetest.F32MulSub:
			add(op, get(2), get(0), get(1), opcode(wasm.F32Mul), opcode(wasm.F32Sub))
		case wasm.MemoryCopy:
			add(op, args, opcode(op), []byte{0, 0})
		case wasm.MemoryFill, wasm.MemoryInit:
			add(op, args, opcode(op), make([]byte, map[wasm.Op]int{wasm.MemoryFill: 1, wasm.MemoryInit: 2}[op]))
		default:
			if op.Info().Width == 0 {
				add(op, args, opcode(op))
				continue
			}
			for _, offset := range offsets {
				add(op, args, opcode(op), []byte{0}, leb(uint64(offset)))
			}
		}
	}
	exports = append(exports, append(sized([]byte("memory")), 2, 0))
	return slices.Concat([]byte("\x00asm\x01\x00\x00\x00"), section(1, types...), section(3, functions...), section(5, []byte{1, 1, 1}), section(7, exports...),
		[]byte{12, 1, 1}, section(10, bodies...), section(11, append([]byte{1}, sized(segment[machinetest.SegmentAt:machinetest.SegmentAt+machinetest.SegmentSize])...))), place
}

func name(n int) string {
	return string(rune('A'+n/26%26)) + string(rune('a'+n%26)) + string(rune('0'+n/676))
}

// expected gives all trials with what wazero makes of them.
var expected = sync.OnceValues(func() ([]trial, error) {
	all := trials()
	var ops []wasm.Op
	for _, c := range all {
		if ops == nil || ops[len(ops)-1] != c.op {
			ops = append(ops, c.op)
		}
	}
	file, place := module(ops)
	ctx := context.Background()
	runtime := wazero.NewRuntime(ctx)
	defer runtime.Close(ctx)
	m, err := runtime.Instantiate(ctx, file)
	if err != nil {
		return nil, err
	}
	for i := range all {
		c := &all[i]
		n := place[c.op]
		stack := c.args
		var before []byte
		if c.memory > 0 {
			before = content(c.memory)
			start := page - uint64(c.memory)
			m.Memory().Write(uint32(start), before)
			if c.op.Info().Width != 0 {
				n += slices.Index(offsets, uint32(c.args[2]))
			}
			for i := range 2 { // addresses, unless they are out of reach as they are
				if address := i == 0 || c.op == wasm.MemoryCopy; address && stack[i] < page {
					stack[i] += start
				}
			}
		}
		switch err := m.ExportedFunction(name(n)).CallWithStack(ctx, stack[:]); {
		case err != nil:
			for trap := machine.Unreachable; trap <= machine.TableBounds; trap++ {
				if strings.Contains(err.Error(), "wasm error: "+trap.String()) {
					c.want.trap = trap
				}
			}
			if c.want.trap == machine.None {
				return nil, err
			}
		default:
			if _, out := signature(c.op); out != "" {
				c.want.value = stack[0]
				if t := wasm.ValType(out[0]); t == wasm.I32 || t == wasm.F32 {
					c.want.value &= 0xffffffff // of the word, wazero sets the low half
				}
			}
		}
		if c.memory > 0 {
			after, _ := m.Memory().Read(page-c.memory, c.memory)
			c.want.memory = string(after)
		}
	}
	return all, nil
})

// isNaN reports that a value of that type is NaN.
func isNaN(t wasm.ValType, v uint64) bool {
	switch t {
	case wasm.F32:
		return math.IsNaN(float64(math.Float32frombits(uint32(v))))
	case wasm.F64:
		return math.IsNaN(math.Float64frombits(v))
	}
	return false
}

// exact are the operations on floats that give the bits they are given.
var exact = map[wasm.Op]bool{wasm.F32Abs: true, wasm.F32Neg: true, wasm.F32Copysign: true, wasm.F64Abs: true, wasm.F64Neg: true, wasm.F64Copysign: true,
	wasm.F32Load: true, wasm.F64Load: true, wasm.F32ReinterpretI32: true, wasm.F64ReinterpretI64: true}

// same reports that a value is as good as the one wanted: of NaN an operation chooses sign and payload, but it is a quiet one.
func same(op wasm.Op, got, want uint64) bool {
	_, out := signature(op)
	if out == "" || exact[op] || !isNaN(wasm.ValType(out[0]), want) {
		return got == want
	}
	if wasm.ValType(out[0]) == wasm.F32 {
		return got&^(1<<31|0x3fffff) == 0x7fc00000
	}
	return got&^(1<<63|0x7ffffffffffff) == 0x7ff8000000000000
}

// TestOracles has Go's own arithmetic agree with wazero's.
func TestOracles(t *testing.T) {
	all, err := expected()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[wasm.Op]int{}
	for _, c := range all {
		f, ok := inGo[c.op]
		if !ok || c.want.trap != machine.None {
			continue
		}
		seen[c.op]++
		if got := f(c.args[0], c.args[1], c.args[2]); !same(c.op, got, c.want.value) {
			t.Errorf("%v %#x: %#x in Go, %#x of wazero", c.op, c.args, got, c.want.value)
		}
	}
	for op := range inGo {
		if seen[op] == 0 {
			t.Errorf("%v was not tried", op)
		}
	}
}

// inGo are operations as Go does them.
var inGo = func() map[wasm.Op]func(a, b, c uint64) uint64 {
	d, bits := math.Float64frombits, math.Float64bits
	f := func(a uint64) float32 { return math.Float32frombits(uint32(a)) }
	bits32 := func(v float32) uint64 { return uint64(math.Float32bits(v)) }
	truth := func(b bool) uint64 {
		if b {
			return 1
		}
		return 0
	}
	return map[wasm.Op]func(a, b, c uint64) uint64{
		wasm.F64Add: func(a, b, _ uint64) uint64 { return bits(d(a) + d(b)) },
		wasm.F64Sub: func(a, b, _ uint64) uint64 { return bits(d(a) - d(b)) },
		wasm.F64Mul: func(a, b, _ uint64) uint64 { return bits(d(a) * d(b)) },
		wasm.F64Div: func(a, b, _ uint64) uint64 { return bits(d(a) / d(b)) },
		wasm.F64Lt:  func(a, b, _ uint64) uint64 { return truth(d(a) < d(b)) },
		wasm.F64Ge:  func(a, b, _ uint64) uint64 { return truth(d(a) >= d(b)) },
		wasm.F64Eq:  func(a, b, _ uint64) uint64 { return truth(d(a) == d(b)) },
		wasm.F64Min: func(a, b, _ uint64) uint64 { return bits(minimum(d(a), d(b))) },
		wasm.F64Max: func(a, b, _ uint64) uint64 { return bits(-minimum(-d(a), -d(b))) },

		wasm.F64Sqrt:    func(a, _, _ uint64) uint64 { return bits(math.Sqrt(d(a))) },
		wasm.F64Ceil:    func(a, _, _ uint64) uint64 { return quiet(bits(math.Ceil(d(a)))) },
		wasm.F64Floor:   func(a, _, _ uint64) uint64 { return quiet(bits(math.Floor(d(a)))) },
		wasm.F64Trunc:   func(a, _, _ uint64) uint64 { return quiet(bits(math.Trunc(d(a)))) },
		wasm.F64Nearest: func(a, _, _ uint64) uint64 { return quiet(bits(math.RoundToEven(d(a)))) },

		wasm.F32Add: func(a, b, _ uint64) uint64 { return bits32(f(a) + f(b)) },
		wasm.F32Sub: func(a, b, _ uint64) uint64 { return bits32(f(a) - f(b)) },
		wasm.F32Mul: func(a, b, _ uint64) uint64 { return bits32(f(a) * f(b)) },
		wasm.F32Div: func(a, b, _ uint64) uint64 { return bits32(f(a) / f(b)) },
		wasm.F32Le:  func(a, b, _ uint64) uint64 { return truth(f(a) <= f(b)) },
		wasm.F32Ne:  func(a, b, _ uint64) uint64 { return truth(f(a) != f(b)) },

		wasm.F32DemoteF64:   func(a, _, _ uint64) uint64 { return bits32(float32(d(a))) },
		wasm.F64PromoteF32:  func(a, _, _ uint64) uint64 { return bits(float64(f(a))) },
		wasm.F32ConvertI32S: func(a, _, _ uint64) uint64 { return bits32(float32(int32(a))) },
		wasm.F32ConvertI64S: func(a, _, _ uint64) uint64 { return bits32(float32(int64(a))) },
		wasm.F64ConvertI32U: func(a, _, _ uint64) uint64 { return bits(float64(uint32(a))) },
		wasm.F64ConvertI64S: func(a, _, _ uint64) uint64 { return bits(float64(int64(a))) },
		wasm.F64ConvertI64U: func(a, _, _ uint64) uint64 { return bits(float64(a)) },

		wasm.I32TruncF64S: func(a, _, _ uint64) uint64 { return uint64(uint32(int32(d(a)))) },
		wasm.I64TruncF32S: func(a, _, _ uint64) uint64 { return uint64(int64(f(a))) },
		wasm.I64TruncF64S: func(a, _, _ uint64) uint64 { return uint64(int64(d(a))) },

		machinetest.F64MulAdd: func(a, b, c uint64) uint64 { return bits(float64(d(a)*d(b)) + d(c)) },
		machinetest.F32MulAdd: func(a, b, c uint64) uint64 { return bits32(float32(f(a)*f(b)) + f(c)) },
		machinetest.F64MulSub: func(a, b, c uint64) uint64 { return bits(d(c) - float64(d(a)*d(b))) },
		machinetest.F32MulSub: func(a, b, c uint64) uint64 { return bits32(f(c) - float32(f(a)*f(b))) },
	}
}()

// quiet is for Go's functions that give a NaN back as it is.
func quiet(v uint64) uint64 {
	if isNaN(wasm.F64, v) {
		v |= 1 << 51
	}
	return v
}

// minimum has NaN win, as in WebAssembly; Go's math.Min prefers infinity.
func minimum(a, b float64) float64 {
	if a != a || b != b {
		return math.NaN()
	}
	return math.Min(a, b)
}
