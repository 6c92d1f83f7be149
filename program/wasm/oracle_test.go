package wasm_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/dialtone-gpu/dialtone/program/wasm"
)

var oracle = sync.OnceValue(func() wazero.Runtime {
	config := wazero.NewRuntimeConfigInterpreter().WithDebugInfoEnabled(false).WithCoreFeatures(api.CoreFeaturesV2 &^ api.CoreFeatureSIMD)
	return wazero.NewRuntimeWithConfig(context.Background(), config)
})

// wazeroError returns wazero's verdict. It panics at some invalid modules, which is a refusal, too.
func wazeroError(file []byte) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	compiled, err := oracle().CompileModule(context.Background(), file)
	if err == nil {
		err = compiled.Close(context.Background())
	}
	return err
}

// lax are reasons of ours for which wazero 1.12 refuses nothing, though the specification does.
var lax = []struct{ place, reason, why string }{
	{"import section", "malformed value type", "any byte passes for the type of an imported global"},
	{"import section", "malformed reference type", "any byte passes for the type of an imported table"},
	{"global section", "malformed value type", "any byte passes for the type of a global"},
	{"", "malformed value type 0x7b", "types of values may be v128, though SIMD is off"},
	{"", "malformed value type 0x69", "references may be exnref, though exception handling is off"},
	{"", "malformed value type 0x63", "references may have a type, though typed function references are off"},
	{"", "malformed value type 0x64", "the same"},
	{"", "ref.null of a type by its index", "the same, in constant expressions"},
	{"data count section", "unexpected end", "an empty data count section passes"},
	{"", "is not imported and immutable", "constant expressions may use every global before them, as in WebAssembly 3.0"},
	{"", "integer too large", "unused bits in the last byte of an i32 may be anything"},
}

// strict are errors of wazero about valid modules.
var strict = []string{
	"unsupported misc instruction", // behind the prefix 0xFC, if the number is padded: its validator has no objection, its interpreter has
	"has an empty module name",
}

// uncounted are reasons of ours that say that something is too much. wazero would allocate what such a module asks for, however much
// that is, so that it is not asked.
var uncounted = []string{"elements", "too many locals", "are left of", "implementation limit"}

// compare fails the test if Decode and wazero differ about a file, and tells whether they agreed that it is valid.
func compare(t interface {
	Helper()
	Errorf(string, ...any)
}, file []byte) (valid bool) {
	t.Helper()
	_, err := wasm.Decode(file)
	var e *wasm.Error
	if errors.As(err, &e) {
		contains := func(part string) bool { return strings.Contains(e.Reason, part) }
		if slices.ContainsFunc(uncounted, contains) {
			return false
		}
		for _, l := range lax {
			if strings.Contains(e.Place, l.place) && contains(l.reason) {
				return false
			}
		}
		// After a typed select in unreachable code wazero takes its result for one of any type.
		if contains("type mismatch") && bytes.Contains(file, []byte{byte(wasm.SelectTyped), 1}) {
			return false
		}
	}
	other := wazeroError(file)
	if err == nil && other != nil && slices.ContainsFunc(strict, func(part string) bool { return strings.Contains(other.Error(), part) }) {
		return true
	}
	if (err == nil) != (other == nil) {
		t.Errorf("ours: %v; wazero: %v\n%x", err, other, file)
	}
	return err == nil
}

// split returns the sections of a well-formed file with their headers, without the custom ones: wazero refuses malformed
// name sections, which the specification does not.
func split(file []byte) [][]byte {
	var sections [][]byte
	for rest := file[8:]; len(rest) > 0; {
		size, n := binary.Uvarint(rest[1:])
		end := 1 + n + int(size)
		if rest[0] != 0 {
			sections = append(sections, rest[:end])
		}
		rest = rest[end:]
	}
	return sections
}

func join(sections [][]byte) []byte { return file(sections...) }

// seeds are valid modules of the specification's test suite of at most most bytes, without custom sections.
func seeds(t testing.TB, most int) [][]byte {
	paths, err := filepath.Glob(filepath.Join(wazeroFile(t, specDir), "*.wasm"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no modules: %v", err)
	}
	var files [][]byte
	for _, path := range paths {
		file, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := wasm.Decode(file); err == nil && len(file) <= most {
			files = append(files, join(split(file)))
		}
	}
	return files
}

// TestMutants damages modules of the specification's test suite and asks wazero about each.
func TestMutants(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	mutations := []func([]byte) []byte{
		func(file []byte) []byte { // bits
			file[random.IntN(len(file))] ^= 1 << random.IntN(8)
			return file
		},
		func(file []byte) []byte { // bytes
			file[random.IntN(len(file))] = byte(random.IntN(256))
			return file
		},
		func(file []byte) []byte { // indices, counts, opcodes: to their neighbours
			file[random.IntN(len(file))] += byte(1 - 2*random.IntN(2))
			return file
		},
		func(file []byte) []byte { // the end
			return file[:random.IntN(len(file))]
		},
		func(file []byte) []byte { // sections: swapped, dropped, twice, of another number
			sections := split(file)
			if len(sections) == 0 {
				return file
			}
			i, k := random.IntN(len(sections)), random.IntN(len(sections))
			switch random.IntN(4) {
			case 0:
				sections[i], sections[k] = sections[k], sections[i]
			case 1:
				sections = slices.Delete(sections, i, i+1)
			case 2:
				sections = slices.Insert(sections, k, sections[i])
			case 3:
				sections[i][0] = byte(1 + random.IntN(14))
			}
			return join(sections)
		},
	}
	all, valid := 0, 0
	for _, seed := range seeds(t, 4000) {
		for range 200 {
			mutate := mutations[random.IntN(len(mutations))]
			all++
			if compare(t, mutate(slices.Clone(seed))) {
				valid++
			}
		}
	}
	t.Logf("%d modules, %d of them valid", all, valid)
	if valid < all/20 || valid > all-all/20 {
		t.Errorf("%d of %d are valid: too few of one sort to mean much", valid, all)
	}
}

// FuzzDecode looks for what Decode does not survive, and for what wazero sees otherwise.
func FuzzDecode(f *testing.F) {
	for _, seed := range seeds(f, 300) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		_, err := wasm.Decode(file)
		switch {
		case bytes.Contains(file, []byte("name")): // see split
		case err != nil && longNumber(file): // which may be a count: see uncounted
		default:
			compare(t, file)
		}
	})
}

// longNumber reports that some bytes of a file could be a number above 2^21.
func longNumber(file []byte) bool {
	more := 0
	for _, b := range file {
		if more++; b < 0x80 {
			more = 0
		}
		if more == 3 {
			return true
		}
	}
	return false
}

// TestToolchains decodes modules that other toolchains made: TinyGo, Zig, Emscripten, Cargo and others.
func TestToolchains(t *testing.T) {
	dir := wazeroFile(t, ".")
	accepted, refused := 0, map[string]int{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.Name() == "spectest" || entry.Name() == "fuzzcases" {
			return fs.SkipDir
		}
		if filepath.Ext(path) != ".wasm" {
			return nil
		}
		file, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		_, err = wasm.Decode(file)
		var e *wasm.Error
		proposal := errors.As(err, &e) && e.Proposal != ""
		if other := wazeroError(file); (err == nil || proposal) && (err == nil) == (other == nil) {
			if proposal {
				refused[e.Proposal]++
			} else {
				accepted++
			}
			return nil
		} else {
			t.Errorf("%s: ours: %v; wazero: %v", path, err, other)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d accepted; refused for a proposal: %v", accepted, refused)
	if accepted < 20 {
		t.Error("too few modules")
	}
}
