package wasm_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dialtone-gpu/dialtone/program/wasm"
)

const (
	goHello = `package main

func main() { println("hello") }
`
	goFmt = `package main

import (
	"bufio"
	"fmt"
	"os"
	"time"
)

func main() {
	line, err := bufio.NewReader(os.Stdin).ReadString('\n')
	fmt.Println(line, err, time.Now())
	fmt.Println(os.ReadFile("/etc/motd"))
}
`
	cSource = `#include <stdio.h>
#include <string.h>

int main(void) {
    char line[80];
    double x = 0;
    memset(line, 0, sizeof line);
    if (fgets(line, sizeof line, stdin)) sscanf(line, "%lf", &x);
    printf("%f %s\n", x, line);
    return 0;
}
`
	rustSource = `use std::collections::BTreeMap;

fn main() {
    let mut seen = BTreeMap::new();
    for a in std::env::args() {
        *seen.entry(a).or_insert(0.5f64) += 1.0;
    }
    println!("{:?} {:?}", seen, std::fs::read("x"));
}
`
)

// build runs a compiler on a source file and returns out.wasm.
func build(t testing.TB, source, text string, env []string, command ...string) ([]byte, error) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, source), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	c := exec.Command(command[0], append(command[1:], "-o", "out.wasm", source)...)
	c.Dir = dir
	c.Env = append(os.Environ(), env...)
	if out, err := c.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%s: %w: %.300s", command[0], err, out)
	}
	return os.ReadFile(filepath.Join(dir, "out.wasm"))
}

func buildGo(t testing.TB, text string) []byte {
	t.Helper()
	file, err := build(t, "main.go", text, []string{"GOOS=wasip1", "GOARCH=wasm"}, "go", "build")
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func buildC(t testing.TB) []byte {
	t.Helper()
	if _, err := exec.LookPath("clang"); err != nil {
		t.Skip(err)
	}
	file, err := build(t, "main.c", cSource, nil, "clang", "--target=wasm32-wasi", "-O2", "-mbulk-memory", "-msign-ext", "-mnontrapping-fptoint")
	if err != nil {
		t.Skipf("clang makes no WASI modules here (Debian: clang lld wasi-libc libclang-rt-dev-wasm32): %v", err)
	}
	return file
}

func buildRust(t testing.TB) []byte {
	t.Helper()
	for _, rustc := range []string{"rustc", "/usr/bin/rustc"} { // the second one may be hidden by another
		for _, target := range []string{"wasm32-wasip1", "wasm32-wasi"} {
			libraries, err := exec.Command(rustc, "--print", "target-libdir", "--target", target).Output()
			if err != nil {
				continue
			}
			if _, err := os.Stat(strings.TrimSpace(string(libraries))); err != nil {
				continue
			}
			file, err := build(t, "main.rs", rustSource, nil, rustc, "--target", target, "-O")
			if err != nil {
				t.Skipf("%s makes no WASI modules here: %v", rustc, err)
			}
			return file
		}
	}
	t.Skip("no rustc with a standard library for WASI (Debian: rustc libstd-rust-dev-wasm32)")
	return nil
}

// TestPrograms builds a program with each toolchain that there is, and decodes it.
func TestPrograms(t *testing.T) {
	for _, c := range []struct {
		name     string
		build    func(testing.TB) []byte
		producer wasm.Producer // one of them, if its name contains this one's
		function string        // one of them, if its name contains this
	}{
		{"Go", func(t testing.TB) []byte { return buildGo(t, goHello) }, wasm.Producer{Field: "language", Name: "Go"}, "main.main"},
		{"C", buildC, wasm.Producer{Field: "processed-by", Name: "clang"}, ""}, // wasm-opt, where clang finds it, leaves no names,
		{"Rust", buildRust, wasm.Producer{Field: "language", Name: "Rust"}, "main"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			file := c.build(t)
			m, err := wasm.Decode(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := wazeroError(file); err != nil {
				t.Errorf("wazero: %v", err)
			}
			if err := follow(m); err != nil {
				t.Error(err)
			}
			if !slices.ContainsFunc(m.Producers, func(p wasm.Producer) bool {
				return p.Field == c.producer.Field && strings.Contains(p.Name, c.producer.Name)
			}) {
				t.Errorf("made by %+v", m.Producers)
			}
			if !slices.ContainsFunc(m.Funcs, func(f wasm.Func) bool { return strings.Contains(f.Name, c.function) }) {
				t.Errorf("none of %d functions is called %s", len(m.Funcs), c.function)
			}
		})
	}
}

// The programs of these benchmarks are Go's, with fmt, bufio, os and time: 2.7 MB, 800 000 instructions.

func BenchmarkDecode(b *testing.B) {
	file := buildGo(b, goFmt)
	b.SetBytes(int64(len(file)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := wasm.Decode(file); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkWalk(b *testing.B) {
	m, err := wasm.Decode(buildGo(b, goFmt))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	w, instructions := wasm.NewWalker(m), 0
	for b.Loop() {
		instructions = 0
		for fn := range m.Funcs {
			if m.Funcs[fn].Code == nil {
				continue
			}
			for w.Begin(fn); w.Next(); {
				instructions++
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(instructions), "ns/instruction")
	b.ReportMetric(float64(instructions), "instructions")
}
