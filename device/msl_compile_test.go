package device_test

import (
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/dialtone-gpu/dialtone/device"
)

// metalClang is how clang is made to look at Metal Shading Language, over the stand-in of Metal's library. C++ with address spaces
// sees most mistakes; C++ for OpenCL knows more of address spaces, and no double.
func metalClang(t *testing.T) map[string][]string {
	include, err := filepath.Abs("../backend/metal/standin/include")
	if err != nil {
		t.Fatal(err)
	}
	common := []string{find(t, clangs...), "-nostdinc", "-I" + include, "-Xclang", "-cl-single-precision-constant", "-Wall", "-Werror", "-Wno-unused", "-Wno-unknown-attributes",
		"-Wno-parentheses", "-Wno-maybe-uninitialized", "-Wno-unknown-warning-option", "-Wno-unknown-pragmas"}
	return map[string][]string{
		"c++":   append(common[:len(common):len(common)], "-x", "c++", "-std=c++14", "-fno-exceptions", "-fno-rtti"),
		"clcpp": append(common[:len(common):len(common)], "-x", "clcpp", "-cl-std=clc++2021", "-cl-no-stdinc", "--target=spir64-unknown-unknown", "-Wno-pedantic-core-features"),
	}
}

// TestMSLCompiles says that there are none of the mistakes that clang and the lint can see; Apple's compiler has not seen it.
func TestMSLCompiles(t *testing.T) {
	for mode, command := range metalClang(t) {
		t.Run(mode, func(t *testing.T) {
			files := everyFile(t, "msl")
			for name, text := range everyFile(t, "msl", device.Relaunch) {
				files["relaunch "+name] = text
			}
			maps.Copy(files, optionalMSL(t))
			for name := range files {
				if mode == "c++" {
					files[name] = sharedByReference(files[name])
				}
			}
			compile(t, files, ".metal", append(command, "-fsyntax-only")...)
		})
	}
	preprocess := append(metalClang(t)["c++"], "-DMETAL_LINT", "-E", "-")
	files := everyFile(t, "msl")
	maps.Copy(files, optionalMSL(t))
	for name, text := range files {
		t.Run("lint/"+name, func(t *testing.T) {
			for _, p := range lintMSL(preprocessed(t, preprocess, text)) {
				t.Error(p)
			}
		})
	}
}

// optionalMSL gives what some of Metal's compilers refuse, as probes try it.
func optionalMSL(t *testing.T) map[string]string {
	all := map[string]string{}
	for _, c := range []struct{ name, define string }{{"wide", "PROBE_LEVEL=1"}, {"floats", "PROBE_NATIVE"}, {"floats", "PROBE_CAS"}, {"address", "PROBE_ADDRESS"}} {
		u, err := device.Parse(c.name+".kernel.c", read(t, "../hostcall/probe/kernels/optional/"+c.name+".kernel.c"))
		if err != nil {
			t.Fatal(err)
		}
		if all[c.define+" "+u.Name], err = u.Assemble("msl", device.Options{Defines: []string{c.define}}); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// sharedByReference makes of variables in threadgroup memory, which C++ does not have, references to static ones.
func sharedByReference(text string) string {
	declaration, name := regexp.MustCompile(`(?m)^([^#\n]*?)\bSHARED\s+(\w[\w ]*?)\s+(\w+[^;*]*);`), regexp.MustCompile(`^\w+`)
	return declaration.ReplaceAllStringFunc(text, func(s string) string {
		m := declaration.FindStringSubmatch(s)
		out := m[1]
		for _, d := range strings.Split(m[3], ",") {
			d = strings.TrimSpace(d)
			n := name.FindString(d)
			out += fmt.Sprintf("static %s shared_%s; auto &%s = *(threadgroup decltype(shared_%s) *)(void *)&shared_%s; ", m[2], d, n, n, n)
		}
		return out
	})
}

func preprocessed(t *testing.T, command []string, text string) string {
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stdin = strings.NewReader(text)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		t.Fatalf("%v\n%s", err, exit.Stderr)
	}
	// What comes from the stand-in of Metal's library is not ours to look at.
	var kept []string
	ours := true
	for line := range strings.Lines(string(out)) {
		if m := regexp.MustCompile(`^# \d+ "(.*?)"`).FindStringSubmatch(line); m != nil {
			ours = filepath.Base(m[1]) != "metal_stdlib"
		}
		if ours {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "")
}

// metalAttributes are those of the "Metal Shading Language Specification" that kernels may use.
var metalAttributes = regexp.MustCompile(`^(buffer\(\d+\)|thread_position_in_threadgroup|threadgroup_position_in_grid|threads_per_threadgroup|threadgroups_per_grid)$`)

// lintMSL finds in preprocessed text what clang lets pass and Metal does not.
func lintMSL(text string) []string {
	var found []string
	for _, m := range regexp.MustCompile(`\[\[(.*?)\]\]`).FindAllStringSubmatch(text, -1) {
		if !metalAttributes.MatchString(strings.TrimSpace(m[1])) {
			found = append(found, "attribute [["+m[1]+"]]")
		}
	}
	for what, pattern := range map[string]string{
		"long long":                          `\blong\s+long\b`,
		"function pointer":                   `\(\s*\*\s*\w+\s*\)\s*\(`,
		"function with ...":                  `\.\.\.\s*\)`,
		"a word that Metal does not have":    `METAL_HAS_NO_\w+`,
		"long double":                        `\blong\s+double\b`,
		"inclusion of more than one file":    `#\s*include`,
		"atomic order other than relaxed":    `memory_order_(acquire|release|acq_rel|consume)`,
		"reference without an address space": `[(,]\s*(const\s+)?\w+\s+&[A-Za-z_]\w*\s*[,)]`,
	} {
		for _, m := range regexp.MustCompile(pattern).FindAllString(text, -1) {
			found = append(found, what+": "+strings.TrimSpace(m))
		}
	}
	for _, m := range regexp.MustCompile(`\bthreadgroup\s+\w[\w ]*\s\w+\s*[\[;,]`).FindAllStringIndex(text, -1) {
		if head := enclosing(text, m[0]); !strings.Contains(head, "kernel ") {
			found = append(found, "threadgroup memory outside of a kernel: "+text[m[0]:m[1]])
		}
	}
	for _, at := range device.PointersWithoutSpace(text) {
		line := strings.TrimSpace(text[strings.LastIndex(text[:at], "\n")+1 : at+strings.IndexAny(text[at:]+"\n", "\n")])
		found = append(found, "pointer without an address space: "+line)
	}
	return found
}

// enclosing gives what is before the brace of the function that a place is in.
func enclosing(text string, at int) string {
	depth, from, head := 0, 0, ""
	for i, c := range text[:at] {
		switch c {
		case '{':
			if depth == 0 {
				head = text[from:i]
			}
			depth++
		case '}':
			depth--
			from = i + 1
		case ';':
			if depth == 0 {
				from = i + 1
			}
		}
	}
	if depth == 0 {
		return ""
	}
	return head
}

// TestMSLCheckFinds: the checks must be able to fail.
func TestMSLCheckFinds(t *testing.T) {
	const good = "#include <metal_stdlib>\nstatic inline void f(thread int *p) { *p = 1; }\n" +
		"kernel void k(device unsigned int *a [[buffer(0)]], constant int &n [[buffer(1)]], metal::uint3 i [[thread_position_in_threadgroup]]) {\n"
	commands := metalClang(t)
	for _, c := range []struct {
		name, text string
		cpp, clcpp bool // who finds it
		lint       bool
	}{
		{name: "nothing", text: good + "a[i.x] = (unsigned int)n; }"},
		{name: "order", text: good + "metal::atomic_store_explicit((device metal::atomic_uint *)a, 1u, metal::memory_order_release); }", cpp: true, clcpp: true, lint: true},
		{name: "spaces mixed", text: good + "f(a); }", cpp: true, clcpp: true},
		{name: "assignment to an atomic", text: good + "*(device metal::atomic_uint *)a = 1u; }", cpp: true, clcpp: true},
		{name: "function pointer", text: good + "void (*g)(thread int *) = f; int x; g(&x); }", clcpp: true, lint: true},
		{name: "double", text: good + "double d = 1; a[0] = d; }", cpp: true, clcpp: true, lint: true},
		{name: "goto", text: good + "goto end; end: return; }", cpp: true, clcpp: true, lint: true},
		{name: "new", text: good + "int *p = new int; }", cpp: true, clcpp: true, lint: true},
		{name: "misspelt attribute", text: strings.Replace(good, "buffer(1)", "buffre(1)", 1) + "}", lint: true},
		{name: "pointer without a space", text: good + "int x; int *p = &x; *p = n; }", lint: true},
		{name: "literal", text: good + "float d = 1.5; a[0] = d * 2.5 > 3; }"},
		{name: "threadgroup memory", text: strings.Replace(good, "{ *p = 1; }", "{ threadgroup int shared[2]; shared[0] = *p; }", 1) + "}", cpp: true, clcpp: true, lint: true},
		{name: "long long", text: good + "long long x = n; a[0] = x; }", lint: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			for mode, want := range map[string]bool{"c++": c.cpp, "clcpp": c.clcpp} {
				cmd := exec.Command(commands[mode][0], append(commands[mode][1:], "-fsyntax-only", "-")...)
				cmd.Stdin = strings.NewReader(c.text)
				if out, err := cmd.CombinedOutput(); (err != nil) != want {
					t.Errorf("%s finds it: %v, want %v\n%s", mode, err != nil, want, out)
				}
			}
			found := lintMSL(preprocessed(t, append(commands["c++"], "-DMETAL_LINT", "-E", "-"), c.text))
			if (found != nil) != c.lint {
				t.Errorf("the lint finds it: %v, want %v: %q", found != nil, c.lint, found)
			}
		})
	}
}
