package cuda

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/internal/cache"
)

// TestMain gives every run a kernel cache of its own.
func TestMain(m *testing.M) {
	if os.Getenv("DIALTONE_CACHE") == "" {
		dir, err := os.MkdirTemp("", "dialtone-cuda-test-")
		if err != nil {
			panic(err)
		}
		os.Setenv("DIALTONE_CACHE", dir)
		code := m.Run()
		os.RemoveAll(dir)
		os.Exit(code)
	}
	os.Exit(m.Run())
}

// needCompiler skips where NVRTC is not installed.
func needCompiler(t testing.TB) *compiler {
	t.Helper()
	c, err := loadedCompiler()
	if errors.Is(err, hal.ErrUnavailable) {
		t.Skipf("needs NVRTC (Debian: libnvrtc11.2 of bookworm non-free): %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestMissingLibraries(t *testing.T) {
	for _, env := range []string{"DIALTONE_LIBCUDA", "DIALTONE_NVRTC"} {
		t.Setenv(env, "/nowhere/lib.so")
	}
	_, driverErr := loadDriver()
	_, compilerErr := loadCompiler(0)
	for what, err := range map[string]error{"DIALTONE_LIBCUDA": driverErr, "DIALTONE_NVRTC": compilerErr} {
		if !errors.Is(err, hal.ErrUnavailable) {
			t.Errorf("%s: %v does not wrap ErrUnavailable", what, err)
			continue
		}
		for _, want := range []string{"/nowhere/lib.so", "install", what} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q does not say %q", what, err, want)
			}
		}
	}
}

func TestEveryNameIsTried(t *testing.T) {
	for _, goos := range []string{"linux", "windows", "darwin"} {
		for _, names := range [][]string{driverNames(goos), compilerNames(goos, 0)} {
			if len(names) == 0 {
				t.Errorf("no library names for %s", goos)
			}
		}
	}
	order := func(version int) []string {
		return slices.DeleteFunc(compilerNames("linux", version), func(n string) bool { return strings.Contains(n, "/") })
	}
	for version, first := range map[int]string{0: "libnvrtc.so.13", 13000: "libnvrtc.so.13", 12020: "libnvrtc.so.12", 11040: "libnvrtc.so.11.2"} {
		if got := order(version); got[0] != first || len(got) != 4 {
			t.Errorf("driver %d: %v, want %s first of 4", version, got, first)
		}
	}
}

// TestWithoutGPU: a driver library on a machine without a GPU says so, with the code.
func TestWithoutGPU(t *testing.T) {
	infos, err := backend{}.Devices(t.Context())
	if err == nil {
		t.Skipf("there are %d GPUs", len(infos))
	}
	if !errors.Is(err, hal.ErrUnavailable) {
		t.Errorf("%v does not wrap ErrUnavailable", err)
	}
	if len(infos) != 0 {
		t.Errorf("%d devices beside the error %v", len(infos), err)
	}
	if _, lerr := loadedDriver(); lerr == nil {
		var e *hal.Error
		if !errors.As(err, &e) || e.Code == 0 || e.Name == "" || e.Op != "cuInit" {
			t.Errorf("%v does not keep the driver's code and its name", err)
		}
	}
	if _, err := (backend{}).Open(t.Context(), 0); !errors.Is(err, hal.ErrUnavailable) {
		t.Errorf("Open: %v does not wrap ErrUnavailable", err)
	}
	t.Log(err)
}

func TestCompile(t *testing.T) {
	c := needCompiler(t)
	// The last kernel is one that some compilers with some options do not survive.
	src := hal.Source{Name: "add.kernel.c", Text: addSource + "static __device__ void store(int *p, int v) { *p = v; }\n" +
		"extern \"C\" __global__ void line(int *p) { store(p, 1); }\n"}
	for _, cc := range []int{70, 90} {
		if _, machine, err := c.target(cc); err != nil || !machine {
			t.Logf("NVRTC %s has no sm_%d (%v)", c.version(), cc, err)
			continue
		}
		image, err := c.build(t.Context(), "cuda:0", src, cc, nil)
		if err != nil {
			t.Fatalf("sm_%d: %v", cc, err)
		}
		if got, want := entryPoints(image), []string{"add", "another", "line"}; !slices.Equal(got, want) {
			t.Errorf("sm_%d: kernels %q, want %q", cc, got, want)
		}
	}
}

// TestCompileLarge: a large source is compiled whether or not NVRTC can be told to be done soon, and a fault in it is told as in others.
func TestCompileLarge(t *testing.T) {
	c := needCompiler(t)
	image, err := c.build(t.Context(), "cuda:0", hal.Source{Name: "add.kernel.c", Text: addSource, Large: true}, 90, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := entryPoints(image); !slices.Contains(got, "add") {
		t.Errorf("kernels %q", got)
	}
	_, err = c.build(t.Context(), "cuda:0", hal.Source{Name: "wrong.kernel.c", Text: "int a = b;", Large: true}, 90, nil)
	var ce *hal.CompileError
	if !errors.As(err, &ce) || !strings.Contains(ce.Log, "wrong.kernel.c(1)") {
		t.Errorf("a source at fault: %v", err)
	}
}

// TestNewerDevice: for a device that NVRTC does not know there is PTX of the newest one that it does.
func TestNewerDevice(t *testing.T) {
	c := needCompiler(t)
	image, err := c.build(t.Context(), "cuda:0", hal.Source{Name: "add.kernel.c", Text: addSource}, 999, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(image), ".entry add") || image[len(image)-1] != 0 {
		t.Errorf("no PTX with a NUL at its end: %.200q", image)
	}
	if got, want := entryPoints(image), []string{"add", "another"}; !slices.Equal(got, want) {
		t.Errorf("kernels %q, want %q", got, want)
	}
	if _, err = c.build(t.Context(), "cuda:0", hal.Source{}, 10, nil); !errors.Is(err, hal.ErrUnavailable) || !strings.Contains(err.Error(), "sm_10") {
		t.Errorf("for a device older than NVRTC knows: %v", err)
	}
}

func TestCompileErrors(t *testing.T) {
	c := needCompiler(t)
	cc := int(c.archs[len(c.archs)-1])
	prelude := "static __device__ int unused(int a) { int b; return a; }\n\n\n"
	for _, tt := range []struct {
		name, text string
		want       []string // the log holds these
		lines      int      // and has at most so many lines
	}{
		{"undeclared", prelude + "#line 1 \"user.kernel.c\"\nextern \"C\" __global__ void k(int *p) {\n\t*p = nope;\n}\n",
			[]string{"user.kernel.c(2): error", `"nope" is undefined`}, 3},
		{"two errors", prelude + "#line 1 \"user.kernel.c\"\nextern \"C\" __global__ void k(int *p) {\n\t*p = nope;\n\t*p = nix;\n}\n",
			[]string{"user.kernel.c(2): error", "user.kernel.c(3): error"}, 6},
		{"inline PTX", prelude + "#line 1 \"user.kernel.c\"\n\nextern \"C\" __global__ void k(int *p) { asm volatile(\"st.release.system.global.u32 [%0], 1;\" :: \"l\"(p)); }\n",
			[]string{"\nuser.kernel.c(2): error: ptxas: ", ".system"}, 3},
		{"missing header", "#include <stdio.h>\n#include \"nope.h\"\n", []string{"could not open source file"}, 4},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := c.build(t.Context(), "cuda:7", hal.Source{Name: "whole.c", Text: tt.text}, cc, nil)
			var ce *hal.CompileError
			if !errors.As(err, &ce) {
				t.Fatalf("%v is no CompileError", err)
			}
			t.Log(ce)
			for _, w := range tt.want {
				if !strings.Contains("\n"+ce.Log, w) {
					t.Errorf("the log does not say %q", w)
				}
			}
			if n := strings.Count(ce.Log, "\n") + 1; n > tt.lines {
				t.Errorf("%d lines, at most %d", n, tt.lines)
			}
			for _, bad := range []string{"warning", "detected in the compilation", "unused"} {
				if strings.Contains(ce.Log, bad) {
					t.Errorf("the log says %q", bad)
				}
			}
			if ce.Device != "cuda:7" || ce.Source != "whole.c" {
				t.Errorf("device %q, source %q", ce.Device, ce.Source)
			}
		})
	}
}

func TestCompileCancelled(t *testing.T) {
	c := needCompiler(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.build(ctx, "cuda:0", hal.Source{Name: "a", Text: addSource}, int(c.archs[0]), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestCache(t *testing.T) {
	c := needCompiler(t)
	t.Setenv("DIALTONE_CACHE", t.TempDir())
	cc := int(c.archs[len(c.archs)-1])
	src := hal.Source{Name: "cache.kernel.c", Text: addSource}
	get := func(fresh bool) ([]byte, string) {
		t.Helper()
		image, key, err := fetch(t.Context(), "cuda:0", src, cc, fresh)
		if err != nil {
			t.Fatal(err)
		}
		return image, key
	}
	first, key := get(false)
	if key != "" {
		t.Fatalf("an empty cache gave %s", key)
	}
	again, key := get(false)
	if key == "" {
		t.Fatal("compiled a second time")
	}
	if !slices.Equal(first, again) {
		t.Error("the cache gave other code")
	}
	if _, k := get(true); k != "" {
		t.Error("fresh code came from the cache")
	}
	// Without NVRTC what is there is used.
	if image, k := cached(entry(src, cc), nil); k != key || !slices.Equal(image, first) {
		t.Errorf("without NVRTC: entry %q, want %q", k, key)
	}
	// Every part counts.
	for _, other := range []hal.Source{{Name: "b", Text: addSource}, {Name: src.Name, Text: addSource + " "}} {
		if entry(other, cc) == entry(src, cc) {
			t.Errorf("the same entry for %q", other.Name)
		}
	}
	if entry(src, cc) == entry(src, cc+1) {
		t.Error("the same entry for another architecture")
	}
	// A damaged entry is deleted.
	path, ok := cache.Path(key)
	if !ok {
		t.Fatalf("no entry %s", key)
	}
	data, _ := os.ReadFile(path)
	data[len(data)-1] ^= 1
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if image, _ := cached(entry(src, cc), c); image != nil {
		t.Error("a damaged entry was taken")
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "*")); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

func TestTidy(t *testing.T) {
	for log, want := range map[string]string{
		"a.c(1): error: x\n\n1 error detected in the compilation of \"a.c\".\n\x00":                                                  "a.c(1): error: x",
		"12 errors detected in the compilation of \"a.c\".":                                                                          "",
		"ptxas application ptx input, line 9; error   : Unknown modifier '.s'\nptxas fatal   : Ptx assembly aborted due to errors\n": "ptxas application ptx input, line 9; error   : Unknown modifier '.s'",
	} {
		if got := tidy(log); got != want {
			t.Errorf("tidy(%q) = %q, want %q", log, got, want)
		}
	}
}

func TestErrors(t *testing.T) {
	d, err := loadedDriver()
	if err != nil {
		t.Skipf("needs the driver library (Debian: libcuda1): %v", err)
	}
	for _, tt := range []struct {
		code     result
		name     string
		sentinel error
		cause    string
	}{
		{2, "CUDA_ERROR_OUT_OF_MEMORY", hal.ErrOutOfMemory, ""},
		{700, "CUDA_ERROR_ILLEGAL_ADDRESS", hal.ErrDeviceLost, "illegal address"},
		{716, "CUDA_ERROR_MISALIGNED_ADDRESS", hal.ErrDeviceLost, "misaligned"},
		{719, "CUDA_ERROR_LAUNCH_FAILED", hal.ErrDeviceLost, "trap"},
		{710, "CUDA_ERROR_ASSERT", hal.ErrDeviceLost, "assertion"},
		{701, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES", hal.ErrInvalid, "registers"},
		{803, "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH", nil, ""},
	} {
		e := d.failure("op", "cuda:0", tt.code)
		if e.Code != int(tt.code) || e.Name != tt.name || tt.sentinel != nil && !errors.Is(e, tt.sentinel) || !strings.Contains(e.Error(), tt.cause) {
			t.Errorf("%d: %v", tt.code, e)
		}
	}
}

// TestKernels: what the tests on a GPU run is compiled, where there is none.
func TestKernels(t *testing.T) {
	c := needCompiler(t)
	image, err := c.build(t.Context(), "cuda:0", hal.Source{Name: "test.kernel.c", Text: kernels}, 90, nil)
	must(t, err)
	if got := strings.Join(entryPoints(image), " "); got != "add args deep fault_address fault_misaligned fault_trap ids increment mailbox waiter" {
		t.Errorf("kernels %s", got)
	}
}
