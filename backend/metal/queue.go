package metal

import (
	"fmt"
	"math"
	"sync"
	"unsafe"

	"github.com/dialtone-gpu/dialtone/hal"
)

// maxFlying is how many command buffers of a queue may not have ended; Metal blocks at the next.
const maxFlying = 64

// queue is an id<MTLCommandQueue> and the goroutine that encodes for it. An operation is waiting, then current (with the
// goroutine), then, if it is a launch, flying: Metal has it until the completion handler is called.
type queue struct {
	device *device
	handle id

	mu      sync.Mutex
	change  sync.Cond // an operation came or ended
	waiting list
	current *operation
	flying  int
	free    list
	err     error // the first failure since everything was last finished
	closed  bool

	frame frame // of the goroutine's calls
}

// operation is one step of a queue. The objects are reused.
type operation struct {
	next  *operation
	queue *queue

	// A launch.
	kernel          *kernel // nil for a transfer
	groups, threads mtlSize
	args            []argument
	values          []byte // of all arguments

	// A transfer.
	buffer *buffer
	write  bool
	offset int
	data   []byte
	done   chan error
}

// argument is a buffer, or a part of the operation's values.
type argument struct {
	buffer   *buffer
	from, to int
}

// list is a first-in first-out list of operations.
type list struct{ head, tail *operation }

func (l *list) push(o *operation) {
	o.next = nil
	if l.tail == nil {
		l.head = o
	} else {
		l.tail.next = o
	}
	l.tail = o
}

func (l *list) pop() *operation {
	o := l.head
	if o != nil {
		if l.head = o.next; l.head == nil {
			l.tail = nil
		}
		o.next = nil
	}
	return o
}

// flights are the launches that Metal has, by command buffer: what the completion handler is given.
var flights struct {
	sync.Mutex
	by map[id]*operation
}

// NewQueue makes a queue and starts its goroutine.
func (d *device) NewQueue() (hal.DriverQueue, error) {
	if err := d.usable(); err != nil {
		return nil, err
	}
	q := &queue{device: d, handle: id(d.send(d.handle, d.sel.NewQueue, maxFlying))}
	if q.handle == 0 {
		return nil, fail("newCommandQueueWithMaxCommandBufferCount:", d.info.URI, hal.ErrOutOfMemory)
	}
	q.change.L = &q.mu
	go q.serve()
	return q, nil
}

// Launch checks and hands over.
func (q *queue) Launch(k hal.DriverKernel, grid, group [3]int, args []hal.DriverArg) error {
	d := q.device
	kern, ok := k.(*kernel)
	if !ok || kern.module.device != d {
		return fail("launch", d.info.URI, fmt.Errorf("%w: the kernel belongs to another device", hal.ErrInvalid))
	}
	if err := d.usable(); err != nil {
		return err
	}
	if len(args) > maxBuffers {
		return kern.invalid("%d arguments, at most %d", len(args), maxBuffers)
	}
	limit := [3]uintptr{d.limit.width, d.limit.height, d.limit.depth}
	for i := range grid {
		if grid[i] < 1 || group[i] < 1 || uintptr(group[i]) > limit[i] || grid[i] > math.MaxUint32/group[i] {
			return kern.invalid("grid %v of groups %v: ids have 32 bits, and the device's limit per dimension is %v", grid, group, limit)
		}
	}
	if !kern.module.retain() {
		return &hal.Error{Op: "launch", Backend: backendName, Device: d.info.URI, Kernel: kern.name, Err: fmt.Errorf("%w: its module", hal.ErrClosed)}
	}
	o := q.operation()
	o.kernel = kern
	o.groups = mtlSize{uintptr(grid[0]), uintptr(grid[1]), uintptr(grid[2])}
	o.threads = mtlSize{uintptr(group[0]), uintptr(group[1]), uintptr(group[2])}
	var err error
	for i := range args {
		if err = o.add(i, &args[i]); err != nil {
			break
		}
	}
	if err == nil {
		err = q.accept(o)
	}
	if err != nil {
		q.mu.Lock()
		q.recycle(o)
		q.mu.Unlock()
	}
	return err
}

// add takes an argument over.
func (o *operation) add(i int, a *hal.DriverArg) error {
	k := o.kernel
	if a.Buffer == nil {
		if len(a.Value) == 0 || len(a.Value) > maxBytes {
			return k.invalid("argument %d has %d bytes, want 1 to %d", i, len(a.Value), maxBytes)
		}
		from := len(o.values)
		o.values = append(o.values, a.Value...)
		o.args = append(o.args, argument{from: from, to: len(o.values)})
		for len(o.values)%16 != 0 { // what any type's alignment divides
			o.values = append(o.values, 0)
		}
		return nil
	}
	b, ok := a.Buffer.(*buffer)
	if !ok || b.device != k.module.device {
		return k.invalid("argument %d is a buffer of another device", i)
	}
	if !b.retain() {
		return &hal.Error{Op: "launch", Backend: backendName, Device: b.device.info.URI, Kernel: k.name,
			Err: fmt.Errorf("%w: the buffer of argument %d", hal.ErrClosed, i)}
	}
	o.args = append(o.args, argument{buffer: b})
	return nil
}

func (k *kernel) invalid(format string, args ...any) error {
	return &hal.Error{Op: "launch", Backend: backendName, Device: k.module.device.info.URI, Kernel: k.name,
		Err: fmt.Errorf("%w: "+format, append([]any{hal.ErrInvalid}, args...)...)}
}

// Read copies memory to dst after everything given before.
func (q *queue) Read(dst []byte, src hal.DriverBuffer, offset int) error {
	return q.transfer(src, offset, dst, false)
}

// Write copies src to memory after everything given before.
func (q *queue) Write(dst hal.DriverBuffer, offset int, src []byte) error {
	return q.transfer(dst, offset, src, true)
}

func (q *queue) transfer(db hal.DriverBuffer, offset int, data []byte, write bool) error {
	d := q.device
	b, ok := db.(*buffer)
	switch {
	case !ok || b.device != d:
		return fail("transfer", d.info.URI, fmt.Errorf("%w: the buffer belongs to another device", hal.ErrInvalid))
	case offset < 0 || offset > b.size || len(data) > b.size-offset:
		return fail("transfer", d.info.URI, fmt.Errorf("%w: %d bytes at %d of a buffer of %d", hal.ErrInvalid, len(data), offset, b.size))
	case len(data) == 0:
		return nil
	}
	if err := d.usable(); err != nil {
		return err
	}
	if !b.retain() {
		return fail("transfer", d.info.URI, fmt.Errorf("%w: the buffer", hal.ErrClosed))
	}
	o := q.operation()
	o.buffer, o.offset, o.data, o.write = b, offset, data, write
	done := o.done
	if err := q.accept(o); err != nil {
		q.mu.Lock()
		q.recycle(o)
		q.mu.Unlock()
		return err
	}
	return <-done
}

// operation gives an unused object.
func (q *queue) operation() *operation {
	q.mu.Lock()
	o := q.free.pop()
	q.mu.Unlock()
	if o == nil {
		o = &operation{queue: q, done: make(chan error, 1)}
	}
	return o
}

// accept hands an operation to the goroutine.
func (q *queue) accept(o *operation) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return fail("enqueue", q.device.info.URI, hal.ErrClosed)
	}
	q.waiting.push(o)
	q.change.Broadcast()
	return nil
}

// recycle drops what an operation holds. Called with the lock held.
func (q *queue) recycle(o *operation) {
	for i := range o.args {
		if b := o.args[i].buffer; b != nil {
			b.unuse()
		}
		o.args[i] = argument{}
	}
	if o.buffer != nil {
		o.buffer.unuse()
	}
	if o.kernel != nil {
		o.kernel.module.unuse()
	}
	*o = operation{queue: q, args: o.args[:0], values: o.values[:0], done: o.done}
	q.free.push(o)
}

// Done looks at what the completion handlers have noted.
func (q *queue) Done() (bool, error) {
	q.mu.Lock()
	done := q.current == nil && q.waiting.head == nil && q.flying == 0
	err := q.err
	if done {
		q.err = nil
	}
	q.mu.Unlock()
	if lost := q.device.lost.Load(); lost != nil {
		return true, lost
	}
	return done, err
}

// failed notes the first failure. Called with the lock held.
func (q *queue) failed(err error) {
	if q.err == nil && err != nil {
		q.err = err
	}
}

// Close lets what was accepted run on and returns at once.
func (q *queue) Close() error {
	q.mu.Lock()
	q.closed = true
	q.change.Broadcast()
	q.mu.Unlock()
	return nil
}

// serve is the goroutine.
func (q *queue) serve() {
	d := q.device
	q.mu.Lock()
	for {
		for q.waiting.head == nil && !q.closed {
			q.change.Wait()
		}
		o := q.waiting.pop()
		if o == nil {
			break
		}
		q.current = o
		for q.flying >= maxFlying || o.kernel == nil && q.flying > 0 {
			q.change.Wait()
		}
		var err error
		if lost := d.lost.Load(); lost != nil {
			err = lost
		} else if o.kernel == nil {
			err = q.err
		}
		q.mu.Unlock()
		flies := false
		switch {
		case err != nil:
		case o.kernel != nil:
			flies, err = q.encode(o)
		case o.write:
			copy(unsafe.Slice((*byte)(o.buffer.host), o.buffer.size)[o.offset:], o.data)
		default:
			copy(o.data, unsafe.Slice((*byte)(o.buffer.host), o.buffer.size)[o.offset:])
		}
		q.mu.Lock()
		q.current = nil
		if flies {
			continue
		}
		done := o.done
		transfer := o.kernel == nil
		if !transfer {
			q.failed(err)
		}
		q.recycle(o)
		if transfer {
			done <- err
		}
	}
	for q.flying > 0 {
		q.change.Wait()
	}
	q.mu.Unlock()
	d.release(q.handle)
}

// encode gives a launch to Metal, and reports whether the completion handler will hear of it.
func (q *queue) encode(o *operation) (flies bool, err error) {
	d := q.device
	d.pooled(func() {
		op := "commandBuffer"
		commands := q.send(q.handle, d.sel.CommandBuffer)
		var encoder id
		if commands != 0 {
			op = "computeCommandEncoder"
			encoder = q.send(commands, d.sel.Encoder)
		}
		if encoder == 0 {
			e := fail(op, d.info.URI, hal.ErrOutOfMemory)
			e.Kernel = o.kernel.name
			err = e
			return
		}
		q.send(encoder, d.sel.SetPipeline, uintptr(o.kernel.handle))
		for i := range o.args {
			if b := o.args[i].buffer; b != nil {
				q.send(encoder, d.sel.SetBuffer, uintptr(b.handle), 0, uintptr(i))
			} else {
				v := o.values[o.args[i].from:o.args[i].to] // on the heap, like everything of o
				q.send(encoder, d.sel.SetBytes, uintptr(unsafe.Pointer(&v[0])), uintptr(len(v)), uintptr(i))
			}
		}
		d.dispatch(&q.frame, encoder, &o.groups, &o.threads)
		q.send(encoder, d.sel.EndEncoding)
		q.send(commands, d.sel.AddCompleted, uintptr(unsafe.Pointer(d.handler)))
		flights.Lock()
		if flights.by == nil {
			flights.by = map[id]*operation{}
		}
		flights.by[commands] = o
		flights.Unlock()
		q.mu.Lock()
		q.flying++
		q.mu.Unlock()
		flies = true
		q.send(commands, d.sel.Commit)
	})
	return flies, err
}

// send sends a message without an allocation; only the goroutine uses it.
func (q *queue) send(to id, s selector, args ...uintptr) id {
	q.frame[0], q.frame[1] = uintptr(to), uintptr(s)
	n := copy(q.frame[2:], args)
	return id(q.device.MsgSend.Call(q.frame[:n+2]...))
}

// onCompleted is the completion handler of every command buffer: "addCompletedHandler:". Metal calls it on a thread of its own,
// the block first. The command buffer lives until it returns.
func onCompleted(_, commands id) uintptr {
	flights.Lock()
	o := flights.by[commands]
	delete(flights.by, commands)
	flights.Unlock()
	if o == nil {
		return 0 // BUG: a command buffer that nobody committed
	}
	q := o.queue
	d := q.device
	var err error
	if d.library.send(commands, d.sel.Status) == statusError {
		d.pooled(func() { err = d.launchError(o.kernel.name, id(d.library.send(commands, d.sel.Error))) })
	}
	q.mu.Lock()
	q.failed(err)
	q.flying--
	q.recycle(o)
	q.change.Broadcast()
	q.mu.Unlock()
	return 0
}

// statusError is MTLCommandBufferStatusError.
const statusError = 5

// causes are those codes of "MTLCommandBufferError.Code" that say what a program can use.
var causes = map[int]error{
	2:  fmt.Errorf("the kernel ran longer than the system allows"),
	3:  fmt.Errorf("the kernel used an address that is not its own"),
	4:  fmt.Errorf("the system takes no more work after earlier faults: %w", hal.ErrDeviceLost),
	8:  hal.ErrOutOfMemory,
	9:  fmt.Errorf("a buffer that is no longer there: %w", hal.ErrInvalid),
	11: fmt.Errorf("it was removed: %w", hal.ErrDeviceLost),
	12: fmt.Errorf("the kernel's stack overflowed"),
}

const commandErrors = "MTLCommandBufferErrorDomain"

// launchError is why a command buffer failed.
func (d *device) launchError(kernel string, why id) error {
	domain, code, text := d.nsError(why)
	e := fail("run", d.info.URI, fmt.Errorf("%s", text))
	e.Kernel, e.Name, e.Code = kernel, domain, code
	if cause, ok := causes[code]; ok && domain == commandErrors {
		e.Err = fmt.Errorf("%s: %w", text, cause)
		if code == 4 || code == 11 {
			d.lost.CompareAndSwap(nil, e)
		}
	}
	return e
}
