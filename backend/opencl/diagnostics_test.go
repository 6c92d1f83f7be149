package opencl

import "testing"

func TestDiagnostics(t *testing.T) {
	const source = "#define ONE 1\nint prelude(int a);\n#line 1 \"user.kernel.c\"\n__kernel void k(__global int *p) {\n\tp[0] = ;\n}\n"
	for _, c := range []struct{ name, log, want string }{
		{"PoCL puts the severity first",
			"error: user.kernel.c:2:9: expected expression\nDevice pthread-skylake-avx512-AMD EPYC failed to build the program\n",
			"user.kernel.c:2:9: error: expected expression"},
		{"PoCL in a macro's argument", "error: user.kernel.c:2:3 <Spelling=user.kernel.c:2:9>: expected ')'\n", "user.kernel.c:2:9: error: expected ')'"},
		{"PoCL in the kernel library", "error: user.kernel.c:2:3 <Spelling=dialtone/calls.h:36:9>: no matching function for call to 'hc_arg'\n",
			"user.kernel.c:2:3: error: no matching function for call to 'hc_arg'"},
		{"PoCL counts", "user.kernel.c:2:9: error: expected expression\n1 error generated.\n", "user.kernel.c:2:9: error: expected expression"},
		{"both counts", "a.c:1:1: warning: w\n1 warning and 2 errors generated.\n", "a.c:1:1: warning: w"},
		{"PoCL's linker",
			"Error(s) while linking: \nCannot find symbol other in kernel library\nDevice x failed to build the program\n",
			"Error(s) while linking:\nCannot find symbol other in kernel library"},
		{"Oclgrind ignores #line, and has carets",
			"input.cl:5:9: error: expected expression\n\tp[0] = ;\n\t       ^\n",
			"user.kernel.c:2:9: error: expected expression\n\tp[0] = ;\n\t       ^"},
		{"NVIDIA ignores #line",
			"<kernel>:5:9: error: use of undeclared identifier 'sim'\ncl_kernel.h:7152:22: note: 'sin' declared here\n",
			"user.kernel.c:2:9: error: use of undeclared identifier 'sim'\ncl_kernel.h:7152:22: note: 'sin' declared here"},
		{"before the first #line", "input.cl:2:1: note: declared here\n", "input.cl:2:1: note: declared here"},
		{"beyond the end", "input.cl:99:1: error: expected '}'\n", "input.cl:99:1: error: expected '}'"},
		{"nothing but noise", "1 error generated.\n", "1 error generated.\n"},
		{"nothing", "", ""},
	} {
		if got := diagnostics(c.log, source); got != c.want {
			t.Errorf("%s: got\n%s\nwant\n%s", c.name, got, c.want)
		}
	}
}

func FuzzDiagnostics(f *testing.F) {
	f.Add("input.cl:5:9: error: x\n", "#line 7 \"u\"\nx\n")
	f.Add("error: a:1:1: b", "#line 99999999999999999999\n")
	f.Fuzz(func(t *testing.T, log, source string) {
		if got := diagnostics(log, source); got == "" && log != "" {
			t.Errorf("%q became nothing", log)
		}
	})
}
