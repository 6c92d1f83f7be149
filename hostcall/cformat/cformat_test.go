package cformat

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func i32(v int32) Arg     { return Arg{Kind: Int32, Bits: uint64(v)} }
func u32(v uint32) Arg    { return Arg{Kind: Uint32, Bits: uint64(v)} }
func i64(v int64) Arg     { return Arg{Kind: Int64, Bits: uint64(v)} }
func u64(v uint64) Arg    { return Arg{Kind: Uint64, Bits: v} }
func f32(v float32) Arg   { return Arg{Kind: Float32, Bits: uint64(math.Float32bits(v))} }
func f64(v float64) Arg   { return Arg{Kind: Float64, Bits: math.Float64bits(v)} }
func str(v string) Arg    { return Arg{Kind: String, Str: []byte(v)} }
func ptr(v uint64) Arg    { return Arg{Kind: Pointer, Bits: v} }
func null() Arg           { return Arg{Kind: NullString} }
func list(a ...Arg) []Arg { return a }

// table holds results of glibc 2.36, except for the one defect that the package comment names. The reference test checks those with
// one argument against the C library at hand.
var table = []struct {
	format string
	args   []Arg
	want   string
}{
	{"", nil, ""},
	{"no conversion", nil, "no conversion"},
	{"100%%", nil, "100%"},
	{"%%%%", nil, "%%"},
	{"%d", list(i32(0)), "0"},
	{"%d", list(i32(math.MinInt32)), "-2147483648"},
	{"%i|%u", list(i32(-1), i32(-1)), "-1|4294967295"},
	{"%5d|%-5d|%05d", list(i32(42), i32(42), i32(42)), "   42|42   |00042"},
	{"%+d|% d|%+ d", list(i32(5), i32(5), i32(5)), "+5| 5|+5"},
	{"% 05d", list(i32(42)), " 0042"},
	{"%-+8.3d|", list(i32(5)), "+005    |"},
	{"%-05d|", list(i32(5)), "5    |"},
	{"%08.3d|", list(i32(5)), "     005|"},
	{"%.0d", list(i32(0)), ""},
	{"%.d|", list(i32(0)), "|"},
	{"%+.0d", list(i32(0)), "+"},
	{"%05.0d|", list(i32(0)), "     |"},
	{"%'d", list(i32(1234567)), "1234567"},
	{"%#o", list(i32(0)), "0"},
	{"%#.0o", list(i32(0)), "0"},
	{"%#o", list(i32(8)), "010"},
	{"%#.3o", list(i32(8)), "010"},
	{"%#05o", list(i32(8)), "00010"},
	{"%#x", list(i32(0)), "0"},
	{"%#.0x|", list(i32(0)), "|"},
	{"%#x", list(i32(255)), "0xff"},
	{"%#X", list(i32(255)), "0XFF"},
	{"%#010x", list(i32(255)), "0x000000ff"},
	{"%#-10x|", list(i32(255)), "0xff      |"},
	{"%+x", list(i32(1)), "1"},
	{"%x", list(i32(-1)), "ffffffff"},
	{"%hhd|%hhu", list(i32(200), i32(-1)), "-56|255"},
	{"%hd|%hu", list(i32(40000), i32(-1)), "-25536|65535"},
	{"%d", list(i64(1<<32 + 7)), "7"},
	{"%d", list(u32(math.MaxUint32)), "-1"},
	{"%ld", list(i32(-1)), "-1"},
	{"%ld", list(u32(math.MaxUint32)), "4294967295"},
	{"%lu", list(i32(-1)), "18446744073709551615"},
	{"%lld", list(i64(math.MinInt64)), "-9223372036854775808"},
	{"%jd|%zu|%td|%Ld|%qd", list(i64(1<<40), u64(1<<40), i64(-1), i64(2), i64(3)), "1099511627776|1099511627776|-1|2|3"},
	{"%lx", list(u64(math.MaxUint64)), "ffffffffffffffff"},
	{"%llo", list(u64(math.MaxUint64)), "1777777777777777777777"},
	{"%*d|%-*d|%*d|", list(i32(4), i32(1), i32(4), i32(2), i32(-4), i32(3)), "   1|2   |3   |"},
	{"%.*d|%.*d|%*.*d", list(i32(3), i32(1), i32(-3), i32(2), i32(6), i32(4), i32(3)), "001|2|  0003"},
	{"%.*d|", list(u32(math.MaxUint32), i32(0)), "0|"},

	{"%s", list(str("hello")), "hello"},
	{"%s", list(str("")), ""},
	{"%10s|%-10s|%.2s|%10.2s|", list(str("hello"), str("hello"), str("hello"), str("hello")), "     hello|hello     |he|        he|"},
	{"%.s|%.0s|%.99s", list(str("a"), str("b"), str("c")), "||c"},
	{"%05s", list(str("ab")), "   ab"},
	{"%s", list(str("cut\x00here")), "cut"},
	{"%s", list(null()), "(null)"},
	{"%.6s|%.5s|%8s|%-8s|", list(null(), null(), null(), null()), "(null)||  (null)|(null)  |"},
	{"%4.3s|", list(null()), "    |"},
	{"%.2147483647s", list(str("all")), "all"},
	{"%c%c", list(i32('o'), i32('k')), "ok"},
	{"%c|", list(i32(0)), "\x00|"},
	{"%3c|%-3c|%03c", list(i32('a'), i32('b'), i32('c')), "  a|b  |  c"},
	{"%c", list(i32(0x141)), "A"},
	{"%lc", list(i32('A')), "A"},
	{"%p", list(ptr(0)), "(nil)"},
	{"%8p|%-8p|%.2p", list(ptr(0), ptr(0), ptr(0)), "   (nil)|(nil)   |(nil)"},
	{"%p", list(ptr(0x7fff0000)), "0x7fff0000"},
	{"%p", list(null()), "(nil)"},
	{"%+p", list(ptr(16)), "+0x10"},
	{"%012p|%12p|%.6p", list(ptr(16), ptr(16), ptr(16)), "0x0000000010|        0x10|0x000010"},
	{"%lx|%#lx|%x", list(ptr(1<<40), ptr(1<<40), ptr(1<<40)), "10000000000|0x10000000000|10000000000"},

	{"%f", list(f64(0)), "0.000000"},
	{"%f", list(f64(math.Copysign(0, -1))), "-0.000000"},
	{"%f", list(f32(0.1)), "0.100000"},
	{"%.10f", list(f32(0.1)), "0.1000000015"},
	{"%.0f", list(f64(0.5)), "0"},
	{"%.0f", list(f64(1.5)), "2"},
	{"%.0f", list(f64(2.5)), "2"},
	{"%#.0f", list(f64(1)), "1."},
	{"%.20f", list(f64(0.1)), "0.10000000000000000555"},
	{"%.3f", list(f64(1e22)), "10000000000000000000000.000"},
	{"%010.2f|%-10.2f|%+.2f", list(f64(-3.14159), f64(3.14159), f64(3.14159)), "-000003.14|3.14      |+3.14"},
	{"%lf|%Lf", list(f64(1.25), f64(1.25)), "1.250000|1.250000"},
	{"%.1f", list(f64(1e300)), strconv.FormatFloat(1e300, 'f', 1, 64)},
	{"%+.0e", list(f64(12345)), "+1e+04"},
	{"%e", list(f64(0)), "0.000000e+00"},
	{"%E", list(f64(1e-300)), "1.000000E-300"},
	{"%#.0e", list(f64(12345)), "1.e+04"},
	{"%.3e", list(f64(9.9996)), "1.000e+01"},
	{"%g", list(f64(100000)), "100000"},
	{"%g", list(f64(1000000)), "1e+06"},
	{"%g", list(f64(0.0001)), "0.0001"},
	{"%g", list(f64(0.00001)), "1e-05"},
	{"%G", list(f64(1e-10)), "1E-10"},
	{"%g", list(f64(0.5)), "0.5"},
	{"%#g", list(f64(0.5)), "0.500000"},
	{"%#g", list(f64(0)), "0.00000"},
	{"%#g", list(f64(1e10)), "1.00000e+10"},
	{"%#g", list(f64(123456)), "123456."},
	{"%#g", list(f64(0.0001)), "0.000100000"},
	{"%#.0g", list(f64(3)), "3."},
	{"%#.1g", list(f64(30)), "3.e+01"},
	{"%.0g", list(f64(3.5)), "4"},
	{"%.3g", list(f64(999.5)), "1e+03"},
	{"%#.3g", list(f64(999.5)), "1.00e+03"},
	{"%.17g", list(f64(0.1)), "0.10000000000000001"},
	{"%.100000g", list(f64(0.5)), "0.5"},
	{"%a", list(f64(1)), "0x1p+0"},
	{"%a", list(f64(0)), "0x0p+0"},
	{"%a", list(f64(-0.5)), "-0x1p-1"},
	{"%a", list(f64(math.Pi)), "0x1.921fb54442d18p+1"},
	{"%A", list(f64(math.Pi)), "0X1.921FB54442D18P+1"},
	{"%a", list(f64(5e-324)), "0x0.0000000000001p-1022"},
	{"%.0a", list(f64(5e-324)), "0x0p-1022"},
	{"%.3a", list(f64(5e-324)), "0x0.000p-1022"},
	{"%.0a", list(f64(1.5)), "0x2p+0"},
	{"%.1a", list(f64(1.9999999)), "0x2.0p+0"},
	{"%.3a", list(f64(0)), "0x0.000p+0"},
	{"%.15a", list(f64(1.5)), "0x1.800000000000000p+0"},
	{"%#a", list(f64(1)), "0x1.p+0"},
	{"%010a", list(f64(1.5)), "0x001.8p+0"},
	{"%a", list(f32(0.1)), "0x1.99999ap-4"},
	{"%f|%F|%e|%G|%a", list(f64(math.Inf(1)), f64(math.Inf(1)), f64(math.Inf(-1)), f64(math.Inf(-1)), f64(math.Inf(1))), "inf|INF|-inf|-INF|inf"},
	{"%f|%A", list(f64(math.NaN()), f64(math.NaN())), "nan|NAN"},
	{"%f", list(f64(math.Copysign(math.NaN(), -1))), "-nan"},
	{"%f", list(f32(float32(math.Copysign(math.NaN(), -1)))), "-nan"},
	{"%+05f|%-6f|% .3f", list(f64(math.Inf(1)), f64(math.Inf(1)), f64(math.NaN())), " +inf|inf   | nan"},
	{"%.99999999f", list(f64(math.Inf(1))), "inf"},

	{"ends\x00here %d", nil, "ends"},
	{"%d %s %g %c\n", list(i32(1), str("two"), f64(3.5), i32('4'), i32(5)), "1 two 3.5 4\n"},
	{"x=%5.2f, y=%-8s|%3d%%", list(f32(2.5), str("ok"), i32(99)), "x= 2.50, y=ok      | 99%"},
}

func TestAppend(t *testing.T) {
	for _, c := range table {
		for _, prefix := range []string{"", "before "} {
			got, err := Append([]byte(prefix), []byte(c.format), c.args)
			if err != nil || string(got) != prefix+c.want {
				t.Errorf("%q %v: got %q, %v, want %q", c.format, c.args, got, err, prefix+c.want)
			}
		}
	}
}

func TestAppendErrors(t *testing.T) {
	for _, c := range []struct {
		format   string
		args     []Arg
		rendered string
		is       error
		says     string
	}{
		{"a%d", nil, "a", ErrArgument, `"%d", argument 1: bad argument: missing`},
		{"%d,%d", list(i32(1)), "1,", ErrArgument, `"%d", argument 2: bad argument: missing`},
		{"%*d", list(i32(1)), "", ErrArgument, `"%*d", argument 2: bad argument: missing`},
		{"%*d", nil, "", ErrArgument, `"%*", argument 1: bad argument: missing`},
		{"%*.*d", list(i32(1)), "", ErrArgument, `"%*.*", argument 2: bad argument: missing`},
		{"%.*d", list(f64(1), i32(1)), "", ErrArgument, `"%.*", argument 1: bad argument: float64 where the integer for a * belongs`},
		{"ok %d", list(str("x")), "ok ", ErrArgument, `"%d", argument 1: bad argument: string where an integer belongs`},
		{"%5.3hhi", list(f32(1)), "", ErrArgument, `"%5.3hhi", argument 1`},
		{"%d", list(ptr(1)), "", ErrArgument, "pointer where an integer belongs"},
		{"%d", list(null()), "", ErrArgument, "null string where"},
		{"%x", list(f64(1)), "", ErrArgument, "float64 where an integer or pointer belongs"},
		{"%f", list(i32(1)), "", ErrArgument, "int32 where a float belongs"},
		{"%a", list(str("1")), "", ErrArgument, "string where a float belongs"},
		{"%s", list(u64(1)), "", ErrArgument, "uint64 where a string belongs"},
		{"%s", list(ptr(1)), "", ErrArgument, "pointer where a string belongs"},
		{"%c", list(str("x")), "", ErrArgument, "string where a character's integer belongs"},
		{"%c", list(ptr(1)), "", ErrArgument, "pointer where"},
		{"%p", list(str("x")), "", ErrArgument, "string where a pointer belongs"},
		{"%p", list(u64(1)), "", ErrArgument, "uint64 where a pointer belongs"},
		{"%d", list(Arg{}), "", ErrArgument, "kind 0 where"},
		{"%s", list(Arg{Kind: 200}), "", ErrArgument, "kind 200 where"},
		{"%lc", list(i32(0x20ac)), "", ErrArgument, "0x20ac"},
		{"%ls", list(str("x")), "", ErrFormat, "wide"},
		{"%n", list(ptr(1)), "", ErrFormat, `"%n", argument 1: bad conversion: %n would write memory`},
		{"%d%hhn", list(i32(7), ptr(1)), "7", ErrFormat, `"%hhn", argument 2`},
		{"%y", list(i32(1)), "", ErrFormat, `"%y", argument 1: bad conversion: unknown`},
		{"%1$d", list(i32(1)), "", ErrFormat, `"%1$"`},
		{"%b", list(i32(1)), "", ErrFormat, `"%b"`},
		{"%.-5d", list(i32(1)), "", ErrFormat, `"%.-"`},
		{"%hld", list(i32(1)), "", ErrFormat, `"%hl"`},
		{"%\xff", list(i32(1)), "", ErrFormat, `"%\xff"`},
		{"100%", nil, "100", ErrFormat, `"%", argument 1: bad conversion: it is incomplete`},
		{"%-+ #0'", nil, "", ErrFormat, "incomplete"},
		{"%5.3ll", list(i32(1)), "", ErrFormat, "incomplete"},
		{"%\x00d", list(i32(1)), "", ErrFormat, "incomplete"},
		{"%65537d", list(i32(1)), "", ErrTooLong, `"%65537d", argument 1: conversion too long: over 65536 bytes`},
		{"%.65537d", list(i32(1)), "", ErrTooLong, ""},
		{"%.65536d", list(i32(-1)), "", ErrTooLong, ""},
		{"%#.65535x", list(i32(1)), "", ErrTooLong, ""},
		{"%2147483648d", list(i32(1)), "", ErrTooLong, ""},
		{"%99999999999999999999d", list(i32(1)), "", ErrTooLong, ""},
		{"%.99999999999999999999s", list(str("x")), "", ErrTooLong, ""},
		{"%*d", list(i32(math.MinInt32), i32(1)), "", ErrTooLong, `argument 1`},
		{"%*d", list(i32(math.MaxInt32), i32(1)), "", ErrTooLong, `argument 2`},
		{"%*s", list(i32(-70000), str("x")), "", ErrTooLong, ""},
		{"%65537s", list(null()), "", ErrTooLong, ""},
		{"%65537c", list(i32(1)), "", ErrTooLong, ""},
		{"%65537p", list(ptr(0)), "", ErrTooLong, ""},
		{"%.65537p", list(ptr(1)), "", ErrTooLong, ""},
		{"%65537f", list(f64(1)), "", ErrTooLong, ""},
		{"%.65537f", list(f64(1)), "", ErrTooLong, ""},
		{"%.65535f", list(f64(1)), "", ErrTooLong, ""},
		{"%.65534e", list(f64(1)), "", ErrTooLong, ""},
		{"%#.65537g", list(f64(1)), "", ErrTooLong, ""},
		{"%.65530a", list(f64(1)), "", ErrTooLong, ""},
		{"%" + strings.Repeat("0", 1000) + "y", nil, "", ErrFormat, `conversion "%000000000000000000000000000000000000000"..., argument 1`},
	} {
		got, err := Append([]byte("<"), []byte(c.format), c.args)
		if !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) || !strings.HasPrefix(err.Error(), "cformat: conversion ") {
			t.Errorf("%q %v: error %v, want %v with %q", c.format, c.args, err, c.is, c.says)
		}
		if string(got) != "<"+c.rendered {
			t.Errorf("%q %v: rendered %q, want %q", c.format, c.args, got, "<"+c.rendered)
		}
	}
}

func TestAppendLimits(t *testing.T) {
	long := strings.Repeat("x", 100000)
	for _, c := range []struct {
		format string
		arg    Arg
		want   int
	}{
		{"%65536d", i32(1), 65536},
		{"%-65536d", i32(1), 65536},
		{"%065536d", i32(-1), 65536},
		{"%.65536u", i32(1), 65536},
		{"%.65534f", f64(1), 65536},
		{"%.65530e", f64(1), 65536},
		{"%#.65535g", f64(1), 65536},
		{"%.65529a", f64(1), 65536},
		{"%65536s", null(), 65536},
		{"%65536s", str(""), 65536},
		{"%s", str(long), 100000},
		{"%165536s", str(long), 165536},
		{"%65537.1s", str(long), 65537},
		{"%.99999s", str(long), 99999},
	} {
		got, err := Append(nil, []byte(c.format), list(c.arg))
		if err != nil || len(got) != c.want {
			t.Errorf("%q: %d bytes, %v, want %d", c.format, len(got), err, c.want)
		}
	}
	if _, err := Append(nil, []byte("%165537s"), list(str(long))); !errors.Is(err, ErrTooLong) {
		t.Errorf("64 KiB + 1 of padding: %v", err)
	}
	if _, err := Append(nil, []byte("%65538.1s"), list(str(long))); !errors.Is(err, ErrTooLong) {
		t.Errorf("64 KiB + 1 of padding beside a cut string: %v", err)
	}
}

// Bits beyond a kind's width do not count.
func TestStrayBits(t *testing.T) {
	const stray = 0xdeadbeef00000000
	got, err := Append(nil, []byte("%ld %lu %g %d"), list(
		Arg{Kind: Int32, Bits: stray | 0xffffffff}, Arg{Kind: Uint32, Bits: stray | 5},
		Arg{Kind: Float32, Bits: stray | uint64(math.Float32bits(1.5))}, Arg{Kind: Int32, Bits: stray | 6, Str: []byte("x")}))
	if err != nil || string(got) != "-1 5 1.5 6" {
		t.Errorf("got %q, %v", got, err)
	}
}

// What Go's own formatting agrees on.
func TestAppendProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.Int64().Draw(t, "v")
		x := rapid.Float64Range(-math.MaxFloat64, math.MaxFloat64).Draw(t, "x")
		s := rapid.StringMatching(`[a-z%]{0,20}`).Draw(t, "s")
		width, prec := rapid.IntRange(-40, 40).Draw(t, "width"), rapid.IntRange(0, 40).Draw(t, "prec")
		check := func(want, format string, args ...Arg) {
			t.Helper()
			// One byte less room than needed must not matter.
			for _, room := range []int{0, max(len(want)-1, 0), len(want), 200} {
				got, err := Append(make([]byte, 0, room), []byte(format), args)
				if err != nil || string(got) != want {
					t.Fatalf("%q %v: got %q, %v, want %q", format, args, got, err, want)
				}
			}
		}
		w, p := i32(int32(width)), i32(int32(prec))
		check(fmt.Sprintf("%*d", width, v), "%*ld", w, i64(v))
		check(fmt.Sprintf("%*.*s", width, prec, s), "%*.*s", w, p, str(s))
		check(fmt.Sprintf("%*.*e", width, prec, x), "%*.*e", w, p, f64(x))
		check(fmt.Sprintf("%*.*f", width, prec, x), "%*.*f", w, p, f64(x))
		check(s+fmt.Sprint(v), strings.ReplaceAll(s, "%", "%%")+"%lld", i64(v))
	})
}

func TestAppendAllocations(t *testing.T) {
	buf := make([]byte, 0, 1<<17)
	for _, c := range benchmarks {
		format, args := []byte(c.format), c.args
		if n := testing.AllocsPerRun(100, func() {
			if _, err := Append(buf, format, args); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", c.name, n)
		}
	}
}

var benchmarks = []struct {
	name   string
	format string
	args   []Arg
}{
	{"literal", "a line with no conversion in it\n", nil},
	{"d", "%d", list(i32(123456))},
	{"line", "thread %d of %d: %s\n", list(i32(17), i32(1024), str("done"))},
	{"ld", "%ld", list(i64(-1234567890123456789))},
	{"x", "%08x", list(u32(0xbeef))},
	{"p", "%p", list(ptr(0x7fff12345678))},
	{"width", "%-10d|%+8.3d", list(i32(42), i32(42))},
	{"s", "%s", list(str("hello, world"))},
	{"s_width", "%20s", list(str("hello, world"))},
	{"c", "%c", list(i32('x'))},
	{"f", "%f", list(f64(3.14159265358979))},
	{"f_2", "%8.2f", list(f32(2.71828))},
	{"f_big", "%f", list(f64(123456789012345.678))},
	{"f_long", "%.40f", list(f64(0.1))},
	{"f_huge", "%.60000f", list(f64(5e-324))},
	{"e", "%.8e", list(f64(6.02214076e23))},
	{"g", "%g", list(f64(0.1))},
	{"g_alt", "%#g", list(f64(0.1))},
	{"g_17", "%.17g", list(f64(0.1))},
	{"a", "%a", list(f64(math.Pi))},
	{"inf", "%10f", list(f64(math.Inf(-1)))},
}

func BenchmarkAppend(b *testing.B) {
	buf := make([]byte, 0, 1<<17)
	for _, c := range benchmarks {
		b.Run(c.name, func(b *testing.B) {
			format := []byte(c.format)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Append(buf, format, c.args); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// FuzzAppend renders anything with any arguments, in the form in which a device would send both.
func FuzzAppend(f *testing.F) {
	for _, c := range table {
		f.Add([]byte(c.format), encode(c.args))
	}
	for _, format := range []string{"%*.*s%n", "%65536d%.65536f", "%#.65000g", "%2147483648d", "%-+ #0'*.*Lf", "%\x00", "%hhhd%lld%lllld"} {
		f.Add([]byte(format), encode(list(i32(-70000), i32(3), f64(5e-324), str("abc"), null(), ptr(1))))
	}
	f.Fuzz(func(t *testing.T, format, wire []byte) {
		args, err := DecodeArgs(nil, wire)
		if err != nil {
			t.Skip()
		}
		keptFormat, keptWire := bytes.Clone(format), bytes.Clone(wire)
		got, err := Append([]byte("prefix"), format, args)
		if !bytes.HasPrefix(got, []byte("prefix")) {
			t.Fatalf("what dst held is gone: %q", got)
		}
		if !bytes.Equal(format, keptFormat) || !bytes.Equal(wire, keptWire) {
			t.Fatal("the input was written to")
		}
		bound := len("prefix") + len(format)
		for _, a := range args {
			bound += maxRender + len(a.Str)
		}
		if len(got) > bound {
			t.Fatalf("%d bytes, over %d", len(got), bound)
		}
		if err != nil && !errors.Is(err, ErrFormat) && !errors.Is(err, ErrArgument) && !errors.Is(err, ErrTooLong) {
			t.Fatalf("an error of no kind: %v", err)
		}
		if err != nil && len(err.Error()) > 500 {
			t.Fatalf("an error of %d bytes", len(err.Error()))
		}
		// The buffer's room and what lies in it do not matter.
		dirty := bytes.Repeat([]byte{0xaa}, len(got))
		again, err2 := Append(dirty[:0], format, args)
		if !bytes.Equal(again, got[len("prefix"):]) || (err == nil) != (err2 == nil) {
			t.Fatalf("%q, %v differs from %q, %v", again, err2, got, err)
		}
	})
}
