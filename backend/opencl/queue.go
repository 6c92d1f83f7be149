package opencl

import (
	"fmt"
	"sync"
	"unsafe"

	"github.com/dialtone-gpu/dialtone/hal"
)

// queue is an in-order command queue and the goroutine that talks to it. An operation
// is waiting (accepted), then current (the goroutine is giving it to the driver, which may
// block), then flying (the driver has it) until its event says that it ended.
type queue struct {
	device *device
	handle uintptr // cl_command_queue

	mu      sync.Mutex
	more    sync.Cond
	waiting list
	busy    bool // the goroutine has a current operation, or waits for the last ones
	flying  list
	free    list
	err     error // the first failure since everything was last finished
	closed  bool
	status  int32 // where clGetEventInfo writes
	frame   frame // of calls made with the lock held

	work frame // of the goroutine's calls
}

// operation is one step of a queue. The objects are reused.
type operation struct {
	next *operation
	what what

	// A launch.
	instance      *instance
	kernel        *kernel // for messages: the instance is given back early
	global, local [3]uintptr
	buffers       []*buffer
	ran, last     uintptr // cl_event of the kernel, and of what follows it or the same

	// A transfer.
	buffer *buffer
	offset int
	data   []byte
	done   chan error
}

type what uint8

const (
	launch what = iota
	read
	write
)

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

// NewQueue makes a queue and starts its goroutine.
func (d *device) NewQueue() (hal.DriverQueue, error) {
	if err := d.usable(); err != nil {
		return nil, err
	}
	var code int32
	d.lock(&objects)
	defer d.unlock(&objects)
	h := d.CreateCommandQueue.Call(d.context, d.candidate.handle, 0, uintptr(unsafe.Pointer(&code)))
	if code != success || h == 0 {
		return nil, d.fail("clCreateCommandQueue", code)
	}
	q := &queue{device: d, handle: h}
	q.more.L = &q.mu
	go q.serve()
	return q, nil
}

// Launch binds the arguments and hands over.
func (q *queue) Launch(k hal.DriverKernel, grid, group [3]int, args []hal.DriverArg) error {
	kern, ok := k.(*kernel)
	if !ok || kern.module.device != q.device {
		return q.wrong("launch", "the kernel belongs to another device")
	}
	if err := q.device.usable(); err != nil {
		return err
	}
	if len(args) != kern.args {
		return kern.invalid("%d arguments, the kernel takes %d", len(args), kern.args)
	}
	var global, local [3]uintptr
	for i := range grid {
		if grid[i] < 1 || group[i] < 1 {
			return kern.invalid("grid %v of groups %v", grid, group)
		}
		local[i] = uintptr(group[i])
		if local[i] > q.device.limits.itemSizes[i] {
			return kern.invalid("groups %v, the device's limit per dimension is %v", group, q.device.limits.itemSizes)
		}
		if global[i] = uintptr(grid[i]) * local[i]; global[i]/local[i] != uintptr(grid[i]) {
			return kern.invalid("grid %v of groups %v overflows", grid, group)
		}
	}

	inst, err := kern.take()
	if err != nil {
		return err
	}
	o := q.operation(launch)
	o.instance, o.kernel, o.global, o.local = inst, kern, global, local
	for i := range args {
		if args[i].Buffer != nil {
			b, ok := args[i].Buffer.(*buffer)
			switch {
			case !ok || b.device != q.device:
				err = kern.invalid("argument %d is a buffer of another device", i)
			case !b.retain():
				err = &hal.Error{Op: "launch", Backend: backendName, Device: q.device.info.URI, Kernel: kern.name,
					Err: fmt.Errorf("%w: the buffer of argument %d", hal.ErrClosed, i)}
			default:
				o.buffers = append(o.buffers, b)
			}
		}
		if err == nil {
			err = inst.bind(i, args[i])
		}
		if err != nil {
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

// Read copies device memory to dst after everything given before.
func (q *queue) Read(dst []byte, src hal.DriverBuffer, offset int) error {
	return q.transfer(read, src, offset, dst)
}

// Write copies src to device memory after everything given before.
func (q *queue) Write(dst hal.DriverBuffer, offset int, src []byte) error {
	return q.transfer(write, dst, offset, src)
}

func (q *queue) transfer(w what, db hal.DriverBuffer, offset int, data []byte) error {
	b, ok := db.(*buffer)
	switch {
	case !ok || b.device != q.device:
		return q.wrong("transfer", "the buffer belongs to another device")
	case offset < 0 || offset > b.size || len(data) > b.size-offset:
		return q.wrong("transfer", fmt.Sprintf("%d bytes at %d of a buffer of %d", len(data), offset, b.size))
	case len(data) == 0:
		return nil
	}
	if err := q.device.usable(); err != nil {
		return err
	}
	if !b.retain() {
		return &hal.Error{Op: "transfer", Backend: backendName, Device: q.device.info.URI, Err: fmt.Errorf("%w: the buffer", hal.ErrClosed)}
	}
	o := q.operation(w)
	o.buffer, o.offset, o.data = b, offset, data
	done := o.done
	o.buffers = append(o.buffers, b)
	if err := q.accept(o); err != nil {
		q.mu.Lock()
		q.recycle(o)
		q.mu.Unlock()
		return err
	}
	return <-done
}

func (q *queue) wrong(op, why string) error {
	return &hal.Error{Op: op, Backend: backendName, Device: q.device.info.URI, Err: fmt.Errorf("%w: %s", hal.ErrInvalid, why)}
}

// operation gives an unused object.
func (q *queue) operation(w what) *operation {
	q.mu.Lock()
	o := q.free.pop()
	q.mu.Unlock()
	if o == nil {
		o = &operation{done: make(chan error, 1)}
	}
	o.what = w
	return o
}

// accept hands an operation to the goroutine.
func (q *queue) accept(o *operation) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return &hal.Error{Op: "enqueue", Backend: backendName, Device: q.device.info.URI, Err: hal.ErrClosed}
	}
	q.waiting.push(o)
	q.more.Signal()
	return nil
}

// recycle drops what an operation holds. Called with the lock held, also by Done: the
// rare last reference to a closed buffer is released elsewhere because drivers may
// wait for the device there.
func (q *queue) recycle(o *operation) {
	for i, b := range o.buffers {
		if b.release() {
			go b.destroy()
		}
		o.buffers[i] = nil
	}
	if o.instance != nil {
		o.kernel.give(o.instance)
	}
	if o.last != 0 && o.last != o.ran {
		q.frame[0] = o.last
		q.device.ReleaseEvent.Int(q.frame[:1]...)
	}
	if o.ran != 0 {
		q.frame[0] = o.ran
		q.device.ReleaseEvent.Int(q.frame[:1]...)
	}
	*o = operation{buffers: o.buffers[:0], done: o.done}
	q.free.push(o)
}

// Done asks the driver about the oldest operation that it has, and goes on to the next
// if that one ended. While the goroutine is busy it is not done, and the driver is not asked.
func (q *queue) Done() (bool, error) {
	q.mu.Lock()
	if !q.busy {
		q.reap()
	}
	done := !q.busy && q.waiting.head == nil && q.flying.head == nil
	err := q.err
	if done {
		q.err = nil
	}
	q.mu.Unlock()
	if lost := q.device.lost.Load(); lost != nil {
		return true, lost // nothing runs any more, and what waits will not
	}
	return done, err
}

// reap takes off what the driver has finished. Called with the lock held.
func (q *queue) reap() {
	for o := q.flying.head; o != nil; o = q.flying.head {
		status := q.eventStatus(o.last)
		if status > complete {
			return
		}
		if o.last != o.ran {
			status = min(status, q.eventStatus(o.ran))
		}
		if status < 0 {
			e := o.kernel.fail("run", status)
			e.Err = executionCause(status)
			if e.Err == hal.ErrDeviceLost {
				q.device.lost.CompareAndSwap(nil, e)
			}
			q.failed(e)
		}
		q.flying.pop()
		q.device.running.Add(-1)
		q.recycle(o)
	}
}

// eventStatus is a command's execution status, or the error of asking for it.
func (q *queue) eventStatus(event uintptr) int32 {
	q.frame = frame{event, eventCommandExecutionStatus, unsafe.Sizeof(q.status), uintptr(unsafe.Pointer(&q.status)), 0}
	if code := q.device.GetEventInfo.Int(q.frame[:5]...); code != success {
		return code
	}
	return q.status
}

// failed notes the first failure. Called with the lock held.
func (q *queue) failed(err error) {
	if q.err == nil {
		q.err = err
	}
}

// Close lets what was accepted run on and returns at once.
func (q *queue) Close() error {
	q.mu.Lock()
	q.closed = true
	q.more.Signal()
	q.mu.Unlock()
	return nil
}

// serve is the goroutine: the only caller of functions that may block.
func (q *queue) serve() {
	d := q.device
	for {
		q.mu.Lock()
		for q.waiting.head == nil && !q.closed {
			q.more.Wait()
		}
		o := q.waiting.pop()
		q.busy = true
		failure := q.err
		q.mu.Unlock()
		if o == nil {
			break
		}
		err := failure
		if lost := d.lost.Load(); lost != nil {
			err = lost
		} else if o.what == launch {
			q.launch(o)
			continue
		}
		if err == nil {
			err = q.move(o)
		}
		done, transfer := o.done, o.what != launch
		q.mu.Lock()
		q.reap()
		if err == nil {
			err = q.err // of a kernel that ended while the transfer waited for it
		}
		q.recycle(o)
		q.busy = false
		q.mu.Unlock()
		if transfer {
			done <- err
		}
	}
	// The queue is closed. This waits for its kernels, whose memory is still needed.
	d.lock(&queues)
	d.Finish.Int(q.handle)
	d.unlock(&queues)
	q.mu.Lock()
	q.reap()
	for o := q.flying.pop(); o != nil; o = q.flying.pop() {
		d.running.Add(-1)
		q.recycle(o)
	}
	q.busy = false
	q.mu.Unlock()
	d.lock(&objects)
	defer d.unlock(&objects)
	d.ReleaseCommandQueue.Int(q.handle)
}

// launch gives a kernel to the driver.
func (q *queue) launch(o *operation) {
	d := q.device
	d.lock(&queues)
	code, op := int32(success), "clEnqueueNDRangeKernel"
	for _, b := range o.buffers {
		if b.copied && code == success {
			op = "clEnqueueWriteBuffer"
			code = d.EnqueueWriteBuffer.Int(q.handle, b.object, nonBlocking, 0, uintptr(len(b.pages)), uintptr(b.host), 0, 0, 0)
		}
	}
	if code == success {
		op = "clEnqueueNDRangeKernel"
		q.work = frame{q.handle, o.instance.handle, uintptr(len(o.global)), 0,
			uintptr(unsafe.Pointer(&o.global)), uintptr(unsafe.Pointer(&o.local)), 0, 0, uintptr(unsafe.Pointer(&o.ran))}
		code = d.EnqueueNDRangeKernel.Int(q.work[:9]...)
	}
	o.last = o.ran
	for _, b := range o.buffers {
		if b.copied && code == success {
			op = "clEnqueueReadBuffer"
			var back uintptr
			code = d.EnqueueReadBuffer.Int(q.handle, b.object, nonBlocking, 0, uintptr(len(b.pages)), uintptr(b.host), 0, 0, uintptr(unsafe.Pointer(&back)))
			if code == success {
				if o.last != o.ran {
					d.ReleaseEvent.Int(o.last)
				}
				o.last = back
			}
		}
	}
	if code == success {
		op = "clFlush"
		q.work[0] = q.handle
		code = d.Flush.Int(q.work[:1]...)
	}
	if code == success && d.limits.blockingStatus {
		op = "clWaitForEvents"
		q.work = frame{1, uintptr(unsafe.Pointer(&o.last))}
		if code = d.WaitForEvents.Int(q.work[:2]...); code == statusErrorInWaitList {
			code = success // the event's status tells more
		}
	}
	d.unlock(&queues)
	o.kernel.give(o.instance)
	o.instance = nil

	q.mu.Lock()
	defer q.mu.Unlock()
	if code != success {
		q.failed(o.kernel.fail(op, code))
	}
	if o.ran != 0 {
		q.flying.push(o)
		d.running.Add(1)
	} else {
		q.recycle(o)
	}
	q.reap()
	q.busy = false
}

// move transfers between the host and a buffer.
func (q *queue) move(o *operation) error {
	d, b := q.device, o.buffer
	d.lock(&queues)
	defer d.unlock(&queues)
	if b.host != nil {
		// Host memory: a copy by the host, in its turn.
		if code := d.Finish.Int(q.handle); code != success {
			return d.fail("clFinish", code)
		}
		shared := unsafe.Slice((*byte)(b.host), b.size)[o.offset:]
		if o.what == read {
			copy(o.data, shared)
		} else {
			copy(shared, o.data)
		}
		return nil
	}
	f, name := d.EnqueueReadBuffer, "clEnqueueReadBuffer"
	if o.what == write {
		f, name = d.EnqueueWriteBuffer, "clEnqueueWriteBuffer"
	}
	if code := f.Int(q.handle, b.object, blocking, uintptr(o.offset), uintptr(len(o.data)), uintptr(unsafe.Pointer(&o.data[0])), 0, 0, 0); code != success {
		return d.fail(name, code)
	}
	return nil
}
