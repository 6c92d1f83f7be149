package wasm

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"
)

// A reader reads the primitive parts of the binary format. After its first error it is at its end, and everything that it reads is 0.
type reader struct {
	buf []byte // the file up to the end of what is read
	pos int    // in the file
	err *Error // without a place
}

// fail sets the error, unless there is one.
func (r *reader) fail(offset int, format string, args ...any) { r.refuse(offset, "", format, args...) }

// refuse is fail for what proposal would allow, which may be "".
func (r *reader) refuse(offset int, proposal, format string, args ...any) {
	if r.err == nil {
		reason := fmt.Sprintf(format, args...)
		if proposal != "" {
			reason += ": " + proposal + " is not supported"
		}
		r.err = &Error{Offset: offset, Reason: reason, Proposal: proposal}
	}
	r.pos = len(r.buf)
}

// bytes reads n bytes and returns a slice of the file.
func (r *reader) bytes(n uint32) []byte {
	if uint64(n) > uint64(len(r.buf)-r.pos) {
		r.fail(r.pos, "unexpected end: %d bytes are left of %d", len(r.buf)-r.pos, n)
		return nil
	}
	b := r.buf[r.pos : r.pos+int(n) : r.pos+int(n)]
	r.pos += int(n)
	return b
}

func (r *reader) byte() byte {
	if r.pos >= len(r.buf) {
		r.fail(r.pos, "unexpected end")
		return 0
	}
	r.pos++
	return r.buf[r.pos-1]
}

// peek returns the next byte without going on, 0xff at the end.
func (r *reader) peek() byte {
	if r.pos >= len(r.buf) {
		return 0xff
	}
	return r.buf[r.pos]
}

func (r *reader) u32() uint32 {
	if r.pos < len(r.buf) && r.buf[r.pos] < 0x80 {
		r.pos++
		return uint32(r.buf[r.pos-1])
	}
	return uint32(r.leb128(32, false))
}

func (r *reader) signed(bits uint) int64 {
	if r.pos < len(r.buf) && r.buf[r.pos] < 0x80 {
		r.pos++
		return int64(int8(r.buf[r.pos-1]<<1) >> 1)
	}
	return r.leb128(bits, true)
}

// leb128 reads an integer of so many bits, seven in each byte. Zeros, or the sign, may pad it up to the bytes that all bits need.
func (r *reader) leb128(bits uint, signed bool) int64 {
	start := r.pos
	var v int64
	for shift := uint(0); ; shift += 7 {
		b := r.byte()
		v |= int64(b&0x7f) << shift
		if left := bits - shift; left <= 7 { // the last byte that there may be
			above := int8(b & 0x7f >> left)
			if signed {
				above = int8(b<<1) >> left // the sign, repeated
			}
			if b >= 0x80 {
				r.fail(start, "integer representation too long")
			} else if above != 0 && (above != -1 || !signed) {
				r.fail(start, "integer too large")
			}
		}
		if r.err != nil {
			return 0
		}
		if b < 0x80 {
			if signed && b >= 0x40 {
				v |= -1 << (shift + 7)
			}
			return v
		}
	}
}

func (r *reader) fixed32() uint32 {
	if b := r.bytes(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (r *reader) fixed64() uint64 {
	if b := r.bytes(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// count reads how many elements follow, each of at least size bytes, so that what is allocated for them is in proportion to the file.
func (r *reader) count(size int) int {
	start := r.pos
	n := r.u32()
	if left := len(r.buf) - r.pos; uint64(n)*uint64(size) > uint64(left) {
		r.fail(start, "unexpected end: %d bytes are too few for %d elements", left, n)
		return 0
	}
	return int(n)
}

// index reads the index of one of size things.
func (r *reader) index(at int, space string, size int) uint32 {
	i := r.u32()
	if uint64(i) >= uint64(size) {
		r.fail(at, "unknown %s %d", space, i)
	}
	return i
}

// vector reads elements of at least size bytes each, preceded by their number.
func vector[T any](r *reader, size int, element func() T) []T {
	start := r.pos
	n := r.count(size)
	if n > maxElements {
		r.fail(start, "implementation limit: %d elements, more than %d", n, maxElements)
		return nil
	}
	v := make([]T, 0, n)
	for i := 0; i < n && r.err == nil; i++ {
		v = append(v, element())
	}
	return v
}

func (r *reader) name() string {
	start := r.pos
	b := r.bytes(r.u32())
	if !utf8.Valid(b) {
		r.fail(start, "malformed UTF-8 encoding")
		return ""
	}
	return string(b)
}

func (r *reader) valType() ValType {
	start := r.pos
	switch t := ValType(r.byte()); t {
	case I32, I64, F32, F64, FuncRef, ExternRef:
		return t
	default:
		r.refuse(start, typeProposals[t], "malformed value type %#02x", byte(t))
		return I32
	}
}

func (r *reader) refType() ValType {
	start := r.pos
	t := r.valType()
	if !t.IsRef() {
		r.fail(start, "malformed reference type: %v", t)
	}
	return t
}
