// Package interpreter runs images of package bytecode on a device: the text of a kernel with a case for each instruction, and the memory
// that it works on.
package interpreter
