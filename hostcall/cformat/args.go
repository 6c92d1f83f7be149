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
// The wire form has for each argument, little-endian and without padding, a byte with its Kind and then
//
//	Int32 Uint32 Float32            4 bytes
//	Int64 Uint64 Float64 Pointer    8 bytes
//	String                          4 bytes with a length, and that many bytes
//	NullString                      nothing
//
// and at most 64 arguments.
func DecodeArgs(buf []Arg, wire []byte) ([]Arg, error) {
	args := buf[:0]
	for at := 0; at < len(wire); {
		if len(args) == maxArgs {
			return args, fmt.Errorf("cformat: %w: more than %d arguments", ErrWire, maxArgs)
		}
		arg := Arg{Kind: Kind(wire[at])}
		rest := wire[at+1:]
		size := 0
		switch arg.Kind {
		case Int32, Uint32, Float32, String:
			size = 4
		case Int64, Uint64, Float64, Pointer:
			size = 8
		case NullString:
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
			n := binary.LittleEndian.Uint32(rest)
			if uint64(n) > uint64(len(rest)-size) {
				return args, truncated(args, at, arg.Kind)
			}
			end := size + int(n)
			arg.Str = rest[size:end:end]
			size = end
		}
		args = append(args, arg)
		at += 1 + size
	}
	return args, nil
}

func truncated(args []Arg, at int, kind Kind) error {
	return fmt.Errorf("cformat: %w: argument %d (%v) at byte %d is cut off", ErrWire, len(args)+1, kind, at)
}
