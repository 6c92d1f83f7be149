package region_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/sys"

	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/hostcall"
	"github.com/dialtone-gpu/dialtone/internal/devicetest"
	"github.com/dialtone-gpu/dialtone/program/machine"
	"github.com/dialtone-gpu/dialtone/program/region"
	"github.com/dialtone-gpu/dialtone/program/region/regiontest"
	"github.com/dialtone-gpu/dialtone/program/wasm"
)

func TestMain(m *testing.M) {
	devicetest.EmulateHIP()
	devicetest.EmulateMetal()
	devicetest.Main(m)
}

const pageSize = 1 << 16 // every memory in these tests is one page

// A job is one call of a function whose body is one loop, by its region.
type job struct {
	region int
	again  uint32 // the number of the exit Again, or what is none
	fuel   uint32 // of each call of the region
	params []uint64
	before []uint64 // operands of the loop, in their slots
	locals []wasm.ValType
}

// outcome is what can be seen of a function's call.
type outcome struct {
	trap    machine.Trap
	results []uint64
	globals []uint64
	memory  []byte
	calls   uint32 // of the region
	exit    uint32
}

// run has a device do jobs, each with a memory of its own that begins with that content, and globals as given.
func run(t testing.TB, dev *hal.Device, m *wasm.Module, regions []region.Region, jobs []job, memory []byte, globals []uint64) []outcome {
	t.Helper()
	outcomes, _ := timed(t, dev, m, regions, jobs, memory, globals)
	return outcomes
}

func timed(t testing.TB, dev *hal.Device, m *wasm.Module, regions []region.Region, jobs []job, memory []byte, globals []uint64) ([]outcome, time.Duration) {
	t.Helper()
	rt, err := hostcall.New(t.Context(), dev, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer rt.Close()
	p, err := rt.Load(t.Context(), "regions.kernel.c", regiontest.Kernel(m, regions))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	var words, frames, variables, memories []byte
	for _, j := range jobs {
		for _, w := range []uint32{uint32(j.region), j.again, j.fuel, 0, 0, 0, 0, 0} {
			words = binary.LittleEndian.AppendUint32(words, w)
		}
		frame := make([]uint64, regiontest.Slots)
		copy(frame, j.params)
		copy(frame[len(j.locals):], j.before)
		for _, v := range frame {
			frames = binary.LittleEndian.AppendUint64(frames, v)
		}
		for _, v := range globals {
			variables = binary.LittleEndian.AppendUint64(variables, v)
		}
		memories = append(memories, memory...)
	}
	if len(globals) == 0 {
		variables = make([]byte, 8*len(jobs))
	}
	all := [][]byte{words, frames, variables, memories}
	result := launch(t, dev, p, len(jobs), all, hal.Int32(int32(len(jobs))))
	outcomes := make([]outcome, len(jobs))
	for i, j := range jobs {
		word := func(n int) uint32 { return binary.LittleEndian.Uint32(words[(i*8+n)*4:]) }
		o := &outcomes[i]
		o.exit, o.trap, o.calls = word(3), machine.Trap(word(4)), word(5)
		for n := range m.Types[m.Funcs[regions[j.region].Func].Type].Results {
			o.results = append(o.results, binary.LittleEndian.Uint64(frames[(i*regiontest.Slots+len(j.locals)+n)*8:]))
		}
		for n := range globals {
			o.globals = append(o.globals, binary.LittleEndian.Uint64(variables[(i*len(globals)+n)*8:]))
		}
		o.memory = memories[i*pageSize:][:pageSize]
	}
	return outcomes, result.Elapsed
}

// launch runs the only kernel of p, one work-item per group, on buffers with that content, and brings it back.
func launch(t testing.TB, dev *hal.Device, p *hostcall.Program, groups int, all [][]byte, values ...hal.Arg) hostcall.Result {
	t.Helper()
	buffers := make([]*hal.Buffer, len(all))
	q, err := dev.NewQueue()
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	for i, content := range all {
		if buffers[i], err = dev.Alloc(hal.DeviceMemory, len(content)); err != nil {
			t.Fatal(err)
		}
		defer buffers[i].Close()
		if err := q.Write(buffers[i], 0, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := q.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	var args []hal.Arg
	for _, b := range buffers {
		args = append(args, hal.Memory(b))
	}
	result, err := p.Run(t.Context(), hostcall.Launch{Grid: [3]int{groups}, Args: append(args, values...)})
	if err != nil {
		t.Fatal(err)
	}
	for i, content := range all {
		if err := q.Read(content, buffers[i], 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := q.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	return result
}

// reference runs the exported function fN of a module with wazero.
type reference struct {
	t      testing.TB
	module api.Module
	types  func(fn int) wasm.ValTypes // of results
}

func newReference(t testing.TB, file []byte, m *wasm.Module) *reference {
	t.Helper()
	rt := wazero.NewRuntime(t.Context())
	t.Cleanup(func() { rt.Close(t.Context()) })
	mod, err := rt.InstantiateWithConfig(t.Context(), file, wazero.NewModuleConfig().WithStartFunctions())
	if err != nil {
		t.Fatal(err)
	}
	return &reference{t, mod, func(fn int) wasm.ValTypes { return m.Types[m.Funcs[fn].Type].Results }}
}

func (r *reference) call(fn int, params []uint64, memory []byte, globals []uint64) outcome {
	r.t.Helper()
	return r.callNamed(fmt.Sprintf("f%d", fn), r.types(fn), params, memory, globals)
}

func (r *reference) callNamed(name string, types wasm.ValTypes, params []uint64, memory []byte, globals []uint64) outcome {
	r.t.Helper()
	r.module.Memory().Write(0, memory)
	for i, v := range globals {
		r.module.ExportedGlobal(fmt.Sprintf("g%d", i)).(api.MutableGlobal).Set(v)
	}
	var o outcome
	var err error
	o.results, err = r.module.ExportedFunction(name).Call(r.t.Context(), params...)
	o.trap = trapOf(r.t, err)
	for i := range o.results {
		if t := wasm.ValType(types[i]); t == wasm.I32 || t == wasm.F32 {
			o.results[i] &= math.MaxUint32 // the rest is not specified
		}
	}
	for i := range globals {
		o.globals = append(o.globals, r.module.ExportedGlobal(fmt.Sprintf("g%d", i)).Get())
	}
	view, _ := r.module.Memory().Read(0, pageSize)
	o.memory = append([]byte(nil), view...)
	return o
}

// trapOf reads wazero's errors.
func trapOf(t testing.TB, err error) machine.Trap {
	t.Helper()
	if err == nil {
		return machine.None
	}
	var exit *sys.ExitError
	if errors.As(err, &exit) {
		t.Fatal(err)
	}
	for trap, text := range map[machine.Trap]string{machine.Unreachable: "unreachable", machine.Bounds: "out of bounds memory access", machine.Division: "integer divide by zero",
		machine.Overflow: "integer overflow", machine.Conversion: "invalid conversion to integer", machine.Undefined: "invalid table access",
		machine.Mismatch: "indirect call type mismatch", machine.StackExhausted: "stack overflow"} {
		if strings.Contains(err.Error(), text) {
			return trap
		}
	}
	t.Fatal(err)
	return 0
}

// differ says how two outcomes differ; "" if they do not.
func differ(got, want outcome) string {
	switch {
	case got.trap != want.trap:
		return fmt.Sprintf("trap %q, want %q", got.trap, want.trap)
	case want.trap == 0 && fmt.Sprint(got.results) != fmt.Sprint(want.results):
		return fmt.Sprintf("results %x, want %x", got.results, want.results)
	case fmt.Sprint(got.globals) != fmt.Sprint(want.globals):
		return fmt.Sprintf("globals %x, want %x", got.globals, want.globals)
	}
	for i := range got.memory {
		if got.memory[i] != want.memory[i] {
			return fmt.Sprintf("memory at %#x: %#x, want %#x", i, got.memory[i:min(i+8, pageSize)], want.memory[i:min(i+8, pageSize)])
		}
	}
	return ""
}

// jobsOf makes the jobs of one set of parameters: with much fuel, and with little.
func jobsOf(m *wasm.Module, regions []region.Region, which int, params []uint64, before int, fuels ...uint32) []job {
	r := &regions[which]
	j := job{region: which, again: math.MaxUint32, params: params, before: params[:before], locals: region.LocalTypes(m, r.Func)}
	for i, to := range r.Exits {
		if to == region.Again {
			j.again = uint32(i)
		}
	}
	var all []job
	for _, j.fuel = range fuels {
		all = append(all, j)
	}
	return all
}
