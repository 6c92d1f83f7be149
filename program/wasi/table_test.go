package wasi_test

import (
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/dialtone-gpu/dialtone/hostcall/errno"
	"github.com/dialtone-gpu/dialtone/program/wasi"
	"github.com/dialtone-gpu/dialtone/program/wasm"
)

// TestTypes compares names and types of all calls with wazero's.
func TestTypes(t *testing.T) {
	rt := wazero.NewRuntimeWithConfig(t.Context(), wazero.NewRuntimeConfigInterpreter())
	defer rt.Close(t.Context())
	m, err := wasi_snapshot_preview1.NewBuilder(rt).Compile(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	theirs := m.ExportedFunctions()
	if wasi.Module != wasi_snapshot_preview1.ModuleName {
		t.Errorf("the module's name is %q", wasi.Module)
	}
	types := func(list []api.ValueType) (ts wasm.ValTypes) {
		for _, v := range list {
			ts += wasm.ValTypes([]wasm.ValType{wasm.ValType(v)})
		}
		return ts
	}
	for name, f := range theirs {
		c, ok := wasi.Lookup(name)
		if !ok {
			t.Errorf("%s is missing", name)
			continue
		}
		if got, want := c.Type(), (wasm.FuncType{Params: types(f.ParamTypes()), Results: types(f.ResultTypes())}); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	for i, c := range wasi.Calls() {
		if _, ok := theirs[c.Name]; ok == c.Own {
			t.Errorf("%s: own %v, a call of WASI %v", c.Name, c.Own, ok)
		}
		if c.Number != i {
			t.Errorf("%s has the number %d at %d", c.Name, c.Number, i)
		}
		if found, ok := wasi.Lookup(c.Name); ok == c.Own || ok && found.Number != i {
			t.Errorf("%s is found as %d: %v", c.Name, found.Number, ok)
		}
		fixedEnds := false
		for _, o := range c.Out {
			if fixedEnds && o.Kind == wasi.Fixed {
				t.Errorf("%s: operands of a fixed size come first", c.Name)
			}
			fixedEnds = o.Kind != wasi.Fixed
		}
		if len(c.In)+len(c.Out) > 4 || len(c.Params) > 9 || wasi.RequestParams+c.Words() > 15 {
			t.Errorf("%s has more than fits into a row or a packet", c.Name)
		}
		for _, o := range c.In {
			if o.Most == 0 || o.Most&(o.Most-1) != 0 {
				t.Errorf("%s: %d is no power of two", c.Name, o.Most)
			}
		}
	}
}

// TestErrnos compares the numbers with those of Go for WASI.
func TestErrnos(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(runtime.GOROOT(), "src/syscall/tables_wasip1.go"))
	if err != nil {
		t.Skipf("no sources of Go: %v", err)
	}
	theirs := map[string]uint32{}
	for _, m := range regexp.MustCompile(`(?m)^\s+(E[0-9A-Z]+)\s+Errno\s*=\s*(\d+)`).FindAllStringSubmatch(string(text), -1) {
		n, _ := strconv.Atoi(m[2])
		theirs[m[1]] = uint32(n)
	}
	if len(theirs) < 70 {
		t.Fatalf("only %d numbers found", len(theirs))
	}
	seen := map[uint32]bool{}
	for _, e := range errno.All() {
		got := wasi.WasiErrno(e.Number)
		if want, ok := theirs[e.Name]; ok && got != want {
			t.Errorf("%s is %d, want %d", e.Name, got, want)
		} else if ok {
			seen[want] = true
		} else if got == 0 {
			t.Errorf("%s is success", e.Name)
		}
	}
	for name, n := range theirs {
		if !seen[n] && !slices.Contains([]string{"EBADFD"}, name) { // of Go's own making
			t.Errorf("%s (%d) stands for no portable number", name, n)
		}
	}
	if wasi.WasiErrno(0) != 0 {
		t.Error("success is an error")
	}
}

func lookup(name string) wasi.Call {
	c, _ := wasi.Lookup(name)
	return c
}
