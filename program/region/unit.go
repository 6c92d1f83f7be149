package region

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dialtone-gpu/dialtone/program/wasm"
)

// A unit is what is emitted together: regions and the functions that they call, or a whole program.
type unit struct {
	s     *scanner
	most  int  // instructions of a region
	fuel  bool // loops count their turns
	whole bool // functions may do everything: they are those of a program, not of regions
	reach map[int]*reach
	last  *emitter // of a region

	bind     map[int]int  // of a program: the numbers of imported functions
	indirect []indirect   // and the kinds of calls through tables
	circles  map[int]bool // functions that take a turn for those that call each other
}

// reach is what a function does with those that it calls.
type reach struct {
	loops, traps bool
	calls        bool // it calls functions of the program, and so may come back to itself
	hosts, grows bool
	functions    []int // with itself, callees first
	size, depth  int   // instructions of all of them; nested loops
	unfit        string
	open         bool // being looked at
}

func newUnit(m *wasm.Module, most int) *unit {
	return &unit{s: newScanner(m), most: most, reach: map[int]*reach{}}
}

// of follows the calls of a function, to find whether regions may call it.
func (u *unit) of(fn int) *reach {
	if r, ok := u.reach[fn]; ok {
		if r.open {
			return &reach{unfit: "it is recursive"}
		}
		return r
	}
	r := &reach{open: true}
	u.reach[fn] = r
	if u.s.imported(fn) {
		r.unfit = "it is imported"
	} else {
		u.follow(r, &u.s.body(fn)[0])
		r.functions = append(r.functions, fn) // callees first
	}
	r.open = false
	return r
}

// follow adds a construct and what it calls.
func (u *unit) follow(r *reach, c *construct) {
	switch {
	case c.hosts:
		r.unfit = "it calls the host, or through a table"
	case c.grows:
		r.unfit = "it grows the memory"
	case c.unfit != 0:
		r.unfit = fmt.Sprintf("it has %v", c.unfit)
	case c.nested > mostNested:
		r.unfit = "its blocks are nested too deeply"
	}
	r.size, r.depth, r.loops, r.traps = c.size, c.depth, c.depth > 0, c.traps
	seen := map[int]bool{}
	for _, fn := range c.calls {
		if r.unfit != "" {
			break
		}
		o := u.of(int(fn))
		if o.unfit != "" {
			r.unfit = fmt.Sprintf("function %d: %s", fn, o.unfit)
			break
		}
		r.loops, r.traps = r.loops || o.loops, r.traps || o.traps
		r.depth = max(r.depth, c.depth+o.depth)
		for _, f := range o.functions {
			if !seen[f] {
				seen[f] = true
				r.functions = append(r.functions, f)
				r.size += u.s.body(f)[0].size
			}
		}
		if r.size > u.most {
			r.unfit = "it is too large with those that it calls"
		}
	}
	if r.unfit != "" {
		r.functions = nil
	}
}

func (u *unit) emitter(fn int) *emitter {
	return &emitter{s: u.s, w: wasm.NewWalker(u.s.m), unit: u, fn: fn, body: u.s.body(fn), locals: localTypes(u.s.m, fn),
		used: map[uint32]bool{}, modified: map[uint32]bool{}, indent: 1}
}

// small is up to how many instructions a function may be put where it is called.
const small = 40

// params are the parameters that functions have besides their own, and arguments the same in a call.
func (u *unit) params(r *reach) (params, arguments []string) {
	add := func(yes bool, param, argument string) {
		if yes {
			params, arguments = append(params, param), append(arguments, argument)
		}
	}
	add(true, "vm_state *state", "state")
	add(u.fuel && r.loops && !u.whole, "hc_u32 *fuel", "fuel")
	return params, arguments
}

// head is the head of a function in C.
func (u *unit) head(fn int) string {
	how := "HC_NOINLINE"
	if c := &u.s.body(fn)[0]; c.size <= small && c.depth == 0 && len(c.calls) == 0 && !u.whole {
		how = "DEVICE"
	}
	return u.declare(how, fmt.Sprintf("vm_function_%d", fn), u.s.m.Types[u.s.m.Funcs[fn].Type], u.of(fn))
}

// declare is the head of a C function of type t, with the parameters that go before those.
func (u *unit) declare(how, name string, t wasm.FuncType, r *reach, before ...string) string {
	result := "void"
	if t.Results != "" {
		result = cType(wasm.ValType(t.Results[0]))
	}
	params, _ := u.params(r)
	params = append(params, before...)
	for i, p := range []byte(t.Params) {
		params = append(params, fmt.Sprintf("%s l%d", cType(wasm.ValType(p)), i))
	}
	for i := 1; i < len(t.Results); i++ {
		params = append(params, fmt.Sprintf("%s *result%d", cType(wasm.ValType(t.Results[i])), i))
	}
	return fmt.Sprintf("%s %s %s(%s)", how, result, name, strings.Join(params, ", "))
}

// failure is what a function returns after a trap.
func failure(t wasm.FuncType) string {
	if t.Results == "" {
		return ""
	}
	return "0u"
}

// function emits a function. It gives how many bytes of stack that may need.
func (u *unit) function(b *strings.Builder, fn int) (frame int) {
	e := u.emitter(fn)
	t := u.s.m.Types[u.s.m.Funcs[fn].Type]
	e.failed = failure(t)
	e.w.Begin(fn)
	e.walk()
	fmt.Fprintf(b, "%s {\n", u.head(fn))
	if u.whole {
		u.enter(b, fn, e.failed)
	}
	e.prologue(b)
	for i := len(t.Params); i < len(e.locals); i++ {
		if e.used[uint32(i)] {
			fmt.Fprintf(b, "    %s l%d = 0u;\n", cType(e.locals[i]), i)
		}
	}
	b.WriteString(e.text.String())
	b.WriteString("}\n\n")
	return frameBytes + 2*slotBytes*(len(e.locals)+e.most)
}

// What of the stack a function may need: what is always there, and a slot for each value that may be there at the same time, and another for what compilers
// keep besides.
const (
	frameBytes = 1024
	slotBytes  = 8
)

// prologue declares what the piece uses besides locals.
func (e *emitter) prologue(b *strings.Builder) {
	if e.usesVM {
		b.WriteString("    vm_state own = *state;\n    vm_state *const vm = &own;\n")
	}
	if e.usesEnd {
		b.WriteString("    hc_u32 end = state->end, outside = 0u;\n")
	}
	if e.usesFuel {
		left := "*fuel"
		if e.unit.whole {
			left = "VM_TURNS_AT_ONCE"
		}
		fmt.Fprintf(b, "    hc_u32 left = %s;\n", left)
	}
	if e.usesTo {
		b.WriteString("    hc_u32 to = 0u;\n")
	}
}

// result returns from a function.
func (e *emitter) result(values []value) {
	e.check()
	if e.usesFuel && !e.unit.whole {
		e.line("*fuel = left;")
	}
	for i := 1; i < len(values); i++ {
		e.line("*result%d = %s;", i, values[i].c)
	}
	if len(values) == 0 {
		e.line("return;")
		return
	}
	e.line("return %s;", values[0].c)
}

// call calls a function.
func (e *emitter) call() {
	fn := int(e.w.Index)
	t := e.s.m.Types[e.s.m.Funcs[fn].Type]
	if e.s.imported(fn) {
		e.callHost(fn, t)
		return
	}
	e.invoke(fmt.Sprintf("vm_function_%d", fn), t, e.unit.of(fn))
}

// invoke calls a C function of type t, with the arguments that go before those.
func (e *emitter) invoke(name string, t wasm.FuncType, r *reach, before ...string) {
	args := e.popAll(len(t.Params))
	e.check()
	_, list := e.unit.params(r)
	counts := slices.Contains(list, "fuel")
	if counts {
		e.usesFuel = true
		e.line("*fuel = left;")
	}
	list = append(list, before...)
	for _, a := range args {
		list = append(list, a.c)
	}
	results := e.variables(t.Results)
	for i := 1; i < len(results); i++ {
		list = append(list, "&"+results[i].c)
	}
	call := fmt.Sprintf("%s(%s);", name, strings.Join(list, ", "))
	if len(results) > 0 {
		call = results[0].c + " = " + call
	}
	e.line("%s", call)
	if counts {
		e.line("left = *fuel;")
	}
	e.look(r)
	for _, r := range results {
		r.fixed = true
		e.push(r)
	}
}

// look sees what a call has done to the state.
func (e *emitter) look(r *reach) {
	switch {
	case !r.traps && !r.grows:
	case e.unit.whole:
		e.line("VM_PASS(%s)", e.failed)
		if r.grows {
			e.usesEnd = true
			e.line("end = state->end;")
		}
	default:
		e.usesVM = true
		e.line("vm->trap = state->trap;")
		e.dirty = true
		e.check()
	}
}

// loop emits a region.
func (u *unit) loop(b *strings.Builder, r *Region, number int) {
	e := u.emitter(r.Func)
	e.region, e.failed, e.usesFuel = r, "0u", true
	if l := u.last; l != nil && l.fn == r.Func && l.region.End <= r.Start {
		e.w, e.opened = l.w, l.opened // it goes on from there
	} else {
		e.w.Begin(r.Func)
	}
	u.last = e
	for code := u.s.m.Funcs[r.Func].Offset; e.w.Next() && e.w.At-code != r.Start; {
		switch e.w.Op {
		case wasm.Block, wasm.Loop, wasm.If:
			e.opened++
		}
	}
	height := e.w.Block.Height
	for i, t := range []byte(e.w.Block.Type.Params) {
		v := value{typ: wasm.ValType(t), fixed: true}
		v.c = fmt.Sprintf("(%s)fp[%d]", cType(v.typ), len(e.locals)+height+i)
		e.push(v)
	}
	e.open()
	e.walk()
	fmt.Fprintf(b, "HC_NOINLINE hc_u32 vm_region_%d(vm_state *state, GLOBAL hc_u64 *fp, hc_u32 *fuel) {\n    hc_u32 out = 0u;\n", number)
	e.prologue(b)
	for i, t := range e.locals {
		if e.used[uint32(i)] {
			if e.double(uint32(i)) {
				fmt.Fprintf(b, "    VM_DOUBLE_TYPE l%d = VM_DOUBLE(fp[%[1]d]);\n", i)
				continue
			}
			fmt.Fprintf(b, "    %s l%d = (%[1]s)fp[%[2]d];\n", cType(t), i)
		}
	}
	b.WriteString(e.text.String())
	if e.usesVM {
		b.WriteString("    VM_CHECK(0u)\n")
	}
	for i := range e.locals {
		if e.modified[uint32(i)] {
			l := fmt.Sprintf("l%d", i)
			if e.double(uint32(i)) {
				l = "VM_DOUBLE_BITS(" + l + ")"
			}
			fmt.Fprintf(b, "    VM_LEAVE(fp[%d], %s)\n", i, l)
		}
	}
	b.WriteString("    *fuel = (hc_i32)left > 0 ? left : 0u;\n    return out;\n}\n\n")
}
