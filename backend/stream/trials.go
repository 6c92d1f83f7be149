package stream

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/dialtone-gpu/dialtone/hal"
)

// Trials are those that both drivers have the functions for.
func (h *Handle) Trials() []hal.Trial {
	return []hal.Trial{
		{Capability: "mem.pools", Run: h.allocateInOrder},
		{Capability: "io.dmabuf.dev", Run: func(context.Context, string) (string, error) { return h.export(hal.DeviceMemory) }},
		{Capability: "io.dmabuf.host", Run: func(context.Context, string) (string, error) { return h.export(hal.HostCoherent) }},
		{Capability: "queue.hostfn", Risky: true, Run: h.callInTurn}, // a thread of the driver's runs code of this process
	}
}

// has is an error that wraps hal.ErrUnsupported if the driver has not all of these.
func has(functions ...Function) error {
	for _, f := range functions {
		if f.Func == 0 {
			return fmt.Errorf("the driver has no %s: %w", f.Name, hal.ErrUnsupported)
		}
	}
	return nil
}

// Unsupported is what the driver said about an operation that it may refuse.
func (d *Device) Unsupported(op string, r Result) error { return refusal(d.Fail(op, r), r) }

func refusal(err error, r Result) error {
	if r == NotSupported || r == InvalidValue {
		return fmt.Errorf("%w: %w", err, hal.ErrUnsupported)
	}
	return err
}

// Enqueue gives the stream an operation that hal does not have, and that the driver may refuse: f only calls the driver, whose function op is.
func (q *Queue) Enqueue(op string, f func(stream uintptr) Result) error {
	r, err := q.give(nil, func() Result { return f(q.stream) })
	if err != nil || r == Success {
		return err
	}
	return refusal(q.device.fail(op, r, q), r)
}

// Later has something given back when nothing runs on the device.
func (d *Device) Later(do func() Result) {
	d.later(release{do: do})
	d.driver.collect()
}

// Finish waits for a transfer that was given to a queue, outside of the driver; err is what giving it said.
func Finish(q hal.DriverQueue, err error) error {
	if err != nil {
		return err
	}
	return q.(*Queue).poll(q.Done)
}

// TryWords lets a stream wait for a word, by the function op that wait calls, and then write another one. let is the host's store to the
// word. An op that the driver does not support is hal.ErrUnsupported.
func (h *Handle) TryWords(op string, wait func(stream uintptr) Result, let func()) (detail string, err error) {
	dq, err := h.NewQueue()
	if err != nil {
		return "", err
	}
	q := dq.(*Queue)
	defer q.Close()
	memory, err := h.Alloc(hal.HostCoherent, 64)
	if err != nil {
		return "", err
	}
	defer memory.Free()
	answer := (*atomic.Uint32)(memory.Host())
	answer.Store(0)
	if err := q.Enqueue(op, wait); err != nil {
		return "", err
	}
	if err := q.Mark(memory, 0, 2); err != nil {
		let() // so that nothing waits
		return "", err
	}
	time.Sleep(5 * time.Millisecond)
	early := answer.Load()
	start := time.Now()
	let()
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
