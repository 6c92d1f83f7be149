package toolchain

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// wasiTargets are rustc's names of WASI preview 1: the second is its only name before Rust 1.78, and none from 1.84 on. See "wasm32-wasip1"
// in the rustc book.
var wasiTargets = []string{"wasm32-wasip1", "wasm32-wasi"}

// A rustc has the standard library for a target of WASI.
type rustc struct {
	path, target string
	linker       string // "" is its own choice
}

// rustc finds one. rustup's chooses a toolchain by the folder that it runs in.
func (b *build) rustc(dir string) (rustc, error) {
	all := everywhere("rustc")
	for _, path := range all {
		for _, target := range wasiTargets {
			libraries := b.ask(dir, path, "--print", "target-libdir", "--target", target)
			if std, _ := filepath.Glob(filepath.Join(libraries, "libstd-*.rlib")); libraries == "" || len(std) == 0 {
				continue
			}
			linker, err := b.rustLinker(dir, path)
			return rustc{path, target, linker}, err
		}
	}
	what := "there is no rustc in PATH"
	if len(all) > 0 {
		what = fmt.Sprintf("no rustc in PATH has a standard library for WASI (tried %s)", strings.Join(all, ", "))
	}
	return rustc{}, &Missing{b.path, what, "run rustup target add wasm32-wasip1, or install Debian's rustc, libstd-rust-dev-wasm32 and lld"}
}

// rustLinker gives a linker for WebAssembly where there is no rust-lld, which rustc takes by itself, from its own folder or from PATH.
func (b *build) rustLinker(dir, rustc string) (string, error) {
	own := filepath.Join(b.ask(dir, rustc, "--print", "sysroot"), "lib", "rustlib", "*", "bin", "rust-lld*")
	if found, _ := filepath.Glob(own); len(found) > 0 {
		return "", nil
	}
	if _, err := exec.LookPath("rust-lld"); err == nil {
		return "", nil
	}
	for _, name := range versioned("wasm-ld") {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", &Missing{b.path, rustc + " has no linker for WebAssembly", "install Debian's lld"}
}

func (b *build) rust() (string, error) {
	r, err := b.rustc("")
	if err != nil {
		return "", err
	}
	args := []string{"--target", r.target, "--edition", "2021", "-O", "-o", b.module(),
		"--crate-name", "program", // not every file's name could be one
		"-C", "strip=debuginfo", // which is most of a module otherwise, the standard library's; names of functions stay
	}
	if r.linker != "" {
		args = append(args, "-C", "linker="+r.linker)
	}
	return b.module(), b.run(b.command(r.path, append(args, b.source())...))
}

func (b *build) cargo() (string, error) {
	r, err := b.rustc(b.path)
	if err != nil {
		return "", err
	}
	command, err := exec.LookPath(filepath.Join(filepath.Dir(r.path), "cargo")) // of the same version
	if err != nil {
		return "", &Missing{b.path, "there is no cargo beside " + r.path, "install it with rustup, or Debian's cargo"}
	}
	restore, err := b.keepLock(command)
	if err != nil {
		return "", err
	}
	cmd := b.command(command, "build", "--release", "--quiet", "--target", r.target, "--message-format", "json-render-diagnostics")
	cmd.Dir = b.path
	cmd.Env = append(os.Environ(), "RUSTC="+r.path, "CARGO_TARGET_DIR="+b.folder)
	if r.linker != "" {
		cmd.Env = append(cmd.Env, "CARGO_TARGET_"+strings.ToUpper(strings.ReplaceAll(r.target, "-", "_"))+"_LINKER="+r.linker)
	}
	var messages bytes.Buffer
	cmd.Stdout = &messages
	if err := errors.Join(b.run(cmd), restore()); err != nil {
		return "", err
	}
	programs, err := executables(&messages)
	switch {
	case err != nil:
		return "", fmt.Errorf("%s: messages of cargo: %w", b.path, err)
	case len(programs) == 0:
		return "", fmt.Errorf("%s: not a program: the package is a library", b.path)
	case len(programs) > 1:
		var names []string
		for _, p := range programs {
			names = append(names, strings.TrimSuffix(filepath.Base(p), ".wasm"))
		}
		slices.Sort(names) // they come as they are done
		return "", fmt.Errorf("%s: several programs (%s): build one with cargo build --target %s and name its module",
			b.path, strings.Join(names, ", "), r.target)
	}
	return programs[0], nil
}

// keepLock gives a function that makes the package's Cargo.lock what it is now.
func (b *build) keepLock(cargo string) (restore func() error, err error) {
	root := b.ask(b.path, cargo, "locate-project", "--workspace", "--message-format", "plain")
	if root == "" {
		return func() error { return nil }, nil // there is no sound manifest, which cargo build says better
	}
	path := filepath.Join(filepath.Dir(root), "Cargo.lock")
	before, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return func() error {
			if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
			return nil
		}, nil
	}
	if err != nil {
		return nil, err
	}
	return func() error {
		after, err := os.ReadFile(path)
		if err == nil && !bytes.Equal(before, after) {
			err = os.WriteFile(path, before, 0o644)
		}
		return err
	}, nil
}

// executables reads cargo's messages; see "External tools" in the Cargo book.
func executables(messages *bytes.Buffer) ([]string, error) {
	var paths []string
	for d := json.NewDecoder(messages); d.More(); {
		var m struct {
			Reason     string
			Executable string // null but for programs
		}
		if err := d.Decode(&m); err != nil {
			return nil, err
		}
		if m.Reason == "compiler-artifact" && m.Executable != "" {
			paths = append(paths, m.Executable)
		}
	}
	return paths, nil
}
