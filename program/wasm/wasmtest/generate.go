package wasmtest

import (
	"slices"
	"strconv"
	"strings"

	"pgregory.net/rapid"

	"github.com/dialtone-gpu/dialtone/program/wasm"
)

const (
	i32       = wasm.ValTypes(wasm.I32)
	i64       = wasm.ValTypes(wasm.I64)
	f32       = wasm.ValTypes(wasm.F32)
	f64       = wasm.ValTypes(wasm.F64)
	funcref   = wasm.ValTypes(wasm.FuncRef)
	externref = wasm.ValTypes(wasm.ExternRef)
)

// The module that generated functions are in. It has everything that instructions can name, and something of every type. One that is bounded
// imports nothing, and exports its functions by their numbers, its memory, and its mutable globals by "g" and their numbers.
var (
	everyType = i32 + i64 + f32 + f64 + funcref + externref
	genTypes  = []wasm.FuncType{ // of functions 0 to 7, too; 0 to 2 are imported
		{}, {Results: i32}, {Params: i64 + f32}, {Params: i32, Results: i64}, {Params: f64 + i32, Results: f32 + i64}, {Results: f64},
		{Params: funcref, Results: externref}, {Params: externref + i32, Results: funcref},
	}
	genTables  = everyType[4:] + everyType[4:]
	genGlobals = everyType + everyType // the first half is mutable
	genElems   = everyType[4:]
)

const genData = 2

// turns are what the loops and calls of a bounded module have together. They are counted in a global behind the others.
const turns = 300

// firstFunction is the first one that is not imported.
func (g *Gen) firstFunction() int {
	if g.Bounded {
		return 0
	}
	return 3
}

// generated wraps the bodies of all functions that are not imported.
func (g *Gen) generated(bodies [][]byte) []byte {
	var types, functions, tables, globals, elems, exports [][]byte
	for i, t := range genTypes {
		types = append(types, FuncType(t.Params, t.Results))
		if i >= g.firstFunction() {
			functions = append(functions, U32(uint32(i)))
		}
		exports = append(exports, Cat(Name(strconv.Itoa(i)), 0, i))
	}
	limits := Cat(0, 1)
	if g.Bounded {
		limits = Cat(1, 3, 6)
	}
	for _, t := range []byte(genTables) {
		tables = append(tables, Cat(wasm.ValType(t), limits))
	}
	for i, t := range []byte(genGlobals) {
		init := leaf(wasm.ValType(t), 0)
		globals = append(globals, Cat(wasm.ValType(t), 1-i/len(everyType), init, wasm.End))
		if i < len(everyType) {
			exports = append(exports, Cat(Name("g"+strconv.Itoa(i)), 3, i))
		}
	}
	for _, t := range []byte(genElems) {
		elems = append(elems, Cat(5, wasm.ValType(t), Vec(Cat(wasm.RefNull, wasm.ValType(t), wasm.End))))
	}
	memory, datas := Cat(0, 1), Vec(Cat(1, 0), Cat(1, 0))
	var imports []byte
	if g.Bounded {
		exports = append(exports, Cat(Name("memory"), 2, 0))
		globals = append(globals, Cat(wasm.I32, 1, leaf(wasm.I32, turns), wasm.End))
		elems[0] = Cat(5, wasm.FuncRef, Vec(Cat(wasm.RefFunc, 1, wasm.End), Cat(wasm.RefNull, wasm.FuncRef, wasm.End), Cat(wasm.RefFunc, 5, wasm.End)))
		elems[1] = Cat(5, wasm.ExternRef, Vec()) // wazero 1.12 takes those of such a segment for missing
		elems = append(elems, Cat(0, leaf(wasm.I32, 0), wasm.End, Vec(U32(0), U32(5))))
		memory, datas = Cat(1, 1, 3), Vec(Cat(1, Sized("some bytes")), Cat(1, Sized("others, a few more")))
	} else {
		exports = [][]byte{Cat(Name("f"), 0, 3)}
		imports = Section(2, Vec(Cat(Name("m"), Name("0"), 0, 0), Cat(Name("m"), Name("1"), 0, 1), Cat(Name("m"), Name("2"), 0, 2)))
	}
	return File(Section(1, Vec(types...)), imports, Section(3, Vec(functions...)), Section(4, Vec(tables...)), Section(5, Vec(memory)),
		Section(6, Vec(globals...)), Section(7, Vec(exports...)), Section(9, Vec(elems...)), Section(12, genData),
		Section(10, Vec(bodies...)), Section(11, datas))
}

// turn stops a bounded module that has had all its turns.
func (g *Gen) turn() {
	if g.Bounded {
		left := U32(uint32(len(genGlobals)))
		g.emit(wasm.GlobalGet, left, wasm.I32Eqz, wasm.If, 0x40, wasm.Unreachable, wasm.End)
		g.emit(wasm.GlobalGet, left, wasm.I32Const, 1, wasm.I32Sub, wasm.GlobalSet, left)
	}
}

// number is that of a constant. In a bounded module integers are often small, so that they are in bounds.
func (g *Gen) number(t wasm.ValType) uint64 {
	if g.Bounded && (t == wasm.I32 || t == wasm.I64) && g.pick(4) > 0 {
		return rapid.SampledFrom([]uint64{0, 0, 1, 1, 2, 3, 4, 7, 100, 65000}).Draw(g.T, "")
	}
	return rapid.Uint64().Draw(g.T, "")
}

// canonical makes a result that is NaN 0, in a bounded module: which NaN it is, the specification leaves open.
func (g *Gen) canonical(op wasm.Op) {
	info := op.Info()
	if !g.Bounded || info.Width > 0 || info.In == "" || info.Out != f32 && info.Out != f64 {
		return
	}
	eq := wasm.F32Eq
	switch op {
	case wasm.F32Abs, wasm.F32Neg, wasm.F32Copysign, wasm.F32ReinterpretI32, wasm.F64Abs, wasm.F64Neg, wasm.F64Copysign, wasm.F64ReinterpretI64:
		return
	}
	if info.Out == f64 {
		eq = wasm.F64Eq
	}
	t := wasm.ValType(info.Out[0])
	local := g.of(g.locals, t)
	g.emit(wasm.LocalTee, local, leaf(t, 0), wasm.LocalGet, local, wasm.LocalGet, local, eq, wasm.Select)
}

// leaf is an instruction that pushes a constant; reference types have only null and function 0, which must be declared.
func leaf(t wasm.ValType, bits uint64) []byte {
	switch t {
	case wasm.I32:
		return Cat(wasm.I32Const, S64(int64(int32(bits))))
	case wasm.I64:
		return Cat(wasm.I64Const, S64(int64(bits)))
	case wasm.F32:
		return Cat(wasm.F32Const, []byte{byte(bits), byte(bits >> 8), byte(bits >> 16), byte(bits >> 24)})
	case wasm.F64:
		return Cat(wasm.F64Const, leaf(wasm.F32, bits)[1:], leaf(wasm.F32, bits>>32)[1:])
	}
	return Cat(wasm.RefNull, t)
}

// Faults are single errors that make a function invalid.
const (
	NoFault      = ""
	WrongType    = "an operand of another type"
	NoOperand    = "a missing operand"
	Surplus      = "an operand too many"
	WrongIndex   = "an index out of range"
	WrongAlign   = "an alignment above the natural one"
	SetImmutable = "a write to an immutable global"
)

// A Gen generates the body of a function.
type Gen struct {
	T      *rapid.T
	code   []byte
	locals wasm.ValTypes // with parameters; of every type at least one
	labels []wasm.ValTypes
	dead   bool // a jump came before, in the same block
	budget int  // how many instructions may be nested yet
	Fault  string
	failed bool // the fault has been made
	Seen   map[wasm.Op]bool
	// Bounded modules come to their ends, and do what the specification does not leave open.
	Bounded bool
}

func (g *Gen) pick(n int) int { return rapid.IntRange(0, n-1).Draw(g.T, "") }

func (g *Gen) emit(parts ...any) {
	if op, ok := parts[0].(wasm.Op); ok && g.Seen != nil {
		g.Seen[op] = true
	}
	g.code = append(g.code, Cat(parts...)...)
}

// strike reports that the fault is to be made here.
func (g *Gen) strike(fault string) bool {
	if g.Fault != fault || g.failed || fault != SetImmutable && g.pick(4) != 0 {
		return false
	}
	g.failed = true
	return true
}

// index is a number of a thing out of size, now and then padded to more bytes than it needs.
func (g *Gen) index(i, size int) []byte {
	if g.strike(WrongIndex) {
		i = size + g.pick(3)
	}
	b := U32(uint32(i))
	for range max(0, g.pick(8)-5) {
		b[len(b)-1] |= 0x80
		b = append(b, 0)
	}
	return b
}

// of picks one of the things whose type is t.
func (g *Gen) of(types wasm.ValTypes, t wasm.ValType) []byte {
	var all []int
	for i := range len(types) {
		if wasm.ValType(types[i]) == t {
			all = append(all, i)
		}
	}
	return g.index(all[g.pick(len(all))], len(types))
}

// operands pushes values of those types, or makes a fault.
func (g *Gen) operands(types wasm.ValTypes) {
	for i := range len(types) {
		t := wasm.ValType(types[i])
		switch {
		case !g.dead && g.strike(NoOperand):
		case g.strike(WrongType):
			other := everyType[g.pick(len(everyType))]
			for other == byte(t) {
				other = everyType[g.pick(len(everyType))]
			}
			g.emit(leaf(wasm.ValType(other), 0))
		default:
			g.value(t)
		}
	}
}

// producers are the instructions that can push one value of a type.
var producers = func() map[wasm.ValType][]wasm.Op {
	all := map[wasm.ValType][]wasm.Op{}
	for op := range AllOps {
		if info := op.Info(); len(info.Out) == 1 && op != wasm.RefFunc {
			t := wasm.ValType(info.Out[0])
			all[t] = append(all[t], op)
		}
	}
	for i := range len(everyType) {
		t := wasm.ValType(everyType[i])
		all[t] = append(all[t], wasm.Block, wasm.Loop, wasm.If, wasm.LocalGet, wasm.LocalTee, wasm.GlobalGet, wasm.SelectTyped, wasm.BrIf, wasm.Call, wasm.CallIndirect)
		if t.IsRef() {
			all[t] = append(all[t], wasm.TableGet, wasm.RefNull)
		} else {
			all[t] = append(all[t], wasm.Select)
		}
	}
	all[wasm.FuncRef] = append(all[wasm.FuncRef], wasm.RefFunc)
	return all
}()

// effects are the instructions that push nothing; all of them but the jumps go on to the next.
var effects, jumps = func() (effects, jumps []wasm.Op) {
	jumps = []wasm.Op{wasm.Br, wasm.BrTable, wasm.Return, wasm.Unreachable}
	for op := range AllOps {
		if info := op.Info(); info.Out == "" && !info.Varies {
			effects = append(effects, op)
		}
	}
	effects = append(effects, wasm.Block, wasm.Loop, wasm.If, wasm.BrIf, wasm.Call, wasm.CallIndirect, wasm.Drop, wasm.LocalSet, wasm.GlobalSet, wasm.TableSet,
		wasm.TableInit, wasm.TableCopy, wasm.TableFill)
	return effects, jumps
}()

// AllOps are the accepted opcodes.
func AllOps(yield func(wasm.Op) bool) {
	for op := wasm.Op(0); op < 0x200; op++ {
		if op.Info().Name != "" && !yield(op) {
			return
		}
	}
}

// value pushes a value.
func (g *Gen) value(t wasm.ValType) {
	if g.budget <= 0 || g.pick(3) == 0 {
		g.emit(leaf(t, g.number(t)))
		return
	}
	all := producers[t]
	g.produce(all[g.pick(len(all))], t)
}

// produce pushes a value with an instruction of producers.
func (g *Gen) produce(op wasm.Op, t wasm.ValType) {
	g.budget--
	one := wasm.ValTypes([]wasm.ValType{t})
	switch op {
	case wasm.Block, wasm.Loop, wasm.If:
		g.block(op, one)
	case wasm.LocalGet:
		g.emit(op, g.of(g.locals, t))
	case wasm.LocalTee:
		g.operands(one)
		g.emit(op, g.of(g.locals, t))
	case wasm.GlobalGet:
		g.emit(op, g.of(genGlobals, t))
	case wasm.Select:
		g.operands(one + one + i32)
		g.emit(op)
	case wasm.SelectTyped:
		g.operands(one + one + i32)
		g.emit(op, 1, t)
	case wasm.BrIf:
		g.branchIf(one)
	case wasm.Call, wasm.CallIndirect:
		g.call(op, one)
	case wasm.TableGet:
		g.operands(i32)
		g.emit(op, g.of(genTables, t))
	case wasm.TableGrow:
		table := g.of(genTables, wasm.ValType(genTables[g.pick(2)]))
		g.operands(g.tableType(table) + i32)
		g.emit(op, table)
	case wasm.RefNull:
		g.emit(op, t)
	case wasm.RefIsNull:
		g.value(wasm.ValType(everyType[4+g.pick(2)])) // each will do
		g.emit(op)
	case wasm.RefFunc:
		g.emit(op, g.index(3, len(genTypes)))
	default:
		g.fixed(op)
	}
}

// tableType is the type of the table with that (encoded, possibly wrong) index.
func (g *Gen) tableType(index []byte) wasm.ValTypes {
	i := int(index[0]&0x7f) % len(genTables)
	return genTables[i : i+1]
}

// fixed emits an instruction that Info describes completely.
func (g *Gen) fixed(op wasm.Op) {
	info := op.Info()
	g.operands(info.In)
	g.emit(op)
	for _, imm := range info.Imm {
		switch imm {
		case wasm.MemArg:
			natural := slices.Index([]uint8{1, 2, 4, 8}, info.Width)
			align := g.pick(natural + 1)
			if g.strike(WrongAlign) {
				align = natural + 1
			}
			offset := rapid.Uint32().Draw(g.T, "")
			if g.Bounded {
				offset %= 1000
			}
			g.emit(align, U32(offset))
		case wasm.MemoryIndex:
			g.emit(0)
		case wasm.DataIndex:
			g.emit(g.index(g.pick(genData), genData))
		case wasm.ElemIndex:
			g.emit(g.index(g.pick(len(genElems)), len(genElems)))
		case wasm.TableIndex:
			g.emit(g.index(g.pick(len(genTables)), len(genTables)))
		case wasm.I32Value, wasm.I64Value, wasm.F32Value, wasm.F64Value:
			t := wasm.ValType(info.Out[0])
			g.emit(leaf(t, g.number(t))[1:])
		}
	}
	g.canonical(op)
}

// block opens and closes a block with those results, with parameters or without.
func (g *Gen) block(op wasm.Op, results wasm.ValTypes) {
	blockType := []byte{0x40}
	var params wasm.ValTypes
	if results != "" {
		blockType = []byte(results[:1])
	}
	var fitting []int
	for i, t := range genTypes {
		if t.Results == results {
			fitting = append(fitting, i)
		}
	}
	if len(results) > 1 || len(fitting) > 0 && g.pick(2) == 0 {
		i := fitting[g.pick(len(fitting))]
		params = genTypes[i].Params
		blockType = S64(int64(i))
	}
	g.operands(params)
	if op == wasm.If {
		g.operands(i32)
	}
	g.emit(op, blockType)
	label := results
	if op == wasm.Loop {
		label = params
	}
	g.labels = append(g.labels, label)
	if op == wasm.Loop {
		g.turn()
	}
	g.inside(params, results)
	if op == wasm.If && (params != results || g.pick(2) == 0) {
		g.emit(wasm.Else)
		g.inside(params, results)
	}
	g.emit(wasm.End)
	g.labels = g.labels[:len(g.labels)-1]
}

// inside emits what is in a block: statements, and the results or a jump.
func (g *Gen) inside(params, results wasm.ValTypes) {
	defer func(dead bool) { g.dead = dead }(g.dead)
	g.dead = false
	for range len(params) {
		g.emit(wasm.Drop)
	}
	for range g.pick(3) {
		g.statement()
	}
	if g.budget > 0 && g.pick(3) == 0 {
		g.jump(jumps[g.pick(len(jumps))])
		g.dead = true
		results = results[g.pick(len(results)+1):] // behind a jump the rest may be missing
	}
	for i := range len(results) {
		g.value(wasm.ValType(results[i]))
	}
}

// statement emits something that leaves the stack as it was.
func (g *Gen) statement() {
	if g.budget > 0 {
		g.effect(effects[g.pick(len(effects))])
	}
}

// effect emits an instruction of effects with its operands.
func (g *Gen) effect(op wasm.Op) {
	g.budget--
	t := wasm.ValType(everyType[g.pick(len(everyType))])
	one := wasm.ValTypes([]wasm.ValType{t})
	switch op {
	case wasm.Block, wasm.Loop, wasm.If:
		g.block(op, "")
	case wasm.BrIf:
		g.branchIf("")
	case wasm.Call, wasm.CallIndirect:
		g.call(op, "")
	case wasm.Drop:
		g.value(t)
		g.emit(op)
	case wasm.LocalSet:
		g.operands(one)
		g.emit(op, g.of(g.locals, t))
	case wasm.GlobalSet:
		g.operands(one)
		global := strings.IndexByte(string(everyType), byte(t))
		if g.strike(SetImmutable) {
			global += len(everyType)
		}
		g.emit(op, g.index(global, len(genGlobals)))
	case wasm.TableSet:
		table := g.of(genTables, wasm.ValType(genTables[g.pick(2)]))
		g.operands(i32 + g.tableType(table))
		g.emit(op, table)
	case wasm.TableFill:
		table := g.of(genTables, wasm.ValType(genTables[g.pick(2)]))
		g.operands(i32 + g.tableType(table) + i32)
		g.emit(op, table)
	case wasm.TableInit, wasm.TableCopy:
		from := genElems
		if op == wasm.TableCopy {
			from = genTables
		}
		ref := wasm.ValType(everyType[4+g.pick(2)])
		g.operands(i32 + i32 + i32)
		g.emit(op, g.of(from, ref), g.of(genTables, ref))
	default:
		g.fixed(op)
	}
}

// call calls a function with those results, if there is one.
func (g *Gen) call(op wasm.Op, results wasm.ValTypes) {
	var fitting []int
	for i, t := range genTypes {
		if t.Results == results {
			fitting = append(fitting, i)
		}
	}
	if len(fitting) == 0 {
		g.leaves(results)
		return
	}
	i := fitting[g.pick(len(fitting))]
	g.operands(genTypes[i].Params)
	if op == wasm.Call {
		g.emit(op, g.index(i, len(genTypes)))
		return
	}
	g.operands(i32)
	g.emit(op, g.index(i, len(genTypes)), g.of(genTables, wasm.FuncRef))
}

// branchIf emits br_if to a label that takes those types, if there is one. They are left on the stack.
func (g *Gen) branchIf(types wasm.ValTypes) {
	for depth := range len(g.labels) {
		if g.labels[len(g.labels)-1-depth] == types {
			g.operands(types + i32)
			g.emit(wasm.BrIf, g.index(depth, len(g.labels)))
			return
		}
	}
	g.leaves(types)
}

func (g *Gen) leaves(types wasm.ValTypes) {
	for i := range len(types) {
		g.emit(leaf(wasm.ValType(types[i]), 1))
	}
}

func (g *Gen) jump(op wasm.Op) {
	g.budget--
	depth := g.pick(len(g.labels))
	label := g.labels[len(g.labels)-1-depth]
	switch op {
	case wasm.Br:
		g.operands(label)
		g.emit(op, g.index(depth, len(g.labels)))
	case wasm.BrTable:
		var targets [][]byte
		for d := range len(g.labels) {
			if g.labels[len(g.labels)-1-d] == label && g.pick(2) == 0 {
				targets = append(targets, g.index(d, len(g.labels)))
			}
		}
		g.operands(label + i32)
		g.emit(op, Vec(targets...), g.index(depth, len(g.labels)))
	case wasm.Return:
		g.operands(g.labels[0])
		g.emit(op)
	case wasm.Unreachable:
		g.emit(op)
	}
}

// function generates the body of a function, which begins with what first emits. The last one has to have the fault.
func (g *Gen) function(t wasm.FuncType, first func(*Gen), last bool) []byte {
	g.code = nil
	g.locals = t.Params + everyType
	g.labels = []wasm.ValTypes{t.Results}
	g.turn()
	if first != nil {
		first(g)
	}
	for range g.pick(6) {
		g.statement()
	}
	g.operands(t.Results)
	if last && g.Fault != NoFault && !g.failed {
		g.failed = true
		g.Fault = Surplus
		g.emit(leaf(wasm.I32, 1))
	}
	g.emit(wasm.End)
	var locals [][]byte
	for _, v := range []byte(everyType) {
		locals = append(locals, Cat(1, wasm.ValType(v)))
	}
	return Sized(Vec(locals...), g.code)
}

// Module generates a module whose first function begins with first.
func (g *Gen) Module(budget int, first func(*Gen)) []byte {
	var bodies [][]byte
	for i := g.firstFunction(); i < len(genTypes); i++ {
		g.budget = budget
		bodies = append(bodies, g.function(genTypes[i], first, i == len(genTypes)-1))
		first = nil
	}
	return g.generated(bodies)
}

// Begin has for each instruction a beginning for Module that has it, with its operands, and leaves the stack as it was.
var Begin = func() map[wasm.Op]func(*Gen) {
	all := map[wasm.Op]func(*Gen){}
	for v, ops := range producers {
		for _, op := range ops {
			all[op] = func(g *Gen) { g.produce(op, v); g.emit(wasm.Drop) }
		}
	}
	for _, op := range effects {
		all[op] = func(g *Gen) { g.effect(op) }
	}
	for _, op := range jumps {
		all[op] = func(g *Gen) {
			g.emit(wasm.Block, 0x40)
			g.labels = append(g.labels, "")
			g.jump(op)
			g.labels = g.labels[:1]
			g.emit(wasm.End)
		}
	}
	return all
}()
