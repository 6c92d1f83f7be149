package bytecode

import "github.com/dialtone-gpu/dialtone/program/wasm"

// open begins a block, loop or if.
func (l *lowering) open(fn, at int) {
	w := l.walker
	b := w.Block
	new := label{height: b.Height, params: len(b.Type.Params), results: len(b.Type.Results), loop: w.Op == wasm.Loop, dead: w.Dead, orelse: -1}
	if w.Dead {
		l.labels = append(l.labels, new)
		return
	}
	if i, ok := l.regions[place{fn, at}]; ok && w.Op != wasm.If {
		l.settleAll(0)
		l.region(i, new)
		return
	}
	if w.Op == wasm.If {
		condition := l.pop()
		// The values below go to both branches: in their slots before the condition is looked at.
		in := l.condition(condition)
		l.settleAll(0)
		in.Flags ^= FlagNot
		new.orelse = l.jump(in)
	} else {
		l.settleAll(0)
	}
	if new.loop {
		l.mark()
		new.start = l.pc()
	}
	l.labels = append(l.labels, new)
}

// divide goes from an if to its else.
func (l *lowering) divide() {
	top := &l.labels[len(l.labels)-1]
	if top.dead {
		return
	}
	if !l.walker.Dead {
		l.settleAll(top.height)
		top.jumps = append(top.jumps, l.jump(Instruction{Op: Branch}))
	}
	l.land(top.orelse)
	top.orelse = -1
	l.restore(top.height, top.params)
}

// close ends a block, or the function.
func (l *lowering) close() {
	top := l.labels[len(l.labels)-1]
	if len(l.labels) == 1 {
		if !l.walker.Dead && top.results > 0 {
			l.leave()
		}
		if top.results == 0 { // branches to it come here
			for _, pc := range top.jumps {
				l.land(pc)
			}
			l.emit(Instruction{Op: Return})
		}
		return
	}
	l.labels = l.labels[:len(l.labels)-1]
	if top.dead {
		return
	}
	if !l.walker.Dead {
		l.settleAll(top.height)
	}
	if top.orelse >= 0 {
		l.land(top.orelse)
	}
	for _, pc := range top.jumps {
		l.land(pc)
	}
	l.restore(top.height, top.results)
}

// restore has n values in their slots above a height.
func (l *lowering) restore(height, n int) {
	l.truncate(height)
	l.pushes(n)
	l.settleAll(0)
}

// A jump is where a target is to be put: the number of an instruction, or, for what is in a table, the complement of a half of a word.

// land makes the next instruction the target of a jump.
func (l *lowering) land(jump int) {
	l.mark()
	l.aim(jump, l.pc())
}

// aim sets the target of a jump.
func (l *lowering) aim(jump, target int) {
	if jump < 0 {
		half := ^jump
		shift := half % 2 * 32
		l.code[half/2] = l.code[half/2]&^(uint64(1<<32-1)<<shift) | uint64(target)<<shift
		return
	}
	in := l.at(jump)
	if in.Op == Branch || in.Op == BranchIf {
		in.Imm = uint64(target)
	} else { // if it is too far, the function is lowered once more
		in.D = uint32(target-jump-1) & slotMask
	}
	l.put(jump, in)
}

// send has a jump go to a label.
func (l *lowering) send(jump int, to *label) {
	if to.loop {
		l.aim(jump, to.start)
	} else {
		to.jumps = append(to.jumps, jump)
	}
}

func (l *lowering) label(depth uint32) *label { return &l.labels[len(l.labels)-1-int(depth)] }

// isBody reports that a label is that of the function.
func (l *lowering) isBody(to *label) bool { return to == &l.labels[0] }

// inPlace reports that the topmost values are at the heights where a label wants them. Those of the function go elsewhere.
func (l *lowering) inPlace(to *label) bool {
	n := to.operands()
	return n == 0 || !l.isBody(to) && to.height == len(l.stack)-n
}

// move puts the topmost values where a label wants them. They stay on the stack.
func (l *lowering) move(to *label) {
	n := to.operands()
	from := len(l.stack) - n
	if from == to.height {
		l.settleAll(from)
		return
	}
	if n > 1 {
		l.settleAll(from)
		l.emit(Instruction{Op: CopyRange, D: l.slot(to.height), A: l.slot(from), Imm: uint64(n)})
	} else if n == 1 {
		l.store(l.slot(to.height), l.stack[from], from)
	}
}

// goTo goes to a label, with the topmost values.
func (l *lowering) goTo(to *label) {
	if l.isBody(to) && to.results > 0 {
		l.leave()
		return
	}
	l.move(to)
	l.send(l.jump(Instruction{Op: Branch}), to)
}

func (l *lowering) branch(depth uint32) { l.goTo(l.label(depth)) }

// leave returns from the function, with the topmost values.
func (l *lowering) leave() {
	n := l.results
	from := len(l.stack) - n
	switch n {
	case 0:
		l.emit(Instruction{Op: Return})
	case 1:
		v := l.stack[from]
		flags, b, imm := l.b(v, from)
		l.emit(Instruction{Op: ReturnValue, Flags: flags, B: b, Imm: imm})
	default: // what is copied first may be a local that is needed later
		l.settleAll(from)
		l.emit(Instruction{Op: CopyRange, A: l.slot(from), Imm: uint64(n)})
		l.emit(Instruction{Op: Return})
	}
}

// condition gives the branch for a condition that was popped. If the last instruction was a comparison, it is taken back, and is in the branch.
func (l *lowering) condition(v value) Instruction {
	height := len(l.stack)
	last, ok := l.made(0, v, height)
	if !ok || !l.fused || last.Op.Info().branch == Invalid {
		return Instruction{Op: BranchIf, A: l.in(v, height)}
	}
	l.drop()
	if (last.Op == i32Eqz || last.Op == i64Eqz) && last.A == l.slot(height) { // other comparisons of 32 bits have turned into their opposites
		if before, ok := l.made(0, value{}, height); ok && before.Op.Info().branch != Invalid {
			l.drop()
			last = before
			last.Flags |= FlagNot
		}
	}
	last.Op, last.D = last.Op.Info().branch, 0
	return last
}

// jump emits a branch, whose target is yet to be set.
func (l *lowering) jump(in Instruction) (jump int) {
	l.emit(in)
	return l.pc() - 1
}

func (l *lowering) branchIf(depth uint32) {
	to := l.label(depth)
	in := l.condition(l.pop())
	if l.inPlace(to) {
		l.settleAll(len(l.stack) - to.operands())
		l.send(l.jump(in), to)
		return
	}
	if n := to.operands(); n > 1 {
		l.settleAll(len(l.stack) - n)
	}
	in.Flags ^= FlagNot
	over := l.jump(in)
	l.goTo(to)
	l.land(over)
}

func (l *lowering) branchTable(depths []uint32) {
	a := l.operand()
	if n := l.label(depths[0]).operands(); n > 0 {
		l.settleAll(len(l.stack) - n)
	}
	table := l.targets(Instruction{Op: BranchTable, A: a, Imm: uint64(len(depths) - 1)}, len(depths))
	away := map[uint32]int{} // labels that values have to be moved for, and where that is done
	for i, depth := range depths {
		to := l.label(depth)
		if l.inPlace(to) {
			l.send(^(table + i), to)
			continue
		}
		pc, ok := away[depth]
		if !ok {
			l.mark()
			pc = l.pc()
			away[depth] = pc
			l.goTo(to)
		}
		l.aim(^(table + i), pc)
	}
}

// targets emits an instruction with n targets behind it, and gives the place of the first, in halves of words.
func (l *lowering) targets(in Instruction, n int) int {
	l.emit(in)
	table := 2 * len(l.code)
	l.code = append(l.code, make([]uint64, Words*tableInstructions(n))...)
	l.mark()
	return table
}

// region emits the call of native code in place of a construct, and walks to its end.
func (l *lowering) region(i int, construct label) {
	r := l.native[i]
	l.mark()
	pc := l.pc()
	table := l.targets(Instruction{Op: Native, Imm: uint64(i) | uint64(len(r.Exits))<<32}, len(r.Exits))
	away := -1
	own := []int{}
	for k, exit := range r.Exits {
		switch {
		case exit == 0:
			own = append(own, ^(table + k))
			continue
		case exit == ExitAgain:
			l.aim(^(table + k), pc)
			continue
		}
		to := l.label(uint32(exit - 1))
		if !l.isBody(to) || to.results == 0 {
			l.send(^(table + k), to)
			continue
		}
		if away < 0 { // the results are in the canonical slots of the body
			l.mark()
			away = l.pc()
			l.emit(Instruction{Op: CopyRange, A: l.slot(0), Imm: uint64(to.results)})
			l.emit(Instruction{Op: Return})
			l.need(l.locals + to.results)
		}
		l.aim(^(table + k), away)
	}
	depth := l.walker.Depth()
	for l.walker.Next() && l.walker.Depth() >= depth {
	}
	for _, jump := range own {
		l.land(jump)
	}
	l.mark()
	l.restore(construct.height, construct.results)
}

// thread has what sets a local to a constant, and then goes to a table that chooses by this local, go where the table would. Go's compiler
// makes most jumps so.
func (l *lowering) thread(start int) {
	marks := l.marks
	for pc := start; pc < l.pc()-1; pc++ {
		for len(marks) > 0 && marks[0] <= pc {
			marks = marks[1:]
		}
		in, jump := l.at(pc), l.at(pc+1)
		alone := len(marks) == 0 || marks[0] != pc+1 // nothing else comes to the jump
		if in.Op == Copy && in.Flags&FlagImm != 0 && jump.Op == Branch && alone {
			if table := l.at(int(jump.Imm)); table.Op == BranchTable && table.A == in.D {
				i := min(uint64(uint32(in.Imm)), table.Imm)
				jump.Imm = uint64(target(l.code, int(jump.Imm), int(i)))
				l.put(pc+1, jump)
			}
		}
		pc += tableInstructions(in.targets())
	}
}
