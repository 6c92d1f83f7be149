// Package bytecode lowers modules of WebAssembly to instructions for a machine with slots in place of a stack, which package interpreter
// runs on a device: fewer of them, all of one size, that say themselves where everything is.
//
// # Frames
//
// A function has a frame of slots of 64 bits: first its parameters, then its other locals, zero at first, then its operands. The operand at
// height h of the stack has its canonical slot, the one behind the locals plus h. Values of 32 bits are in the lower half, the other half is 0.
// Floats are their bits. A reference is 0 if it is null; to a function it is the number of its type in the upper half, equal types having the same, and
// where the function is in the code in the lower half; what the host refers to is up to it.
//
// A call has its arguments where the callee's frame begins, in their canonical slots, and finds the results there. What is an operand as long
// as nothing changes it, a local or a constant, is used where it is and not copied to its slot. Where control comes from several places, or goes to native
// code, all operands are in their canonical slots.
//
// # Instructions
//
// An instruction has two words of 64 bits:
//
//	bit 0   op (9 bits)     which instruction: Op
//	    9   imm             FlagImm: the second word in place of slot b. Instructions that have no b have it, too
//	   10   not             FlagNot: a branch is taken where its condition is 0
//	   11   index           FlagIndex: a store's address has an index
//	   12   shift (3 bits)  by which an index is shifted left
//	   15   d (17 bits)     a slot, mostly the one that gets the result; a near target of fused branches; a constant of stores
//	   32   a (32 bits)     a slot, always: a machine may load it before it knows the op
//	second word             a constant, a target, numbers: see Info.Fields. Without imm its upper half is
//	   32   b (32 bits)     a slot, always
//
// Targets are numbers of instructions. The several ones of a br_table, and of native code, follow the instruction, in half a word each.
//
// Comparisons have a second form, in which they are the condition of a branch. Addresses of loads and stores have two parts besides their static offset, which
// wrap when they are added, as i32.add does:
//
//	load   slot a + upper half of the second word, with imm; else slot a + (slot b << shift); + lower half
//	store  slot a + d, which has a sign, or with index slot a + (slot d << shift); + lower half;
//	       of slot b, or with imm of the upper half, sign-extended
//
// Instructions that take 32 bits take the lower half of a slot, whatever the upper one is; those that give 32 bits set it to 0.
//
// In front of a function's first instruction is one that is not executed: Function, with the size of the frame.
//
// One table has all instructions, with their names, their parts for people (Disassemble) and what they do in C (Info.C).
// Those that compute come from package machine.
package bytecode
