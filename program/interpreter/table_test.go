package interpreter_test

import (
	"bytes"
	"debug/elf"
	"strings"
	"testing"
	"unsafe"

	"github.com/dialtone-gpu/dialtone/device"
	"github.com/dialtone-gpu/dialtone/internal/dl"
	"github.com/dialtone-gpu/dialtone/program/bytecode"
	"github.com/dialtone-gpu/dialtone/program/interpreter"
	"github.com/dialtone-gpu/dialtone/program/wasi"
)

// TestCUDATable looks for the table of jumps in what NVIDIA's compiler makes of the kernel. It is in a bank of constants of its own, 4 bytes for
// each case. Without it an instruction costs eight comparisons more, one after the other.
func TestCUDATable(t *testing.T) {
	nvrtc, err := dl.Open("libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so.11.2", "libnvrtc.so")
	if err != nil {
		t.Skipf("NVRTC is not installed: %v", err)
	}
	unit, err := device.Parse("vm.kernel.c", interpreter.Source(interpreter.Parts{Host: wasi.KernelSource}))
	if err != nil {
		t.Fatal(err)
	}
	text, err := unit.Assemble("cuda-c++", device.Options{Calls: map[string]uint16{wasi.Import: 0x8000}})
	if err != nil {
		t.Fatal(err)
	}
	call := func(name string, args ...uintptr) {
		t.Helper()
		f := nvrtc.Lookup("nvrtc" + name)
		if f == 0 {
			t.Skipf("%s has no nvrtc%s", nvrtc.Path, name)
		}
		if r := f.Call(args...); uint32(r) != 0 {
			t.Fatalf("nvrtc%s: %d", name, uint32(r))
		}
	}
	var program, size uintptr
	source, file := dl.CString(text), dl.CString("vm.kernel.c")
	call("CreateProgram", uintptr(unsafe.Pointer(&program)), uintptr(unsafe.Pointer(&source[0])), uintptr(unsafe.Pointer(&file[0])), 0, 0, 0)
	defer func() { call("DestroyProgram", uintptr(unsafe.Pointer(&program))) }()
	var options []*byte
	for _, o := range []string{"--gpu-architecture=sm_90", "--std=c++17", "--device-as-default-execution-space"} {
		options = append(options, &dl.CString(o)[0])
	}
	call("CompileProgram", program, uintptr(len(options)), uintptr(unsafe.Pointer(&options[0])))
	call("GetCUBINSize", program, uintptr(unsafe.Pointer(&size)))
	binary := make([]byte, max(size, 1))
	call("GetCUBIN", program, uintptr(unsafe.Pointer(&binary[0])))
	copy(binary[20:], []byte{1, 0, 0, 0}) // the version, which is NVIDIA's own
	code, err := elf.NewFile(bytes.NewReader(binary))
	if err != nil {
		t.Fatal(err)
	}
	var most uint64
	for _, s := range code.Sections {
		if strings.HasPrefix(s.Name, ".nv.constant") && strings.HasSuffix(s.Name, ".vm_run") && s.Name != ".nv.constant0.vm_run" { // 0 has the parameters
			most = max(most, s.Size)
		}
	}
	if cases := uint64(len(bytecode.ByUse())); most < 4*cases*9/10 {
		t.Errorf("tables of %d bytes for %d cases", most, cases)
	}
}
