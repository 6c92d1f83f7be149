package region_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/dialtone-gpu/dialtone/hostcall"
	"github.com/dialtone-gpu/dialtone/hostcall/plan"
	"github.com/dialtone-gpu/dialtone/internal/devicetest"
	"github.com/dialtone-gpu/dialtone/program/bytecode"
	"github.com/dialtone-gpu/dialtone/program/interpreter"
	"github.com/dialtone-gpu/dialtone/program/region"
	"github.com/dialtone-gpu/dialtone/program/wasm"
	"github.com/dialtone-gpu/dialtone/program/wasm/wasmtest"
)

// digest is the body of a function that returns a number made from the memory and the globals.
func digest() []byte {
	return wasmtest.Sized(wasmtest.Vec(cat(1, wasm.I32), cat(1, wasm.I64)),
		wasm.Loop, 0x40,
		wasm.LocalGet, 1, wasm.LocalGet, 0, wasm.I64Load, 3, 0, wasm.I64Xor, wasm.I64Const, s64(-7046029254386353131), wasm.I64Mul, wasm.I64Const, 23, wasm.I64Rotl, wasm.LocalSet, 1,
		wasm.LocalGet, 0, wasm.I32Const, 8, wasm.I32Add, wasm.LocalTee, 0, wasm.I32Const, s64(pageSize), wasm.I32LtU, wasm.BrIf, 0,
		wasm.End,
		wasm.LocalGet, 1, wasm.GlobalGet, 0, wasm.I64ExtendI32U, wasm.I64Xor, wasm.I64Const, s64(-7046029254386353131), wasm.I64Mul, wasm.GlobalGet, 1, wasm.I64Add,
		wasm.GlobalGet, 2, wasm.I64ReinterpretF64, wasm.I64Xor, wasm.End)
}

// surrounded makes a module in whose functions loops are in all kinds of places, and its last function is digest.
func surrounded(seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 4))
	m := newModule(r)
	for _, t := range genTypes {
		g := &gen{r: r, results: t.results, callees: genCallees, labels: []genLabel{{t.results}}, mixed: r.IntN(2) == 0}
		g.emit(wasm.I32Const, s64(40), wasm.LocalSet, counter)
		for range 12 {
			g.budget = 60
			g.statement()
		}
		g.budget = 100
		g.values(t.results)
		m.add(wasm.FuncType{Params: genParams, Results: t.results}, g.body())
	}
	m.add(wasm.FuncType{Results: i64}, digest())
	data := make([]byte, 4096)
	for i := range data {
		data[i] = byte(r.Uint32() >> (i % 3 * 8))
	}
	return m.file(data)
}

// TestInside has the interpreter run functions with regions in them and without, and compares both with wazero. The text is the
// same for all devices, on which the interpreter and regions have tests of their own.
func TestInside(t *testing.T) {
	for _, c := range []struct {
		uri       string
		transport plan.Transport
		seed      uint64
	}{{"cpu:0", plan.Mailbox, 0}, {"cpu:0", plan.Stopping, 3}, {"opencl:0", plan.Stopping, 1}} {
		t.Run(c.uri+"/"+string(c.transport), func(t *testing.T) {
			rt, err := hostcall.New(t.Context(), devicetest.Get(t, c.uri), &hostcall.Options{Policy: plan.Policy{Transport: c.transport}})
			if err != nil {
				t.Fatal(err)
			}
			defer rt.Close()
			inside(t, rt, c.seed)
		})
	}
}

func inside(t *testing.T, rt *hostcall.Runtime, seed uint64) {
	t.Helper()
	file := surrounded(seed)
	m, err := wasm.Decode(file)
	if err != nil {
		t.Fatal(err)
	}
	regions := region.Select(m, region.Options{})
	if len(regions) < 2 {
		t.Fatalf("seed %d: only the regions %v", seed, regions)
	}
	parts := interpreter.Parts{Native: region.Source(m, regions), Regions: len(regions)}
	p, err := rt.Load(t.Context(), "vm.kernel.c", interpreter.Source(parts))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	type call struct {
		fn     int
		params []uint64
	}
	var calls []call
	r := rand.New(rand.NewPCG(seed, 5))
	for i := range genTypes {
		for range 4 {
			calls = append(calls, call{len(genCallees) + i, []uint64{uint64(r.Uint32() >> r.IntN(32)), r.Uint64() >> r.IntN(64),
				uint64(math.Float32bits(float32(r.IntN(1000)))), math.Float64bits(float64(r.IntN(1000)))}})
		}
	}
	last := len(m.Funcs) - 1
	ref := newReference(t, file, m)
	begin, _ := ref.module.Memory().Read(0, pageSize)
	begin = slices.Clone(begin)
	globals := make([]uint64, len(genGlobals))
	for _, way := range []struct {
		name    string
		regions []region.Region
		fuel    uint32
	}{{"without regions", nil, 0}, {"with regions", regions, 0}, {"with regions and little fuel", regions, 7}} {
		var native []bytecode.Region
		for _, r := range way.regions {
			native = append(native, bytecode.Region{Func: r.Func, Start: r.Start, End: r.End, Exits: r.Exits})
		}
		image, err := bytecode.Lower(m, bytecode.Options{Regions: native})
		if err != nil {
			t.Fatal(err)
		}
		in, err := interpreter.New(rt.Device(), image, interpreter.Options{Instances: len(calls), Pages: 1, Fuel: way.fuel, Slots: 1024, Calls: 64})
		if err != nil {
			t.Fatal(err)
		}
		if err := in.Prepare(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		enter := func(each func(i int) (int, []uint64)) []interpreter.State {
			var states []interpreter.State
			for i := range calls {
				fn, params := each(i)
				if err := in.Enter(i, fn, params...); err != nil {
					t.Fatal(err)
				}
			}
			launch, err := in.Launch(t.Context(), 1)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := p.Run(t.Context(), launch); err != nil {
				t.Fatal(err)
			}
			for i := range calls {
				s, err := in.State(i)
				if err != nil {
					t.Fatal(err)
				}
				states = append(states, s)
			}
			return states
		}
		results := make([][]uint64, len(calls))
		states := enter(func(i int) (int, []uint64) { return calls[i].fn, calls[i].params })
		for i, c := range calls {
			if results[i], err = in.Results(i, len(genTypes[c.fn-len(genCallees)].results)); err != nil {
				t.Fatal(err)
			}
		}
		enter(func(int) (int, []uint64) { return last, nil })
		for i, c := range calls {
			want := ref.call(c.fn, c.params, begin, globals)
			wantDigest, err := ref.module.ExportedFunction(fmt.Sprintf("f%d", last)).Call(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			digest, err := in.Results(i, 1)
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case states[i].Trap != want.trap:
				t.Errorf("seed %d, %s, f%d(%x): trap %q, want %q", seed, way.name, c.fn, c.params, states[i].Trap, want.trap)
			case want.trap == 0 && fmt.Sprint(results[i]) != fmt.Sprint(want.results):
				t.Errorf("seed %d, %s, f%d(%x): results %x, want %x", seed, way.name, c.fn, c.params, results[i], want.results)
			case digest[0] != wantDigest[0]:
				t.Errorf("seed %d, %s, f%d(%x): another memory or other globals", seed, way.name, c.fn, c.params)
			}
		}
		if err := in.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
