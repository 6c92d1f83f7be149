package cformat

import (
	"encoding/binary"
	"fmt"
)

// maxArgs is the most arguments that a list on the wire may hold.
const maxArgs = 64

// DecodeArgs parses the wire form of an argument list, which it does not trust, into buf's storage (what buf held is overwritten) and
// returns the arguments; they grow beyond buf only if it is too short. The strings are not copied: they are parts of wire, and valid as
// long as it is. On an error, which wraps ErrWire, it returns the arguments before the one at fault.
//
// The wire form is little-endian 32-bit words, which is what devices store well. Each argument is a word with its Kind and then
//
//	Int32 Uint32 Float32            a word
//	Int64 Uint64 Float64 Pointer    two words, the low half first
//	String                          a word with the length in bytes, and the bytes, filled up to a whole word
//	NullString                      a word that does not matter
//
// and there are at most 64 arguments.
func DecodeArgs(buf []Arg, wire []byte) ([]Arg, error) {
	args := buf[:0]
	for at := 0; at < len(wire); {
		if len(args) == maxArgs {
			return args, fmt.Errorf("cformat: %w: more than %d arguments", ErrWire, maxArgs)
		}
		if len(wire)-at < 4 {
			return args, fmt.Errorf("cformat: %w: argument %d at byte %d is cut off", ErrWire, len(args)+1, at)
		}
		kind := binary.LittleEndian.Uint32(wire[at:])
		rest := wire[at+4:]
		if kind > uint32(Pointer) {
			return args, fmt.Errorf("cformat: %w: argument %d at byte %d has the unknown kind %d", ErrWire, len(args)+1, at, kind)
		}
		arg := Arg{Kind: Kind(kind)}
		size := 4
		switch arg.Kind {
		case Int32, Uint32, Float32, String, NullString:
		case Int64, Uint64, Float64, Pointer:
			size = 8
		default:
			return args, fmt.Errorf("cformat: %w: argument %d at byte %d has the unknown %v", ErrWire, len(args)+1, at, arg.Kind)
		}
		if len(rest) < size {
			return args, truncated(args, at, arg.Kind)
		}
		switch arg.Kind {
		case Int32:
			arg.Bits = uint64(int32(binary.LittleEndian.Uint32(rest)))
		case Uint32, Float32:
			arg.Bits = uint64(binary.LittleEndian.Uint32(rest))
		case Int64, Uint64, Float64, Pointer:
			arg.Bits = binary.LittleEndian.Uint64(rest)
		case String:
			n := uint64(binary.LittleEndian.Uint32(rest))
			if (n+3)&^3 > uint64(len(rest)-size) {
				return args, truncated(args, at, arg.Kind)
			}
			end := size + int(n)
			arg.Str = rest[size:end:end]
			size += int(n+3) &^ 3
		}
		args = append(args, arg)
		at += 4 + size
	}
	return args, nil
}

func truncated(args []Arg, at int, kind Kind) error {
	return fmt.Errorf("cformat: %w: argument %d (%v) at byte %d is cut off", ErrWire, len(args)+1, kind, at)
}
