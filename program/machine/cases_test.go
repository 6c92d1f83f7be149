package machine_test

import (
	"math"
	"math/rand/v2"
	"slices"

	"github.com/dialtone-gpu/dialtone/program/machine"
	"github.com/dialtone-gpu/dialtone/program/machine/machinetest"
	"github.com/dialtone-gpu/dialtone/program/wasm"
)

// A trial is an operation with operands, and what comes of it.
type trial struct {
	op     wasm.Op
	args   [3]uint64 // of loads and stores the address, the value and the offset
	memory uint32    // the bytes of its memory, 0 if it needs none
	want   outcome
}

type outcome struct {
	value  uint64
	trap   machine.Trap
	memory string
}

// Values at which something changes.
var (
	edges32 = []uint64{0, 1, 2, 3, 5, 7, 8, 31, 32, 33, 63, 64, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x10000, 0x55555555, 0x7ffffffe,
		0x7fffffff, 0x80000000, 0x80000001, 0xaaaaaaaa, 0xffff8000, 0xffffff80, 0xfffffffe, 0xffffffff}
	edges64 = append(slices.Clone(edges32), 0x100000000, 0x100000001, 0x1fffffffff, 0x5555555555555555, 0x7ffffffffffffffe, 0x7fffffffffffffff,
		0x8000000000000000, 0x8000000000000001, 0xaaaaaaaaaaaaaaaa, 0xffffffff00000000, 0xffffffff7fffffff, 0xffffffff80000000, 0xffffffffffff8000,
		0xffffffffffffff80, 0xfffffffffffffffe, 0xffffffffffffffff)
	edgesF64 = both(func(v float64) uint64 { return math.Float64bits(v) }, 1<<63,
		0, 0.25, math.Nextafter(0.5, 0), 0.5, math.Nextafter(0.5, 1), math.Nextafter(1, 0), 1, math.Nextafter(1, 2), 1.5, 2, 2.5, 3, 3.5, 4, 1e10, 1<<31-1, 1<<31-0.5,
		1<<31, 1<<31+0.5, 1<<31+1, 1<<32-1, 1<<32-0.5, 1<<32, 1<<51+0.5, 1<<52-0.5, 1<<52+1, 1<<53-1, 1<<53, 1<<63-1024, 1<<63, 1<<64-2048, 1<<64, 1e300, math.MaxFloat64,
		math.SmallestNonzeroFloat64, 0x1p-1022, math.Nextafter(0x1p-1022, 0), math.Nextafter(0x1p-1022, 1), 0x1p-1000, 0x1p-538, 0x1p-537, math.Pi, 1.0/3,
		// As a float of 32 bits: its limits, and what lies halfway.
		math.MaxFloat32, 0x1.fffffefffffffp127, 0x1.ffffffp127, 0x1p-126, 0x1p-127, 0x1p-149, 0x1p-150, math.Nextafter(0x1p-150, 1), 0x1.000001p0, 0x1.000003p0,
		0x1.0000010000001p0, 0x1.000002p-127, 0x1.8p-149, math.Inf(1), math.NaN(), math.Float64frombits(0x7ff0000000000001), math.Float64frombits(0x7ff8000012345678))
	edgesF32 = both(func(v float32) uint64 { return uint64(math.Float32bits(v)) }, 1<<31,
		0, 0.25, 0x1.fffffep-2, 0.5, 0x1.000002p-1, 0x1.fffffep-1, 1, 0x1.000002p0, 1.5, 2, 2.5, 3, 3.5, 4, 1e10, 1<<22+0.5, 1<<23-0.5, 1<<23+1, 1<<24-1, 1<<24, 0x1.fffffep30, 1<<31,
		0x1.000002p31, 0x1.fffffep31, 1<<32, 0x1.fffffep62, 1<<63, 0x1.fffffep63, 1<<64, math.MaxFloat32, math.SmallestNonzeroFloat32, 0x1p-126, 0x1.fffffcp-127,
		0x1.000002p-126, 0x1p-100, 0x1p-75, 0x1p-74, math.Pi, 1.0/3, float32(math.Inf(1)), float32(math.NaN()), math.Float32frombits(0x7f800001), math.Float32frombits(0x7fc12345))
)

// both gives the bits of the floats and of their negatives.
func both[F float32 | float64](bits func(F) uint64, sign uint64, values ...F) (all []uint64) {
	for _, v := range values {
		all = append(all, bits(v), bits(v)^sign)
	}
	return all
}

func edges(t wasm.ValType) []uint64 {
	return map[wasm.ValType][]uint64{wasm.I32: edges32, wasm.I64: edges64, wasm.F32: edgesF32, wasm.F64: edgesF64}[t]
}

// random gives operands of that type: any bits, those of few digits, those near an edge, and those near the one given.
func random(r *rand.Rand, t wasm.ValType, near uint64) uint64 {
	v := r.Uint64()
	switch r.IntN(4) {
	case 0:
		v = edges(t)[r.IntN(len(edges(t)))] + uint64(r.IntN(5)) - 2
	case 1:
		v = near + uint64(r.IntN(9)) - 4
	case 2:
		digits, exponent := uint(52), uint(11)
		if t == wasm.F32 {
			digits, exponent = 23, 8
		}
		switch t {
		case wasm.F32, wasm.F64: // near 1, with a short fraction or a full one
			bias := uint64(1)<<(exponent-1) - 1
			v = v&1<<(digits+exponent) | (bias+uint64(r.IntN(140))-70)<<digits | v>>(64-digits)>>r.IntN(int(digits))<<r.IntN(int(digits))&(1<<digits-1)
		default:
			v >>= r.IntN(64)
		}
	}
	if t == wasm.I32 || t == wasm.F32 {
		v &= 0xffffffff
	}
	return v
}

// segment is the data of memory.init, and what lies around it.
var segment = func() []byte {
	b := make([]byte, 104)
	for i := range b {
		b[i] = byte(i*37 + 11)
	}
	return b
}()

// memorySize is that of the largest memory of a trial.
const memorySize = machinetest.Room / 2

// trials gives operands for every operation, always the same ones.
func trials() []trial {
	const randoms = 600
	r := rand.New(rand.NewPCG(1, 2))
	var all []trial
	numeric := func(o machine.Operation) {
		types := o.In
		first := edges(wasm.ValType(types[0]))
		switch len(types) {
		case 1:
			for _, a := range first {
				all = append(all, trial{op: o.Op, args: [3]uint64{a}})
			}
		case 2:
			for _, a := range first {
				for _, b := range edges(wasm.ValType(types[1])) {
					all = append(all, trial{op: o.Op, args: [3]uint64{a, b}})
				}
			}
		}
		for range randoms {
			var args [3]uint64
			for i := range len(types) {
				args[i] = random(r, wasm.ValType(types[i]), args[max(i-1, 0)])
			}
			if o.Op >= machinetest.F64MulAdd { // near what takes the product away: the rest shows how that was rounded
				a, b, up := args[0], args[1], uint64(r.IntN(3))-1
				switch o.Op {
				case machinetest.F64MulAdd:
					args[2] = math.Float64bits(-math.Float64frombits(a)*math.Float64frombits(b)) + up
				case machinetest.F64MulSub:
					args[2] = math.Float64bits(math.Float64frombits(a)*math.Float64frombits(b)) + up
				case machinetest.F32MulAdd:
					args[2] = uint64(math.Float32bits(-math.Float32frombits(uint32(a))*math.Float32frombits(uint32(b))) + uint32(up))
				case machinetest.F32MulSub:
					args[2] = uint64(math.Float32bits(math.Float32frombits(uint32(a))*math.Float32frombits(uint32(b))) + uint32(up))
				}
			}
			all = append(all, trial{op: o.Op, args: args})
		}
	}
	for _, o := range machine.Operations() {
		info := o.Op.Info()
		switch {
		case o.Op == wasm.MemoryCopy || o.Op == wasm.MemoryFill:
		case info.Width == 0:
			numeric(o)
		default:
			const size = 24
			for at := range uint64(size + 2) {
				for _, offset := range offsets {
					value := random(r, wasm.ValType((o.In + wasm.ValTypes(o.Out))[1]), 0)
					all = append(all, trial{op: o.Op, args: [3]uint64{at, value, uint64(offset)}, memory: size})
				}
			}
			for _, at := range []uint64{0x7fffffff, 0xfffffff8, 0xfffffffd, 0xffffffff} {
				for _, offset := range offsets {
					all = append(all, trial{op: o.Op, args: [3]uint64{at, edges64[r.IntN(len(edges64))], uint64(offset)}, memory: size})
				}
			}
		}
	}
	for _, o := range machinetest.Others {
		if o.Op != wasm.MemoryInit {
			numeric(o)
		}
	}
	for _, op := range []wasm.Op{wasm.MemoryCopy, wasm.MemoryFill, wasm.MemoryInit} {
		for i := range 1200 {
			n := uint64(r.IntN(20))
			if i%3 == 0 {
				n = uint64(r.IntN(memorySize + 4))
			}
			args := [3]uint64{uint64(r.IntN(memorySize)), uint64(r.IntN(memorySize)), n}
			switch {
			case i%50 == 0:
				args[r.IntN(3)] = edges32[r.IntN(len(edges32))]
			case i%4 != 0: // most in bounds
				args[0] = args[0] % (memorySize - min(n, memorySize-1))
				if op == wasm.MemoryInit {
					args[1] %= machinetest.SegmentSize - min(n, machinetest.SegmentSize-1)
				} else {
					args[1] %= memorySize - min(n, memorySize-1)
				}
			}
			all = append(all, trial{op: op, args: args, memory: memorySize})
		}
	}
	return all
}

// offsets are those of loads and stores.
var offsets = []uint32{0, 3, 8, 0xfffffff8, 0xffffffff}

// content is what is in the memory of a trial at first.
func content(n uint32) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*73 + 129)
	}
	return b
}
