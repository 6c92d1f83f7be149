// Package wasmtest gives tests WASI modules, and what these should do: it runs them under wazero, with the policy that a run on a device has.
package wasmtest

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"github.com/tetratelabs/wazero/sys"

	"github.com/dialtone-gpu/dialtone/hostcall/policy"
	"github.com/dialtone-gpu/dialtone/program/toolchain"
)

// Variable names a folder with modules that have been built, for machines without compilers: PATH.wasm for the program whose path from the folder with
// go.mod is PATH.
const Variable = "DIALTONE_TEST_PROGRAMS"

type build struct {
	once   sync.Once
	module []byte
	err    error
}

var (
	mutex  sync.Mutex
	builds = map[string]*build{}
)

// Example gives the module of a program of examples/programs, such as "c/hello.c". Where the machine lacks what builds it, the test is skipped.
func Example(t testing.TB, name string) []byte {
	t.Helper()
	return Program(t, "examples/programs/"+name)
}

// Program gives the module of a program, by its path from the folder with go.mod.
func Program(t testing.TB, name string) []byte {
	t.Helper()
	if folder := os.Getenv(Variable); folder != "" {
		module, err := os.ReadFile(filepath.Join(folder, filepath.FromSlash(name)+".wasm"))
		if errors.Is(err, os.ErrNotExist) {
			t.Skipf("%s has no %s.wasm", Variable, name)
		} else if err != nil {
			t.Fatal(err)
		}
		return module
	}
	return Build(t, filepath.Join(root(t), filepath.FromSlash(name)))
}

// Build gives the module of a program, which is built once in a process. Where the machine lacks what builds it, the test is skipped.
func Build(t testing.TB, path string) []byte {
	t.Helper()
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	mutex.Lock()
	b := builds[path]
	if b == nil {
		b = &build{}
		builds[path] = b
	}
	mutex.Unlock()
	b.once.Do(func() {
		var out bytes.Buffer
		// Not the test's context: others may wait for the same module.
		if b.module, b.err = toolchain.Build(context.Background(), path, &out); b.err != nil {
			b.err = fmt.Errorf("%w\n%s", b.err, &out)
		}
	})
	if missing, ok := errors.AsType[*toolchain.Missing](b.err); ok {
		t.Skipf("%s; %s", missing.What, missing.Get) // the same for all programs
	}
	if b.err != nil {
		t.Fatal(b.err)
	}
	return b.module
}

// root is the folder with go.mod.
func root(t testing.TB) string {
	t.Helper()
	start, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			t.Fatalf("no go.mod above %s", start)
		}
	}
}

// Ran is what a program did.
type Ran struct {
	Stdout, Stderr string
	Code           int // what it gave proc_exit; 0 if it simply returned
}

// An Engine is a way in which wazero runs modules. It compiles each once in a process.
type Engine struct {
	config   func() wazero.RuntimeConfig
	once     sync.Once
	runtime  wazero.Runtime
	err      error
	compiled sync.Map // of a module's SHA-256 to what compiles it once
}

// Compiler and Interpreter are wazero's two engines as fast as they are: they look at no context.
var (
	Compiler    = &Engine{config: wazero.NewRuntimeConfigCompiler}
	Interpreter = &Engine{config: wazero.NewRuntimeConfigInterpreter}

	ending = &Engine{config: func() wazero.RuntimeConfig { return wazero.NewRuntimeConfig().WithCloseOnContextDone(true) }}
)

func (e *Engine) compile(module []byte) (wazero.CompiledModule, error) {
	e.once.Do(func() {
		ctx := context.Background()
		e.runtime = wazero.NewRuntimeWithConfig(ctx, e.config().WithDebugInfoEnabled(false))
		_, e.err = wasi_snapshot_preview1.Instantiate(ctx, e.runtime)
	})
	if e.err != nil {
		return nil, e.err
	}
	once, _ := e.compiled.LoadOrStore(sha256.Sum256(module), sync.OnceValues(func() (wazero.CompiledModule, error) {
		return e.runtime.CompileModule(context.Background(), module)
	}))
	return once.(func() (wazero.CompiledModule, error))()
}

// Run runs a module as [Engine.Run] does, until the context is done.
func Run(ctx context.Context, module []byte, allowed policy.Policy) (Ran, error) {
	return ending.Run(ctx, module, allowed)
}

// Run runs a module under wazero with what a policy opens, but for its Stdout and Stderr. The error is that of a module that cannot be
// started or that trapped. NoClocks, NoRandom and MaxOpen, which wazero does not know, are errors. Several may run at a time.
func (e *Engine) Run(ctx context.Context, module []byte, allowed policy.Policy) (Ran, error) {
	if allowed.NoClocks || allowed.NoRandom || allowed.MaxOpen != 0 {
		return Ran{}, errors.New("wazero has no such limits")
	}
	var stdout, stderr bytes.Buffer
	config := wazero.NewModuleConfig().WithName("").WithArgs(allowed.Args...).WithStdout(&stdout).WithStderr(&stderr).
		WithSysWalltime().WithSysNanotime().WithSysNanosleep().WithRandSource(rand.Reader)
	if allowed.Stdin != nil {
		config = config.WithStdin(allowed.Stdin)
	}
	for _, v := range allowed.Env {
		key, value, _ := strings.Cut(v, "=")
		config = config.WithEnv(key, value)
	}
	dirs := wazero.NewFSConfig()
	for _, d := range allowed.Dirs {
		if d.ReadOnly {
			dirs = dirs.WithReadOnlyDirMount(d.Host, d.Guest)
		} else {
			dirs = dirs.WithDirMount(d.Host, d.Guest)
		}
	}
	program, err := e.compile(module)
	if err != nil {
		return Ran{}, err
	}
	instance, err := e.runtime.InstantiateModule(ctx, program, config.WithFSConfig(dirs))
	if instance != nil {
		defer instance.Close(context.Background())
	}
	ran := Ran{Stdout: stdout.String(), Stderr: stderr.String()}
	if exit, ok := errors.AsType[*sys.ExitError](err); ok && ctx.Err() == nil {
		ran.Code, err = int(exit.ExitCode()), nil
	}
	return ran, err
}
