package cuda

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/dialtone-gpu/dialtone/backend/stream"
	"github.com/dialtone-gpu/dialtone/hal"
)

// Trials are what the driver can do and the portable API has no call for.
func (d *device) Trials() []hal.Trial {
	return slices.Concat(d.Handle.Trials(), cuFile.Trials(d.Handle), []hal.Trial{
		{Capability: "stream.memops", Run: d.memoryOperations},
	})
}

// waitAtLeast is CU_STREAM_WAIT_VALUE_GEQ, page "Data types used by CUDA driver".
const waitAtLeast = 0

// memoryOperations lets a stream wait for a word that the host writes, and then write one itself. Page "Stream Memory
// Operations": cuStreamWaitValue32, cuStreamWriteValue32.
func (d *device) memoryOperations(context.Context, string) (string, error) {
	if d.api.StreamWaitValue32 == 0 {
		return "", fmt.Errorf("the driver library has no cuStreamWaitValue32: %w", hal.ErrUnsupported)
	}
	memory, err := d.Alloc(hal.HostCoherent, 64)
	if err != nil {
		return "", err
	}
	defer memory.Free()
	word := (*atomic.Uint32)(memory.Host())
	word.Store(0)
	return d.TryWords("cuStreamWaitValue32", func(queue uintptr) result {
		return code(d.api.StreamWaitValue32.Call(queue, memory.(*stream.Buffer).Address(), 1, waitAtLeast))
	}, func() { word.Store(1) })
}
