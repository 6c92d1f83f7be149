package wasi_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental/sysfs"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"github.com/tetratelabs/wazero/sys"

	"github.com/dialtone-gpu/dialtone/hostcall/policy"
	"github.com/dialtone-gpu/dialtone/program/toolchain"
	"github.com/dialtone-gpu/dialtone/program/wasi"
)

// adapterKey finds the adapter of a run in its context.
type adapterKey struct{}

// calls makes wazero's host module of the table.
func calls(t testing.TB, rt wazero.Runtime) {
	b := rt.NewHostModuleBuilder(wasi.Module)
	types := func(list string) (all []api.ValueType) {
		for _, v := range []byte(list) {
			all = append(all, api.ValueType(v))
		}
		return all
	}
	for _, c := range wasi.Calls() {
		if c.Own {
			continue
		}
		f := func(ctx context.Context, m api.Module, stack []uint64) {
			a := ctx.Value(adapterKey{}).(*adapter)
			memory, _ := m.Memory().Read(0, m.Memory().Size())
			e, ended, err := a.call(ctx, memory, c, stack[:len(c.Params)])
			if err != nil {
				panic(fmt.Errorf("%s: %w", c.Name, err))
			}
			if ended {
				m.CloseWithExitCode(ctx, 0)
				panic(sys.NewExitError(0))
			}
			if c.Result {
				stack[0] = uint64(e)
			}
		}
		b.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(f), types(string(c.Type().Params)), types(string(c.Type().Results))).Export(c.Name)
	}
	if _, err := b.Instantiate(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// engine has a program for both hosts.
type engine struct {
	ours, theirs     wazero.Runtime
	module, original wazero.CompiledModule
}

func newEngine(t testing.TB, file []byte) *engine {
	t.Helper()
	cache := wazero.NewCompilationCache()
	e := &engine{}
	for i, rt := range []*wazero.Runtime{&e.ours, &e.theirs} {
		*rt = wazero.NewRuntimeWithConfig(t.Context(), wazero.NewRuntimeConfigInterpreter().WithCompilationCache(cache))
		m, err := (*rt).CompileModule(t.Context(), file)
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			e.module = m
			calls(t, *rt)
		} else {
			e.original = m
			wasi_snapshot_preview1.MustInstantiate(t.Context(), *rt)
		}
	}
	t.Cleanup(func() {
		e.ours.Close(context.Background())
		e.theirs.Close(context.Background())
		cache.Close(context.Background())
	})
	return e
}

// ended is how a program ended, and what it printed.
type ended struct {
	code     int32
	out, err string
}

// run runs the program over a System; room is that of a reply.
func (e *engine) run(t testing.TB, p policy.Policy, room int) ended {
	t.Helper()
	var out, errs bytes.Buffer
	p.Stdout, p.Stderr = &out, &errs
	s := newSystem(t, p, 1)
	a := &adapter{serve: s.Function(), room: room}
	ctx := context.WithValue(t.Context(), adapterKey{}, a)
	m, err := e.ours.InstantiateModule(ctx, e.module, wazero.NewModuleConfig().WithName(""))
	if m != nil {
		m.Close(ctx)
	}
	var exit *sys.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%v\n%s%s", err, out.String(), errs.String())
	}
	return ended{s.Ends()[0].Code, out.String(), errs.String()}
}

// reference runs it over wazero's own WASI.
func (e *engine) reference(t testing.TB, p policy.Policy) ended {
	t.Helper()
	var out, errs bytes.Buffer
	c := wazero.NewModuleConfig().WithName("").WithArgs(p.Args...).WithStdout(&out).WithStderr(&errs).WithSysWalltime().WithSysNanotime().WithSysNanosleep()
	if p.Stdin != nil {
		c = c.WithStdin(p.Stdin)
	}
	for _, v := range p.Env {
		name, value, _ := strings.Cut(v, "=")
		c = c.WithEnv(name, value)
	}
	config := wazero.NewFSConfig()
	for _, d := range p.Dirs {
		config = config.(sysfs.FSConfig).WithSysFSMount(sysfs.DirFS(d.Host), d.Guest)
	}
	m, err := e.theirs.InstantiateModule(t.Context(), e.original, c.WithFSConfig(config))
	if m != nil {
		m.Close(t.Context())
	}
	var exit *sys.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	r := ended{out: out.String(), err: errs.String()}
	if exit != nil {
		r.code = int32(exit.ExitCode())
	}
	return r
}

// buildGuest builds a program for WASI.
func buildGuest(t testing.TB, path string) []byte {
	t.Helper()
	var said bytes.Buffer
	file, err := toolchain.Build(t.Context(), path, &said)
	if missing, ok := errors.AsType[*toolchain.Missing](err); ok {
		t.Skip(missing)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, said.String())
	}
	return file
}

func diff(t *testing.T, got, want string) {
	t.Helper()
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(g), len(w)) {
		a, b := "(nothing)", "(nothing)"
		if i < len(g) {
			a = g[i]
		}
		if i < len(w) {
			b = w[i]
		}
		if a != b {
			t.Fatalf("line %d is %q, want %q", i+1, a, b)
		}
	}
}

// TestGo runs a Go program over a System and over wazero's own WASI.
func TestGo(t *testing.T) {
	e := newEngine(t, buildGuest(t, "./testdata/guest"))
	text := strings.Repeat("a line\n\nand a longer one: "+strings.Repeat("x", 5000)+"\n", 20) + "no newline"
	for _, c := range []struct {
		name string
		args []string
	}{{"environment", []string{"a b", "", "ü"}}, {"files", []string{"/files"}}, {"lines", nil}, {"time", nil}, {"random", nil}, {"exit", nil}, {"panic", nil}} {
		t.Run(c.name, func(t *testing.T) {
			policyOf := func() policy.Policy {
				p := dir(tree(t, "files/", ""))
				p.Args, p.Env, p.Stdin = append([]string{"guest", c.name}, c.args...), []string{"A=1", "LANG=C"}, strings.NewReader(text)
				return p
			}
			want := e.reference(t, policyOf())
			for _, room := range []int{128, 64 << 10} {
				got := e.run(t, policyOf(), room)
				if got.code != want.code {
					t.Errorf("room %d: code %d, want %d\n%s", room, got.code, want.code, got.err)
				}
				diff(t, got.out, want.out)
				if c.name != "panic" { // has addresses in it
					diff(t, got.err, want.err)
				} else if !strings.HasPrefix(got.err, "panic: as it was told") {
					t.Errorf("it says %q", got.err)
				}
			}
			if want.out == "" && c.name != "panic" {
				t.Error("it prints nothing")
			}
		})
	}
	t.Run("serve", func(t *testing.T) {
		l := listen(t)
		p := dir(tree(t))
		p.Args, p.Listen = []string{"guest", "serve"}, []net.Listener{l}
		var group sync.WaitGroup
		defer group.Wait()
		group.Go(func() {
			c := dial(t, l)
			in := bufio.NewReader(c)
			for i := range 3 {
				fmt.Fprintf(c, "line %d\n", i)
				if got, err := in.ReadString('\n'); got != fmt.Sprintf("line %d!\n", i) {
					t.Errorf("got %q: %v", got, err)
				}
			}
			c.CloseWrite()
			if rest, err := io.ReadAll(in); len(rest) > 0 || err != nil {
				t.Errorf("at the end: %q, %v", rest, err)
			}
		})
		if got := e.run(t, p, 4096); got.out != "served <nil> <nil> <nil>\n" {
			t.Errorf("it says %q and %q", got.out, got.err)
		}
	})
}

// TestOthers runs programs in C and Rust in the same way.
func TestOthers(t *testing.T) {
	for _, c := range []struct {
		file string
		code int32
	}{{"guest.c", 3}, {"guest.rs", 7}} {
		t.Run(c.file, func(t *testing.T) {
			e := newEngine(t, buildGuest(t, "testdata/"+c.file))
			policyOf := func() policy.Policy {
				p := dir(tree(t))
				p.Args, p.Env, p.Stdin = []string{"guest", "", "an argument"}, []string{"A=1", "LANG=C"}, strings.NewReader("one\ntwo\nthree")
				return p
			}
			want := e.reference(t, policyOf())
			for _, room := range []int{128, 64 << 10} {
				got := e.run(t, policyOf(), room)
				diff(t, got.out, want.out)
				diff(t, got.err, want.err)
				if got.code != c.code || want.code != c.code {
					t.Errorf("room %d: code %d, of wazero %d, want %d", room, got.code, want.code, c.code)
				}
			}
			if testing.Verbose() {
				t.Log(want.out)
			}
		})
	}
}
