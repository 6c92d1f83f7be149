package toolchain_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dialtone-gpu/dialtone/hostcall/policy"
	"github.com/dialtone-gpu/dialtone/internal/wasmtest"
	"github.com/dialtone-gpu/dialtone/program/toolchain"
	"github.com/dialtone-gpu/dialtone/program/wasm"
)

const (
	goProgram   = "package main\n\nimport \"fmt\"\n\nfunc main() { fmt.Println(\"hello from\", name) }\n"
	goName      = "package main\n\nconst name = \"Go\"\n"
	rustProgram = "fn main() {\n    println!(\"hello from {}\", std::env::args().next().unwrap());\n}\n"
	cargoToml   = "[package]\nname = \"greet\"\nversion = \"0.1.0\"\nedition = \"2021\"\n"
	cProgram    = "#include <errno.h>\n#include <math.h>\n#include <stdio.h>\n\n" +
		"static _Thread_local int calls;\n\n" +
		"int main(int argc, char **argv) {\n    char deep[300000];\n    errno = ++calls;\n" +
		"    snprintf(deep, sizeof deep, \"hello from %s, %.3f %d\", argv[0], sqrt(argc), errno);\n    puts(deep);\n    return 0;\n}\n"
)

// put writes files, named by slash-separated paths.
func put(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// get reads them.
func get(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	if err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		files[filepath.ToSlash(name)] = string(text)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return files
}

func TestKindOf(t *testing.T) {
	t.Chdir(t.TempDir())
	put(t, ".", map[string]string{
		"k.kernel.c": "", "m.wasm": "", "p.go": "", "p.rs": "", "p.c": "", "p.cc": "", "p": "", ".kernel.c": "", "dir.c/main.go": "", "cargo/Cargo.toml": "",
		"mixed/Cargo.toml": "", "mixed/a.go": "", "empty/x": "", "deeper/cmd/main.go": "",
	})
	for path, want := range map[string]toolchain.Kind{
		"k.kernel.c": toolchain.Kernel, ".kernel.c": toolchain.Kernel, "m.wasm": toolchain.Module, "p.go": toolchain.Go, "p.rs": toolchain.Rust, "p.c": toolchain.C,
		"dir.c": toolchain.Go, "cargo": toolchain.Cargo, "cargo/": toolchain.Cargo, "./deeper/cmd": toolchain.Go,
	} {
		if got, err := toolchain.KindOf(path); got != want || err != nil {
			t.Errorf("%s: %v, %v; want %v", path, got, err, want)
		}
	}
	for path, want := range map[string]string{
		"p":        "p: not a .kernel.c, .wasm, .go, .rs or .c file, or the folder of a Go or Cargo package",
		"p.cc":     "p.cc: not a .kernel.c",
		"mixed":    "mixed: both a Go and a Cargo package: name a file",
		"empty":    "empty: a folder with neither Go files nor a Cargo.toml",
		"deeper":   "deeper: a folder with neither",
		"nowhere":  "nowhere",
		"p.go/x.c": "p.go/x.c",
	} {
		got, err := toolchain.KindOf(path)
		if got != 0 || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v; want %q", path, got, err, want)
		}
		if _, other := toolchain.Build(t.Context(), path, nil); other == nil || other.Error() != err.Error() {
			t.Errorf("%s: Build says %v, KindOf %v", path, other, err)
		}
	}
	if _, err := toolchain.Build(t.Context(), "k.kernel.c", nil); err == nil || !strings.Contains(err.Error(), "kernel C is no source") {
		t.Errorf("a kernel: %v", err)
	}
	if _, err := toolchain.Build(t.Context(), "m.wasm", nil); err == nil || !strings.Contains(err.Error(), "not a WebAssembly module") {
		t.Errorf("an empty module: %v", err)
	}
}

// build builds what should build, and skips where the machine lacks something.
func build(t *testing.T, path string) []byte {
	t.Helper()
	var out bytes.Buffer
	module, err := toolchain.Build(t.Context(), path, &out)
	if missing, ok := errors.AsType[*toolchain.Missing](err); ok {
		t.Skip(missing)
	}
	if err != nil || out.Len() > 0 {
		t.Fatalf("%s: %v\n%s", path, err, &out)
	}
	return module
}

// noteTemporary fails the test if something is left in the folder for temporary files at its end.
func noteTemporary(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"TMPDIR", "TMP", "TEMP"} { // Unix, Windows
		t.Setenv(name, dir)
	}
	t.Cleanup(func() {
		if left := get(t, dir); len(left) > 0 {
			t.Errorf("%d temporary files are left", len(left))
		}
	})
}

func TestBuild(t *testing.T) {
	for _, tt := range []struct {
		name   string
		files  map[string]string
		path   string
		stdout string
		main   string // part of a function's name
	}{
		{"Go file", map[string]string{"a.go": strings.Replace(goProgram, "name", `"a file"`, 1), "b.go": "package other\n"}, "a.go", "hello from a file\n", "main.main"},
		{"Go package", map[string]string{"go.mod": "module x\n", "cmd/a.go": goProgram, "cmd/b.go": goName, "cmd/c.go": "//go:build !wasip1\n\npackage x\n"}, "cmd", "hello from Go\n", "main.main"},
		{"Rust", map[string]string{"a.rs": rustProgram, "Cargo.toml": "nothing"}, "a.rs", "hello from it\n", "main"},
		{"Rust, dash", map[string]string{"-no crate.rs": rustProgram}, "-no crate.rs", "hello from it\n", "main"},
		{"Cargo", map[string]string{"p/Cargo.toml": cargoToml, "p/src/main.rs": rustProgram, "p/src/lib.rs": ""}, "p", "hello from it\n", "main"},
		{"Cargo workspace", map[string]string{"Cargo.toml": "[workspace]\nmembers = [\"p\"]\n", "p/Cargo.toml": cargoToml, "p/src/main.rs": rustProgram}, "p", "hello from it\n", "main"},
		{"C", map[string]string{"a.c": cProgram}, "./a.c", "hello from it, 1.000 1\n", ""}, // where clang finds wasm-opt, it leaves no names
		{"C, dash", map[string]string{"-a.c": cProgram}, "-a.c", "hello from it, 1.000 1\n", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			noteTemporary(t)
			t.Chdir(t.TempDir())
			put(t, ".", tt.files)
			module := build(t, tt.path)
			if diff := cmp.Diff(tt.files, get(t, ".")); diff != "" {
				t.Errorf("the sources are not as they were (-was +is):\n%s", diff)
			}
			m, err := wasm.Decode(module)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.ContainsFunc(m.Funcs, func(f wasm.Func) bool { return strings.Contains(f.Name, tt.main) }) {
				t.Errorf("no function is called %s", tt.main)
			}
			ran, err := wasmtest.Run(t.Context(), module, policy.Policy{Args: []string{"it"}})
			if err != nil || ran != (wasmtest.Ran{Stdout: tt.stdout}) {
				t.Errorf("%+v, %v; want %q", ran, err, tt.stdout)
			}
			put(t, ".", map[string]string{"out.wasm": string(module)})
			if again := build(t, "out.wasm"); !bytes.Equal(again, module) {
				t.Error("the module's file is read as another one")
			}
		})
	}
}

// What is wrong is said by the compiler, in its own words.
func TestCompilerErrors(t *testing.T) {
	for _, tt := range []struct {
		name   string
		files  map[string]string
		path   string
		prints string // "" if it prints nothing
		err    string
	}{
		{"Go", map[string]string{"a.go": "package main\n\nfunc main() { missing() }\n"}, "a.go", "a.go:3:15: undefined: missing\n", "a.go: go: exit status 1"},
		{"Go package", map[string]string{"go.mod": "module x\n", "p/a.go": "package main\n"}, "p", "function main is undeclared in the main package", "p: go: exit status 1"},
		{"Go library", map[string]string{"go.mod": "module x\n", "p/a.go": "package p\n"}, "p", "", "p: not a program: its package is not main"},
		{"no module", map[string]string{"p/a.go": goProgram}, "p", "go.mod file not found", "p: go: exit status 1"},
		{"Rust", map[string]string{"d/a.rs": "fn main() { missing() }\n"}, "d/a.rs", "error[E0425]: cannot find function `missing` in this scope\n --> d/a.rs:1:13", "d/a.rs: rustc: exit status 1"},
		{"Cargo", map[string]string{"p/Cargo.toml": cargoToml, "p/src/main.rs": "fn main() { missing() }\n"}, "p", " --> src/main.rs:1:13", "p: cargo: exit status 101"},
		{"Cargo manifest", map[string]string{"p/Cargo.toml": "nothing"}, "p", "Cargo.toml", "p: cargo: exit status 101"},
		{"Cargo library", map[string]string{"p/Cargo.toml": cargoToml, "p/src/lib.rs": ""}, "p", "", "p: not a program: the package is a library"},
		{"Cargo programs", map[string]string{"p/Cargo.toml": cargoToml, "p/src/bin/a.rs": rustProgram, "p/src/bin/b.rs": rustProgram}, "p", "", "p: several programs (a, b): build one with cargo build --target wasm32-wasi"},
		{"C", map[string]string{"d/a.c": "int main(void) { return missing; }\n"}, "d/a.c", "d/a.c:1:25: error: use of undeclared identifier 'missing'", "d/a.c: clang"},
		{"C, linked", map[string]string{"a.c": "int missing(void);\nint main(void) { return missing(); }\n"}, "a.c", "undefined symbol: missing", "a.c: clang"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			noteTemporary(t)
			t.Chdir(t.TempDir())
			put(t, ".", tt.files)
			var out bytes.Buffer
			module, err := toolchain.Build(t.Context(), filepath.FromSlash(tt.path), &out)
			if missing, ok := errors.AsType[*toolchain.Missing](err); ok {
				t.Skip(missing)
			}
			if module != nil || err == nil || !strings.HasPrefix(err.Error(), tt.err) {
				t.Errorf("%d bytes, %v; want %q", len(module), err, tt.err)
			}
			if text := strings.ReplaceAll(out.String(), `\`, "/"); !strings.Contains(text, tt.prints) || tt.prints == "" && text != "" {
				t.Errorf("it prints %q, without %q", text, tt.prints)
			}
			if diff := cmp.Diff(tt.files, get(t, ".")); diff != "" {
				t.Errorf("the sources are not as they were (-was +is):\n%s", diff)
			}
		})
	}
}

// Warnings of what compiles come through, too, and a Cargo.lock that is there stays as it is.
func TestWarnings(t *testing.T) {
	t.Chdir(t.TempDir())
	const old = "# mine\nversion = 3\n\n[[package]]\nname = \"other\"\nversion = \"0.1.0\"\n"
	put(t, ".", map[string]string{"Cargo.toml": cargoToml, "Cargo.lock": old, "src/main.rs": "fn main() { let x = 1; }\n"})
	var out bytes.Buffer
	module, err := toolchain.Build(t.Context(), ".", &out)
	if missing, ok := errors.AsType[*toolchain.Missing](err); ok {
		t.Skip(missing)
	}
	if len(module) == 0 || err != nil || !strings.Contains(out.String(), "unused variable: `x`") {
		t.Errorf("%d bytes, %v, prints %q", len(module), err, &out)
	}
	if lock := get(t, ".")["Cargo.lock"]; lock != old {
		t.Errorf("Cargo.lock is now %q", lock)
	}
}

// doubles makes PATH a list of folders with shell scripts in place of compilers.
func doubles(t *testing.T, folders ...map[string]string) (dirs []string) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the doubles of compilers are shell scripts")
	}
	for _, folder := range folders {
		dir := t.TempDir()
		for name, script := range folder {
			put(t, dir, map[string]string{name: "#!/bin/sh\n" + script + "\n"})
		}
		dirs = append(dirs, dir)
	}
	t.Setenv("PATH", strings.Join(dirs, string(filepath.ListSeparator)))
	t.Setenv("WASI_SDK_PATH", "")
	return dirs
}

func TestMissing(t *testing.T) {
	sources := t.TempDir()
	put(t, sources, map[string]string{"a.go": goProgram, "a.rs": rustProgram, "a.c": cProgram, "p/Cargo.toml": cargoToml, "p/src/main.rs": rustProgram})
	const (
		getGo   = "; install Go 1.21 or later: https://go.dev/dl, or golang-go of Debian 13"
		getRust = "; run rustup target add wasm32-wasip1, or install Debian's rustc, libstd-rust-dev-wasm32 and lld"
		orSDK   = ", or the WASI SDK and set WASI_SDK_PATH"
	)
	std := t.TempDir()
	put(t, std, map[string]string{"lib/libstd-1.rlib": "", "clang/libc.a": "", "clang/builtins.a": ""})
	rustc := fmt.Sprintf(`case $* in *libdir*wasm32-wasi) echo %s/lib;; *sysroot) echo %[1]s;; *) exit 1;; esac`, std)
	clang := func(linker, libc, builtins string) string {
		return fmt.Sprintf(`case $* in *prog-name*) echo %s;; *file-name=libc.a) echo %s;; *libgcc*) echo %s;; *) exit 1;; esac`, linker, libc, builtins)
	}
	libc, builtins := std+"/clang/libc.a", std+"/clang/builtins.a"
	for _, tt := range []struct {
		name, path string
		tools      []map[string]string
		want       string // DIR0 and DIR1 are the folders of PATH
	}{
		{"no go", "a.go", nil, "there is no go command in PATH" + getGo},
		{"old go", "a.go", []map[string]string{{"go": "echo go1.19.8"}}, "DIR0/go is go1.19.8, which makes no WASI modules" + getGo},
		{"no rustc", "a.rs", nil, "there is no rustc in PATH" + getRust},
		{"no cargo nor rustc", "p", nil, "there is no rustc in PATH" + getRust},
		{"no target", "a.rs", []map[string]string{{"rustc": "exit 1"}, {"rustc": "echo /nowhere"}}, "no rustc in PATH has a standard library for WASI (tried DIR0/rustc, DIR1/rustc)" + getRust},
		{"no linker", "a.rs", []map[string]string{{"rustc": "exit 1"}, {"rustc": rustc}}, "DIR1/rustc has no linker for WebAssembly; install Debian's lld"},
		{"no cargo", "p", []map[string]string{{"rustc": "exit 1", "cargo": ""}, {"rustc": rustc, "wasm-ld-19": ""}}, "there is no cargo beside DIR1/rustc; install it with rustup, or Debian's cargo"},
		{"no clang", "a.c", nil, "there is no clang in PATH; install Debian's clang, lld, wasi-libc and libclang-rt-dev-wasm32" + orSDK},
		{"bare clang", "a.c", []map[string]string{{"clang": clang("wasm-ld", "libc.a", "/nowhere.a")}},
			"DIR0/clang makes no WASI modules; install Debian's lld, wasi-libc, libclang-rt-dev-wasm32" + orSDK},
		{"clang without wasi-libc", "a.c", []map[string]string{{"clang-16": clang("wasm-ld", "libc.a", builtins), "wasm-ld": ""}},
			"DIR0/clang-16 makes no WASI modules; install Debian's wasi-libc" + orSDK},
		{"clang without builtins", "a.c", []map[string]string{{"clang-16": clang("wasm-ld", libc, "/nowhere.a"), "wasm-ld": ""}},
			"DIR0/clang-16 makes no WASI modules; install Debian's libclang-rt-16-dev-wasm32" + orSDK},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.tools == nil {
				tt.tools = []map[string]string{{}}
			}
			want := tt.path + ": " + tt.want
			for i, dir := range doubles(t, tt.tools...) {
				want = strings.ReplaceAll(want, fmt.Sprint("DIR", i), dir)
			}
			t.Chdir(sources)
			_, err := toolchain.Build(t.Context(), tt.path, nil)
			if _, ok := errors.AsType[*toolchain.Missing](err); !ok || err.Error() != want {
				t.Errorf("got  %v\nwant %s", err, want)
			}
		})
	}
}

// Of several compilers the first is taken that has what it needs, and it is told which linker there is.
func TestChoice(t *testing.T) {
	std := t.TempDir()
	put(t, std, map[string]string{"lib/libstd-1.rlib": "", "libc.a": "", "builtins.a": ""})
	rustc := fmt.Sprintf(`case $* in *libdir*wasm32-wasip1) echo %s/lib;; *sysroot) echo %[1]s;; *--print*) exit 1;; *) echo rustc $*;; esac`, std)
	clang := fmt.Sprintf(`case $* in *prog-name*) echo wasm-ld;; *file-name=libc.a) echo %s/libc.a;; *libgcc*) echo %[1]s/builtins.a;; *) echo clang-16 $*;; esac`, std)
	// The build itself leaves no module, so that it fails after all.
	dirs := doubles(t, map[string]string{"rustc": "exit 1", "clang": "echo /nowhere"}, map[string]string{"rustc": rustc, "wasm-ld-17": "", "clang-16": clang, "wasm-ld": ""})
	t.Chdir(t.TempDir())
	put(t, ".", map[string]string{"a.rs": rustProgram, "a.c": cProgram})
	for path, want := range map[string]string{
		"a.rs": "rustc --target wasm32-wasip1 --edition 2021 -O ",
		"a.c":  "clang-16 --target=wasm32-wasi -O2 ",
	} {
		var out bytes.Buffer
		if _, err := toolchain.Build(t.Context(), path, &out); !errors.Is(err, fs.ErrNotExist) || !strings.HasPrefix(out.String(), want) {
			t.Errorf("%s: %v, %s", path, err, &out)
		}
		if linker := "linker=" + filepath.Join(dirs[1], "wasm-ld") + " "; path == "a.rs" && !strings.Contains(out.String(), linker) {
			t.Errorf("%s: no %s in %s", path, linker, &out)
		}
	}
}

// The end of the context ends the compiler and what the compiler has started.
func TestEnds(t *testing.T) {
	noteTemporary(t)
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip(err)
	}
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Skip(err)
	}
	t.Chdir(t.TempDir())
	put(t, ".", map[string]string{"a.go": goProgram, "a.rs": rustProgram, "a.c": cProgram, "p/Cargo.toml": cargoToml})
	doubles(t, map[string]string{"go": fmt.Sprintf(`[ "$1" = env ] && exit; %s -c 'echo started; %s 60; echo not ended'; true`, sh, sleep)})
	ctx, cancel := context.WithCancelCause(t.Context())
	out := &watched{then: func() { cancel(errors.New("enough")) }}
	start := time.Now()
	_, err = toolchain.Build(ctx, "a.go", out)
	// WaitDelay would let go of the output after five seconds.
	if took := time.Since(start); !errors.Is(err, context.Canceled) || took > 4*time.Second || out.text.String() != "started\n" {
		t.Errorf("%v after %v, having printed %q", err, took, &out.text)
	}
	for _, path := range []string{"a.go", "a.rs", "a.c", "p"} {
		if _, err := toolchain.Build(ctx, path, out); !errors.Is(err, context.Canceled) {
			t.Errorf("%s with a context that has ended: %v", path, err)
		}
	}
}

// watched does something once something is written.
type watched struct {
	text bytes.Buffer
	then func()
}

func (w *watched) Write(p []byte) (int, error) {
	w.then()
	return w.text.Write(p)
}
