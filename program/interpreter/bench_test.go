package interpreter_test

import (
	"math"
	"testing"

	"github.com/dialtone-gpu/dialtone/hostcall/plan"
	"github.com/dialtone-gpu/dialtone/internal/devicetest"
	"github.com/dialtone-gpu/dialtone/program/interpreter"
	"github.com/dialtone-gpu/dialtone/program/wasm"
	"github.com/dialtone-gpu/dialtone/program/wasm/wasmtest"
)

// computing has functions as compilers write them, all of type i32 -> i32: the Fibonacci numbers by recursion, a sieve of bytes, and the
// Mandelbrot set in f64, one line of it.
func computing() []byte {
	get := func(i int) []byte { return cat(wasm.LocalGet, i) }
	set := func(i int) []byte { return cat(wasm.LocalSet, i) }
	tee := func(i int) []byte { return cat(wasm.LocalTee, i) }
	number := func(v int64) []byte { return cat(wasm.I32Const, s64(v)) }
	float := func(v float64) []byte {
		b := cat(wasm.F64Const)
		for i := range 8 {
			b = append(b, byte(math.Float64bits(v)>>(8*i)))
		}
		return b
	}
	const size = 1 << 15
	fib := sized(0,
		get(0), number(2), wasm.I32LtS, wasm.If, 0x40, get(0), wasm.Return, wasm.End,
		get(0), number(1), wasm.I32Sub, wasm.Call, 0, get(0), number(2), wasm.I32Sub, wasm.Call, 0, wasm.I32Add, wasm.End)
	sieve := sized(vec(cat(3, wasm.I32)), // 1: candidate, 2: multiple, 3: count
		wasm.Loop, 0x40,
		number(0), number(0), number(size), wasm.MemoryFill, 0, number(0), set(3), number(2), set(1),
		wasm.Loop, 0x40,
		wasm.Block, 0x40,
		get(1), wasm.I32Load8U, 0, 0, wasm.BrIf, 0,
		get(3), number(1), wasm.I32Add, set(3), get(1), number(1), wasm.I32Shl, tee(2), number(size), wasm.I32GeU, wasm.BrIf, 0,
		wasm.Loop, 0x40,
		get(2), number(1), wasm.I32Store8, 0, 0, get(2), get(1), wasm.I32Add, tee(2), number(size), wasm.I32LtU, wasm.BrIf, 0,
		wasm.End,
		wasm.End,
		get(1), number(1), wasm.I32Add, tee(1), number(size), wasm.I32LtU, wasm.BrIf, 0,
		wasm.End,
		get(0), number(1), wasm.I32Sub, tee(0), wasm.BrIf, 0,
		wasm.End, get(3), wasm.End)
	mandelbrot := sized(vec(cat(2, wasm.I32), cat(5, wasm.F64)), // 1: turns, 2: all turns, 3: x, 4: real, 5: imaginary, 6 and 7: their squares
		wasm.Loop, 0x40,
		get(0), wasm.F64ConvertI32S, float(0.001), wasm.F64Mul, float(2), wasm.F64Sub, set(3),
		number(100), set(1), float(0), set(4), float(0), set(5),
		wasm.Block, 0x40,
		wasm.Loop, 0x40,
		get(4), get(4), wasm.F64Mul, tee(6), get(5), get(5), wasm.F64Mul, tee(7), wasm.F64Add, float(4), wasm.F64Lt, wasm.I32Eqz, wasm.BrIf, 1,
		get(4), get(4), wasm.F64Add, get(5), wasm.F64Mul, float(0.1), wasm.F64Add, set(5),
		get(6), get(7), wasm.F64Sub, get(3), wasm.F64Add, set(4),
		get(2), number(1), wasm.I32Add, set(2),
		get(1), number(1), wasm.I32Sub, tee(1), wasm.BrIf, 0,
		wasm.End,
		wasm.End,
		get(0), number(1), wasm.I32Sub, tee(0), wasm.BrIf, 0,
		wasm.End, get(2), wasm.End)
	return wasmtest.File(section(1, vec(funcType(i32, i32))), section(3, vec(u32(0), u32(0), u32(0))), section(5, vec(cat(0, 1))),
		section(7, vec(cat(name("fib"), 0, 0), cat(name("sieve"), 0, 1), cat(name("mandelbrot"), 0, 2))),
		section(10, vec(fib, sieve, mandelbrot)))
}

// computations are calls of them, with as much to do as a benchmark has.
func computations(much uint64) []call {
	return []call{{"fib", []uint64{12 + 10*much}}, {"sieve", []uint64{1 + 3*much}}, {"mandelbrot", []uint64{50 + 1950*much}}}
}

// TestComputing has the benchmark's functions, whose code comparisons and addresses are fused in.
func TestComputing(t *testing.T) {
	file := computing()
	calls := computations(0)
	want := expected(t, file, calls)
	image := lowered(t, file)
	forEach(t, func(t *testing.T, dev target) {
		p := program(t, dev, interpreter.Parts{})
		for i, e := range p.got(t, image, calls, 1) {
			want[i].memory = e.memory // it is not exported
			if d := e.differs(want[i], wasm.FuncType{Results: i32}); d != "" {
				t.Errorf("%s: %s", calls[i].function, d)
			}
		}
	})
}

// BenchmarkInterpreter is the time of an instruction, of one instance alone.
func BenchmarkInterpreter(b *testing.B) {
	image := lowered(b, computing())
	m := specModule{image: image}
	for _, d := range devicetest.All(b) {
		dev := target{d, plan.Mailbox}
		b.Run(d.Info().URI, func(b *testing.B) {
			if d.Info().Backend == "metal" {
				dev.transport = plan.Stopping
			}
			counting := program(b, dev, interpreter.Parts{CountSteps: true})
			p := program(b, dev, interpreter.Parts{})
			for _, c := range computations(1) {
				index, ft := m.export(c.function)
				steps := counting.instances(b, image, interpreter.Options{Fuel: 1 << 30})
				s, _ := counting.invoke(b, steps, 0, index, ft, c.args...)
				steps.Close()
				b.Run(c.function, func(b *testing.B) {
					in := p.instances(b, image, interpreter.Options{Fuel: 1 << 30})
					defer in.Close()
					for b.Loop() {
						if s, _ := p.invoke(b, in, 0, index, ft, c.args...); !s.Ended {
							b.Fatal(s.Trap)
						}
					}
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(s.Steps), "ns/instruction")
					b.ReportMetric(float64(s.Steps), "instructions")
				})
			}
		})
	}
}
