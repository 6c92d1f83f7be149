package wasi

import (
	_ "embed"
	"fmt"
	"math/bits"
	"strings"
)

//go:embed marshal.h
var marshal string

// Import is the name under which kernels import the host's side: hostcall.Launch.Functions or hostcall.Runtime.Register give it
// [System.Function].
const Import = "wasi"

// KernelSource is what a kernel needs to make the calls: the table, and vm_wasi_step, which marshals by it. It is kernel C, and
// wants vm_state of package machine before it.
var KernelSource = kernelSource()

// What the parts of a request and a reply are, in words; the count of bytes that hostcall puts before them is not among these.
const (
	requestFunction = 0
	requestInstance = 1
	requestOffset   = 2 // bytes of the reply that are there already; if not 0 the call has been made
	requestParams   = 3

	replyState  = 0 // an errno of WASI, or stateEnded
	replyTotal  = 1 // bytes of the whole reply
	replyLength = 2 // bytes of each operand whose size the host says
	replyBrief  = 4 // all bytes of a reply of at most briefBytes, which then has none besides: the device reads those a moment later
	replyWords  = replyBrief + briefBytes/4
	briefBytes  = 8

	stateEnded = 1 << 16 // the instance is over
)

// kernelSource generates the C form of the table in front of what reads it.
func kernelSource() string {
	var b strings.Builder
	define := func(name string, v int) { fmt.Fprintf(&b, "#define VM_WASI_%s %du\n", name, v) }
	define("CALLS", len(calls))
	define("MOST_PIECES", mostPieces)
	define("MOST_PARAMS", mostParams)
	define("OPERANDS", mostOperands)
	define("ROW", mostOperands+1)
	define("BYTES", int(Bytes))
	define("VECTOR", int(Vector))
	define("FIXED", int(Fixed))
	define("OPEN", int(Open))
	define("REQUEST_PARAMS", requestParams)
	define("REPLY_TOTAL", replyTotal)
	define("REPLY_LENGTH", replyLength)
	define("REPLY_BRIEF", replyBrief)
	define("BRIEF_BYTES", briefBytes)
	define("REPLY_WORDS", replyWords)
	define("ENDED", stateEnded)
	define("EFAULT", int(wasiFault))
	define("EIO", int(wasiIO))
	define("ENOSYS", int(wasiNosys))
	for _, name := range []string{"trap", "proc_exit", "clock_time_get", "sched_yield", "poll_oneoff"} {
		define("CALL_"+strings.ToUpper(name), number(name))
	}
	fmt.Fprintf(&b, "\n/* A row for each call: its parameters, those of 64 bits, its words; then its operands. */\nCONSTANT hc_u32 vm_wasi_calls[%d] = {\n", len(calls)*(mostOperands+1))
	for i := range calls {
		c := &calls[i]
		wide := 0
		for p, is := range c.wide() {
			if is {
				wide |= 1 << p
			}
		}
		row := make([]int, mostOperands+1)
		row[0] = len(c.Params) | wide<<4 | c.words()<<16
		for k, o := range c.In {
			row[k+1] = o.encode(false)
		}
		for k, o := range c.Out {
			row[len(c.In)+k+1] = o.encode(true)
		}
		b.WriteString("    ")
		for _, w := range row {
			fmt.Fprintf(&b, "0x%xu, ", w)
		}
		fmt.Fprintf(&b, "/* %d %s */\n", i, c.Name)
	}
	b.WriteString("};\n")
	return b.String() + "\n" + marshal
}

// encode packs an operand into a word; the macros that take it apart are in marshal.h.
func (o Operand) encode(out bool) int {
	w := int(o.Kind) | o.Param<<4 | o.Length<<8 | o.Size<<12
	if out {
		return w | 1<<31
	}
	return w | (bits.Len(uint(o.Most))-1)<<20
}
