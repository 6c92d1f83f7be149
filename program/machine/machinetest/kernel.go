// Package machinetest has a kernel that executes every operation of package machine, for tests.
package machinetest

import (
	"fmt"
	"strings"

	"github.com/dialtone-gpu/dialtone/program/machine"
	"github.com/dialtone-gpu/dialtone/program/wasm"
)

// Two operations in one expression, which a compiler might fuse to one that rounds once.
const (
	F64MulAdd wasm.Op = 0x200 + iota // a * b + c
	F32MulAdd
	F64MulSub // c - a * b
	F32MulSub
)

// Others are what the kernel has beside the table.
var Others = []machine.Operation{
	{Op: wasm.MemoryInit, In: wasm.MemoryInit.Info().In, C: "vm_memory_init(vm, data, SEGMENT_AT, SEGMENT_SIZE, a, b, c)", Traps: true},
	{Op: F64MulAdd, In: three(wasm.F64), Out: wasm.F64, C: "vm_f64_add(vm_f64_mul(a, b), c)"},
	{Op: F32MulAdd, In: three(wasm.F32), Out: wasm.F32, C: "vm_f32_add(vm_f32_mul(a, b), c)"},
	{Op: F64MulSub, In: three(wasm.F64), Out: wasm.F64, C: "vm_f64_sub(c, vm_f64_mul(a, b))"},
	{Op: F32MulSub, In: three(wasm.F32), Out: wasm.F32, C: "vm_f32_sub(c, vm_f32_mul(a, b))"},
}

func three(t wasm.ValType) wasm.ValTypes { return wasm.ValTypes([]byte{byte(t), byte(t), byte(t)}) }

const (
	// Room is the bytes of the memory of one execution and of what is around it: a quarter before, a quarter behind.
	Room = 512
	// SegmentAt and SegmentSize are where in data the segment of memory.init lies.
	SegmentAt, SegmentSize = 3, 93
)

// Kernel is the text of
//
//	KERNEL(operations, GLOBAL const hc_u64 *tasks, GLOBAL hc_u64 *results, GLOBAL hc_u8 *rooms, GLOBAL hc_u8 *data, hc_u32 count)
//
// which executes count tasks of four words each: the opcode in the low half of the first, the bytes of its memory in the high one, and
// three operands, of loads and stores the address, the value and the offset. A result is two words, the value and the trap. Tasks with a memory
// come first, and have a room each. PROLOGUE and EPILOGUE are around all that a work-item does, if they are defined.
func Kernel() string {
	var b strings.Builder
	b.WriteString(machine.Source)
	fmt.Fprintf(&b, "#define SEGMENT_AT %du\n#define SEGMENT_SIZE %du\n#define ROOM %du\n", SegmentAt, SegmentSize, Room)
	b.WriteString(`#ifndef PROLOGUE
#define PROLOGUE
#define EPILOGUE
#endif
KERNEL(operations, GLOBAL const hc_u64 *tasks, GLOBAL hc_u64 *results, GLOBAL hc_u8 *rooms, GLOBAL hc_u8 *data, hc_u32 count) {
    hc_u32 i;
    hc_u64 x, y, z, ea, out;
    vm_state state;
    vm_state *vm = &state;
    PROLOGUE
    for (i = hc_global_id(); i < count; i += hc_group_size() * hc_group_count()) {
        state.bytes = tasks[4u * i] >> 32;
        state.memory = rooms + (state.bytes != 0u ? (hc_u64)i * ROOM + ROOM / 4u : 0u);
        state.trap = 0u;
        x = tasks[4u * i + 1u];
        y = tasks[4u * i + 2u];
        z = tasks[4u * i + 3u];
        ea = (x & 0xffffffffu) + z;
        out = 0u;
        switch ((hc_u32)tasks[4u * i]) {
`)
	for _, o := range append(machine.Operations(), Others...) {
		fmt.Fprintf(&b, "        case %du: {", o.Op)
		for n := range len(o.In) {
			typ := "hc_u64"
			if t := wasm.ValType(o.In[n]); t == wasm.I32 || t == wasm.F32 {
				typ = "hc_u32"
			}
			fmt.Fprintf(&b, " const %s %c = (%[1]s)%[3]c;", typ, 'a'+n, 'x'+n)
		}
		if o.Out != 0 {
			b.WriteString(" out =")
		}
		fmt.Fprintf(&b, " %s; break; }\n", o.C)
	}
	b.WriteString(`        }
        results[2u * i] = out;
        results[2u * i + 1u] = state.trap;
    }
    EPILOGUE
}
`)
	return b.String()
}
