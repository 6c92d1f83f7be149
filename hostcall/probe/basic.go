package probe

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/dialtone-gpu/dialtone/capabilities"
	"github.com/dialtone-gpu/dialtone/hal"
)

// basic: exec.basic, module.jit.
func (p *prober) basic(ctx context.Context) (err error) {
	start := time.Now()
	p.module, err = p.compile(ctx, "probe", text)
	if why, ok := refusal(err); ok {
		// Not a kernel author's fault, and nothing that a run could get around.
		p.note(capabilities.ExecBasic, capabilities.Broken, 0, time.Since(start), "compiler", "it refuses the kernel library: %s", why)
		p.note(capabilities.ModuleJIT, capabilities.No, 0, time.Since(start), "compiler", "it refuses the kernel library: %s", why)
		return nil
	}
	if err != nil {
		return err
	}
	p.note(capabilities.ModuleJIT, capabilities.Proven, 0, time.Since(start), "compiler", "the probes' kernels, or the same ones earlier")
	start = time.Now()
	const n, guard = 1000, 16
	out, err := p.device.Alloc(hal.DeviceMemory, 4*(n+2*guard))
	if err != nil {
		return err
	}
	defer out.Close()
	want := make([]byte, out.Size())
	for i := range want {
		want[i] = 0xa5
	}
	if err := p.queue.Write(out, 0, want); err != nil {
		return err
	}
	if err := p.launch(ctx, p.module, "guarded", (n+63)/64, 64, hal.Memory(out), hal.Int32(n)); err != nil {
		return fmt.Errorf("%s: the first probe kernel: %w", p.device.Info().URI, err)
	}
	got := make([]byte, out.Size())
	if err := p.queue.Read(got, out, 0); err != nil {
		return err
	}
	for i := range uint32(n) {
		binary.LittleEndian.PutUint32(want[4*(guard+i):], i*2654435761^0xd1a17011)
	}
	if string(got) != string(want) {
		p.note(capabilities.ExecBasic, capabilities.Broken, 0, time.Since(start), "kernel guarded", "wrong values")
		return fmt.Errorf("%s: a kernel of %d work-items wrote wrong values", p.device.Info().URI, n)
	}
	p.note(capabilities.ExecBasic, capabilities.Proven, 0, time.Since(start), "kernel guarded", "%d values and %d guard words as they should be", n, 2*guard)
	return nil
}
