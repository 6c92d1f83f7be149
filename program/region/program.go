package region

import (
	_ "embed"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/dialtone-gpu/dialtone/program/machine"
	"github.com/dialtone-gpu/dialtone/program/wasm"
)

// A Binding gives the number by which the host knows a function that the module imports.
type Binding func(module, name string) (number int, err error)

// Program returns a whole module in C, for the dialects that have recursion: CUDA C++, HIP C++ and C11. Each function is one, and a call through
// a table is a switch. The text goes behind the macros VM_WHOLE, VM_STACK_BYTES, VM_TURNS and VM_CANCELLED, the text of package machine, and
//
//	void vm_host(vm_state *vm, hc_u32 number)
//	void vm_over(vm_state *vm)
//
// The first calls the host's function of that number, at once: its parameters are in vm->area, a slot each, and so are its results behind it. If the program
// is to end with that it sets vm->trap, to a trap or to another number, and says VM_STOP(vm). The second is called when the program ends so or traps, and the work-item
// with it, where that is possible: what else is to be done then. What is called is
//
//	void vm_program(vm_state *state)
//
// which calls the start function, if there is one, and then the exported function that entry names, which takes and returns nothing. Memory and globals
// have what they begin with, state->item keeps the work-item, state->area has room for parameters and results, and state->turns has VM_TURNS. After so many turns of
// loops and calls the program looks whether the run is over: then it ends with the trap VM_CANCELLED, which is no trap's number.
//
// Calls may nest as deep as their frames take VM_STACK_BYTES, less than 2^30; then they trap. They may go beyond by frame bytes, what the largest function may need
// as far as its variables tell, and by what the functions in front of the text need.
//
// An error names what a program in C cannot have: tables that change, references, and more instructions than compilers for devices finish.
func Program(m *wasm.Module, entry string, bind Binding) (text string, frame int, err error) {
	u := newUnit(m, math.MaxInt)
	u.whole, u.fuel = true, true
	u.bind = map[int]int{}
	main := slices.IndexFunc(m.Exports, func(e wasm.Export) bool { return e.Kind == wasm.KindFunc && e.Name == entry })
	if main < 0 {
		return "", 0, fmt.Errorf("the module exports no function %q", entry)
	}
	calls := []int{int(m.Exports[main].Index)}
	if m.Start >= 0 {
		calls = slices.Insert(calls, 0, m.Start)
	}
	for _, fn := range calls {
		if t := m.Types[m.Funcs[fn].Type]; t != (wasm.FuncType{}) {
			return "", 0, fmt.Errorf("function %d has the type %v, so that it cannot be called first", fn, t)
		}
	}
	for _, i := range m.Imports {
		if i.Kind != wasm.KindFunc {
			return "", 0, fmt.Errorf("import of a %v: %s.%s", i.Kind, i.Module, i.Name)
		}
		n, err := bind(i.Module, i.Name)
		if err != nil {
			return "", 0, err
		}
		u.bind[int(i.Index)] = n
	}
	if err := u.resolve(); err != nil {
		return "", 0, err
	}
	u.close()
	var b, bodies strings.Builder
	b.WriteString(prelude)
	for fn := range m.Funcs {
		if !u.s.imported(fn) {
			b.WriteString(u.head(fn) + ";\n")
			frame = max(frame, u.function(&bodies, fn))
		}
	}
	if err := u.dispatch(&b, &bodies); err != nil {
		return "", 0, err
	}
	b.WriteString("\n" + bodies.String())
	b.WriteString("DEVICE void vm_program(vm_state *state) {\n    hc_u32 here;\n    state->stack = VM_ADDRESS(here);\n    state->end = VM_END(state->bytes);\n")
	for _, fn := range calls {
		if u.s.imported(fn) {
			fmt.Fprintf(&b, "    vm_host(state, %du);\n", u.bind[fn])
		} else {
			_, list := u.params(u.of(fn))
			fmt.Fprintf(&b, "    vm_function_%d(%s);\n", fn, strings.Join(list, ", "))
		}
		b.WriteString("    VM_PASS()\n")
	}
	b.WriteString("}\n")
	return b.String(), frame, nil
}

// mostProgram is how many instructions a program may have. NVRTC 12.4 took a minute for 43,000, NVRTC 11.8 35 seconds for 14,000 and more than five minutes for 50,000; with
// 640,000, those of Go's runtime, 23 GiB of memory were not enough.
const mostProgram = 100_000

//go:embed program.h
var prelude string

// enter is what a function begins with.
func (u *unit) enter(b *strings.Builder, fn int, failed string) {
	fmt.Fprintf(b, "    const hc_u32 function = %du;\n", fn)
	r := u.of(fn)
	if r.calls {
		fmt.Fprintf(b, "    VM_NEST(%s)\n", failed)
	}
	if r.loops || u.circles[fn] {
		fmt.Fprintf(b, "    VM_TURN(%s)\n", failed)
	}
}

// close finds a function of each circle of those that call each other directly: those to which a walk along the calls comes back.
func (u *unit) close() {
	u.circles = map[int]bool{}
	const begun, done = 1, 2
	state := map[int]int{}
	var visit func(fn int)
	visit = func(fn int) {
		state[fn] = begun
		for _, callee := range u.s.body(fn)[0].calls {
			switch {
			case state[int(callee)] == begun:
				u.circles[int(callee)] = true
			case state[int(callee)] == 0:
				visit(int(callee))
			}
		}
		state[fn] = done
	}
	for fn := range u.s.m.Funcs {
		if !u.s.imported(fn) && state[fn] == 0 {
			visit(fn)
		}
	}
}

// access is a load or a store in an expression of machine's table.
var access = regexp.MustCompile(`vm_(?:load|store)([1248])\(vm, ea(?:, (.*))?\)`)

// careful emits an instruction that may trap.
func (e *emitter) careful(op machine.Operation) {
	in := e.popAll(len(op.In))
	at := access.FindStringSubmatchIndex(op.C)
	if at == nil {
		e.usesVM, e.usesEnd = true, true
		if op.Out == 0 { // it works on memory, which calls may have made larger
			e.line("vm->bytes = state->bytes;")
			e.line("%s;", e.filled(op.C, in))
		} else {
			e.push(e.keep(value{c: e.filled(op.C, in), typ: op.Out}))
		}
		e.line("VM_CHECK(%s)", e.failed)
		return
	}
	size := op.C[at[2]:at[3]]
	n := uint64(size[0] - '0')
	address := in[0]
	if strings.ContainsAny(address.c, " (") {
		address = e.keep(address)
	}
	e.usesVM, e.usesEnd, e.dirty = true, true, true
	least := min(uint64(e.s.m.Memories[0].Min)*bytesOfPage, math.MaxUint32) // that end can be: memory never has less
	far := ""
	if uint64(e.w.Offset)+n > least {
		far = "FAR_"
	}
	if op.Out == 0 {
		e.line("VM_%sSTORE(%s, %s, %s, %#xu, %s)", far, size, e.filled("("+op.C[at[4]:at[5]]+")", in), address.c, e.w.Offset, e.failed)
		return
	}
	to := e.name("t")
	typ := wasm.ValType(wasm.I32)
	if n == 8 {
		typ = wasm.I64
	}
	e.line("%s %s;", cType(typ), to)
	e.line("VM_%sLOAD(%s, %s, %s, %#xu, %s)", far, size, to, address.c, e.w.Offset, e.failed)
	e.push(value{c: op.C[:at[0]] + to + op.C[at[1]:], typ: op.Out, fixed: true})
}

// bytesOfPage is the size of a page of memory.
const bytesOfPage = 1 << 16

// resolve finds what functions do with those that they call.
func (u *unit) resolve() error {
	size := 0
	for fn := range u.s.m.Funcs {
		if !u.s.imported(fn) {
			size += u.s.body(fn)[0].size
		}
	}
	if size > mostProgram {
		return fmt.Errorf("the module has %d instructions, and compilers for devices do not finish with more than %d", size, mostProgram)
	}
	for fn := range u.s.m.Funcs {
		if u.s.imported(fn) {
			continue
		}
		c := u.s.body(fn)[0]
		if c.unfit != 0 {
			return fmt.Errorf("function %d has %v", fn, c.unfit)
		}
		if c.nested > mostNested {
			return fmt.Errorf("function %d has %d blocks in each other, more than %d", fn, c.nested, mostNested)
		}
		calls := c.hosts || len(c.calls) > 0
		u.reach[fn] = &reach{traps: c.traps || calls || c.depth > 0, loops: c.depth > 0, calls: calls, hosts: c.hosts, grows: c.grows || c.hosts}
	}
	callers := map[uint32][]int{}
	var todo []int // those that do what their callers do then, too
	for fn, r := range u.reach {
		for _, callee := range u.s.body(fn)[0].calls {
			callers[callee] = append(callers[callee], fn)
		}
		if r.hosts || r.grows {
			todo = append(todo, fn)
		}
	}
	for len(todo) > 0 {
		o := u.reach[todo[len(todo)-1]]
		from := callers[uint32(todo[len(todo)-1])]
		todo = todo[:len(todo)-1]
		for _, fn := range from {
			if r := u.reach[fn]; o.hosts && !r.hosts || o.grows && !r.grows {
				r.hosts, r.grows = r.hosts || o.hosts, r.grows || o.grows
				todo = append(todo, fn)
			}
		}
	}
	return nil
}

// everything is what a call through a table may do.
var everything = &reach{traps: true, loops: true, calls: true, hosts: true, grows: true}

func (e *emitter) callHost(fn int, t wasm.FuncType) {
	args := e.popAll(len(t.Params))
	e.check()
	for i, a := range args {
		e.line("state->area[%d] = %s;", i, a.c)
	}
	e.line("vm_host(state, %du);", e.unit.bind[fn])
	e.look(everything)
	for i, r := range []byte(t.Results) {
		v := value{typ: wasm.ValType(r)}
		v.c = fmt.Sprintf("(%s)state->area[%d]", cType(v.typ), i)
		e.push(e.keep(v))
	}
}

func (e *emitter) callIndirect() {
	t := e.s.m.Types[e.w.Index]
	index := e.fix(e.pop())
	u := e.unit
	way := indirect{e.w.Index2, t}
	n := slices.Index(u.indirect, way)
	if n < 0 {
		n = len(u.indirect)
		u.indirect = append(u.indirect, way)
	}
	e.invoke(fmt.Sprintf("vm_indirect_%d", n), t, everything, "function", index.c)
}

func (e *emitter) grow() {
	pages := e.pop()
	v := e.keep(value{c: fmt.Sprintf("vm_grow(state, state->limit, %s)", pages.c), typ: wasm.I32})
	e.usesEnd = true
	e.line("end = state->end = VM_END(state->bytes);")
	e.push(v)
}

// An indirect is a kind of calls: through that table, of functions of that type.
type indirect struct {
	table uint32
	t     wasm.FuncType
}

// elements gives the functions in a table, -1 where there is none.
func (u *unit) elements(table uint32) ([]int, error) {
	const most = 1 << 20
	m := u.s.m
	if n := m.Tables[table].Min; n > most {
		return nil, fmt.Errorf("table %d has %d elements, more than %d", table, n, most)
	}
	all := make([]int, m.Tables[table].Min)
	for i := range all {
		all[i] = -1
	}
	for i, e := range m.Elems {
		if e.Mode != wasm.Active || e.Table != table {
			continue
		}
		if e.Offset.Op != wasm.I32Const || e.Offset.Value+uint64(len(e.Init)) > uint64(len(all)) {
			return nil, fmt.Errorf("element segment %d does not fit into table %d", i, table)
		}
		for k, c := range e.Init {
			at := &all[e.Offset.Value+uint64(k)]
			switch c.Op {
			case wasm.RefFunc:
				*at = int(c.Value)
			case wasm.RefNull:
				*at = -1
			default:
				return nil, fmt.Errorf("element segment %d has %v", i, c.Op)
			}
		}
	}
	return all, nil
}

// dispatch emits a function for each kind of calls through tables, and their prototypes.
func (u *unit) dispatch(prototypes, bodies *strings.Builder) error {
	for n, way := range u.indirect {
		elements, err := u.elements(way.table)
		if err != nil {
			return err
		}
		head := u.declare("HC_NOINLINE", fmt.Sprintf("vm_indirect_%d", n), way.t, everything, "hc_u32 function", "hc_u32 index")
		fmt.Fprintf(prototypes, "%s;\n", head)
		declared := slices.ContainsFunc(u.indirect[:n], func(o indirect) bool { return o.table == way.table })
		cases := map[int]string{}
		present := make([]uint32, len(elements)/32+1)
		for i, fn := range elements {
			if fn < 0 {
				continue
			}
			present[i/32] |= 1 << (i % 32)
			if u.s.m.Types[u.s.m.Funcs[fn].Type] == way.t {
				cases[fn] += fmt.Sprintf("case %du: ", i)
			}
		}
		if !declared {
			fmt.Fprintf(prototypes, "CONSTANT hc_u32 vm_table_%d[%d] = {", way.table, len(present))
			for _, word := range present {
				fmt.Fprintf(prototypes, "%#xu, ", word)
			}
			prototypes.WriteString("};\n")
		}
		fmt.Fprintf(bodies, "%s {\n    VM_TURN(%s)\n    switch (index) {\n", head, failure(way.t))
		for _, fn := range slices.Sorted(maps.Keys(cases)) {
			fmt.Fprintf(bodies, "    %s\n%s", cases[fn], u.pass(fn, way.t))
		}
		fmt.Fprintf(bodies, "    default:\n        vm_trapped(state, index < %du && (vm_table_%d[index >> 5] >> (index & 31u) & 1u) != 0u ? VM_MISMATCH : VM_UNDEFINED, function);\n    }\n",
			len(elements), way.table)
		if way.t.Results != "" {
			bodies.WriteString("    return 0u;\n")
		}
		bodies.WriteString("}\n\n")
	}
	return nil
}

// pass hands a call through a table on.
func (u *unit) pass(fn int, t wasm.FuncType) string {
	var b strings.Builder
	if u.s.imported(fn) {
		for i := range t.Params {
			fmt.Fprintf(&b, "        state->area[%d] = l%[1]d;\n", i)
		}
		fmt.Fprintf(&b, "        vm_host(state, %du);\n", u.bind[fn])
		for i := 1; i < len(t.Results); i++ {
			fmt.Fprintf(&b, "        *result%d = (%s)state->area[%[1]d];\n", i, cType(wasm.ValType(t.Results[i])))
		}
		if t.Results == "" {
			b.WriteString("        return;\n")
		} else {
			fmt.Fprintf(&b, "        return (%s)state->area[0];\n", cType(wasm.ValType(t.Results[0])))
		}
		return b.String()
	}
	_, list := u.params(u.of(fn))
	for i := range t.Params {
		list = append(list, fmt.Sprintf("l%d", i))
	}
	for i := 1; i < len(t.Results); i++ {
		list = append(list, fmt.Sprintf("result%d", i))
	}
	call := fmt.Sprintf("vm_function_%d(%s);", fn, strings.Join(list, ", "))
	if t.Results == "" {
		fmt.Fprintf(&b, "        %s\n        return;\n", call)
	} else {
		fmt.Fprintf(&b, "        return %s\n", call)
	}
	return b.String()
}
