package hal

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"github.com/dialtone-gpu/dialtone/internal/nap"
)

// Arg is a kernel argument.
type Arg struct {
	buffer *Buffer
	value  []byte
}

// Memory passes a buffer; the kernel sees a GLOBAL pointer.
func Memory(b *Buffer) Arg { return Arg{buffer: b} }

// Value passes raw bytes, little-endian, of a scalar or a struct without pointers.
func Value(b []byte) Arg { return Arg{value: b} }

// Int32 passes a 32-bit integer.
func Int32(v int32) Arg { return Arg{value: binary.LittleEndian.AppendUint32(nil, uint32(v))} }

// Int64 passes a 64-bit integer.
func Int64(v int64) Arg { return Arg{value: binary.LittleEndian.AppendUint64(nil, uint64(v))} }

// Float32 passes a 32-bit float.
func Float32(v float32) Arg {
	return Arg{value: binary.LittleEndian.AppendUint32(nil, math.Float32bits(v))}
}

// Queue runs operations in order.
type Queue struct {
	driver DriverQueue
	device *Device
	closed atomic.Bool
}

// Launch enqueues a kernel: grid groups of group work-items, per dimension; a zero
// counts as one. It returns at once.
func (q *Queue) Launch(k *Kernel, grid, group [3]int, args ...Arg) error {
	for i := range grid {
		grid[i], group[i] = max(grid[i], 1), max(group[i], 1)
	}
	if n := group[0] * group[1] * group[2]; n > k.MaxGroup() {
		return fmt.Errorf("%s: kernel %s: groups of %d work-items, at most %d: %w",
			q.device.info.URI, k.name, n, k.MaxGroup(), ErrInvalid)
	}
	dargs := make([]DriverArg, len(args))
	for i, a := range args {
		if a.buffer != nil {
			dargs[i].Buffer = a.buffer.driver
		} else {
			dargs[i].Value = a.value
		}
	}
	return q.driver.Launch(k.driver, grid, group, dargs)
}

// Read copies len(dst) bytes at offset of src to the host, after what the queue has to do before.
func (q *Queue) Read(dst []byte, src *Buffer, offset int) error {
	if offset < 0 || offset+len(dst) > src.size {
		return fmt.Errorf("read of %d bytes at %d from a buffer of %d: %w", len(dst), offset, src.size, ErrInvalid)
	}
	if len(dst) == 0 {
		return nil
	}
	return q.driver.Read(dst, src.driver, offset)
}

// Write copies src to the device, after what the queue has to do before.
func (q *Queue) Write(dst *Buffer, offset int, src []byte) error {
	if offset < 0 || offset+len(src) > dst.size {
		return fmt.Errorf("write of %d bytes at %d to a buffer of %d: %w", len(src), offset, dst.size, ErrInvalid)
	}
	if len(src) == 0 {
		return nil
	}
	return q.driver.Write(dst.driver, offset, src)
}

// Done reports whether all is finished, and what failed. It never blocks.
func (q *Queue) Done() (bool, error) { return q.driver.Done() }

// Wait polls until all is finished or the context ends; what runs goes on in the latter case. It
// looks often at first and then at intervals of about a hundredth of the time waited, 2 ms at most.
func (q *Queue) Wait(ctx context.Context) error {
	start := time.Now()
	for {
		done, err := q.driver.Done()
		if done || err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		nap.For(min(time.Since(start)/100, 2*time.Millisecond))
	}
}

// Stop ends a running kernel where the backend can; ErrUnsupported says that it cannot.
func (q *Queue) Stop() error {
	if s, ok := q.driver.(Stopper); ok {
		return s.Stop()
	}
	return fmt.Errorf("%s: end a running kernel: %w", q.device.info.URI, ErrUnsupported)
}

// Close waits for nothing and releases the queue.
func (q *Queue) Close() error {
	if q.closed.Swap(true) {
		return nil
	}
	return q.driver.Close()
}
