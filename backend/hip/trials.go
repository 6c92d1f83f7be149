package hip

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/internal/dl"
)

// Trials are what the driver can do and the portable API has no call for.
func (d *device) Trials() []hal.Trial {
	return []hal.Trial{
		{Capability: "stream.memops", Run: d.memoryOperations},
		{Capability: "io.file.read.direct", Risky: true, Run: d.readFile},
		{Capability: "io.file.write.direct", Risky: true, Run: d.writeFile},
	}
}

// memoryOperations lets a stream wait for a word that the host writes, and then write one itself: hipStreamWaitValue32,
// hipStreamWriteValue32, "Stream Memory Operations". What a stream waits for is signal memory, of which there are 8 bytes to an
// allocation, and which the host sees: hipExtMallocWithFlags.
func (d *device) memoryOperations(context.Context, string) (detail string, err error) {
	g := d.gpu
	if g.api.StreamWaitValue32 == 0 || g.api.ExtMalloc == 0 {
		return "", fmt.Errorf("the HIP runtime has no hipStreamWaitValue32 or no hipExtMallocWithFlags: %w", hal.ErrUnsupported)
	}
	dq, err := d.NewQueue()
	if err != nil {
		return "", err
	}
	q := dq.(*queue)
	defer q.Close()
	memory, err := d.Alloc(hal.HostCoherent, 64)
	if err != nil {
		return "", err
	}
	defer memory.Free()
	answer := (*atomic.Uint32)(memory.Host())
	answer.Store(0)
	var signal uintptr
	if r := g.with(func() result {
		return code(g.api.ExtMalloc.Call(uintptr(unsafe.Pointer(&signal)), 8, mallocSignal))
	}); r != success {
		return "", g.unsupported("hipExtMallocWithFlags", r)
	}
	defer release{gpu: g, do: func() result { return code(g.api.Free.Call(signal)) }}.add()
	word := (*atomic.Uint64)(dl.Pointer(signal))
	word.Store(0)
	if r := g.with(func() result {
		return code(g.api.StreamWaitValue32.Call(q.stream, signal, 1, waitAtLeast, 0xffffffff))
	}); r != success {
		return "", g.unsupported("hipStreamWaitValue32", r)
	}
	q.issued.Add(1)
	if err := q.Mark(memory, 0, 2); err != nil {
		word.Store(1) // so that nothing waits
		return "", err
	}
	time.Sleep(5 * time.Millisecond)
	early := answer.Load()
	start := time.Now()
	word.Store(1)
	for answer.Load() != 2 {
		if time.Since(start) > 2*time.Second {
			return "", errors.New("the stream did not go on within 2 s")
		}
		time.Sleep(10 * time.Microsecond)
	}
	took := time.Since(start)
	if early != 0 {
		return "", fmt.Errorf("the stream did not wait: %w", hal.ErrUnsupported)
	}
	return fmt.Sprintf("a stream waited for a word of the host and answered it after %v", took.Round(time.Microsecond)), nil
}

// unsupported is what the driver said about op, which it may refuse.
func (g *gpu) unsupported(op string, r result) error {
	err := g.fail(op, r, nil)
	if r == notSupported || r == invalidValue {
		return fmt.Errorf("%w: %w", err, hal.ErrUnsupported)
	}
	return err
}
