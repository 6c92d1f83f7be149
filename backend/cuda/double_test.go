package cuda

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dialtone-gpu/dialtone/hal"
)

// TestAgainstDouble runs the tests for GPUs against a double of the driver library that
// waits, and stops everything else meanwhile, wherever a real one might. It checks the order
// of this package's calls, not what devices do.
func TestAgainstDouble(t *testing.T) {
	if os.Getenv(doubleEnv) != "" {
		t.Skip("this is the run against the double")
	}
	c := needCompiler(t)
	if _, machine, err := c.target(90); err != nil || !machine {
		t.Skipf("needs an NVRTC for sm_90, this is %s", c.version())
	}
	lib := double(t, "double.c")
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, exe, "-test.run=^TestGPU", "-test.v")
	cmd.Env = append(os.Environ(), "DIALTONE_LIBCUDA="+lib, doubleEnv+"=1")
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}

// double compiles one of testdata.
func double(t *testing.T, source string) string {
	t.Helper()
	source = filepath.Join("testdata", source)
	if _, err := os.Stat(source); err != nil {
		t.Skipf("needs the source tree: %v", err)
	}
	cc, err := exec.LookPath("cc")
	if err != nil {
		t.Skipf("needs a C compiler: %v", err)
	}
	lib := filepath.Join(t.TempDir(), filepath.Base(source)+".so")
	if out, err := exec.Command(cc, "-shared", "-fPIC", "-O1", "-pthread", "-o", lib, source).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return lib
}

// hangsEnv names what takes long in the process that TestCompileHangs runs.
const hangsEnv = "DIALTONE_CUDA_TEST_HANGS"

// TestCompileHangs: NVRTC and the driver's loader, which take 1.5 s here, keep nobody beyond their context; what they make then is used or
// given back.
func TestCompileHangs(t *testing.T) {
	what := os.Getenv(hangsEnv)
	if what == "" {
		driver, nvrtc := double(t, "double.c"), double(t, "nvrtc.c")
		exe, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		for what, env := range map[string]string{"compile": "NVRTC_DOUBLE=1500", "load": "DOUBLE_SLOW=cuModuleLoadDataEx:1500"} {
			t.Run(what, func(t *testing.T) {
				t.Parallel()
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				cmd := exec.CommandContext(ctx, exe, "-test.run=^TestCompileHangs$", "-test.v")
				cmd.Env = append(os.Environ(), "DIALTONE_LIBCUDA="+driver, "DIALTONE_NVRTC="+nvrtc, "DIALTONE_CACHE="+t.TempDir(), hangsEnv+"="+what, env)
				cmd.WaitDelay = 5 * time.Second
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
			})
		}
		return
	}
	dev, err := hal.Open(t.Context(), "cuda:0")
	must(t, err)
	q, err := dev.NewQueue()
	must(t, err)
	b, err := dev.Alloc(hal.DeviceMemory, 64)
	must(t, err)
	start := time.Now()
	soon := func(t *testing.T, what string) {
		t.Helper()
		if took := time.Since(start); took > 1300*time.Millisecond {
			t.Errorf("%s came after %v", what, took)
		}
	}
	for _, name := range []string{"one", "two"} { // which waits for the first
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if _, err := dev.Compile(ctx, hal.Source{Name: name, Text: name}); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
		soon(t, name)
	}
	must(t, q.Close())
	must(t, b.Close())
	must(t, dev.Close())
	if what == "compile" { // closing waits a second for a driver that is busy
		soon(t, "the end")
	}
	// Once it has come to its end nothing is left: the double ends the process if a context goes with objects in it.
	for limit := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		left, _ := left(t)
		kept, err := filepath.Glob(filepath.Join(os.Getenv("DIALTONE_CACHE"), "cuda-*")) // what NVRTC made when nobody waited any more
		must(t, err)
		if left == 0 && len(kept) > 0 && time.Since(start) > 1500*time.Millisecond {
			break
		}
		if time.Now().After(limit) {
			t.Fatalf("%d contexts stay open, and %d sources are in the cache", left, len(kept))
		}
	}
	dev, err = hal.Open(t.Context(), "cuda:0")
	must(t, err)
	start = time.Now()
	m, err := dev.Compile(t.Context(), hal.Source{Name: "one", Text: "one"})
	must(t, err)
	if what == "compile" {
		soon(t, "what came late, from the cache,")
	}
	_, err = m.Kernel("add")
	must(t, err)
	must(t, m.Close())
	must(t, dev.Close())
}

// doubleEnv is set in the process that has the double for its driver.
const doubleEnv = "DIALTONE_CUDA_TEST_DOUBLE"
