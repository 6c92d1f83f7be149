package region_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/hostcall"
	"github.com/dialtone-gpu/dialtone/internal/devicetest"
	"github.com/dialtone-gpu/dialtone/program/machine"
	"github.com/dialtone-gpu/dialtone/program/region"
	"github.com/dialtone-gpu/dialtone/program/wasm"
	"github.com/dialtone-gpu/dialtone/program/wasm/wasmtest"
)

// hosts are the functions that the whole programs of these tests import: the second adds, the third ends the program.
var hosts = []wasm.FuncType{{Params: i32}, {Params: i32 + i64, Results: i64}, {}}

// whole makes a module that has most of what regions have not: host functions, calls through a table, recursion, memory that grows.
// Its functions, behind the imported ones: sum, which is recursive; through, which calls through the table; grow; odd and even, which call each other;
// and main.
func whole(r *rand.Rand) []byte {
	const (
		print, add, quit, sum, through, grow, even, odd, twins, main = 0, 1, 2, 3, 4, 5, 6, 7, 8, 9
	)
	funcs := []wasm.FuncType{{Params: i32 + i64, Results: i64}, {Params: i32 + i32 + i64, Results: i64}, {Params: i32, Results: i32}, {Params: i32, Results: i32},
		{Params: i32, Results: i32}, {Params: i32, Results: i64 + i32}, {}}
	types := append(append([]wasm.FuncType{}, hosts...), funcs...)
	depth := func(more string) []byte { // local 0 less one
		return cat(wasm.LocalGet, 0, wasm.I32Const, 1, wasm.I32Sub, more)
	}
	body := func(code ...any) []byte { return wasmtest.Sized(0, cat(code...), wasm.End) }
	bodies := [][]byte{
		// sum(n, x) = n == 0 ? x : add(n, sum(n - 1, x * 3))
		body(wasm.LocalGet, 0, wasm.I32Eqz, wasm.If, 0x40, wasm.LocalGet, 1, wasm.Return, wasm.End,
			wasm.LocalGet, 0, depth(""), wasm.LocalGet, 1, wasm.I64Const, 3, wasm.I64Mul, wasm.Call, sum, wasm.Call, add),
		// through(i, n, x) = table[i](n, x)
		body(wasm.LocalGet, 1, wasm.LocalGet, 2, wasm.LocalGet, 0, wasm.CallIndirect, 1, 0),
		// grow(pages) grows, and writes to the last word
		body(wasm.LocalGet, 0, wasm.MemoryGrow, 0, wasm.MemorySize, 0, wasm.I32Const, s64(65536), wasm.I32Mul, wasm.I32Const, 4, wasm.I32Sub, wasm.LocalGet, 0, wasm.I32Store, 2, 0),
		body(wasm.LocalGet, 0, wasm.I32Eqz, wasm.If, 0x40, wasm.I32Const, 1, wasm.Return, wasm.End, depth(""), wasm.Call, odd),
		body(wasm.LocalGet, 0, wasm.I32Eqz, wasm.If, 0x40, wasm.I32Const, 0, wasm.Return, wasm.End, depth(""), wasm.Call, even),
		// twins(n) = two results
		body(wasm.LocalGet, 0, wasm.I64ExtendI32S, wasm.I64Const, 7, wasm.I64Mul, wasm.LocalGet, 0, wasm.Call, even),
	}
	var code []byte
	store := func(op wasm.Op, at int, value []byte) {
		code = append(code, cat(wasm.I32Const, s64(int64(at)), value, op, 0, 0)...)
	}
	for i := range 40 {
		small := func() []byte { return cat(wasm.I32Const, s64(int64(r.IntN(30)))) }
		long := func() []byte { return cat(wasm.I64Const, s64(int64(r.Uint64()))) }
		at := 64 + i*16
		switch r.IntN(7) {
		case 0:
			code = append(code, cat(small(), wasm.Call, print)...)
		case 1:
			store(wasm.I64Store, at, cat(small(), long(), wasm.Call, sum))
		case 2: // seldom not there, or of another type
			element := pick(r, []int{1, 1, 1, 1, 1, 3, 3, 3, 3, 3, 0, 2, 9})
			if i < 25 {
				element |= 1
				element %= 4
			}
			store(wasm.I64Store, at, cat(wasm.I32Const, element, small(), long(), wasm.Call, through))
		case 3:
			store(wasm.I32Store, at, cat(wasm.I32Const, r.IntN(3), wasm.Call, grow))
		case 4:
			store(wasm.I32Store, at, cat(small(), wasm.Call, pick(r, []int{even, odd})))
		case 5:
			code = append(code, cat(small(), wasm.Call, twins, wasm.GlobalSet, 0, wasm.GlobalSet, 1)...)
			store(wasm.I32Store, at, cat(wasm.GlobalGet, 0))
			store(wasm.I64Store, at+8, cat(wasm.GlobalGet, 1))
		case 6:
			switch {
			case i < 20:
			case r.IntN(4) == 0:
				code = append(code, cat(wasm.Call, quit)...)
			case r.IntN(4) == 0:
				store(wasm.I32Store, at, cat(wasm.I32Const, s64(1<<30), wasm.Call, even)) // too deep
			}
		}
	}
	bodies = append(bodies, body(code))
	var encoded, imports, functions [][]byte
	for i, t := range types {
		encoded = append(encoded, wasmtest.FuncType(t.Params, t.Results))
		if i < len(hosts) {
			imports = append(imports, cat(wasmtest.Name("host"), wasmtest.Name(fmt.Sprint(i)), 0, i))
		} else {
			functions = append(functions, u32(uint32(i)))
		}
	}
	// Types 1 and 3 are equal, as sum and add may both be called through element 1 and 3.
	globals := wasmtest.Vec(cat(wasm.I32, 1, wasm.I32Const, 0, wasm.End), cat(wasm.I64, 1, wasm.I64Const, 0, wasm.End))
	exports := wasmtest.Vec(cat(wasmtest.Name("main"), 0, main), cat(wasmtest.Name("memory"), 2, 0))
	elements := wasmtest.Vec(cat(0, wasm.I32Const, 1, wasm.End, wasmtest.Vec(u32(sum), u32(even), u32(add))))
	return wasmtest.File(wasmtest.Section(1, wasmtest.Vec(encoded...)), wasmtest.Section(2, wasmtest.Vec(imports...)), wasmtest.Section(3, wasmtest.Vec(functions...)),
		wasmtest.Section(4, wasmtest.Vec(cat(wasm.FuncRef, 0, 6))), wasmtest.Section(5, wasmtest.Vec(cat(1, 1, 4))), wasmtest.Section(6, globals),
		wasmtest.Section(7, exports), wasmtest.Section(9, elements), wasmtest.Section(10, wasmtest.Vec(bodies...)))
}

// programMacros come before all other text.
const programMacros = "#define VM_WHOLE 1\n#define VM_STACK_BYTES 32768u\n#define VM_TURNS 100u\n#define VM_CANCELLED 101u\n"

// programHarness runs whole programs, one per work-item. Host function 0 notes its parameter behind the memory, and 2 ends the program with the number 100.
const programHarness = `
#define MOST 4u
HC_NOINLINE void vm_over(vm_state *vm) {
    vm->own[0] = vm->trap;
    vm->own[1] = vm->bytes >> 16;
    vm->own[2] = vm->function;
}
HC_NOINLINE void vm_host(vm_state *vm, hc_u32 number);
PROGRAM
HC_NOINLINE void vm_host(vm_state *vm, hc_u32 number) {
    GLOBAL hc_u64 *area = vm->area;
    if (number == 0u) {
        area[8u + (hc_u32)area[7]] = area[0];
        area[7]++;
    } else if (number == 1u) area[0] = (hc_u64)(hc_u32)area[0] * 5u + area[1];
    else {
        vm->trap = 100u;
        VM_STOP(vm)
    }
}
KERNEL(programs, GLOBAL hc_u64 *areas, GLOBAL hc_u64 *globals, GLOBAL hc_u8 *memory, GLOBAL hc_u64 *results) {
    const hc_u32 i = hc_global_id();
    vm_state state;
    state.memory = memory + (hc_u64)i * (MOST << 16);
    state.bytes = 1u << 16;
    state.globals = globals + i * 2u;
    state.trap = 0u;
    state.function = 0xffffffffu;
    state.limit = MOST << 16;
    state.turns = VM_TURNS;
    state.area = areas + i * 64u;
    HC_KEEP(&state.item);
    state.own = results + i * 3u;
    vm_program(&state);
    vm_over(&state);
}
`

const ended machine.Trap = 100

// TestPrograms compares whole programs with wazero, where the language has recursion.
func TestPrograms(t *testing.T) {
	const areaWords, most = 64, 4
	recursive(t, func(t *testing.T, dev *hal.Device, rt *hostcall.Runtime) {
		seen := map[machine.Trap]int{}
		seeds := uint64(4)
		if dev.Info().Backend != "cpu" {
			seeds = 2
		}
		for seed := range seeds {
			file := whole(rand.New(rand.NewPCG(seed, 3)))
			p, m := loaded(t, rt, file)
			all := [][]byte{make([]byte, areaWords*8), make([]byte, 16), make([]byte, most*pageSize), make([]byte, 24)}
			launch(t, dev, p, 1, all)
			p.Close()
			trap, pages := machine.Trap(binary.LittleEndian.Uint32(all[3])), binary.LittleEndian.Uint32(all[3][8:])
			seen[trap]++
			function := binary.LittleEndian.Uint32(all[3][16:])
			if known := int(function) >= len(hosts) && int(function) < len(m.Funcs); trap != ended && known != (trap != machine.None) {
				t.Errorf("seed %d: %v in function %d", seed, trap, function)
			}
			wantTrap, wantPrinted, wantMemory := wholeReference(t, file)
			var printed []uint64
			for i := range binary.LittleEndian.Uint64(all[0][7*8:]) {
				printed = append(printed, binary.LittleEndian.Uint64(all[0][(8+i)*8:]))
			}
			if trap != wantTrap || fmt.Sprint(printed) != fmt.Sprint(wantPrinted) || int(pages)*pageSize != len(wantMemory) {
				t.Errorf("seed %d: %v, %d pages, printed %v; want %v, %d, %v", seed, trap, pages, printed, wantTrap, len(wantMemory)/pageSize, wantPrinted)
			} else if string(all[2][:len(wantMemory)]) != string(wantMemory) {
				t.Errorf("seed %d: another memory", seed)
			}
		}
		t.Logf("ends %v", seen)
	})
}

// accesses makes a program that does one of them: which one, the word of memory at accessNumber says. It prints what it loads, and whether it goes on behind a trap.
func accesses(r *rand.Rand) (file []byte, count int) {
	const print = 0
	var cases [][]byte
	for _, op := range machine.Operations() {
		if op.Op < wasm.I32Load || op.Op > wasm.I64Store32 {
			continue
		}
		width := int64(op.Op.Info().Width)
		offsets := []int64{0, 1, 4, 1000, pageSize - width, pageSize, 1<<32 - 8, 1<<32 - 1}
		ends := []int64{pageSize - width, pageSize - width + 1, pageSize - 1, pageSize, 1 << 31, 1<<32 - width, 1<<32 - 1}
		for _, at := range append(ends, 0, 1, 2, 3, 4, 5, 6, 7, 9, 4090) {
			offset := pick(r, offsets)
			if r.IntN(2) == 0 { // so that both together are at the place
				offset = pick(r, []int64{0, 3, 8})
				at -= min(offset, at)
			}
			code := cat(wasm.I32Const, s64(int64(int32(at))), wasm.LocalSet, 0)
			address := cat(wasm.LocalGet, 0)
			if r.IntN(3) == 0 {
				address = cat(wasm.I32Const, s64(int64(int32(at))))
			}
			align := r.IntN(bits.Len64(uint64(width))) // what it claims need not be true
			access := cat(op.Op, u32(uint32(align)), u32(uint32(offset)))
			if op.Out == 0 {
				value := map[wasm.ValType][]byte{wasm.I32: cat(wasm.I32Const, s64(int64(int32(r.Uint32())))), wasm.I64: cat(wasm.I64Const, s64(int64(r.Uint64()))),
					wasm.F32: cat(wasm.I32Const, s64(int64(int32(r.Uint32()))), wasm.F32ReinterpretI32), wasm.F64: cat(wasm.I64Const, s64(int64(r.Uint64())), wasm.F64ReinterpretI64)}
				code = append(code, cat(address, value[wasm.ValType(op.In[1])], access)...)
			} else {
				bits := map[wasm.ValType][]byte{wasm.I32: cat(wasm.I64ExtendI32U), wasm.F32: cat(wasm.I32ReinterpretF32, wasm.I64ExtendI32U), wasm.F64: cat(wasm.I64ReinterpretF64)}
				code = append(code, cat(address, access, bits[op.Out], wasm.LocalTee, 1, wasm.I32WrapI64, wasm.Call, print,
					wasm.LocalGet, 1, wasm.I64Const, 32, wasm.I64ShrU, wasm.I32WrapI64, wasm.Call, print)...)
			}
			cases = append(cases, cat(code, wasm.I32Const, 1, wasm.Call, print))
		}
	}
	body := cat(2, 1, wasm.I32, 1, wasm.I64)
	for i, c := range cases { // a chain of ifs: it is not to be nested
		body = append(body, cat(wasm.I32Const, s64(accessNumber), wasm.I32Load, 2, 0, wasm.I32Const, s64(int64(i)), wasm.I32Eq, wasm.If, 0x40, c, wasm.End)...)
	}
	body = append(body, byte(wasm.End))
	return only(body), len(cases)
}

// only is a module of one function, whose body with its locals is given, and which the hosts come before.
func only(body []byte) []byte {
	const main = 3
	var types, imports [][]byte
	for i, t := range append(slices.Clone(hosts), wasm.FuncType{}) {
		types = append(types, wasmtest.FuncType(t.Params, t.Results))
		if i < len(hosts) {
			imports = append(imports, cat(wasmtest.Name("host"), wasmtest.Name(fmt.Sprint(i)), 0, u32(uint32(i))))
		}
	}
	return wasmtest.File(wasmtest.Section(1, wasmtest.Vec(types...)), wasmtest.Section(2, wasmtest.Vec(imports...)), wasmtest.Section(3, wasmtest.Vec(u32(main))),
		wasmtest.Section(5, wasmtest.Vec(cat(1, 1, 4))), wasmtest.Section(7, wasmtest.Vec(cat(wasmtest.Name("main"), 0, main), cat(wasmtest.Name("memory"), 2, 0))),
		wasmtest.Section(10, wasmtest.Vec(wasmtest.Sized(body))))
}

const accessNumber = 32768

// TestProgramAccesses has loads and stores of every width, at and beyond the end of memory and at all distances from a multiple of their size, whatever
// they claim: whole programs do what wazero does.
func TestProgramAccesses(t *testing.T) {
	file, count := accesses(rand.New(rand.NewPCG(5, 6)))
	begin := func(number int) []byte {
		memory := make([]byte, pageSize)
		for i := range memory {
			memory[i] = byte(i*7 + i>>8)
		}
		binary.LittleEndian.PutUint32(memory[accessNumber:], uint32(number))
		return memory
	}
	type outcome struct {
		trap    machine.Trap
		printed []uint64
		memory  []byte
	}
	wants := make([]outcome, count)
	traps := 0
	for i := range wants {
		w := &wants[i]
		if w.trap, w.printed, w.memory = wholeReference(t, file, begin(i)...); w.trap != machine.None {
			traps++
		}
	}
	if traps < count/5 || traps > count*4/5 {
		t.Errorf("%d of %d accesses trap", traps, count)
	}
	recursive(t, func(t *testing.T, dev *hal.Device, rt *hostcall.Runtime) {
		p, _ := loaded(t, rt, file)
		defer p.Close()
		const words, most = 64, 4
		all := [][]byte{make([]byte, count*words*8), make([]byte, count*16), make([]byte, count*most*pageSize), make([]byte, count*24)}
		for i := range count {
			copy(all[2][i*most*pageSize:], begin(i))
		}
		launch(t, dev, p, count, all)
		for i, want := range wants {
			area, result := all[0][i*words*8:], all[3][i*24:]
			var printed []uint64
			for k := range binary.LittleEndian.Uint64(area[7*8:]) {
				printed = append(printed, binary.LittleEndian.Uint64(area[(8+k)*8:]))
			}
			if trap := machine.Trap(binary.LittleEndian.Uint64(result)); trap != want.trap || !slices.Equal(printed, want.printed) {
				t.Errorf("access %d: %v, printed %x; want %v, %x", i, trap, printed, want.trap, want.printed)
			} else if trap == machine.None && string(all[2][i*most*pageSize:][:pageSize]) != string(want.memory) {
				t.Errorf("access %d: another memory", i)
			}
		}
	})
}

// TestProgramFill sets memory to a number that a compiler knows and whose byte's highest bit is set: as many at a time as a word has must not
// come out as a number with a sign.
func TestProgramFill(t *testing.T) {
	file := only(cat(0, wasm.I32Const, s64(61), wasm.I32Const, s64(0x1a7), wasm.I32Const, s64(100), wasm.MemoryFill, 0, wasm.End))
	want := make([]byte, pageSize)
	copy(want[61:], strings.Repeat("\xa7", 100))
	if trap, _, memory := wholeReference(t, file); trap != machine.None || !bytes.Equal(memory, want) {
		t.Fatalf("wazero: %v", trap)
	}
	recursive(t, func(t *testing.T, dev *hal.Device, rt *hostcall.Runtime) {
		p, _ := loaded(t, rt, file)
		defer p.Close()
		all := [][]byte{make([]byte, 64*8), make([]byte, 16), make([]byte, 4*pageSize), make([]byte, 24)}
		launch(t, dev, p, 1, all)
		if !bytes.Equal(all[2][:pageSize], want) {
			t.Errorf("memory from 56 on is %x", all[2][56:168])
		}
	})
}

// recursive runs a test on the devices whose language has recursion, which whole programs need.
func recursive(t *testing.T, test func(t *testing.T, dev *hal.Device, rt *hostcall.Runtime)) {
	devicetest.ForEach(t, func(t *testing.T, dev *hal.Device) {
		if d := dev.Info().Dialect; d == hal.OpenCL || d == hal.MSL {
			t.Skipf("%s has no recursion", d)
		}
		rt, err := hostcall.New(t.Context(), dev, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer rt.Close()
		test(t, dev, rt)
	})
}

// loaded is a file as a whole program, in the harness, and its module. Imports are named by their numbers.
func loaded(t *testing.T, rt *hostcall.Runtime, file []byte) (*hostcall.Program, *wasm.Module) {
	t.Helper()
	m, err := wasm.Decode(file)
	if err != nil {
		t.Fatal(err)
	}
	text, frame, err := region.Program(m, "main", func(_, name string) (n int, err error) {
		_, err = fmt.Sscan(name, &n)
		return n, err
	})
	if err != nil {
		t.Fatal(err)
	}
	p, err := rt.LoadSource(t.Context(), hal.Source{Name: "programs.kernel.c", Text: programMacros + machine.Source + strings.Replace(programHarness, "PROGRAM", text, 1),
		Stack: 32<<10 + 4<<10 + frame})
	if err != nil {
		t.Fatal(err)
	}
	return p, m
}

// wholeReference is what wazero does, with that in the beginning of memory.
func wholeReference(t *testing.T, file []byte, begin ...byte) (trap machine.Trap, printed []uint64, memory []byte) {
	rt := wazero.NewRuntime(t.Context())
	defer rt.Close(t.Context())
	ended := fmt.Errorf("the program ends")
	_, err := rt.NewHostModuleBuilder("host").
		NewFunctionBuilder().WithFunc(func(v uint32) { printed = append(printed, uint64(v)) }).Export("0").
		NewFunctionBuilder().WithFunc(func(a uint32, b uint64) uint64 { return uint64(a)*5 + b }).Export("1").
		NewFunctionBuilder().WithGoFunction(api.GoFunc(func(context.Context, []uint64) { panic(ended) }), nil, nil).Export("2").
		Instantiate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	mod, err := rt.InstantiateWithConfig(t.Context(), file, wazero.NewModuleConfig().WithStartFunctions())
	if err != nil {
		t.Fatal(err)
	}
	mod.Memory().Write(0, begin)
	_, err = mod.ExportedFunction("main").Call(t.Context())
	if err != nil && strings.Contains(err.Error(), ended.Error()) {
		trap = 100
	} else {
		trap = trapOf(t, err)
	}
	view, _ := mod.Memory().Read(0, mod.Memory().Size())
	return trap, printed, append([]byte(nil), view...)
}
