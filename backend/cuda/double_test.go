package cuda

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
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
	source, err := filepath.Abs("testdata/double.c")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(source); err != nil {
		t.Skipf("needs the source tree: %v", err)
	}
	cc, err := exec.LookPath("cc")
	if err != nil {
		t.Skipf("needs a C compiler: %v", err)
	}
	lib := filepath.Join(t.TempDir(), "double.so")
	if out, err := exec.Command(cc, "-shared", "-fPIC", "-O1", "-pthread", "-o", lib, source).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
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

// doubleEnv is set in the process that has the double for its driver.
const doubleEnv = "DIALTONE_CUDA_TEST_DOUBLE"
