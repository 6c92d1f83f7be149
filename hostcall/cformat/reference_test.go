package cformat

import (
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var seed = flag.Uint64("seed", 1, "seed of the random differential cases")

// refCase is a format with one conversion, for both this package and the C library.
type refCase struct {
	format string
	stars  []int32
	arg    Arg
}

func (c refCase) args() []Arg {
	var args []Arg
	for _, s := range c.stars {
		args = append(args, Arg{Kind: Int32, Bits: uint64(s)})
	}
	return append(args, c.arg)
}

// wire encodes c for testdata/reference.c.
func (c refCase) wire(dst []byte) []byte {
	dst = binary.NativeEndian.AppendUint32(dst, uint32(len(c.format)))
	dst = append(dst, c.format...)
	dst = append(dst, byte(len(c.stars)))
	var stars [2]int32
	copy(stars[:], c.stars)
	for _, s := range stars {
		dst = binary.NativeEndian.AppendUint32(dst, uint32(s))
	}
	// The type that C reads from its arguments follows from the format. The value is converted here to what C's promotions make of it.
	conv := c.format[strings.LastIndexAny(c.format, "diuoxXcspfFeEgGaA")]
	wide := strings.ContainsAny(c.format, "ljztLq")
	bits := c.arg.Bits
	var kind byte
	switch {
	case c.arg.Kind == NullString && conv == 's':
		kind = '0'
	case conv == 's':
		kind = 's'
	case conv == 'p':
		kind = 'p'
	case strings.IndexByte("fFeEgGaA", conv) >= 0:
		kind = 'd'
		if strings.ContainsAny(c.format, "Lq") || strings.Contains(c.format, "ll") {
			kind = 'D'
		}
		if c.arg.Kind == Float32 {
			bits = math.Float64bits(float64(math.Float32frombits(uint32(bits))))
		}
	case wide && conv != 'c':
		kind = 'l'
	default:
		kind = 'i'
	}
	dst = append(dst, kind)
	dst = binary.NativeEndian.AppendUint64(dst, bits)
	dst = binary.NativeEndian.AppendUint32(dst, uint32(len(c.arg.Str)))
	return append(dst, c.arg.Str...)
}

// referenceProgram compiles testdata/reference.c, or skips.
func referenceProgram(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"cc", "gcc", "clang", "tcc"} {
		cc, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		exe := filepath.Join(t.TempDir(), "reference.exe")
		if out, err := exec.Command(cc, "-w", "-o", exe, filepath.Join("testdata", "reference.c")).CombinedOutput(); err != nil {
			t.Skipf("the C compiler %s does not build programs here: %v\n%s", cc, err, out)
		}
		return exe
	}
	t.Skip("no C compiler (cc, gcc, clang, tcc) to build the reference with")
	return ""
}

// compare runs cases through the C library and through Append.
func compare(t *testing.T, exe string, cases []refCase) {
	t.Helper()
	var in []byte
	for _, c := range cases {
		in = c.wire(in)
	}
	cmd := exec.Command(exe)
	cmd.Stdin = bytes.NewReader(in)
	want, err := cmd.Output()
	if len(want) >= 4 && binary.NativeEndian.Uint32(want) == 0 {
		t.Skip("the C library is not a 64-bit glibc, whose results this package promises")
	}
	if err != nil {
		t.Fatalf("reference program: %v", err)
	}
	want = want[4:]
	failures := 0
	var buf []byte
	for _, c := range cases {
		n := int32(binary.NativeEndian.Uint32(want))
		want = want[4:]
		var text []byte
		if n > 0 {
			text, want = want[:n], want[n:]
		}
		buf, err = Append(buf[:0], []byte(c.format), c.args())
		if (err != nil) == (n < 0) && (err != nil || bytes.Equal(buf, text) || glibcDefect(c.format, text, buf)) {
			continue
		}
		t.Errorf("%q %v %v %#x %q:\n got %q, %v\nwant %q (%d)", c.format, c.stars, c.arg.Kind, c.arg.Bits, c.arg.Str, buf, err, text, n)
		if failures++; failures == 20 {
			t.Fatal("and so on")
		}
	}
	if len(want) != 0 {
		t.Fatalf("the reference program left %d bytes", len(want))
	}
	t.Logf("%d cases", len(cases))
}

// glibcDefect tells whether glibc lost the zeros of %#g behind a carry, as the package comment says, and nothing else differs.
func glibcDefect(format string, glibc, standard []byte) bool {
	drop := func(b []byte) string { return strings.NewReplacer(" ", "", "0", "").Replace(string(b)) }
	return strings.Contains(format, "#") && strings.ContainsAny(format, "gG") &&
		(bytes.Contains(glibc, []byte("1.e+")) || bytes.Contains(glibc, []byte("1.E+"))) && drop(glibc) == drop(standard)
}

var (
	refInts = []uint64{
		0, 1, math.MaxUint64, 7, 8, 42, 255, 256, 0xdeadbeef, 127, 128, 32767, 32768, math.MaxInt32, 1 << 31, math.MaxUint32, 1 << 32,
		math.MaxInt64, 1 << 63, 0x8000000080000000, 1234567890123456789, 0xffffffff80000000,
	}
	refFloats = []float64{
		0, math.Copysign(0, -1), 1, -1, 0.5, 1.5, 2.5, -2.5, 0.1, 1.0 / 3, 0.0001, 0.00001, 0.000099999951, 9.5, 9.9999995, 99999.95,
		999999.5, 1e6, 123456, 1e15, 1e16, 123456789012345678, 1e22, 1e23, -1e100, 1e-100, math.Pi, math.MaxFloat64, 5e-324, -5e-324,
		2.2250738585072009e-308, 2.2250738585072014e-308, 1.9999999999999998, 0x1.8p0, 0x1.fffffp3, 0x1.08p0, math.MaxFloat32,
		math.SmallestNonzeroFloat32, math.Inf(1), math.Inf(-1), math.NaN(), math.Copysign(math.NaN(), -1),
	}
	refClasses = slices.Clip([]float64{
		0, math.Copysign(0, -1), 1, -1, 0.1, 999999.5, 5e-324, 2.2250738585072009e-308, -math.MaxFloat64,
		math.Inf(1), math.Inf(-1), math.NaN(), math.Copysign(math.NaN(), -1),
	})
	refStrings = []string{"", "a", "hello", "six...", "a longer string than any width", "\xff\x80%d\n", "cut\x00off"}
	refFlags   = func() (all []string) {
		for set := range 64 {
			var s []byte
			for i, c := range []byte("-+ #0'") {
				if set>>i&1 == 1 {
					s = append(s, c)
				}
			}
			all = append(all, string(s))
		}
		return all
	}()
	refIntModifiers   = []string{"", "hh", "h", "l", "ll", "j", "z", "t", "L", "q"}
	refFloatModifiers = []string{"", "l"}
	refLongDouble     = []string{"L", "ll", "q"} // not for %a, where C has more bits
)

// TestReference compares with the C library: every set of flags x width x precision for values of every class, then random cases.
func TestReference(t *testing.T) {
	exe := referenceProgram(t)

	widths := []string{"", "1", "9", "30", "*"}
	precs := []string{"", ".", ".0", ".1", ".5", ".17", ".40", ".*"}
	each := func(f func(flags string, stars []int32)) {
		for _, flags := range refFlags {
			for _, width := range widths {
				for _, prec := range precs {
					var stars []int32
					if width == "*" {
						stars = append(stars, -12)
					}
					if prec == ".*" {
						stars = append(stars, -3)
					}
					f(flags+width+prec, stars)
				}
			}
		}
	}

	t.Run("integers", func(t *testing.T) {
		var cases []refCase
		k := 0
		each(func(flags string, stars []int32) {
			for _, conv := range "diuoxX" {
				// One value of each class is always there; the others take turns, and so do the modifiers.
				for _, v := range []uint64{0, 1, math.MaxUint64, 1 << 63, math.MaxInt32, refInts[k%len(refInts)]} {
					mod := refIntModifiers[k%len(refIntModifiers)]
					cases = append(cases, refCase{"%" + flags + mod + string(conv), stars, Arg{Kind: Uint64, Bits: v}})
					k++
				}
			}
		})
		for _, mod := range refIntModifiers {
			for _, conv := range "diuoxXc" {
				for _, v := range refInts {
					if mod == "" || mod[0] == 'h' || conv != 'c' {
						cases = append(cases, refCase{"%" + mod + string(conv), nil, Arg{Kind: Int64, Bits: v}})
					}
				}
			}
		}
		compare(t, exe, cases)
	})

	t.Run("floats", func(t *testing.T) {
		var cases []refCase
		k := 0
		each(func(flags string, stars []int32) {
			for _, conv := range "fFeEgGaA" {
				for _, v := range append(refClasses, refFloats[k%len(refFloats)]) {
					mod := refFloatModifiers[k%len(refFloatModifiers)]
					cases = append(cases, refCase{"%" + flags + mod + string(conv), stars, Arg{Kind: Float64, Bits: math.Float64bits(v)}})
					k++
				}
			}
		})
		// Every value at every precision.
		for prec := -1; prec < 25; prec++ {
			for _, conv := range "fega" {
				for _, v := range refFloats {
					for _, alt := range []string{"%", "%#"} {
						f := alt
						if prec >= 0 {
							f += fmt.Sprint(".", prec)
						}
						cases = append(cases, refCase{f + string(conv), nil, Arg{Kind: Float64, Bits: math.Float64bits(v)}})
					}
				}
			}
		}
		for _, mod := range refLongDouble {
			for _, conv := range "fFeEgG" {
				for _, v := range refFloats {
					cases = append(cases, refCase{"%.12" + mod + string(conv), nil, Arg{Kind: Float64, Bits: math.Float64bits(v)}})
				}
			}
		}
		// Precisions far beyond what a double has.
		for _, prec := range []int{309, 766, 767, 768, 1100, 5000, 65000} {
			for _, conv := range "fega" {
				for _, v := range []float64{0, 5e-324, 0.1, math.MaxFloat64, 2.2250738585072009e-308} {
					for _, alt := range []string{"%", "%#"} {
						f := fmt.Sprint(alt, ".", prec, string(conv))
						cases = append(cases, refCase{f, nil, Arg{Kind: Float64, Bits: math.Float64bits(v)}})
					}
				}
			}
		}
		compare(t, exe, cases)
	})

	t.Run("text", func(t *testing.T) {
		var cases []refCase
		each(func(flags string, stars []int32) {
			for _, s := range refStrings {
				cases = append(cases, refCase{"<%" + flags + "s>", stars, Arg{Kind: String, Str: []byte(s)}})
			}
			cases = append(cases, refCase{"<%" + flags + "s>", stars, Arg{Kind: NullString}})
			for _, c := range []uint64{0, 'x', 0x80, 0x141} {
				cases = append(cases, refCase{"<%" + flags + "c>", stars, Arg{Kind: Int32, Bits: c}})
			}
			for _, p := range []uint64{0, 1, 0x7fff12345678, math.MaxUint64} {
				cases = append(cases, refCase{"<%" + flags + "p>", stars, Arg{Kind: Pointer, Bits: p}})
			}
		})
		for prec := range 8 {
			cases = append(cases, refCase{fmt.Sprintf("%%.%ds|", prec), nil, Arg{Kind: NullString}})
		}
		for _, f := range []string{"%lc", "%5lc", "%-5lc|", "%hhc", "%zc"} {
			for _, c := range []uint64{0, 1, 'A', 0x7f} {
				cases = append(cases, refCase{f, nil, Arg{Kind: Int32, Bits: c}})
			}
		}
		for _, f := range []string{"%d%%|", "%5%|%d", "%-05%%d", "%l%%d", "%%%d%%%%"} {
			cases = append(cases, refCase{f, nil, Arg{Kind: Int32, Bits: 5}})
		}
		for _, f := range []string{"%d%", "%d%-", "%d%5.", "%99999999999d", "%.99999999999d", "%2147483648d", "%lld%l"} {
			cases = append(cases, refCase{f, nil, Arg{Kind: Int32, Bits: 5}})
		}
		for _, f := range []string{"%lc", "%5lc"} {
			for _, c := range []uint64{0x80, 0xff, 0x100, 0x20ac, 0xffffffff} {
				cases = append(cases, refCase{f, nil, Arg{Kind: Int32, Bits: c}})
			}
		}
		compare(t, exe, cases)
	})

	t.Run("table", func(t *testing.T) {
		var cases []refCase
		for _, c := range table {
			if len(c.args) == 1 {
				cases = append(cases, refCase{c.format, nil, c.args[0]})
			}
		}
		compare(t, exe, cases)
	})

	t.Run("random", func(t *testing.T) {
		count := 40000
		if testing.Short() {
			count = 4000
		}
		r := rand.New(rand.NewPCG(*seed, 0))
		var cases []refCase
		for range count {
			cases = append(cases, randomCase(r))
		}
		compare(t, exe, cases)
	})
}

func randomCase(r *rand.Rand) refCase {
	var c refCase
	f := []byte("ab%"[r.IntN(3):])
	for range r.IntN(4) {
		f = append(f, "-+ #0'"[r.IntN(6)])
	}
	number := func(limit int) {
		if r.IntN(6) == 0 {
			c.stars = append(c.stars, int32(r.IntN(2*limit)-limit))
			f = append(f, '*')
		} else {
			f = fmt.Append(f, 1+r.IntN(limit))
		}
	}
	if r.IntN(2) == 0 {
		number(50)
	}
	if r.IntN(2) == 0 {
		f = append(f, '.')
		if r.IntN(8) != 0 {
			number([]int{8, 30, 400}[r.IntN(3)])
		}
	}
	switch r.IntN(10) {
	case 0, 1, 2:
		f = append(f, refIntModifiers[r.IntN(len(refIntModifiers))]...)
		f = append(f, "diuoxX"[r.IntN(6)])
		c.arg = Arg{Kind: Uint64, Bits: r.Uint64() >> r.IntN(64)}
		if r.IntN(2) == 0 {
			c.arg = Arg{Kind: Int64, Bits: -c.arg.Bits}
		}
	case 3:
		if r.IntN(4) == 0 {
			f = append(f, 'c')
			c.arg = Arg{Kind: Int32, Bits: uint64(r.IntN(256))}
			break
		}
		f = append(f, 's')
		s := make([]byte, r.IntN(40))
		for i := range s {
			s[i] = byte(1 + r.IntN(255))
		}
		c.arg = Arg{Kind: String, Str: s}
	case 4:
		f = append(f, 'p')
		c.arg = Arg{Kind: Pointer, Bits: r.Uint64() >> r.IntN(64)}
	default:
		conv := "fFeEgGaA"[r.IntN(8)]
		mods := refFloatModifiers
		if conv != 'a' && conv != 'A' && r.IntN(8) == 0 {
			mods = refLongDouble
		}
		f = append(f, mods[r.IntN(len(mods))]...)
		f = append(f, conv)
		c.arg = randomFloat(r)
	}
	c.format = string(append(f, "|"[:r.IntN(2)]...))
	return c
}

// randomFloat favours what is hard to round: ties, powers of ten and their neighbours, subnormals.
func randomFloat(r *rand.Rand) Arg {
	var x float64
	switch r.IntN(7) {
	case 0:
		x = math.Float64frombits(r.Uint64())
	case 1:
		return Arg{Kind: Float32, Bits: uint64(r.Uint32())}
	case 2:
		x = float64(r.Int64N(1<<20)) / float64(int64(1)<<r.IntN(24)) // ties
	case 3:
		x = math.Pow(10, float64(r.IntN(40)-15))
		for range r.IntN(3) {
			x = math.Nextafter(x, 0)
		}
	case 4:
		x = math.Float64frombits(r.Uint64() >> (12 + r.IntN(52)))
	case 5:
		x = float64(r.Int64N(1000000)) / 1000
	case 6:
		x = math.Ldexp(float64(r.Uint64()>>11), r.IntN(140)-100)
	}
	if r.IntN(2) == 0 {
		x = -x
	}
	return Arg{Kind: Float64, Bits: math.Float64bits(x)}
}
