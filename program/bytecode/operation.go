package bytecode

import "github.com/dialtone-gpu/dialtone/program/wasm"

// operation lowers an instruction of package machine.
func (l *lowering) operation(op Op) {
	w := l.walker
	info := w.Op.Info()
	switch {
	case sameBits(w.Op):
	case info.Width > 0 && info.Out != "":
		l.load(op, w.Offset)
	case info.Width > 0:
		l.storeTo(op, w.Offset)
	case len(info.In) == 3:
		c := l.operand()
		b := l.operand()
		l.emit(Instruction{Op: op, A: l.operand(), B: b, C: c})
	case len(info.In) == 2:
		second := l.pop()
		first := l.pop()
		height := len(l.stack)
		if swapped, ok := swaps[w.Op]; ok && first.kind == constant && second.kind != constant {
			b := l.in(second, height+1)
			l.emit(Instruction{Op: of[swapped], Flags: FlagImm, D: l.result(), A: b, Imm: first.bits})
			return
		}
		flags, b, imm := l.b(second, height+1)
		if flags == 0 && info.In[1] == byte(wasm.I32) {
			b = l.narrow(second, height+1, b)
		}
		a := l.in(first, height)
		if info.In[0] == byte(wasm.I32) {
			a = l.narrow(first, height, a)
		}
		l.emit(Instruction{Op: op, Flags: flags, D: l.result(), A: a, B: b, Imm: imm})
	default:
		v := l.pop()
		if w.Op == wasm.I32Eqz {
			if in, ok := l.made(0, v, len(l.stack)); ok {
				if other := opposite[in.Op]; other != Invalid {
					in.Op = other
					l.put(l.pc()-1, in)
					l.push(value{})
					return
				}
			}
		}
		a := l.in(v, len(l.stack))
		d := l.result()
		l.emit(Instruction{Op: op, D: d, A: a})
		if w.Op == wasm.I64Extend8S || w.Op == wasm.I64Extend16S {
			l.emit(Instruction{Op: of[wasm.I64ExtendI32S], D: d, A: d})
		}
	}
}

// sameBits reports that the result is in the slot of the operand already.
func sameBits(op wasm.Op) bool {
	switch op {
	case wasm.I64ExtendI32U, wasm.I32ReinterpretF32, wasm.F32ReinterpretI32, wasm.I64ReinterpretF64, wasm.F64ReinterpretI64:
		return true
	}
	return false
}

// narrow takes back i32.wrap_i64, if it was the last instruction and made the operand at a height: what takes 32 bits of a slot does so of any. It gives
// the operand's slot, which is slot if there was no such instruction.
func (l *lowering) narrow(v value, height int, slot uint32) uint32 {
	if in, ok := l.made(0, v, height); ok && in.Op == i32Wrap {
		l.drop()
		return in.A
	}
	return slot
}

// swaps are the operations that are the same, or another one, with their operands exchanged.
var swaps = map[wasm.Op]wasm.Op{
	wasm.I32Add: wasm.I32Add, wasm.I32Mul: wasm.I32Mul, wasm.I32And: wasm.I32And, wasm.I32Or: wasm.I32Or, wasm.I32Xor: wasm.I32Xor,
	wasm.I64Add: wasm.I64Add, wasm.I64Mul: wasm.I64Mul, wasm.I64And: wasm.I64And, wasm.I64Or: wasm.I64Or, wasm.I64Xor: wasm.I64Xor,
	wasm.I32Eq: wasm.I32Eq, wasm.I32Ne: wasm.I32Ne, wasm.I32LtS: wasm.I32GtS, wasm.I32LtU: wasm.I32GtU, wasm.I32GtS: wasm.I32LtS,
	wasm.I32GtU: wasm.I32LtU, wasm.I32LeS: wasm.I32GeS, wasm.I32LeU: wasm.I32GeU, wasm.I32GeS: wasm.I32LeS, wasm.I32GeU: wasm.I32LeU,
	wasm.I64Eq: wasm.I64Eq, wasm.I64Ne: wasm.I64Ne, wasm.I64LtS: wasm.I64GtS, wasm.I64LtU: wasm.I64GtU, wasm.I64GtS: wasm.I64LtS,
	wasm.I64GtU: wasm.I64LtU, wasm.I64LeS: wasm.I64GeS, wasm.I64LeU: wasm.I64GeU, wasm.I64GeS: wasm.I64LeS, wasm.I64GeU: wasm.I64LeU,
	wasm.F32Add: wasm.F32Add, wasm.F32Mul: wasm.F32Mul, wasm.F32Eq: wasm.F32Eq, wasm.F32Ne: wasm.F32Ne, wasm.F32Lt: wasm.F32Gt,
	wasm.F32Gt: wasm.F32Lt, wasm.F32Le: wasm.F32Ge, wasm.F32Ge: wasm.F32Le,
	wasm.F64Add: wasm.F64Add, wasm.F64Mul: wasm.F64Mul, wasm.F64Eq: wasm.F64Eq, wasm.F64Ne: wasm.F64Ne, wasm.F64Lt: wasm.F64Gt,
	wasm.F64Gt: wasm.F64Lt, wasm.F64Le: wasm.F64Ge, wasm.F64Ge: wasm.F64Le,
}

// opposite are the comparisons that hold where others do not; of floats, NaN leaves only those of equality.
var opposite = func() []Op {
	all := make([]Op, len(ops))
	for _, p := range [][2]wasm.Op{
		{wasm.I32Eq, wasm.I32Ne}, {wasm.I32LtS, wasm.I32GeS}, {wasm.I32LtU, wasm.I32GeU}, {wasm.I32GtS, wasm.I32LeS}, {wasm.I32GtU, wasm.I32LeU},
		{wasm.I64Eq, wasm.I64Ne}, {wasm.I64LtS, wasm.I64GeS}, {wasm.I64LtU, wasm.I64GeU}, {wasm.I64GtS, wasm.I64LeS}, {wasm.I64GtU, wasm.I64LeU},
		{wasm.F32Eq, wasm.F32Ne}, {wasm.F64Eq, wasm.F64Ne},
	} {
		all[of[p[0]]], all[of[p[1]]] = of[p[1]], of[p[0]]
	}
	return all
}()

var (
	i32Add, i32Sub, i32Shl, i32Eqz = of[wasm.I32Add], of[wasm.I32Sub], of[wasm.I32Shl], of[wasm.I32Eqz]
	i64Add, i64Eqz, i32Wrap        = of[wasm.I64Add], of[wasm.I64Eqz], of[wasm.I32WrapI64]
)

// index takes back the addition that made an address: a is its first operand. The other is a constant imm of those that fit, or a slot b shifted left.
func (l *lowering) index(v value, height int, fits func(uint32) bool) (a, b, shift, imm uint32, constant, ok bool) {
	add, ok := l.made(0, v, height)
	if ok && add.Op == i32Wrap { // of 64 bits that were added, only the lower half counts
		if sum, made := l.made(1, value{}, height); made && sum.Op == i64Add && add.A == l.slot(height) {
			l.drop()
			add = sum
		}
	}
	if !ok || add.Op != i32Add && add.Op != i64Add {
		return 0, 0, 0, 0, false, false
	}
	a, b = add.A, add.B
	if add.Flags&FlagImm != 0 {
		if !fits(uint32(add.Imm)) {
			return 0, 0, 0, 0, false, false
		}
		l.drop()
		return a, 0, 0, uint32(add.Imm), true, true
	}
	if pc := l.pc() - 2; pc >= l.barrier {
		// What a shift left in the slot of an operand has been used up by the addition.
		by := l.at(pc)
		if by.Op == i32Shl && by.Flags&FlagImm != 0 && by.Imm&31 < 1<<shiftBits && int(by.D) >= l.locals && a != b && (by.D == a || by.D == b) {
			if by.D == a {
				a = b
			}
			l.drop()
			l.drop()
			return a, by.A, uint32(by.Imm & 31), 0, false, true
		}
	}
	l.drop()
	return a, b, 0, 0, false, true
}

// load lowers one. Its address is slot a + index + offset: the index, which wraps, is a constant or a slot shifted left.
func (l *lowering) load(op Op, offset uint32) {
	v := l.pop()
	in := Instruction{Op: op, Flags: FlagImm}
	a, b, shift, imm, constant, ok := l.index(v, len(l.stack), func(uint32) bool { return true })
	switch {
	case !ok:
		in.A = l.narrow(v, len(l.stack), l.in(v, len(l.stack)))
	case constant:
		in.A, in.Imm = a, uint64(imm)<<32
	default:
		in.Flags, in.A, in.B, in.Shift = 0, a, b, shift
	}
	in.D = l.result()
	in.Imm |= uint64(offset)
	l.emit(in)
}

// storeTo lowers a store, whose address is like that of a load if what it stores is no constant. A constant that is added to the address must be small.
func (l *lowering) storeTo(op Op, offset uint32) {
	what := l.pop()
	address := l.pop()
	height := len(l.stack)
	in := Instruction{Op: op, Imm: uint64(offset)}
	if what.kind == constant && int64(what.bits) == int64(int32(what.bits)) || what.kind == constant && l.walker.Op.Info().In[1] != byte(wasm.I64) && l.walker.Op.Info().In[1] != byte(wasm.F64) {
		in.Flags = FlagImm
		in.A = l.narrow(address, height, l.in(address, height))
		in.Imm |= what.bits << 32
		l.emit(in)
		return
	}
	if what.kind == local { // so that what made the address may be the last instruction
		small := func(v uint32) bool { return signed(v) == int(int32(v)) }
		if a, b, shift, imm, constant, ok := l.index(address, height, small); ok {
			in.A, in.B, in.D = a, uint32(what.bits), imm
			if !constant {
				in.Flags, in.D, in.Shift = FlagIndex, b, shift
			}
			l.emit(in)
			return
		}
	}
	in.B = l.in(what, height+1)
	in.A = l.narrow(address, height, l.in(address, height))
	l.emit(in)
}
