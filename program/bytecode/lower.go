package bytecode

import (
	"fmt"
	"math"

	"github.com/dialtone-gpu/dialtone/program/wasm"
)

// Options say what a module is lowered with.
type Options struct {
	// Host gives the number of the host function that an import is bound to, which CallHost names, or an error. Nil binds none.
	Host func(module, name string, t wasm.FuncType) (int, error)
	// Regions are native code in place of constructs of functions, in any order. None is inside another.
	Regions []Region
}

// A Region is a block or loop construct whose code is native. The native code finds the construct's parameters and all locals in their slots, and
// leaves there the locals and, in the canonical slots of the label that it goes to, that label's operands.
type Region struct {
	Func       int
	Start, End int // of Func.Code, from the opcode of the block or loop to behind its end
	// Exits are the labels that it goes to, as a br directly behind its end would number them if that were still inside: 0 is the construct's own
	// end, 1 the innermost one around it, and so on to the function's body. ExitAgain calls the native code once more.
	// It returns the index of the exit taken.
	Exits []int
}

// ExitAgain is the exit of a region that has stopped before its end.
const ExitAgain = -1

// Limits of the format.
const (
	mostInstructions = math.MaxInt32 / Words
	mostSlots        = 1 << slotBits
)

// Lower makes an image of a module. Its error names what cannot be bound, or what is out of bounds of the memory or table that
// the module has in the beginning, so that every instance would trap.
func Lower(m *wasm.Module, opts Options) (*Image, error) {
	l := &lowering{
		m: m, image: &Image{BootFrame: 1, module: m, types: typeNumbers(m)}, walker: wasm.NewWalker(m),
		host: map[int]int{}, regions: map[place]int{}, native: opts.Regions,
		datas: segments{numbers: map[uint32]int{}, named: []uint32{0}}, elems: segments{numbers: map[uint32]int{}, named: []uint32{0}},
		grows: make([]bool, len(m.Tables)),
	}
	for i, r := range opts.Regions {
		l.regions[place{r.Func, r.Start}] = i
	}
	if err := l.bind(opts.Host); err != nil {
		return nil, err
	}
	l.functions()
	if len(l.code)/Words > mostInstructions {
		return nil, fmt.Errorf("the module has %d instructions, at most %d", len(l.code)/Words, mostInstructions)
	}
	l.image.Code = l.code
	return l.image, l.initial()
}

// bind resolves the imports.
func (l *lowering) bind(host func(module, name string, t wasm.FuncType) (int, error)) error {
	for _, im := range l.m.Imports {
		if im.Kind != wasm.KindFunc {
			return fmt.Errorf("the module imports the %v %s.%s, and there are none to import", im.Kind, im.Module, im.Name)
		}
		t := l.m.Types[l.m.Funcs[im.Index].Type]
		if host == nil {
			return fmt.Errorf("the module imports the function %s.%s, and there are none to import", im.Module, im.Name)
		}
		n, err := host(im.Module, im.Name, t)
		if err != nil {
			return fmt.Errorf("import %s.%s of type %v: %w", im.Module, im.Name, t, err)
		}
		if len(t.Results) > 1 {
			return fmt.Errorf("import %s.%s of type %v: a host function gives at most one result", im.Module, im.Name, t)
		}
		l.host[int(im.Index)] = n
	}
	return nil
}

type place struct{ function, start int }

// segments are the passive ones that instructions name, in the order in which they do so first, from 1 on.
type segments struct {
	numbers map[uint32]int
	named   []uint32
}

// number gives that of a segment: 0 if it is not passive, and so is empty when instructions come to it.
func (s *segments) number(index uint32, mode wasm.Mode) uint64 {
	if mode != wasm.Passive {
		return 0
	}
	n, ok := s.numbers[index]
	if !ok {
		n = len(s.named)
		s.numbers[index] = n
		s.named = append(s.named, index)
	}
	return uint64(n)
}

// A lowering lowers a module; what is below code belongs to the function at hand.
type lowering struct {
	m       *wasm.Module
	image   *Image
	walker  *wasm.Walker
	host    map[int]int   // numbers of imported functions
	regions map[place]int // in native
	native  []Region
	datas   segments
	elems   segments
	grows   []bool // tables that may

	calls []int // instructions to be given the entry of the function that their second word names
	refs  []int // Copies to be given the reference to it

	code    []uint64
	barrier int   // instructions before it may be come to otherwise than from the one before
	marks   []int // what barrier has been, in this function
	fused   bool  // comparisons with branches
	params  int
	locals  int // with the parameters: the slot of the lowest operand
	frame   int
	results int
	stack   []value
	clean   int      // so many values at the bottom of the stack are in their canonical slots
	lent    []uint32 // for each local, how many values on the stack are it
	labels  []label
}

// A value is what the stack has, by where it is now.
type value struct {
	kind kind
	bits uint64 // the number of a local; the bits of a constant
}

type kind uint8

const (
	canonical kind = iota // in the slot of its height
	local                 // the same as that local
	constant
)

// A label is the target of branches.
type label struct {
	height  int // in values, below its parameters
	params  int
	results int
	loop    bool
	dead    bool
	start   int   // of a loop
	jumps   []int // instructions, and targets of tables, that go to its end
	orelse  int   // the branch of an if to its else, or -1
}

// operands is how many values a branch takes along.
func (l *label) operands() int {
	if l.loop {
		return l.params
	}
	return l.results
}

func (l *lowering) pc() int { return len(l.code) / Words }

func (l *lowering) emit(in Instruction) {
	a, b := in.words()
	l.code = append(l.code, a, b)
}

func (l *lowering) at(pc int) Instruction { return Decode(l.code, pc) }

func (l *lowering) put(pc int, in Instruction) { l.code[Words*pc], l.code[Words*pc+1] = in.words() }

func (l *lowering) drop() { l.code = l.code[:len(l.code)-Words] }

// slot is the canonical one of a height.
func (l *lowering) slot(height int) uint32 { return uint32(l.locals + height) }

func (l *lowering) need(slots int) { l.frame = max(l.frame, slots) }

func (l *lowering) push(v value) {
	l.stack = append(l.stack, v)
	if v.kind == local {
		l.lent[v.bits]++
	}
	l.need(l.locals + len(l.stack))
}

// pushes adds n values that are in their slots.
func (l *lowering) pushes(n int) {
	for range n {
		l.push(value{})
	}
}

// result is the slot of the value to be pushed, which it pushes.
func (l *lowering) result() uint32 {
	l.push(value{})
	return l.slot(len(l.stack) - 1)
}

// pop takes the topmost value; its canonical slot is that of the new height.
func (l *lowering) pop() value {
	n := len(l.stack) - 1
	v := l.stack[n]
	l.stack = l.stack[:n]
	l.clean = min(l.clean, n)
	if v.kind == local {
		l.lent[v.bits]--
	}
	return v
}

// truncate drops the values above a height.
func (l *lowering) truncate(height int) {
	for len(l.stack) > height {
		l.pop()
	}
}

// store writes value v to slot d.
func (l *lowering) store(d uint32, v value, height int) {
	switch v.kind {
	case canonical:
		l.copy(d, l.slot(height))
	case local:
		l.copy(d, uint32(v.bits))
	case constant:
		l.emit(Instruction{Op: Copy, Flags: FlagImm, D: d, Imm: v.bits})
	}
}

// copy emits a copy of slot b, together with the one before if that is no matter to what it reads.
func (l *lowering) copy(d, b uint32) {
	if pc := l.pc() - 1; pc >= l.barrier {
		if last := l.at(pc); last.Op == Copy && last.Flags == 0 && last.D != b {
			l.put(pc, Instruction{Op: CopyTwo, D: last.D, A: last.B, B: b, C: d})
			return
		}
	}
	l.emit(Instruction{Op: Copy, D: d, B: b})
}

// settle puts the value at a height into its canonical slot.
func (l *lowering) settle(height int) {
	v := &l.stack[height]
	if v.kind == canonical {
		return
	}
	l.store(l.slot(height), *v, height)
	if v.kind == local {
		l.lent[v.bits]--
	}
	*v = value{}
}

// settleAll does so for all values from a height on.
func (l *lowering) settleAll(from int) {
	for h := max(from, l.clean); h < len(l.stack); h++ {
		l.settle(h)
	}
	if from <= l.clean {
		l.clean = len(l.stack)
	}
}

// reclaim puts the values that are a local into their own slots, before the local changes.
func (l *lowering) reclaim(number uint32) {
	for h := len(l.stack) - 1; l.lent[number] > 0; h-- {
		if v := l.stack[h]; v.kind == local && v.bits == uint64(number) {
			l.settle(h)
		}
	}
}

// in gives the slot of a value that was popped, at the height that it had.
func (l *lowering) in(v value, height int) uint32 {
	switch v.kind {
	case local:
		return uint32(v.bits)
	case constant:
		l.store(l.slot(height), v, height)
	}
	return l.slot(height)
}

// b gives the flags, slot and second word of a last operand.
func (l *lowering) b(v value, height int) (flags uint64, slot uint32, imm uint64) {
	if v.kind == constant {
		return FlagImm, 0, v.bits
	}
	return 0, l.in(v, height), 0
}

// made reports that the last instruction but n made the operand at a height, and nothing else uses that.
func (l *lowering) made(n int, v value, height int) (Instruction, bool) {
	pc := l.pc() - 1 - n
	if v.kind != canonical || pc < l.barrier {
		return Instruction{}, false
	}
	in := l.at(pc)
	return in, in.Op.Info().Value && in.D == l.slot(height)
}

// mark makes the next instruction one that branches may go to.
func (l *lowering) mark() {
	if l.barrier = l.pc(); len(l.marks) == 0 || l.marks[len(l.marks)-1] != l.barrier {
		l.marks = append(l.marks, l.barrier)
	}
}

// functions lowers all.
func (l *lowering) functions() {
	size := 0
	for _, f := range l.m.Funcs {
		size += len(f.Code)
	}
	l.code = make([]uint64, 0, size/2) // what compilers' output comes to, roughly
	l.image.Entries = make([]uint32, len(l.m.Funcs))
	l.emit(Instruction{Op: Invalid})
	for _, t := range l.m.Types {
		l.image.BootFrame = max(l.image.BootFrame, len(t.Params), len(t.Results))
	}
	if l.m.Start >= 0 {
		l.call(Call, uint32(l.image.BootFrame), l.m.Start)
	}
	l.image.Invoke = uint32(l.pc())
	l.emit(Instruction{Op: Invoke})
	l.emit(Instruction{Op: Finish})
	for fn := range l.m.Funcs {
		l.image.Entries[fn] = uint32(l.pc())
		if number, ok := l.host[fn]; ok {
			l.imported(fn, number)
			continue
		}
		start := len(l.code)
		calls, refs := len(l.calls), len(l.refs)
		if !l.function(fn, true) {
			l.code, l.calls, l.refs = l.code[:start], l.calls[:calls], l.refs[:refs]
			l.function(fn, false)
		}
	}
	for _, pc := range l.calls {
		fn := l.code[Words*pc+1]
		entry := l.image.Entries[fn]
		l.code[Words*pc+1] = uint64(entry+1) | uint64(uint32(l.code[Words*entry+1]))<<32
	}
	for _, pc := range l.refs {
		fn := l.code[Words*pc+1]
		l.code[Words*pc+1] = l.image.Ref(int(fn))
	}
}

func (l *lowering) call(op Op, d uint32, fn int) {
	l.calls = append(l.calls, l.pc())
	l.emit(Instruction{Op: op, D: d, Imm: uint64(fn)})
}

// imported makes a function of a host function, for references.
func (l *lowering) imported(fn, number int) {
	t := l.m.Types[l.m.Funcs[fn].Type]
	l.emit(Instruction{Op: Function, Imm: uint64(max(1, len(t.Params), len(t.Results))) | uint64(fn)<<32})
	l.emit(hosted(0, number, t))
	l.emit(Instruction{Op: Return})
}

func hosted(d uint32, number int, t wasm.FuncType) Instruction {
	return Instruction{Op: CallHost, D: d, Imm: uint64(uint32(number)) | uint64(len(t.Results))<<32}
}

// function lowers one, with fused branches or without; with them it may turn out to be too long.
func (l *lowering) function(fn int, fused bool) bool {
	f := &l.m.Funcs[fn]
	t := l.m.Types[f.Type]
	l.fused = fused
	l.params, l.results, l.locals = len(t.Params), len(t.Results), len(t.Params)
	if n := len(f.Locals); n > 0 {
		l.locals += int(f.Locals[n-1].End)
	}
	l.frame = max(1, l.locals, l.results)
	l.stack, l.clean, l.marks = l.stack[:0], 0, l.marks[:0]
	l.lent = append(l.lent[:0], make([]uint32, l.locals)...)
	l.labels = append(l.labels[:0], label{results: l.results, orelse: -1})
	start := l.pc()
	l.emit(Instruction{Op: Function})
	if l.locals > l.params {
		l.emit(Instruction{Op: Zero, D: uint32(l.params), Imm: uint64(l.locals - l.params)})
	}
	l.mark()
	w := l.walker
	for w.Begin(fn); w.Next(); {
		l.step(fn, w.At-f.Offset)
	}
	l.put(start, Instruction{Op: Function, Imm: uint64(l.frame) | uint64(fn)<<32})
	if l.pc()-start >= 1<<(slotBits-1) && fused {
		return false
	}
	l.thread(start)
	return true
}

// step lowers an instruction at an offset of the function's code.
func (l *lowering) step(fn, at int) {
	w := l.walker
	switch w.Op {
	case wasm.Block, wasm.Loop, wasm.If:
		l.open(fn, at)
		return
	case wasm.Else:
		l.divide()
		return
	case wasm.End:
		l.close()
		return
	}
	if w.Dead {
		return
	}
	if op, ok := of[w.Op]; ok {
		l.operation(op)
		return
	}
	switch w.Op {
	case wasm.Unreachable:
		l.emit(Instruction{Op: Unreachable})
	case wasm.Nop:
	case wasm.Br:
		l.branch(w.Index)
	case wasm.BrIf:
		l.branchIf(w.Index)
	case wasm.BrTable:
		l.branchTable(w.Labels)
	case wasm.Return:
		l.leave()
	case wasm.Call:
		t := l.m.Types[l.m.Funcs[w.Index].Type]
		d := l.arguments(t)
		if number, ok := l.host[int(w.Index)]; ok {
			l.emit(hosted(d, number, t))
		} else {
			l.call(Call, d, int(w.Index))
		}
		l.returned(t)
	case wasm.CallIndirect:
		t := l.m.Types[w.Index]
		v := l.pop()
		a := l.in(v, len(l.stack))
		d := l.arguments(t)
		l.emit(Instruction{Op: CallIndirect, D: d, A: a, Imm: uint64(w.Index2) | uint64(l.image.types[w.Index])<<32})
		l.returned(t)
	case wasm.Drop:
		l.pop()
	case wasm.Select, wasm.SelectTyped:
		l.choose()
	case wasm.LocalGet:
		l.push(value{kind: local, bits: uint64(w.Index)})
	case wasm.LocalSet:
		l.setLocal(w.Index)
	case wasm.LocalTee:
		l.setLocal(w.Index)
		l.push(value{kind: local, bits: uint64(w.Index)})
	case wasm.I32Const, wasm.I64Const, wasm.F32Const, wasm.F64Const:
		l.push(value{kind: constant, bits: w.Value})
	case wasm.RefNull:
		l.push(value{kind: constant})
	case wasm.RefFunc:
		l.refs = append(l.refs, l.pc())
		l.emit(Instruction{Op: Copy, Flags: FlagImm, D: l.result(), Imm: uint64(w.Index)})
	default:
		l.rest()
	}
}

// rest lowers the instructions that name parts of the instance.
func (l *lowering) rest() {
	w := l.walker
	switch w.Op {
	case wasm.GlobalGet:
		l.emit(Instruction{Op: GlobalGet, D: l.result(), Imm: uint64(w.Index)})
	case wasm.GlobalSet:
		l.setGlobal(w.Index)
	case wasm.MemorySize:
		l.emit(Instruction{Op: MemorySize, D: l.result()})
	case wasm.MemoryGrow:
		a := l.operand()
		l.emit(Instruction{Op: MemoryGrow, D: l.result(), A: a})
	case wasm.MemoryInit:
		l.three(MemoryInit, l.datas.number(w.Index, l.m.Datas[w.Index].Mode))
	case wasm.DataDrop:
		if n := l.datas.number(w.Index, l.m.Datas[w.Index].Mode); n != 0 {
			l.emit(Instruction{Op: DataDrop, Imm: n})
		}
	case wasm.TableGet:
		a := l.operand()
		l.emit(Instruction{Op: TableGet, D: l.result(), A: a, Imm: uint64(w.Index)})
	case wasm.TableSet:
		b := l.operand()
		l.emit(Instruction{Op: TableSet, A: l.operand(), B: b, Imm: uint64(w.Index)})
	case wasm.TableSize:
		l.emit(Instruction{Op: TableSize, D: l.result(), Imm: uint64(w.Index)})
	case wasm.TableGrow:
		b := l.operand()
		a := l.operand()
		l.grows[w.Index] = true
		l.emit(Instruction{Op: TableGrow, D: l.result(), A: a, B: b, Imm: uint64(w.Index)})
	case wasm.TableFill:
		l.three(TableFill, uint64(w.Index))
	case wasm.TableCopy:
		l.three(TableCopy, uint64(w.Index2)|uint64(w.Index)<<32)
	case wasm.TableInit:
		l.three(TableInit, l.elems.number(w.Index, l.m.Elems[w.Index].Mode)|uint64(w.Index2)<<32)
	case wasm.ElemDrop:
		if n := l.elems.number(w.Index, l.m.Elems[w.Index].Mode); n != 0 {
			l.emit(Instruction{Op: ElemDrop, Imm: n})
		}
	case wasm.RefIsNull:
		a := l.operand()
		l.emit(Instruction{Op: RefIsNull, D: l.result(), A: a})
	default:
		panic("BUG: no lowering of " + w.Op.String())
	}
}

// operand pops a value and gives its slot.
func (l *lowering) operand() uint32 {
	v := l.pop()
	return l.in(v, len(l.stack))
}

// three emits an instruction with three operands, in their canonical slots, and no result.
func (l *lowering) three(op Op, imm uint64) {
	height := len(l.stack) - 3
	l.settleAll(height)
	l.truncate(height)
	l.emit(Instruction{Op: op, A: l.slot(height), Imm: imm})
}

// arguments puts those of a call where the callee has its parameters.
func (l *lowering) arguments(t wasm.FuncType) uint32 {
	n := len(l.stack) - len(t.Params)
	l.settleAll(n)
	l.need(l.locals + n + 1) // a callee with neither has a first slot all the same
	l.truncate(n)
	return l.slot(n)
}

func (l *lowering) returned(t wasm.FuncType) {
	l.pushes(len(t.Results))
}

// setLocal pops a value and stores it to a local.
func (l *lowering) setLocal(number uint32) {
	v := l.pop()
	if v.kind == local && v.bits == uint64(number) {
		return
	}
	height := len(l.stack)
	l.reclaim(number)
	if in, ok := l.made(0, v, height); ok {
		in.D = number
		l.put(l.pc()-1, in)
		return
	}
	l.store(number, v, height)
}

// setGlobal pops a value and stores it to a global: with the sum of a slot and a constant in one instruction, as stack pointers change.
func (l *lowering) setGlobal(number uint32) {
	a := l.operand()
	if pc := l.pc() - 1; pc >= l.barrier {
		last := l.at(pc)
		if (last.Op == i32Add || last.Op == i32Sub) && last.Flags == FlagImm && last.D == a {
			if last.Op == i32Sub {
				last.Imm = -last.Imm
			}
			last.Op, last.Flags, last.Imm = GlobalMove, 0, last.Imm&(1<<32-1)|uint64(number)<<32
			l.put(pc, last)
			return
		}
	}
	l.emit(Instruction{Op: GlobalSet, A: a, Imm: uint64(number)})
}

// choose lowers select.
func (l *lowering) choose() {
	condition := l.operand()
	v := l.pop()
	second := l.in(v, len(l.stack))
	first := l.operand()
	l.emit(Instruction{Op: Select, D: l.result(), A: condition, B: second, C: first})
}
