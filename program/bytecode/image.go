package bytecode

import (
	"slices"

	"github.com/dialtone-gpu/dialtone/program/wasm"
)

// PageBytes is a page of linear memory.
const PageBytes = 64 << 10

// Boot is where an instance starts: at code that calls the start function, if there is one, then the function that the instance is to run,
// and then finishes.
const Boot = 1

// An Image is a lowered module, from which any number of instances can be made.
type Image struct {
	// Code are the instructions of all functions, Words words each.
	Code []uint64
	// Entries has, for each function, where its Function instruction is: its code begins behind it.
	Entries []uint32
	// Invoke is where the code at Boot runs the function: behind the call of the start function.
	Invoke uint32
	// BootFrame is how many slots the code at Boot has: parameters and results of what an instance runs fit in them.
	BootFrame int

	Memory  Memory
	Globals []uint64 // initial values
	Tables  []Table
	// Datas and Elems are the passive segments that instructions name, by the numbers that these have. Number 0 is empty: it stands for all that
	// instances cannot take anything from.
	Datas [][]byte
	Elems [][]uint64

	module *wasm.Module
	types  []uint32 // their numbers
}

// Memory is the linear memory that an instance begins with.
type Memory struct {
	Min, Max uint32 // pages; both 0 if there is no memory
	// Segments are to be stored in this order, and lie within the first Min pages.
	Segments []Segment
}

// A Segment is what memory has at an address.
type Segment struct {
	Address uint32
	Bytes   []byte
}

// A Table is what an instance has of one in the beginning.
type Table struct {
	// Elements are references: 0 for null; of a function, Image.Ref; of anything else, what the host gave.
	Elements []uint64
	// Max is how many it can have. It is len(Elements) if nothing makes the table larger.
	Max uint32
}

// typeNumbers are the numbers of types in references and in call_indirect: equal types have the same.
func typeNumbers(m *wasm.Module) []uint32 {
	numbers := make([]uint32, len(m.Types))
	first := map[wasm.FuncType]uint32{}
	for i, t := range m.Types {
		n, ok := first[t]
		if !ok {
			n = uint32(i)
			first[t] = n
		}
		numbers[i] = n
	}
	return numbers
}

// Ref is a reference to a function.
func (im *Image) Ref(function int) uint64 {
	return uint64(im.types[im.module.Funcs[function].Type])<<32 | uint64(im.Entries[function])
}

// Module is what was lowered.
func (im *Image) Module() *wasm.Module { return im.module }

// Function finds the function that the instruction at pc belongs to, or -1 if that is the code at Boot.
func (im *Image) Function(pc uint32) int {
	i, found := slices.BinarySearch(im.Entries, pc)
	if found {
		return i
	}
	return i - 1
}
