package device

import "testing"

func TestDiagnose(t *testing.T) {
	u, err := Parse("a.c", "1\n2\n3\n4\n5\n6\n7\n8\n9\n\n")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, log, want string }{
		{"gcc", "a.c: In function 'k':\na.c:2:13: error: 'x' undeclared (first use in this function)\n    2 |     int y = x;\n      |             ^\n" +
			"a.c:2:13: note: each undeclared identifier is reported only once for each function it appears in\n",
			"a.c:2:13: error: 'x' undeclared (first use in this function)\n    2 |     int y = x;\n      |             ^\n" +
				"a.c:2:13: note: each undeclared identifier is reported only once for each function it appears in"},
		{"gcc, in a call's arguments", "a.c:7:23: error: incompatible type\n    7 |   hc_printf(t);\n" +
			"dialtone/views.h:35:38: note: in definition of macro 'HC_LIST'\na.c:7:5: note: in expansion of macro 'hc_printf'\n    7 |   hc_printf(t);\n" +
			"dialtone/space.h:85:59: note: expected 'const void *'\n",
			"a.c:7:23: error: incompatible type\n    7 |   hc_printf(t);"},
		{"gcc, found in the library", "a.c: In function 'k':\ndialtone/calls.h:30:23: error: expected ',' or ';' before 'hc_exit_'\n" +
			"a.c:3:5: note: in expansion of macro 'hc_exit'\n    3 |     hc_exit(n);\n      |     ^~~~~~~\n",
			"a.c:3:5: error: expected ',' or ';' before 'hc_exit_'\n    3 |     hc_exit(n);\n      |     ^~~~~~~"},
		{"gcc, not closed", "dialtone/entries: In function 'k':\ndialtone/entries:3:1: error: expected declaration or statement at end of input\n",
			"a.c:9: error: expected declaration or statement at end of input"},
		{"gcc, a macro of the user", "a.c:9:3: error: 'q' undeclared\na.c:1:20: note: in definition of macro 'TWICE'\ncc1: some warnings being treated as errors\n",
			"a.c:9:3: error: 'q' undeclared\na.c:1:20: note: in definition of macro 'TWICE'"},
		{"warnings are not why", "a.c:1:1: warning: unused\n  x\na.c:1:1: note: here\na.c:2:1: error: bad\n", "a.c:2:1: error: bad"},
		{"clang", "a.c:7:23: error: passing 'thing'\n    hc_printf(t);\n              ^\ndialtone/calls.h:407:38: note: expanded from macro 'hc_printf'\n" +
			"#define hc_printf(...) hc_fprintf(1, __VA_ARGS__)\n          ^~~\nnote: (skipping 1 expansions in backtrace)\n1 error generated.\n",
			"a.c:7:23: error: passing 'thing'\n    hc_printf(t);\n              ^"},
		{"tcc", "a.c:3: error: ';' expected (got \"hc_exit_\")\n", "a.c:3: error: ';' expected (got \"hc_exit_\")"},
		{"NVRTC", "a.c(4): error: identifier \"nothing\" is undefined\n      hc_print1(\"%d\", nothing);\n                      ^\n\n",
			"a.c:4: error: identifier \"nothing\" is undefined\n      hc_printf(\"%d\", nothing);\n                      ^"},
		{"NVRTC, with the number of the message", "a.c(1): warning #177-D: variable \"n\" was declared but never referenced\n  x\na.c(2): error #20: bad\n", "a.c:2: error: bad"},
		{"NVRTC, not closed", "dialtone/entries(3): error: expected a \"}\"\n", "a.c:9: error: expected a \"}\""},
		{"clang, in the library's function", "a.c:4:5: error: no matching function for call to 'hc_from'\n    hc_puts(t);\n    ^~~~~~~~~~\n" +
			"dialtone/calls.h:86:36: note: expanded from macro 'hc_puts'\n#define hc_puts(text) x\ndialtone/space.h:5:21: note: candidate function not viable\n",
			"a.c:4:5: error: no matching function for call to 'hc_from'\n    hc_puts(t);\n    ^~~~~~~~~~"},
		{"words with numbers", "a.c:1:1: error: unterminated HC_K02(k, hc_fprintc(hc_print0(\n", "a.c:1:1: error: unterminated KERNEL(k, hc_fprintf(hc_printf("},
		{"no diagnostic", "collect2: fatal: no disk\n", "collect2: fatal: no disk\n"},
	} {
		if got := u.Diagnose(c.log); got != c.want {
			t.Errorf("%s: got\n%s\nwant\n%s", c.name, got, c.want)
		}
	}
}
