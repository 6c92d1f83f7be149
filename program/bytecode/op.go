package bytecode

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/dialtone-gpu/dialtone/program/machine"
	"github.com/dialtone-gpu/dialtone/program/wasm"
)

// An Op is what an instruction of the bytecode does.
type Op uint16

// The instructions that are not those of package machine.
const (
	Invalid  Op = iota // what no code has: memory that is 0
	Function           // in front of a function's instructions, never executed: its frame in slots, and its number
	Unreachable
	Select // from here on those first that programs have most of
	Copy
	CopyTwo
	GlobalGet
	GlobalSet
	GlobalMove
	BranchIf
	Branch
	ReturnValue
	Call
	Return
	Zero
	CallIndirect
	BranchTable
	CopyRange
	CallHost
	MemorySize
	MemoryGrow
	MemoryInit
	DataDrop
	TableGet
	TableSet
	TableSize
	TableGrow
	TableFill
	TableCopy
	TableInit
	ElemDrop
	RefIsNull
	Native
	Invoke
	Finish
	firstOperation // of package machine, in the order of its table; behind them the fused branches
)

// Info describes the instructions of an op.
type Info struct {
	Name string
	// Fields are the parts that the instruction has, in the order in which people read them:
	//
	//	d a      slots
	//	b        a slot, or with FlagImm the second word
	//	a-       slot a and the next two
	//	c        a slot that is in the lower half of the second word
	//	@d       a target relative to the next instruction, in place of d
	//	@ low    a target, a number in the lower half of the second word
	//	low high numbers in its halves; high only without b
	//	[load] [store] stored   as the package comment says
	Fields string
	// Value is set if the instruction ends with slot d = r.
	Value bool
	// Stops is set if the statements of C may set vm->trap, other than by VM_JUMP and VM_CALL, which see to that.
	Stops bool
	// Use is how much programs use them.
	Use Use
	// C is what it does, in portable kernel C: the statements of a case, behind which r is stored to slot d or nothing else happens.
	// The words in it are defined by package interpreter.
	C string

	branch Op   // the same as the condition of a branch; Invalid if it is no comparison
	hasB   bool // it has a slot b, or with FlagImm the second word in place of it
	hasC   bool
}

// Info describes the instructions of an op. Its Name is "" if there are none.
func (o Op) Info() *Info {
	if int(o) >= len(ops) {
		return &ops[Invalid]
	}
	return &ops[o]
}

// Ops is how many there are: they are the numbers below.
func Ops() int { return len(ops) }

// ByUse are all instructions that can be executed, those first that programs have most of.
func ByUse() []Op {
	var all []Op
	for o := BranchIf; o < Zero; o++ {
		all = append(all, o)
	}
	for o := Select; o < BranchIf; o++ {
		all = append(all, o)
	}
	for o := firstOperation; int(o) < len(ops); o++ {
		all = append(all, o)
	}
	for o := Zero; o < firstOperation; o++ {
		all = append(all, o)
	}
	return append(all, Unreachable)
}

// String returns the name.
func (o Op) String() string { return o.Info().Name }

// control has what the bytecode adds to package machine. In C:
//
//	x, y        slot a, and slot b or the second word    r   what becomes slot d
//	fp          slot 0 of the frame                      at  the next instruction
//	VM_D VM_A   numbers of slots                         VM_SLOT_C             what is in slot c
//	VM_PUT(v)   stores to slot d
//	VM_LOAD_THAT_FITS(n, v) VM_STORE_THAT_FITS(n, statement)  is the end of it where n bytes at ea are aligned and within bounds
//	low, high   the halves of the second word            VM_NOT 1 with FlagNot
//	vm          the vm_state
//	VM_JUMP(t)  goes on at instruction t                 VM_JUMP_NEAR() at the one that d names
//	VM_CALL(d, entry, frame) calls a function            VM_RETURN returns from it
//	state       the state of the instance, image  what all instances share; words in them have names
var control = [firstOperation]Info{
	Function:    {Name: "function", Fields: "low high"},
	Unreachable: {Name: "unreachable", C: "vm->trap = VM_UNREACHABLE;"},
	Copy:        {Name: "copy", Fields: "d b", Value: true, C: "r = y;"},
	CopyTwo:     {Name: "copy.two", Fields: "d a c b", C: "VM_PUT(x);\nVM_SLOT_C = y;"},
	CopyRange:   {Name: "copy.range", Fields: "d a low", C: "for (i = 0u; i < low; i++) fp[VM_D + i] = fp[VM_A + i];"},
	Zero:        {Name: "zero", Fields: "d low", C: "for (i = 0u; i < low; i++) fp[VM_D + i] = 0u;"},
	Select:      {Name: "select", Fields: "d a c b", Value: true, C: "r = (hc_u32)x != 0u ? VM_SLOT_C : y;"},
	Branch:      {Name: "br", Fields: "@", C: "VM_JUMP(low);"},
	BranchIf:    {Name: "br_if", Fields: "a @", C: "if (((hc_u32)x != 0u) != VM_NOT) VM_JUMP(low);"},
	BranchTable: {Name: "br_table", Fields: "a low", C: "VM_JUMP(VM_TARGET((hc_u32)x < low ? (hc_u32)x : low));"},
	Call:        {Name: "call", Fields: "d @ high", C: "VM_CALL(VM_D, low, high);"},
	CallIndirect: {Name: "call_indirect", Fields: "d a low high", C: `GLOBAL const hc_u64 *table = VM_TABLE(low);
const hc_u64 ref = (hc_u32)x < table[VM_TABLE_SIZE] ? state[table[VM_TABLE_AT] + (hc_u32)x] : 0u;
if (ref == 0u) vm->trap = VM_UNDEFINED;
else if (ref >> 32 != high) vm->trap = VM_MISMATCH;
else VM_CALL(VM_D, (hc_u32)ref + 1u, (hc_u32)code[2u * (hc_u32)ref + 1u]);`},
	CallHost: {Name: "call.host", Fields: "d low high", C: "vm->trap = VM_STOP_HOST;"},
	Invoke: {Name: "invoke", Fields: "d", C: `const hc_u32 entry = (hc_u32)state[VM_STATE_ENTRY];
VM_CALL(VM_D, entry + 1u, (hc_u32)code[2u * entry + 1u]);`},
	Return:      {Name: "return", C: "VM_RETURN;"},
	ReturnValue: {Name: "return.value", Fields: "b", C: "fp[0] = y;\nVM_RETURN;"},
	Finish:      {Name: "finish", C: "vm->trap = VM_STOP_END;"},
	GlobalGet:   {Name: "global.get", Fields: "d low", Value: true, C: "r = vm->globals[low];"},
	GlobalSet:   {Name: "global.set", Fields: "a low", C: "vm->globals[low] = x;"},
	GlobalMove:  {Name: "global.move", Fields: "d a low high", Value: true, C: "r = (hc_u32)x + low;\nvm->globals[high] = r;"},
	MemorySize:  {Name: "memory.size", Fields: "d", Value: true, C: "r = vm->bytes >> 16;"},
	MemoryGrow:  {Name: "memory.grow", Fields: "d a", Value: true, C: "r = vm_grow(vm, state[VM_STATE_LIMIT], (hc_u32)x);"},
	MemoryInit: {Name: "memory.init", Fields: "a- low",
		C: "vm_init(vm, image, state[image[VM_IMAGE_DATA_LENGTHS] + low], image[image[VM_IMAGE_DATAS] + low], (hc_u32)x, (hc_u32)fp[VM_A + 1u], (hc_u32)fp[VM_A + 2u]);"},
	DataDrop:  {Name: "data.drop", Fields: "low", C: "state[image[VM_IMAGE_DATA_LENGTHS] + low] = 0u;"},
	TableGet:  {Name: "table.get", Fields: "d a low", Value: true, C: "r = vm_table_get(vm, state, VM_TABLE(low), (hc_u32)x);"},
	TableSet:  {Name: "table.set", Fields: "a b low", C: "vm_table_fill(vm, state, VM_TABLE(low), (hc_u32)x, y, 1u);"},
	TableSize: {Name: "table.size", Fields: "d low", Value: true, C: "r = VM_TABLE(low)[VM_TABLE_SIZE];"},
	TableGrow: {Name: "table.grow", Fields: "d a b low", Value: true, C: "r = vm_table_grow(vm, state, VM_TABLE(low), x, (hc_u32)y);"},
	TableFill: {Name: "table.fill", Fields: "a- low", C: "vm_table_fill(vm, state, VM_TABLE(low), (hc_u32)x, fp[VM_A + 1u], (hc_u32)fp[VM_A + 2u]);"},
	TableCopy: {Name: "table.copy", Fields: "a- low high",
		C: "vm_table_copy(vm, state, VM_TABLE(high), VM_TABLE(low), (hc_u32)x, (hc_u32)fp[VM_A + 1u], (hc_u32)fp[VM_A + 2u]);"},
	TableInit: {Name: "table.init", Fields: "a- low high",
		C: `vm_table_init(vm, state, VM_TABLE(high), image + image[image[VM_IMAGE_ELEMS] + low],
    state[image[VM_IMAGE_ELEM_LENGTHS] + low], (hc_u32)x, (hc_u32)fp[VM_A + 1u], (hc_u32)fp[VM_A + 2u]);`},
	ElemDrop:  {Name: "elem.drop", Fields: "low", C: "state[image[VM_IMAGE_ELEM_LENGTHS] + low] = 0u;"},
	RefIsNull: {Name: "ref.is_null", Fields: "d a", Value: true, C: "r = x == 0u;"},
	Native:    {Name: "native", Fields: "low high", C: "const hc_u32 exit = VM_REGION(low);\nif (vm->trap == 0u) VM_JUMP(VM_TARGET(exit));"},
}

// ops has all instructions, of has the one of an instruction of WebAssembly.
var ops, of = func() (all []Info, of map[wasm.Op]Op) {
	all = control[:]
	of = map[wasm.Op]Op{}
	for _, o := range machine.Operations() {
		if _, ok := likewise[o.Op]; !ok {
			of[o.Op] = Op(len(all))
			all = append(all, operation(o))
		}
	}
	for o, like := range likewise {
		of[o] = of[like]
	}
	for _, o := range machine.Operations() {
		if comparison(o) || o.Op == wasm.I32And {
			all[of[o.Op]].branch = Op(len(all))
			all = append(all, fused(o))
		}
	}
	for i := range all {
		fields := strings.Fields(all[i].Fields)
		all[i].hasB = slices.ContainsFunc(fields, func(f string) bool { return f == "b" || f == "[load]" || f == "stored" })
		all[i].hasC = slices.Contains(fields, "c")
		switch {
		case slices.Contains(main, all[i].Name):
			all[i].Use = Main
		case seldom.MatchString(all[i].Name):
			all[i].Use = Seldom
		}
		all[i].Stops = all[i].Stops || i < int(firstOperation) && slices.ContainsFunc(stopping, func(w string) bool { return strings.Contains(all[i].C, w) })
	}
	if len(all) > opMask {
		panic(fmt.Sprintf("BUG: %d instructions", len(all)))
	}
	return all, of
}()

// likewise are the instructions that do to memory and slots what others do: fewer cases for a machine, and for its compiler. Those of 64 bits that extend
// less than 32 are followed by one that extends 32.
var likewise = map[wasm.Op]wasm.Op{
	wasm.F32Load: wasm.I32Load, wasm.I64Load32U: wasm.I32Load, wasm.F64Load: wasm.I64Load, wasm.I64Load8U: wasm.I32Load8U, wasm.I64Load16U: wasm.I32Load16U,
	wasm.F32Store: wasm.I32Store, wasm.I64Store32: wasm.I32Store, wasm.F64Store: wasm.I64Store, wasm.I64Store8: wasm.I32Store8, wasm.I64Store16: wasm.I32Store16,
	wasm.I64Extend8S: wasm.I32Extend8S, wasm.I64Extend16S: wasm.I32Extend16S, wasm.I64Extend32S: wasm.I64ExtendI32S,
}

// Use says what a machine may spend on the way from an instruction to the next one.
type Use uint8

const (
	Common Use = iota
	Main       // the few that programs consist of. They have a Value and do not stop
	Seldom     // programs have few of these, or they take longer than the way to the next one
)

var seldom = regexp.MustCompile(`f32|f64|i64\..*(8|16)|div|rem|rot|clz|ctz|popcnt|memory|data|table\.|elem|ref|finish|invoke|unreachable`)

// main were 13, 7, 4, 4 and 3 of a hundred instructions in the mean of example programs in C, Rust and Go.
var main = []string{"i32.add", "copy", "i64.add", "f64.add", "f64.mul"}

// stopping are the words of C by which an instruction of control sets vm->trap, or has it set.
var stopping = []string{"vm->trap =", "(vm,", "VM_REGION"}

// slot is how C sees a value of a slot.
func slot(t byte) string {
	switch wasm.ValType(t) {
	case wasm.I32, wasm.F32:
		return "hc_u32"
	}
	return "hc_u64"
}

// operation is an instruction of package machine.
func operation(o machine.Operation) Info {
	info := Info{Name: o.Op.String(), Value: o.Out != 0, Stops: o.Traps}
	width := o.Op.Info().Width
	switch {
	case width > 0 && info.Value:
		info.Fields = "d [load]"
		info.C = fmt.Sprintf("const hc_u64 ea = VM_LOAD_ADDRESS;\nVM_LOAD_THAT_FITS(%du, %s)\nr = %[2]s;", width, o.C)
	case width > 0:
		info.Fields = "[store] stored"
		info.C = fmt.Sprintf("const hc_u64 ea = VM_STORE_ADDRESS;\nconst %s b = (%[1]s)VM_STORED;\nVM_STORE_THAT_FITS(%du, %s)\n%[3]s;", slot(o.In[1]), width, o.C)
	case len(o.In) == 3:
		info.Fields = "a b c"
		info.C = fmt.Sprintf("const hc_u32 a = (hc_u32)x, b = (hc_u32)y, c = (hc_u32)VM_SLOT_C;\n%s;", o.C)
	default:
		info.Fields = strings.TrimSpace("d a " + "b"[:len(o.In)-1])
		info.C = operands(o) + fmt.Sprintf("r = %s;", o.C)
	}
	return info
}

// operands declares those of an expression.
func operands(o machine.Operation) string {
	c := fmt.Sprintf("const %s a = (%[1]s)x", slot(o.In[0]))
	if len(o.In) > 1 {
		c += ", b = (" + slot(o.In[1]) + ")y"
	}
	return c + ";\n"
}

// comparison reports that an operation gives 0 or 1.
func comparison(o machine.Operation) bool {
	_, name, _ := strings.Cut(o.Op.String(), ".")
	name, _, _ = strings.Cut(name, "_")
	switch name {
	case "eqz", "eq", "ne", "lt", "gt", "le", "ge":
		return true
	}
	return false
}

// fused is a branch where the operation does not give 0, or does so with FlagNot.
func fused(o machine.Operation) Info {
	condition := "(" + o.C + ")"
	if !comparison(o) {
		condition = "(hc_u32)(" + condition + " != 0u)"
	}
	return Info{
		Name: "br." + o.Op.String(), Fields: strings.TrimSpace("a "+"b"[:len(o.In)-1]) + " @d",
		C: operands(o) + fmt.Sprintf("if (%s != VM_NOT) VM_JUMP_NEAR();", condition),
	}
}
