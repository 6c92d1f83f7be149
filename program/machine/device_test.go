package machine_test

import (
	"encoding/binary"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/hostcall"
	"github.com/dialtone-gpu/dialtone/hostcall/plan"
	"github.com/dialtone-gpu/dialtone/internal/devicetest"
	"github.com/dialtone-gpu/dialtone/program/machine"
	"github.com/dialtone-gpu/dialtone/program/wasm"
)

func TestMain(m *testing.M) {
	devicetest.EmulateHIP()
	devicetest.EmulateMetal()
	devicetest.Main(m)
}

// Two operations in one expression, which a compiler might fuse to one that rounds once.
const (
	firstPseudo wasm.Op = 0x200 + iota
	f64MulAdd   wasm.Op = 0x200 + iota - 1 // a * b + c
	f32MulAdd
	f64MulSub // c - a * b
	f32MulSub
	lastPseudo = f32MulSub
)

// pseudo are what the kernel has beside the table.
var pseudo = map[wasm.Op]machine.Operation{
	f64MulAdd:       {In: "\x7c\x7c\x7c", Out: wasm.F64, C: "vm_f64_add(vm_f64_mul(a, b), c)"},
	f32MulAdd:       {In: "\x7d\x7d\x7d", Out: wasm.F32, C: "vm_f32_add(vm_f32_mul(a, b), c)"},
	f64MulSub:       {In: "\x7c\x7c\x7c", Out: wasm.F64, C: "vm_f64_sub(c, vm_f64_mul(a, b))"},
	f32MulSub:       {In: "\x7d\x7d\x7d", Out: wasm.F32, C: "vm_f32_sub(c, vm_f32_mul(a, b))"},
	wasm.MemoryInit: {In: "\x7f\x7f\x7f", C: "vm_memory_init(vm, data, SEGMENT_AT, SEGMENT_SIZE, a, b, c)", Traps: true},
}

// memorySize is that of the largest memory of a trial. In the middle of a room of twice that size, others would show what is written outside.
const memorySize = 256

// kernel evaluates trials.
func kernel() string {
	var b strings.Builder
	b.WriteString(machine.Source)
	fmt.Fprintf(&b, "#define SEGMENT_AT %du\n#define SEGMENT_SIZE %du\n#define ROOM %du\n", segmentAt, segmentSize, 2*memorySize)
	b.WriteString(`
/* A trial is four words: the opcode in the low half of the first, the bytes of its memory in the high one, and three operands. Its result is the value
   and the trap. Those with a memory come first, and each has a room. */
KERNEL(evaluate, GLOBAL const hc_u64 *trials, GLOBAL hc_u64 *results, GLOBAL hc_u8 *rooms, GLOBAL hc_u8 *data, hc_u32 count) {
    hc_u32 i;
    vm_state state;
    vm_state *vm = &state;
    hc_u64 x, y, z, ea, out;
    PROLOGUE
    for (i = hc_global_id(); i < count; i += hc_group_size() * hc_group_count()) {
        state.bytes = trials[4u * i] >> 32;
        state.memory = rooms + (state.bytes != 0u ? (hc_u64)i * ROOM + ROOM / 4u : 0u);
        state.trap = 0u;
        out = 0u;
        x = trials[4u * i + 1u];
        y = trials[4u * i + 2u];
        z = trials[4u * i + 3u];
        ea = (x & 0xffffffffu) + z;
        switch ((hc_u32)trials[4u * i]) {
`)
	one := func(number wasm.Op, o machine.Operation) {
		fmt.Fprintf(&b, "        case %du: {", number)
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
	for _, o := range machine.Operations() {
		one(o.Op, o)
	}
	for _, number := range slices.Sorted(maps.Keys(pseudo)) {
		one(number, pseudo[number])
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

// A way is to compile the kernel.
type way struct {
	name, before        string // in front of the text
	prologue, epilogue  string
	processor, compiler string // it is for these alone
}

var ways = []way{
	{name: "native"},
	{name: "soft", before: "#define VM_SOFT_FLOAT 1\n"},
	// A dialect that promises nothing about float, on a device that takes subnormals for zero: bits 15 and 6 of MXCSR.
	{name: "flushing", before: "#undef HC_DOUBLE\n#undef HC_SUBNORMALS\n#undef HC_EXACT_DIVISION\n#undef HC_SQRT32\n" +
		"#undef HC_CLZ32\n#undef HC_CLZ64\n",
		prologue: `unsigned was, now; __asm__ volatile("stmxcsr %0" : "=m"(was)); now = was | 0x8040u; __asm__ volatile("ldmxcsr %0" : : "m"(now) : "memory");`,
		epilogue: `__asm__ volatile("ldmxcsr %0" : : "m"(was) : "memory");`, processor: "amd64"},
	{name: "least", before: "#undef HC_EXACT_DIVISION\n#undef HC_SQRT32\n#undef HC_SQRT64\n"},
}

// TestOperations has every device do all trials.
func TestOperations(t *testing.T) {
	all, err := expected()
	if err != nil {
		t.Fatal(err)
	}
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b trial) int { return int(b.memory) - int(a.memory) })
	t.Logf("%d trials", len(all))
	devicetest.ForEach(t, func(t *testing.T, dev *hal.Device) {
		for i, w := range ways {
			t.Run(w.name, func(t *testing.T) {
				if i > 1 && dev.Info().Backend != "cpu" {
					t.Skip("the cpu device shows what dialects with fewer promises compute")
				}
				if w.processor != "" && w.processor != runtime.GOARCH {
					t.Skipf("for %s alone", w.processor)
				}
				compare(t, all, evaluate(t, dev, w, all))
			})
		}
	})
}

// evaluate gives what comes of the trials on a device.
func evaluate(t *testing.T, dev *hal.Device, w way, all []trial) []outcome {
	p := plan.Policy{Transport: plan.Stopping}.Make(dev.Info().URI, nil)
	rt, err := hostcall.New(t.Context(), dev, &hostcall.Options{Plan: &p})
	if err != nil {
		t.Fatal(err)
	}
	defer rt.Close()
	text := w.before + "#define PROLOGUE " + w.prologue + "\n#define EPILOGUE " + w.epilogue + "\n" + kernel()
	program, err := rt.Load(t.Context(), "operations.kernel.c", text)
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()

	var rows, rooms []byte
	for _, c := range all {
		rows = binary.LittleEndian.AppendUint64(rows, uint64(c.op)|uint64(c.memory)<<32)
		for _, a := range c.args {
			rows = binary.LittleEndian.AppendUint64(rows, a)
		}
		if c.memory > 0 {
			rooms = append(rooms, room(string(content(c.memory)))...)
		}
	}
	queue, err := dev.NewQueue()
	if err != nil {
		t.Fatal(err)
	}
	defer queue.Close()
	buffer := func(content []byte) *hal.Buffer {
		b, err := dev.Alloc(hal.DeviceMemory, len(content))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { b.Close() })
		if err := queue.Write(b, 0, content); err != nil {
			t.Fatal(err)
		}
		return b
	}
	results := make([]byte, 16*len(all))
	in, out, memory, data := buffer(rows), buffer(results), buffer(rooms), buffer(segment)
	if err := queue.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	const group = 64
	launch := hostcall.Launch{Grid: [3]int{min((len(all)+group-1)/group, 256)}, Group: [3]int{group},
		Args: []hal.Arg{hal.Memory(in), hal.Memory(out), hal.Memory(memory), hal.Memory(data), hal.Int32(int32(len(all)))}}
	if _, err := program.Run(t.Context(), launch); err != nil {
		t.Fatal(err)
	}
	if err := queue.Read(results, out, 0); err != nil {
		t.Fatal(err)
	}
	if err := queue.Read(rooms, memory, 0); err != nil {
		t.Fatal(err)
	}
	if err := queue.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := make([]outcome, len(all))
	for i, c := range all {
		got[i].value = binary.LittleEndian.Uint64(results[16*i:])
		got[i].trap = machine.Trap(binary.LittleEndian.Uint64(results[16*i+8:]))
		if c.memory > 0 {
			got[i].memory = string(rooms[2*memorySize*i : 2*memorySize*(i+1)])
		}
	}
	return got
}

// room is a memory with what lies around it.
func room(memory string) string {
	b := []byte(strings.Repeat("\xa5", 2*memorySize))
	copy(b[memorySize/2:], memory)
	return string(b)
}

func compare(t *testing.T, all []trial, got []outcome) {
	t.Helper()
	wrong := map[wasm.Op]int{}
	for i, c := range all {
		switch g := got[i]; {
		case g.trap != c.want.trap:
		case !same(c.op, g.value, c.want.value):
		case c.memory > 0 && g.memory != room(c.want.memory):
		default:
			continue
		}
		wrong[c.op]++
		if wrong[c.op] <= 3 {
			t.Errorf("%v (%#x) %#x: %#x %v, want %#x %v", c.op, uint16(c.op), c.args, got[i].value, got[i].trap, c.want.value, c.want.trap)
			if c.memory > 0 {
				t.Errorf("    memory % x, want % x", got[i].memory, room(c.want.memory))
			}
		}
	}
	for _, op := range slices.Sorted(maps.Keys(wrong)) {
		t.Errorf("%v (%#x): %d trials", op, uint16(op), wrong[op])
	}
}
