package wasm_test

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/dialtone-gpu/dialtone/program/wasm"
	"github.com/dialtone-gpu/dialtone/program/wasm/wasmtest"
)

// TestOpcodes compares the constants with their names in the text format, and with wazero's constants. Nothing else would see two
// instructions with the same types change places.
func TestOpcodes(t *testing.T) {
	ours, err := os.ReadFile("op.go")
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := os.ReadFile(wazeroFile(t, "internal/wasm/instruction.go"))
	if err != nil {
		t.Fatal(err)
	}
	codes := map[string]wasm.Op{}
	for _, m := range regexp.MustCompile(`(?m)^\tOpcode(Misc)?(\w+)\s+(?:Opcode(?:Misc)? )?= 0x(..)$`).FindAllStringSubmatch(string(theirs), -1) {
		code, err := strconv.ParseUint(m[3], 16, 8)
		if err != nil {
			t.Fatal(err)
		}
		if m[1] != "" {
			code += 0x100
		}
		codes[m[2]] = wasm.Op(code)
	}
	codes["SelectTyped"] = codes["TypedSelect"]
	flat := strings.NewReplacer(".", "", "_", "")
	rows := 0
	for _, m := range regexp.MustCompile(`(?m)^\t(\w+):\s+\{Name: "([^"]+)"`).FindAllStringSubmatch(string(ours), -1) {
		ident, name := m[1], m[2]
		if flat.Replace(name) != strings.ToLower(strings.TrimSuffix(ident, "Typed")) {
			t.Errorf("%s has the name %s", ident, name)
		}
		code, ok := codes[ident]
		if !ok || code.String() != name {
			t.Errorf("%s: wazero has %#x (%v), which is %s here", name, uint16(code), ok, code)
		}
		rows++
	}
	accepted := 0
	for range wasmtest.AllOps {
		accepted++
	}
	if rows != accepted || rows < 190 {
		t.Errorf("%d rows found in op.go, %d in the table", rows, accepted)
	}
}
