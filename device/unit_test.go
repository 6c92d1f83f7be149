package device

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		name, text string
		kernels    []Kernel
		imports    []string
		err        string
	}{
		{name: "nothing", text: ""},
		{name: "one", text: "KERNEL(k) {}", kernels: []Kernel{{Name: "k", Line: 1}}},
		{name: "spread out", text: "\n\nKERNEL (\n  k_1 ,\n GLOBAL  const\tchar\n*a, hc_i32 n)\n{}", kernels: []Kernel{{Name: "k_1", Line: 3,
			Params: []Param{{Type: "GLOBAL const char *", Name: "a", Pointer: true}, {Type: "hc_i32", Name: "n"}}}}},
		{name: "stars", text: "KERNEL(k, GLOBAL float*a, GLOBAL float* b, GLOBAL float *c) {}", kernels: []Kernel{{Name: "k", Line: 1,
			Params: []Param{{Type: "GLOBAL float*", Name: "a", Pointer: true}, {Type: "GLOBAL float*", Name: "b", Pointer: true},
				{Type: "GLOBAL float *", Name: "c", Pointer: true}}}}},
		{name: "types of several words", text: "KERNEL(k, unsigned long long n, const struct s v) {}", kernels: []Kernel{{Name: "k", Line: 1,
			Params: []Param{{Type: "unsigned long long", Name: "n"}, {Type: "const struct s", Name: "v"}}}}},
		{name: "several", text: "KERNEL(a) {}\nKERNEL(b) {}\n", kernels: []Kernel{{Name: "a", Line: 1}, {Name: "b", Line: 2}}},
		{name: "comments and literals", text: "// KERNEL(no)\n/* KERNEL(no)\n*/ char *s = \"KERNEL(no)\", c = 'K'; KERNEL(yes, /* , int z */ int a) {}",
			kernels: []Kernel{{Name: "yes", Line: 3, Params: []Param{{Type: "int", Name: "a"}}}}},
		{name: "directives", text: "#define K \"KERNEL(no)\" \\\n MY_KERNEL(no) /* KERNEL(no)\nKERNEL(no) */\n  #  if KERNEL(no)\nKERNEL(yes) {}", kernels: []Kernel{{Name: "yes", Line: 5}}},
		{name: "escapes", text: `char *s = "a\"KERNEL(no)\\"; KERNEL(yes) {}`, kernels: []Kernel{{Name: "yes", Line: 1}}},
		{name: "other words", text: "MY_KERNEL(a) {} KERNELS(b) KERNEL_(c)"},
		{name: "windows lines", text: "// KERNEL(no)\r\nKERNEL(k) {\r\n}\r\n", kernels: []Kernel{{Name: "k", Line: 2}}},
		{name: "imports", text: "HC_IMPORT(b);\nHC_IMPORT( a ) ;\nHC_IMPORT(b);\n// HC_IMPORT(no);\n", imports: []string{"a", "b"}},

		{name: "not closed", text: "\nKERNEL(k, int a", err: "f:2: KERNEL: the parenthesis is not closed"},
		{name: "closed by another", text: "KERNEL(k, int a[(3]) {}", err: ""},
		{name: "no name", text: "KERNEL() {}", err: "f:1: KERNEL: want KERNEL(name, parameters...), got the name \"\""},
		{name: "a number", text: "KERNEL(1) {}", err: "got the name \"1\""},
		{name: "no type", text: "KERNEL(k, a) {}", err: "want TYPE NAME for a parameter, got \"a\""},
		{name: "empty parameter", text: "KERNEL(k, ) {}", err: "want TYPE NAME"},
		{name: "array", text: "KERNEL(k, GLOBAL int a[3]) {}", err: "want TYPE NAME"},
		{name: "pointer to what", text: "KERNEL(k, int *p) {}", err: "k: the pointer p must be GLOBAL"},
		{name: "twice", text: "KERNEL(k) {}\nKERNEL(k) {}", err: "f:2: KERNEL: k is declared twice"},
	} {
		t.Run(c.name, func(t *testing.T) {
			u, err := Parse("f", c.text)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Fatalf("got %v, want %s", err, c.err)
				}
				return
			}
			if c.name == "closed by another" {
				return // whatever it is, it must not panic
			}
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.kernels, u.Kernels); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff(c.imports, u.Imports); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestBlank(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", ""},
		{"a // b\nc", "a     \nc"},
		{"a /* b\nc */ d", "a     \n     d"},
		{"a /* b", "a     "},
		{"/**/x", "    x"},
		{"/*/ x */y", "        y"},
		{`a "b" c`, `a     c`},
		{`a "b`, `a   `},
		{"a \"b\nc\"d\"", "a   \nc   "},
		{`'"' "'" x`, `        x`},
		{`"\\" x`, `     x`},
		{`"a\`, `   `},
		{"#a\nb", "  \nb"},
		{" # a \\\n b\nc", "      \n  \nc"},
		{"x # y\nz", "x # y\nz"},
		{"/* c */ # y\nz", "           \nz"},
		{"// a \\\n b\nc", "      \n  \nc"},
		{"#\\", "  "},
		{"/", "/"},
		{"a / b", "a / b"},
	} {
		if got := blank(c.text); got != c.want {
			t.Errorf("blank(%q)\ngives %q\nwant  %q", c.text, got, c.want)
		}
	}
}

func TestKernelByName(t *testing.T) {
	unit := func(text string) *Unit {
		u, err := Parse("f.kernel.c", text)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	for _, c := range []struct{ text, name, want, err string }{
		{"KERNEL(a) {}", "", "a", ""},
		{"KERNEL(a) {}", "a", "a", ""},
		{"KERNEL(a) {} KERNEL(b) {}", "b", "b", ""},
		{"KERNEL(a) {} KERNEL(b) {}", "", "", "f.kernel.c has several kernels, say which: a, b"},
		{"KERNEL(a) {} KERNEL(b) {}", "c", "", `f.kernel.c has no kernel "c"; it has a, b`},
		{"KERNEL(a) {}", "c", "", `f.kernel.c has no kernel "c"; it has a`},
		{"", "", "", "f.kernel.c has no kernel: declare one"},
		{"", "c", "", "f.kernel.c has no kernel: declare one"},
	} {
		k, err := unit(c.text).Kernel(c.name)
		if k.Name != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%q in %q: %q, %v", c.name, c.text, k.Name, err)
		}
	}
}

func TestAssemble(t *testing.T) {
	u, err := Parse("my.kernel.c", "HC_IMPORT(mine);\nKERNEL(k, hc_i32 n) {}\n")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := u.Assemble("fortran", Options{}); err == nil || !strings.Contains(err.Error(), "c11, cuda-c++, hip-c++, msl, opencl-c-1.2") {
		t.Errorf("an unknown dialect: %v", err)
	}
	for _, d := range Dialects() {
		if _, err := u.Assemble(d, Options{}); err == nil || !strings.Contains(err.Error(), `my.kernel.c imports the call "mine"`) {
			t.Errorf("%s: a call that is not registered: %v", d, err)
		}
		full, err := u.Assemble(d, Options{Defines: []string{"A", "B=2"}, Calls: map[string]uint16{"mine": 0x8003}})
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"#define A \n", "#define B 2\n", "#define HC_CALL_mine 32771u\n", "#line 1 \"my.kernel.c\"\nHC_IMPORT(mine);\n"} {
			if strings.Count(full, want) != 1 {
				t.Errorf("%s: %q is there %d times", d, want, strings.Count(full, want))
			}
		}
	}
}
