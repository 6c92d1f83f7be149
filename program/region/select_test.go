package region_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/dialtone-gpu/dialtone/program/region"
	"github.com/dialtone-gpu/dialtone/program/wasm"
	"github.com/dialtone-gpu/dialtone/program/wasm/wasmtest"
)

// functions is a module of functions of the type i32 -> i32, which call each other by their numbers; 0 is imported. It has a memory.
func functions(t testing.TB, codes ...[]byte) *wasm.Module {
	t.Helper()
	var kinds, bodies [][]byte
	for _, c := range codes {
		kinds = append(kinds, u32(0))
		bodies = append(bodies, wasmtest.Sized(wasmtest.Vec(cat(2, wasm.I32)), c, wasm.End))
	}
	m, err := wasm.Decode(wasmtest.File(wasmtest.Section(1, wasmtest.Vec(wasmtest.FuncType(i32, i32))),
		wasmtest.Section(2, wasmtest.Vec(cat(wasmtest.Name("m"), wasmtest.Name("f"), 0, 0))), wasmtest.Section(3, wasmtest.Vec(kinds...)),
		wasmtest.Section(4, wasmtest.Vec(cat(wasm.FuncRef, 0, 1))), wasmtest.Section(5, wasmtest.Vec(cat(0, 1))), wasmtest.Section(10, wasmtest.Vec(bodies...))))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// loop is a loop around some code, which ends when local 0 is 0.
func loop(code ...any) []byte {
	return cat(wasm.Loop, 0x40, cat(code...), wasm.LocalGet, 0, wasm.BrIf, 0, wasm.End)
}

// result is what every function ends with.
var result = cat(wasm.LocalGet, 0)

func TestSelect(t *testing.T) {
	call := func(fn int) []byte { return cat(wasm.LocalGet, 0, wasm.Call, fn, wasm.Drop) }
	step := cat(wasm.LocalGet, 0, wasm.I32Const, 1, wasm.I32Sub, wasm.LocalSet, 0)
	m := functions(t,
		cat(step, result),                      // 1: no loop
		cat(loop(step), result),                // 2
		cat(loop(call(0), loop(step)), result), // 3: calls the host around a loop
		cat(loop(call(2), call(1)), result),    // 4: calls functions that it may
		cat(loop(call(5), loop(step)), result), // 5: calls itself
		cat(loop(call(7)), result),             // 6
		cat(loop(call(6)), result),             // 7: each other
		cat(loop(cat(result, result, wasm.CallIndirect, 0, 0, wasm.Drop)), result),       // 8
		cat(loop(cat(result, wasm.MemoryGrow, 0, wasm.Drop)), result),                    // 9
		cat(wasm.Loop, 0x40, step, wasm.End, loop(step, loop(step)), loop(step), result), // 10: the first is none, since it never comes back
		cat(loop(cat(wasm.RefNull, wasm.FuncRef, wasm.Drop)), result),                    // 11
		cat(loop(call(3)), result), // 12: calls one that calls the host
	)
	for _, c := range []struct {
		options region.Options
		want    string
	}{
		{region.Options{}, "2+0/1 3+7/1 4+0/2[1 2] 5+7/1 10+10/2 10+38/1"},
		{region.Options{All: 36}, "4+0/2[1 2] 10+10/2"},                 // the deepest ones
		{region.Options{Each: 20}, "2+0/1 3+7/1 5+7/1 10+10/2 10+38/1"}, // the others are too large
		{region.Options{Each: 10}, "2+0/1 3+7/1 5+7/1 10+19/1 10+38/1"}, // of one of them, a loop in it is not
		{region.Options{Each: 1}, ""},
	} {
		var got []string
		regions := region.Select(m, c.options)
		for _, r := range regions {
			s := fmt.Sprintf("%d+%d/%d", r.Func, r.Start, r.Depth)
			if len(r.Calls) > 0 {
				s += fmt.Sprint(r.Calls)
			}
			got = append(got, s)
			if code := m.Funcs[r.Func].Code[r.Start:r.End]; code[0] != byte(wasm.Loop) || code[len(code)-1] != byte(wasm.End) {
				t.Errorf("%v is % x", &r, code)
			}
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%+v: %v, want %v", c.options, strings.Join(got, " "), c.want)
		}
		if text := region.Source(m, regions); strings.Count(text, "hc_u32 vm_region_") != len(regions) || text != region.Source(m, region.Select(m, c.options)) {
			t.Errorf("%+v: another text each time, or with other regions", c.options)
		}
	}
	want := "function 4 at 0x0: 22 instructions, loops 2 deep, with 2 functions"
	if r := region.Select(m, region.Options{})[2]; r.String() != want {
		t.Errorf("%v, want %s", &r, want)
	}
}

// TestDeeplyNested has loops around as many blocks as there may be, and around one more.
func TestDeeplyNested(t *testing.T) {
	nest := func(n int) []byte {
		var code []byte
		for range n {
			code = append(code, cat(wasm.Block, 0x40)...)
		}
		code = append(code, cat(wasm.LocalGet, 0, wasm.Call, 1, wasm.BrIf, u32(uint32(n/2)))...)
		for range n {
			code = append(code, cat(wasm.End)...)
		}
		return code
	}
	m := functions(t, result, cat(loop(nest(200)), loop(nest(201)), loop(nest(3)), result))
	regions := region.Select(m, region.Options{})
	if len(regions) != 2 || !reflect.DeepEqual(regions[0].Calls, []int{1}) || regions[1].Size > 20 {
		t.Errorf("%v", regions)
	}
}

// TestExits has the labels to which a region goes, as they are numbered behind it.
func TestExits(t *testing.T) {
	m := functions(t, cat(
		wasm.Block, 0x40,
		wasm.Block, wasm.I32,
		wasm.Loop, 0x40,
		wasm.I32Const, 5, wasm.LocalGet, 0, wasm.BrIf, 1, wasm.Drop,
		wasm.Block, 0x40, wasm.LocalGet, 0, wasm.BrTable, wasmtest.Vec(u32(0), u32(1), u32(3)), 0, wasm.End,
		wasm.LocalGet, 1, wasm.If, 0x40, wasm.I32Const, 6, wasm.Return, wasm.End,
		wasm.End,
		wasm.I32Const, 7,
		wasm.End, wasm.Drop,
		wasm.End,
		wasm.I32Const, 8))
	regions := region.Select(m, region.Options{})
	if len(regions) != 1 || !reflect.DeepEqual(regions[0].Exits, []int{region.Again, 1, 2, 3, 0}) {
		t.Errorf("%+v", regions)
	}
}

// TestText shows what regions are in C.
func TestText(t *testing.T) {
	m := functions(t, cat(
		wasm.Block, 0x40,
		wasm.Loop, 0x40,
		wasm.Block, 0x40,
		wasm.LocalGet, 0, wasm.I32Load8U, 0, 3, wasm.LocalTee, 1, wasm.BrTable, wasmtest.Vec(u32(0), u32(1)), 2,
		wasm.End,
		wasm.LocalGet, 0, wasm.LocalGet, 1, wasm.LocalGet, 2, wasm.I32DivU, wasm.I32Store, 2, 0,
		wasm.LocalGet, 2, wasm.LocalGet, 0, wasm.I32Const, 1, wasm.I32Add, wasm.LocalTee, 0, wasm.I32LtU, wasm.BrIf, 0,
		wasm.End, wasm.End,
		wasm.LocalGet, 0))
	want := `
HC_NOINLINE hc_u32 vm_region_0(vm_state *state, GLOBAL hc_u64 *fp, hc_u32 *fuel) {
    hc_u32 out = 0u;
    vm_state own = *state;
    vm_state *const vm = &own;
    hc_u32 left = *fuel;
    hc_u32 to = 0u;
    hc_u32 l0 = (hc_u32)fp[0];
    hc_u32 l1 = (hc_u32)fp[1];
    hc_u32 l2 = (hc_u32)fp[2];
    for (;;) {
        VM_CHECK(0u)
        if ((hc_i32)left <= 0) {
            out = 0u;
            break;
        }
        left--;
        do {
            const hc_u32 t1 = vm_load1(vm, (hc_u64)l0 + 0x3u);
            l1 = t1;
            switch (l1) {
            case 0u: {
                break;
            }
            case 1u: {
                to = 3u;
                break;
            }
            default: {
                out = 1u;
                to = 1u;
                break;
            }
            }
            break;
        } while (0);
        if (to == 3u) {
            to = 0u;
            continue;
        }
        if (to != 0u) break;
        const hc_u32 t2 = vm_i32_div_u(vm, l1, l2);
        VM_CHECK(0u)
        vm_store4(vm, (hc_u64)l0, t2);
        l0 = (l0 + 0x1u);
        if (l2 < l0) {
            continue;
        }
        out = 2u;
        break;
    }
    VM_CHECK(0u)
    VM_LEAVE(fp[0], l0)
    VM_LEAVE(fp[1], l1)
    *fuel = (hc_i32)left > 0 ? left : 0u;
    return out;
}
`
	_, got, _ := strings.Cut(region.Source(m, region.Select(m, region.Options{})), "\n\n")
	if strings.TrimSpace(got) != strings.TrimSpace(want) {
		t.Error(got)
	}
}

// TestProgramRefuses names what a program in C cannot have.
func TestProgramRefuses(t *testing.T) {
	none := func(string, string) (int, error) { return 0, nil }
	m, err := wasm.Decode(whole(rand.New(rand.NewPCG(0, 3))))
	if err != nil {
		t.Fatal(err)
	}
	long, err := wasm.Decode(wasmtest.File(wasmtest.Section(1, wasmtest.Vec(wasmtest.FuncType("", ""))), wasmtest.Section(3, wasmtest.Vec(u32(0))),
		wasmtest.Section(7, wasmtest.Vec(cat(wasmtest.Name("main"), 0, 0))),
		wasmtest.Section(10, wasmtest.Vec(wasmtest.Sized(0, bytes.Repeat([]byte{byte(wasm.Nop)}, 100_001), wasm.End)))))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		m     *wasm.Module
		entry string
		bind  region.Binding
		want  string
	}{
		{m, "none", none, `exports no function "none"`},
		{long, "main", none, "100001 instructions"},
		{m, "main", func(module, name string) (int, error) { return 0, fmt.Errorf("no %s.%s", module, name) }, "no host.0"},
	} {
		if _, _, err := region.Program(c.m, c.entry, c.bind); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
}
