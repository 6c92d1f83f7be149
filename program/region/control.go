package region

import (
	"fmt"
	"maps"
	"slices"

	"github.com/dialtone-gpu/dialtone/program/wasm"
)

// A label is a block, loop or if in the C that is being written. Those that no branch leads to need no C of their own: they are plain.
//
// A branch to the innermost statement that break leaves is break, or continue if it is a loop. A branch farther out
// sets the variable to, and behind every statement on its way it is looked at: see leave and arrive.
type label struct {
	op       wasm.Op
	id       int // what to is for a branch to it, not 0
	plain    bool
	breaks   bool    // it is a loop or a do that break leaves
	operands []value // variables: what a branch to it takes along
	results  []value // variables, unless it is plain
	params   []value // of an if, for its second half
	height   int     // operands below it
	reached  bool    // control comes to its end
	dirty    bool    // so that vm->trap may be set
	entry    bool    // dirty, at the beginning of an if
	escapes  []*label
}

// root stands for what is behind a region's loop.
var root = &label{id: 1}

// variables declares one for each type.
func (e *emitter) variables(types wasm.ValTypes) []value {
	var all []value
	for _, t := range []byte(types) {
		v := value{c: e.name("r"), typ: wasm.ValType(t)}
		e.line("%s %s;", cType(v.typ), v.c)
		all = append(all, v)
	}
	return all
}

// assign sets variables, all at once.
func (e *emitter) assign(to, values []value) {
	if len(to) > 1 {
		values = slices.Clone(values)
		for i := range values {
			values[i] = e.fix(values[i])
		}
	}
	for i := range to {
		if to[i].c != values[i].c {
			e.line("%s = %s;", to[i].c, values[i].c)
		}
	}
}

// top are the topmost operands.
func (e *emitter) top(n int) []value { return e.stack[len(e.stack)-n:] }

// open begins a block, loop or if.
func (e *emitter) open() {
	e.opened++
	c := &e.body[e.opened]
	l := &label{op: e.w.Op, id: e.opened + 1, plain: !c.targeted && c.op != wasm.If, breaks: c.targeted}
	t := e.w.Block.Type
	var cond value
	if l.op == wasm.If {
		cond = e.pop()
	}
	params := e.popAll(len(t.Params))
	e.fixAll()
	l.height = len(e.stack)
	e.labels = append(e.labels, l)
	if l.plain {
		e.stack = append(e.stack, params...)
		return
	}
	l.results = e.variables(t.Results)
	l.operands = l.results
	switch l.op {
	case wasm.Block:
		e.line("do {")
	case wasm.Loop:
		if !e.unit.whole {
			e.check()
		}
		l.operands = e.variables(t.Params)
		e.assign(l.operands, params)
		params = l.operands
		e.line("for (;;) {")
	case wasm.If:
		for i := range params {
			params[i] = e.fix(params[i])
		}
		l.params = params
		if l.breaks {
			e.line("do {")
		}
		e.line("if %s {", cond.condition())
		l.entry = e.dirty
	}
	e.indent++
	e.stack = append(e.stack, params...)
	if l.op == wasm.Loop {
		e.head(c)
	}
}

// head is what a loop does before each turn.
func (e *emitter) head(c *construct) {
	if c.traps {
		e.dirty = true
	}
	if e.unit.whole { // it looks what came of its accesses when it looks whether the run is over
		e.usesFuel, e.usesEnd = true, true
		e.line("VM_LOOP_TURN(%s)", e.failed)
		return
	}
	e.check()
	if !e.unit.fuel {
		return
	}
	e.usesFuel = true
	if e.region != nil && len(e.labels) == 1 {
		e.line("if ((hc_i32)left <= 0) {")
		e.indent++
		e.exit(Again, e.labels[0].operands, e.w.Block.Height)
		e.line("break;")
		e.indent--
		e.line("}")
	}
	e.line("left--;")
}

// fall goes on behind the construct from the end of what is in it.
func (e *emitter) fall(l *label) {
	if e.dead {
		return
	}
	e.assign(l.results, e.top(len(l.results)))
	l.reached = true
	l.dirty = l.dirty || e.dirty
}

// otherwise begins the second half of an if.
func (e *emitter) otherwise() {
	l := e.labels[len(e.labels)-1]
	e.fall(l)
	e.indent--
	e.line("} else {")
	e.indent++
	l.op = wasm.Else
	e.stack = append(e.stack[:l.height], l.params...)
	e.dirty, e.dead = l.entry, false
}

// end closes a block, loop or if.
func (e *emitter) end() {
	if len(e.labels) == 0 { // of the function
		if !e.dead {
			e.result(e.stack)
		}
		return
	}
	l := e.labels[len(e.labels)-1]
	if l.plain {
		e.labels = e.labels[:len(e.labels)-1]
		return
	}
	if l.op == wasm.If && len(l.results) > 0 { // whose results are its parameters
		e.otherwise()
	}
	e.fall(l)
	switch l.op {
	case wasm.If:
		l.reached = true
		l.dirty = l.dirty || l.entry
	case wasm.Loop:
		if len(e.labels) == 1 && e.region != nil && !e.dead {
			e.exit(0, l.results, e.w.Block.Height)
		}
		if !e.dead {
			e.line("break;")
		}
	}
	e.labels = e.labels[:len(e.labels)-1]
	e.indent--
	if l.op == wasm.Block || l.op != wasm.Loop && l.breaks {
		if l.op != wasm.Block {
			e.line("}")
		}
		e.line("} while (0);")
	} else {
		e.line("}")
	}
	e.stack = e.stack[:l.height]
	for _, r := range l.results {
		r.fixed = true
		e.push(r)
	}
	e.dirty, e.dead = l.dirty, !l.reached
	e.arrive(l)
}

// jump is a branch.
func (e *emitter) jump(index uint32) {
	if target := e.carry(index); target != nil {
		e.leave(target)
	}
}

// carry takes the operands of a branch along, and returns where it goes. If it is the function's end, it returns from there, and gives nil.
func (e *emitter) carry(index uint32) *label {
	if int(index) < len(e.labels) {
		l := e.labels[len(e.labels)-1-int(index)]
		e.assign(l.operands, e.top(len(l.operands)))
		if l.op != wasm.Loop {
			l.reached = true
			l.dirty = l.dirty || e.dirty
		}
		return l
	}
	l := e.w.Label(index)
	values := e.top(len(l.Operands()))
	if e.region == nil {
		e.result(values)
		return nil
	}
	e.exit(int(index)-len(e.labels)+1, values, l.Height)
	return root
}

// exit leaves the region, to where height operands are below the values.
func (e *emitter) exit(to int, values []value, height int) {
	for i, v := range values {
		e.line("fp[%d] = %s;", len(e.locals)+height+i, v.c)
	}
	e.line("out = %du;", e.region.exit(to))
}

// innermost is the label whose statement break leaves.
func (e *emitter) innermost() *label {
	for _, l := range slices.Backward(e.labels) {
		if l.breaks {
			return l
		}
	}
	return nil
}

// step goes to l, which is the innermost.
func (l *label) step() string {
	if l.op == wasm.Loop {
		return "continue;"
	}
	return "break;"
}

// leave goes to a label, its operands being there.
func (e *emitter) leave(target *label) {
	inner := e.innermost()
	switch {
	case inner == target:
		e.line("%s", inner.step())
	case target == root && inner == e.labels[0]:
		e.line("break;")
	default:
		e.depart(target)
		e.line("break;")
	}
}

// depart sets out for a label that is farther out than the innermost.
func (e *emitter) depart(target *label) {
	e.usesTo = true
	e.line("to = %du;", target.id)
	for _, l := range slices.Backward(e.labels) {
		if l == target {
			break
		}
		if l.breaks && !slices.Contains(l.escapes, target) {
			l.escapes = append(l.escapes, target)
		}
	}
}

// arrive goes on with the branches that have left l, which has ended.
func (e *emitter) arrive(l *label) {
	inner := e.innermost()
	if len(l.escapes) == 0 || inner == nil {
		return
	}
	here := slices.Contains(l.escapes, inner)
	farther := len(l.escapes) > 1 || !here
	if e.dead && !farther {
		e.line("to = 0u;")
		e.line("%s", inner.step())
		return
	}
	if here {
		e.line("if (to == %du) {", inner.id)
		e.line("    to = 0u;")
		e.line("    %s", inner.step())
		e.line("}")
	}
	switch {
	case farther && e.dead:
		e.line("break;")
	case farther:
		e.line("if (to != 0u) break;")
	}
}

// table is br_table.
func (e *emitter) table() {
	index := e.pop()
	labels := e.w.Labels
	last := labels[len(labels)-1]
	inner := e.innermost()
	if !slices.ContainsFunc(labels, func(l uint32) bool { return l != last }) {
		e.jump(last)
		return
	}
	cases := map[uint32]string{}
	for i, to := range labels[:len(labels)-1] {
		cases[to] += fmt.Sprintf("case %du: ", i)
	}
	cases[last] = "default: "
	here, farther, dirty := false, false, e.dirty
	e.line("switch (%s) {", index.c)
	for _, to := range slices.Sorted(maps.Keys(cases)) {
		e.line("%s{", cases[to])
		e.indent++
		e.dirty = dirty
		switch target := e.carry(to); target {
		case nil:
		case inner:
			here = true
			e.line("break;")
		default:
			farther = true
			e.depart(target)
			e.line("break;")
		}
		e.indent--
		e.line("}")
	}
	e.line("}")
	switch {
	case here && farther:
		if inner.op == wasm.Loop {
			e.line("if (to != 0u) break;")
		}
		e.line("%s", inner.step())
	case here:
		e.line("%s", inner.step())
	case farther:
		e.line("break;")
	}
}

// revives reports that control comes to the instruction although it does not come to the one before, and skips others.
func (e *emitter) revives() bool {
	switch e.w.Op {
	case wasm.Block, wasm.Loop, wasm.If:
		e.opened++
		e.skipped++
		return false
	case wasm.Else:
		return e.skipped == 0
	case wasm.End:
		if e.skipped > 0 {
			e.skipped--
			return false
		}
		return true
	}
	return false
}
