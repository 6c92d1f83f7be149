package wasm_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/dialtone-gpu/dialtone/program/wasm"
)

const (
	f32       = wasm.ValTypes(wasm.F32)
	f64       = wasm.ValTypes(wasm.F64)
	funcref   = wasm.ValTypes(wasm.FuncRef)
	externref = wasm.ValTypes(wasm.ExternRef)
)

// The module that generated functions are in. It has everything that instructions can name, and something of every type.
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

// generated wraps bodies of functions whose types are genTypes from type 3 on.
func generated(bodies [][]byte) []byte {
	var types, functions, tables, globals, elems [][]byte
	for i, t := range genTypes {
		types = append(types, funcType(t.Params, t.Results))
		if i >= 3 {
			functions = append(functions, u32(uint32(i)))
		}
	}
	for _, t := range []byte(genTables) {
		tables = append(tables, cat(wasm.ValType(t), 0, 1))
	}
	for i, t := range []byte(genGlobals) {
		init := leaf(wasm.ValType(t), 0)
		globals = append(globals, cat(wasm.ValType(t), 1-i/len(everyType), init, wasm.End))
	}
	for _, t := range []byte(genElems) {
		elems = append(elems, cat(5, wasm.ValType(t), vec(cat(wasm.RefNull, wasm.ValType(t), wasm.End))))
	}
	imports := vec(cat(name("m"), name("0"), 0, 0), cat(name("m"), name("1"), 0, 1), cat(name("m"), name("2"), 0, 2))
	return file(section(1, vec(types...)), section(2, imports), section(3, vec(functions...)), section(4, vec(tables...)), section(5, vec(cat(0, 1))),
		section(6, vec(globals...)), section(7, vec(cat(name("f"), 0, 3))), section(9, vec(elems...)), section(12, genData),
		section(10, vec(bodies...)), section(11, vec(cat(1, 0), cat(1, 0))))
}

// leaf is an instruction that pushes a constant; reference types have only null and function 0, which must be declared.
func leaf(t wasm.ValType, bits uint64) []byte {
	switch t {
	case wasm.I32:
		return cat(wasm.I32Const, s64(int64(int32(bits))))
	case wasm.I64:
		return cat(wasm.I64Const, s64(int64(bits)))
	case wasm.F32:
		return cat(wasm.F32Const, []byte{byte(bits), byte(bits >> 8), byte(bits >> 16), byte(bits >> 24)})
	case wasm.F64:
		return cat(wasm.F64Const, leaf(wasm.F32, bits)[1:], leaf(wasm.F32, bits>>32)[1:])
	}
	return cat(wasm.RefNull, t)
}

// Faults are single errors that make a function invalid.
const (
	noFault      = ""
	wrongType    = "an operand of another type"
	noOperand    = "a missing operand"
	surplus      = "an operand too many"
	wrongIndex   = "an index out of range"
	wrongAlign   = "an alignment above the natural one"
	setImmutable = "a write to an immutable global"
)

// A gen generates the body of a function.
type gen struct {
	t      *rapid.T
	code   []byte
	locals wasm.ValTypes // with parameters; of every type at least one
	labels []wasm.ValTypes
	dead   bool // a jump came before, in the same block
	budget int  // how many instructions may be nested yet
	fault  string
	failed bool // the fault has been made
	seen   map[wasm.Op]bool
}

func (g *gen) pick(n int) int { return rapid.IntRange(0, n-1).Draw(g.t, "") }

func (g *gen) emit(parts ...any) {
	if op, ok := parts[0].(wasm.Op); ok && g.seen != nil {
		g.seen[op] = true
	}
	g.code = append(g.code, cat(parts...)...)
}

// strike reports that the fault is to be made here.
func (g *gen) strike(fault string) bool {
	if g.fault != fault || g.failed || fault != setImmutable && g.pick(4) != 0 {
		return false
	}
	g.failed = true
	return true
}

// index is a number of a thing out of size, now and then padded to more bytes than it needs.
func (g *gen) index(i, size int) []byte {
	if g.strike(wrongIndex) {
		i = size + g.pick(3)
	}
	b := u32(uint32(i))
	for range max(0, g.pick(8)-5) {
		b[len(b)-1] |= 0x80
		b = append(b, 0)
	}
	return b
}

// of picks one of the things whose type is t.
func (g *gen) of(types wasm.ValTypes, t wasm.ValType) []byte {
	var all []int
	for i := range len(types) {
		if wasm.ValType(types[i]) == t {
			all = append(all, i)
		}
	}
	return g.index(all[g.pick(len(all))], len(types))
}

// operands pushes values of those types, or makes a fault.
func (g *gen) operands(types wasm.ValTypes) {
	for i := range len(types) {
		t := wasm.ValType(types[i])
		switch {
		case !g.dead && g.strike(noOperand):
		case g.strike(wrongType):
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
	for op := range allOps {
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
	for op := range allOps {
		if info := op.Info(); info.Out == "" && !info.Varies {
			effects = append(effects, op)
		}
	}
	effects = append(effects, wasm.Block, wasm.Loop, wasm.If, wasm.BrIf, wasm.Call, wasm.CallIndirect, wasm.Drop, wasm.LocalSet, wasm.GlobalSet, wasm.TableSet,
		wasm.TableInit, wasm.TableCopy, wasm.TableFill)
	return effects, jumps
}()

// allOps are the accepted opcodes.
func allOps(yield func(wasm.Op) bool) {
	for op := wasm.Op(0); op < 0x200; op++ {
		if op.Info().Name != "" && !yield(op) {
			return
		}
	}
}

// value pushes a value.
func (g *gen) value(t wasm.ValType) {
	if g.budget <= 0 || g.pick(3) == 0 {
		g.emit(leaf(t, rapid.Uint64().Draw(g.t, "")))
		return
	}
	all := producers[t]
	g.produce(all[g.pick(len(all))], t)
}

// produce pushes a value with an instruction of producers.
func (g *gen) produce(op wasm.Op, t wasm.ValType) {
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
func (g *gen) tableType(index []byte) wasm.ValTypes {
	i := int(index[0]&0x7f) % len(genTables)
	return genTables[i : i+1]
}

// fixed emits an instruction that Info describes completely.
func (g *gen) fixed(op wasm.Op) {
	info := op.Info()
	g.operands(info.In)
	g.emit(op)
	for _, imm := range info.Imm {
		switch imm {
		case wasm.MemArg:
			natural := slices.Index([]uint8{1, 2, 4, 8}, info.Width)
			align := g.pick(natural + 1)
			if g.strike(wrongAlign) {
				align = natural + 1
			}
			g.emit(align, u32(rapid.Uint32().Draw(g.t, "")))
		case wasm.MemoryIndex:
			g.emit(0)
		case wasm.DataIndex:
			g.emit(g.index(g.pick(genData), genData))
		case wasm.ElemIndex:
			g.emit(g.index(g.pick(len(genElems)), len(genElems)))
		case wasm.TableIndex:
			g.emit(g.index(g.pick(len(genTables)), len(genTables)))
		case wasm.I32Value, wasm.I64Value, wasm.F32Value, wasm.F64Value:
			g.emit(leaf(wasm.ValType(info.Out[0]), rapid.Uint64().Draw(g.t, ""))[1:])
		}
	}
}

// block opens and closes a block with those results, with parameters or without.
func (g *gen) block(op wasm.Op, results wasm.ValTypes) {
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
		blockType = s64(int64(i))
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
	g.inside(params, results)
	if op == wasm.If && (params != results || g.pick(2) == 0) {
		g.emit(wasm.Else)
		g.inside(params, results)
	}
	g.emit(wasm.End)
	g.labels = g.labels[:len(g.labels)-1]
}

// inside emits what is in a block: statements, and the results or a jump.
func (g *gen) inside(params, results wasm.ValTypes) {
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
func (g *gen) statement() {
	if g.budget > 0 {
		g.effect(effects[g.pick(len(effects))])
	}
}

// effect emits an instruction of effects with its operands.
func (g *gen) effect(op wasm.Op) {
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
		if g.strike(setImmutable) {
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
func (g *gen) call(op wasm.Op, results wasm.ValTypes) {
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
func (g *gen) branchIf(types wasm.ValTypes) {
	for depth := range len(g.labels) {
		if g.labels[len(g.labels)-1-depth] == types {
			g.operands(types + i32)
			g.emit(wasm.BrIf, g.index(depth, len(g.labels)))
			return
		}
	}
	g.leaves(types)
}

func (g *gen) leaves(types wasm.ValTypes) {
	for i := range len(types) {
		g.emit(leaf(wasm.ValType(types[i]), 1))
	}
}

func (g *gen) jump(op wasm.Op) {
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
		g.emit(op, vec(targets...), g.index(depth, len(g.labels)))
	case wasm.Return:
		g.operands(g.labels[0])
		g.emit(op)
	case wasm.Unreachable:
		g.emit(op)
	}
}

// function generates the body of a function, which begins with what first emits. The last one has to have the fault.
func (g *gen) function(t wasm.FuncType, first func(*gen), last bool) []byte {
	g.code = nil
	g.locals = t.Params + everyType
	g.labels = []wasm.ValTypes{t.Results}
	if first != nil {
		first(g)
	}
	for range g.pick(6) {
		g.statement()
	}
	g.operands(t.Results)
	if last && g.fault != noFault && !g.failed {
		g.failed = true
		g.fault = surplus
		g.emit(leaf(wasm.I32, 1))
	}
	g.emit(wasm.End)
	var locals [][]byte
	for _, v := range []byte(everyType) {
		locals = append(locals, cat(1, wasm.ValType(v)))
	}
	return sized(vec(locals...), g.code)
}

// module generates a module whose first function begins with first.
func (g *gen) module(budget int, first func(*gen)) []byte {
	var bodies [][]byte
	for i, t := range genTypes[3:] {
		g.budget = budget
		if i > 0 {
			first = nil
		}
		bodies = append(bodies, g.function(t, first, i == len(genTypes)-4))
	}
	return generated(bodies)
}

// TestEveryInstruction has each accepted instruction, in valid functions, accepted by us and by wazero.
func TestEveryInstruction(t *testing.T) {
	begin := map[wasm.Op]func(*gen){}
	for v, ops := range producers {
		for _, op := range ops {
			begin[op] = func(g *gen) { g.produce(op, v); g.emit(wasm.Drop) }
		}
	}
	for _, op := range effects {
		begin[op] = func(g *gen) { g.effect(op) }
	}
	for _, op := range jumps {
		begin[op] = func(g *gen) {
			g.emit(wasm.Block, 0x40)
			g.labels = append(g.labels, "")
			g.jump(op)
			g.labels = g.labels[:1]
			g.emit(wasm.End)
		}
	}
	seen := map[wasm.Op]bool{}
	rapid.Check(t, func(t *rapid.T) {
		some := rapid.IntRange(0, 3).Draw(t, "a quarter of the opcodes")
		for op := range allOps {
			if first := begin[op]; first != nil && int(op)%4 == some {
				g := &gen{t: t, seen: seen}
				if !compare(t, g.module(4, first)) {
					t.Fatalf("%v: refused", op)
				}
			}
		}
	})
	for op := range allOps {
		if !seen[op] {
			t.Errorf("%v (%#x) was never generated", op, uint16(op))
		}
	}
}

// TestGenerated has larger functions.
func TestGenerated(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		for range 10 {
			g := &gen{t: t}
			if !compare(t, g.module(60, nil)) {
				t.Fatal("refused")
			}
		}
	})
}

// TestSingleFaults has one error in a module that is valid otherwise.
func TestSingleFaults(t *testing.T) {
	reasons := map[string]string{wrongType: "type mismatch", noOperand: "type mismatch", surplus: "type mismatch", wrongIndex: "unknown ",
		wrongAlign: "alignment", setImmutable: "global is immutable"}
	made := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		for _, fault := range []string{wrongType, noOperand, wrongIndex, wrongAlign, setImmutable, surplus} {
			g := &gen{t: t, fault: fault}
			var first func(*gen)
			if fault == setImmutable { // too rare to wait for
				first = func(g *gen) { g.effect(wasm.GlobalSet) }
			}
			file := g.module(40, first)
			compare(t, file)
			var e *wasm.Error
			if _, err := wasm.Decode(file); !errors.As(err, &e) || !strings.HasPrefix(e.Reason, reasons[g.fault]) {
				t.Fatalf("%s: %v\n%x", g.fault, err, file)
			}
			made[g.fault]++
		}
	})
	t.Log(made)
	for _, fault := range []string{wrongType, noOperand, surplus, wrongIndex, wrongAlign, setImmutable} {
		if made[fault] < 10 {
			t.Errorf("%s: only %d times", fault, made[fault])
		}
	}
}
