package cformat

import (
	"bytes"
	"fmt"
)

func (s *spec) appendString(dst []byte, arg *Arg) ([]byte, error) {
	if s.length == lengthLong {
		return dst, fmt.Errorf("%w: there are no wide strings", ErrFormat)
	}
	var str []byte
	switch arg.Kind {
	case String:
		str = arg.Str
		if 0 <= s.prec && s.prec < len(str) {
			str = str[:s.prec]
		}
		if i := bytes.IndexByte(str, 0); i >= 0 {
			str = str[:i]
		}
		if s.width-len(str) > maxRender {
			return dst, errTooLong
		}
		if s.width == 0 {
			return append(dst, str...), nil
		}
	case NullString:
		if s.width > maxRender {
			return dst, errTooLong
		}
		start := len(dst)
		if s.prec < 0 || s.prec >= len("(null)") {
			dst = append(dst, "(null)"...)
		}
		return s.pad(dst, start, 0, false), nil
	default:
		return dst, mismatch(arg.Kind, "a string")
	}
	start := len(dst)
	return s.pad(append(dst, str...), start, 0, false), nil
}

func (s *spec) appendChar(dst []byte, arg *Arg) ([]byte, error) {
	u, ok := arg.integer()
	if !ok {
		return dst, mismatch(arg.Kind, "a character's integer")
	}
	if s.width > maxRender {
		return dst, errTooLong
	}
	if s.length == lengthLong && uint32(u) > 0x7f {
		return dst, fmt.Errorf("%w: the C locale has no character %#x", ErrArgument, uint32(u))
	}
	start := len(dst)
	return s.pad(append(dst, byte(u)), start, 0, false), nil
}
