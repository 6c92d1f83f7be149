package stream

import (
	"context"
	"fmt"
	"os"

	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/internal/gpufile"
)

// Files is the vendor's library for transfers between files and device memory.
type Files struct {
	gpufile.Options
	Names func() []string // where it may be
	// Allow and Force are the variables of its environment for the mode in which the host copies.
	Allow, Force string
	// Explain says more of an error of a transfer without copies. It may be nil.
	Explain func(err error, storage string) error
}

// Trials of that library. The environment has to forbid copies by the host, or they could pass for DMA, except in the last one.
func (f Files) Trials(h *Handle) []hal.Trial {
	direct := func(move func(*gpufile.Library, string, gpufile.Memory) (string, error)) func(context.Context, string) (string, error) {
		return func(_ context.Context, storage string) (string, error) {
			for _, v := range []string{f.Allow, f.Force} {
				if os.Getenv(v) != "false" {
					return "", fmt.Errorf("%s is not false: a copy by the host could pass for DMA", v)
				}
			}
			detail, err := f.move(h, storage, move)
			if err != nil && f.Explain != nil {
				err = f.Explain(err, storage)
			}
			return detail, err
		}
	}
	return []hal.Trial{
		{Capability: "io.file.read.direct", Risky: true, Run: direct((*gpufile.Library).Read)},
		{Capability: "io.file.write.direct", Risky: true, Run: direct((*gpufile.Library).Write)},
		{Capability: "io.file.compat", Risky: true, Env: []string{f.Allow + "=true"}, Run: func(_ context.Context, storage string) (string, error) {
			if os.Getenv(f.Allow) != "true" {
				return "", fmt.Errorf("%s is not true: a copy by the host may be refused", f.Allow)
			}
			return f.move(h, storage, (*gpufile.Library).ReadAnyhow)
		}},
	}
}

// move lets the library move a file in the folder storage, and compares.
func (f Files) move(h *Handle, storage string, move func(*gpufile.Library, string, gpufile.Memory) (string, error)) (string, error) {
	lib, err := gpufile.Load(f.Options, f.Names()...)
	if err != nil {
		return "", err
	}
	memory, err := h.Alloc(hal.DeviceMemory, gpufile.Size)
	if err != nil {
		return "", err
	}
	defer memory.Free()
	q, err := h.NewQueue()
	if err != nil {
		return "", err
	}
	defer q.Close()
	return move(lib, storage, gpufile.Memory{
		Address: memory.(*Buffer).address,
		Bind: func() error {
			if r := h.SetCurrent(); r != Success {
				return h.Fail(h.driver.SetCurrent.Name, r)
			}
			return nil
		},
		Get: func(p []byte) error { return Finish(q, q.Read(p, memory, 0)) },
		Put: func(p []byte) error { return Finish(q, q.Write(memory, 0, p)) },
	})
}
