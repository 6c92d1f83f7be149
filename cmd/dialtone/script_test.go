package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/hostcall/plan"
	"github.com/dialtone-gpu/dialtone/hostcall/probe"
	"github.com/dialtone-gpu/dialtone/internal/devicetest"
	"github.com/dialtone-gpu/dialtone/program/toolchain"
)

// caches is where all commands of a test run keep what they compiled and probed.
var caches string

func TestMain(m *testing.M) { testscript.Main(tests{m}, map[string]func(){"dialtone": main}) }

// tests are the package's, with caches of their own around them.
type tests struct{ *testing.M }

func (t tests) Run() int {
	var err error
	if caches, err = os.MkdirTemp("", "dialtone-test-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(caches)
	os.Setenv("DIALTONE_CACHE", filepath.Join(caches, "dialtone"))
	os.Setenv("POCL_CACHE_DIR", filepath.Join(caches, "pocl"))
	if err := os.Mkdir(filepath.Join(caches, "pocl"), 0o700); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return t.M.Run()
}

// inherited are the variables that scripts get from the environment of the test: where drivers and compilers are.
var inherited = regexp.MustCompile(`^(CC|DIALTONE_CACHE|DIALTONE_CPU_THREADS|GOCOVERDIR|LD_LIBRARY_PATH|(POCL|OCL|OPENCL|CUDA|NVIDIA)_.*)$`)

// target is a device with a transport for its kernels.
type target struct {
	*hal.Device
	transport string // for --transport; empty: what the plan chooses
	relaunch  bool   // it is that one, chosen or not
}

// forEach runs a subtest on every device with the transport that its plan chooses, and on cpu:0, which has both, with the other one too.
func forEach(t *testing.T, f func(t *testing.T, dev target)) {
	t.Helper()
	devicetest.ForEach(t, func(t *testing.T, dev *hal.Device) {
		set, err := probe.Device(t.Context(), dev)
		if err != nil {
			t.Fatal(err)
		}
		chosen := plan.Make(dev.Info().URI, set).Transport
		t.Run(string(chosen), func(t *testing.T) { f(t, target{dev, "", chosen == plan.Stopping}) })
		if other := plan.Stopping; dev.Info().Backend == "cpu" && chosen != other {
			t.Run(string(other), func(t *testing.T) { f(t, target{dev, string(other), true}) })
		}
	})
}

func scripts(dir string, dev target) testscript.Params {
	uri, backend, units := "", "", 2
	if dev.Device != nil {
		uri, backend, units = dev.Info().URI, dev.Info().Backend, dev.Info().Units
	}
	return testscript.Params{
		Dir: dir,
		Setup: func(e *testscript.Env) error {
			for _, v := range os.Environ() {
				if key, _, _ := strings.Cut(v, "="); inherited.MatchString(key) {
					e.Vars = append(e.Vars, v)
				}
			}
			binary, err := exec.LookPath("dialtone")
			if err != nil {
				return err
			}
			repository, err := filepath.Abs("../..")
			// HOME of scripts is no folder, but compilers of programs keep themselves there, and what they have compiled.
			e.Vars = append(e.Vars, "DEVICE="+uri, "TRANSPORT="+dev.transport, "REPOSITORY="+repository, "DIALTONE="+binary, "REAL_HOME="+os.Getenv("HOME"))
			return err
		},
		Condition: func(name string) (bool, error) {
			switch name {
			case "cpu", "opencl", "cuda", "hip", "metal":
				return backend == name, nil
			case "parallel": // two groups run at once
				return units > 1, nil
			case "relaunch": // kernels answer between launches
				return dev.relaunch, nil
			case "fragile": // a kernel that faults ends the process
				return dev.Device != nil && devicetest.Fragile(dev.Device), nil
			case "builds:go", "builds:rs", "builds:c":
				return builds[strings.TrimPrefix(name, "builds:")]()
			}
			return false, fmt.Errorf("no condition %s", name)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits,
			"makes": makes,
			"json":  lookup,
		},
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	}
}

// TestScripts runs what needs no particular device.
func TestScripts(t *testing.T) { testscript.Run(t, scripts("testdata/script", target{})) }

// TestDeviceScripts runs what has to be the same on every device.
func TestDeviceScripts(t *testing.T) {
	forEach(t, func(t *testing.T, dev target) {
		testscript.Run(t, scripts("testdata/script/device", dev))
	})
}

// builds says whether the machine has what makes programs of files with a suffix.
var builds = map[string]func() (bool, error){
	"go": builder("a.go", "package main\n\nfunc main() {}\n"), "rs": builder("a.rs", "fn main() {}\n"), "c": builder("a.c", "int main(void) { return 0; }\n"),
}

func builder(name, text string) func() (bool, error) {
	return sync.OnceValues(func() (bool, error) {
		folder, err := os.MkdirTemp(caches, "")
		if err != nil {
			return false, err
		}
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return false, err
		}
		_, err = toolchain.Build(context.Background(), path, os.Stderr)
		if _, missing := errors.AsType[*toolchain.Missing](err); missing {
			return false, nil
		}
		return err == nil, err
	})
}

// makes FILE MODULE has the machine's compilers make a module.
func makes(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: makes FILE MODULE")
	}
	module, err := toolchain.Build(context.Background(), ts.MkAbs(args[0]), ts.Stderr())
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), module, 0o600))
}

// exits CODE [within DURATION] PROGRAM [ARGS...] runs a program that has to end with that code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE [within DURATION] PROGRAM [ARGS...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	args = args[1:]
	limit := time.Hour
	if args[0] == "within" && len(args) > 2 {
		limit, err = time.ParseDuration(args[1])
		ts.Check(err)
		args = args[2:]
	}
	start := time.Now()
	err = ts.Exec(args[0], args[1:]...)
	took := time.Since(start)
	got := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
	if took > limit {
		ts.Fatalf("it took %v, more than %v", took, limit)
	}
}

// json FILE PATH PATTERN matches what a JSON document has at a path of names and indices, "" for the whole, with a pattern.
func lookup(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: [!] json FILE PATH PATTERN")
	}
	var v any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &v))
	for _, step := range strings.FieldsFunc(args[1], func(r rune) bool { return r == '/' }) {
		switch at := v.(type) {
		case map[string]any:
			next, ok := at[step]
			if !ok {
				ts.Fatalf("%s: there is no %q", args[1], step)
			}
			v = next
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i >= len(at) {
				ts.Fatalf("%s: a list of %d has no %q", args[1], len(at), step)
			}
			v = at[i]
		default:
			ts.Fatalf("%s: nothing is below %v", args[1], v)
		}
	}
	text, err := json.Marshal(v)
	ts.Check(err)
	if regexp.MustCompile(args[2]).Match(text) == neg {
		ts.Fatalf("%s is %s", args[1], text)
	}
}
