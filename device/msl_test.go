package device

import (
	"strings"
	"testing"
)

func TestQualifyPointers(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"own", "void f(int *a, const char *b, unsigned int *c);", "void f(thread int *a, const thread char *b, thread unsigned int *c);"},
		{"said before", "GLOBAL int *a; GLOBAL const char *b; const GROUP int *c; CONSTANT unsigned char *d; thread int *e;", ""},
		{"said behind", "int GLOBAL *a; int const device *b;", ""},
		{"typedef", "typedef unsigned int u; typedef struct { u a[2]; } s, s2; u *a; s *b; s2 *c;",
			"typedef unsigned int u; typedef struct { u a[2]; } s, s2; thread u *a; thread s *b; thread s2 *c;"},
		{"typedef with a condition", "typedef struct {\n    int a;\n#ifdef B\n    int b;\n#endif\n} s;\ns *a;", "typedef struct {\n    int a;\n#ifdef B\n    int b;\n#endif\n} s;\nthread s *a;"},
		{"typedef of a pointer", "typedef int *p; p *q;", "typedef thread int *p; thread p *q;"},
		{"tags", "struct a *b; const struct c *d; GLOBAL struct a *e;", "thread struct a *b; const thread struct c *d; GLOBAL struct a *e;"},
		{"products", "a = b * c; d = sizeof(int) * n; e = (f) * g; h *= 2; x = *y;", ""},
		{"casts", "(int *)p; (GLOBAL int *)q; sizeof(int *);", "(thread int *)p; (GLOBAL int *)q; sizeof(thread int *);"},
		{"pointers to pointers", "int **a; GLOBAL int **b; GLOBAL int * GROUP *c;", "thread int *thread *a; GLOBAL int *thread *b; GLOBAL int * GROUP *c;"},
		{"results", "DEVICE int *f(HC);\nstatic inline GLOBAL char *g(HC);", "DEVICE thread int *f(HC);\nstatic inline GLOBAL char *g(HC);"},
		{"comments and literals", "/* int *a */ \"int *b\" int /* * */ *c;", "/* int *a */ \"int *b\" thread int /* * */ *c;"},
		{"macros", "#define A(p) ((int *)(p))\n#define B int\n* c;", "#define A(p) ((thread int *)(p))\n#define B int\n* c;"},
		{"lines", "int\n*a; int \\\n *b;", "thread int\n*a; thread int \\\n *b;"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.want == "" {
				c.want = c.text
			}
			got := qualifyPointers(c.text)
			if got != c.want {
				t.Errorf("%q\ngives %q\nwant  %q", c.text, got, c.want)
			}
			if again := qualifyPointers(got); again != got {
				t.Errorf("twice gives %q", again)
			}
		})
	}
}

func FuzzQualifyPointers(f *testing.F) {
	for _, s := range []string{"int *a", "typedef", "typedef int", "**", "struct *", "#define A int *", "typedef struct { int *a; } *b; b *c;"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := qualifyPointers(text)
		if strings.Count(got, "\n") != strings.Count(text, "\n") {
			t.Fatalf("%q to %q: other lines", text, got)
		}
		if strings.ReplaceAll(got, "thread ", "") != strings.ReplaceAll(text, "thread ", "") {
			t.Fatalf("%q to %q: more than insertions", text, got)
		}
	})
}

func TestMetalHeads(t *testing.T) {
	u, err := Parse("f", "KERNEL(a) {}\nKERNEL(b, GLOBAL const char *p, const hc_u32 n, float x)\n{ n; }\nKERNEL(c, GLOBAL int *q) {}\n")
	if err != nil {
		t.Fatal(err)
	}
	full, err := u.Assemble("msl", Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"#define HC_K00(name) HC_HEAD_##name\n",
		"#define HC_K03(name, p0, p1, p2) HC_HEAD_##name\n",
		"#define HC_HEAD_b HC_KERNEL(b)(HC_KERNEL_PARAMS, GLOBAL const char * p [[buffer(3)]], constant const hc_u32 &hc_v_n [[buffer(4)]], constant float &hc_v_x [[buffer(5)]])\n",
		"#define HC_BODY_b const hc_u32 n = hc_v_n; float x = hc_v_x;\n",
		"#line 1 \"f\"\nHC_K00(a) {}\nHC_K03(b, GLOBAL const char *p, const hc_u32 n, float x)\n{ HC_BODY_b n; }\nHC_K01(c, GLOBAL int *q) {}\n",
	} {
		if strings.Count(full, want) != 1 {
			t.Errorf("%q is there %d times", want, strings.Count(full, want))
		}
	}
	u, err = Parse("f", "\nKERNEL(k"+strings.Repeat(", int b", 29)+") {}")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := u.Assemble("msl", Options{}); err == nil || !strings.Contains(err.Error(), "f:2: KERNEL: k: 29 parameters, at most 28 on Metal") {
		t.Errorf("too many parameters: %v", err)
	}
}
