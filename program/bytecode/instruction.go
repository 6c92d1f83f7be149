package bytecode

import (
	"fmt"
	"math/bits"
	"strings"
)

// The parts of an instruction's first word.
const (
	opBits     = 9
	shiftShift = 12
	shiftBits  = 3
	dShift     = shiftShift + shiftBits
	slotBits   = 32 - dShift
	aShift     = 32
	bShift     = 32 // of the second word

	opMask   = 1<<opBits - 1
	slotMask = 1<<slotBits - 1

	// FlagImm has the second word in place of slot b. The words of an instruction that has no b have it, too: what loads slot b before it
	// knows the op then loads nothing.
	FlagImm = 1 << 9
	// FlagNot has a conditional branch taken where the condition is 0.
	FlagNot = 1 << 10
	// FlagIndex has a store add slot d to its address.
	FlagIndex = 1 << 11
)

// Words is how many words of Image.Code an instruction has.
const Words = 2

// An Instruction is one of Image.Code, taken apart.
type Instruction struct {
	Op         Op
	Flags      uint64 // FlagImm and so on
	Shift      uint32 // of an index in an address: 0 to 7
	D, A, B, C uint32
	Imm        uint64 // with a slot b, the lower half of the second word only; with a slot c, nothing
}

// words puts it together.
func (i Instruction) words() (uint64, uint64) {
	info := i.Op.Info()
	first := uint64(i.Op) | i.Flags | uint64(i.Shift)<<shiftShift | uint64(i.D&slotMask)<<dShift | uint64(i.A)<<aShift
	switch {
	case !info.hasB:
		first |= FlagImm
	case i.Flags&FlagImm == 0:
		i.Imm |= uint64(i.B) << bShift
	}
	if info.hasC {
		i.Imm |= uint64(i.C)
	}
	return first, i.Imm
}

// Decode takes the instruction apart that begins with word 2*pc of code.
func Decode(code []uint64, pc int) Instruction {
	w := code[Words*pc]
	i := Instruction{
		Op: Op(w & opMask), Flags: w & (FlagImm | FlagNot | FlagIndex), Shift: uint32(w>>shiftShift) & (1<<shiftBits - 1),
		D: uint32(w>>dShift) & slotMask, A: uint32(w>>aShift) & slotMask, Imm: code[Words*pc+1],
	}
	info := i.Op.Info()
	switch {
	case !info.hasB:
		i.Flags &^= FlagImm
	case i.Flags&FlagImm == 0:
		i.B = uint32(i.Imm>>bShift) & slotMask
		i.Imm &= 1<<32 - 1
	}
	if info.hasC {
		i.C = uint32(i.Imm) & slotMask
		i.Imm &^= 1<<32 - 1
	}
	return i
}

// signed is d as a number with a sign: the distance from the instruction behind a fused branch, or what a store adds to its address.
func signed(d uint32) int { return int(int32(d<<(32-slotBits)) >> (32 - slotBits)) }

// Disassemble writes the instructions of an image, one per line, with the functions that they belong to. Slots are "%3", targets "@17".
func Disassemble(im *Image) string {
	var b strings.Builder
	next := 0
	for pc := 0; pc < len(im.Code)/Words; pc++ {
		for next < len(im.Entries) && int(im.Entries[next]) == pc {
			fmt.Fprintf(&b, "function %d:\n", next)
			next++
		}
		in := Decode(im.Code, pc)
		fmt.Fprintf(&b, "%6d %s\n", pc, in.text(pc))
		if n := in.targets(); n > 0 {
			fmt.Fprintf(&b, "      ")
			for i := range n {
				fmt.Fprintf(&b, " @%d", target(im.Code, pc, i))
			}
			b.WriteString("\n")
			pc += tableInstructions(n)
		}
	}
	return b.String()
}

// targets is how many targets follow the instruction.
func (i Instruction) targets() int {
	switch i.Op {
	case BranchTable:
		return int(uint32(i.Imm)) + 1
	case Native:
		return int(i.Imm >> 32)
	}
	return 0
}

// tableInstructions is the room of so many targets, in instructions.
func tableInstructions(targets int) int { return (targets + 3) / 4 }

// target is number i of those behind the instruction at pc.
func target(code []uint64, pc, i int) uint32 {
	return uint32(code[Words*(pc+1)+i/2] >> (i % 2 * 32))
}

// text is the instruction at pc for people.
func (i Instruction) text(pc int) string {
	info := i.Op.Info()
	if info.Name == "" {
		return fmt.Sprintf("? %#x", uint16(i.Op))
	}
	var b strings.Builder
	b.WriteString(info.Name)
	if i.Flags&FlagNot != 0 {
		b.WriteString(".not")
	}
	for _, f := range strings.Fields(info.Fields) {
		b.WriteString(" ")
		switch f {
		case "d", "a", "c":
			fmt.Fprintf(&b, "%%%d", map[string]uint32{"d": i.D, "a": i.A, "c": i.C}[f])
		case "a-":
			fmt.Fprintf(&b, "%%%d %%%d %%%d", i.A, i.A+1, i.A+2)
		case "b":
			if i.Flags&FlagImm != 0 {
				fmt.Fprintf(&b, "%#x", i.Imm)
			} else {
				fmt.Fprintf(&b, "%%%d", i.B)
			}
		case "@d":
			fmt.Fprintf(&b, "@%d", pc+1+signed(i.D))
		case "@":
			fmt.Fprintf(&b, "@%d", uint32(i.Imm))
		case "low":
			fmt.Fprintf(&b, "%d", uint32(i.Imm))
		case "high":
			fmt.Fprintf(&b, "%d", i.Imm>>32)
		case "[load]":
			b.WriteString(i.loadAddress())
		case "[store]":
			b.WriteString(i.storeAddress())
		case "stored":
			if i.Flags&FlagImm != 0 {
				fmt.Fprintf(&b, "%#x", int32(i.Imm>>32))
			} else {
				fmt.Fprintf(&b, "%%%d", i.B)
			}
		default:
			panic("BUG: a field " + f)
		}
	}
	return b.String()
}

func (i Instruction) loadAddress() string {
	if i.Flags&FlagImm != 0 {
		return fmt.Sprintf("[%%%d + %d + %d]", i.A, i.Imm>>32, uint32(i.Imm))
	}
	return fmt.Sprintf("[%%%d + %%%d<<%d + %d]", i.A, i.B, i.Shift, uint32(i.Imm))
}

func (i Instruction) storeAddress() string {
	if i.Flags&FlagIndex != 0 {
		return fmt.Sprintf("[%%%d + %%%d<<%d + %d]", i.A, i.D, i.Shift, uint32(i.Imm))
	}
	return fmt.Sprintf("[%%%d + %d + %d]", i.A, signed(i.D), uint32(i.Imm))
}

// Defines are the parts of an instruction as macros of C, which package interpreter takes them apart with.
func Defines() string {
	return fmt.Sprintf(`#define VM_OP_MASK %du
#define VM_FLAG_IMM %du
#define VM_FLAG_INDEX %du
#define VM_NOT_SHIFT %d
#define VM_SHIFT_SHIFT %d
#define VM_SHIFT_MASK %du
#define VM_D_SHIFT %d
`, opMask, FlagImm, FlagIndex, bits.TrailingZeros(FlagNot), shiftShift, 1<<shiftBits-1, dShift)
}
