package hip

import (
	"encoding/binary"
	"fmt"
	"math"
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
	// backlogMax is how many operations may wait in a stream. A driver whose queue to the hardware is full would block in the
	// call until one has ended.
	backlogMax = 512
	// halfSize is half of a queue's bounce buffer: while the device copies one half, the host copies the other.
	halfSize = 512 << 10
	// argBytes and argCount limit a launch.
	argBytes    = 4096
	argCount    = 256
	pointerSize = 8
	argAlign    = 16
	// pauseMax is the longest pause of what polls.
	pauseMax = 500 * time.Microsecond
	// suspectsMax is how many kernels a queue remembers for the text of a fault.
	suspectsMax = 8
)

// queue is a stream with the pinned memory that its transfers and launches go through.
type queue struct {
	gpu    *gpu
	limits limits
	closed atomic.Bool
	stream uintptr   // hipStream_t
	self   []uintptr // the stream as the arguments of hipStreamQuery
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
		kernels [suspectsMax]*kernel
		n       int
	}
}

// half of the bounce buffer, and its last transfer.
type half struct {
	memory []byte
	event  uintptr // hipEvent_t
	last   uint64  // what the queue had issued with it; 0 is none
	marked bool    // the event follows it
}

// NewQueue makes a stream that is not ordered with any other: hipStreamCreateWithFlags, "Stream Management";
// hipEventCreateWithFlags, "Event Management".
func (d *device) NewQueue() (hal.DriverQueue, error) {
	if err := d.usable(); err != nil {
		return nil, err
	}
	collect()
	g := d.gpu
	q := &queue{gpu: g, limits: d.limits}
	op := ""
	r := g.with(func() result {
		op = "hipHostMalloc"
		var r result
		if q.memory, _, r = g.api.hostAlloc(2*halfSize + argBytes + argAlign*argCount + argCount*pointerSize); r != success {
			return r
		}
		op = "hipEventCreateWithFlags"
		for i := range q.halves {
			if r := code(g.api.EventCreate.Call(uintptr(unsafe.Pointer(&q.halves[i].event)), eventDisableTiming)); r != success {
				return r
			}
		}
		op = "hipStreamCreateWithFlags"
		return code(g.api.StreamCreate.Call(uintptr(unsafe.Pointer(&q.stream)), streamNonBlocking))
	})
	g.mu.Lock()
	g.queues = append(g.queues, q)
	g.mu.Unlock()
	if r != success {
		err := g.fail(op, r, nil)
		_ = q.Close()
		return nil, err
	}
	q.self = []uintptr{q.stream}
	for i := range q.halves {
		q.halves[i].memory = unsafe.Slice((*byte)(dl.Pointer(q.memory+uintptr(i)*halfSize)), halfSize)
	}
	return q, nil
}

// Close releases the stream and its memory when its work has ended; it waits for nothing.
func (q *queue) Close() error {
	if q.closed.Swap(true) {
		return nil
	}
	g := q.gpu
	release{
		gpu:        g,
		everywhere: true, // of the pinned memory
		do: func() result {
			if q.stream != 0 {
				g.api.StreamDestroy.Call(q.stream)
			}
			for _, h := range q.halves {
				if h.event != 0 {
					g.api.EventDestroy.Call(h.event)
				}
			}
			if q.memory == 0 {
				return success
			}
			return code(g.api.HostFree.Call(q.memory))
		},
		done: func() {
			g.mu.Lock()
			g.queues = slices.DeleteFunc(g.queues, func(o *queue) bool { return o == q })
			g.mu.Unlock()
		},
	}.add()
	collect()
	return nil
}

// usable is why the queue is not, or nil.
func (q *queue) usable() error {
	if q.closed.Load() {
		return fmt.Errorf("%s: queue: %w", q.gpu.uri, hal.ErrClosed)
	}
	return q.gpu.usable()
}

// enter takes the gate shared if the queue is usable. While it is held, nothing is given back or loaded.
func (q *queue) enter() error {
	if q.gpu.loads.Load() > 0 {
		q.gpu.giveWay()
	}
	gate.RLock()
	if err := q.usable(); err != nil {
		gate.RUnlock()
		return err
	}
	return nil
}

// Launch enqueues a kernel: hipModuleLaunchKernel, "Module Management". The driver copies
// the arguments before it returns. Nothing is allocated.
func (q *queue) Launch(dk hal.DriverKernel, grid, group [3]int, args []hal.DriverArg) error {
	k, ok := dk.(*kernel)
	if !ok || k.module.gpu != q.gpu {
		return fmt.Errorf("%s: launch of a kernel of another device: %w", q.gpu.uri, hal.ErrInvalid)
	}
	for i := range 3 {
		// The hardware counts work-items, in 32 bits.
		if grid[i] > q.limits.grid[i] || group[i] > q.limits.group[i] || grid[i] < 1 || group[i] < 1 || grid[i] > math.MaxUint32/group[i] {
			return fmt.Errorf("%s: kernel %s: grid %v of groups %v, at most %v of %v, and less than 2^32 work-items in a dimension: %w",
				q.gpu.uri, k.name, grid, group, q.limits.grid, q.limits.group, hal.ErrInvalid)
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.room(); err != nil {
		return err
	}
	if err := q.enter(); err != nil {
		return err
	}
	defer gate.RUnlock()
	if k.module.closed.Load() {
		return fmt.Errorf("%s: kernel %s: %w", q.gpu.uri, k.name, hal.ErrClosed)
	}
	if err := q.marshal(k, args); err != nil {
		return err
	}
	q.suspect(k)
	q.call = [11]uintptr{
		k.function,
		uintptr(grid[0]), uintptr(grid[1]), uintptr(grid[2]),
		uintptr(group[0]), uintptr(group[1]), uintptr(group[2]),
		0, q.stream, q.memory + 2*halfSize + argBytes + argAlign*argCount, 0,
	}
	g := q.gpu
	runtime.LockOSThread()
	r := code(g.api.SetDevice.Call(g.bind...))
	if r == success {
		r = code(g.api.ModuleLaunchKernel.Call(q.call[:]...))
	}
	runtime.UnlockOSThread()
	if r == success {
		q.issued.Add(1)
		q.backlog++
		return nil
	}
	if _, fault := faults[r]; fault {
		return g.fail("hipModuleLaunchKernel", r, q)
	}
	e := g.api.failure("hipModuleLaunchKernel", g.uri, r)
	e.Kernel = k.name
	return e
}

// Mark enqueues a store to host memory behind what was enqueued before: hipStreamWriteValue32, "Stream Memory Operations".
// AMD's runtime does it with a kernel of its own.
func (q *queue) Mark(db hal.DriverBuffer, offset int, v uint32) error {
	g := q.gpu
	b, ok := db.(*buffer)
	if !ok || b.gpu != g {
		return fmt.Errorf("%s: mark in a buffer of another device: %w", g.uri, hal.ErrInvalid)
	}
	if g.api.StreamWriteValue32 == 0 || !q.limits.marks || g.unmarked.Load() {
		return fmt.Errorf("%s: hipStreamWriteValue32: %w", g.uri, hal.ErrUnsupported)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.room(); err != nil {
		return err
	}
	if err := q.enter(); err != nil {
		return err
	}
	defer gate.RUnlock()
	if b.freed.Load() {
		return fmt.Errorf("%s: mark: %w", g.uri, hal.ErrClosed)
	}
	switch r := g.with(func() result {
		return code(g.api.StreamWriteValue32.Call(q.stream, b.device+uintptr(offset), uintptr(v), 0))
	}); r {
	case success:
		q.issued.Add(1)
		q.backlog++
		return nil
	case notSupported:
		g.unmarked.Store(true)
		return fmt.Errorf("%s: hipStreamWriteValue32: %w", g.uri, hal.ErrUnsupported)
	default:
		return g.fail("hipStreamWriteValue32", r, q)
	}
}

// marshal lays the arguments out in the queue's pinned memory: values, each aligned, and
// behind them the pointers to them that hipModuleLaunchKernel wants. Not Go memory, because it contains
// addresses that the garbage collector does not know of.
func (q *queue) marshal(k *kernel, args []hal.DriverArg) error {
	if len(args) > argCount {
		return fmt.Errorf("%s: kernel %s: %d arguments, at most %d: %w", q.gpu.uri, k.name, len(args), argCount, hal.ErrInvalid)
	}
	base := q.memory + 2*halfSize
	values := unsafe.Slice((*byte)(dl.Pointer(base)), argBytes+argAlign*argCount)
	pointers := unsafe.Slice((*uint64)(dl.Pointer(base+uintptr(len(values)))), argCount)
	at, total := 0, 0
	for i, a := range args {
		n := len(a.Value)
		if a.Buffer != nil {
			n = pointerSize
		}
		if total += n; total > argBytes {
			return fmt.Errorf("%s: kernel %s: more than %d bytes of arguments: %w", q.gpu.uri, k.name, argBytes, hal.ErrInvalid)
		}
		pointers[i] = uint64(base) + uint64(at)
		if a.Buffer != nil {
			b, ok := a.Buffer.(*buffer)
			if !ok || b.gpu != q.gpu {
				return fmt.Errorf("%s: kernel %s: argument %d is a buffer of another device: %w", q.gpu.uri, k.name, i, hal.ErrInvalid)
			}
			if b.freed.Load() {
				return fmt.Errorf("%s: kernel %s: argument %d: %w", q.gpu.uri, k.name, i, hal.ErrClosed)
			}
			binary.LittleEndian.PutUint64(values[at:], uint64(b.device))
		} else {
			copy(values[at:], a.Value)
		}
		at += (n + argAlign - 1) &^ (argAlign - 1)
	}
	// The driver follows as many pointers as the kernel has parameters, and cannot be asked how many those are: parameters that were not
	// given read zeros, or what was there, but no stray address.
	for i := len(args); i < argCount; i++ {
		pointers[i] = uint64(base)
	}
	return nil
}

// room waits until another operation fits into the stream without the driver blocking.
// It holds nothing that Done needs.
func (q *queue) room() error {
	if err := q.usable(); err != nil {
		return err
	}
	if q.backlog < backlogMax {
		return nil
	}
	err := q.poll(func() (bool, error) { return q.Done() })
	q.backlog = 0
	return err
}

// poll asks until the answer is yes or an error: at first as fast as the driver answers,
// then with pauses.
func (q *queue) poll(ready func() (bool, error)) error {
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
func (q *queue) suspect(k *kernel) {
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
func (q *queue) inFlight() []*kernel {
	q.suspects.Lock()
	defer q.suspects.Unlock()
	return slices.Clone(q.suspects.kernels[:q.suspects.n])
}

// pending reports whether something was issued that was not yet seen to end.
func (q *queue) pending() bool { return q.issued.Load() != q.finished.Load() }

// Done asks the stream: hipStreamQuery, "Stream Management". It allocates nothing
// while the answer is yes or no.
func (q *queue) Done() (bool, error) {
	done, err := q.ask("hipStreamQuery", q.query)
	if done && err == nil {
		collect()
	}
	return done, err
}

// ask makes a query of the driver with the gate held: yes, not yet, or an error.
func (q *queue) ask(op string, query func() result) (bool, error) {
	if err := q.usable(); err != nil {
		return true, err
	}
	// The gate is only tried for. While something is given back or loaded, and while that is about to
	// happen, "not yet" is always a good answer.
	if !gate.TryRLock() {
		return false, nil
	}
	if q.closed.Load() {
		gate.RUnlock()
		return true, q.usable()
	}
	r := query()
	gate.RUnlock()
	switch r {
	case success:
		return true, nil
	case notReady:
		return false, nil
	default:
		return true, q.gpu.fail(op, r, q)
	}
}

// query asks the stream and remembers a yes. The gate is held, so that the stream stays.
func (q *queue) query() result {
	issued := q.issued.Load()
	if issued == q.finished.Load() {
		return success
	}
	g := q.gpu
	runtime.LockOSThread()
	r := code(g.api.SetDevice.Call(g.bind...))
	if r == success {
		r = code(g.api.StreamQuery.Call(q.self...))
	}
	runtime.UnlockOSThread()
	if r == success {
		q.finish(issued)
	}
	return r
}

// finish notes that so much has ended.
func (q *queue) finish(issued uint64) {
	for was := q.finished.Load(); was < issued && !q.finished.CompareAndSwap(was, issued); was = q.finished.Load() {
	}
}

// idle reports whether all has ended; a fault counts as the end and is remembered.
func (q *queue) idle() bool {
	switch r := q.query(); r {
	case success:
		return true
	case notReady:
		return false
	default:
		_ = q.gpu.fail("hipStreamQuery", r, q)
		return q.gpu.lost.Load() != nil
	}
}

// Read copies from the device. From memory that the host sees, it waits for the queue and
// copies; else the device copies to pinned memory, and the host from there to dst unless
// dst is itself pinned.
func (q *queue) Read(dst []byte, src hal.DriverBuffer, offset int) error {
	b, err := q.operand(src)
	if err != nil {
		return err
	}
	q.transfer.Lock()
	defer q.transfer.Unlock()
	if b.host != 0 {
		if err := q.barrier(); err != nil {
			return err
		}
		return q.visible(b, func(p []byte) { copy(dst, p[offset:]) })
	}
	api := &q.gpu.api.driverTable
	from := b.device + uintptr(offset)
	if q.gpu.isPinned(dst) {
		return q.direct("hipMemcpyDtoHAsync", api.MemcpyDtoHAsync, uintptr(unsafe.Pointer(&dst[0])), from, len(dst))
	}
	defer q.rotate(len(dst))
	for issued, read := 0, 0; read < len(dst); {
		for issued < len(dst) && issued-read < 2*halfSize {
			h, n := q.half(issued), min(halfSize, len(dst)-issued)
			if err := q.await(h); err != nil { // a Write may still come from there
				return err
			}
			if err := q.copy("hipMemcpyDtoHAsync", api.MemcpyDtoHAsync, uintptr(unsafe.Pointer(&h.memory[0])), from+uintptr(issued), n, h, true); err != nil {
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
		read += copy(dst[read:], h.memory[:min(halfSize, len(dst)-read)])
		gate.RUnlock()
	}
	return nil
}

// Write copies to the device. It returns when src may be changed, which is before the
// copy has arrived: later operations of the queue see it.
func (q *queue) Write(dst hal.DriverBuffer, offset int, src []byte) error {
	b, err := q.operand(dst)
	if err != nil {
		return err
	}
	q.transfer.Lock()
	defer q.transfer.Unlock()
	if b.host != 0 {
		if err := q.barrier(); err != nil {
			return err
		}
		return q.visible(b, func(p []byte) { copy(p[offset:], src) })
	}
	api := &q.gpu.api.driverTable
	to := b.device + uintptr(offset)
	if q.gpu.isPinned(src) {
		return q.direct("hipMemcpyHtoDAsync", api.MemcpyHtoDAsync, to, uintptr(unsafe.Pointer(&src[0])), len(src))
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
		gate.RUnlock()
		if err := q.copy("hipMemcpyHtoDAsync", api.MemcpyHtoDAsync, to+uintptr(at), uintptr(unsafe.Pointer(&h.memory[0])), n, h, false); err != nil {
			return err
		}
		at += n
	}
	return nil
}

// visible calls f with the bytes of host memory that cannot be given back meanwhile.
func (q *queue) visible(b *buffer, f func([]byte)) error {
	if err := q.enter(); err != nil {
		return err
	}
	defer gate.RUnlock()
	if b.freed.Load() {
		return fmt.Errorf("%s: buffer: %w", q.gpu.uri, hal.ErrClosed)
	}
	f(unsafe.Slice((*byte)(dl.Pointer(b.host)), b.size))
	return nil
}

// operand checks a buffer of a transfer.
func (q *queue) operand(d hal.DriverBuffer) (*buffer, error) {
	b, ok := d.(*buffer)
	if !ok || b.gpu != q.gpu {
		return nil, fmt.Errorf("%s: transfer with a buffer of another device: %w", q.gpu.uri, hal.ErrInvalid)
	}
	if b.freed.Load() {
		return nil, fmt.Errorf("%s: buffer: %w", q.gpu.uri, hal.ErrClosed)
	}
	return b, q.usable()
}

// half is the one that the transfer's byte number at goes through.
func (q *queue) half(at int) *half { return &q.halves[(q.turn+at/halfSize)%2] }

// rotate ends a transfer of n bytes: the next one begins with the half that this one has not used last, so that it need not wait for it.
func (q *queue) rotate(n int) { q.turn = (q.turn + (n+halfSize-1)/halfSize) % 2 }

// copy enqueues a transfer and, if somebody is to wait for it, the event that marks its end: "Memory Management", "Event Management". A zero size is only the event.
func (q *queue) copy(op string, f dl.Func, to, from uintptr, n int, h *half, mark bool) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.room(); err != nil {
		return err
	}
	if err := q.enter(); err != nil {
		return err
	}
	g := q.gpu
	r := g.with(func() result {
		if n > 0 {
			if r := code(f.Call(to, from, uintptr(n), q.stream)); r != success {
				return r
			}
		}
		if !mark {
			return success
		}
		return code(g.api.EventRecord.Call(h.event, q.stream))
	})
	// Even after a failure something may be under way.
	h.last, h.marked = q.issued.Add(1), mark && r == success
	q.backlog++
	gate.RUnlock()
	if r != success {
		return g.fail(op, r, q)
	}
	return nil
}

// await polls until the half's last transfer has ended: hipEventQuery, "Event
// Management". Only this queue is waited for, and only what came before. Where something later is known to have ended, nobody is asked.
func (q *queue) await(h *half) error {
	if h.last <= q.finished.Load() {
		return nil
	}
	if !h.marked {
		if err := q.copy("hipEventRecord", 0, 0, 0, 0, h, true); err != nil {
			return err
		}
	}
	g := q.gpu
	query := func() result { return code(g.api.EventQuery.Call(h.event)) }
	err := q.poll(func() (bool, error) {
		return q.ask("hipEventQuery", func() result { return g.with(query) })
	})
	if err == nil {
		q.finish(h.last)
	}
	return err
}

// direct lets the device copy between its memory and pinned memory, and waits for it.
func (q *queue) direct(op string, f dl.Func, to, from uintptr, n int) error {
	h := &q.halves[0]
	if err := q.await(h); err != nil {
		return err
	}
	if err := q.copy(op, f, to, from, n, h, true); err != nil {
		return err
	}
	return q.await(h)
}

// barrier waits for what was given to the queue before.
func (q *queue) barrier() error {
	if !q.pending() {
		return nil
	}
	return q.direct("hipEventRecord", 0, 0, 0, 0)
}
