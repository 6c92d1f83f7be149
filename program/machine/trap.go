package machine

import (
	"fmt"
	"strings"
)

// A Trap is why a program stopped, as vm->trap has it. In C their names are VM_ and the word in traps, such as VM_DIVISION.
type Trap uint32

// The traps, of the section "Execution" of the WebAssembly specification.
const (
	None           Trap = iota // it has not stopped
	Unreachable                // unreachable was executed
	Bounds                     // an access to memory, or to a segment of data, out of bounds
	Division                   // an integer was divided by zero
	Overflow                   // a quotient, or a float as an integer, has no room
	Conversion                 // NaN has no integer
	Undefined                  // a call through an element of a table that does not exist or is null
	Mismatch                   // a call through an element of another type
	StackExhausted             // calls are too deep
	TableBounds                // an access to a table, or to a segment of elements, out of bounds
)

var traps = [...]struct{ word, text string }{
	None:           {"NO_TRAP", "no trap"},
	Unreachable:    {"UNREACHABLE", "unreachable"},
	Bounds:         {"BOUNDS", "out of bounds memory access"},
	Division:       {"DIVISION", "integer divide by zero"},
	Overflow:       {"OVERFLOW", "integer overflow"},
	Conversion:     {"CONVERSION", "invalid conversion to integer"},
	Undefined:      {"UNDEFINED", "undefined element"},
	Mismatch:       {"MISMATCH", "indirect call type mismatch"},
	StackExhausted: {"STACK_EXHAUSTED", "call stack exhausted"},
	TableBounds:    {"TABLE_BOUNDS", "out of bounds table access"},
}

// String returns the words that the specification's tests expect.
func (t Trap) String() string {
	if int(t) < len(traps) {
		return traps[t].text
	}
	return fmt.Sprintf("trap %d", uint32(t))
}

// trapDefines gives the traps to C.
func trapDefines() string {
	var b strings.Builder
	for n, t := range traps {
		fmt.Fprintf(&b, "#define VM_%s %du\n", t.word, n)
	}
	return b.String()
}
