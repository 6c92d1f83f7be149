package hal

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dialtone-gpu/dialtone/internal/nap"
)

// Arg is a kernel argument.
type Arg struct {
	buffer *Buffer
	value  []byte
	scalar [8]byte // its first size bytes, without a buffer and a value
	size   int
}

// Memory passes a buffer; the kernel sees a GLOBAL pointer.
func Memory(b *Buffer) Arg { return Arg{buffer: b} }

// Value passes raw bytes, little-endian, of a scalar or a struct without pointers.
func Value(b []byte) Arg { return Arg{value: b} }

// Int32 passes a 32-bit integer.
func Int32(v int32) Arg { return word32(uint32(v)) }

// Int64 passes a 64-bit integer.
func Int64(v int64) Arg {
	a := Arg{size: 8}
	binary.LittleEndian.PutUint64(a.scalar[:], uint64(v))
	return a
}

// Float32 passes a 32-bit float.
func Float32(v float32) Arg { return word32(math.Float32bits(v)) }

func word32(v uint32) Arg {
	a := Arg{size: 4}
	binary.LittleEndian.PutUint32(a.scalar[:], v)
	return a
}

// Queue runs operations in order.
type Queue struct {
	driver DriverQueue
	device *Device
	closed atomic.Bool

	launch  sync.Mutex  // over the use of what follows
	args    []DriverArg // what the driver is given
	scalars [][8]byte   // what the values in args point to
}

// Launch enqueues a kernel: grid groups of group work-items, per dimension; a zero
// counts as one. It returns at once, and keeps neither args nor what their values point to. It
// allocates nothing.
func (q *Queue) Launch(k *Kernel, grid, group [3]int, args ...Arg) error {
	room := k.MaxGroup() // work-items, divided so that no product overflows
	for i := range grid {
		grid[i], group[i] = max(grid[i], 1), max(group[i], 1)
		room /= group[i]
	}
	if room == 0 {
		return fmt.Errorf("%s: kernel %s: groups of %d x %d x %d work-items, at most %d together: %w",
			q.device.info.URI, k.name, group[0], group[1], group[2], k.MaxGroup(), ErrInvalid)
	}
	q.launch.Lock()
	defer q.launch.Unlock()
	if len(q.args) < len(args) {
		q.args, q.scalars = make([]DriverArg, len(args)), make([][8]byte, len(args))
	}
	for i := range args {
		switch a := &args[i]; {
		case a.buffer != nil:
			q.args[i].Buffer = a.buffer.driver
		case a.size > 0:
			q.scalars[i] = a.scalar
			q.args[i].Value = q.scalars[i][:a.size]
		default:
			q.args[i].Value = a.value
		}
	}
	err := q.driver.Launch(k.driver, grid, group, q.args[:len(args)])
	clear(q.args[:len(args)]) // so that nothing is kept alive
	return err
}

// Read copies len(dst) bytes at offset of src to the host, after what the queue has to do before.
func (q *Queue) Read(dst []byte, src *Buffer, offset int) error {
	if offset < 0 || offset > src.size-len(dst) {
		return fmt.Errorf("read of %d bytes at %d from a buffer of %d: %w", len(dst), offset, src.size, ErrInvalid)
	}
	if len(dst) == 0 {
		return nil
	}
	return q.driver.Read(dst, src.driver, offset)
}

// Write copies src to the device, after what the queue has to do before.
func (q *Queue) Write(dst *Buffer, offset int, src []byte) error {
	if offset < 0 || offset > dst.size-len(src) {
		return fmt.Errorf("write of %d bytes at %d to a buffer of %d: %w", len(src), offset, dst.size, ErrInvalid)
	}
	if len(src) == 0 {
		return nil
	}
	return q.driver.Write(dst.driver, offset, src)
}

// Mark has the device store v in the 4-byte word at offset of a HostCoherent buffer once all that was enqueued before has finished;
// ErrUnsupported where it cannot. So the end can be seen by looking at memory. If something before fails, the store may never
// come: ask Done now and then.
func (q *Queue) Mark(b *Buffer, offset int, v uint32) error {
	if offset < 0 || offset%4 != 0 || offset > b.size-4 || b.kind != HostCoherent {
		return fmt.Errorf("mark at %d of a buffer of %d bytes of %s memory: %w", offset, b.size, b.kind, ErrInvalid)
	}
	if m, ok := q.driver.(Marker); ok {
		return m.Mark(b.driver, offset, v)
	}
	return fmt.Errorf("%s: mark the end of work: %w", q.device.info.URI, ErrUnsupported)
}

// Done reports whether all is finished, and what failed: the first failure since Done last reported
// that all was finished. It may come while other operations still run. The Done that reports it
// together with the end forgets it, and the queue goes on, unless the device is lost. Done never blocks.
func (q *Queue) Done() (bool, error) { return q.driver.Done() }

// Wait polls until all is finished or the context ends; what runs goes on in the latter case. Its
// error is the context's or, as [Queue.Done] has it, what failed, which is forgotten then. It looks
// often at first and then at intervals of about a hundredth of the time waited, 2 ms at most.
func (q *Queue) Wait(ctx context.Context) error {
	start := time.Now()
	for {
		done, err := q.driver.Done()
		if done {
			return err
		}
		if ended := ctx.Err(); ended != nil {
			if err != nil {
				return fmt.Errorf("%w; meanwhile %w", ended, err)
			}
			return ended
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
