package device_test

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"github.com/dialtone-gpu/dialtone/device"
	"github.com/dialtone-gpu/dialtone/internal/devicetest"
	"github.com/dialtone-gpu/dialtone/internal/dl"
	"github.com/dialtone-gpu/dialtone/program/interpreter"
	"github.com/dialtone-gpu/dialtone/program/machine/machinetest"
	"github.com/dialtone-gpu/dialtone/program/region/regiontest"
	"github.com/dialtone-gpu/dialtone/program/wasi"
)

// programs is the file that runs ordinary programs. Compilers for devices take seconds for it.
const programs = "vm.kernel.c"

// everyFile gives kernel files that together use all of the library, and the one that runs ordinary programs, assembled for a dialect.
func everyFile(t *testing.T, dialect string, defines ...string) map[string]string {
	t.Helper()
	all := map[string]string{}
	check := read(t, "../hostcall/testdata/check.h")
	patterns := []string{"../hostcall/testdata/*.kernel.c", "../hostcall/probe/kernels/*.kernel.c", "../examples/*/*.kernel.c"}
	switch dialect { // other languages may refuse what these try
	case "cuda-c++":
		patterns = append(patterns, "../hostcall/probe/kernels/optional/*.kernel.c")
	case "hip-c++":
		patterns = append(patterns, "../hostcall/probe/kernels/optional/cycle.kernel.c")
	}
	add := func(path, text string) {
		u, err := device.Parse(filepath.Base(path), text)
		if err != nil {
			t.Fatal(err)
		}
		calls := map[string]uint16{}
		for i, name := range u.Imports {
			calls[name] = 0x8000 + uint16(i)
		}
		full, err := u.Assemble(dialect, device.Options{Defines: defines, Calls: calls})
		if err != nil {
			t.Fatal(err)
		}
		all[filepath.Base(path)] = full
	}
	for _, pattern := range patterns {
		paths, err := filepath.Glob(pattern)
		if err != nil || len(paths) == 0 {
			t.Fatalf("%s: %v", pattern, err)
		}
		for _, path := range paths {
			text := read(t, path)
			if strings.Contains(path, "testdata") {
				text = check + "#line 1 \"" + path + "\"\n" + text
			}
			add(path, text)
		}
	}
	trap := 0 // the call by which it would tell of one
	add(programs, interpreter.Source(interpreter.Parts{Host: wasi.KernelSource, Trapped: &trap}))
	add("regions.kernel.c", regiontest.ComputeKernel())
	add("soft.kernel.c", "#define VM_SOFT_FLOAT 1\n"+machinetest.Kernel())
	return all
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// compile runs a compiler over every file.
func compile(t *testing.T, files map[string]string, suffix string, command ...string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(t.TempDir(), strings.TrimSuffix(name, ".c")+suffix)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(command[0], append(command[1:], path)...)
		cmd.Dir = t.TempDir()
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%.4000s", name, err, out)
		}
	}
}

// find gives the first of the programs that is there.
func find(t *testing.T, names ...string) string {
	t.Helper()
	for _, n := range names {
		if path, err := exec.LookPath(n); err == nil {
			return path
		}
	}
	t.Skipf("none of %s is installed", strings.Join(names, ", "))
	return ""
}

var clangs = []string{"clang", "clang-20", "clang-19", "clang-18", "clang-17", "clang-16", "clang-15", "clang-14"}

func TestC11Compiles(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the cpu device needs POSIX")
	}
	prelude := read(t, "../backend/cpu/native/abi.h") + read(t, "../backend/cpu/native/bind.h")
	for _, defines := range [][]string{nil, {"HC_DEVICE_CLOCK"}, {device.Relaunch, "HC_DEVICE_CLOCK"}} {
		files := everyFile(t, "c11", defines...)
		for name := range files {
			files[name] = prelude + files[name]
		}
		strict := []string{"-std=gnu11", "-O1", "-fno-strict-aliasing", "-fPIC", "-c", "-o", filepath.Join(t.TempDir(), "x.o"), "-Wall", "-Werror",
			"-Wno-unused", "-Wno-unknown-pragmas", "-Wno-parentheses", "-Wno-maybe-uninitialized", "-Wno-unknown-warning-option"}
		t.Run("gcc", func(t *testing.T) { compile(t, files, ".c", append([]string{find(t, "gcc")}, strict...)...) })
		t.Run("clang", func(t *testing.T) { compile(t, files, ".c", append([]string{find(t, clangs...)}, strict...)...) })
		t.Run("tcc", func(t *testing.T) {
			compile(t, files, ".c", find(t, "tcc"), "-std=c11", "-w", "-c", "-o", filepath.Join(t.TempDir(), "x.o"))
		})
	}
}

func TestOpenCLCompiles(t *testing.T) {
	clang := find(t, clangs...)
	probe := exec.Command(clang, "-x", "cl", "-cl-std=CL1.2", "-Xclang", "-finclude-default-header", "-fsyntax-only", "-")
	probe.Stdin = strings.NewReader("__kernel void k(__global int *p) { *p = get_global_id(0); }")
	if out, err := probe.CombinedOutput(); err != nil {
		t.Skipf("%s compiles no OpenCL C: %v\n%.300s", clang, err, out)
	}
	for _, target := range []string{"spir64-unknown-unknown", "spir-unknown-unknown", "amdgcn-amd-amdhsa"} {
		t.Run(target, func(t *testing.T) {
			command := []string{clang, "-x", "cl", "-cl-std=CL1.2", "--target=" + target, "-Xclang", "-finclude-default-header", "-fsyntax-only",
				"-Wall", "-Werror", "-Wno-unused", "-Wno-unknown-pragmas", "-Wno-parentheses", "-Wno-maybe-uninitialized", "-Wno-unknown-warning-option"}
			probe := exec.Command(command[0], append(command[1:], "-")...)
			probe.Stdin = strings.NewReader("__kernel void k(__global int *p) { *p = 1; }")
			if out, err := probe.CombinedOutput(); err != nil {
				t.Skipf("%s does not compile for it: %v\n%.300s", clang, err, out)
			}
			for _, defines := range [][]string{nil, {device.Relaunch}} {
				compile(t, everyFile(t, "opencl-c-1.2", defines...), ".cl", command...)
			}
		})
	}
}

// TestOpenCLHasNoVariadicMacros asks a compiler that has them as an extension, and says so. NVIDIA's has none.
func TestOpenCLHasNoVariadicMacros(t *testing.T) {
	clang := find(t, clangs...)
	preprocess := func(text string) string {
		cmd := exec.Command(clang, "-x", "cl", "-cl-std=CL1.2", "-E", "-o", filepath.Join(t.TempDir(), "text"), "-Wpedantic", "-Wno-unknown-pragmas", "-")
		cmd.Stdin = strings.NewReader(text)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%.4000s", err, out)
		}
		return string(out)
	}
	const complaint = "variadic macros are a Clang extension in OpenCL"
	if out := preprocess("#define A(...) 1\n"); !strings.Contains(out, complaint) {
		t.Skipf("%s does not say %q", clang, complaint)
	}
	for name, text := range everyFile(t, "opencl-c-1.2") {
		if out := preprocess(text); strings.Contains(out, complaint) {
			t.Errorf("%s: %.4000s", name, out)
		}
	}
}

// runtimeCompiler is NVRTC or hiprtc, which have the same functions and results.
type runtimeCompiler struct{ create, compile, logSize, log, destroy dl.Func }

func bind(t *testing.T, lib *dl.Library, prefix string) (c runtimeCompiler) {
	t.Helper()
	for name, f := range map[string]*dl.Func{"CreateProgram": &c.create, "CompileProgram": &c.compile, "GetProgramLogSize": &c.logSize,
		"GetProgramLog": &c.log, "DestroyProgram": &c.destroy} {
		if *f = lib.Lookup(prefix + name); *f == 0 {
			t.Fatalf("%s has no %s%s", lib.Path, prefix, name)
		}
	}
	return c
}

// translate does as the manuals have it: create a program, compile it, ask for the log.
func (c runtimeCompiler) translate(t *testing.T, name, text string, options ...string) {
	source, file := dl.CString(text), dl.CString(name)
	var program, size uintptr
	argv := make([]*byte, len(options))
	for i, o := range options {
		argv[i] = &dl.CString(o)[0]
	}
	if r := c.create.Call(uintptr(unsafe.Pointer(&program)), uintptr(unsafe.Pointer(&source[0])), uintptr(unsafe.Pointer(&file[0])), 0, 0, 0); r != 0 {
		t.Fatalf("no program: %d", r)
	}
	defer func() { c.destroy.Call(uintptr(unsafe.Pointer(&program))) }()
	r := c.compile.Call(program, uintptr(len(argv)), uintptr(unsafe.Pointer(&argv[0])))
	c.logSize.Call(program, uintptr(unsafe.Pointer(&size)))
	log := make([]byte, max(size, 1))
	c.log.Call(program, uintptr(unsafe.Pointer(&log[0])))
	switch uint32(r) { // an int
	case 0:
	case 5: // NVRTC_ERROR_INVALID_OPTION, HIPRTC_ERROR_INVALID_OPTION
		t.Skipf("this compiler does not know one of %s", strings.Join(options, " "))
	default:
		t.Errorf("%s: %d\n%.4000s", name, uint32(r), bytes.TrimRight(log, "\x00"))
	}
}

// relaunched gives files that have all of the relaunch transport's client in them.
func relaunched(t *testing.T, dialect string) map[string]string {
	files := map[string]string{}
	for name, text := range everyFile(t, dialect, device.Relaunch) {
		if name == "relaunch.kernel.c" || name == "grep.kernel.c" || name == "printf.kernel.c" {
			files["relaunch/"+name] = text
		}
	}
	return files
}

// TestCUDACompiles uses NVRTC, to machine code, since only that has inline PTX looked at.
func TestCUDACompiles(t *testing.T) {
	lib, err := dl.Open("libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so.11.2", "libnvrtc.so")
	if err != nil {
		t.Skipf("NVRTC is not installed: %v", err)
	}
	nvrtc := bind(t, lib, "nvrtc")
	for _, arch := range []string{"sm_70", "sm_90"} {
		files := everyFile(t, "cuda-c++", "HC_DEVICE_CLOCK")
		if arch == "sm_90" {
			maps.Copy(files, relaunched(t, "cuda-c++"))
		} else {
			delete(files, programs) // only the library knows architectures
		}
		files["native floats"] = "#define PROBE_NATIVE 1\n" + files["floats.kernel.c"]
		for name, text := range files {
			t.Run(arch+"/"+name, func(t *testing.T) {
				nvrtc.translate(t, name, text, "--gpu-architecture="+arch, "--std=c++17", "--device-as-default-execution-space")
			})
		}
	}
}

// TestHIPRTCCompiles uses AMD's own compiler, which needs no GPU, for waves of 64 and of 32, with both transports. In a process of its own:
// hiprtc before HIP 7 ends its process over what it does not like, such as an architecture that it does not know.
func TestHIPRTCCompiles(t *testing.T) {
	for _, one := range []struct {
		arch  string
		since int // HIP_VERSION, hip_version.h
	}{{"gfx90a", 5_02_00000}, {"gfx1030", 5_02_00000}, {"gfx942", 5_07_00000}, {"gfx1100", 5_07_00000}} {
		t.Run(one.arch, func(t *testing.T) {
			lib, err := dl.Open("libhiprtc.so.7", "libhiprtc.so.6", "libamdhip64.so.5")
			if err != nil {
				t.Skipf("hiprtc is not installed (Debian: libamdhip64-5, libhiprtc-builtins5): %v", err)
			}
			var version int32
			if ask := lib.Lookup("hipRuntimeGetVersion"); ask != 0 { // the runtime of HIP 5 has hiprtc in it
				ask.Call(uintptr(unsafe.Pointer(&version)))
				if int(version) < one.since {
					t.Skipf("the hiprtc of HIP %d.%d does not know %s: make test-hiprtc has another", version/1e7, version/1e5%100, one.arch)
				}
			}
			t.Parallel()
			devicetest.Isolated(t, nil, func(t *testing.T) {
				hiprtc := bind(t, lib, "hiprtc")
				files := everyFile(t, "hip-c++", "HC_DEVICE_CLOCK")
				maps.Copy(files, relaunched(t, "hip-c++"))
				for name, text := range files {
					hiprtc.translate(t, name, text, append([]string{"--offload-arch=" + one.arch}, hipOptions...)...)
				}
			})
		})
	}
}

// hipOptions are those of package backend/hip that matter for what compiles.
var hipOptions = []string{"-std=c++17", "-O3", "-fno-strict-aliasing", "-w", "-DHC_CLOCK_KHZ=100000"}

// TestHIPCompiles compiles for waves of both sizes with clang, whose HIP is AMD's own, to machine code: of that there is only what
// the architecture has instructions for. The numbers are those of e_flags, "User Guide for AMDGPU Backend", section "Header".
func TestHIPCompiles(t *testing.T) {
	for arch, machine := range map[string]uint32{"gfx942": 0x4c, "gfx1100": 0x41, "gfx1201": 0x4e} {
		t.Run(arch, func(t *testing.T) {
			t.Parallel()
			for _, clang := range clangs {
				path, err := exec.LookPath(clang)
				if err != nil {
					continue
				}
				object := filepath.Join(t.TempDir(), "x.o")
				command := append([]string{path, "-x", "hip", "--cuda-device-only", "--no-gpu-bundle-output", "-nogpulib", "-nogpuinc", "--offload-arch=" + arch,
					"-S", "-Xclang", "-emit-obj", "-o", object, "-Werror=undefined-internal"}, hipOptions...) // -c would link
				accepts := func(text string) bool {
					probe := exec.Command(command[0], append(command[1:], "-")...)
					probe.Stdin = strings.NewReader(text)
					return probe.Run() == nil
				}
				if !accepts("") {
					continue // too old for it
				}
				defines := []string{"HC_DEVICE_CLOCK"}
				if strings.HasPrefix(arch, "gfx11") && accepts("#if __clang_major__ != 15\n#error newer\n#endif\n") {
					// It has no builtin for the clock, and with more than -O1 it runs a pass that writes to freed memory: see RATIONALE.md.
					defines, command = nil, append(command, "-O1")
				}
				for name, text := range everyFile(t, "hip-c++", defines...) {
					if name == programs && arch != "gfx1201" {
						continue // hiprtc compiles it for such architectures
					}
					compile(t, map[string]string{name: text}, ".hip", command...)
					if got := amdgpu(t, object); got != machine {
						t.Errorf("%s: code for machine %#x, want %#x", name, got, machine)
					}
				}
				return
			}
			t.Skipf("no clang that compiles HIP for %s is installed (Debian: clang-15, for gfx942 and gfx1201 clang-19)", arch)
		})
	}
}

// amdgpu is the processor that an object file is for, 0 if it is for none of AMD's.
func amdgpu(t *testing.T, path string) uint32 {
	t.Helper()
	head := make([]byte, 52)
	f, err := os.Open(path)
	if err != nil {
		t.Error(err)
		return 0
	}
	defer f.Close()
	if _, err := io.ReadFull(f, head); err != nil || string(head[:4]) != elf.ELFMAG {
		t.Errorf("%s is no object file: %v", path, err)
		return 0
	}
	if elf.Machine(binary.LittleEndian.Uint16(head[18:])) != elf.EM_AMDGPU {
		return 0
	}
	return binary.LittleEndian.Uint32(head[48:]) & 0xff // e_flags, EF_AMDGPU_MACH
}
