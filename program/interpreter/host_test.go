package interpreter_test

import (
	"context"
	"encoding/binary"
	"errors"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/hostcall"
	"github.com/dialtone-gpu/dialtone/internal/devicetest"
	"github.com/dialtone-gpu/dialtone/program/bytecode"
	"github.com/dialtone-gpu/dialtone/program/interpreter"
	"github.com/dialtone-gpu/dialtone/program/machine"
	"github.com/dialtone-gpu/dialtone/program/wasm"
	"github.com/dialtone-gpu/dialtone/program/wasm/wasmtest"
)

const (
	i32 = wasm.ValTypes(wasm.I32)
	i64 = wasm.ValTypes(wasm.I64)
)

var (
	u32      = wasmtest.U32
	s64      = wasmtest.S64
	cat      = wasmtest.Cat
	sized    = wasmtest.Sized
	vec      = wasmtest.Vec
	section  = wasmtest.Section
	name     = wasmtest.Name
	funcType = wasmtest.FuncType
)

// hostText makes every call with words: function, instance, first parameter, progress. The host says what the step comes to.
const hostText = `
HC_IMPORT(host);
DEVICE hc_u32 vm_wasi_step(HC, vm_state *vm, hc_u32 function, hc_u32 instance, GLOBAL hc_u64 *args, hc_u32 *got, hc_u32 *result) {
    hc_u32 w[5];
    hc_i32 e;
    w[0] = function;
    w[1] = instance;
    w[2] = (hc_u32)args[0];
    w[3] = *got;
    w[4] = (hc_u32)args[1];
    e = hc_call_words(host, w, 5u, 2u);
    if (e != 0) return 2u;
    *result = w[0];
    *got += 1u;
    return w[1];
}
`

// The functions of the host: add gives its parameter plus 1, after two more steps; over ends the instance.
const (
	hostAdd = iota
	hostOver
	hostTrapped
)

// A hostLog serves the calls and counts each.
type hostLog struct {
	mu    sync.Mutex
	calls map[[4]uint32]int
	traps map[uint32][2]uint32 // of an instance: the trap and the function
}

func (h *hostLog) serve(_ context.Context, l *hostcall.Lane) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls[[4]uint32(l.In)]++
	switch l.In[0] {
	case hostAdd:
		l.Out[0] = l.In[2] + 1
		if l.In[3] < 2 {
			l.Out[1] = 1 // again
		}
	case hostOver:
		l.Out[1] = 3
	case hostTrapped:
		h.traps[l.In[1]] = [2]uint32{l.In[2], l.In[4]}
	default:
		return errors.New("no such function")
	}
	return nil
}

func bind(_, name string, _ wasm.FuncType) (int, error) {
	n, ok := map[string]int{"add": hostAdd, "over": hostOver}[name]
	if !ok {
		return 0, errors.New("unknown")
	}
	return n, nil
}

// calling has a function that makes n calls of add, adds up what it gives, and counts its turns in memory. Then it traps if n is odd, and else
// ends through over if n is a multiple of 4.
func calling() []byte {
	return wasmtest.File(
		section(1, vec(funcType(i32, i32), funcType("", ""))),
		section(2, vec(cat(name("m"), name("add"), 0, 0), cat(name("m"), name("over"), 0, 1))),
		section(3, vec(u32(0))),
		section(5, vec(cat(0, 1))),
		section(7, vec(cat(name("run"), 0, 2))),
		section(10, vec(sized(vec(cat(2, wasm.I32)),
			wasm.Block, 0x40,
			wasm.Loop, 0x40,
			wasm.LocalGet, 1, wasm.LocalGet, 0, wasm.I32Eq, wasm.BrIf, 1,
			wasm.LocalGet, 2, wasm.LocalGet, 1, wasm.Call, 0, wasm.I32Add, wasm.LocalSet, 2,
			wasm.I32Const, 0, wasm.I32Const, 0, wasm.I32Load, 2, 16, wasm.I32Const, 1, wasm.I32Add, wasm.I32Store, 2, 16,
			wasm.LocalGet, 1, wasm.I32Const, 1, wasm.I32Add, wasm.LocalSet, 1,
			wasm.Br, 0,
			wasm.End,
			wasm.End,
			wasm.LocalGet, 0, wasm.I32Const, 1, wasm.I32And, wasm.If, 0x40, wasm.Unreachable, wasm.End,
			wasm.LocalGet, 0, wasm.I32Const, 3, wasm.I32And, wasm.I32Eqz, wasm.If, 0x40, wasm.Call, 1, wasm.Unreachable, wasm.End,
			wasm.LocalGet, 2, wasm.End))),
	)
}

// TestHost has calls of the host that take several steps, between which kernels may be started again, and little fuel.
func TestHost(t *testing.T) {
	m, err := wasm.Decode(calling())
	if err != nil {
		t.Fatal(err)
	}
	image, err := bytecode.Lower(m, bytecode.Options{Host: bind})
	if err != nil {
		t.Fatal(err)
	}
	forEach(t, func(t *testing.T, dev target) {
		log := &hostLog{}
		trapped := hostTrapped
		p := programWith(t, dev, interpreter.Source(interpreter.Parts{Host: hostText, Trapped: &trapped}), map[string]hostcall.Function{"host": log.serve})
		for _, group := range []int{1, 4} {
			log.calls, log.traps = map[[4]uint32]int{}, map[uint32][2]uint32{}
			const count = 6
			in := p.instances(t, image, interpreter.Options{Instances: count, Slots: 100, Calls: 4, Fuel: 10})
			defer in.Close()
			want := map[[4]uint32]int{}
			for i := range uint32(count) {
				if err := in.Enter(int(i), 2, uint64(i+2)); err != nil {
					t.Fatal(err)
				}
				for k := range i + 2 {
					for step := range uint32(3) {
						want[[4]uint32{hostAdd, i, k, step}] = 1
					}
				}
			}
			p.run(t, in, group)
			for i := range uint32(count) {
				n := i + 2
				s, results := p.outcome(t, in, int(i), wasm.FuncType{Results: i32})
				turns := make([]byte, 4)
				if err := in.Memory(int(i), 16, turns); err != nil {
					t.Fatal(err)
				}
				if got := binary.LittleEndian.Uint32(turns); got != n {
					t.Errorf("group %d, instance %d: %d turns, not %d", group, i, got, n)
				}
				switch {
				case n%2 == 1:
					if s.Trap != machine.Unreachable || s.Function != 2 || log.traps[i] != [2]uint32{uint32(machine.Unreachable), 2} {
						t.Errorf("group %d, instance %d: %+v, reported %v", group, i, s, log.traps[i])
					}
				case n%4 == 0:
					if !s.Ended {
						t.Errorf("group %d, instance %d: %+v", group, i, s)
					}
				case !s.Ended || results[0] != uint64(n*(n+1)/2):
					t.Errorf("group %d, instance %d: %+v, %v", group, i, s, results)
				}
			}
			maps.DeleteFunc(log.calls, func(k [4]uint32, _ int) bool { return k[0] != hostAdd })
			if !maps.Equal(log.calls, want) {
				t.Errorf("group %d: calls %v, not %v", group, log.calls, want)
			}
		}
	})
}

// TestEndless has a program that never ends, until its context does.
func TestEndless(t *testing.T) {
	file := wasmtest.File(section(1, vec(funcType("", ""))), section(3, vec(u32(0))), section(7, vec(cat(name("run"), 0, 0))),
		section(10, vec(sized(0, wasm.Loop, 0x40, wasm.Br, 0, wasm.End, wasm.End))))
	image := lowered(t, file)
	forEach(t, func(t *testing.T, dev target) {
		p := program(t, dev, interpreter.Parts{})
		in := p.instances(t, image, interpreter.Options{Instances: 3})
		defer in.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		l, err := in.Launch(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if _, err := p.Run(ctx, l); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, hostcall.ErrStillRunning) {
			t.Errorf("ended with %v", err)
		}
		if d := time.Since(start); d > 10*time.Second {
			t.Errorf("it took %v", d)
		}
	})
}

// TestLarge has a function with more slots and instructions than fit the short forms.
func TestLarge(t *testing.T) {
	const locals, operands, turns = 49_990, 40_000, 3
	code := []any{wasm.Block, 0x40, wasm.Loop, 0x40}
	for range 30_000 { // with what is between, more than 2^16 instructions
		code = append(code, wasm.LocalGet, 0, wasm.I32Const, 3, wasm.I32Mul, wasm.LocalGet, u32(locals-1), wasm.I32Xor, wasm.LocalSet, 0,
			wasm.LocalGet, u32(locals-1), wasm.I32Const, 1, wasm.I32Add, wasm.LocalSet, u32(locals-1))
	}
	code = append(code, wasm.LocalGet, u32(locals-1), wasm.I32Const, s64(30_000*turns), wasm.I32LtU, wasm.BrIf, 0, wasm.End, wasm.End)
	for range operands {
		code = append(code, wasm.LocalGet, 0, wasm.I32Eqz, wasm.I32Eqz)
	}
	for range operands - 1 {
		code = append(code, wasm.I32Add)
	}
	code = append(code, wasm.LocalGet, 0, wasm.I32Xor, wasm.End)
	file := wasmtest.File(section(1, vec(funcType("", i32))), section(3, vec(u32(0))), section(7, vec(cat(name("run"), 0, 0))),
		section(10, vec(sized(vec(cat(u32(locals), wasm.I32)), cat(code...)))))
	image := lowered(t, file)
	if len(image.Code)/bytecode.Words < 1<<16 {
		t.Fatalf("only %d instructions", len(image.Code)/bytecode.Words)
	}
	want := expected(t, file, []call{{function: "run"}})
	dev := target{devicetest.Get(t, "cpu:0"), "mailbox"}
	p := program(t, dev, interpreter.Parts{})
	in := p.instances(t, image, interpreter.Options{})
	defer in.Close()
	s, results := p.invoke(t, in, 0, 0, wasm.FuncType{Results: i32})
	if !s.Ended || results[0] != want[0].results[0] {
		t.Errorf("%+v, %x, not %x", s, results, want[0].results)
	}
	// A frame that does not fit is one call too many.
	small := p.instances(t, image, interpreter.Options{Slots: locals})
	defer small.Close()
	if s, _ := p.invoke(t, small, 0, 0, wasm.FuncType{}); s.Trap != machine.StackExhausted || s.Function != -1 {
		t.Errorf("%+v", s)
	}
}

// TestLimits are those of instances.
func TestLimits(t *testing.T) {
	file := wasmtest.File(section(1, vec(funcType(i32, i32))), section(3, vec(u32(0), u32(0))), section(4, vec(cat(wasm.FuncRef, 0, 2))), section(5, vec(cat(0, 2))),
		section(7, vec(cat(name("memory"), 0, 0), cat(name("table"), 0, 1))),
		section(10, vec(
			sized(0, wasm.LocalGet, 0, wasm.MemoryGrow, 0, wasm.End),
			sized(0, wasm.RefNull, wasm.FuncRef, wasm.LocalGet, 0, wasm.TableGrow, 0, wasm.End))))
	image := lowered(t, file)
	dev := target{devicetest.Get(t, "cpu:0"), "mailbox"}
	p := program(t, dev, interpreter.Parts{})
	in := p.instances(t, image, interpreter.Options{Pages: 5, Elements: 4})
	defer in.Close()
	const none = 1<<32 - 1
	for i, c := range []struct {
		function int
		n, want  uint64
	}{{0, 4, none}, {0, 3, 2}, {0, 0, 5}, {0, 1, none}, {0, none, none}, {1, 3, none}, {1, 2, 2}, {1, 0, 4}, {1, 1, none}, {1, none, none}} {
		if s, r := p.invoke(t, in, 0, c.function, wasm.FuncType{Results: i32}, c.n); !s.Ended || r[0] != c.want {
			t.Errorf("%d: %+v %x, not %x", i, s, r, c.want)
		}
	}
	for _, o := range []interpreter.Options{{Pages: 1}, {Instances: 1 << 40}} {
		in, err := interpreter.New(dev.Device, image, o)
		if err == nil {
			t.Errorf("%+v: no error", o)
			in.Close()
		}
	}
	if err := in.Enter(0, 2); !errors.Is(err, hal.ErrInvalid) {
		t.Errorf("a function that does not exist: %v", err)
	}
	if err := in.Memory(0, 5*bytecode.PageBytes-1, make([]byte, 2)); !errors.Is(err, hal.ErrInvalid) {
		t.Errorf("memory that does not exist: %v", err)
	}
}
