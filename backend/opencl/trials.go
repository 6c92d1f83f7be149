package opencl

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"
	"unsafe"

	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/internal/dl"
	"github.com/dialtone-gpu/dialtone/internal/pages"
)

// Trials are what drivers claim and the portable API has no call for.
func (d *device) Trials() []hal.Trial {
	return []hal.Trial{
		{Capability: "mem.svm", Level: "coarse", Run: d.coarseMemory},
		{Capability: "mem.svm", Level: "fine-buffer", Run: d.fineMemory},
		{Capability: "mem.svm", Level: "fine-system", Risky: true, Run: d.plainMemory},
		{Capability: "mem.pageable", Risky: true, Run: d.plainMemory},
		{Capability: "timer.boundary", Run: d.profile},
	}
}

// trialText: touch makes words of the words before them, work takes time.
const trialText = `
__kernel void touch(__global uint *words, uint n) {
	uint i = get_global_id(0);
	if (i < n) words[n + i] = words[i] * 2654435761u + 1u;
}
__kernel void work(__global volatile uint *word, uint n) {
	for (uint i = 0; i < n; i++) word[0] = word[0] * 1664525u + 1013904223u;
}
`

const (
	touched      = 1024            // words that touch reads
	touchedBytes = 2 * 4 * touched // of these and those that it writes
	trialLimit   = 10 * time.Second
)

// trial runs kernels on a queue of its own.
type trial struct {
	*queue
	ctx    context.Context
	module hal.DriverModule
}

// beginTrial makes a trial, which is to be ended.
func (d *device) beginTrial(ctx context.Context) (*trial, error) {
	m, err := d.Compile(ctx, hal.Source{Name: "trial.cl", Text: trialText})
	if err != nil {
		return nil, err
	}
	q, err := d.NewQueue()
	if err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return &trial{queue: q.(*queue), ctx: ctx, module: m}, nil
}

func (t *trial) end() error { return errors.Join(t.queue.Close(), t.module.Close()) }

// run launches a kernel of so many groups of one work-item, and waits for its end.
func (t *trial) run(name string, groups int, memory *buffer, n uint32) error {
	k, err := t.module.Kernel(name)
	if err != nil {
		return err
	}
	args := []hal.DriverArg{{Buffer: memory}, {Value: binary.NativeEndian.AppendUint32(nil, n)}}
	if err := t.Launch(k, [3]int{groups, 1, 1}, [3]int{1, 1, 1}, args); err != nil {
		return err
	}
	for limit := time.Now().Add(trialLimit); ; time.Sleep(50 * time.Microsecond) {
		done, err := t.Done()
		switch {
		case done || err != nil:
			return err
		case t.ctx.Err() != nil:
			return t.ctx.Err()
		case time.Now().After(limit):
			return fmt.Errorf("the kernel %s did not end within %v", name, trialLimit)
		}
	}
}

// touch has a kernel use memory that the host fills and reads, in both cases after take and before give.
func (t *trial) touch(memory *buffer, take, give func() error) error {
	words := unsafe.Slice((*byte)(memory.host), touchedBytes)
	if err := take(); err != nil {
		return err
	}
	clear(words)
	for i := range uint32(touched) {
		binary.NativeEndian.PutUint32(words[4*i:], i^0x00c0ffee)
	}
	if err := give(); err != nil {
		return err
	}
	if err := t.run("touch", touched, memory, touched); err != nil {
		return err
	}
	if err := take(); err != nil {
		return err
	}
	for i := range uint32(touched) {
		want := (i^0x00c0ffee)*2654435761 + 1
		if got := binary.NativeEndian.Uint32(words[4*(touched+i):]); got != want {
			return errors.Join(fmt.Errorf("word %d came back as %#x, not as %#x: %w", i, got, want, hal.ErrUnsupported), give())
		}
	}
	return give()
}

func nothing() error { return nil }

// coarseMemory shares memory that host and kernel have by turns. "Shared Virtual Memory": clSVMAlloc, clEnqueueSVMMap, clEnqueueSVMUnmap.
func (d *device) coarseMemory(ctx context.Context, _ string) (string, error) {
	return d.sharedMemory(ctx, "that is mapped in turns", memReadWrite, func(t *trial, memory *buffer) error {
		return t.touch(memory, func() error {
			code := d.EnqueueSVMMap.Int(t.handle, blocking, mapRead|mapWrite, uintptr(memory.host), touchedBytes, 0, 0, 0)
			return d.unless("clEnqueueSVMMap", code)
		}, func() error {
			if code := d.EnqueueSVMUnmap.Int(t.handle, uintptr(memory.host), 0, 0, 0); code != success {
				return d.fail("clEnqueueSVMUnmap", code)
			}
			return d.unless("clFinish", d.Finish.Int(t.handle))
		})
	})
}

// fineMemory shares memory that nobody maps.
func (d *device) fineMemory(ctx context.Context, _ string) (string, error) {
	return d.sharedMemory(ctx, "that is never mapped", memReadWrite|memSVMFineGrainBuffer, func(t *trial, memory *buffer) error {
		return t.touch(memory, nothing, nothing)
	})
}

// sharedMemory allocates what a trial shares.
func (d *device) sharedMemory(ctx context.Context, which string, flags uintptr, use func(*trial, *buffer) error) (detail string, err error) {
	if d.limits.svm == 0 || d.EnqueueSVMMap == 0 || d.EnqueueSVMUnmap == 0 {
		return "", fmt.Errorf("the driver has no shared virtual memory: %w", hal.ErrUnsupported)
	}
	p := d.SVMAlloc.Call(d.context, flags, touchedBytes, 0)
	if p == 0 {
		return "", fmt.Errorf("clSVMAlloc gives no memory with flags %#x: %w", flags, hal.ErrUnsupported)
	}
	defer d.SVMFree.Call(d.context, p)
	t, err := d.beginTrial(ctx)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, t.end()) }()
	if err := use(t, borrowed(d, dl.Pointer(p), touchedBytes)); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d values went to a kernel and came back in memory %s", touched, which), nil
}

// plainMemory lets a kernel use pages that no driver knows. A device of its own faults over that unless its driver says that it does not.
func (d *device) plainMemory(ctx context.Context, _ string) (detail string, err error) {
	switch {
	case d.limits.svm == 0:
		return "", fmt.Errorf("the driver has no shared virtual memory: %w", hal.ErrUnsupported)
	case !d.info.HostCPU && d.limits.svm&svmFineGrainSystem == 0:
		return "", fmt.Errorf("not tried, since the driver denies it: %w", hal.ErrUnsupported)
	}
	page := os.Getpagesize()
	plain, err := pages.Alloc((touchedBytes + page - 1) / page * page)
	if err != nil {
		return "", err
	}
	t, err := d.beginTrial(ctx)
	if err != nil {
		return "", errors.Join(err, pages.Free(plain))
	}
	// After a failure the pages stay: a kernel may still use them.
	if err := t.touch(borrowed(d, unsafe.Pointer(&plain[0]), len(plain)), nothing, nothing); err != nil {
		return "", errors.Join(err, t.end())
	}
	return fmt.Sprintf("a kernel used %d plain pages of the process", len(plain)/page), errors.Join(t.end(), pages.Free(plain))
}

// borrowed is memory that a kernel gets as a pointer and that somebody else frees.
func borrowed(d *device, host unsafe.Pointer, size int) *buffer {
	b := &buffer{device: d, size: size, host: host}
	b.refs.Store(1)
	return b
}

// unless is the error of a call, nil if it succeeded.
func (d *device) unless(op string, code int32) error {
	if code == success {
		return nil
	}
	return d.fail(op, code)
}

// profile compares what the driver says of two kernels' times with their order, their work and the host's clock.
func (d *device) profile(ctx context.Context, _ string) (detail string, err error) {
	t, err := d.beginTrial(ctx)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, t.end()) }()
	var code int32
	q := d.CreateCommandQueue.Call(d.context, d.candidate.handle, queueProfilingEnable, uintptr(unsafe.Pointer(&code)))
	if code != success || q == 0 {
		return "", d.fail("clCreateCommandQueue", code)
	}
	defer d.ReleaseCommandQueue.Int(q)
	memory, err := d.Alloc(hal.DeviceMemory, 64)
	if err != nil {
		return "", err
	}
	defer memory.Free()
	if _, err := t.timed(q, memory.(*buffer), 1); err != nil { // drivers compile when a kernel is first launched
		return "", err
	}
	wrong := ""
	for range 8 { // a busy machine may hold up the shorter kernel, more than once
		var all [2]stamps
		var took [2]time.Duration
		for i, n := range []uint32{100, 100_000} {
			start := time.Now()
			if all[i], err = t.timed(q, memory.(*buffer), n); err != nil {
				return "", err
			}
			took[i] = time.Since(start)
		}
		if wrong = wrongStamps(all, took); wrong == "" {
			return fmt.Sprintf("a kernel with a thousand times the work of another one took %v instead of %v", all[1].span(), all[0].span()), nil
		}
	}
	return "", fmt.Errorf("%s: %w", wrong, hal.ErrUnsupported)
}

// stamps are when a command was queued, submitted, started and ended, in nanoseconds of the device's clock.
type stamps [4]uint64

func (s stamps) span() time.Duration { return time.Duration(s[3] - s[2]) }

// timed runs the kernel work on a queue with profiling. "Profiling Operations on Memory Objects and Kernels": clGetEventProfilingInfo.
func (t *trial) timed(q uintptr, memory *buffer, n uint32) (s stamps, err error) {
	d := t.device
	k, err := t.module.Kernel("work")
	if err != nil {
		return s, err
	}
	i, err := k.(*kernel).take()
	if err != nil {
		return s, err
	}
	defer i.kernel.give(i)
	if err := errors.Join(i.bind(0, hal.DriverArg{Buffer: memory}), i.bind(1, hal.DriverArg{Value: binary.NativeEndian.AppendUint32(nil, n)})); err != nil {
		return s, err
	}
	d.lock(&queues)
	defer d.unlock(&queues)
	size, event := new(uintptr), new(uintptr)
	*size = 1
	if code := d.EnqueueNDRangeKernel.Int(q, i.handle, 1, 0, uintptr(unsafe.Pointer(size)), 0, 0, 0, uintptr(unsafe.Pointer(event))); code != success {
		return s, d.fail("clEnqueueNDRangeKernel", code)
	}
	defer d.ReleaseEvent.Int(*event)
	if code := d.WaitForEvents.Int(1, uintptr(unsafe.Pointer(event))); code != success {
		return s, d.fail("clWaitForEvents", code)
	}
	for i, parameter := range []uint32{profilingQueued, profilingSubmit, profilingStart, profilingEnd} {
		b, code := query(d.GetEventProfilingInfo, *event, 0, parameter)
		if code != success {
			e := fail("clGetEventProfilingInfo", d.info.URI, "", code)
			e.Err = hal.ErrUnsupported
			return s, e
		}
		s[i] = number(b, code)
	}
	return s, nil
}

// wrongStamps says what contradicts that two commands were done one after the other, the second one with far more work, in the time that
// passed on the host's clock.
func wrongStamps(all [2]stamps, took [2]time.Duration) string {
	for i, s := range all {
		switch {
		case s[2] == 0 || s[0] > s[1] || s[1] > s[2] || s[2] >= s[3]:
			return fmt.Sprintf("a kernel is queued at %d, submitted at %d, started at %d and ended at %d", s[0], s[1], s[2], s[3])
		case s.span() > took[i]+took[i]/100+time.Millisecond:
			return fmt.Sprintf("a kernel took %v, and the host waited %v for it", s.span(), took[i])
		}
	}
	switch {
	case all[1][2] < all[0][3]:
		return fmt.Sprintf("a kernel started at %d, before the one in front of it ended at %d", all[1][2], all[0][3])
	case all[1].span() <= all[0].span():
		return fmt.Sprintf("a kernel with a thousand times the work took %v instead of %v", all[1].span(), all[0].span())
	}
	return ""
}
