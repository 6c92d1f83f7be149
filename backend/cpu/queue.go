package cpu

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"

	"github.com/dialtone-gpu/dialtone/hal"
)

// queue runs launches one after the other, on a goroutine that lives while there are any.
type queue struct {
	device  *device
	mutex   sync.Mutex
	idle    *sync.Cond
	waiting []*launch
	running *launch
	err     error // of the launches that ended since the last Done
}

type launch struct {
	kernel string
	run    uintptr // struct run of runtime.c
	stop   bool
	marks  []mark
}

// mark is a store that tells of the end of a launch.
type mark struct {
	word  *uint32
	value uint32
}

func (m mark) put() { atomic.StoreUint32(m.word, m.value) }

// Launch copies the arguments and returns.
func (q *queue) Launch(k hal.DriverKernel, grid, group [3]int, args []hal.DriverArg) error {
	kern := k.(*kernel)
	shape := [6]uint32{}
	for i := range 3 {
		if grid[i] > 1<<31-1 {
			return fmt.Errorf("%s: kernel %s: %d groups, at most %d: %w", q.device.info.URI, kern.name, grid[i], 1<<31-1, hal.ErrInvalid)
		}
		shape[i], shape[3+i] = uint32(grid[i]), uint32(group[i])
	}
	sizes := make([]uint32, len(args)+1)
	var values []byte
	for i, a := range args {
		v := a.Value
		if a.Buffer != nil {
			v = binary.NativeEndian.AppendUint64(nil, uint64(uintptr(a.Buffer.Host())))
		}
		sizes[i] = uint32(len(v))
		values = append(values, v...)
	}
	values = append(values, 0)
	run := q.device.runtime.New.Call(uintptr(kern.entry), uintptr(unsafe.Pointer(&shape[0])), uintptr(q.device.threads), uintptr(q.device.lent),
		uintptr(kern.stack), uintptr(len(args)), uintptr(unsafe.Pointer(&sizes[0])), uintptr(unsafe.Pointer(&values[0])))
	if run == 0 {
		return &hal.Error{Op: "launch", Backend: "cpu", Device: q.device.info.URI, Kernel: kern.name, Err: hal.ErrOutOfMemory}
	}
	q.mutex.Lock()
	defer q.mutex.Unlock()
	q.waiting = append(q.waiting, &launch{kernel: kern.name, run: run})
	if q.running == nil {
		q.next()
		go q.work()
	}
	return nil
}

// Mark stores when the last launch so far ends, or now if it has.
func (q *queue) Mark(b hal.DriverBuffer, offset int, v uint32) error {
	m := mark{(*uint32)(unsafe.Pointer(&b.(*buffer).memory[offset])), v}
	q.mutex.Lock()
	defer q.mutex.Unlock()
	switch last := len(q.waiting) - 1; {
	case last >= 0:
		q.waiting[last].marks = append(q.waiting[last].marks, m)
	case q.running != nil:
		q.running.marks = append(q.running.marks, m)
	default:
		m.put()
	}
	return nil
}

// next makes the first waiting launch the running one; the mutex is held.
func (q *queue) next() {
	q.running = nil
	if len(q.waiting) > 0 {
		q.running, q.waiting = q.waiting[0], q.waiting[1:]
	}
}

func (q *queue) work() {
	rt := q.device.runtime
	q.mutex.Lock()
	defer q.mutex.Unlock()
	for q.running != nil {
		l := q.running
		q.mutex.Unlock()
		code := int32(rt.Run.Call(l.run))
		q.mutex.Lock()
		if err := q.outcome(l, code); err != nil && q.err == nil {
			q.err = err
		}
		rt.Free.Call(l.run)
		q.next()
		for _, m := range l.marks {
			m.put()
		}
	}
	q.idle.Broadcast()
}

var errStopped = errors.New("stopped")

func (q *queue) outcome(l *launch, code int32) error {
	e := &hal.Error{Op: "run", Backend: "cpu", Device: q.device.info.URI, Kernel: l.kernel}
	var fault [8]uint64
	q.device.runtime.Fault.Call(l.run, uintptr(unsafe.Pointer(&fault[0])))
	switch signal := int32(fault[0]); {
	case code != 0:
		e.Op, e.Code, e.Err = "start threads", int(code), errors.Join(hal.ErrOutOfMemory, syscall.Errno(code))
	case signal == -1:
		e.Err = fmt.Errorf("no memory for the stacks of its work-items: %w", hal.ErrOutOfMemory)
	case signal != 0:
		e.Code, e.Name = int(signal), signalName(signal)
		e.Err = fmt.Errorf("%s in group %d,%d,%d, work-item %d,%d,%d", describe(signal, fault[1]),
			fault[2], fault[3], fault[4], fault[5], fault[6], fault[7])
	case l.stop:
		e.Err = errStopped
	default:
		return nil
	}
	return e
}

func describe(signal int32, address uint64) string {
	switch syscall.Signal(signal) {
	case syscall.SIGSEGV, sigBus:
		return fmt.Sprintf("access to the invalid address %#x", address)
	case syscall.SIGFPE:
		return "division by zero or another arithmetic fault"
	case syscall.SIGILL, syscall.SIGTRAP:
		return "trap"
	case syscall.SIGABRT:
		return "abort"
	}
	return "fault"
}

// Read waits for the queue's own launches and copies.
func (q *queue) Read(dst []byte, src hal.DriverBuffer, offset int) error {
	return q.transfer(func() { copy(dst, src.(*buffer).memory[offset:]) })
}

// Write waits for the queue's own launches and copies.
func (q *queue) Write(dst hal.DriverBuffer, offset int, src []byte) error {
	return q.transfer(func() { copy(dst.(*buffer).memory[offset:], src) })
}

func (q *queue) transfer(do func()) error {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	for q.running != nil {
		q.idle.Wait()
	}
	if q.err != nil {
		return q.err
	}
	do()
	return nil
}

// Done reports and forgets the first error since it was last asked when idle.
func (q *queue) Done() (bool, error) {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	if q.running != nil {
		return false, nil
	}
	err := q.err
	q.err = nil
	return true, err
}

// Stop takes the running kernel off its threads and drops those that wait.
func (q *queue) Stop() error {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	for _, l := range q.waiting {
		q.device.runtime.Free.Call(l.run)
	}
	q.waiting = nil
	if q.running != nil {
		q.running.stop = true
		q.device.runtime.Stop.Call(q.running.run)
	}
	return nil
}

// Close ends what still runs.
func (q *queue) Close() error {
	if err := q.Stop(); err != nil {
		return err
	}
	q.mutex.Lock()
	defer q.mutex.Unlock()
	for q.running != nil {
		q.idle.Wait()
	}
	return nil
}
