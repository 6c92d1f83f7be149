package cformat

import "strconv"

// integer returns an integer argument extended to 64 bits as its type asks; false if it is no integer.
func (a *Arg) integer() (uint64, bool) {
	switch a.Kind {
	case Int32:
		return uint64(int32(a.Bits)), true
	case Uint32:
		return uint64(uint32(a.Bits)), true
	case Int64, Uint64:
		return a.Bits, true
	}
	return 0, false
}

func (s *spec) appendSigned(dst []byte, arg *Arg) ([]byte, error) {
	u, ok := arg.integer()
	if !ok {
		return dst, mismatch(arg.Kind, "an integer")
	}
	v := int64(u)
	switch s.length {
	case lengthInt:
		v = int64(int32(u))
	case lengthChar:
		v = int64(int8(u))
	case lengthShort:
		v = int64(int16(u))
	}
	if v < 0 {
		return s.appendDigits(dst, '-', -uint64(v), 10)
	}
	return s.appendDigits(dst, s.sign(), uint64(v), 10)
}

func (s *spec) appendUnsigned(dst []byte, arg *Arg) ([]byte, error) {
	u, ok := arg.integer()
	switch {
	case arg.Kind == Pointer:
		// Without a modifier too: nobody wants half of an address.
		u = arg.Bits
	case !ok:
		return dst, mismatch(arg.Kind, "an integer or pointer")
	case s.length == lengthInt:
		u = uint64(uint32(u))
	}
	switch s.length {
	case lengthChar:
		u = uint64(uint8(u))
	case lengthShort:
		u = uint64(uint16(u))
	}
	base := 10
	switch s.conv {
	case 'o':
		base = 8
	case 'x', 'X':
		base = 16
	}
	return s.appendDigits(dst, 0, u, base)
}

// appendPointer renders as glibc does: nil is a string that knows no precision, the rest is %#lx that minds the signed flags.
func (s *spec) appendPointer(dst []byte, arg *Arg) ([]byte, error) {
	u := arg.Bits
	switch arg.Kind {
	case Pointer:
	case NullString:
		u = 0
	default:
		return dst, mismatch(arg.Kind, "a pointer")
	}
	if u == 0 {
		start := len(dst)
		return s.pad(append(dst, "(nil)"...), start, 0, false), nil
	}
	s.alt = true
	return s.appendDigits(dst, s.sign(), u, 16)
}

// sign returns what the flags put before a number that is not negative; 0 is nothing.
func (s *spec) sign() byte {
	switch {
	case s.plus:
		return '+'
	case s.space:
		return ' '
	}
	return 0
}

// appendDigits renders an integer of any base behind its sign, if that is not 0.
func (s *spec) appendDigits(dst []byte, sign byte, u uint64, base int) ([]byte, error) {
	if s.prec > maxRender {
		return dst, errTooLong
	}
	start := len(dst)
	if sign != 0 {
		dst = append(dst, sign)
	}
	if s.alt && base == 16 && u != 0 {
		if s.conv == 'X' {
			dst = append(dst, "0X"...)
		} else {
			dst = append(dst, "0x"...)
		}
	}
	digits := len(dst)
	if u != 0 || s.prec != 0 { // zero with precision zero has no digits
		dst = strconv.AppendUint(dst, u, base)
	}
	if s.conv == 'X' {
		upper(dst[digits:])
	}
	if n := s.prec - (len(dst) - digits); n > 0 {
		dst = insert(dst, digits, n, '0')
	}
	if s.alt && base == 8 && (digits == len(dst) || dst[digits] != '0') {
		dst = insert(dst, digits, 1, '0')
	}
	return s.pad(dst, start, digits-start, s.zero && s.prec < 0), nil
}

// upper turns ASCII letters into capitals.
func upper(b []byte) {
	for i, c := range b {
		if 'a' <= c && c <= 'z' {
			b[i] = c - ('a' - 'A')
		}
	}
}
