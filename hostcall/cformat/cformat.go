// Package cformat renders C's printf formats on the host, for arguments that a kernel sent.
//
// A device sends the format's bytes and a list of typed arguments (DecodeArgs reads their wire form); Append renders them as glibc's
// printf does in the C locale, byte for byte but for one defect named below. Both inputs are untrusted: whatever they hold, the two
// functions return a result or an error, never write outside the buffers that they were given, and use a bounded amount of memory.
//
// # What is rendered
//
// The conversions d i u o x X c s p f F e E g G a A and %%, the flags - + space # 0 and ' (which the C locale ignores), width and
// precision, each also as *, and the length modifiers hh h l ll j z t L q. As in C, a NUL ends the format and ends a string.
//
//   - As in C, the conversion decides the type: %d takes the low 32 bits of an Int64, %hhd the low 8 bits of any integer. The modifiers
//     l ll j z t L q all mean 64 bits, for which an Int32 is sign-extended and a Uint32 zero-extended.
//   - Pointer is accepted by %p and, in all of its 64 bits unless h or hh cuts them, by the unsigned conversions u o x X.
//   - NullString prints as "(null)" under %s (nothing with a precision below 6) and as "(nil)" under %p.
//   - Floats are doubles: Float32 is promoted and long double does not exist, so that %Lf is %f.
//   - There are no wide strings: %ls is an error. %lc prints the characters that the C locale can encode, which are those below 128.
//   - %n never writes: it is an error.
//   - Arguments that the format does not use are ignored.
//   - Where rounding carries into a new exponent, as in %#g of 999999.5, this is 1.00000e+06 as the C standard asks. glibc (2.36) loses
//     the zeros that # should keep and prints 1.e+06.
//
// # Errors
//
// An error names the conversion and the number of its argument, counted from 1, and wraps one of the sentinels of this package. What C
// leaves undefined for want of a check (an argument that is missing or of another kind, an unknown conversion) is such an error. With
// an error Append returns what it had rendered before the conversion that failed, so that a caller can still show it.
//
// # Bounds
//
// A conversion renders at most 64 KiB more than its string holds; one that would render more is an error. As every conversion but %%
// uses up an argument, a whole call renders at most len(format) + 64 KiB per argument + the strings.
//
// # Costs
//
// Nothing is allocated while dst and buf have room, except for errors. The functions keep no reference to dst or format and hold no
// state; they may be called from many goroutines. dst must not overlap format or the arguments' strings.
package cformat

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// maxRender is the most bytes that one conversion may render beyond the bytes of its string.
const maxRender = 64 << 10

// Errors that Append and DecodeArgs wrap.
var (
	ErrFormat   = errors.New("bad conversion")      // unknown, incomplete or refused conversion
	ErrArgument = errors.New("bad argument")        // argument missing or of the wrong kind
	ErrTooLong  = errors.New("conversion too long") // more output than one conversion may have
	ErrWire     = errors.New("bad argument list")   // bytes that are no argument list
)

// Kind is the type that an argument has in the kernel.
type Kind uint8

// The kinds, with the values that they have on the wire.
const (
	Int32      Kind = 1 + iota // Bits holds a sign-extended int32
	Uint32                     // Bits holds a zero-extended uint32
	Int64                      // Bits holds an int64
	Uint64                     // Bits holds a uint64
	Float32                    // the low 32 of Bits are an IEEE-754 single
	Float64                    // Bits is an IEEE-754 double
	String                     // Str holds the bytes, without a NUL
	NullString                 // a null char pointer
	Pointer                    // Bits is the address
)

var kindNames = [...]string{
	Int32: "int32", Uint32: "uint32", Int64: "int64", Uint64: "uint64", Float32: "float32", Float64: "float64",
	String: "string", NullString: "null string", Pointer: "pointer",
}

// String names the kind in messages.
func (k Kind) String() string {
	if int(k) < len(kindNames) && k != 0 {
		return kindNames[k]
	}
	return "kind " + strconv.Itoa(int(k))
}

// Arg is one argument. Of Bits and Str the one that Kind names counts; bits beyond the kind's width are ignored.
type Arg struct {
	Kind Kind
	Bits uint64
	Str  []byte
}

// Append renders format with args onto dst, as C's printf would in the C locale, and returns the extended dst. The package comment
// says what it renders, what its errors mean and how long the output can get.
func Append(dst, format []byte, args []Arg) ([]byte, error) {
	if i := bytes.IndexByte(format, 0); i >= 0 {
		format = format[:i]
	}
	next := 0 // index of the next argument
	for len(format) > 0 {
		if format[0] != '%' {
			i := bytes.IndexByte(format, '%')
			if i < 0 {
				return append(dst, format...), nil
			}
			dst = append(dst, format[:i]...)
			format = format[i:]
		}

		var s spec
		n, used, err := s.parse(format, args[next:])
		next += used
		if err != nil {
			return dst, failure(format[:n], next, err)
		}
		if s.conv != '%' {
			if next == len(args) {
				return dst, failure(format[:n], next, errMissing)
			}
			start := len(dst)
			dst, err = s.append(dst, &args[next])
			if err != nil {
				return dst[:start], failure(format[:n], next, err)
			}
			next++
		} else {
			dst = append(dst, '%') // glibc ignores flags, width and precision here
		}
		format = format[n:]
	}
	return dst, nil
}

// append renders one argument. On an error the caller drops what was appended.
func (s *spec) append(dst []byte, arg *Arg) ([]byte, error) {
	switch s.conv {
	case 's':
		return s.appendString(dst, arg)
	case 'c':
		return s.appendChar(dst, arg)
	}

	// A number's width and precision bound its output from below: refuse them before doing the work.
	start := len(dst)
	if s.width > maxRender {
		return dst, errTooLong
	}
	var err error
	switch s.conv {
	case 'd', 'i':
		dst, err = s.appendSigned(dst, arg)
	case 'u', 'o', 'x', 'X':
		dst, err = s.appendUnsigned(dst, arg)
	case 'p':
		dst, err = s.appendPointer(dst, arg)
	default:
		dst, err = s.appendFloat(dst, arg)
	}
	if err == nil && len(dst)-start > maxRender {
		err = errTooLong
	}
	return dst, err
}

var (
	errMissing = fmt.Errorf("%w: missing", ErrArgument)
	errTooLong = fmt.Errorf("%w: over %d bytes", ErrTooLong, maxRender)
)

// mismatch is the error for an argument of a kind that the conversion does not take.
func mismatch(have Kind, want string) error {
	return fmt.Errorf("%w: %v where %s belongs", ErrArgument, have, want)
}

// failure says which conversion failed with which argument (an index). Quotes at most the first bytes of an endless conversion.
func failure(conversion []byte, arg int, err error) error {
	const most = 40
	tail := ""
	if len(conversion) > most {
		conversion, tail = conversion[:most], "..."
	}
	return fmt.Errorf("cformat: conversion %q%s, argument %d: %w", conversion, tail, arg+1, err)
}
