// Package toolchain turns ordinary programs into WASI modules with the compilers that the machine has.
//
// KindOf says what a path names, from its name and what lies there; Build gives the bytes of the module. Nothing is compiled by this
// package itself and nothing is downloaded by it, though the go command and Cargo may fetch what a program depends on, as they always do.
//
// # Errors
//
// Those of KindOf are mistakes of whoever named the path. Build fails with a *Missing where the machine lacks a compiler or a part of one;
// with the context's error where it ended; and else with what the compiler ended with, when its own words have gone to the writer that
// Build was given.
//
// # Files
//
// Compilers write into a temporary folder that Build removes. Cargo insists on a Cargo.lock beside the sources: if it writes one or
// changes it, Build undoes that.
package toolchain

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/dialtone-gpu/dialtone/internal/command"
)

// Kind is what a path names.
type Kind int

const (
	Kernel Kind = iota + 1 // NAME.kernel.c, a file in kernel C, which Build does not take
	Module                 // NAME.wasm
	Go                     // NAME.go, or a folder with a Go package
	Rust                   // NAME.rs
	Cargo                  // a folder with a Cargo package
	C                      // NAME.c
)

var kinds = map[Kind]string{
	Kernel: "kernel C", Module: "WebAssembly module", Go: "Go", Rust: "Rust", Cargo: "Cargo package", C: "C",
}

func (k Kind) String() string { return kinds[k] }

// known is what KindOf has to offer.
const known = "a .kernel.c, .wasm, .go, .rs or .c file, or the folder of a Go or Cargo package"

// KindOf says what path names, or why that is nothing to run.
func KindOf(path string) (Kind, error) {
	info, err := os.Stat(path)
	if failed, ok := errors.AsType[*fs.PathError](err); ok {
		return 0, fmt.Errorf("%s: %w", path, failed.Err)
	} else if err != nil {
		return 0, err
	}
	if info.IsDir() {
		return kindOfFolder(path)
	}
	if strings.HasSuffix(path, ".kernel.c") {
		return Kernel, nil
	}
	switch filepath.Ext(path) {
	case ".wasm":
		return Module, nil
	case ".go":
		return Go, nil
	case ".rs":
		return Rust, nil
	case ".c":
		return C, nil
	}
	return 0, fmt.Errorf("%s: not %s", path, known)
}

func kindOfFolder(path string) (Kind, error) {
	entries, err := os.ReadDir(path)
	if err != nil {
		return 0, err
	}
	var isCargo, isGo bool
	for _, e := range entries {
		isCargo = isCargo || e.Name() == "Cargo.toml"
		isGo = isGo || filepath.Ext(e.Name()) == ".go"
	}
	switch {
	case isCargo && isGo:
		return 0, fmt.Errorf("%s: both a Go and a Cargo package: name a file, or a module that was built from one of them", path)
	case isCargo:
		return Cargo, nil
	case isGo:
		return Go, nil
	}
	return 0, fmt.Errorf("%s: a folder with neither Go files nor a Cargo.toml", path)
}

// A Missing is what the machine lacks to build a program.
type Missing struct {
	Path string // of the program
	What string // which is missing, and where it was looked for
	Get  string // how to get it
}

func (m *Missing) Error() string { return fmt.Sprintf("%s: %s; %s", m.Path, m.What, m.Get) }

// Build gives the bytes of the module that path names or that is built from it. What a compiler prints, warnings and errors, goes to out
// as it is; nil discards it.
//
//   - Module: the file.
//   - Go: go build for GOOS=wasip1 GOARCH=wasm, of the one file or of the folder's package, in its module.
//   - Rust: rustc -O with edition 2021, for wasm32-wasip1, or for wasm32-wasi where the toolchain is older than that name.
//   - Cargo: cargo build --release for the same, of a package with one program.
//   - C: clang -O2 for wasm32-wasi with wasi-libc, and a stack of 1 MiB, as Rust's programs have.
//
// The bytes are not looked into but for their first four. Ending ctx ends the compiler with all that it has started.
func Build(ctx context.Context, path string, out io.Writer) ([]byte, error) {
	kind, err := KindOf(path)
	if err != nil {
		return nil, err
	}
	if kind == Kernel {
		return nil, fmt.Errorf("%s: kernel C is no source of a WebAssembly module", path)
	}
	file := path
	if kind != Module {
		folder, err := os.MkdirTemp("", "dialtone-build-")
		if err != nil {
			return nil, err
		}
		defer os.RemoveAll(folder)
		if folder, err = filepath.Abs(folder); err != nil {
			return nil, err
		}
		b := &build{ctx: ctx, path: path, folder: folder, out: out}
		if file, err = b.compile(kind); err != nil {
			// A compiler that was ended may look like one that is not there.
			if ended := ctx.Err(); ended != nil {
				err = fmt.Errorf("%s: %w", path, ended)
			}
			return nil, err
		}
	}
	module, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	if !bytes.HasPrefix(module, []byte("\x00asm")) {
		if kind == Go {
			return nil, fmt.Errorf("%s: not a program: its package is not main", path)
		}
		return nil, fmt.Errorf("%s: not a WebAssembly module in the binary format", path)
	}
	return module, nil
}

// A build is one call of Build that needs a compiler.
type build struct {
	ctx    context.Context
	path   string // as the user named it
	folder string // absolute path of the temporary folder
	out    io.Writer
}

// compile gives the path of the module.
func (b *build) compile(kind Kind) (string, error) {
	switch kind {
	case Go:
		return b.golang()
	case Rust:
		return b.rust()
	case Cargo:
		return b.cargo()
	default:
		return b.c()
	}
}

// source is the path as an argument, which no compiler takes for an option.
func (b *build) source() string {
	if strings.HasPrefix(b.path, "-") {
		return "." + string(filepath.Separator) + b.path
	}
	return b.path
}

// module is where a compiler writes that can be told a name.
func (b *build) module() string { return filepath.Join(b.folder, "program.wasm") }

// command is one that ends with the context, together with the commands that it has started.
func (b *build) command(name string, args ...string) *exec.Cmd {
	return command.New(b.ctx, name, args...)
}

// run runs a compiler.
func (b *build) run(cmd *exec.Cmd) error {
	cmd.Stderr = b.out
	if cmd.Stdout == nil {
		cmd.Stdout = b.out
	}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s does not compile (%s: %w)", b.path, filepath.Base(cmd.Path), err)
	}
	return nil
}

// ask gives what a command prints about itself, on one line; "" if it does not know.
func (b *build) ask(dir, name string, args ...string) string {
	cmd := b.command(name, args...)
	cmd.Dir = dir
	answer, err := cmd.Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(answer))
}

// everywhere finds all programs of a name in PATH, the first one first.
func everywhere(name string) []string {
	var all []string
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		if !filepath.IsAbs(dir) {
			continue
		}
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			all = append(all, path)
		}
	}
	return all
}
