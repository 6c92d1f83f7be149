package probe

import (
	"context"
	_ "embed"
	"os"
	"runtime"
	"time"

	"github.com/dialtone-gpu/dialtone/capabilities"
	"github.com/dialtone-gpu/dialtone/hal"
)

//go:embed kernels/yield.kernel.c
var yieldText string

// hostYield: exec.hostyield, on devices whose lanes are threads of this machine's cores and whose
// dialect cannot call the system otherwise.
func (p *prober) hostYield(ctx context.Context) error {
	const id = capabilities.HostYield
	info := p.device.Info()
	if !info.HostCPU || info.Dialect != hal.OpenCL {
		p.note(id, capabilities.No, 0, 0, "device", "its lanes are no threads of this machine, or yield anyway")
		return nil
	}
	if runtime.GOOS != "linux" {
		p.note(id, capabilities.No, 0, 0, "device", "only Linux's system calls are known by number")
		return nil
	}
	start := time.Now()
	m, err := p.compile(ctx, "yield", yieldText, "HC_HOST_YIELD")
	if err != nil {
		p.note(id, capabilities.No, 0, time.Since(start), "kernel yielding", "it does not compile")
		return nil
	}
	defer m.Close()
	out, err := p.zeroed(64)
	if err != nil {
		return err
	}
	defer out.Close()
	if err := p.launch(ctx, m, "yielding", 1, 1, hal.Memory(out)); err != nil {
		p.note(id, capabilities.No, 0, time.Since(start), "kernel yielding", "%v", err)
		return nil
	}
	raw, err := p.read(out)
	if err != nil {
		return err
	}
	if got := u32(raw, 1); got != uint32(os.Getpid()) {
		p.note(id, capabilities.No, 0, time.Since(start), "kernel yielding", "getpid(2) from a kernel gave %d in process %d", got, os.Getpid())
		return nil
	}
	p.note(id, capabilities.Proven, 0, time.Since(start), "kernel yielding", "sched_yield(2) and getpid(2) from a kernel returned")
	return nil
}
