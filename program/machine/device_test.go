package machine_test

import (
	"bytes"
	"encoding/binary"
	"maps"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/hostcall"
	"github.com/dialtone-gpu/dialtone/hostcall/plan"
	"github.com/dialtone-gpu/dialtone/internal/devicetest"
	"github.com/dialtone-gpu/dialtone/program/machine"
	"github.com/dialtone-gpu/dialtone/program/machine/machinetest"
	"github.com/dialtone-gpu/dialtone/program/wasm"
)

func TestMain(m *testing.M) {
	devicetest.EmulateHIP()
	devicetest.EmulateMetal()
	devicetest.Main(m)
}

// A way is to compile the kernel.
type way struct {
	name   string
	before string // in front of the text
	flush  bool
}

var ways = []way{
	{name: "native"},
	{name: "soft", before: "#define VM_SOFT_FLOAT 1\n"},
	{name: "least", before: "#undef HC_EXACT_DIVISION\n#undef HC_SQRT32\n#undef HC_SQRT64\n#undef HC_CLZ32\n#undef HC_CLZ64\n"},
	// What takes subnormals for zero, as flushing has the processor do it with all floats.
	{name: "flushing", before: "#undef HC_DOUBLE\n#undef HC_SUBNORMALS\n", flush: true},
}

// flushing sets bits 15 and 6 of MXCSR while a work-item computes.
const flushing = `#define PROLOGUE hc_u32 was, now; __asm__ volatile("stmxcsr %0" : "=m"(was)); now = was | 0x8040u; __asm__ volatile("ldmxcsr %0" : : "m"(now) : "memory");
#define EPILOGUE __asm__ volatile("ldmxcsr %0" : : "m"(was) : "memory");
`

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
				if w.flush {
					if runtime.GOARCH != "amd64" || strings.Contains(os.Getenv("CC"), "tcc") {
						t.Skip("sets a register of x86, which tcc does not know")
					}
					w.before += flushing
				}
				compare(t, all, evaluate(t, dev, w, all))
			})
		}
	})
}

// newRuntime makes one that is not asked for calls.
func newRuntime(t *testing.T, dev *hal.Device) *hostcall.Runtime {
	p := plan.Policy{Transport: plan.Stopping}.Make(dev.Info().URI, nil)
	rt, err := hostcall.New(t.Context(), dev, &hostcall.Options{Plan: &p})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { rt.Close() })
	return rt
}

// transfer does something with a queue to its end.
func transfer(t *testing.T, dev *hal.Device, f func(*hal.Queue) error) {
	q, err := dev.NewQueue()
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	if err := f(q); err != nil {
		t.Fatal(err)
	}
	if err := q.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// evaluate gives what comes of the trials on a device.
func evaluate(t *testing.T, dev *hal.Device, w way, all []trial) []outcome {
	program, err := newRuntime(t, dev).Load(t.Context(), "operations.kernel.c", w.before+machinetest.Kernel())
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()

	var tasks, rooms []byte
	for _, c := range all {
		tasks = binary.LittleEndian.AppendUint64(tasks, uint64(c.op)|uint64(c.memory)<<32)
		for _, a := range c.args {
			tasks = binary.LittleEndian.AppendUint64(tasks, a)
		}
		if c.memory > 0 {
			rooms = append(rooms, room(string(content(c.memory)))...)
		}
	}
	results := make([]byte, 16*len(all))
	buffer := func(content []byte) *hal.Buffer {
		b, err := dev.Alloc(hal.DeviceMemory, len(content))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { b.Close() })
		transfer(t, dev, func(q *hal.Queue) error { return q.Write(b, 0, content) })
		return b
	}
	in, out, memory, data := buffer(tasks), buffer(results), buffer(rooms), buffer(segment)
	launch := hostcall.Launch{Grid: [3]int{256}, Group: [3]int{64},
		Args: []hal.Arg{hal.Memory(in), hal.Memory(out), hal.Memory(memory), hal.Memory(data), hal.Int32(int32(len(all)))}}
	if _, err := program.Run(t.Context(), launch); err != nil {
		t.Fatal(err)
	}
	transfer(t, dev, func(q *hal.Queue) error { return q.Read(results, out, 0) })
	transfer(t, dev, func(q *hal.Queue) error { return q.Read(rooms, memory, 0) })
	got := make([]outcome, len(all))
	for i, c := range all {
		got[i].value = binary.LittleEndian.Uint64(results[16*i:])
		got[i].trap = machine.Trap(binary.LittleEndian.Uint64(results[16*i+8:]))
		if c.memory > 0 {
			got[i].memory = string(rooms[machinetest.Room*i : machinetest.Room*(i+1)])
		}
	}
	return got
}

// room is a memory with what lies around it.
func room(memory string) string {
	b := bytes.Repeat([]byte{0xa5}, machinetest.Room)
	copy(b[machinetest.Room/4:], memory)
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

// TestNothingFused has a product that is rounded to what is taken away: of one that is not rounded before, something would be left.
func TestNothingFused(t *testing.T) {
	devicetest.ForEach(t, func(t *testing.T, dev *hal.Device) {
		rt := newRuntime(t, dev)
		program, err := rt.Load(t.Context(), "fused.kernel.c", "KERNEL(fused, GLOBAL float *v) { v[3] = v[0] * v[1] - v[2]; }\n")
		if err != nil {
			t.Fatal(err)
		}
		defer program.Close()
		b, err := dev.Alloc(hal.DeviceMemory, 16)
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		values := make([]byte, 16)
		for i, v := range []float32{1 + 0x1p-12, 1 + 0x1p-12, 1 + 0x1p-11, 7} {
			binary.LittleEndian.PutUint32(values[4*i:], math.Float32bits(v))
		}
		transfer(t, dev, func(q *hal.Queue) error { return q.Write(b, 0, values) })
		if _, err := program.Run(t.Context(), hostcall.Launch{Args: []hal.Arg{hal.Memory(b)}}); err != nil {
			t.Fatal(err)
		}
		transfer(t, dev, func(q *hal.Queue) error { return q.Read(values, b, 0) })
		if got := math.Float32frombits(binary.LittleEndian.Uint32(values[12:])); got != 0 {
			t.Errorf("got %g, want 0", got)
		}
	})
}
