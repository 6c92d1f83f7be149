// Package machine says what the instructions of WebAssembly compute, in portable kernel C: one table of expressions, and the text
// that defines the words in them. The interpreter has a case for each expression, native code is folded from the same ones.
//
// # Values
//
// Values are bits: hc_u32 for i32 and f32, hc_u64 for i64 and f64. Each name of an operand occurs once in an expression, as a word by itself, so
// that it may be replaced by any expression in parentheses. What an expression does beyond giving its value is
// set vm->trap and write to vm->memory.
//
// # Memory
//
// vm->memory is at a multiple of 16 bytes and has vm->bytes bytes, a multiple of 8, of which no more than 2^32. Nobody else writes to them during an
// access. Every access is checked against vm->bytes, and what is not at a multiple of its size goes by bytes. On a device, memory
// is little-endian.
//
// # Traps
//
// An expression that traps gives 0, changes no memory, and sets vm->trap, unless it was set before: the first trap's number stays.
// Whoever evaluates looks at vm->trap before the values count.
//
// # Floating point
//
// Every result is the one that the specification requires, bit by bit, except for the bits of a NaN: an operation that makes one gives a quiet NaN of
// any sign and payload. Whether the device's own floats do that is decided by what its dialect promises (HC_DOUBLE,
// HC_SUBNORMALS, HC_SQRT32 and so on, see package device); what is not promised is computed on integers. VM_SOFT_FLOAT
// has all of it computed so.
package machine

import (
	_ "embed"

	"github.com/dialtone-gpu/dialtone/program/wasm"
)

// Source is the text that defines what expressions refer to. It goes in front of what uses them.
var Source = trapDefines() + state + memory + soft + f64 + float + f32 + float

//go:embed state.h
var state string

//go:embed memory.h
var memory string

//go:embed soft.h
var soft string

//go:embed f64.h
var f64 string

//go:embed f32.h
var f32 string

//go:embed float.h
var float string

// An Operation is an instruction as an expression of C.
type Operation struct {
	Op wasm.Op
	// In are the types of its operands: a, b and c. Loads and stores have, in place of their address a, ea: the hc_u64 that is the sum
	// of a and the instruction's offset, neither of which is negative.
	In wasm.ValTypes
	// Out is the type of the expression, hc_u32 or hc_u64; 0 if it is a statement.
	Out wasm.ValType
	// C is the expression, or the statement without its semicolon.
	C string
	// Traps reports that it may set vm->trap.
	Traps bool
}

// Operations returns all numeric instructions but constants, and those that access memory but for memory.init, in the order of their opcodes.
func Operations() []Operation { return operations[:len(operations):len(operations)] }

// Find returns the operation of an opcode.
func Find(op wasm.Op) (Operation, bool) {
	if int(op) >= len(index) || index[op] == 0 {
		return Operation{}, false
	}
	return operations[index[op]-1], true
}

// operations are made from the table, index has their places plus one.
var operations, index = func() (all []Operation, index []uint16) {
	for op, c := range expressions {
		if c == "" {
			continue
		}
		o := Operation{Op: wasm.Op(op), C: c, Traps: mayTrap.MatchString(c)}
		o.In = o.Op.Info().In
		if out := o.Op.Info().Out; out != "" {
			o.Out = wasm.ValType(out[0])
		}
		all = append(all, o)
		index = append(index, make([]uint16, op+1-len(index))...)
		index[op] = uint16(len(all))
	}
	return all, index
}()
