// Package regiontest has a kernel that runs regions by themselves, and loops of a C program, for tests.
package regiontest

import (
	_ "embed"
	"fmt"
	"strings"

	"github.com/dialtone-gpu/dialtone/program/machine"
	"github.com/dialtone-gpu/dialtone/program/region"
	"github.com/dialtone-gpu/dialtone/program/wasm"
)

// Compute is a module whose exported functions are loops, as many turns of each as the word at Turns says.
//
//go:embed testdata/compute.wasm
var Compute []byte

// Turns is where Compute has how many turns to take.
const Turns = 1024

// Slots of a frame.
const Slots = 64

const harness = `
#define FRAME SLOTSu
#define PAGE 65536u
KERNEL(regions, GLOBAL hc_u32 *jobs, GLOBAL hc_u64 *frames, GLOBAL hc_u64 *globals, GLOBAL hc_u8 *memory, hc_u32 count) {
    const hc_u32 i = hc_global_id();
    GLOBAL hc_u32 *const job = jobs + i * 8u;
    vm_state state;
    hc_u32 out, fuel, calls = 0u;
    if (i < count) {
        state.memory = memory + (hc_u64)i * PAGE;
        state.bytes = PAGE;
        state.globals = globals + i * GLOBALS;
        state.trap = 0u;
        do {
            fuel = job[2];
            out = 0u;
            switch (job[0]) {
CASES
            }
            calls++;
        } while (state.trap == 0u && out == job[1] && calls < 1000000u);
        job[3] = out;
        job[4] = state.trap;
        job[5] = calls;
    }
}
`

// Kernel is the text of
//
//	KERNEL(regions, GLOBAL hc_u32 *jobs, GLOBAL hc_u64 *frames, GLOBAL hc_u64 *globals, GLOBAL hc_u8 *memory, hc_u32 count)
//
// Each work-item below count calls a region until it leaves by another exit than region.Again. Of its 8 words in jobs, the first three say the region, the
// number of its exit region.Again, and the fuel of each call; the next three are the last exit, the trap, and how many calls there were. Its
// frame has Slots slots, its memory is a page, and of globals there are those of m, or one if there are none.
func Kernel(m *wasm.Module, regions []region.Region) string {
	var cases strings.Builder
	for i := range regions {
		fmt.Fprintf(&cases, "            case %du: out = vm_region_%[1]d(&state, frames + i * FRAME, &fuel); break;\n", i)
	}
	text := strings.NewReplacer("CASES\n", cases.String(), "SLOTS", fmt.Sprint(Slots), "GLOBALS", fmt.Sprintf("%du", max(len(m.Globals), 1))).Replace(harness)
	return machine.Source + region.Source(m, regions) + text
}

// ComputeKernel is the kernel of the regions of Compute.
func ComputeKernel() string {
	m, err := wasm.Decode(Compute)
	if err != nil {
		panic("BUG: compute.wasm: " + err.Error())
	}
	return Kernel(m, region.Select(m, region.Options{}))
}
