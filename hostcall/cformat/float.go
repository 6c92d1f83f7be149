package cformat

import (
	"math"
	"strconv"
)

// appendFloat renders all the floating-point conversions. Rounding is to nearest even, on the exact value.
func (s *spec) appendFloat(dst []byte, arg *Arg) ([]byte, error) {
	var x float64
	switch arg.Kind {
	case Float64:
		x = math.Float64frombits(arg.Bits)
	case Float32:
		x = float64(math.Float32frombits(uint32(arg.Bits)))
	default:
		return dst, mismatch(arg.Kind, "a float")
	}

	start := len(dst)
	sign := s.sign()
	if math.Signbit(x) { // of a NaN too
		sign = '-'
		x = math.Abs(x)
	}
	if sign != 0 {
		dst = append(dst, sign)
	}
	body := len(dst)
	capitals := s.conv < 'a'

	if x-x != 0 { // infinite or NaN: precision, # and 0 mean nothing
		if x != x {
			dst = append(dst, "nan"...)
		} else {
			dst = append(dst, "inf"...)
		}
		if capitals {
			upper(dst[body:])
		}
		return s.pad(dst, start, 0, false), nil
	}

	// A precision is a number of digits to render, except where trailing zeros go.
	trims := (s.conv == 'g' || s.conv == 'G') && !s.alt
	if s.prec > maxRender && !trims {
		return dst, errTooLong
	}
	prec := s.prec
	if prec < 0 {
		prec = 6
	}

	switch s.conv {
	case 'f', 'F':
		dst = strconv.AppendFloat(dst, x, 'f', prec, 64)
		if s.alt && prec == 0 {
			dst = append(dst, '.')
		}
	case 'e', 'E':
		dst = strconv.AppendFloat(dst, x, s.conv, prec, 64)
		if s.alt && prec == 0 {
			dst = insert(dst, body+1, 1, '.')
		}
	case 'g', 'G':
		prec = max(prec, 1)
		if trims {
			// No double has more than 767 significant digits.
			dst = strconv.AppendFloat(dst, x, s.conv, min(prec, 767), 64)
		} else {
			dst = appendFullG(dst, x, s.conv, prec)
		}
	default:
		dst = append(dst, '0', s.conv+('x'-'a'))
		body = len(dst) // zeros go behind 0x
		dst = s.appendHex(dst, x)
	}
	return s.pad(dst, start, body-start, s.zero), nil
}

// appendFullG renders x >= 0 as %#g does: prec significant digits and a point, whatever they are.
func appendFullG(dst []byte, x float64, conv byte, prec int) []byte {
	body := len(dst)
	dst = strconv.AppendFloat(dst, x, conv-('g'-'e'), prec-1, 64)
	if prec == 1 {
		dst = insert(dst, body+1, 1, '.')
	}
	// Now it is d.ddde±xx, with prec digits.
	end := body + prec + 1
	exp := 0
	for _, c := range dst[end+2:] {
		exp = exp*10 + int(c-'0')
	}
	if dst[end+1] == '-' {
		exp = -exp
	}
	if exp < -4 || exp >= prec {
		return dst
	}

	dst = dst[:end]
	if exp >= 0 { // move the point to the right
		copy(dst[body+1:body+1+exp], dst[body+2:])
		dst[body+1+exp] = '.'
		return dst
	}
	dst[body+1] = dst[body] // over the point
	dst[body] = '0'
	dst = insert(dst, body+1, -exp, '0')
	dst[body+1] = '.'
	return dst
}

// appendHex renders x >= 0 as %a does, from behind the 0x. As in glibc the digit before the point is 0 for zero and subnormals, whose
// exponent stays -1022, and otherwise 1, or 2 where rounding carries into it.
func (s *spec) appendHex(dst []byte, x float64) []byte {
	const fraction, digits = 52, 13
	bits := math.Float64bits(x)
	exp := int(bits >> fraction)
	mant := bits & (1<<fraction - 1)
	switch {
	case exp != 0:
		mant |= 1 << fraction
		exp -= 1023
	case mant != 0:
		exp = -1022
	}

	prec := s.prec
	if prec < 0 { // as many digits as are not zero
		prec = digits
		for prec > 0 && mant>>(fraction-4*prec)&0xf == 0 {
			prec--
		}
	} else if prec < digits {
		cut := fraction - 4*prec
		kept, half := mant>>cut, uint64(1)<<(cut-1)
		if rest := mant - kept<<cut; rest > half || rest == half && kept&1 == 1 {
			kept++
		}
		mant = kept << cut
	}

	hex, p := "0123456789abcdef", byte('p')
	if s.conv == 'A' {
		hex, p = "0123456789ABCDEF", 'P'
	}
	dst = append(dst, hex[mant>>fraction])
	if prec > 0 || s.alt {
		dst = append(dst, '.')
	}
	for i := 1; i <= min(prec, digits); i++ {
		dst = append(dst, hex[mant>>(fraction-4*i)&0xf])
	}
	dst = insert(dst, len(dst), prec-digits, '0')
	if exp < 0 {
		dst = append(dst, p, '-')
		exp = -exp
	} else {
		dst = append(dst, p, '+')
	}
	return strconv.AppendUint(dst, uint64(exp), 10)
}
