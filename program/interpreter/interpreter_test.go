package interpreter_test

import (
	"context"
	"testing"
	"time"

	"github.com/dialtone-gpu/dialtone/capabilities"
	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/hostcall"
	"github.com/dialtone-gpu/dialtone/hostcall/plan"
	"github.com/dialtone-gpu/dialtone/internal/devicetest"
	"github.com/dialtone-gpu/dialtone/program/bytecode"
	"github.com/dialtone-gpu/dialtone/program/interpreter"
	"github.com/dialtone-gpu/dialtone/program/wasm"
)

func TestMain(m *testing.M) {
	devicetest.EmulateHIP()
	devicetest.EmulateMetal()
	devicetest.Main(m)
}

// limit bounds every run of these tests, which none should reach.
const limit = 60 * time.Second

// target is a device with the transport that its programs use.
type target struct {
	*hal.Device
	transport plan.Transport
}

// forEach runs a subtest on every device with each transport.
func forEach(t *testing.T, f func(t *testing.T, dev target)) {
	t.Helper()
	devicetest.ForEach(t, func(t *testing.T, dev *hal.Device) {
		for _, transport := range []plan.Transport{plan.Mailbox, plan.Stopping} {
			t.Run(string(transport), func(t *testing.T) { f(t, target{dev, transport}) })
		}
	})
}

// loaded is the kernel on a device.
type loaded struct {
	*hostcall.Program
	dev target
}

// program compiles the kernel for a device.
func program(t testing.TB, dev target, parts interpreter.Parts) *loaded {
	t.Helper()
	return programWith(t, dev, interpreter.Source(parts), nil)
}

// programWith compiles a text that imports functions.
func programWith(t testing.TB, dev target, text string, functions map[string]hostcall.Function) *loaded {
	t.Helper()
	opts := &hostcall.Options{Warn: func(s string) { t.Errorf("warned: %s", s) }}
	if dev.transport == plan.Stopping {
		opts.Policy.Deny = []capabilities.ID{capabilities.CommMailbox}
	}
	rt, err := hostcall.New(t.Context(), dev.Device, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := rt.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	if err := rt.Plan().NeedsHost(); err != nil {
		t.Skipf("no hostcalls on this device: %v", err)
	}
	if rt.Plan().Transport != dev.transport {
		t.Skipf("this device has no transport %s", dev.transport)
	}
	for name, f := range functions {
		if err := rt.Register(name, f); err != nil {
			t.Fatal(err)
		}
	}
	p, err := rt.Load(t.Context(), "vm.kernel.c", text)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return &loaded{p, dev}
}

// run runs all instances until they have ended.
func (p *loaded) run(t testing.TB, in *interpreter.Instances, group int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	l, err := in.Launch(ctx, group)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Run(ctx, l); err != nil {
		t.Fatal(err)
	}
}

// instances makes instances and prepares them.
func (p *loaded) instances(t testing.TB, image *bytecode.Image, o interpreter.Options) *interpreter.Instances {
	t.Helper()
	in, err := interpreter.New(p.dev.Device, image, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := in.Prepare(t.Context(), p.Program); err != nil {
		t.Fatal(err)
	}
	return in
}

// invoke runs a function on an instance and gives its results if it came to its end.
func (p *loaded) invoke(t testing.TB, in *interpreter.Instances, instance, function int, ft wasm.FuncType, args ...uint64) (interpreter.State, []uint64) {
	t.Helper()
	if err := in.Enter(instance, function, args...); err != nil {
		t.Fatal(err)
	}
	p.run(t, in, 1)
	return p.outcome(t, in, instance, ft)
}

// outcome gives how an instance ended, and the results of its function if that came to its end.
func (p *loaded) outcome(t testing.TB, in *interpreter.Instances, instance int, ft wasm.FuncType) (interpreter.State, []uint64) {
	t.Helper()
	s, err := in.State(instance)
	if err != nil {
		t.Fatal(err)
	}
	var results []uint64
	if n := len(ft.Results); s.Ended && n > 0 {
		if results, err = in.Results(instance, n); err != nil {
			t.Fatal(err)
		}
	}
	return s, results
}
