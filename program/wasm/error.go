package wasm

import "fmt"

// An Error says why a module is refused.
type Error struct {
	Offset   int    // of the place in the file, in bytes
	Place    string // the section, or the function: function 12 ("main.main")
	Reason   string // in the terms of the WebAssembly specification
	Proposal string // the extension of WebAssembly that the module would need; "" if it is simply wrong
}

func (e *Error) Error() string {
	return fmt.Sprintf("wasm: %s, offset %#x: %s", e.Place, e.Offset, e.Reason)
}

// Extensions of WebAssembly that are not accepted, by the names of their proposals.
const (
	componentModel = "component model"
	customPages    = "custom page sizes"
	exceptions     = "exception handling"
	extendedConst  = "extended constant expressions"
	gc             = "garbage collection"
	memory64       = "memory64"
	memoryControl  = "memory control"
	multiMemory    = "multiple memories"
	relaxedSIMD    = "relaxed SIMD"
	simd           = "fixed-width SIMD"
	stringRefs     = "reference-typed strings"
	stackSwitching = "stack switching"
	tailCalls      = "tail calls"
	threads        = "threads"
	typedFuncRefs  = "typed function references"
	wideArithmetic = "wide arithmetic"
)

// opProposals says which proposal an opcode's first byte belongs to. 0xFC and 0xFD announce opcodes of several.
var opProposals = [256]string{
	0x06: exceptions, 0x07: exceptions, 0x08: exceptions, 0x09: exceptions, 0x0a: exceptions, 0x18: exceptions, 0x19: exceptions, 0x1f: exceptions,
	0x12: tailCalls, 0x13: tailCalls,
	0x14: typedFuncRefs, 0x15: typedFuncRefs, 0xd4: typedFuncRefs, 0xd5: typedFuncRefs, 0xd6: typedFuncRefs,
	0xd3: gc, 0xfb: gc,
	0xe0: stackSwitching, 0xe1: stackSwitching, 0xe2: stackSwitching, 0xe3: stackSwitching, 0xe4: stackSwitching, 0xe5: stackSwitching, 0xe6: stackSwitching,
	0xfe: threads,
}

// typeProposals says which proposal the first byte of a type belongs to.
var typeProposals = [256]string{
	0x7b: simd,
	0x69: exceptions, 0x74: exceptions,
	0x63: typedFuncRefs, 0x64: typedFuncRefs,
	0x4e: gc, 0x4f: gc, 0x50: gc, 0x5e: gc, 0x5f: gc, 0x6a: gc, 0x6b: gc, 0x6c: gc, 0x6d: gc, 0x6e: gc, 0x71: gc, 0x72: gc, 0x73: gc, 0x77: gc, 0x78: gc,
	0x5d: stackSwitching, 0x68: stackSwitching, 0x75: stackSwitching,
}

// These are for sections, kinds of imports and exports, and flags of limits.
var (
	sectionProposals = [256]string{13: exceptions, 14: stringRefs}
	kindProposals    = [256]string{4: exceptions}
	limitProposals   = [256]string{2: threads, 3: threads, 4: memory64, 5: memory64, 6: memory64, 7: memory64, 8: customPages, 9: customPages}
)
