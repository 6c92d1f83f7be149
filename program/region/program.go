package region

import (
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
//
// which calls the host's function of that number, at once: its parameters are in vm->area, a slot each, and so are its results behind it. If it
// sets vm->trap, to a trap or to another number, the program ends. What is called is
//
//	void vm_program(vm_state *state)
//
// which calls the start function, if there is one, and then the exported function that entry names, which takes and returns nothing. Memory and globals
// have what they begin with, state->item keeps the work-item, state->area has room for parameters and results, state->turns has VM_TURNS and state->function VM_NO_FUNCTION. After each VM_TURNS turns of loops and calls the program looks whether the run is over:
// then it ends with the trap VM_CANCELLED, which is no trap's number.
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

// prelude is what functions use.
//
// A trap ends the work-item where it is, if the device can do that; else each call is followed by VM_PASS. An access that is inside and at a multiple of its size, as nearly all
// are, needs four instructions to see that; all others are one call, so that little code is between the accesses: what runs of a program should fit into
// the device's cache of instructions. end is what a function knows of the end of memory, which may have grown since.
//
// The address of a variable tells how deep the stack is, which grows down, or up on AMD's devices. A function that has loops, and one at least of each circle of functions that
// call each other, takes a turn of the program's, and a loop after VM_TURNS_AT_ONCE turns of its own.
const prelude = `#define VM_TURNS_AT_ONCE 1024u
#define VM_END(bytes) ((bytes) > 0xffffffffu ? 0xffffffffu : (hc_u32)(bytes))
#ifdef HC_STOPS_ALONE
#define VM_PASS(result) HC_AFTER_CALL(); /* a call that has become a jump would need no stack and never exhaust it */
#define VM_STOP(state) { vm_over(state); { HC_RECALL(&(state)->item); hc_stop_lane(); } }
#else
#define VM_PASS(result) if (state->trap != VM_NO_TRAP) return result;
#define VM_STOP(state)
#endif
#define VM_ADDRESS(variable) ((hc_u32)(hc_size)&(variable))
#define VM_NEST(result) \
    hc_u32 here; \
    if (VM_ADDRESS(here) - state->stack + VM_STACK_BYTES > 2u * VM_STACK_BYTES) { vm_trapped(state, VM_STACK_EXHAUSTED, function); return result; }
#define VM_TURN(result) if (--state->turns == 0u && (state->turns = vm_look(state)) == 0u) return result;
#define VM_LOOP_TURN(result) if (--left == 0u) { VM_SETTLE(result) left = VM_TURNS_AT_ONCE; VM_TURN(result) }
#define VM_CELL1(p) (*(p))
#define VM_FITS(a, offset, n) ((a) <= end - ((offset) + (n)))
#define VM_FAR_LOAD(n, to, a, offset, result) { to = vm_far_load(state, a, offset, function << 4 | n); VM_PASS(result) }
#define VM_FAR_STORE(n, v, a, offset, result) { vm_far_store(state, a, offset, v, function << 4 | n); VM_PASS(result) }
#ifdef VM_ALIGNED
#define VM_LOAD(n, to, a, offset, result) { \
    const int fits_ = VM_FITS(a, offset, n); \
    outside = fits_ ? outside : 1u; \
    to = vm_take##n(vm->memory, fits_ ? (a) + (offset) : 0u); }
#define VM_STORE(n, v, a, offset, result) { \
    const int fits_ = VM_FITS(a, offset, n); \
    outside = fits_ ? outside : 1u; \
    vm_put##n(vm->memory, (a) + (offset), v, fits_); }
#define VM_SETTLE(result) if (outside != 0u) { vm_trapped(state, VM_BOUNDS, function); return result; }
#define VM_CHECK(result) if (vm->trap != VM_NO_TRAP) { vm_trapped(state, outside != 0u ? VM_BOUNDS : vm->trap, function); return result; }
#else
#define VM_AT(n, a, offset) VM_CELL##n(vm->memory + (hc_u64)(a) + (offset))
#define VM_LOAD(n, to, a, offset, result) \
    if (__builtin_expect(VM_FITS(a, offset, n), 1)) to = VM_AT(n, a, offset); \
    else VM_FAR_LOAD(n, to, a, offset, result)
#define VM_STORE(n, v, a, offset, result) \
    if (__builtin_expect(VM_FITS(a, offset, n), 1)) VM_AT(n, a, offset) = v; \
    else VM_FAR_STORE(n, v, a, offset, result)
#define VM_SETTLE(result) (void)outside;
#define VM_CHECK(result) if (vm->trap != VM_NO_TRAP) { vm_trapped(state, vm->trap, function); return result; }
#endif

#ifdef VM_ALIGNED
DEVICE hc_u32 vm_take1(GLOBAL hc_u8 *memory, hc_u32 at) { return memory[at]; }
DEVICE hc_u32 vm_take2(GLOBAL hc_u8 *memory, hc_u32 at) {
    GLOBAL hc_u8 *const p = memory + (at & ~3u);
    const hc_u32 low = VM_CELL4(p), high = (at & 3u) == 3u ? VM_CELL4(p + 4) : 0u;
    return (hc_u32)(((hc_u64)high << 32 | low) >> (at & 3u) * 8u) & 0xffffu;
}
DEVICE hc_u32 vm_take4(GLOBAL hc_u8 *memory, hc_u32 at) {
    GLOBAL hc_u8 *const p = memory + (at & ~3u);
    const hc_u32 low = VM_CELL4(p), high = VM_ODD(at, 4u) ? VM_CELL4(p + 4) : 0u;
    return (hc_u32)(((hc_u64)high << 32 | low) >> (at & 3u) * 8u);
}
DEVICE hc_u64 vm_take8(GLOBAL hc_u8 *memory, hc_u32 at) {
    GLOBAL hc_u8 *const p = memory + (at & ~7u);
    const hc_u64 low = VM_CELL8(p), high = VM_ODD(at, 8u) ? VM_CELL8(p + 8) : 0u;
    return low >> (at & 7u) * 8u | high << 1 << (63u - (at & 7u) * 8u);
}
DEVICE void vm_put1(GLOBAL hc_u8 *memory, hc_u32 at, hc_u32 v, int fits) {
    if (fits) memory[at] = (hc_u8)v;
}
DEVICE void vm_put2(GLOBAL hc_u8 *memory, hc_u32 at, hc_u32 v, int fits) {
    GLOBAL hc_u8 *const to = memory + at;
    if (fits & !VM_ODD(at, 2u)) VM_CELL2(to) = (unsigned short)v;
    if (fits & VM_ODD(at, 2u)) {
        to[0] = (hc_u8)v;
        to[1] = (hc_u8)(v >> 8);
    }
}
DEVICE void vm_put4(GLOBAL hc_u8 *memory, hc_u32 at, hc_u32 v, int fits) {
    GLOBAL hc_u8 *const to = memory + at;
    if (fits & !VM_ODD(at, 4u)) VM_CELL4(to) = v;
    if (fits & VM_ODD(at, 4u)) {
        to[0] = (hc_u8)v;
        to[1] = (hc_u8)(v >> 8);
        to[2] = (hc_u8)(v >> 16);
        to[3] = (hc_u8)(v >> 24);
    }
}
DEVICE void vm_put8(GLOBAL hc_u8 *memory, hc_u32 at, hc_u64 v, int fits) {
    if (fits & !VM_ODD(at, 8u)) VM_CELL8(memory + at) = v;
    if (fits & VM_ODD(at, 8u)) vm_store_bytes(memory + at, 8u, v);
}
#endif

HC_NOINLINE void vm_trapped(vm_state *state, hc_u32 trap, hc_u32 function) {
    state->trap = trap;
    state->function = function;
    VM_STOP(state)
}

HC_NOINLINE hc_u32 vm_look(vm_state *state) {
    HC_RECALL(&state->item);
    if (!hc_cancelled()) return VM_TURNS;
    state->trap = VM_CANCELLED;
    VM_STOP(state)
    return 0u;
}

/* Accesses that do not fit: which is the function, and below that the bytes. */
HC_NOINLINE hc_u64 vm_far_load(vm_state *state, hc_u32 a, hc_u32 offset, hc_u32 which) {
    const hc_u64 ea = (hc_u64)a + offset;
    if (ea + (which & 15u) <= state->bytes) return vm_load_bytes(state->memory + ea, which & 15u);
    vm_trapped(state, VM_BOUNDS, which >> 4);
    return 0u;
}
HC_NOINLINE void vm_far_store(vm_state *state, hc_u32 a, hc_u32 offset, hc_u64 v, hc_u32 which) {
    const hc_u64 ea = (hc_u64)a + offset;
    if (ea + (which & 15u) <= state->bytes) vm_store_bytes(state->memory + ea, which & 15u, v);
    else vm_trapped(state, VM_BOUNDS, which >> 4);
}

`

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
