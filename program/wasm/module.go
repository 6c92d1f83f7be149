package wasm

import (
	"fmt"
	"strings"
)

// A ValType is the type of a value, as the binary format encodes it.
type ValType byte

// The types of values.
const (
	I32       ValType = 0x7f
	I64       ValType = 0x7e
	F32       ValType = 0x7d
	F64       ValType = 0x7c
	FuncRef   ValType = 0x70
	ExternRef ValType = 0x6f

	// bottom is the type of operands that unreachable code pops without having pushed them: it matches all others.
	bottom ValType = 0
)

// String returns the name in the text format.
func (t ValType) String() string {
	switch t {
	case I32:
		return "i32"
	case I64:
		return "i64"
	case F32:
		return "f32"
	case F64:
		return "f64"
	case FuncRef:
		return "funcref"
	case ExternRef:
		return "externref"
	case bottom:
		return "any"
	}
	return fmt.Sprintf("type %#02x", byte(t))
}

// IsRef reports that t is a type of references, and so may be that of a table's elements.
func (t ValType) IsRef() bool { return t == FuncRef || t == ExternRef }

// ValTypes are types of values in sequence, one byte each: ValType(ts[0]) is the first.
type ValTypes string

// String returns the names in brackets, such as "[i32 i64]".
func (ts ValTypes) String() string {
	names := make([]string, len(ts))
	for i := range names {
		names[i] = ValType(ts[i]).String()
	}
	return "[" + strings.Join(names, " ") + "]"
}

// A FuncType is what a function or a block takes and returns. Equal types are ==, whatever their index.
type FuncType struct {
	Params, Results ValTypes
}

// String returns, for instance, "[i32 i64] -> [f32]".
func (t FuncType) String() string { return t.Params.String() + " -> " + t.Results.String() }

// A Kind is what an import or an export is.
type Kind byte

// The kinds, as the binary format encodes them.
const (
	KindFunc   Kind = 0
	KindTable  Kind = 1
	KindMemory Kind = 2
	KindGlobal Kind = 3
)

// String returns the specification's word.
func (k Kind) String() string {
	if k > KindGlobal {
		return fmt.Sprintf("kind %d", byte(k))
	}
	return [...]string{"function", "table", "memory", "global"}[k]
}

// A Module is a decoded and valid module. Functions, tables, memories and globals are numbered with the imported ones first, as
// instructions number them. Code and data are slices of the file.
type Module struct {
	Name      string // in the name section; "" if it has none
	Types     []FuncType
	Imports   []Import
	Funcs     []Func
	Tables    []Table
	Memories  []Memory // none or one
	Globals   []Global
	Exports   []Export
	Start     int // the function to call before all others, or -1
	Elems     []Elem
	Datas     []Data
	Producers []Producer

	file      []byte
	dataCount int // what the data count section says, or -1 without one
}

// An Import is something that the module wants to be given.
type Import struct {
	Module, Name string
	Kind         Kind
	Index        uint32 // in Funcs, Tables, Memories or Globals
}

// A Func is a function.
type Func struct {
	Type   uint32   // in Types
	Name   string   // in the name section; not unique, any UTF-8, "" if there is none
	Locals []Locals // after the parameters
	Code   []byte   // its instructions with the last end; nil for an imported function
	Offset int      // of Code in the file

	declared bool // a reference may be made of it
}

// Locals are consecutive local variables of one type.
type Locals struct {
	Type ValType
	End  uint32 // how many locals of the function, without parameters, there are up to here
}

// Limits are sizes of a table in elements, or of a memory in pages of 64 KiB.
type Limits struct {
	Min, Max uint32
	HasMax   bool
}

// A Table is a table of references.
type Table struct {
	Type ValType
	Limits
	Imported bool
}

// A Memory is a linear memory.
type Memory struct {
	Limits
	Imported bool
}

// A Global is a global variable.
type Global struct {
	Type     ValType
	Mutable  bool
	Imported bool
	Init     Const // unless it is imported
}

// A Const is a constant expression, which is one instruction: I32Const, I64Const, F32Const, F64Const, RefNull, RefFunc, or
// GlobalGet of an imported immutable global.
type Const struct {
	Op    Op
	Value uint64 // the constant's bits, the index of the function or of the global, 0 for RefNull
}

// An Export is something that the module gives under a name, which no other export has.
type Export struct {
	Name  string
	Kind  Kind
	Index uint32
}

// A Mode says when a segment goes to its table or memory.
type Mode byte

// The modes of segments.
const (
	Active      Mode = iota // when the module is instantiated
	Passive                 // when table.init or memory.init say so
	Declarative             // never: an element segment that only allows references to its functions
)

// An Elem is an element segment.
type Elem struct {
	Mode   Mode
	Type   ValType
	Table  uint32 // if it is active
	Offset Const  // if it is active: an i32
	Init   []Const
}

// A Data is a data segment.
type Data struct {
	Mode   Mode  // not Declarative
	Offset Const // if it is active: an i32
	Init   []byte
}

// A Producer is an entry of the producers section: a language or a tool that made the module.
type Producer struct {
	Field         string // "language", "processed-by" or "sdk"
	Name, Version string // "Go", "go1.26.0"
}
