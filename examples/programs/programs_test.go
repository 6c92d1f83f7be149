// Package programs_test runs the example programs and compares what they do with what something else says.
package programs_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/dialtone-gpu/dialtone/hostcall/policy"
	"github.com/dialtone-gpu/dialtone/internal/wasmtest"
)

// run runs an example.
func run(t *testing.T, name string, allowed policy.Policy, args ...string) wasmtest.Ran {
	t.Helper()
	allowed.Args = append([]string{name}, args...)
	ran, err := wasmtest.Run(t.Context(), wasmtest.Example(t, name), allowed)
	if err != nil {
		t.Fatalf("%s %.80q: %v", name, args, err)
	}
	return ran
}

// prints has an example print something and end well.
func prints(t *testing.T, want, name string, allowed policy.Policy, args ...string) {
	t.Helper()
	if got := run(t, name, allowed, args...); got.Stdout != want || got.Stderr != "" || got.Code != 0 {
		at := 0
		for at < min(len(got.Stdout), len(want)) && got.Stdout[at] == want[at] {
			at++
		}
		t.Errorf("%s %.80q: exit code %d, stderr %q; from byte %d of %d it prints %.80q, where %d bytes with %.80q should be",
			name, args, got.Code, got.Stderr, at, len(got.Stdout), got.Stdout[at:], len(want), want[at:])
	}
}

func readOnly(host string) policy.Policy {
	return policy.Policy{Dirs: []policy.Dir{{Host: host, Guest: "/", ReadOnly: true}}}
}

func writable(host string) policy.Policy {
	return policy.Policy{Dirs: []policy.Dir{{Host: host, Guest: "/"}}}
}

// goSource is a folder of Go's own source.
func goSource(t *testing.T, path ...string) string {
	t.Helper()
	dir := filepath.Join(append([]string{runtime.GOROOT(), "src"}, path...)...)
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("needs Go's own source: %v", err)
	}
	return dir
}

func TestHello(t *testing.T) {
	for name, language := range map[string]string{"c/hello.c": "C", "rust/hello.rs": "Rust", "go/hello": "Go"} {
		t.Run(language, func(t *testing.T) {
			t.Parallel()
			for stdin, who := range map[string]string{"Ada\n": "Ada", "Ada": "Ada", "Grace Hopper\r\n": "Grace Hopper", "": "stranger", "\n": "stranger"} {
				dir := t.TempDir()
				allowed := writable(dir)
				allowed.Stdin = strings.NewReader(stdin)
				before := time.Now().UnixMilli()
				got := run(t, name, allowed)
				after := time.Now().UnixMilli()

				head, tail, _ := strings.Cut(got.Stdout, "What is your name? ")
				var seconds, thousandths int64
				format := "Hello from " + language + "!\nIt is %d.%3d seconds past 1970.\n"
				if _, err := fmt.Sscanf(head, format, &seconds, &thousandths); err != nil {
					t.Errorf("it starts with %q: %v", head, err)
				} else if now := seconds*1000 + thousandths; now < before-1 || now > after+1 { // one may cut, the other round
					t.Errorf("it is %d, not between %d and %d", now, before, after)
				}
				wrote := fmt.Sprintf("This file was written by a %s program for %s.\n", language, who)
				if want := fmt.Sprintf("Nice to meet you, %s.\n/hello.txt says: %s", who, wrote); tail != want || got.Stderr != "" || got.Code != 0 {
					t.Errorf("%q: got %q, %q, exit code %d; want %q", stdin, tail, got.Stderr, got.Code, want)
				}
				if text, err := os.ReadFile(filepath.Join(dir, "hello.txt")); string(text) != wrote {
					t.Errorf("%q: the file has %q, %v", stdin, text, err)
				}
			}
			got := run(t, name, policy.Policy{})
			if got.Code != 1 || !strings.Contains(got.Stderr, "/hello.txt") || !strings.HasSuffix(got.Stdout, "Nice to meet you, stranger.\n") {
				t.Errorf("without a directory: %+v", got)
			}
		})
	}
}

// counted is what wc should print of the files below a folder.
func counted(t *testing.T, host string) string {
	t.Helper()
	var out strings.Builder
	var total [3]int
	print := func(n [3]int, name string) { fmt.Fprintf(&out, "%7d %7d %7d %s\n", n[0], n[1], n[2], name) }
	var paths []string
	if err := filepath.WalkDir(host, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			paths = append(paths, path)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	// Components are compared one by one, so that a/b comes before a.b.
	slices.SortFunc(paths, func(a, b string) int {
		return slices.Compare(strings.Split(a, string(filepath.Separator)), strings.Split(b, string(filepath.Separator)))
	})
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		words := bytes.FieldsFunc(text, func(r rune) bool { return r == ' ' || '\t' <= r && r <= '\r' })
		n := [3]int{bytes.Count(text, []byte("\n")), len(words), len(text)}
		for i := range n {
			total[i] += n[i]
		}
		print(n, filepath.ToSlash(strings.TrimPrefix(path, host)))
	}
	print(total, "total")
	return out.String()
}

func TestWc(t *testing.T) {
	t.Run("Go's source", func(t *testing.T) {
		src := goSource(t, "net")
		prints(t, counted(t, src), "rust/wc", readOnly(src), "/")
	})
	t.Run("as wc(1)", func(t *testing.T) {
		command, err := exec.LookPath("wc")
		if err != nil {
			t.Skip(err)
		}
		src := goSource(t, "sort")
		found, _ := filepath.Glob(filepath.Join(src, "*.go"))
		var files []string
		for _, path := range found {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			// What other bytes are in words depends on the locale.
			if !bytes.ContainsFunc(text, func(r rune) bool { return r >= utf8.RuneSelf }) {
				files = append(files, filepath.Base(path))
			}
		}
		cmd := exec.Command(command, files...)
		cmd.Dir, cmd.Env = src, append(os.Environ(), "LC_ALL=C")
		theirs, err := cmd.Output()
		if err != nil || len(files) < 5 {
			t.Fatalf("%d files: %v", len(files), err)
		}
		ours := run(t, "rust/wc", readOnly(src), files...)
		if !slices.Equal(strings.Fields(ours.Stdout), strings.Fields(string(theirs))) {
			t.Errorf("ours:\n%s\nof wc:\n%s", ours.Stdout, theirs)
		}
	})
	t.Run("standard input", func(t *testing.T) {
		for text, want := range map[string]string{"": "0 0 0", "\n": "1 0 1", "a": "0 1 1", " a\v\fb\r\tc \n\n d": "2 4 13"} {
			got := run(t, "rust/wc", policy.Policy{Stdin: strings.NewReader(text)})
			if strings.Join(strings.Fields(got.Stdout), " ") != want || got.Code != 0 {
				t.Errorf("%q: got %+v, want %s", text, got, want)
			}
		}
	})
	t.Run("a missing file", func(t *testing.T) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "a"), []byte("one two\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		got := run(t, "rust/wc", readOnly(dir), "/missing", "/a")
		if got.Code != 1 || !strings.HasPrefix(got.Stderr, "wc: /missing: ") || got.Stdout != "      1       2       8 /a\n" {
			t.Errorf("got %+v", got)
		}
	})
}

// packages is what go list says of the standard library: some MB of JSON.
var packages = sync.OnceValues(func() ([]byte, error) { return exec.Command("go", "list", "-json", "std").Output() })

func TestJsonq(t *testing.T) {
	const name = "go/jsonq"
	t.Run("packages", func(t *testing.T) {
		text, err := packages()
		if err != nil {
			t.Skipf("go list -json std: %v", err)
		}
		var paths, imports, first, whole strings.Builder
		for d := json.NewDecoder(bytes.NewReader(text)); ; {
			var p struct {
				ImportPath string
				Imports    []string
				Module     any
			}
			if err := d.Decode(&p); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&paths, "%q\n", p.ImportPath)
			for i, path := range p.Imports {
				fmt.Fprintf(&imports, "%q\n", path)
				if i == 0 {
					fmt.Fprintf(&first, "%q\n", path)
				}
			}
		}
		for d := json.NewDecoder(bytes.NewReader(text)); ; {
			var v any
			if d.Decode(&v) != nil {
				break
			}
			line, err := json.Marshal(v) // in the order of the names, as jsonq has them
			if err != nil {
				t.Fatal(err)
			}
			whole.Write(append(line, '\n'))
		}
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "std.json"), text, 0o644); err != nil {
			t.Fatal(err)
		}
		prints(t, paths.String(), name, readOnly(dir), ".ImportPath", "/std.json")
		prints(t, imports.String(), name, readOnly(dir), ".Imports[]", "/std.json")
		prints(t, first.String()+first.String(), name, readOnly(dir), ".Imports[0]", "/std.json", "/std.json")
		prints(t, unescaped(whole.String()), name, policy.Policy{Stdin: bytes.NewReader(text)}, ".")
		t.Logf("%d bytes of JSON", len(text))
	})
	for _, tt := range []struct{ path, stdin, want string }{
		{".packages[].name", `{"packages":[{"name":"a"},{"name":"b"},{"nam":"c"},3]}`, "\"a\"\n\"b\"\n"},
		{".", ` 1 "<x>" [ ] {"b":1.50,"a":12345678901234567890}`, "1\n\"<x>\"\n[]\n{\"a\":12345678901234567890,\"b\":1.50}\n"},
		{"[]", `{"b":[1,null],"a":true} [[2]] "x"`, "true\n[1,null]\n[2]\n"},
		{"[-1][1]", `[[1],[2,3]] [] {}`, "3\n"},
		{"[9]", `[1]`, ""},
	} {
		prints(t, tt.want, name, policy.Policy{Stdin: strings.NewReader(tt.stdin)}, tt.path)
	}
	for _, tt := range []struct {
		args   []string
		stdin  string
		code   int
		stderr string
	}{
		{nil, "", 2, "usage: jsonq PATH [FILE...]\n"},
		{[]string{"a"}, "", 1, `jsonq: path "a": "a" should begin with . or [` + "\n"},
		{[]string{".a..b"}, "", 1, `jsonq: path ".a..b": a name is missing before ".b"` + "\n"},
		{[]string{"[x]"}, "", 1, `jsonq: path "[x]": "x" is no number` + "\n"},
		{[]string{"."}, "1 {", 1, "jsonq: unexpected EOF\n"},
		{[]string{".", "/missing"}, "", 1, "jsonq: open /missing: "},
	} {
		got := run(t, name, policy.Policy{Stdin: strings.NewReader(tt.stdin)}, tt.args...)
		if got.Code != tt.code || !strings.HasPrefix(got.Stderr, tt.stderr) {
			t.Errorf("%q: got %+v, want %d, %q", tt.args, got, tt.code, tt.stderr)
		}
	}
}

// unescaped is text of json.Marshal without what it does to HTML.
func unescaped(text string) string {
	return strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(text)
}

func TestSort(t *testing.T) {
	const name = "rust/sort.rs"
	t.Run("lines", func(t *testing.T) {
		src := goSource(t, "net", "http")
		var files []string
		var lines [][]byte
		found, _ := filepath.Glob(filepath.Join(src, "*.go"))
		for _, path := range found {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, "/"+filepath.Base(path))
			lines = append(lines, bytes.Split(bytes.TrimSuffix(text, []byte("\n")), []byte("\n"))...)
		}
		slices.SortFunc(lines, bytes.Compare)
		want := string(append(bytes.Join(lines, []byte("\n")), '\n'))
		prints(t, want, name, readOnly(src), files...)

		command, err := exec.LookPath("sort")
		if err != nil {
			return
		}
		cmd := exec.Command(command, found...)
		cmd.Env = append(os.Environ(), "LC_ALL=C")
		if theirs, err := cmd.Output(); err == nil && string(theirs) != want {
			t.Error("sort(1) has another order")
		}
	})
	t.Run("records", func(t *testing.T) {
		for _, count := range []int{0, 1, 2000} {
			prints(t, records(count), name, policy.Policy{}, "-n", fmt.Sprint(count))
		}
	})
}

// records is what sort -n prints.
func records(count int) string {
	state := uint32(1)
	next := func() uint32 {
		state = state*1664525 + 1013904223
		return state >> 8
	}
	digest := func(lines []string) (h uint64) {
		h = 0xcbf29ce484222325
		for _, line := range lines {
			for _, b := range []byte(line + "\n") {
				h = (h ^ uint64(b)) * 0x100000001b3
			}
		}
		return h
	}
	var lines []string
	for n := range count {
		color := []string{"amber", "blue", "crimson", "dun", "ecru"}[next()%5]
		lines = append(lines, fmt.Sprintf("%s-%06x-%d", color, next(), n))
	}
	slices.Sort(lines)
	groups := map[string][]string{}
	for _, line := range lines {
		color, rest, _ := strings.Cut(line, "-")
		groups[rest[:2]+"/"+color] = append(groups[rest[:2]+"/"+color], line)
	}
	var summary []string
	for key, group := range groups {
		summary = append(summary, fmt.Sprintf("%s %d %s", key, len(group), group[0]))
	}
	slices.Sort(summary) // keys are of different lengths, but a space comes before all that they are made of
	return fmt.Sprintf("%d records, digest %016x\n%d groups, digest %016x\n", count, digest(lines), len(groups), digest(summary))
}

// native builds a C program for this machine, where floating point is what it is in WebAssembly.
func native(t *testing.T, name string) func(args ...string) []byte {
	t.Helper()
	cc, err := exec.LookPath("cc")
	if err != nil {
		t.Skip(err)
	}
	program := filepath.Join(t.TempDir(), "program")
	if out, err := exec.Command(cc, "-O2", "-ffp-contract=off", "-o", program, filepath.FromSlash(name), "-lm").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return func(args ...string) []byte {
		t.Helper()
		out, err := exec.Command(program, args...).Output()
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
}

func TestComputeAndRecurse(t *testing.T) {
	for _, name := range []string{"c/compute.c", "c/recurse.c"} {
		t.Run(name, func(t *testing.T) {
			want := string(native(t, name)("2"))
			if strings.Count(want, "\n") != 2 {
				t.Fatalf("natively it prints %q", want)
			}
			prints(t, want, name, policy.Policy{}, "2")
		})
	}
}

func TestMandelbrot(t *testing.T) {
	const name = "c/mandelbrot.c"
	dir := t.TempDir()
	expected := filepath.Join(dir, "native.pgm")
	native(t, name)(expected, "100", "300")
	want, err := os.ReadFile(expected)
	if header := "P5\n100 100\n255\n"; err != nil || len(want) != len(header)+100*100 || !strings.HasPrefix(string(want), header) {
		t.Fatalf("natively it writes %d bytes, %.20q, %v", len(want), want, err)
	}
	for _, instances := range []int{1, 7, 130} {
		path := filepath.Join(dir, "image.pgm")
		if err := os.WriteFile(path, make([]byte, 50000), 0o644); err != nil { // more than the image has
			t.Fatal(err)
		}
		var all sync.WaitGroup
		for i := range instances {
			all.Go(func() {
				allowed := writable(dir)
				allowed.Args = []string{name, "/image.pgm", "100", "300"}
				allowed.Env = []string{fmt.Sprintf("DIALTONE_INSTANCE=%d", i), fmt.Sprintf("DIALTONE_INSTANCES=%d", instances)}
				if got, err := wasmtest.Run(t.Context(), wasmtest.Example(t, name), allowed); err != nil || got != (wasmtest.Ran{}) {
					t.Errorf("instance %d: %+v, %v", i, got, err)
				}
			})
		}
		all.Wait()
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
			t.Errorf("the image of %d instances is another one; %v", instances, err)
		}
	}
	for _, args := range [][]string{{}, {"/image.pgm", "0"}, {"/image.pgm", "10", "x"}} {
		if got := run(t, name, writable(dir), args...); got.Code != 2 || got.Stderr == "" {
			t.Errorf("%q: got %+v", args, got)
		}
	}
}
