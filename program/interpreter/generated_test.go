package interpreter_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"pgregory.net/rapid"

	"github.com/dialtone-gpu/dialtone/hostcall/plan"
	"github.com/dialtone-gpu/dialtone/program/bytecode"
	"github.com/dialtone-gpu/dialtone/program/interpreter"
	"github.com/dialtone-gpu/dialtone/program/machine"
	"github.com/dialtone-gpu/dialtone/program/wasm"
	"github.com/dialtone-gpu/dialtone/program/wasm/wasmtest"
)

// A call of an exported function, on a fresh instance.
type call struct {
	function string
	args     []uint64
}

// An effect is what can be seen of a call.
type effect struct {
	trap    string // in wazero's words
	results []uint64
	globals []uint64 // those that are exported as "g0" and so on
	memory  []byte
}

func (e effect) differs(o effect, t wasm.FuncType) string {
	switch {
	case e.trap != o.trap:
		return fmt.Sprintf("trap %q, not %q", e.trap, o.trap)
	case !bytes.Equal(e.memory, o.memory):
		return fmt.Sprintf("memories of %d and %d bytes differ", len(e.memory), len(o.memory))
	case !slices.Equal(e.globals, o.globals):
		return fmt.Sprintf("globals %x, not %x", e.globals, o.globals)
	case e.trap != "":
		return ""
	}
	for i, r := range []byte(t.Results) {
		a, b := e.results[i], o.results[i]
		if wasm.ValType(r).IsRef() { // to a function is something else in each
			a, b = min(a, 1), min(b, 1)
		}
		if a != b {
			return fmt.Sprintf("result %d is %#x, not %#x", i, a, b)
		}
	}
	return ""
}

// traps are ours in wazero's words.
var traps = map[machine.Trap]string{
	machine.None: "", machine.Unreachable: "unreachable", machine.Bounds: "out of bounds memory access", machine.Division: "integer divide by zero",
	machine.Overflow: "integer overflow", machine.Conversion: "invalid conversion to integer", machine.Undefined: "invalid table access",
	machine.Mismatch: "indirect call type mismatch", machine.StackExhausted: "stack overflow", machine.TableBounds: "invalid table access",
}

// expected has wazero make calls.
func expected(t testing.TB, file []byte, calls []call) []effect {
	t.Helper()
	ctx := context.Background()
	rt := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter().WithCoreFeatures(api.CoreFeaturesV2&^api.CoreFeatureSIMD))
	defer rt.Close(ctx)
	compiled, err := rt.CompileModule(ctx, file)
	if err != nil {
		t.Fatal(err)
	}
	var all []effect
	for _, c := range calls {
		var e effect
		m, err := rt.InstantiateModule(ctx, compiled, wazero.NewModuleConfig().WithName(""))
		if err != nil {
			t.Fatal(err)
		}
		if e.results, err = m.ExportedFunction(c.function).Call(ctx, c.args...); err != nil {
			for _, text := range traps {
				if text != "" && strings.Contains(err.Error(), text) {
					e.trap = text
				}
			}
			if e.trap == "" {
				t.Fatal(err)
			}
		}
		if memory := m.ExportedMemory("memory"); memory != nil {
			b, _ := memory.Read(0, memory.Size())
			e.memory = slices.Clone(b)
		}
		for i := 0; m.ExportedGlobal("g"+strconv.Itoa(i)) != nil; i++ {
			if g := m.ExportedGlobal("g" + strconv.Itoa(i)); g.Type() <= api.ValueTypeI32 && g.Type() >= api.ValueTypeF64 {
				e.globals = append(e.globals, g.Get())
			}
		}
		all = append(all, e)
		m.Close(ctx)
	}
	return all
}

// got makes the calls on a device.
func (p *loaded) got(t testing.TB, image *bytecode.Image, calls []call, group int) []effect {
	t.Helper()
	in := p.instances(t, image, interpreter.Options{Instances: len(calls), Slots: 32 << 10, Calls: 4 << 10, Elements: 64, Fuel: 10_000})
	defer in.Close()
	m := specModule{image: image}
	for i, c := range calls {
		index, _ := m.export(c.function)
		if err := in.Enter(i, index, c.args...); err != nil {
			t.Fatal(err)
		}
	}
	p.run(t, in, group)
	var all []effect
	for i, c := range calls {
		_, ft := m.export(c.function)
		s, results := p.outcome(t, in, i, ft)
		e := effect{trap: traps[s.Trap], results: results, memory: make([]byte, s.Bytes)}
		if !s.Ended && s.Trap == machine.None {
			t.Fatalf("call %d: it has not ended", i)
		}
		if len(e.memory) > 0 {
			if err := in.Memory(i, 0, e.memory); err != nil {
				t.Fatal(err)
			}
		}
		globals, err := in.Globals(i)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range image.Module().Exports {
			if x.Kind == wasm.KindGlobal && !image.Module().Globals[x.Index].Type.IsRef() {
				e.globals = append(e.globals, globals[x.Index])
			}
		}
		all = append(all, e)
	}
	return all
}

// lowered decodes and lowers a file.
func lowered(t testing.TB, file []byte) *bytecode.Image {
	t.Helper()
	m, err := wasm.Decode(file)
	if err != nil {
		t.Fatal(err)
	}
	image, err := bytecode.Lower(m, bytecode.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// A generatedModule has a beginning with one instruction, and anything behind it.
type generatedModule struct {
	op    wasm.Op
	file  []byte
	image *bytecode.Image
	calls []call
	want  []effect
}

func generatedModules(t testing.TB) []generatedModule {
	random := rand.New(rand.NewPCG(3, 4))
	var all []generatedModule
	for op := range wasmtest.AllOps {
		begin := wasmtest.Begin[op]
		if begin == nil {
			continue
		}
		m := generatedModule{op: op}
		m.file = rapid.Custom(func(t *rapid.T) []byte {
			return (&wasmtest.Gen{T: t, Bounded: true}).Module(60, begin)
		}).Example(int(op))
		m.image = lowered(t, m.file)
		for _, x := range m.image.Module().Exports {
			if x.Kind != wasm.KindFunc {
				continue
			}
			w := m.image.Module()
			for range 3 {
				c := call{function: x.Name}
				for _, p := range []byte(w.Types[w.Funcs[x.Index].Type].Params) {
					v := random.Uint64() >> random.IntN(64)
					switch wasm.ValType(p) {
					case wasm.I32, wasm.F32:
						v &= 1<<32 - 1
					case wasm.FuncRef, wasm.ExternRef:
						v = 0
					}
					c.args = append(c.args, v)
				}
				m.calls = append(m.calls, c)
			}
		}
		m.want = expected(t, m.file, m.calls)
		all = append(all, m)
	}
	return all
}

// TestGenerated compares what modules do with what they do in wazero: all modules on the cpu device, some elsewhere.
func TestGenerated(t *testing.T) {
	modules := generatedModules(t)
	ends := map[string]int{}
	for _, m := range modules {
		for _, e := range m.want {
			ends[e.trap]++
		}
	}
	t.Logf("%d modules; how their calls end: %v", len(modules), ends)
	forEach(t, func(t *testing.T, dev target) {
		p := program(t, dev, interpreter.Parts{})
		for i, m := range modules {
			if (dev.Info().Backend != "cpu" || dev.transport != plan.Mailbox) && i%12 != 0 {
				continue
			}
			group := 1
			if i%2 == 1 {
				group = 8
			}
			for k, e := range p.got(t, m.image, m.calls, group) {
				_, ft := (&specModule{image: m.image}).export(m.calls[k].function)
				if d := e.differs(m.want[k], ft); d != "" {
					t.Errorf("module of %v, function %s%x: %s", m.op, m.calls[k].function, m.calls[k].args, d)
				}
			}
		}
	})
}
