package hip

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"unsafe"

	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/internal/dl"
)

// Trials are what the driver can do and the portable API has no call for.
func (d *device) Trials() []hal.Trial {
	return slices.Concat(d.Handle.Trials(), d.files().Trials(d.Handle), []hal.Trial{
		{Capability: "stream.memops", Run: d.memoryOperations},
	})
}

// memoryOperations lets a stream wait for a word that the host writes, and then write one itself: hipStreamWaitValue32,
// hipStreamWriteValue32, "Stream Memory Operations". What a stream waits for is signal memory, of which there are 8 bytes to an
// allocation, and which the host sees: hipExtMallocWithFlags.
func (d *device) memoryOperations(context.Context, string) (detail string, err error) {
	if d.api.StreamWaitValue32 == 0 || d.api.ExtMalloc == 0 {
		return "", fmt.Errorf("the HIP runtime has no hipStreamWaitValue32 or no hipExtMallocWithFlags: %w", hal.ErrUnsupported)
	}
	var signal uintptr
	if r := d.With(func() result {
		return code(d.api.ExtMalloc.Call(uintptr(unsafe.Pointer(&signal)), 8, mallocSignal))
	}); r != success {
		return "", d.Unsupported("hipExtMallocWithFlags", r)
	}
	defer d.Later(func() result { return code(d.api.Free.Call(signal)) })
	word := (*atomic.Uint64)(dl.Pointer(signal))
	word.Store(0)
	return d.TryWords("hipStreamWaitValue32", func(queue uintptr) result {
		return code(d.api.StreamWaitValue32.Call(queue, signal, 1, waitAtLeast, 0xffffffff))
	}, func() { word.Store(1) })
}
