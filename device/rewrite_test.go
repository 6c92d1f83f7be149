package device

import (
	"regexp"
	"strings"
	"testing"
)

func TestRewrite(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"no words", "int a; // hc_printf(1)\n", "int a; // hc_printf(1)\n"},
		{"kernels", "KERNEL(a) {}\nKERNEL ( b , int x,\n GLOBAL int *y ) {}", "HC_K00(a) {}\nHC_K02 ( b , int x,\n GLOBAL int *y ) {}"},
		{"printf", `hc_printf("a"); hc_printf("%d", 1); hc_printf ("%d %d", 1, 2);`, `hc_print0("a"); hc_print1("%d", 1); hc_print2 ("%d %d", 1, 2);`},
		{"fprintf", `hc_fprintf(2, "a"); hc_fprintf(fd, "%d", 1);`, `hc_fprint0(2, "a"); hc_fprint1(fd, "%d", 1);`},
		{"twelve", `hc_printf(f, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)`, `hc_printc(f, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)`},
		{"format without a literal", `hc_printf(f)`, `hc_print0(f)`},
		{"nested parentheses", `hc_printf("%d", f(a, (b, c)), (d, e))`, `hc_print2("%d", f(a, (b, c)), (d, e))`},
		{"a call in a call", `hc_printf("%d", hc_printf("%d", hc_fprintf(1, "")))`, `hc_print1("%d", hc_print1("%d", hc_fprint0(1, "")))`},
		{"commas in literals", `hc_printf("a,b)\"(", ',', '(', '\'')`, `hc_print3("a,b)\"(", ',', '(', '\'')`},
		{"commas in comments", "hc_printf(/* , ( */ \"a\" // , (\n, 1)", "hc_print1(/* , ( */ \"a\" // , (\n, 1)"},
		{"comment before the parenthesis", "hc_printf /* ( */ \\\n (\"\")", "hc_print0 /* ( */ \\\n (\"\")"},
		{"lines", "hc_printf\n(\n\"a\"\n,\n1\n)", "hc_print1\n(\n\"a\"\n,\n1\n)"},
		{"windows lines", "hc_printf(\r\n\"a\", \\\r\n1)\r\n", "hc_print1(\r\n\"a\", \\\r\n1)\r\n"},
		{"literal over lines", "hc_printf(\"a\\\n,b\", 1)", "hc_print1(\"a\\\n,b\", 1)"},
		{"literal over windows lines", "hc_printf(\"a\\\r\n,b\", 1)", "hc_print1(\"a\\\r\n,b\", 1)"},
		{"other words", "my_hc_printf(1) hc_printf_(2) hc_printfs(3) KERNELS(4) 0KERNEL HC_KERNEL(a)", "my_hc_printf(1) hc_printf_(2) hc_printfs(3) KERNELS(4) 0KERNEL HC_KERNEL(a)"},
		{"in a macro", "#define A(x) do { hc_printf(\"%d\", x); } while (0)\n", "#define A(x) do { hc_print1(\"%d\", x); } while (0)\n"},
		{"in a macro over lines", "#define A(x) \\\n hc_printf(\"%d %d\", \\\n x, (x, x))\nhc_printf(\"\")", "#define A(x) \\\n hc_print2(\"%d %d\", \\\n x, (x, x))\nhc_print0(\"\")"},
		{"after a comment in a macro", "#define A /* hc_printf\n */ hc_printf(\"a\")", "#define A /* hc_printf\n */ hc_print0(\"a\")"},
		{"conditions and errors", "#ifdef hc_printf\n#error hc_printf is KERNEL don't\n#endif\n#undef KERNEL\n", "#ifdef hc_printf\n#error hc_printf is KERNEL don't\n#endif\n#undef KERNEL\n"},
		{"a macro with dots that does not print", "#define A(...) f(__VA_ARGS__)\nhc_printf(\"\")", "#define A(...) f(__VA_ARGS__)\nhc_print0(\"\")"},
		{"a macro without parameters before a parenthesis", "#define A (hc_printf(\"...\"), x...)", "#define A (hc_print0(\"...\"), x...)"},
		{"brackets keep nothing together", `hc_printf("%d", a[i, j])`, `hc_print2("%d", a[i, j])`}, // as in the preprocessor
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := rewrite("f", c.text)
			if err != nil || got != c.want {
				t.Errorf("%q\ngives %q, %v\nwant  %q", c.text, got, err, c.want)
			}
		})
	}
}

func TestRewriteRefuses(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"no format", "\n\nhc_printf( /* */ )", "f:3: hc_printf: the format is missing"},
		{"no format for a file", `hc_fprintf(1)`, "f:1: hc_fprintf: the format is missing"},
		{"thirteen", "hc_printf(f, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13)", "f:1: hc_printf: 13 arguments behind the format, at most 12"},
		{"not closed", "x\nhc_printf(\"a\", (1)", "f:2: hc_printf: the parenthesis is not closed"},
		{"not closed in the macro", "#define A hc_printf(\"a\"\n)", "f:1: hc_printf: the parenthesis is not closed in this macro"},
		{"no parenthesis", "(hc_printf)(\"a\")", "f:1: hc_printf: without arguments behind it"},
		{"at the end", "hc_printf", "f:1: hc_printf: without arguments behind it"},
		{"no parenthesis in the macro", "#define P hc_printf\nP(\"a\")", "f:1: hc_printf: without arguments behind it"},
		{"parenthesis from elsewhere", "#define P(args) hc_printf args", "f:1: hc_printf: without arguments behind it"},
		{"macro with dots", "int a;\n#define P(f, ...) hc_printf(f, __VA_ARGS__)", "f:2: hc_printf: how many arguments it has must be seen here"},
		{"macro with named dots", "#define P(f...) \\\n hc_printf(f)", "f:2: hc_printf: how many arguments"},
		{"macro of that name", "#define hc_printf(x) 0", "f:1: hc_printf: the word is the library's"},
		{"kernel in a macro", "#define K(n) KERNEL(n)", "f:1: KERNEL: kernels cannot be declared by a macro"},
		{"over lines", "hc_\\\nprintf(\"a\")", "f:1: hc_printf: the word goes over the end of a line"},
		{"over windows lines", "\nKER\\\r\nNEL(a)", "f:2: KERNEL: the word goes over the end of a line"},
		{"directive among arguments", "hc_printf(\"a\"\n#ifdef A\n, 1\n#endif\n)", "f:1: hc_printf: a preprocessor line among its arguments"},
		{"directive among parameters", "KERNEL(a\n#ifdef A\n, int b\n#endif\n) {}", "f:1: KERNEL: a preprocessor line among its arguments"},
		{"too many parameters", "KERNEL(a" + strings.Repeat(", int b", 100) + ") {}", "f:1: KERNEL: a: 100 parameters, at most 99"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse("f", c.text)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%q\ngives %v\nwant  %s", c.text, err, c.want)
			}
		})
	}
}

// TestNoVariadicMacros: not every compiler has them.
func TestNoVariadicMacros(t *testing.T) {
	variadic := regexp.MustCompile(`(?m)^[ \t]*#[ \t]*define[ \t]+\w+\([^)]*\.\.\.|__VA_ARGS__`)
	if !variadic.MatchString("int a;\n #define A(b, ...) b") || !variadic.MatchString("#define A(b...) b") {
		t.Fatal("BUG: the pattern finds no variadic macro")
	}
	u, err := Parse("f", "KERNEL(k, hc_i32 n) { hc_printf(\"%d\\n\", n); }\n")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range Dialects() {
		full, err := u.Assemble(d, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if found := variadic.FindAllString(full, -1); found != nil {
			t.Errorf("%s: %q", d, found)
		}
	}
}

// FuzzParse: no text makes it panic, and what is compiled has the lines and columns of the file.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"KERNEL(k, GLOBAL int *p) {}", "/*", "\"\\", "#\\\n", "HC_IMPORT(a)", "KERNEL(", "'", "//\\\n", "KERNEL(k,(,)",
		"hc_printf(\"%d\", 1)", "hc_fprintf(1, f, (a, b))", "#define A(x) hc_printf(x)\n", "hc_\\\nprintf(a)", "#define A(...) hc_printf(a)", "hc_printf(", "# \\\r\n",
		"#define hc_printf", "KERNEL(a) {} KERNEL(b, float x) { hc_printf(\"\"); }"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		b := blank(text)
		if len(b) != len(text) || strings.Count(b, "\n") != strings.Count(text, "\n") {
			t.Fatalf("blank moved something: %q to %q", text, b)
		}
		u, err := Parse("f", text)
		if err != nil {
			return
		}
		if len(u.body) != len(text) || strings.Count(u.body, "\n") != strings.Count(text, "\n") {
			t.Fatalf("rewriting moved something: %q to %q", text, u.body)
		}
		if !strings.Contains(text, kernelWord) && !strings.Contains(text, printfWord) && !strings.Contains(text, fprintfWord) && u.body != text {
			t.Fatalf("rewriting changed %q to %q", text, u.body)
		}
		for _, k := range u.Kernels {
			if !identifier.MatchString(k.Name) || k.Line < 1 || k.Line > 1+strings.Count(text, "\n") {
				t.Fatalf("kernel %+v", k)
			}
			if got, err := u.Kernel(k.Name); err != nil || got.Line != k.Line {
				t.Fatalf("kernel %q is not found: %v", k.Name, err)
			}
		}
		calls := map[string]uint16{}
		for _, name := range u.Imports {
			calls[name] = 0x8000
		}
		for _, d := range Dialects() {
			if _, err := u.Assemble(d, Options{Calls: calls}); err != nil {
				t.Fatalf("%s: %v", d, err)
			}
		}
	})
}
