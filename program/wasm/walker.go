package wasm

// What a module may have, so that neither memory nor time is out of proportion to its size. The first three are browsers' limits: those
// that the WebAssembly JavaScript Interface lists under "Implementation-defined Limits". No compiler comes near the other two.
const (
	maxElements = 1_000_000 // types, functions, imports, exports, globals, and all other vectors too
	maxTypes    = 1_000     // parameters; results
	maxLocals   = 50_000    // with the parameters
	maxOperands = 1 << 16
	maxLabels   = 1 << 16
)

// An Instr is an instruction with its immediates. Which of them it has, Op.Info says; the others are left from earlier instructions.
type Instr struct {
	Op     Op
	At     int      // offset of its first byte in the file
	Index  uint32   // of a label, local, global, function, type, table or segment; of table.copy's destination
	Index2 uint32   // of the table of call_indirect and table.init; of table.copy's source
	Align  uint32   // logarithm to the base 2 of a claim about the address, at most that of Info.Width: true of C and Rust, not of Go
	Offset uint32   // to be added to the address, without wrapping
	Value  uint64   // the bits of a constant, in the lower half if it has 32
	Type   ValType  // of ref.null, and of select with a type
	Labels []uint32 // of br_table, with the default as the last; valid until the next instruction
}

// A Label is a block, loop or if that an instruction is in, or, as the outermost one, the function's body.
type Label struct {
	Op     Op // Block, Loop, If or Else; Block for the body
	Type   FuncType
	Height int  // operands below its parameters
	Dead   bool // nothing leads here

	polymorphic bool // after an instruction that does not go on to the next one
}

// Operands returns the types that a branch to the label takes along.
func (l *Label) Operands() ValTypes {
	if l.Op == Loop {
		return l.Type.Params
	}
	return l.Type.Results
}

// A Walker goes through functions' bodies instruction by instruction and validates them by the specification's algorithm
// (WebAssembly Core Specification 2.0, appendix "Validation Algorithm"). Decode has used one on every function, so that the bodies of
// a Module have no errors left, and what a Walker says of them can be relied on.
//
//	w := wasm.NewWalker(m)
//	for w.Begin(fn); w.Next(); {
//		switch w.Op { ... }
//	}
//
// It can be used for one function after the other, and allocates nothing once its stacks are large enough.
type Walker struct {
	Instr
	// Height is how many operands there were before the instruction, those of all enclosing blocks together. It says nothing if Dead.
	Height int
	// Dead is set if the instruction comes after one that does not go on to the next, such as br, up to the end of that block.
	Dead bool
	// Block is what the instruction opens, divides or closes, if it is block, loop, if, else or end. It is valid until the next instruction.
	Block *Label

	reader
	m         *Module
	params    ValTypes
	locals    []Locals
	labels    []Label  // around the next instruction, outermost first
	stack     []byte   // the types of the operands
	blockType FuncType // an immediate
	constant  bool     // what is walked is a constant expression
}

// NewWalker returns a walker through functions of m, which has to come from Decode.
func NewWalker(m *Module) *Walker { return &Walker{m: m} }

// Begin goes to the beginning of the body of m.Funcs[fn], which must not be imported.
func (w *Walker) Begin(fn int) {
	f := &w.m.Funcs[fn]
	t := w.m.Types[f.Type]
	w.begin(reader{buf: w.m.file[:f.Offset+len(f.Code)], pos: f.Offset}, t.Results)
	w.params, w.locals, w.constant = t.Params, f.Locals, false
}

func (w *Walker) begin(r reader, results ValTypes) {
	w.reader = r
	w.stack = w.stack[:0]
	w.labels = append(w.labels[:0], Label{Op: Block, Type: FuncType{Results: results}})
}

// Depth returns how many labels are around the next instruction, with that of the body.
func (w *Walker) Depth() int { return len(w.labels) }

// Label returns the target of a branch: 0 is the innermost of the labels around the next instruction. It is valid until that.
func (w *Walker) Label(index uint32) *Label { return &w.labels[len(w.labels)-1-int(index)] }

// Next goes to the next instruction. It returns false after the end of the body.
func (w *Walker) Next() bool {
	if len(w.labels) == 0 || w.err != nil {
		return false
	}
	top := w.Label(0)
	w.At = w.pos
	w.Height = len(w.stack)
	w.Dead = top.Dead || top.polymorphic
	w.Op = w.opcode()
	info := &table[w.Op]
	w.immediate(info.Imm[0], &w.Index)
	if info.Imm[1] != 0 {
		w.immediate(info.Imm[1], &w.Index2)
	}
	if w.err != nil {
		return false
	}
	w.pop(info.In)
	if info.Varies {
		w.vary()
	}
	if info.Out != "" {
		w.pushOne(ValType(info.Out[0])) // no instruction has more
	}
	return w.err == nil
}

// opcode reads an opcode and returns only accepted ones.
func (w *Walker) opcode() Op {
	first := w.byte()
	op, proposal := Op(first), opProposals[first]
	if first >= 0xfc && w.err == nil {
		sub := w.u32()
		switch {
		case first == 0xfc && sub < uint32(len(table))-uint32(prefixed):
			op = prefixed + Op(sub)
		case first == 0xfc && sub == 18:
			proposal = memoryControl
		case first == 0xfc && sub <= 22:
			proposal = wideArithmetic
		case first == 0xfd && sub < 0x100:
			proposal = simd
		case first == 0xfd:
			proposal = relaxedSIMD
		}
	}
	switch {
	case w.err != nil:
		return Nop
	case table[op].Name == "":
		w.refuse(w.At, proposal, "illegal opcode %#02x", first)
		return Nop
	case w.constant && !op.constant():
		switch op {
		case I32Add, I32Sub, I32Mul, I64Add, I64Sub, I64Mul:
			proposal = extendedConst
		}
		w.refuse(w.At, proposal, "constant expression required, found %v", op)
		return Nop
	}
	return op
}

// immediate reads and checks an immediate; index is where it goes if it is an index.
func (w *Walker) immediate(kind Imm, index *uint32) {
	switch kind {
	case 0:
	case BlockType:
		w.blockType = w.readBlockType()
	case LabelIndex:
		*index = w.index(w.At, "label", len(w.labels))
	case LabelIndices:
		w.Labels = w.Labels[:0]
		for range w.count(1) + 1 {
			w.Labels = append(w.Labels, w.index(w.At, "label", len(w.labels)))
		}
	case SelectType:
		if n := w.count(1); n != 1 {
			w.fail(w.At, "invalid result arity: select has %d types", n)
		}
		w.Type = w.valType()
	case RefType:
		if w.peek() < 0x40 {
			w.refuse(w.At, typedFuncRefs, "ref.null of a type by its index")
		}
		w.Type = w.refType()
	case LocalIndex:
		n := len(w.params)
		if k := len(w.locals); k > 0 {
			n += int(w.locals[k-1].End)
		}
		*index = w.index(w.At, "local", n)
	case GlobalIndex:
		*index = w.index(w.At, "global", len(w.m.Globals))
	case FuncIndex:
		*index = w.index(w.At, "function", len(w.m.Funcs))
	case TypeIndex:
		*index = w.index(w.At, "type", len(w.m.Types))
	case TableIndex:
		*index = w.index(w.At, "table", len(w.m.Tables))
	case ElemIndex:
		*index = w.index(w.At, "elem segment", len(w.m.Elems))
	case DataIndex:
		if w.m.dataCount < 0 {
			w.fail(w.At, "data count section required")
			return
		}
		*index = w.index(w.At, "data segment", w.m.dataCount)
	case MemoryIndex:
		if w.byte() != 0 {
			w.refuse(w.At, multiMemory, "zero byte expected as the index of the memory")
		}
		w.needMemory()
	case MemArg:
		w.Align = w.u32()
		if w.Align&0x40 != 0 {
			w.refuse(w.At, multiMemory, "an index of a memory in %v", w.Op)
		} else if width := table[w.Op].Width; w.Align >= 8 || 1<<w.Align > width {
			w.fail(w.At, "alignment must not be larger than natural: 2^%d of %d bytes", w.Align, width)
		}
		w.Offset = w.u32()
		w.needMemory()
	case I32Value:
		w.Value = uint64(uint32(w.signed(32)))
	case I64Value:
		w.Value = uint64(w.signed(64))
	case F32Value:
		w.Value = uint64(w.fixed32())
	case F64Value:
		w.Value = w.fixed64()
	}
}

func (w *Walker) needMemory() {
	if len(w.m.Memories) == 0 {
		w.fail(w.At, "unknown memory 0")
	}
}

func (w *Walker) readBlockType() FuncType {
	const empty = 0x40
	switch b := w.peek(); {
	case b == empty:
		w.byte()
		return FuncType{}
	case b > empty && b < 0x80: // as an integer it would be negative
		return FuncType{Results: ValTypes([]ValType{w.valType()})}
	}
	i := w.signed(33)
	if i < 0 || i >= int64(len(w.m.Types)) {
		w.fail(w.At, "unknown type %d", i)
		return FuncType{}
	}
	return w.m.Types[i]
}

// vary does what an instruction does to the stacks beyond its In and Out.
func (w *Walker) vary() {
	top := w.Label(0)
	switch w.Op {
	case Block, Loop, If:
		w.pop(w.blockType.Params)
		if len(w.labels) == maxLabels {
			w.fail(w.At, "implementation limit: %d nested blocks", maxLabels)
		}
		w.labels = append(w.labels, Label{Op: w.Op, Type: w.blockType, Height: len(w.stack), Dead: w.Dead})
		w.Block = w.Label(0)
		w.push(w.blockType.Params)
	case Else:
		w.popBlock(top)
		if top.Op != If {
			w.fail(w.At, "else without if")
		}
		top.Op, top.polymorphic = Else, false
		w.Block = top
		w.push(top.Type.Params)
	case End:
		w.popBlock(top)
		if top.Op == If && top.Type.Params != top.Type.Results {
			w.fail(w.At, "type mismatch: if without else has the type %v", top.Type)
		}
		w.Block = top
		w.labels = w.labels[:len(w.labels)-1]
		w.push(top.Type.Results)

	case Unreachable:
		w.leave(top)
	case Br:
		w.pop(w.Label(w.Index).Operands())
		w.leave(top)
	case BrIf:
		types := w.Label(w.Index).Operands()
		w.pop(types)
		w.push(types)
	case BrTable:
		arity := len(w.Label(w.Labels[0]).Operands())
		for _, i := range w.Labels {
			types := w.Label(i).Operands()
			if len(types) != arity {
				w.fail(w.At, "type mismatch: labels of br_table take %d and %d operands", arity, len(types))
			}
			w.check(types)
			if w.err != nil {
				return
			}
		}
		w.leave(top)
	case Return:
		w.pop(w.labels[0].Type.Results)
		w.leave(top)
	case Call:
		w.call(w.m.Types[w.m.Funcs[w.Index].Type])
	case CallIndirect:
		if t := w.m.Tables[w.Index2].Type; t != FuncRef {
			w.fail(w.At, "type mismatch: call_indirect through a table of %v", t)
		}
		w.call(w.m.Types[w.Index])

	case Drop:
		w.popAny()
	case Select:
		a, b := w.popAny(), w.popAny()
		if a == bottom {
			a = b
		}
		if a.IsRef() || b.IsRef() || a != b && b != bottom {
			w.fail(w.At, "type mismatch: select of %v and %v", b, a)
		}
		w.pushOne(a)
	case SelectTyped:
		w.popOne(w.Type)
		w.popOne(w.Type)
		w.pushOne(w.Type)

	case LocalGet:
		w.pushOne(w.local(w.Index))
	case LocalSet:
		w.popOne(w.local(w.Index))
	case LocalTee:
		t := w.local(w.Index)
		w.popOne(t)
		w.pushOne(t)
	case GlobalGet:
		g := &w.m.Globals[w.Index]
		if w.constant && (!g.Imported || g.Mutable) {
			w.fail(w.At, "constant expression required: global %d is not imported and immutable", w.Index)
		}
		w.pushOne(g.Type)
	case GlobalSet:
		g := &w.m.Globals[w.Index]
		if !g.Mutable {
			w.fail(w.At, "global is immutable: %d", w.Index)
		}
		w.popOne(g.Type)

	case TableGet:
		w.pushOne(w.m.Tables[w.Index].Type)
	case TableSet, TableFill:
		w.popOne(w.m.Tables[w.Index].Type)
		w.popOne(I32)
	case TableGrow:
		w.popOne(w.m.Tables[w.Index].Type)
	case TableInit:
		if from, to := w.m.Elems[w.Index].Type, w.m.Tables[w.Index2].Type; from != to {
			w.fail(w.At, "type mismatch: table.init of a table of %v with %v", to, from)
		}
	case TableCopy:
		if from, to := w.m.Tables[w.Index2].Type, w.m.Tables[w.Index].Type; from != to {
			w.fail(w.At, "type mismatch: table.copy to a table of %v from one of %v", to, from)
		}

	case RefNull:
		w.pushOne(w.Type)
	case RefIsNull:
		if t := w.popAny(); !t.IsRef() && t != bottom {
			w.fail(w.At, "type mismatch: ref.is_null of %v", t)
		}
	case RefFunc:
		if f := &w.m.Funcs[w.Index]; w.constant {
			f.declared = true
		} else if !f.declared {
			w.fail(w.At, "undeclared function reference: %d", w.Index)
		}
	}
}

// popBlock pops the results of the innermost block, which must be all that it has.
func (w *Walker) popBlock(top *Label) {
	w.pop(top.Type.Results)
	if n := len(w.stack) - top.Height; n != 0 {
		w.fail(w.At, "type mismatch: a block leaves %d operands too many", n)
	}
}

// leave is the effect of instructions that do not go on to the next.
func (w *Walker) leave(top *Label) {
	w.stack = w.stack[:top.Height]
	top.polymorphic = true
}

func (w *Walker) call(t FuncType) {
	w.pop(t.Params)
	w.push(t.Results)
}

// local returns the type of a parameter or local variable that there is.
func (w *Walker) local(i uint32) ValType {
	if int(i) < len(w.params) {
		return ValType(w.params[i])
	}
	i -= uint32(len(w.params))
	low, high := 0, len(w.locals)-1
	for low < high {
		if middle := (low + high) / 2; i < w.locals[middle].End {
			high = middle
		} else {
			low = middle + 1
		}
	}
	return w.locals[low].Type
}

func (w *Walker) push(types ValTypes) {
	if len(w.stack)+len(types) > maxOperands {
		w.fail(w.At, "implementation limit: %d operands", maxOperands)
		return
	}
	w.stack = append(w.stack, types...)
}

func (w *Walker) pushOne(t ValType) {
	if len(w.stack) >= maxOperands {
		w.fail(w.At, "implementation limit: %d operands", maxOperands)
		return
	}
	w.stack = append(w.stack, byte(t))
}

func (w *Walker) popOne(want ValType) {
	if t := w.popAny(); t != want && t != bottom {
		w.fail(w.At, "type mismatch: %v takes %v, found %v", w.Op, want, t)
	}
}

func (w *Walker) popAny() ValType {
	n, top := len(w.stack), w.Label(0)
	if n > top.Height {
		t := w.stack[n-1]
		w.stack = w.stack[:n-1]
		return ValType(t)
	}
	if !top.polymorphic {
		w.fail(w.At, "type mismatch: %v has too few operands", w.Op)
	}
	return bottom
}

func (w *Walker) pop(types ValTypes) {
	if types != "" {
		w.check(types)
		w.stack = w.stack[:max(len(w.stack)-len(types), w.Label(0).Height)]
	}
}

// check compares the topmost operands.
func (w *Walker) check(want ValTypes) {
	top := w.Label(0)
	have := w.stack[max(len(w.stack)-len(want), top.Height):]
	if string(have) == string(want) {
		return
	}
	ok := len(have) == len(want) || top.polymorphic
	for i, t := range have {
		ok = ok && (t == want[len(want)-len(have)+i] || ValType(t) == bottom)
	}
	if !ok {
		w.fail(w.At, "type mismatch: %v takes %v, found %v", w.Op, want, ValTypes(have))
	}
}
