package machine_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/dialtone-gpu/dialtone/program/machine"
	"github.com/dialtone-gpu/dialtone/program/wasm"
)

var (
	word = regexp.MustCompile(`[A-Za-z_]\w*`)
	// whole is an expression that needs no parentheses around it, whatever is beside it.
	whole = regexp.MustCompile(`^(\(hc_[iu]\d+\))*(\w+|\w*\(.*\))$`)
)

// TestOperands holds expressions to what is said of them, so that they can be put into one another.
func TestOperands(t *testing.T) {
	for _, o := range machine.Operations() {
		info := o.Op.Info()
		if o.In != info.In || o.Out == 0 != (info.Out == "") || o.Out != 0 && wasm.ValTypes([]byte{byte(o.Out)}) != info.Out {
			t.Errorf("%v: %v and %v, want %v", o.Op, o.In, o.Out, info)
		}
		want := map[string]int{}
		for i := range len(o.In) {
			want[string(rune('a'+i))] = 1
		}
		if info.Width != 0 {
			delete(want, "a")
			want["ea"] = 1
		}
		if o.Traps {
			want["vm"] = 1
		}
		got := map[string]int{}
		for _, w := range word.FindAllString(o.C, -1) {
			if w != "u" && !strings.HasPrefix(w, "hc_") && !strings.HasPrefix(w, "vm_") && !strings.HasPrefix(w, "x") {
				got[w]++
			}
		}
		for name, n := range got {
			if want[name] != n {
				t.Errorf("%v: %s occurs %d times in %s, want %d", o.Op, name, n, o.C, want[name])
			}
			delete(want, name)
		}
		for name := range want {
			t.Errorf("%v: %s does not occur in %s", o.Op, name, o.C)
		}
		if m := whole.FindStringSubmatch(o.C); m == nil || !closed(m[2]) {
			t.Errorf("%v: %s may come apart beside other operators", o.Op, o.C)
		}
	}
}

// closed reports that the first parenthesis is closed by the last character.
func closed(text string) bool {
	depth := 0
	for i, c := range text {
		switch c {
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 && i != len(text)-1 {
				return false
			}
		}
	}
	return depth == 0
}

// TestComplete looks for instructions that are missing, and for those that are too many.
func TestComplete(t *testing.T) {
	all := machine.Operations()
	n := 0
	for op := range wasm.Op(0x200) {
		info := op.Info()
		_, ok := machine.Find(op)
		want := info.Width != 0 || op >= wasm.I32Eqz && op <= wasm.I64Extend32S || op >= wasm.I32TruncSatF32S && op <= wasm.I64TruncSatF64U ||
			op == wasm.MemoryCopy || op == wasm.MemoryFill
		if ok != want {
			t.Errorf("%v (%#x): %v, want %v", op, uint16(op), ok, want)
		}
		if ok {
			if n >= len(all) || all[n].Op != op {
				t.Fatalf("%v is not in its place", op)
			}
			n++
		}
	}
	if n != len(all) {
		t.Errorf("%d operations, want %d", len(all), n)
	}
}

// TestTraps has those operations trap that say so.
func TestTraps(t *testing.T) {
	all, err := expected()
	if err != nil {
		t.Fatal(err)
	}
	trapped := map[wasm.Op]bool{}
	for _, c := range all {
		trapped[c.op] = trapped[c.op] || c.want.trap != machine.None
	}
	for _, o := range machine.Operations() {
		if trapped[o.Op] != o.Traps {
			t.Errorf("%v traps: %v, want %v", o.Op, trapped[o.Op], o.Traps)
		}
	}
	if s := machine.Trap(77).String(); s != "trap 77" {
		t.Errorf("got %q", s)
	}
}
