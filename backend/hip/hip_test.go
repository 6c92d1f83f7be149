package hip

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dialtone-gpu/dialtone/backend/hip/standin"
	"github.com/dialtone-gpu/dialtone/backend/stream"
	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/internal/cache"
)

// errStandIn is why nothing stands in for AMD's runtime.
var errStandIn error

// needLibrary skips where there is neither AMD's driver nor what stands in for it.
func needLibrary(t testing.TB) {
	t.Helper()
	if errStandIn != nil {
		t.Skipf("nothing stands in for AMD's runtime: %v", errStandIn)
	}
}

// TestMain gives every run a kernel cache of its own and, unless a library is named or AMD's driver is there, what stands in for them.
func TestMain(m *testing.M) {
	dir := ""
	if os.Getenv("DIALTONE_CACHE") == "" {
		var err error
		if dir, err = os.MkdirTemp("", "dialtone-hip-test-"); err != nil {
			panic(err)
		}
		os.Setenv("DIALTONE_CACHE", dir)
	}
	if _, err := os.Stat("/dev/kfd"); err != nil && os.Getenv("DIALTONE_LIBAMDHIP") == "" {
		path, err := standin.Build()
		if errStandIn = err; err == nil {
			os.Setenv("DIALTONE_LIBAMDHIP", path)
		}
	}
	code := m.Run()
	if dir != "" {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

func TestMissingLibraries(t *testing.T) {
	_, err := loadDriver("/nowhere/lib.so", "/nowhere/other.so")
	t.Setenv("DIALTONE_HIPRTC", "/nowhere/rtc.so")
	_, rtcErr := loadCompiler(&driver{version: version{6, 4, 0}})
	for what, c := range map[string]struct {
		err  error
		want []string
	}{
		"runtime": {err, []string{"/nowhere/lib.so", "/nowhere/other.so", "install", "DIALTONE_LIBAMDHIP"}},
		"hiprtc":  {rtcErr, []string{"/nowhere/rtc.so", "install", "DIALTONE_HIPRTC"}},
	} {
		if !errors.Is(c.err, hal.ErrUnavailable) {
			t.Errorf("%s: %v does not wrap ErrUnavailable", what, c.err)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(c.err.Error(), want) {
				t.Errorf("%s: %q does not say %q", what, c.err, want)
			}
		}
	}
}

func TestLibraryNames(t *testing.T) {
	t.Setenv("ROCM_PATH", "/somewhere")
	t.Setenv("HIP_PATH", "")
	for goos, want := range map[string][]string{
		"linux":   {"libamdhip64.so.7", "libamdhip64.so.6", "libamdhip64.so.5", "/somewhere/lib/libamdhip64.so"},
		"windows": {"amdhip64_7.dll", "amdhip64_6.dll", "amdhip64.dll"},
	} {
		if got := driverNames(goos); !slices.Equal(got[:len(want)], want) {
			t.Errorf("%s: %q, want %q first", goos, got, want)
		}
	}
	for _, c := range []struct {
		goos  string
		v     version
		first string // a list; @ is the runtime library itself
	}{
		{"linux", version{7, 2, 0}, "libhiprtc.so.7 @ libhiprtc.so.6 libhiprtc.so.5"},
		{"linux", version{6, 4, 0}, "libhiprtc.so.6 @ libhiprtc.so.7 libhiprtc.so.5"},
		{"linux", version{5, 2, 0}, "@ libhiprtc.so.7 libhiprtc.so.6 libhiprtc.so.5"},
		{"windows", version{6, 4, 0}, "hiprtc0604.dll @"},
		{"windows", version{5, 7, 0}, "@ hiprtc0507.dll"},
	} {
		got := strings.Join(compilerNames(c.goos, c.v), " ")
		got = strings.ReplaceAll(strings.ReplaceAll(" "+got+" ", "  ", " @ "), "  ", " ")
		if !strings.HasPrefix(strings.TrimSpace(got)+" ", c.first+" ") {
			t.Errorf("%s %v: %q, want %q first", c.goos, c.v, got, c.first)
		}
	}
	for file, want := range map[string]string{"libhiprtc.so.6": "6", "libhiprtc.so.7.2.4": "7", "hiprtc0604.dll": "06", "libamdhip64.so.5.2.21153": "5"} {
		if m := major.FindStringSubmatch(file); m == nil || m[1] != want {
			t.Errorf("%s: %q, want %s", file, m, want)
		}
	}
}

func TestVersions(t *testing.T) {
	for n, want := range map[int]string{50221153: "5.2.21153", 50731921: "5.7.31921", 60443484: "6.4.43484", 70253211: "7.2.53211"} {
		if got := versionOf(n).String(); got != want {
			t.Errorf("%d is %s, want %s", n, got, want)
		}
	}
}

// TestArchitectures: an unknown one must not reach hiprtc, which would end the process.
func TestArchitectures(t *testing.T) {
	for _, c := range []struct {
		v    version
		arch string
		want string // in the error, "" for none
	}{
		{version{5, 2, 21153}, "gfx90a", ""},
		{version{5, 2, 21153}, "gfx1030", ""},
		{version{5, 2, 21153}, "gfx906", ""},
		{version{5, 2, 21153}, "gfx942", "HIP 5.7"},
		{version{5, 2, 21153}, "gfx1100", "HIP 5.7"},
		{version{5, 6, 0}, "gfx1100", "HIP 5.7"},
		{version{5, 7, 31921}, "gfx1100", ""},
		{version{5, 7, 31921}, "gfx942", ""},
		{version{5, 7, 31921}, "gfx1201", "HIP 6.4"},
		{version{6, 0, 0}, "gfx1100", ""},
		{version{6, 3, 0}, "gfx950", "HIP 6.4"},
		{version{6, 4, 43484}, "gfx1201", ""},
		{version{6, 4, 43484}, "gfx1250", "HIP 7"},
		{version{7, 2, 0}, "gfx1250", ""},
		{version{}, "gfx90a", "HIP 5.2"},
		{version{6, 4, 0}, "gfx90a:xnack+", "HIP 7"},
	} {
		err := c.v.compiles(c.arch)
		if c.want == "" && err != nil || c.want != "" && (!errors.Is(err, hal.ErrUnavailable) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%v, %s: %v, want %q", c.v, c.arch, err, c.want)
		}
	}
	for id, want := range map[string]string{"gfx90a:sramecc+:xnack-": "gfx90a", "gfx1100": "gfx1100", "": "", "gfx": "", "Radeon": ""} {
		if got := target(id); got != want {
			t.Errorf("%q is %q, want %q", id, got, want)
		}
	}
}

func TestKernelArch(t *testing.T) {
	topology := t.TempDir()
	for i, text := range []string{
		"cpu_cores_count 8\ngfx_target_version 0\nlocation_id 0\ndomain 0\n",
		"simd_count 440\ngfx_target_version 90010\nlocation_id 49408\ndomain 0\n",
		"gfx_target_version 110000\nlocation_id 1024\ndomain 1\n",
		"gfx_target_version 90402\nlocation_id 1024\ndomain 0\n",
		"gfx_target_version 100300\nlocation_id 769\ndomain 0\n",
	} {
		dir := filepath.Join(topology, fmt.Sprint(i))
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "properties"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for pci, want := range map[string]string{
		"0000:c1:00.0": "gfx90a", "0001:04:00.0": "gfx1100", "0000:04:00.0": "gfx942", "0000:03:00.1": "gfx1030", "0000:05:00.0": "", "": "", "nonsense": "",
	} {
		if got := kernelArch(topology, pci); got != want {
			t.Errorf("%s: %q, want %q", pci, got, want)
		}
	}
}

// TestConstants has AMD's header say what the numbers of this package are.
func TestConstants(t *testing.T) {
	cc, err := exec.LookPath("cc")
	if err != nil {
		t.Skipf("needs a C compiler: %v", err)
	}
	const header = "#define __HIP_PLATFORM_AMD__\n#include <hip/hip_runtime_api.h>\n#include <hip/hiprtc.h>\n#include <stddef.h>\n"
	check := func(text string) error {
		cmd := exec.Command(cc, "-std=gnu11", "-fsyntax-only", "-x", "c", "-")
		cmd.Stdin = strings.NewReader(header + text)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%w\n%.2000s", err, out)
		}
		return nil
	}
	if err := check(""); err != nil {
		t.Skipf("needs AMD's headers (Debian: libamdhip64-dev): %.100s", err)
	}
	var text strings.Builder
	for name, value := range map[string]int{
		"hipDeviceAttributeCanMapHostMemory": attrCanMapHostMemory, "hipDeviceAttributeMaxBlockDimX": attrMaxBlockDimX,
		"hipDeviceAttributeMaxBlockDimZ": attrMaxBlockDimX + 2, "hipDeviceAttributeMaxGridDimX": attrMaxGridDimX,
		"hipDeviceAttributeMaxGridDimZ": attrMaxGridDimX + 2, "hipDeviceAttributeMaxThreadsPerBlock": attrMaxThreadsPerBlock,
		"hipDeviceAttributeMaxThreadsPerMultiProcessor": attrMaxThreadsPerCU, "hipDeviceAttributeMultiprocessorCount": attrComputeUnits,
		"hipDeviceAttributeWarpSize": attrWarpSize, "hipDeviceAttributeGcnArchName": attrGcnArchName,
		"hipDeviceAttributeManagedMemory": attrManagedMemory, "hipDeviceAttributeConcurrentManagedAccess": attrConcurrentManaged, "hipMemAttachGlobal": stream.AttachGlobal,
		"hipHostMallocPortable": hostMallocPortable, "hipHostMallocMapped": hostMallocMapped, "hipHostMallocCoherent": hostMallocCoherent,
		"hipStreamNonBlocking": stream.StreamNonBlocking, "hipEventDisableTiming": stream.EventDisableTiming,
		"HIP_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK": funcMaxThreads, "hipDeviceAttributeCanUseStreamWaitValue": attrStreamWaitValue,
		"hipMallocSignalMemory": mallocSignal, "hipStreamWaitValueGte": waitAtLeast,
		"hipSuccess": int(success), "hipErrorInvalidValue": int(stream.InvalidValue), "hipErrorOutOfMemory": int(stream.OutOfMemory),
		"hipErrorInsufficientDriver": int(insufficientDriver), "hipErrorNoDevice": int(noDevice), "hipErrorInvalidDevice": int(invalidDevice),
		"hipErrorUnsupportedLimit": int(stream.UnsupportedLimit), "hipErrorInvalidImage": int(invalidImage), "hipErrorNoBinaryForGpu": int(noBinary), "hipErrorInvalidKernelFile": int(invalidKernelFile),
		"hipErrorSharedObjectInitFailed": int(initFailed), "hipErrorNotFound": int(stream.NotFound), "hipErrorNotReady": int(stream.NotReady),
		"hipErrorLaunchOutOfResources": int(outOfResources), "hipErrorNotSupported": int(stream.NotSupported), "HIPRTC_ERROR_COMPILATION": int(compilation),
		"hipErrorDeinitialized": 4, "hipErrorECCNotCorrectable": 214, "hipErrorIllegalAddress": 700, "hipErrorLaunchTimeOut": 702,
		"hipErrorContextIsDestroyed": 709, "hipErrorAssert": 710, "hipErrorLaunchFailure": 719,
	} {
		fmt.Fprintf(&text, "_Static_assert((int)(%s) == %d, %q);\n", name, value, name)
	}
	for n, name := range attributes {
		if n <= 88 || n >= 10000 && n <= 10016 { // the header of HIP 5.2 has no others
			fmt.Fprintf(&text, "_Static_assert((int)hipDeviceAttribute%s == %d, %q);\n", name, n, name)
		}
	}
	if err := check(text.String()); err != nil {
		t.Error(err)
	}
	if check("_Static_assert((int)hipDeviceAttributeWarpSize == 1, \"must fail\");\n") == nil {
		t.Error("the check finds nothing")
	}
}

// amd loads AMD's own library, which needs no GPU, beside what stands in for it.
func amd(t *testing.T) *driver {
	t.Helper()
	d, err := loadDriver("libamdhip64.so.7", "libamdhip64.so.6", "libamdhip64.so.5")
	if err != nil {
		t.Skipf("needs AMD's runtime library (Debian: libamdhip64-5): %v", err)
	}
	return d
}

// TestWithoutGPU: AMD's library on a machine without a GPU says so, with the code.
func TestWithoutGPU(t *testing.T) {
	d := amd(t)
	err := d.start()
	if err == nil {
		t.Skip("there is an AMD GPU: this is about machines without one")
	}
	var e *hal.Error
	if !errors.Is(err, hal.ErrUnavailable) || !errors.As(err, &e) || e.Code != int(noDevice) && e.Code != int(invalidDevice) || e.Name == "" || e.Op != "hipInit" {
		t.Errorf("%v: want ErrUnavailable with the driver's code and its name", err)
	}
	if d.version.major < 5 || d.Simulated != 0 {
		t.Errorf("version %v, simulated %v", d.version, d.Simulated != 0)
	}
	if infos, err := d.list(); !errors.Is(err, hal.ErrUnavailable) || len(infos) != 0 {
		t.Errorf("%d devices, %v", len(infos), err)
	}
	for r, want := range map[result]string{stream.OutOfMemory: "hipErrorOutOfMemory", noDevice: "hipErrorNoDevice", 719: "hipErrorLaunchFailure"} {
		if got := d.errorName(r); got != want {
			t.Errorf("%d is %q, want %q", r, got, want)
		}
	}
	t.Log(err)
}

// TestHiprtc compiles with AMD's own compiler, which needs no GPU.
func TestHiprtc(t *testing.T) {
	d := amd(t)
	c, err := d.compile()
	if errors.Is(err, hal.ErrUnavailable) {
		t.Skipf("hiprtc is not installed: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	archs := []string{"gfx90a", "gfx1030"}
	for _, k := range known[1:] { // what the first version has not, all of it
		for _, arch := range k.archs {
			if d.version.compiles(arch) == nil {
				archs = append(archs, arch)
			}
		}
	}
	for _, arch := range archs {
		opts := append([]string{"--offload-arch=" + arch}, options...)
		image, err := c.build(t.Context(), "hip:0", hal.Source{Name: "add.c", Text: addSource}, arch, opts, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := entryPoints(image), []string{"add", "another"}; !slices.Equal(got, want) {
			t.Errorf("%s: kernels %q, want %q", arch, got, want)
		}
		_, err = c.build(t.Context(), "hip:7", hal.Source{Name: "whole.c", Text: "\n#line 1 \"user.c\"\nextern \"C\" __global__ void k(int *p) {\n\t*p = nope;\n}\n"}, arch, opts, nil)
		var ce *hal.CompileError
		if !errors.As(err, &ce) || ce.Device != "hip:7" || ce.Source != "whole.c" || !strings.HasPrefix(ce.Log, "user.c:2:") || strings.Contains(ce.Log, "generated") {
			t.Errorf("a mistake in line 2: %v", err)
		}
	}
	if d.version.major < 7 { // this one would end the process
		if _, err := c.build(t.Context(), "hip:0", hal.Source{Name: "a", Text: addSource}, "gfx9999", options, nil); !errors.Is(err, hal.ErrUnavailable) || !strings.Contains(err.Error(), "gfx9999") {
			t.Errorf("an unknown architecture: %v", err)
		}
	}
}

func TestErrors(t *testing.T) {
	needLibrary(t)
	d, err := startedDriver()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		code     result
		name     string
		sentinel error
		cause    string
	}{
		{2, "hipErrorOutOfMemory", hal.ErrOutOfMemory, ""},
		{101, "hipErrorInvalidDevice", hal.ErrNoDevice, ""},
		{214, "hipErrorECCNotCorrectable", hal.ErrDeviceLost, "memory error"},
		{700, "hipErrorIllegalAddress", hal.ErrDeviceLost, "illegal address"},
		{701, "hipErrorLaunchOutOfResources", hal.ErrInvalid, "registers"},
		{719, "hipErrorLaunchFailure", hal.ErrDeviceLost, "trap"},
		{400, "hipErrorInvalidHandle", nil, ""},
		{31337, "hipErrorUnknown", nil, ""},
	} {
		e := d.failure("op", "hip:0", tt.code)
		if e.Code != int(tt.code) || e.Name != tt.name || tt.sentinel != nil && !errors.Is(e, tt.sentinel) || !strings.Contains(e.Error(), tt.cause) {
			t.Errorf("%d: %v", tt.code, e)
		}
	}
}

func TestFacts(t *testing.T) {
	d := needStandIn(t)
	facts := map[string]hal.Fact{}
	for f := range open(t).Facts(t.Context()) {
		facts[f.Name] = f
	}
	if f := facts["WarpSize"]; f.Value != "32" || f.Source != "hipDeviceGetAttribute(87)" {
		t.Errorf("%+v", f)
	}
	if f := facts["HostNativeAtomicSupported"]; f.Value != "" || f.Error != "hipErrorInvalidValue (1)" { // the stand-in does not know it
		t.Errorf("%+v", f)
	}
	if facts["driver_version"].Value != d.version.String() || facts["arch"].Value == "" {
		t.Errorf("%+v", facts)
	}
	// What no attribute tells: the other device of the stand-in, and functions.
	for name, want := range map[string]string{"peers": "1", "peers_access": "1", "peers_native_atomics": "1", "hipLaunchHostFunc": "1", "hipEventElapsedTime": "0"} {
		if facts[name].Value != want || facts[name].Error != "" {
			t.Errorf("%s: %+v", name, facts[name])
		}
	}
	for spec, want := range map[string]string{
		"hipDeviceCanAccessPeer:1=101": "of hip:1: hipErrorInvalidDevice (101)", "hipDeviceGetP2PAttribute:2=801": "of hip:1: hipErrorNotSupported (801)",
		"hipGetDeviceCount=1": "hipErrorInvalidValue (1)",
	} {
		dev := open(t).Driver().(*device)
		standInFaults(t, d, spec)
		for _, f := range dev.peers() {
			if f.Error != want || f.Value != "" {
				t.Errorf("%s: %+v", spec, f)
			}
		}
		must(t, standin.Faults(d.path, ""))
	}
}

func TestTidy(t *testing.T) {
	for log, want := range map[string]string{
		"a.c:1:2: error: x\n1 error generated when compiling for gfx90a.\n\x00": "a.c:1:2: error: x",
		"a.c:1:2: error: x\n2 errors generated.\n":                              "a.c:1:2: error: x",
		"": "",
	} {
		if got := tidy(log); got != want {
			t.Errorf("tidy(%q) = %q, want %q", log, got, want)
		}
	}
}

func TestCache(t *testing.T) {
	needGPU(t)
	t.Setenv("DIALTONE_CACHE", t.TempDir())
	dev := open(t).Driver().(*device)
	src := hal.Source{Name: "cache.kernel.c", Text: addSource}
	get := func(fresh bool) ([]byte, string) {
		t.Helper()
		image, key, err := dev.fetch(t.Context(), src, fresh)
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
	if key == "" || !slices.Equal(first, again) {
		t.Fatalf("entry %q, the same code: %v", key, slices.Equal(first, again))
	}
	if _, k := get(true); k != "" {
		t.Error("fresh code came from the cache")
	}
	c, _ := dev.api.compile()
	info := dev.Info()
	info.Subgroup ^= 96 // 32 for 64, 64 for 32
	h, err := dev.api.streams.Open(info, stream.Limits{}, nil)
	must(t, err)
	other := &device{Handle: h, api: dev.api, clock: dev.clock}
	for what, k := range map[string]string{
		"name": dev.entry(hal.Source{Name: "b", Text: addSource}, c), "text": dev.entry(hal.Source{Name: src.Name, Text: addSource + " "}, c),
		"lanes": other.entry(src, c),
	} {
		if k == key {
			t.Errorf("the same entry for another %s", what)
		}
	}
	// A damaged entry is not taken.
	path, ok := cache.Path(key)
	if !ok {
		t.Fatalf("no entry %s", key)
	}
	data, _ := os.ReadFile(path)
	data[len(data)-1] ^= 1
	must(t, os.WriteFile(path, data, 0o600))
	if image, k := get(false); k != "" || len(image) == 0 {
		t.Error("a damaged entry was taken")
	}
}

// standInFaults makes calls of the stand-in fail, until the test's end: see standin.c.
func standInFaults(t *testing.T, d *driver, spec string) {
	t.Helper()
	must(t, standin.Faults(d.path, spec))
	t.Cleanup(func() { must(t, standin.Faults(d.path, "")) })
}
