package dl

import (
	"runtime"
	"strings"
	"testing"
	"unsafe"
)

// opened gives the C library, which every system here has.
func opened(t testing.TB) *Library {
	t.Helper()
	names := map[string][]string{
		"linux":   {"libc.so.6", "libc.so", "libc.musl-x86_64.so.1", "libc.musl-aarch64.so.1"},
		"darwin":  {"/usr/lib/libSystem.B.dylib"},
		"windows": {"ntdll.dll"},
	}[runtime.GOOS]
	lib, err := Open(names...)
	if err != nil {
		t.Skipf("needs a C library: %v", err)
	}
	return lib
}

func memset(t testing.TB) Func {
	t.Helper()
	lib := opened(t)
	f := lib.Lookup("memset")
	if f == 0 {
		t.Skipf("%s has no memset", lib.Path)
	}
	return f
}

// deep calls f so many frames down.
//
//go:noinline
func deep(f func() uint64, frames int) uint64 {
	if frames == 0 {
		return f()
	}
	return deep(f, frames-1)
}

// TestCallKeepsArguments calls with every amount of stack left: in some of the calls it grows, and
// moves, after the conversion of the pointer.
func TestCallKeepsArguments(t *testing.T) {
	f := memset(t)
	for what, call := range map[string]func() uint64{
		"Call": func() uint64 {
			var v uint64
			f.Call(uintptr(unsafe.Pointer(&v)), 0x5a, 8)
			return v
		},
		"Int": func() uint64 {
			var v uint64
			f.Int(uintptr(unsafe.Pointer(&v)), 0x5a, 8)
			return v
		},
		"an element": func() uint64 {
			var v [4]uint64
			f.Call(uintptr(unsafe.Pointer(&v[2])), 0x5a, 8)
			return v[2]
		},
		"a closure": func() uint64 {
			var v uint64
			func() { f.Call(uintptr(unsafe.Pointer(&v)), 0x5a, 8) }()
			return v
		},
	} {
		t.Run(what, func(t *testing.T) {
			for frames := range 500 {
				got := make(chan uint64)
				go func() { got <- deep(call, frames) }() // with a small stack
				if v := <-got; v != 0x5a5a5a5a5a5a5a5a {
					t.Fatalf("%d frames down: %#x, what was written is elsewhere", frames, v)
				}
			}
		})
	}
}

// TestCallAllocations: a list that is used again costs nothing.
func TestCallAllocations(t *testing.T) {
	f := memset(t)
	memory := new([8]byte)
	list := []uintptr{uintptr(unsafe.Pointer(memory)), 1, 8}
	reused := testing.AllocsPerRun(100, func() { f.Call(list...) })
	runtime.KeepAlive(memory)
	if reused != 0 && !raceEnabled {
		t.Errorf("%v allocations per call with a list that is used again", reused)
	}
}

func TestOpenNamesAll(t *testing.T) {
	_, err := Open("/nowhere/first.so", "", "/nowhere/second.so")
	if err == nil {
		t.Fatal("opened")
	}
	for _, name := range []string{"/nowhere/first.so", "/nowhere/second.so"} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%v does not name %s", err, name)
		}
	}
}

func TestBind(t *testing.T) {
	lib := opened(t)
	var table struct {
		Set     Func `sym:"dialtone_newest,memset"`
		Perhaps Func `sym:"dialtone_nothing" optional:"true"`
		Other   int
	}
	if err := lib.Bind(&table); err != nil {
		t.Fatal(err)
	}
	if table.Set == 0 || table.Perhaps != 0 {
		t.Errorf("%+v", table)
	}
	var lacking struct {
		A Func `sym:"dialtone_a2,dialtone_a"`
		B Func `sym:"dialtone_b"`
	}
	if err := lib.Bind(&lacking); err == nil || !strings.Contains(err.Error(), "dialtone_a2,dialtone_a, dialtone_b") {
		t.Errorf("%v does not name all that is missing", err)
	}
	defer func() {
		if recover() == nil {
			t.Error("a missing function was called")
		}
	}()
	table.Perhaps.Call()
}

func TestStrings(t *testing.T) {
	b := CString("dial")
	if string(b) != "dial\x00" {
		t.Errorf("%q", b)
	}
	if GoString(0) != "" {
		t.Error("text at address 0")
	}
	if s := Text([]byte("tone\x00rest")); s != "tone" {
		t.Errorf("%q", s)
	}
	if s := Text([]byte("no end")); s != "no end" {
		t.Errorf("%q", s)
	}
}
