package region_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/internal/devicetest"
	"github.com/dialtone-gpu/dialtone/program/machine"
	"github.com/dialtone-gpu/dialtone/program/region"
	"github.com/dialtone-gpu/dialtone/program/wasm"
	"github.com/dialtone-gpu/dialtone/program/wasm/wasmtest"
)

var (
	u32 = wasmtest.U32
	s64 = wasmtest.S64
	cat = wasmtest.Cat
)

const (
	i32 = wasm.ValTypes(wasm.I32)
	i64 = wasm.ValTypes(wasm.I64)
	f32 = wasm.ValTypes(wasm.F32)
	f64 = wasm.ValTypes(wasm.F64)
)

// The functions that are generated take and return these. The first params are the loop's parameters, too.
var genTypes = []struct {
	results wasm.ValTypes
	before  int
}{
	{"", 0}, {i32, 0}, {i64 + i32, 0}, {i32, 2}, {f64 + i32 + f32, 1}, {i64, 4},
}

const (
	genParams  = i32 + i64 + f32 + f64
	genLocals  = genParams + i32 + i64 + i32 // the last one counts turns
	counter    = len(genLocals) - 1
	genGlobals = i32 + i64 + f64
)

// A gen generates a function. Its values that have fractions are never NaN, whose bits may differ.
type gen struct {
	r       *rand.Rand
	code    []byte
	labels  []genLabel // innermost last; the first is the function
	results wasm.ValTypes
	budget  int
	callees []wasm.FuncType
	wild    bool // it may trap more often
	mixed   bool // what surrounds loops may be what regions have not
}

type genLabel struct {
	operands wasm.ValTypes
}

func (g *gen) emit(parts ...any) { g.code = append(g.code, cat(parts...)...) }
func (g *gen) one(in int) bool   { return g.r.IntN(in) == 0 }

func pick[T any](r *rand.Rand, of []T) T { return of[r.IntN(len(of))] }

func (g *gen) constant(t wasm.ValType) {
	v := pick(g.r, []int64{0, 1, -1, 2, 7, 31, 255, 1 << 31, -1 << 63, int64(g.r.Uint64())})
	switch t {
	case wasm.I32:
		g.emit(wasm.I32Const, s64(int64(int32(v))))
	case wasm.I64:
		g.emit(wasm.I64Const, s64(v))
	case wasm.F32:
		g.emit(wasm.I32Const, s64(int64(int32(v))), wasm.F32ConvertI32S)
	case wasm.F64:
		g.emit(wasm.I32Const, s64(int64(int32(v))), wasm.F64ConvertI32U)
	}
}

func (g *gen) constants(types wasm.ValTypes) {
	for _, t := range []byte(types) {
		g.constant(wasm.ValType(t))
	}
}

// local picks a local of a type, which is not the counter.
func (g *gen) local(t wasm.ValType) []byte {
	for {
		if i := g.r.IntN(counter); genLocals[i] == byte(t) {
			return u32(uint32(i))
		}
	}
}

// address pushes an address, which is seldom out of bounds.
func (g *gen) address() {
	g.value(wasm.I32)
	if !g.one(40) {
		g.emit(wasm.I32Const, s64(int64(pick(g.r, []int{0x3f, 0x7ff, 0xffff, 0xff8}))), wasm.I32And)
	}
}

func (g *gen) memarg(width int) []byte {
	align := 0
	for 1<<align < width {
		align++
	}
	return cat(g.r.IntN(align+1), u32(uint32(pick(g.r, []int{0, 1, 4, 8, 100}))))
}

var (
	binary32 = []wasm.Op{wasm.I32Add, wasm.I32Sub, wasm.I32Mul, wasm.I32And, wasm.I32Or, wasm.I32Xor, wasm.I32Shl, wasm.I32ShrS, wasm.I32ShrU, wasm.I32Rotl, wasm.I32Rotr,
		wasm.I32Eq, wasm.I32Ne, wasm.I32LtS, wasm.I32LtU, wasm.I32GtS, wasm.I32LeU, wasm.I32GeS}
	binary64   = []wasm.Op{wasm.I64Add, wasm.I64Sub, wasm.I64Mul, wasm.I64And, wasm.I64Or, wasm.I64Xor, wasm.I64Shl, wasm.I64ShrS, wasm.I64ShrU, wasm.I64Rotl}
	division32 = []wasm.Op{wasm.I32DivS, wasm.I32DivU, wasm.I32RemS, wasm.I32RemU}
	division64 = []wasm.Op{wasm.I64DivS, wasm.I64DivU, wasm.I64RemS, wasm.I64RemU}
	unary32    = []wasm.Op{wasm.I32Eqz, wasm.I32Clz, wasm.I32Ctz, wasm.I32Popcnt, wasm.I32Extend8S}
	unary64    = []wasm.Op{wasm.I64Clz, wasm.I64Popcnt, wasm.I64Extend32S}
	loads32    = map[wasm.Op]int{wasm.I32Load: 4, wasm.I32Load8S: 1, wasm.I32Load8U: 1, wasm.I32Load16S: 2}
	loads64    = map[wasm.Op]int{wasm.I64Load: 8, wasm.I64Load32U: 4, wasm.I64Load16U: 2}
	stores32   = map[wasm.Op]int{wasm.I32Store: 4, wasm.I32Store8: 1, wasm.I32Store16: 2}
	stores64   = map[wasm.Op]int{wasm.I64Store: 8, wasm.I64Store32: 4}
)

func (g *gen) access(of map[wasm.Op]int) (wasm.Op, []byte) {
	var ops []wasm.Op
	for op := wasm.Op(0); op < 0x100; op++ { // in an order
		if _, ok := of[op]; ok {
			ops = append(ops, op)
		}
	}
	op := pick(g.r, ops)
	return op, g.memarg(of[op])
}

// value pushes a value.
func (g *gen) value(t wasm.ValType) {
	g.budget--
	if g.budget <= 0 || g.one(5) {
		g.constant(t)
		return
	}
	one := wasm.ValTypes([]byte{byte(t)})
	switch n := g.r.IntN(16); {
	case n < 4:
		g.emit(wasm.LocalGet, g.local(t))
		return
	case n == 4:
		g.value(t)
		g.emit(wasm.LocalTee, g.local(t))
		return
	case n == 5:
		g.value(t)
		g.value(t)
		g.value(wasm.I32)
		g.emit(wasm.Select)
		return
	case n == 6:
		if i := strings.IndexByte(string(genGlobals), byte(t)); i >= 0 {
			g.emit(wasm.GlobalGet, i)
			return
		}
	case n == 7:
		g.block(pick(g.r, []wasm.Op{wasm.Block, wasm.If, wasm.Loop}), one)
		return
	case n == 8 && len(g.callees) > 0:
		for i, c := range g.callees {
			if c.Results == one {
				g.call(i)
				return
			}
		}
	}
	switch t {
	case wasm.I32:
		switch n := g.r.IntN(10); {
		case n < 5:
			g.value(t)
			g.value(t)
			g.emit(pick(g.r, binary32))
		case n == 5:
			g.value(t)
			g.emit(pick(g.r, unary32))
		case n == 6:
			g.address()
			op, arg := g.access(loads32)
			g.emit(op, arg)
		case n == 7 && (g.wild || g.one(3)):
			g.value(t)
			g.value(t)
			if !g.one(10) {
				g.emit(wasm.I32Const, 1, wasm.I32Or)
			}
			g.emit(pick(g.r, division32))
		case n == 8:
			g.value(wasm.I64)
			g.emit(wasm.I32WrapI64)
		default:
			g.value(wasm.F64)
			g.value(wasm.F64)
			g.emit(pick(g.r, []wasm.Op{wasm.F64Lt, wasm.F64Ge, wasm.F64Eq}))
		}
	case wasm.I64:
		switch n := g.r.IntN(10); {
		case n < 5:
			g.value(t)
			g.value(t)
			g.emit(pick(g.r, binary64))
		case n == 5:
			g.value(t)
			g.emit(pick(g.r, unary64))
		case n == 6:
			g.address()
			op, arg := g.access(loads64)
			g.emit(op, arg)
		case n == 7 && (g.wild || g.one(3)):
			g.value(t)
			g.value(t)
			if !g.one(10) {
				g.emit(wasm.I64Const, 1, wasm.I64Or)
			}
			g.emit(pick(g.r, division64))
		case n == 8 && (g.wild || g.one(3)):
			g.value(wasm.F64)
			g.emit(pick(g.r, []wasm.Op{wasm.I64TruncF64S, wasm.I64TruncF64U, wasm.I64TruncSatF64S}))
		default:
			g.value(wasm.I32)
			g.emit(pick(g.r, []wasm.Op{wasm.I64ExtendI32S, wasm.I64ExtendI32U}))
		}
	case wasm.F32:
		g.value(wasm.I32)
		g.emit(wasm.F32ConvertI32S, pick(g.r, []wasm.Op{wasm.F32Abs, wasm.F32Neg, wasm.F32Floor}))
	case wasm.F64:
		g.value(wasm.I32)
		g.emit(wasm.F64ConvertI32S)
		if g.one(2) {
			g.value(wasm.I32)
			g.emit(wasm.F64ConvertI32U, pick(g.r, []wasm.Op{wasm.F64Add, wasm.F64Mul, wasm.F64Sub, wasm.F64Min, wasm.F64Copysign}))
		}
	}
}

func (g *gen) values(types wasm.ValTypes) {
	for _, t := range []byte(types) {
		g.value(wasm.ValType(t))
	}
}

func (g *gen) call(i int) {
	g.values(g.callees[i].Params)
	g.emit(wasm.Call, i)
}

// genBlocks are the types that blocks may have besides none and one result; their indices follow.
var genBlocks = []wasm.FuncType{
	{Params: i32, Results: i32}, {Params: i32 + i64, Results: i64}, {Params: i64 + f64, Results: i64 + f64}, {Results: i32 + i64}, {Results: i64 + i32}, {Params: i32 + i32, Results: i32 + i32}, {Params: i64},
}

// block emits a construct that leaves those results.
func (g *gen) block(op wasm.Op, results wasm.ValTypes) {
	t := wasm.FuncType{Results: results}
	code := []byte{0x40}
	if len(results) == 1 {
		code = []byte(results)
	}
	for i, b := range genBlocks {
		if b.Results == results && (g.one(2) || len(results) > 1) {
			t, code = b, s64(int64(i))
		}
	}
	g.values(t.Params)
	if op == wasm.If {
		g.value(wasm.I32)
	}
	g.emit(op, code)
	label := genLabel{t.Results}
	if op == wasm.Loop {
		label.operands = t.Params
	}
	g.labels = append(g.labels, label)
	g.inside(op, t)
	if op == wasm.If && (t.Params != t.Results || g.one(2)) {
		g.emit(wasm.Else)
		g.inside(op, t)
	}
	g.emit(wasm.End)
	g.labels = g.labels[:len(g.labels)-1]
}

// inside emits what is in a construct, whose parameters are on the stack.
func (g *gen) inside(op wasm.Op, t wasm.FuncType) {
	if op == wasm.Loop {
		g.turn()
	}
	keep := t.Params
	for range g.r.IntN(4) {
		if len(keep) > 0 && g.one(2) { // used in between
			last := wasm.ValType(keep[len(keep)-1])
			g.emit(wasm.LocalSet, g.local(last))
			keep = keep[:len(keep)-1]
		}
		g.statement()
	}
	for keep != "" && !strings.HasPrefix(string(t.Results), string(keep)) {
		last := wasm.ValType(keep[len(keep)-1])
		g.emit(pick(g.r, [][]byte{cat(wasm.Drop), cat(wasm.LocalSet, g.local(last))}))
		keep = keep[:len(keep)-1]
	}
	if g.budget > 0 && g.one(5) {
		g.jump()
		return
	}
	g.values(t.Results[len(keep):])
}

// turn ends the function if there were many turns of loops.
func (g *gen) turn() {
	g.emit(wasm.LocalGet, counter, wasm.I32Const, 1, wasm.I32LeU, wasm.If, 0x40)
	g.constants(g.results)
	g.emit(wasm.Return, wasm.End)
	g.emit(wasm.LocalGet, counter, wasm.I32Const, 1, wasm.I32Sub, wasm.LocalSet, counter)
}

// statement emits something without operands and results.
func (g *gen) statement() {
	if g.budget--; g.budget <= 0 {
		return
	}
	switch g.r.IntN(14) {
	case 0, 1, 2:
		t := wasm.ValType(pick(g.r, []byte(genParams)))
		g.value(t)
		g.emit(wasm.LocalSet, g.local(t))
	case 3, 4:
		g.address()
		g.value(wasm.I32)
		op, arg := g.access(stores32)
		g.emit(op, arg)
	case 5:
		g.address()
		g.value(wasm.I64)
		op, arg := g.access(stores64)
		g.emit(op, arg)
	case 6:
		i := g.r.IntN(len(genGlobals))
		g.value(wasm.ValType(genGlobals[i]))
		g.emit(wasm.GlobalSet, i)
	case 7:
		g.value(wasm.ValType(pick(g.r, []byte(genParams))))
		g.emit(wasm.Drop)
	case 8, 9:
		g.block(pick(g.r, []wasm.Op{wasm.Block, wasm.Loop, wasm.If}), "")
	case 10, 11:
		depth := g.r.IntN(len(g.labels))
		types := g.labels[len(g.labels)-1-depth].operands
		g.values(types)
		g.value(wasm.I32)
		g.emit(wasm.BrIf, u32(uint32(depth)))
		for range types {
			g.emit(wasm.Drop)
		}
	case 12:
		if g.one(12) {
			g.emit(wasm.Unreachable)
		} else {
			for range 3 {
				g.value(wasm.I32)
				if !g.one(20) {
					g.emit(wasm.I32Const, s64(0x7f), wasm.I32And)
				}
			}
			g.emit(pick(g.r, [][]byte{cat(wasm.MemoryCopy, 0, 0), cat(wasm.MemoryFill, 0)}))
		}
	case 13:
		if g.mixed && len(g.labels) < 5 {
			g.emit(wasm.I32Const, 0, wasm.MemoryGrow, 0, wasm.Drop)
		} else if i := g.r.IntN(len(g.callees) + 1); i > 0 {
			g.call(i - 1)
			for range g.callees[i-1].Results {
				g.emit(wasm.Drop)
			}
		}
	}
}

// jump emits an instruction that does not go on to the next.
func (g *gen) jump() {
	depth := g.r.IntN(len(g.labels))
	types := g.labels[len(g.labels)-1-depth].operands
	switch g.r.IntN(5) {
	case 0:
		g.values(g.results)
		g.emit(wasm.Return)
	case 1, 2:
		g.values(types)
		g.emit(wasm.Br, u32(uint32(depth)))
	default:
		var targets [][]byte
		for range 6 {
			if d := g.r.IntN(len(g.labels)); g.labels[len(g.labels)-1-d].operands == types {
				targets = append(targets, u32(uint32(d)))
			}
		}
		g.values(types)
		g.value(wasm.I32)
		if g.one(2) {
			g.emit(wasm.I32Const, 7, wasm.I32And)
		}
		g.emit(wasm.BrTable, wasmtest.Vec(targets...), u32(uint32(depth)))
	}
}

// body is a function's: its locals beyond the parameters, and code.
func (g *gen) body() []byte {
	var locals [][]byte
	for _, t := range []byte(genLocals[len(genParams):]) {
		locals = append(locals, cat(1, wasm.ValType(t)))
	}
	return wasmtest.Sized(wasmtest.Vec(locals...), g.code, wasm.End)
}

// genCallees are the types of functions that the generated ones call; each may call those before.
var genCallees = []wasm.FuncType{{Params: i32 + i64 + f32 + f64, Results: i32}, {Params: i32 + i64 + f32 + f64, Results: i64}, {Params: i32 + i64 + f32 + f64, Results: i64 + i32}}

// TestGenerated compares regions with wazero: results, traps, memory and globals, however often they are stopped in between.
func TestGenerated(t *testing.T) {
	devicetest.ForEach(t, func(t *testing.T, dev *hal.Device) {
		seeds := []uint64{0}
		if dev.Info().Backend == "cpu" {
			seeds = []uint64{0, 1, 2, 3, 5, 6, 8}
		}
		traps, stops := map[machine.Trap]int{}, uint32(0)
		for _, seed := range seeds {
			generated(t, dev, seed, traps, &stops)
		}
		t.Logf("traps %v, stopped %d times", traps, stops)
		if len(seeds) > 1 && (len(traps) < 4 || traps[machine.None] < 50 || stops < 100) {
			t.Error("too little happened")
		}
	})
}

func generated(t *testing.T, dev *hal.Device, seed uint64, traps map[machine.Trap]int, stops *uint32) {
	t.Helper()
	file := generate(seed)
	m, err := wasm.Decode(file)
	if err != nil {
		t.Fatal(err)
	}
	regions := region.Select(m, region.Options{})
	regions = slices.DeleteFunc(regions, func(r region.Region) bool { // chosen may be a loop inside, where no branch leads to the outer one
		return r.Func < len(genCallees) || r.Start != 2*genTypes[r.Func-len(genCallees)].before
	})
	ref := newReference(t, file, m)
	r := rand.New(rand.NewPCG(seed, 2))
	memory := make([]byte, pageSize)
	for i := range memory {
		memory[i] = byte(r.Uint32() >> (i % 3 * 8))
	}
	globals := []uint64{uint64(r.Uint32()), r.Uint64(), math.Float64bits(12.5)}
	var jobs []job
	var want []outcome
	for i := range regions {
		for range 6 {
			params := []uint64{uint64(r.Uint32() >> r.IntN(32)), r.Uint64() >> r.IntN(64), uint64(math.Float32bits(float32(r.IntN(1000)))), math.Float64bits(float64(r.IntN(1000)))}
			o := ref.call(regions[i].Func, params, memory, globals)
			for _, j := range jobsOf(m, regions, i, params, genTypes[regions[i].Func-len(genCallees)].before, 1<<30, 1, 50) {
				jobs, want = append(jobs, j), append(want, o)
			}
		}
	}
	for i, got := range run(t, dev, m, regions, jobs, memory, globals) {
		if d := differ(got, want[i]); d != "" {
			t.Errorf("seed %d, function %d of %x, fuel %d: %s", seed, regions[jobs[i].region].Func, jobs[i].params, jobs[i].fuel, d)
		}
		traps[got.trap]++
		*stops += got.calls - 1
	}
}

// A module is put together from functions.
type module struct {
	types, functions, exports, bodies [][]byte
}

// newModule begins a module with functions of the types genCallees.
func newModule(r *rand.Rand) *module {
	m := &module{}
	for _, t := range genBlocks {
		m.types = append(m.types, wasmtest.FuncType(t.Params, t.Results))
	}
	for i, t := range genCallees {
		g := &gen{r: r, results: t.Results, callees: genCallees[:i], budget: 40, labels: []genLabel{{t.Results}}}
		g.emit(wasm.I32Const, 5, wasm.LocalSet, counter)
		g.statement()
		if i > 0 {
			g.block(wasm.Loop, t.Results)
		} else {
			g.values(t.Results)
		}
		m.add(t, g.body())
	}
	return m
}

// add adds a function, which is exported as f and its number.
func (m *module) add(t wasm.FuncType, body []byte) {
	n := len(m.functions)
	m.functions = append(m.functions, u32(uint32(len(m.types))))
	m.types = append(m.types, wasmtest.FuncType(t.Params, t.Results))
	m.bodies = append(m.bodies, body)
	m.exports = append(m.exports, cat(wasmtest.Name(fmt.Sprintf("f%d", n)), 0, n))
}

// file is the module, with a memory that begins with data, and the globals genGlobals, which are exported as g and a number.
func (m *module) file(data []byte) []byte {
	var globals [][]byte
	exports := append(slices.Clone(m.exports), cat(wasmtest.Name("memory"), 2, 0))
	for i, t := range []byte(genGlobals) {
		init := cat(wasm.I32Const, 0)
		switch wasm.ValType(t) {
		case wasm.I64:
			init = cat(wasm.I64Const, 0)
		case wasm.F64:
			init = cat(wasm.F64Const, make([]byte, 8))
		}
		globals = append(globals, cat(wasm.ValType(t), 1, init, wasm.End))
		exports = append(exports, cat(wasmtest.Name(fmt.Sprintf("g%d", i)), 3, i))
	}
	return wasmtest.File(wasmtest.Section(1, wasmtest.Vec(m.types...)), wasmtest.Section(3, wasmtest.Vec(m.functions...)), wasmtest.Section(5, wasmtest.Vec(cat(1, 1, 1))),
		wasmtest.Section(6, wasmtest.Vec(globals...)), wasmtest.Section(7, wasmtest.Vec(exports...)), wasmtest.Section(10, wasmtest.Vec(m.bodies...)),
		wasmtest.Section(11, wasmtest.Vec(cat(0, wasm.I32Const, 0, wasm.End, wasmtest.Sized(data)))))
}

// generate makes a module with a function for each of genTypes, whose body is one loop.
func generate(seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	m := newModule(r)
	for _, t := range genTypes {
		g := &gen{r: r, results: t.results, callees: genCallees, budget: 150, labels: []genLabel{{t.results}}, wild: seed%3 == 0}
		loop := wasm.FuncType{Params: genParams[:t.before], Results: t.results}
		for n := range t.before {
			g.emit(wasm.LocalGet, n)
		}
		g.emit(wasm.Loop, s64(int64(len(m.types))))
		m.types = append(m.types, wasmtest.FuncType(loop.Params, loop.Results))
		g.labels = append(g.labels, genLabel{loop.Params})
		// The counter is 0 at first, and then not any more.
		g.emit(wasm.LocalGet, counter, wasm.I32Eqz, wasm.If, 0x40, wasm.I32Const, s64(61), wasm.LocalSet, counter, wasm.End)
		g.turn()
		keep := loop.Params
		for range 6 {
			if keep != "" {
				last := wasm.ValType(keep[len(keep)-1])
				g.emit(wasm.LocalSet, g.local(last))
				keep = keep[:len(keep)-1]
			}
			g.statement()
		}
		g.budget = 20
		g.value(wasm.I32)
		g.emit(wasm.If, 0x40)
		g.values(loop.Params)
		g.emit(wasm.Br, 1, wasm.End)
		g.budget = 20
		g.values(t.results)
		g.emit(wasm.End)
		m.add(wasm.FuncType{Params: genParams, Results: t.results}, g.body())
	}
	return m.file(nil)
}
