package stream

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/internal/dl"
)

const (
	// BacklogMax is how many operations may wait in a stream. At about 1024 the driver
	// would block in the call until one has ended.
	BacklogMax = 512
	// HalfSize is half of a queue's bounce buffer: while the device copies one half, the host copies the other.
	HalfSize = 512 << 10
	// ArgBytes and ArgCount limit a launch; 4096 bytes of parameters is CUDA's own limit before 12.1.
	ArgBytes    = 4096
	ArgCount    = 256
	pointerSize = 8
	argAlign    = 16
	// pauseMax is the longest pause of what polls.
	pauseMax = 500 * time.Microsecond
	// suspectsMax is how many kernels a queue remembers for the text of a fault.
	suspectsMax = 8
)

// Queue is a stream with the pinned memory that its transfers and launches go through.
type Queue struct {
	device *Device
	limits Limits
	closed atomic.Bool
	stream uintptr   // CUstream, hipStream_t
	self   []uintptr // the stream as the arguments of StreamQuery
	memory uintptr   // two halves, then argument values, then pointers to them

	// issued counts what was given to the stream, after it was given; the first finished of that are known to have ended.
	issued, finished atomic.Uint64

	mu      sync.Mutex // orders launches and transfers as they are given to the stream
	call    [11]uintptr
	backlog int // operations since the stream was last found empty

	transfer sync.Mutex // held over a whole Read or Write, which use the halves
	halves   [2]half
	turn     int // the half that the next transfer begins with

	suspects struct {
		sync.Mutex
		kernels [suspectsMax]*Kernel
		n       int
	}
}

// half of the bounce buffer, and its last transfer.
type half struct {
	memory []byte
	event  uintptr // CUevent, hipEvent_t
	last   uint64  // what the queue had issued with it; 0 is none
	marked bool    // the event follows it
}

// NewQueue makes a stream that is not ordered with any other: StreamCreate, EventCreate.
func (h *Handle) NewQueue() (hal.DriverQueue, error) {
	if err := h.Usable(); err != nil {
		return nil, err
	}
	d, api := h.Device, h.driver
	api.collect()
	q := &Queue{device: d, limits: h.limits}
	op := ""
	r := d.With(func() Result {
		op = api.AllocHost.Name
		var r Result
		if q.memory, _, r = api.allocHost(2*HalfSize + ArgBytes + argAlign*ArgCount + ArgCount*pointerSize); r != Success {
			return r
		}
		op = api.EventCreate.Name
		for i := range q.halves {
			if r := Code(api.EventCreate.Call(uintptr(unsafe.Pointer(&q.halves[i].event)), EventDisableTiming)); r != Success {
				return r
			}
		}
		op = api.StreamCreate.Name
		return Code(api.StreamCreate.Call(uintptr(unsafe.Pointer(&q.stream)), StreamNonBlocking))
	})
	d.ref()
	d.mu.Lock()
	d.queues = append(d.queues, q)
	d.mu.Unlock()
	if r != Success {
		err := d.Fail(op, r)
		_ = q.Close()
		return nil, err
	}
	q.self = []uintptr{q.stream}
	for i := range q.halves {
		q.halves[i].memory = unsafe.Slice((*byte)(dl.Pointer(q.memory+uintptr(i)*HalfSize)), HalfSize)
	}
	return q, nil
}

// Close releases the stream and its memory when its work has ended; it waits for nothing.
func (q *Queue) Close() error {
	if q.closed.Swap(true) {
		return nil
	}
	d, api := q.device, q.device.driver
	d.later(release{
		everywhere: true, // of the pinned memory
		do: func() Result {
			if q.stream != 0 {
				api.StreamDestroy.Call(q.stream)
			}
			for _, h := range q.halves {
				if h.event != 0 {
					api.EventDestroy.Call(h.event)
				}
			}
			if q.memory == 0 {
				return Success
			}
			return Code(api.FreeHost.Call(q.memory))
		},
		done: func() {
			d.mu.Lock()
			d.queues = slices.DeleteFunc(d.queues, func(o *Queue) bool { return o == q })
			d.mu.Unlock()
		},
	})
	api.collect()
	return d.unref()
}

// usable is why the queue is not, or nil.
func (q *Queue) usable() error {
	if q.closed.Load() {
		return q.device.closed("queue")
	}
	return q.device.Usable()
}

// enter takes the gate shared if the queue is usable. While it is held, nothing is given back or loaded.
func (q *Queue) enter() error {
	if q.device.loads.Load() > 0 {
		q.device.giveWay()
	}
	q.device.driver.gate.RLock()
	if err := q.usable(); err != nil {
		q.device.driver.gate.RUnlock()
		return err
	}
	return nil
}

// Launch enqueues a kernel: LaunchKernel. The driver copies
// the arguments before it returns. Nothing is allocated.
func (q *Queue) Launch(dk hal.DriverKernel, grid, group [3]int, args []hal.DriverArg) error {
	d, api := q.device, q.device.driver
	k, ok := dk.(*Kernel)
	if !ok || k.module.device != d {
		return d.foreign("launch of a kernel")
	}
	if err := q.limits.check(grid, group); err != nil {
		return fmt.Errorf("%s: kernel %s: %w", d.uri, k.name, err)
	}
	if err := k.check(args); err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.room(); err != nil {
		return err
	}
	if err := q.enter(); err != nil {
		return err
	}
	defer api.gate.RUnlock()
	if k.module.closed.Load() {
		return d.closed("kernel " + k.name)
	}
	if err := q.marshal(k, args); err != nil {
		return err
	}
	q.suspect(k)
	q.call = [11]uintptr{
		k.function,
		uintptr(grid[0]), uintptr(grid[1]), uintptr(grid[2]),
		uintptr(group[0]), uintptr(group[1]), uintptr(group[2]),
		0, q.stream, q.memory + 2*HalfSize + ArgBytes + argAlign*ArgCount, 0,
	}
	runtime.LockOSThread()
	r := d.SetCurrent()
	if r == Success {
		r = Code(api.LaunchKernel.Call(q.call[:]...))
	}
	runtime.UnlockOSThread()
	if r == Success {
		q.issued.Add(1)
		q.backlog++
		return nil
	}
	if api.Fault(r) {
		return d.fail(api.LaunchKernel.Name, r, q)
	}
	e := api.Failure(api.LaunchKernel.Name, d.uri, r)
	e.Kernel = k.name
	return e
}

// check compares the shape of a launch with the limits.
func (l *Limits) check(grid, group [3]int) error {
	for i := range 3 {
		if grid[i] > l.Grid[i] || group[i] > l.Group[i] || grid[i] < 1 || group[i] < 1 {
			return fmt.Errorf("grid %v of groups %v, at most %v of %v: %w", grid, group, l.Grid, l.Group, hal.ErrInvalid)
		}
		if l.Items > 0 && grid[i] > l.Items/group[i] {
			return fmt.Errorf("grid %v of groups %v, at most %d work-items in a dimension: %w", grid, group, l.Items, hal.ErrInvalid)
		}
	}
	return nil
}

// Mark enqueues a store to host memory: StreamWriteWord. With flags 0 it comes after
// the writes of what was enqueued before. Drivers before CUDA 12 may have it turned off; AMD's runtime does it with a kernel of its own.
func (q *Queue) Mark(db hal.DriverBuffer, offset int, v uint32) error {
	d, f := q.device, q.device.driver.StreamWriteWord
	b, ok := db.(*Buffer)
	if !ok || b.device != d {
		return d.foreign("mark in a buffer")
	}
	if f.Func == 0 || q.limits.NoMarks || d.unmarked.Load() {
		return fmt.Errorf("%s: %s: %w", d.uri, f.Name, hal.ErrUnsupported)
	}
	r, err := q.give(b, func() Result {
		return Code(f.Call(q.stream, b.address+uintptr(offset), uintptr(v), 0))
	})
	switch {
	case err != nil || r == Success:
		return err
	case r == NotSupported:
		d.unmarked.Store(true)
		return fmt.Errorf("%s: %s: %w", d.uri, f.Name, hal.ErrUnsupported)
	default:
		return d.fail(f.Name, r, q)
	}
}

// give has f, which only calls the driver, give the stream an operation on a buffer, or on none. The error is of what comes before that.
func (q *Queue) give(b *Buffer, f func() Result) (Result, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.room(); err != nil {
		return 0, err
	}
	if err := q.enter(); err != nil {
		return 0, err
	}
	defer q.device.driver.gate.RUnlock()
	if b != nil && b.freed.Load() {
		return 0, q.device.closed("buffer")
	}
	r := q.device.With(f)
	if r == Success {
		q.issued.Add(1)
		q.backlog++
	}
	return r, nil
}

// marshal lays the arguments out in the queue's pinned memory: values, each aligned, and
// behind them the pointers to them that LaunchKernel wants. Not Go memory, because it contains
// addresses that the garbage collector does not know of.
func (q *Queue) marshal(k *Kernel, args []hal.DriverArg) error {
	if len(args) > ArgCount {
		return fmt.Errorf("%s: kernel %s: %d arguments, at most %d: %w", q.device.uri, k.name, len(args), ArgCount, hal.ErrInvalid)
	}
	base := q.memory + 2*HalfSize
	values := unsafe.Slice((*byte)(dl.Pointer(base)), ArgBytes+argAlign*ArgCount)
	pointers := unsafe.Slice((*uint64)(dl.Pointer(base+uintptr(len(values)))), ArgCount)
	at, total := 0, 0
	for i, a := range args {
		n := len(a.Value)
		if a.Buffer != nil {
			n = pointerSize
		}
		if total += n; total > ArgBytes {
			return fmt.Errorf("%s: kernel %s: more than %d bytes of arguments: %w", q.device.uri, k.name, ArgBytes, hal.ErrInvalid)
		}
		pointers[i] = uint64(base) + uint64(at)
		if a.Buffer != nil {
			b, ok := a.Buffer.(*Buffer)
			if !ok || b.device != q.device {
				return fmt.Errorf("%s: kernel %s: argument %d is a buffer of another device: %w", q.device.uri, k.name, i, hal.ErrInvalid)
			}
			if b.freed.Load() {
				return fmt.Errorf("%s: kernel %s: argument %d: %w", q.device.uri, k.name, i, hal.ErrClosed)
			}
			binary.LittleEndian.PutUint64(values[at:], uint64(b.address))
		} else {
			copy(values[at:], a.Value)
		}
		at += (n + argAlign - 1) &^ (argAlign - 1)
	}
	// A driver that cannot tell how many parameters there are follows as many pointers as the
	// kernel has parameters: those that were not given read zeros, or what was there, but no stray address.
	for i := len(args); i < ArgCount && !k.KnowParams; i++ {
		pointers[i] = uint64(base)
	}
	return nil
}

// room waits until another operation fits into the stream without the driver blocking.
// It holds nothing that Done needs.
func (q *Queue) room() error {
	if err := q.usable(); err != nil {
		return err
	}
	if q.backlog < BacklogMax {
		return nil
	}
	err := q.poll(func() (bool, error) { return q.Done() })
	q.backlog = 0
	return err
}

// poll asks until the answer is yes or an error: at first as fast as the driver answers,
// then with pauses.
func (q *Queue) poll(ready func() (bool, error)) error {
	pause := 20 * time.Microsecond
	for i := 0; ; i++ {
		if ok, err := ready(); ok || err != nil {
			return err
		}
		if i < 100 {
			runtime.Gosched()
			continue
		}
		time.Sleep(pause)
		pause = min(pause*5/4, pauseMax)
	}
}

// suspect remembers a kernel for the text of a fault.
func (q *Queue) suspect(k *Kernel) {
	s := &q.suspects
	s.Lock()
	defer s.Unlock()
	if !q.pending() {
		s.n = 0
	}
	if slices.Contains(s.kernels[:s.n], k) {
		return
	}
	if s.n == suspectsMax {
		copy(s.kernels[:], s.kernels[1:])
		s.n--
	}
	s.kernels[s.n] = k
	s.n++
}

// inFlight lists the kernels launched since the queue was last found empty.
func (q *Queue) inFlight() []*Kernel {
	q.suspects.Lock()
	defer q.suspects.Unlock()
	return slices.Clone(q.suspects.kernels[:q.suspects.n])
}

// pending reports whether something was issued that was not yet seen to end.
func (q *Queue) pending() bool { return q.issued.Load() != q.finished.Load() }

// Done asks the stream: StreamQuery. It allocates nothing
// while the answer is yes or no.
func (q *Queue) Done() (bool, error) {
	done, err := q.ask(q.device.driver.StreamQuery.Name, q.query)
	if done && err == nil {
		q.device.driver.collect()
	}
	return done, err
}

// ask makes a query of the driver with the gate held: yes, not yet, or an error.
func (q *Queue) ask(op string, query func() Result) (bool, error) {
	if err := q.usable(); err != nil {
		return true, err
	}
	// The gate is only tried for. While something is given back or loaded, and while that is about to
	// happen, "not yet" is always a good answer.
	if !q.device.driver.gate.TryRLock() {
		return false, nil
	}
	if q.closed.Load() {
		q.device.driver.gate.RUnlock()
		return true, q.usable()
	}
	r := query()
	q.device.driver.gate.RUnlock()
	switch r {
	case Success:
		return true, nil
	case NotReady:
		return false, nil
	default:
		return true, q.device.fail(op, r, q)
	}
}

// query asks the stream and remembers a yes. The gate is held, so that the stream stays.
func (q *Queue) query() Result {
	issued := q.issued.Load()
	if issued == q.finished.Load() {
		return Success
	}
	d := q.device
	runtime.LockOSThread()
	r := d.SetCurrent()
	if r == Success {
		r = Code(d.driver.StreamQuery.Call(q.self...))
	}
	runtime.UnlockOSThread()
	if r == Success {
		q.finish(issued)
	}
	return r
}

// finish notes that so much has ended.
func (q *Queue) finish(issued uint64) {
	for was := q.finished.Load(); was < issued && !q.finished.CompareAndSwap(was, issued); was = q.finished.Load() {
	}
}

// idle reports whether all has ended; a fault counts as the end and is remembered.
func (q *Queue) idle() bool {
	switch r := q.query(); r {
	case Success:
		return true
	case NotReady:
		return false
	default:
		_ = q.device.fail(q.device.driver.StreamQuery.Name, r, q)
		return q.device.lost.Load() != nil
	}
}

// Read copies from the device. From memory that the host sees, it waits for the queue and
// copies; else the device copies to pinned memory, and the host from there to dst unless
// dst is itself pinned.
func (q *Queue) Read(dst []byte, src hal.DriverBuffer, offset int) error {
	b, err := q.operand(src)
	if err != nil {
		return err
	}
	q.transfer.Lock()
	defer q.transfer.Unlock()
	if b.host != 0 {
		return q.visible(b, func(p []byte) { copy(dst, p[offset:]) })
	}
	toHost := q.device.driver.CopyToHost
	from := b.address + uintptr(offset)
	if q.device.isPinned(dst) {
		return q.direct(toHost, uintptr(unsafe.Pointer(&dst[0])), from, len(dst))
	}
	defer q.rotate(len(dst))
	for issued, read := 0, 0; read < len(dst); {
		for issued < len(dst) && issued-read < 2*HalfSize {
			h, n := q.half(issued), min(HalfSize, len(dst)-issued)
			if err := q.await(h); err != nil { // a Write may still come from there
				return err
			}
			if err := q.copy(toHost, uintptr(unsafe.Pointer(&h.memory[0])), from+uintptr(issued), n, h, true); err != nil {
				return err
			}
			issued += n
		}
		h := q.half(read)
		if err := q.await(h); err != nil {
			return err
		}
		if err := q.enter(); err != nil {
			return err
		}
		read += copy(dst[read:], h.memory[:min(HalfSize, len(dst)-read)])
		q.device.driver.gate.RUnlock()
	}
	return nil
}

// Write copies to the device. It returns when src may be changed, which is before the
// copy has arrived: later operations of the queue see it.
func (q *Queue) Write(dst hal.DriverBuffer, offset int, src []byte) error {
	b, err := q.operand(dst)
	if err != nil {
		return err
	}
	q.transfer.Lock()
	defer q.transfer.Unlock()
	if b.host != 0 {
		return q.visible(b, func(p []byte) { copy(p[offset:], src) })
	}
	toDevice := q.device.driver.CopyToDevice
	to := b.address + uintptr(offset)
	if q.device.isPinned(src) {
		return q.direct(toDevice, to, uintptr(unsafe.Pointer(&src[0])), len(src))
	}
	defer q.rotate(len(src))
	for at := 0; at < len(src); {
		h := q.half(at)
		if err := q.await(h); err != nil {
			return err
		}
		if err := q.enter(); err != nil {
			return err
		}
		n := copy(h.memory, src[at:])
		q.device.driver.gate.RUnlock()
		if err := q.copy(toDevice, to+uintptr(at), uintptr(unsafe.Pointer(&h.memory[0])), n, h, false); err != nil {
			return err
		}
		at += n
	}
	return nil
}

// visible waits for the queue and calls f with the bytes of host memory, which cannot be given back meanwhile.
func (q *Queue) visible(b *Buffer, f func([]byte)) error {
	if err := q.barrier(); err != nil {
		return err
	}
	if err := q.enter(); err != nil {
		return err
	}
	defer q.device.driver.gate.RUnlock()
	if b.freed.Load() {
		return q.device.closed("buffer")
	}
	f(unsafe.Slice((*byte)(dl.Pointer(b.host)), b.size))
	return nil
}

// operand checks a buffer of a transfer.
func (q *Queue) operand(d hal.DriverBuffer) (*Buffer, error) {
	b, ok := d.(*Buffer)
	if !ok || b.device != q.device {
		return nil, q.device.foreign("transfer with a buffer")
	}
	if b.freed.Load() {
		return nil, q.device.closed("buffer")
	}
	return b, q.usable()
}

// half is the one that the transfer's byte number at goes through.
func (q *Queue) half(at int) *half { return &q.halves[(q.turn+at/HalfSize)%2] }

// rotate ends a transfer of n bytes: the next one begins with the half that this one has not used last, so that it need not wait for it.
func (q *Queue) rotate(n int) { q.turn = (q.turn + (n+HalfSize-1)/HalfSize) % 2 }

// copy enqueues a transfer and, if somebody is to wait for it, the event that marks its end: EventRecord. A zero size is only the event.
func (q *Queue) copy(f Function, to, from uintptr, n int, h *half, mark bool) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.room(); err != nil {
		return err
	}
	if err := q.enter(); err != nil {
		return err
	}
	d := q.device
	r := d.With(func() Result {
		if n > 0 {
			if r := Code(f.Call(to, from, uintptr(n), q.stream)); r != Success {
				return r
			}
		}
		if !mark {
			return Success
		}
		return Code(d.driver.EventRecord.Call(h.event, q.stream))
	})
	// Even after a failure something may be under way.
	h.last, h.marked = q.issued.Add(1), mark && r == Success
	q.backlog++
	d.driver.gate.RUnlock()
	if r != Success {
		return d.fail(f.Name, r, q)
	}
	return nil
}

// await polls until the half's last transfer has ended: EventQuery.
// Only this queue is waited for, and only what came before. Where something later is known to have ended, nobody is asked.
func (q *Queue) await(h *half) error {
	if h.last <= q.finished.Load() {
		return nil
	}
	d := q.device
	if !h.marked {
		if err := q.copy(d.driver.EventRecord, 0, 0, 0, h, true); err != nil {
			return err
		}
	}
	query := func() Result { return Code(d.driver.EventQuery.Call(h.event)) }
	err := q.poll(func() (bool, error) {
		return q.ask(d.driver.EventQuery.Name, func() Result { return d.With(query) })
	})
	if err == nil {
		q.finish(h.last)
	}
	return err
}

// direct lets the device copy between its memory and pinned memory, and waits for it.
func (q *Queue) direct(f Function, to, from uintptr, n int) error {
	h := &q.halves[0]
	if err := q.await(h); err != nil {
		return err
	}
	if err := q.copy(f, to, from, n, h, true); err != nil {
		return err
	}
	return q.await(h)
}

// barrier waits for what was given to the queue before.
func (q *Queue) barrier() error {
	if !q.pending() {
		return nil
	}
	return q.direct(q.device.driver.EventRecord, 0, 0, 0)
}

// Forget has the driver asked again whether all has ended: for tests and benchmarks of the question.
func (q *Queue) Forget() { q.finished.Store(0) }
