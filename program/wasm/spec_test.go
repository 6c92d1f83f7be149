package wasm_test

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/dialtone-gpu/dialtone/program/wasm"
)

// wazeroFile returns the path of a file or folder of wazero's source, or skips the test. The module brings the WebAssembly
// specification's test suite as binaries, and modules of several toolchains.
func wazeroFile(t testing.TB, path string) string {
	t.Helper()
	dir, err := wazeroDir()
	if err != nil {
		t.Skipf("no source of wazero in the module cache: %v", err)
	}
	path = filepath.Join(dir, filepath.FromSlash(path))
	if _, err := os.Stat(path); err != nil {
		t.Skipf("this version of wazero lacks a file: %v", err)
	}
	return path
}

var wazeroDir = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/tetratelabs/wazero").Output()
	if dir := strings.TrimSpace(string(out)); err != nil || dir != "" {
		return dir, err
	}
	return "", errors.New("it is not downloaded")
})

// specDir is the test suite of WebAssembly 2.0.
const specDir = "internal/integration_test/spectest/v2/testdata"

// A script is what wast2json makes of a file of the test suite.
type script struct {
	Commands []struct {
		Type       string
		Line       int
		Filename   string
		ModuleType string `json:"module_type"`
		Text       string // of the error that is expected
	}
}

// alike are reasons that are as right as those of the test suite, or righter: the interpreter that named them reads modules in another
// order, or with other proposals.
var alike = map[string][]string{
	"alignment must not be larger than natural": {"illegal opcode"},
	"END opcode expected":                       {"unexpected end"},
	"integer too large":                         {"unexpected end", "malformed limits flags"},
	"integer representation too long":           {"unexpected end", "malformed section id", "malformed limits flags", "malformed function type"},
	"illegal opcode":                            {"unexpected end"},
	"invalid result arity":                      {"type mismatch: select"},
	"length out of bounds":                      {"unexpected end"},
	"malformed import kind":                     {"unexpected end"},
	"malformed memop flags":                     {"alignment must not be larger than natural"},
	"section size mismatch":                     {"unexpected end"},
	"unexpected content after last section":     {"function and code section have inconsistent lengths"},
	"unexpected end of section or function":     {"unexpected end", "section size mismatch"},
	"unknown data segment":                      {"data count section required"},
	"unknown global":                            {"constant expression required"},
	"unknown memory 0":                          {"data count section required"},
	"unknown memory 1":                          {"data count section required"},
	"unknown table 0":                           {"unknown elem segment"},
}

// TestSpec decodes every binary module of the specification's test suite, and those of proposals, which have to be refused by name.
func TestSpec(t *testing.T) {
	for suite, least := range map[string]int{"v2": 1200, "exception-handling": 0, "extended-const": 0, "tail-call": 0, "threads": 0, "typed-function-references": 0} {
		t.Run(suite, func(t *testing.T) {
			dir := wazeroFile(t, strings.Replace(specDir, "v2", suite, 1))
			scripts, err := filepath.Glob(filepath.Join(dir, "*.json"))
			if err != nil || len(scripts) == 0 {
				t.Fatalf("no scripts in %s: %v", dir, err)
			}
			accepted, refused, proposed := 0, 0, 0
			for _, path := range scripts {
				a, r, p := runScript(t, path)
				accepted, refused, proposed = accepted+a, refused+r, proposed+p
			}
			t.Logf("%d accepted, %d refused for the expected reason, %d for a proposal", accepted, refused, proposed)
			if accepted < least || refused < least {
				t.Errorf("fewer than %d: most of the suite was not run", least)
			}
			if suite != "v2" && proposed == 0 {
				t.Error("nothing was refused for a proposal")
			}
		})
	}
}

func runScript(t *testing.T, path string) (accepted, refused, proposed int) {
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var s script
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	for _, c := range s.Commands {
		if c.Filename == "" || c.ModuleType == "text" {
			continue
		}
		file, err := os.ReadFile(filepath.Join(filepath.Dir(path), c.Filename))
		if err != nil {
			t.Fatal(err)
		}
		wrong := c.Type == "assert_invalid" || c.Type == "assert_malformed"
		_, err = wasm.Decode(file)
		var e *wasm.Error
		switch {
		case err == nil && wrong:
			t.Errorf("line %d, %s: accepted, but wrong: %s", c.Line, c.Filename, c.Text)
		case err == nil:
			accepted++
		case !errors.As(err, &e):
			t.Errorf("line %d, %s: %T is not an *Error", c.Line, c.Filename, err)
		case e.Offset < 0 || e.Offset > len(file) || e.Place == "" || e.Reason == "":
			t.Errorf("line %d, %s: incomplete: %#v", c.Line, c.Filename, e)
		case e.Proposal != "":
			proposed++
		case !wrong:
			t.Errorf("line %d, %s: refused, but valid: %v", c.Line, c.Filename, err)
		default:
			refused++
			ok := strings.Contains(e.Reason, c.Text)
			for _, other := range alike[c.Text] {
				ok = ok || strings.Contains(e.Reason, other)
			}
			if !ok {
				t.Errorf("line %d, %s: %v; expected %q", c.Line, c.Filename, err, c.Text)
			}
		}
	}
	return accepted, refused, proposed
}
