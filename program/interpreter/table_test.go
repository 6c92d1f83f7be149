package interpreter_test

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
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
// each case, and there is one jump by it. Without it an instruction costs eight comparisons more, one after the other, and with two parts of it a second jump.
func TestCUDATable(t *testing.T) {
	const region = "DEVICE hc_u32 vm_region_0(vm_state *vm, GLOBAL hc_u64 *fp, hc_u32 *fuel) { return 0u; }\n"
	code := compiled(t, interpreter.Source(interpreter.Parts{Host: wasi.KernelSource, Native: region, Regions: 1}))
	var most uint64
	jumps := 0
	for _, s := range code.Sections {
		switch {
		case strings.HasPrefix(s.Name, ".nv.constant") && strings.HasSuffix(s.Name, ".vm_run") && s.Name != ".nv.constant0.vm_run": // 0 has the parameters
			most = max(most, s.Size)
		case s.Name == ".text.vm_run":
			text, err := s.Data()
			if err != nil {
				t.Fatal(err)
			}
			for ; len(text) >= 16; text = text[16:] {
				if binary.LittleEndian.Uint16(text)&0xfff == brx {
					jumps++
				}
			}
		}
	}
	if cases := uint64(len(bytecode.ByUse())); most < 4*cases*9/10 {
		t.Errorf("tables of %d bytes for %d cases", most, cases)
	}
	if jumps < 1 || jumps > 2 { // one is for what the kernel does when the interpreter has stopped
		t.Errorf("%d jumps by tables", jumps)
	}
}

// brx is the operation of a jump to an address in a register, in machine code for sm_90: nvdisasm shows it as BRX.
const brx = 0x949

// compiled is what NVRTC makes of a kernel for sm_90. It skips without one.
func compiled(t *testing.T, source string) *elf.File {
	t.Helper()
	nvrtc, err := dl.Open("libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so.11.2", "libnvrtc.so")
	if err != nil {
		t.Skipf("NVRTC is not installed: %v", err)
	}
	unit, err := device.Parse("vm.kernel.c", source)
	if err != nil {
		t.Fatal(err)
	}
	text, err := unit.Assemble("cuda-c++", device.Options{Calls: map[string]uint16{wasi.Import: 0x8000}})
	if err != nil {
		t.Fatal(err)
	}
	find := func(name string) dl.Func {
		f := nvrtc.Lookup("nvrtc" + name)
		if f == 0 {
			t.Skipf("%s has no nvrtc%s", nvrtc.Path, name)
		}
		return f
	}
	good := func(name string, r uintptr) {
		t.Helper()
		if uint32(r) != 0 {
			t.Fatalf("nvrtc%s: %d", name, uint32(r))
		}
	}
	// Pointers become numbers in the arguments of Call and nowhere else: a stack may move.
	var program, size uintptr
	cText, file := dl.CString(text), dl.CString("vm.kernel.c")
	good("CreateProgram", find("CreateProgram").Call(uintptr(unsafe.Pointer(&program)), uintptr(unsafe.Pointer(&cText[0])), uintptr(unsafe.Pointer(&file[0])), 0, 0, 0))
	defer func() { good("DestroyProgram", find("DestroyProgram").Call(uintptr(unsafe.Pointer(&program)))) }()
	var options []*byte
	for _, o := range []string{"--gpu-architecture=sm_90", "--std=c++17", "--device-as-default-execution-space"} {
		options = append(options, &dl.CString(o)[0])
	}
	good("CompileProgram", find("CompileProgram").Call(program, uintptr(len(options)), uintptr(unsafe.Pointer(&options[0]))))
	good("GetCUBINSize", find("GetCUBINSize").Call(program, uintptr(unsafe.Pointer(&size))))
	if size < 64 {
		t.Fatalf("NVRTC gives %d bytes", size)
	}
	image := make([]byte, size)
	good("GetCUBIN", find("GetCUBIN").Call(program, uintptr(unsafe.Pointer(&image[0]))))
	copy(image[20:], []byte{1, 0, 0, 0}) // the version, which is NVIDIA's own
	code, err := elf.NewFile(bytes.NewReader(image))
	if err != nil {
		t.Fatal(err)
	}
	return code
}
