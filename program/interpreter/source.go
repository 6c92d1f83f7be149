package interpreter

import (
	_ "embed"
	"fmt"
	"strings"

	"github.com/dialtone-gpu/dialtone/program/bytecode"
	"github.com/dialtone-gpu/dialtone/program/machine"
)

//go:embed instance.h
var instanceText string

//go:embed interpreter.h
var interpreterText string

//go:embed prepare.h
var prepareText string

//go:embed kernel.h
var kernelText string

//go:embed whole.h
var wholeText string

// Parts is what a kernel has besides the interpreter.
type Parts struct {
	// Host defines vm_wasi_step, which makes the calls of CallHost. Without it no image may have any.
	Host string
	// Trapped is the call by which the host is told of a trap: its number, the function's index, and the instruction. Nil for none.
	Trapped *int
	// Native defines vm_region_0 and so on, as many as Regions: the regions that an image was lowered with, in their order.
	Native  string
	Regions int
	// Program, as package region makes it, is a whole program in place of the interpreter: an image's code is then of no use, and its program begins where this one's
	// does. Its calls may nest as deep as their frames take Stack bytes. Native must be empty.
	Program string
	Stack   int
	// CountSteps has State.Steps counted.
	CountSteps bool
}

// noHost is for images that bind no imports: it is never come to.
const noHost = `DEVICE hc_u32 vm_wasi_step(HC, vm_state *vm, hc_u32 function, hc_u32 instance, GLOBAL hc_u64 *args, hc_u32 *got, hc_u32 *result) { return 2u; }
`

// Source is the text of the kernel file.
func Source(p Parts) string {
	var b strings.Builder
	if p.Program != "" {
		fmt.Fprintf(&b, "#define VM_WHOLE 1\n#define VM_STACK_BYTES %du\n#define VM_TURNS %du\n#define VM_CANCELLED VM_STOP_CANCELLED\n", p.Stack, defaultFuel)
	}
	b.WriteString(machine.Source)
	b.WriteString(layoutDefines())
	if p.Host == "" {
		p.Host = noHost
	}
	if p.Trapped != nil {
		fmt.Fprintf(&b, "#define VM_TRAPPED %du\n", *p.Trapped)
	}
	b.WriteString(p.Host)
	b.WriteString(prepareText)
	if p.Program != "" {
		b.WriteString(splice(wholeText, "@PROGRAM@\n", p.Program))
		return b.String()
	}
	b.WriteString(bytecode.Defines())
	if p.CountSteps {
		b.WriteString("#define VM_COUNT_STEPS 1\n")
	}
	b.WriteString(instanceText)
	b.WriteString(native(p))
	b.WriteString(splice(strings.NewReplacer("@LABELS@", labels(), "@DISPATCH@", dispatch()).Replace(interpreterText), "@CASES@\n", cases(p.Regions == 0)))
	b.WriteString(kernelText)
	return b.String()
}

// splice puts text where the mark is.
func splice(text, mark, in string) string {
	before, after, found := strings.Cut(text, mark)
	if !found {
		panic("BUG: no " + mark)
	}
	return before + in + after
}

// cases has one for each instruction: first those that programs have most of, for compilers that look at one after the other. Those that they consist of
// are told apart if most is to be made of the interpreter, which takes longer to compile.
func cases(most bool) string {
	var b strings.Builder
	for _, op := range bytecode.ByUse() {
		info := op.Info()
		stop, next, use := "", "VM_NEXT", "COMMON"
		if info.Stops {
			stop = "VM_STOP_IF_TRAPPED "
		}
		if info.Value {
			next = "VM_STORE"
		}
		switch {
		case info.Use == bytecode.Main && most:
			use = "MAIN"
		case info.Use == bytecode.Seldom:
			use = "SELDOM"
		}
		fmt.Fprintf(&b, "VM_CASE(%du) { /* %s */\n%s\n} %s%s(%s)\n", op, info.Name, info.C, stop, next, use)
	}
	return b.String()
}

// dispatch goes to the case of op_, as the comparisons of all cases do.
func dispatch() string {
	var b strings.Builder
	for _, op := range bytecode.ByUse() {
		fmt.Fprintf(&b, "if (__builtin_expect(op_ == %du, 0)) goto vm_op_%[1]du; asm volatile(\"\" : \"+r\"(op_)); ", op)
	}
	return b.String()
}

// labels lists those of the cases, by the numbers of the instructions.
func labels() string {
	all := make([]string, 512)
	for i := range all {
		all[i] = "&&vm_op_others"
	}
	for _, op := range bytecode.ByUse() {
		all[op] = fmt.Sprintf("&&vm_op_%du", op)
	}
	return strings.Join(all, ", ")
}

// native defines VM_REGION(id), which runs a region and gives its exit. The state that it is given is a copy, so that the interpreter's own can be in registers.
func native(p Parts) string {
	if p.Regions == 0 {
		return "#define VM_REGION(id) 0u\n"
	}
	var b strings.Builder
	b.WriteString(p.Native)
	b.WriteString(`#define VM_REGION(id) vm_native(vm, fp, id, &fuel)
DEVICE hc_u32 vm_native(vm_state *vm, GLOBAL hc_u64 *fp, hc_u32 id, hc_u32 *fuel) {
    vm_state own = *vm;
    hc_u32 left = *fuel, exit = 0u;
    switch (id) {
`)
	for n := range p.Regions {
		fmt.Fprintf(&b, "    case %du: exit = vm_region_%d(&own, fp, &left); break;\n", n, n)
	}
	b.WriteString(`    default: own.trap = VM_STOP_INVALID;
    }
    vm->trap = own.trap;
    *fuel = left == 0u ? 1u : left; /* the branch behind it uses up the last */
    return exit;
}
`)
	return b.String()
}
