package region

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/dialtone-gpu/dialtone/program/machine"
	"github.com/dialtone-gpu/dialtone/program/wasm"
)

// A value is an operand: a C expression that has no effects, so that it may be evaluated later or never.
type value struct {
	c     string
	typ   wasm.ValType
	reads []uint32 // locals
	fixed bool     // a constant or a variable that keeps its value: evaluating it later makes no difference
	test  string   // of a comparison: the same as a condition
}

// longest is how long an expression may become, in bytes, before it gets a variable.
const longest = 200

// An emitter writes the C of one piece of a function: a loop, or all of it. What it writes is structured as the instructions are, without goto.
type emitter struct {
	s      *scanner
	w      *wasm.Walker
	unit   *unit
	fn     int
	body   body
	locals []wasm.ValType
	region *Region // nil for a whole function

	text     strings.Builder
	indent   int
	stack    []value
	labels   []*label // those that the piece has, outermost first
	opened   int      // constructs that have begun, with skipped ones
	skipped  int      // constructs around the instruction that are not reached
	dead     bool     // control does not come here
	dirty    bool     // vm->trap may be set, and was not looked at
	names    int      // variables made so far
	most     int      // values that were there at the same time, besides locals
	used     map[uint32]bool
	modified map[uint32]bool
	usesVM   bool // its own copy of the state
	usesTo   bool
	usesEnd  bool // of memory, in a whole program
	usesFuel bool
	failed   string // what it returns after a trap
}

func (e *emitter) line(format string, a ...any) {
	for range min(e.indent, 8) { // code is nested deeper than it is of use to show
		e.text.WriteString("    ")
	}
	fmt.Fprintf(&e.text, format, a...)
	e.text.WriteByte('\n')
}

// cType is the type of variables that hold values of t.
func cType(t wasm.ValType) string {
	if t == wasm.I64 || t == wasm.F64 {
		return "hc_u64"
	}
	return "hc_u32"
}

func (e *emitter) push(v value) {
	e.stack = append(e.stack, v)
	e.most = max(e.most, len(e.stack)+2*len(e.labels)) // with what labels carry
}

func (e *emitter) pop() value {
	v := e.stack[len(e.stack)-1]
	e.stack = e.stack[:len(e.stack)-1]
	return v
}

func (e *emitter) popAll(n int) []value {
	at := len(e.stack) - n
	values := slices.Clone(e.stack[at:])
	e.stack = e.stack[:at]
	return values
}

// name makes a name for a variable.
func (e *emitter) name(prefix string) string {
	e.names++
	return prefix + strconv.Itoa(e.names)
}

// fix evaluates v now.
func (e *emitter) fix(v value) value {
	if v.fixed {
		return v
	}
	return e.keep(v)
}

// keep gives v a variable.
func (e *emitter) keep(v value) value {
	name := e.name("t")
	e.line("const %s %s = %s;", cType(v.typ), name, v.c)
	return value{c: name, typ: v.typ, fixed: true}
}

// join says what an expression of several values reads.
func (v *value) join(of []value) {
	v.fixed = true
	for _, o := range of {
		v.reads = append(v.reads, o.reads...)
		v.fixed = v.fixed && o.fixed
	}
}

// fixAll evaluates the operands below those topmost now: what comes next may be left and entered again, or change what they read.
func (e *emitter) fixAll() {
	for i, v := range e.stack {
		e.stack[i] = e.fix(v)
	}
}

// fixReaders evaluates the operands that read a local, which is about to change.
func (e *emitter) fixReaders(local uint32) {
	for i, v := range e.stack {
		if slices.Contains(v.reads, local) {
			e.stack[i] = e.fix(v)
		}
	}
}

func constant(t wasm.ValType, bits uint64) value {
	c := fmt.Sprintf("%#xu", bits)
	if cType(t) == "hc_u64" {
		c = fmt.Sprintf("(hc_u64)%#x", bits)
	}
	return value{c: c, typ: t, fixed: true}
}

// grouped is v's expression as an operand of another.
func (v value) grouped() string {
	if len(v.c) > 0 && !strings.ContainsAny(v.c, " (") {
		return v.c
	}
	return "(" + v.c + ")"
}

// filled is an expression of machine's table with its operands.
func (e *emitter) filled(expression string, in []value) string {
	return operands.ReplaceAllStringFunc(expression, func(name string) string {
		if name == "ea" {
			if e.w.Offset == 0 {
				return "(hc_u64)" + in[0].grouped()
			}
			return fmt.Sprintf("(hc_u64)%s + %#xu", in[0].grouped(), e.w.Offset)
		}
		return in[name[0]-'a'].grouped()
	})
}

var operands = regexp.MustCompile(`\b(a|b|c|ea)\b`)

// operation emits an instruction of machine's table.
func (e *emitter) operation(op machine.Operation) {
	if e.unit.whole && op.Traps {
		e.careful(op)
		return
	}
	in := e.popAll(len(op.In))
	if op.Out == 0 {
		e.check()
	}
	v := value{typ: op.Out}
	v.join(in)
	v.c = e.filled(op.C, in)
	if op.Op >= wasm.I32Eqz && op.Op <= wasm.F64Ge {
		if test, ok := strings.CutPrefix(v.c, "(hc_u32)"); ok {
			v.test = test
		}
		if op.Op == wasm.I32Eqz && in[0].test != "" {
			v.test = "(!" + in[0].test + ")"
			v.c = "(hc_u32)" + v.test
		}
	}
	if op.Traps {
		e.usesVM = true
		e.dirty = true
	}
	switch {
	case op.Out == 0:
		e.line("%s;", v.c)
	case op.Traps || len(v.c) > longest:
		e.push(e.keep(v))
	default:
		e.push(v)
	}
}

// check leaves if there was a trap.
func (e *emitter) check() {
	switch {
	case !e.dirty:
		return
	case e.unit.whole: // it traps at once, but where accesses have no branches
		e.usesEnd = true
		e.line("VM_SETTLE(%s)", e.failed)
	default:
		e.usesVM = true
		e.line("VM_CHECK(%s)", e.failed)
	}
	e.dirty = false
}

// local uses a local variable.
func (e *emitter) local(i uint32) value {
	e.used[i] = true
	c := "l" + strconv.Itoa(int(i))
	if e.double(i) {
		c = "VM_DOUBLE_BITS(" + c + ")"
	}
	return value{c: c, typ: e.locals[i], reads: []uint32{i}}
}

// double reports a local that is of the device's own type for f64, if it has one: bits that a loop takes along as an integer are carried to where floats
// are computed, and back, in each turn.
func (e *emitter) double(i uint32) bool { return e.region != nil && e.locals[i] == wasm.F64 }

// set assigns to a local variable.
func (e *emitter) set(i uint32, v value) {
	l := e.local(i)
	if v.c == l.c {
		return
	}
	e.fixReaders(i)
	e.modified[i] = true
	if e.double(i) {
		e.line("l%d = VM_DOUBLE(%s);", i, v.c)
		return
	}
	e.line("%s = %s;", l.c, v.c)
}

// walk emits from the walker's next instruction on up to the end of the piece.
func (e *emitter) walk() {
	for e.w.Next() {
		if e.dead && !e.revives() {
			continue
		}
		e.instruction()
		if e.region != nil && len(e.labels) == 0 {
			return
		}
	}
}

func (e *emitter) instruction() {
	w := e.w
	switch w.Op {
	case wasm.Nop:
	case wasm.Unreachable:
		e.check()
		e.usesVM, e.usesEnd = true, e.usesEnd || e.unit.whole
		e.line("vm->trap = VM_UNREACHABLE;")
		e.line("VM_CHECK(%s)", e.failed)
		e.dead = true
	case wasm.Block, wasm.Loop, wasm.If:
		e.open()
	case wasm.Else:
		e.otherwise()
	case wasm.End:
		e.end()
	case wasm.Br:
		e.jump(w.Index)
		e.dead = true
	case wasm.BrIf:
		cond := e.pop()
		e.line("if %s {", cond.condition())
		e.indent++
		dirty := e.dirty
		e.jump(w.Index)
		e.dirty = dirty
		e.indent--
		e.line("}")
	case wasm.BrTable:
		e.table()
		e.dead = true
	case wasm.Return:
		e.jump(uint32(w.Depth() - 1))
		e.dead = true
	case wasm.Call:
		e.call()
	case wasm.CallIndirect:
		e.callIndirect()
	case wasm.Drop:
		e.pop()
	case wasm.Select, wasm.SelectTyped:
		in := e.popAll(3)
		v := value{c: fmt.Sprintf("%s ? %s : %s", in[2].condition(), in[0].grouped(), in[1].grouped()), typ: in[0].typ}
		v.join(in)
		if len(v.c) > longest {
			v = e.keep(v)
		}
		e.push(v)
	case wasm.LocalGet:
		e.push(e.local(w.Index))
	case wasm.LocalSet:
		e.set(w.Index, e.pop())
	case wasm.LocalTee:
		e.set(w.Index, e.pop())
		e.push(e.local(w.Index))
	case wasm.GlobalGet:
		e.usesVM = true
		t := e.s.m.Globals[w.Index].Type
		e.push(e.keep(value{c: fmt.Sprintf("(%s)vm->globals[%d]", cType(t), w.Index), typ: t}))
	case wasm.GlobalSet:
		if !e.unit.whole {
			e.check()
		}
		e.usesVM = true
		e.line("vm->globals[%d] = %s;", w.Index, e.pop().c)
	case wasm.MemorySize:
		from := "vm"
		if e.unit.whole { // where calls may have changed it
			from = "state"
		} else {
			e.usesVM = true
		}
		e.push(e.keep(value{c: "(hc_u32)(" + from + "->bytes >> 16)", typ: wasm.I32}))
	case wasm.MemoryGrow:
		e.grow()
	case wasm.I32Const, wasm.F32Const:
		e.push(constant(wasm.I32, w.Value))
	case wasm.I64Const, wasm.F64Const:
		e.push(constant(wasm.I64, w.Value))
	default:
		op, ok := machine.Find(w.Op)
		if !ok {
			panic(fmt.Sprintf("BUG: %v was taken for an instruction that has C", w.Op))
		}
		e.operation(op)
	}
}

// condition is v as a condition, in parentheses.
func (v value) condition() string {
	if v.test != "" {
		return v.test
	}
	return "(" + v.grouped() + " != 0u)"
}
