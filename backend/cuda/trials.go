package cuda

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

// finish waits for a queue, outside of the driver.
func finish(q hal.DriverQueue, err error) error {
	for limit := time.Now().Add(10 * time.Second); err == nil; time.Sleep(50 * time.Microsecond) {
		done, failed := q.Done()
		if done {
			return failed
		}
		if time.Now().After(limit) {
			return errors.New("a transfer did not end within 10 s")
		}
	}
	return err
}

// Flags of cuStreamWaitValue32, page "Data types used by CUDA driver".
const (
	waitAtLeast = 0 // CU_STREAM_WAIT_VALUE_GEQ
	writePlain  = 0 // CU_STREAM_WRITE_VALUE_DEFAULT
)

// memoryOperations lets a stream wait for a word that the host writes, and then write one itself. Page "Stream Memory
// Operations": cuStreamWaitValue32, cuStreamWriteValue32.
func (d *device) memoryOperations(context.Context, string) (string, error) {
	c := d.context
	if c.api.StreamWaitValue32 == 0 || c.api.StreamWriteValue32 == 0 {
		return "", fmt.Errorf("the driver library has no cuStreamWaitValue32: %w", hal.ErrUnsupported)
	}
	memory, err := d.Alloc(hal.HostCoherent, 4096)
	if err != nil {
		return "", err
	}
	defer memory.Free()
	b := memory.(*buffer)
	word := func(i int) *uint32 { return (*uint32)(unsafe.Add(dl.Pointer(b.host), 4*i)) }
	atomic.StoreUint32(word(0), 0)
	atomic.StoreUint32(word(64), 0)
	var stream uintptr
	if r := c.with(func() result {
		return code(c.api.StreamCreate.Call(uintptr(unsafe.Pointer(&stream)), streamNonBlocking))
	}); r != success {
		return "", c.fail("cuStreamCreate", r, nil)
	}
	op := "cuStreamWaitValue32"
	r := c.with(func() result { return code(c.api.StreamWaitValue32.Call(stream, b.device, 1, waitAtLeast)) })
	if r == success {
		op = "cuStreamWriteValue32"
		r = c.with(func() result { return code(c.api.StreamWriteValue32.Call(stream, b.device+256, 2, writePlain)) })
	}
	if r != success {
		atomic.StoreUint32(word(0), 1) // so that nothing waits
		e := c.api.failure(op, c.uri, r)
		if r == notSupported {
			e.Err = hal.ErrUnsupported
		}
		return "", e
	}
	time.Sleep(5 * time.Millisecond)
	early := atomic.LoadUint32(word(64))
	start := time.Now()
	atomic.StoreUint32(word(0), 1)
	for atomic.LoadUint32(word(64)) != 2 {
		if time.Since(start) > 2*time.Second {
			return "", errors.New("the stream did not go on within 2 s") // it is left: destroying it might wait
		}
		time.Sleep(10 * time.Microsecond)
	}
	took := time.Since(start)
	if r := c.with(func() result { return code(c.api.StreamDestroy.Call(stream)) }); r != success {
		return "", c.fail("cuStreamDestroy", r, nil)
	}
	if early != 0 {
		return "", fmt.Errorf("the stream did not wait: %w", hal.ErrUnsupported)
	}
	return fmt.Sprintf("a stream waited for a word of the host and answered it after %v", took.Round(time.Microsecond)), nil
}
