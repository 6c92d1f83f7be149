// Command programs builds the example programs and those of tests into a folder, each under its path with .wasm behind it, for machines
// without compilers: what DIALTONE_TEST_PROGRAMS and dialtone bench programs --programs name. What cannot be built here is left out with a
// word about it.
//
//	go run .ci/programs.go FOLDER
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/dialtone-gpu/dialtone/internal/bench"
	"github.com/dialtone-gpu/dialtone/program/toolchain"
)

// places are patterns of the paths of programs.
var places = []string{"examples/programs/*/*", "program/testdata/programs/*"}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: go run .ci/programs.go FOLDER")
		os.Exit(2)
	}
	if err := buildAll(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "programs:", err)
		os.Exit(1)
	}
}

func buildAll(folder string) error {
	var paths []string
	for _, place := range places {
		some, err := filepath.Glob(place)
		if err == nil && len(some) == 0 {
			err = errors.New("there is no " + place + " here")
		}
		if err != nil {
			return err
		}
		paths = append(paths, some...)
	}
	for _, path := range paths {
		module, err := toolchain.Build(context.Background(), path, os.Stderr)
		if missing, ok := errors.AsType[*toolchain.Missing](err); ok {
			fmt.Fprintln(os.Stderr, "programs: left out:", missing)
			continue
		}
		if err != nil {
			return err
		}
		to := filepath.Join(folder, path+".wasm")
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(to, module, 0o644); err != nil {
			return err
		}
	}
	return native(folder, "examples/programs/rust/sort.rs")
}

// native builds a program for this machine's processor, which the bench compares with.
func native(folder, path string) error {
	err := bench.Native(context.Background(), path, filepath.Join(folder, path+".native"), os.Stderr)
	if missing, ok := errors.AsType[*toolchain.Missing](err); ok {
		fmt.Fprintln(os.Stderr, "programs: left out:", missing)
		return nil
	}
	return err
}
