package cformat

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// encode is the inverse of DecodeArgs.
func encode(args []Arg) []byte {
	var wire []byte
	for _, a := range args {
		wire = binary.LittleEndian.AppendUint32(wire, uint32(a.Kind))
		switch a.Kind {
		case Int32, Uint32, Float32:
			wire = binary.LittleEndian.AppendUint32(wire, uint32(a.Bits))
		case Int64, Uint64, Float64, Pointer:
			wire = binary.LittleEndian.AppendUint64(wire, a.Bits)
		case String:
			wire = binary.LittleEndian.AppendUint32(wire, uint32(len(a.Str)))
			wire = append(wire, a.Str...)
			wire = append(wire, make([]byte, -len(a.Str)&3)...)
		case NullString:
			wire = binary.LittleEndian.AppendUint32(wire, 0)
		}
	}
	return wire
}

func TestKindValues(t *testing.T) {
	// The device side has these numbers too.
	want := map[Kind]byte{Int32: 1, Uint32: 2, Int64: 3, Uint64: 4, Float32: 5, Float64: 6, String: 7, NullString: 8, Pointer: 9}
	for kind, n := range want {
		if byte(kind) != n {
			t.Errorf("%v is %d, want %d", kind, byte(kind), n)
		}
	}
}

func TestDecodeArgs(t *testing.T) {
	for _, c := range []struct {
		wire string
		want []Arg
	}{
		{"", nil},
		{"\x01\x00\x00\x00\xfe\xff\xff\xff", list(i32(-2))},
		{"\x02\x00\x00\x00\xfe\xff\xff\xff", list(u32(0xfffffffe))},
		{"\x03\x00\x00\x00\xfe\xff\xff\xff\xff\xff\xff\xff", list(i64(-2))},
		{"\x04\x00\x00\x00\x01\x02\x03\x04\x05\x06\x07\x08", list(u64(0x0807060504030201))},
		{"\x05\x00\x00\x00\x00\x00\xc0\xbf", list(f32(-1.5))},
		{"\x06\x00\x00\x00\x00\x00\x00\x00\x00\x00\xf8\x3f", list(f64(1.5))},
		{"\x07\x00\x00\x00\x03\x00\x00\x00abc\x00", list(str("abc"))},
		{"\x07\x00\x00\x00\x00\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00\x00", list(str(""), null())},
		{"\x08\x00\x00\x00\x00\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00\x00", list(null(), null())},
		{"\x09\x00\x00\x00\x10\x00\x00\x00\x00\x00\x00\x80", list(ptr(0x8000000000000010))},
	} {
		got, err := DecodeArgs(nil, []byte(c.wire))
		if diff := cmp.Diff(c.want, got, cmpopts.EquateEmpty()); diff != "" || err != nil {
			t.Errorf("%q: %v\n%s", c.wire, err, diff)
		}
	}
}

func TestDecodeArgsErrors(t *testing.T) {
	for _, c := range []struct {
		wire string
		good int
		says string
	}{
		{"\x00\x00\x00\x00", 0, "argument 1 at byte 0 has the unknown kind 0"},
		{"\x01\x01\x00\x00", 0, "unknown kind 257"},
		{"\x08\x00\x00\x00\x00\x00\x00\x00\x0a\x00\x00\x00", 1, "argument 2 at byte 8 has the unknown kind 10"},
		{"\x01\x00", 0, "argument 1 at byte 0 is cut off"},
		{"\x01\x00\x00\x00", 0, "argument 1 (int32) at byte 0 is cut off"},
		{"\x01\x00\x00\x00\x00\x00", 0, "cut off"},
		{"\x06\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", 0, "cut off"},
		{"\x07\x00\x00\x00\x00\x00\x00", 0, "cut off"},
		{"\x07\x00\x00\x00\x04\x00\x00\x00abc", 0, "cut off"},
		{"\x07\x00\x00\x00\x03\x00\x00\x00abc", 0, "cut off"},
		{"\x08\x00\x00\x00\x00\x00\x00\x00\x07\x00\x00\x00\xff\xff\xff\xffabc\x00", 1, "argument 2 (string) at byte 8 is cut off"},
		{strings.Repeat("\x08\x00\x00\x00\x00\x00\x00\x00", 65), 64, "more than 64 arguments"},
	} {
		got, err := DecodeArgs(nil, []byte(c.wire))
		if !errors.Is(err, ErrWire) || !strings.Contains(err.Error(), c.says) || len(got) != c.good {
			t.Errorf("%q: %d arguments, %v, want %d, %q", c.wire, len(got), err, c.good, c.says)
		}
	}
	if got, err := DecodeArgs(nil, bytes.Repeat([]byte{8, 0, 0, 0, 0, 0, 0, 0}, 64)); len(got) != 64 || err != nil {
		t.Errorf("64 arguments: %d, %v", len(got), err)
	}
}

func TestDecodeArgsStorage(t *testing.T) {
	wire := encode(list(str("abc"), i32(5)))
	buf := make([]Arg, 1, 2)
	got, err := DecodeArgs(buf, wire)
	if err != nil || len(got) != 2 || &got[0] != &buf[0] {
		t.Fatalf("%d arguments, %v, in buf's storage: %v", len(got), err, &got[0] == &buf[0])
	}
	wire[8] = 'X'
	if string(got[0].Str) != "Xbc" {
		t.Error("the string was copied")
	}
	if _ = append(got[0].Str, 'Y'); wire[11] == 'Y' {
		t.Error("appending to a string writes into the list")
	}
	buf = make([]Arg, 0, maxArgs)
	if n := testing.AllocsPerRun(100, func() {
		if _, err := DecodeArgs(buf, wire); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestDecodeArgsRoundTrip(t *testing.T) {
	arg := rapid.Custom(func(t *rapid.T) Arg {
		bits := rapid.Uint64().Draw(t, "bits")
		switch kind := Kind(rapid.IntRange(1, 9).Draw(t, "kind")); kind {
		case Int32:
			return i32(int32(bits))
		case Uint32, Float32:
			return Arg{Kind: kind, Bits: bits & math.MaxUint32}
		case String:
			return Arg{Kind: kind, Str: rapid.SliceOfN(rapid.Byte(), 0, 30).Draw(t, "str")}
		case NullString:
			return null()
		default:
			return Arg{Kind: kind, Bits: bits}
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOfN(arg, 0, maxArgs).Draw(t, "args")
		wire := encode(want)
		got, err := DecodeArgs(nil, wire)
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" || err != nil {
			t.Fatalf("%v\n%s", err, diff)
		}
		// Every shorter list is a shorter list of arguments or an error.
		cut := rapid.IntRange(0, len(wire)).Draw(t, "cut")
		got, err = DecodeArgs(got, wire[:cut])
		if err == nil && len(encode(got)) != cut || len(got) > len(want) {
			t.Fatalf("cut at %d of %d: %d arguments, %v", cut, len(wire), len(got), err)
		}
	})
}

func BenchmarkDecodeArgs(b *testing.B) {
	wire := encode(list(i32(17), i32(1024), str("done"), f64(1.5)))
	buf := make([]Arg, 0, maxArgs)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeArgs(buf, wire); err != nil {
			b.Fatal(err)
		}
	}
}

func FuzzDecodeArgs(f *testing.F) {
	for _, c := range table {
		f.Add(encode(c.args))
	}
	f.Add([]byte("\x08\x00\x00\x00\x00\x00\x00\x00\x07\x00\x00\x00\xff\xff\xff\xffabc\x00"))
	f.Add(bytes.Repeat([]byte{8, 0, 0, 0, 0, 0, 0, 0}, 65))
	f.Fuzz(func(t *testing.T, wire []byte) {
		args, err := DecodeArgs(nil, wire)
		if len(args) > maxArgs {
			t.Fatalf("%d arguments", len(args))
		}
		again := encode(args) // only what fills up words may differ
		back, e := DecodeArgs(nil, again)
		if diff := cmp.Diff(args, back, cmpopts.EquateEmpty()); diff != "" || e != nil {
			t.Fatalf("%q: %v\n%s", wire, e, diff)
		}
		if err == nil && len(again) != len(wire) {
			t.Fatalf("%d of %d bytes are ignored", len(wire)-len(again), len(wire))
		}
		if err != nil && !errors.Is(err, ErrWire) {
			t.Fatalf("an error of no kind: %v", err)
		}
	})
}
