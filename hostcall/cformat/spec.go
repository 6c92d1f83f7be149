package cformat

import (
	"fmt"
	"math"
)

// length is what a length modifier asks of an integer.
type length uint8

const (
	lengthInt   length = iota // none: 32 bits
	lengthChar                // hh
	lengthShort               // h
	lengthLong                // l ll j z t L q: 64 bits
)

// conversions are the letters that end a specification.
var conversions = [256]bool{
	'd': true, 'i': true, 'u': true, 'o': true, 'x': true, 'X': true, 'c': true, 's': true, 'p': true, '%': true,
	'f': true, 'F': true, 'e': true, 'E': true, 'g': true, 'G': true, 'a': true, 'A': true,
}

// spec is one conversion specification, with the values of its * filled in.
type spec struct {
	width  int // 0 means none; at most math.MaxInt32
	prec   int // -1 means none; at most math.MaxInt32
	minus  bool
	plus   bool
	space  bool
	alt    bool // the flag #
	zero   bool
	length length
	conv   byte
}

// parse reads the specification at the start of format, which begins with % and holds no NUL. args are the arguments that are still
// unused; a * takes from them. It returns the bytes read, the arguments used by *, and on an error those before the one at fault.
func (s *spec) parse(format []byte, args []Arg) (n, used int, err error) {
	s.prec = -1
	i := 1
	if c := at(format, i); conversions[c] { // most have nothing before the letter
		s.conv = c
		return 2, 0, nil
	}

flags:
	for ; ; i++ {
		switch at(format, i) {
		case '-':
			s.minus = true
		case '+':
			s.plus = true
		case ' ':
			s.space = true
		case '#':
			s.alt = true
		case '0':
			s.zero = true
		case '\'': // groups digits, but the C locale has no separator
		default:
			break flags
		}
	}

	c := at(format, i)
	if c == '*' {
		i++
		v, err := star(args)
		if err != nil {
			return i, 0, err
		}
		used++
		if v < 0 {
			s.minus = true
			if v = -v; v < 0 {
				return i, 0, errTooLong
			}
		}
		s.width = int(v)
		c = at(format, i)
	} else if '1' <= c && c <= '9' {
		if s.width, i = number(format, i); s.width < 0 {
			return i, used, errTooLong
		}
		c = at(format, i)
	}

	if c == '.' {
		i++
		if at(format, i) == '*' {
			i++
			v, err := star(args[used:])
			if err != nil {
				return i, used, err
			}
			used++
			s.prec = max(int(v), -1)
		} else if s.prec, i = number(format, i); s.prec < 0 {
			return i, used, errTooLong
		}
		c = at(format, i)
	}

	switch c {
	case 'h':
		s.length = lengthShort
		i++
		if at(format, i) == 'h' {
			s.length = lengthChar
			i++
		}
	case 'l':
		s.length = lengthLong
		i++
		if at(format, i) == 'l' {
			i++
		}
	case 'j', 'z', 't', 'L', 'q':
		s.length = lengthLong
		i++
	}

	s.conv = at(format, i)
	switch {
	case conversions[s.conv]:
		return i + 1, used, nil
	case s.conv == 0:
		return i, used, fmt.Errorf("%w: it is incomplete", ErrFormat)
	case s.conv == 'n':
		return i + 1, used, fmt.Errorf("%w: %%n would write memory", ErrFormat)
	}
	return i + 1, used, fmt.Errorf("%w: unknown", ErrFormat)
}

// at returns format[i], or 0 past the end: a format holds no NUL.
func at(format []byte, i int) byte {
	if i < len(format) {
		return format[i]
	}
	return 0
}

// number reads the decimal number at format[i:], 0 if there is none, and returns the index behind it. Its value is negative if it is
// over math.MaxInt32.
func number(format []byte, i int) (v, end int) {
	for ; ; i++ {
		d := int(at(format, i)) - '0'
		switch {
		case d < 0 || d > 9:
			return v, i
		case v < 0 || v > (math.MaxInt32-d)/10:
			v = -1
		default:
			v = v*10 + d
		}
	}
}

// star returns the value for a *, which C takes from an int.
func star(args []Arg) (int32, error) {
	if len(args) == 0 {
		return 0, errMissing
	}
	v, ok := args[0].integer()
	if !ok {
		return 0, mismatch(args[0].Kind, "the integer for a *")
	}
	return int32(v), nil
}

// pad widens dst[start:] to the width of s: on the right, or on the left, or with zeros behind the first prefix bytes of it, which are
// the sign and 0x.
func (s *spec) pad(dst []byte, start, prefix int, zeros bool) []byte {
	n := s.width - (len(dst) - start)
	switch {
	case n <= 0:
		return dst
	case s.minus:
		return insert(dst, len(dst), n, ' ')
	case zeros:
		return insert(dst, start+prefix, n, '0')
	}
	return insert(dst, start, n, ' ')
}

// insert puts n times c into dst at the index at.
func insert(dst []byte, at, n int, c byte) []byte {
	if n <= 0 {
		return dst
	}
	old := len(dst)
	if old+n <= cap(dst) {
		dst = dst[:old+n]
	} else {
		dst = append(dst, make([]byte, n)...)
	}
	copy(dst[at+n:], dst[at:old])
	gap := dst[at : at+n]
	for i := range gap {
		gap[i] = c
	}
	return dst
}
