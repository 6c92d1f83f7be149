package program_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dialtone-gpu/dialtone/capabilities"
	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/hostcall"
	"github.com/dialtone-gpu/dialtone/hostcall/plan"
	"github.com/dialtone-gpu/dialtone/hostcall/policy"
	"github.com/dialtone-gpu/dialtone/internal/devicetest"
	"github.com/dialtone-gpu/dialtone/internal/wasmtest"
	"github.com/dialtone-gpu/dialtone/program"
	"github.com/dialtone-gpu/dialtone/program/machine"
)

func TestMain(m *testing.M) {
	devicetest.EmulateWarps()
	devicetest.EmulateHIP()
	devicetest.EmulateMetal()
	if infos, _ := hal.Devices(context.Background()); !slices.ContainsFunc(infos, func(i hal.Info) bool { return !i.Sim }) {
		fmt.Println("no example runs: there is no device") // and it cannot skip
		flag.Set("test.skip", "^Example")
	}
	devicetest.Main(m)
}

// target is a device with a way of calling and a tier.
type target struct {
	*hostcall.Runtime
	tier program.Tier
}

// forEach runs a subtest on every device with each transport and tier.
func forEach(t *testing.T, tiers []program.Tier, f func(t *testing.T, on target)) {
	t.Helper()
	devicetest.ForEach(t, func(t *testing.T, dev *hal.Device) {
		for _, transport := range []plan.Transport{plan.Mailbox, plan.Stopping} {
			t.Run(string(transport), func(t *testing.T) {
				info := dev.Info()
				if transport == plan.Stopping && (info.URI == "warp:0" || info.URI == "hip:1" && info.Sim) {
					t.Skip("with relaunch every work-item calls alone, whatever the width of a subgroup: cpu:0 and hip:0 have the same text")
				}
				rt, err := hostcall.New(t.Context(), dev, &hostcall.Options{Warn: func(s string) { t.Errorf("warned: %s", s) }, Policy: plan.Policy{Transport: transport}})
				if err != nil {
					t.Fatal(err)
				}
				defer rt.Close()
				if transport == plan.Mailbox && !rt.Capabilities().Has(capabilities.CommMailbox) {
					t.Skipf("%s has no mailbox: %s", info.URI, plan.Make(info.URI, rt.Capabilities()).Obstacle)
				}
				for _, tier := range tiers {
					t.Run(string(tier), func(t *testing.T) {
						if d := info.Dialect; tier == program.Whole && (d == hal.OpenCL || d == hal.MSL) {
							t.Skipf("%s has no recursion", d)
						}
						if tier == program.Whole && transport == plan.Stopping {
							t.Skip("a device's stack cannot be left and come back to")
						}
						f(t, target{rt, tier})
					})
				}
			})
		}
	})
}

// compiledElsewhere skips regions, which take seconds to compile, but for two kinds of devices.
func compiledElsewhere(t *testing.T, on target) {
	t.Helper()
	if info := on.Device().Info(); on.tier == program.Regions && (info.Sim || info.URI == "warp:0") {
		t.Skip("regions take long to compile: TestAsWazero has some here, and this test has them on other devices")
	}
}

func load(t *testing.T, on target, module []byte) *program.Program {
	t.Helper()
	p, err := program.Load(t.Context(), on.Runtime, "test.wasm", module, program.Options{Tier: on.tier})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// ran is what a program did on a device.
func ran(t *testing.T, p *program.Program, l program.Launch) (wasmtest.Ran, program.Result) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var stdout, stderr bytes.Buffer
	l.Policy.Stdout, l.Policy.Stderr = &stdout, &stderr
	if l.Memory == 0 {
		l.Memory = 8 << 20 // what stands in for Metal copies all of it for each launch
	}
	res, err := p.Run(ctx, l)
	if err != nil {
		t.Fatal(err)
	}
	return wasmtest.Ran{Stdout: stdout.String(), Stderr: stderr.String(), Code: res.ExitCode()}, res
}

// TestAsWazero has programs of three languages do what they do under wazero.
func TestAsWazero(t *testing.T) {
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "text"), []byte(strings.Repeat("the quick brown fox\njumps over\n", 300)), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "data.json"), []byte(`{"a": [{"b": 1.5e3}, {"b": "zwölf"}, {"c": null}], "d": true}`), 0o644); err != nil {
		t.Fatal(err)
	}
	programs := []struct {
		name string
		args []string
	}{
		{"c/compute.c", []string{"1"}}, {"c/recurse.c", []string{"1"}}, {"rust/sort.rs", []string{"-n", "100"}}, {"rust/wc", []string{"/"}},
		{"go/jsonq", []string{".a[].b", "/data.json"}},
	}
	var want sync.Map
	forEach(t, program.Tiers(), func(t *testing.T, on target) {
		for _, c := range programs {
			t.Run(c.name, func(t *testing.T) {
				if on.tier == program.Whole && c.name != "c/recurse.c" {
					t.Skip("whole programs take long to compile: one does here")
				}
				if c.name != "c/compute.c" && on.tier == program.Regions && on.Device().Info().URI != "cpu:0" {
					t.Skip("each program's regions are compiled by themselves: all of them on cpu:0, and one program's elsewhere")
				}
				if c.name == "go/jsonq" && on.tier == program.Regions {
					t.Skip("a Go program's regions take long to compile, and are of the same kind as the others'")
				}
				module := wasmtest.Example(t, c.name)
				allowed := policy.Policy{Args: append([]string{c.name}, c.args...), Dirs: []policy.Dir{{Host: folder, Guest: "/", ReadOnly: true}}}
				once, _ := want.LoadOrStore(c.name, sync.OnceValues(func() (wasmtest.Ran, error) { return wasmtest.Run(context.Background(), module, allowed) }))
				expected, err := once.(func() (wasmtest.Ran, error))()
				if err != nil {
					t.Fatal(err)
				}
				got, _ := ran(t, load(t, on, module), program.Launch{Policy: allowed})
				if d := cmp.Diff(expected, got); d != "" {
					t.Errorf("wazero and the device differ (-wazero +device):\n%s", d)
				}
				if got.Stdout == "" {
					t.Error("nothing was printed")
				}
			})
		}
	})
}

// misbehaves does what it must not, as its first argument says.
const misbehaves = "program/testdata/programs/misbehaves.c"

// TestTraps has programs do what they must not: they end, with the cause and the function, and others go on.
func TestTraps(t *testing.T) {
	forEach(t, []program.Tier{program.Interpreter, program.Whole}, func(t *testing.T, on target) {
		p := load(t, on, wasmtest.Program(t, misbehaves))
		for arg, want := range map[string]struct {
			cause    machine.Trap
			function string
		}{"d": {machine.Division, "divide"}, "m": {machine.Bounds, "main"}, "u": {machine.Unreachable, "main"}, "s": {machine.StackExhausted, "deep"}} {
			got, res := ran(t, p, program.Launch{Policy: policy.Policy{Args: []string{"p", arg}}})
			trap := res.Ends[0].Trap
			if trap == nil || trap.Cause != want.cause || !strings.Contains(trap.Function, want.function) || got.Code != 134 || got.Stdout != "instance 0\n" {
				t.Errorf("%s: got %+v, %v", arg, got, trap)
			}
		}
		got, res := ran(t, p, program.Launch{Instances: 5, PerLane: on.tier == program.Whole, Policy: policy.Policy{Args: []string{"p", "*"}}})
		var ends []string
		for _, e := range res.Ends {
			ends = append(ends, fmt.Sprint(e.Code, e.Trap != nil))
		}
		if want := []string{"0 false", "0 true", "0 true", "0 true", "7 false"}; !slices.Equal(ends, want) || got.Code != 134 {
			t.Errorf("instances ended with %v, together with %d", ends, got.Code)
		}
		lines := strings.Split(strings.TrimSpace(got.Stdout), "\n")
		slices.Sort(lines)
		if want := []string{"instance 0", "instance 1", "instance 2", "instance 3", "instance 4"}; !slices.Equal(lines, want) {
			t.Errorf("printed %q", lines)
		}
	})
}

// TestEndless has a program that does not end by itself: what it printed is there, and the run ends soon after its context.
func TestEndless(t *testing.T) {
	forEach(t, program.Tiers(), func(t *testing.T, on target) {
		compiledElsewhere(t, on)
		p := load(t, on, wasmtest.Program(t, misbehaves))
		ran(t, p, program.Launch{Policy: policy.Policy{Args: []string{"p", "0"}}}) // some drivers compile now
		for _, arg := range []string{"l", "r"} {                                   // a loop, and calls without one
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			out := &firstWrite{wrote: cancel}
			start := time.Now()
			_, err := p.Run(ctx, program.Launch{Policy: policy.Policy{Args: []string{"p", arg}, Stdout: out}})
			if !errors.Is(err, context.Canceled) || errors.Is(err, hostcall.ErrStillRunning) {
				t.Errorf("%s: got %v", arg, err)
			}
			if took := time.Since(start); took > 30*time.Second {
				t.Errorf("%s: it took %v", arg, took)
			}
			if got := out.text.String(); got != "instance 0\n" {
				t.Errorf("%s: printed %q", arg, got)
			}
		}
	})
}

// firstWrite tells of the first write.
type firstWrite struct {
	once  sync.Once
	wrote func()
	text  bytes.Buffer
}

func (w *firstWrite) Write(p []byte) (int, error) {
	defer w.once.Do(w.wrote)
	return w.text.Write(p)
}

// TestInstances has many instances, one for each subgroup and one for each lane, draw one picture.
func TestInstances(t *testing.T) {
	forEach(t, program.Tiers(), func(t *testing.T, on target) {
		compiledElsewhere(t, on)
		if on.tier == program.Whole && on.Device().Info().URI != "cpu:0" {
			t.Skip("whole programs take long to compile: the other tests have one here")
		}
		module := wasmtest.Example(t, "c/mandelbrot.c")
		p := load(t, on, module)
		draw := func(l program.Launch) []byte {
			folder := t.TempDir()
			l.Policy = policy.Policy{Args: []string{"mandelbrot", "/picture.pgm", "48", "40"}, Dirs: []policy.Dir{{Host: folder, Guest: "/"}}}
			got, _ := ran(t, p, l)
			if got.Code != 0 || got.Stderr != "" {
				t.Errorf("%d instances: %+v", l.Instances, got)
			}
			picture, err := os.ReadFile(filepath.Join(folder, "picture.pgm"))
			if err != nil {
				t.Fatal(err)
			}
			return picture
		}
		one := draw(program.Launch{})
		for _, l := range []program.Launch{{Instances: 7}, {Instances: 40, PerLane: true, Memory: 2 << 20}, {Instances: 60, Memory: 2 << 20}} {
			if !bytes.Equal(draw(l), one) {
				t.Errorf("%+v draw another picture than one does", l)
			}
		}
	})
}

// TestMemory has one program get as much memory as each of its launches says.
func TestMemory(t *testing.T) {
	forEach(t, []program.Tier{program.Interpreter, program.Whole}, func(t *testing.T, on target) {
		p := load(t, on, wasmtest.Program(t, misbehaves))
		grown := func(memory uint64) (n int) {
			got, _ := ran(t, p, program.Launch{Memory: memory, Instances: 2, Policy: policy.Policy{Args: []string{"p", "g"}}})
			lines := strings.Split(strings.TrimSpace(got.Stdout), "\n")
			slices.Sort(lines)
			if len(lines) != 4 || lines[0] != lines[1] {
				t.Fatalf("printed %q", lines)
			}
			if _, err := fmt.Sscan(lines[0], &n); err != nil {
				t.Fatal(err)
			}
			return n
		}
		if less, more := grown(4<<20), grown(9<<20); less < 1 || more != less+5 {
			t.Errorf("memory grew by %d MiB up to 4 and by %d up to 9", less, more)
		}
	})
}

// TestWholeRefused asks for whole programs where there can be none: the error says what is missing, and what to take.
func TestWholeRefused(t *testing.T) {
	devicetest.ForEach(t, func(t *testing.T, dev *hal.Device) {
		info := dev.Info()
		recursive := info.Dialect != hal.OpenCL && info.Dialect != hal.MSL
		load := func(transport plan.Transport, o program.Options) error {
			rt, err := hostcall.New(t.Context(), dev, &hostcall.Options{Policy: plan.Policy{Transport: transport}})
			if err != nil {
				t.Fatal(err)
			}
			defer rt.Close()
			o.Tier = program.Whole
			p, err := program.Load(t.Context(), rt, "p", wasmtest.Program(t, misbehaves), o)
			if err == nil {
				p.Close()
			}
			return err
		}
		want := []string{"p: tier whole: ", string(info.Dialect), "recursion", "tier regions"}
		if recursive {
			want = []string{"p: tier whole: ", info.URI, "stop for each call", "tier regions"}
		}
		err := load(plan.Stopping, program.Options{})
		if !errors.Is(err, hal.ErrUnsupported) {
			t.Fatalf("got %v", err)
		}
		for _, w := range want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%q does not say %q", err, w)
			}
		}
		if !recursive {
			return
		}
		if err := load("", program.Options{Stack: -1}); !errors.Is(err, hal.ErrInvalid) {
			t.Errorf("less than no stack: %v", err)
		}
		if info.Dialect != hal.C11 {
			return // the others are asked when their compilers are done: the backends have tests of it
		}
		if err := load("", program.Options{Stack: 1 << 28}); !errors.Is(err, hal.ErrUnsupported) || !strings.Contains(err.Error(), "bytes of stack") {
			t.Errorf("256 MiB of stack: %v", err)
		}
	})
}

// TestLoadErrors has modules that cannot be run.
func TestLoadErrors(t *testing.T) {
	devicetest.ForEach(t, func(t *testing.T, dev *hal.Device) {
		rt, err := hostcall.New(t.Context(), dev, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer rt.Close()
		library := []byte("\x00asm\x01\x00\x00\x00")
		imports := func(module, name string) []byte {
			body := fmt.Sprintf("\x01%c%s%c%s\x00\x00", len(module), module, len(name), name)
			b := append(slices.Clone(library), "\x01\x04\x01\x60\x00\x00"...)                               // type 0: [] -> []
			b = append(append(append(b, 2, byte(len(body))), body...), "\x07\x0a\x01\x06_start\x00\x00"...) // exported as _start
			return b
		}
		for name, c := range map[string]struct {
			module []byte
			want   string
		}{
			"nothing":         {nil, "offset"},
			"text":            {[]byte("(module)"), "magic"},
			"library":         {library, "_start"},
			"cut":             {append(slices.Clone(library), 1), "offset 0x9"},
			"unknown module":  {imports("env", "abort"), "env.abort"},
			"unknown call":    {imports("wasi_snapshot_preview1", "fork"), "wasi_snapshot_preview1.fork"},
			"of another type": {imports("wasi_snapshot_preview1", "fd_close"), "[i32] -> [i32]"},
		} {
			p, err := program.Load(t.Context(), rt, name, c.module, program.Options{})
			if err == nil {
				t.Errorf("%s: loaded", name)
				p.Close()
			} else if !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), name+": ") {
				t.Errorf("%s: got %q, want something with %q", name, err, c.want)
			}
		}
	})
}

// TestTooMuch asks for more than there is.
func TestTooMuch(t *testing.T) {
	forEach(t, []program.Tier{program.Interpreter}, func(t *testing.T, on target) {
		p := load(t, on, wasmtest.Program(t, misbehaves))
		for _, l := range []program.Launch{{Memory: 1 << 16}, {Instances: 1 << 20, Memory: 4 << 30}} {
			_, err := p.Run(t.Context(), l)
			if !errors.Is(err, hal.ErrInvalid) || !strings.Contains(err.Error(), "iB") {
				t.Errorf("%+v: got %v", l, err)
			}
		}
	})
}
