package device

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestUses(t *testing.T) {
	for _, c := range []struct {
		name, text string
		resumable  bool
		waits      []string
	}{
		{"nothing", "KERNEL(k) {}", false, nil},
		{"prints", "KERNEL(k) { hc_printf(\"hc_read\"); /* hc_open */ }", false, nil},
		{"reads", "KERNEL(k) { HC_RESUMABLE; hc_read(0, 0, 0); hc_open(0); }", true, []string{"hc_read", "hc_open"}},
		{"another kernel", "KERNEL(a) { HC_RESUMABLE; hc_read(); }\nKERNEL(k, GLOBAL int *p) { hc_puts(\"x\"); }", false, nil},
		{"through functions", "DEVICE int f(HC) { return hc_close(3); }\nDEVICE void g(HC, int (*x)[3]) { { if (f(hc)) {} } }\nKERNEL(k) { g(hc, 0); }", false, []string{"hc_close"}},
		{"a function not called", "DEVICE int f(HC) { return hc_close(3); }\nstruct s { int f; };\nint t[] = { 1, 2 };\nKERNEL(k) {}", false, nil},
		{"through macros", "#define GET(x) \\\n  take(hc, x)\n#define START HC_RESUMABLE\nDEVICE int take(HC, int x) { return hc_fsync(x); }\nKERNEL(k) { START; GET(1); }", true, []string{"hc_fsync"}},
		{"recursion", "#define A B\n#define B A\nKERNEL(k) { A; }", false, nil},
		{"longer words", "KERNEL(k) { hc_reader(); my_hc_read(); NO_HC_RESUMABLE; }", false, nil},
		{"declared first", "DEVICE int f(HC);\nKERNEL(k) { f(hc); }\nDEVICE int f(HC) { return hc_noop(0); }", false, []string{"hc_noop"}},
		{"broken", "KERNEL(k) { hc_noop(", false, nil},
		{"more broken", "}}} ) KERNEL(k) { hc_noop() }", false, []string{"hc_noop"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			u := &Unit{Text: c.text}
			if got := u.Resumable("k"); got != c.resumable {
				t.Errorf("resumable: %v", got)
			}
			if got := u.Waits("k"); !slices.Equal(got, c.waits) {
				t.Errorf("waits for %q, want %q", got, c.waits)
			}
		})
	}
}

// TestEveryCallIsKnown has each word of the library that makes a call in one of the lists.
func TestEveryCallIsKnown(t *testing.T) {
	text, err := files.ReadFile("calls.h")
	if err != nil {
		t.Fatal(err)
	}
	numbered := regexp.MustCompile(`^hc_f?print.$`) // what hc_printf and hc_fprintf become
	local := []string{"hc_argc", "hc_argv", "hc_cancelled", "hc_getenv", "hc_arg"}
	for _, m := range regexp.MustCompile(`(?m)^#define (hc_[a-z_]*[a-z])(?:\(| )`).FindAllStringSubmatch(string(text), -1) {
		n := 0
		for _, list := range [][]string{local, Waiting, Posted} {
			if slices.Contains(list, m[1]) {
				n++
			}
		}
		if n != 1 && !numbered.MatchString(m[1]) {
			t.Errorf("%s is in %d lists: is it a call with an answer, one without, or none?", m[1], n)
		}
	}
	for _, name := range append(slices.Clone(Waiting), Posted...) {
		if !strings.Contains(string(text), name+"(") && name != "hc_simple_call" && name != printfWord && name != fprintfWord {
			t.Errorf("the library has no %s", name)
		}
	}
}

func FuzzUses(f *testing.F) {
	for _, s := range []string{"KERNEL(k) { f(); }", "}{)(", "#define A(\\\n", "KERNEL(k", "f(()){}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		u := &Unit{Text: text}
		u.Resumable("k")
		u.Waits("k")
	})
}
