package stream

import (
	"context"
	"unsafe"

	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/internal/trial"
)

// allocateInOrder is the trial of AllocInStream and FreeInStream.
func (h *Handle) allocateInOrder(context.Context, string) (string, error) {
	if err := has(h.driver.AllocInStream, h.driver.FreeInStream); err != nil {
		return "", err
	}
	return h.inStream(trial.AllocPinned, trial.AllocateInOrder)
}

// callInTurn is the trial of CallHost.
func (h *Handle) callInTurn(context.Context, string) (string, error) {
	if err := has(h.driver.CallHost); err != nil {
		return "", err
	}
	memory, err := h.Alloc(hal.DeviceMemory, trial.CallDevice)
	if err != nil {
		return "", err
	}
	defer memory.Free()
	return h.inStream(trial.CallPinned, func(s trial.Stream) (string, error) { return trial.CallInTurn(s, memory.(*Buffer).address) })
}

// inStream makes a stream for a trial, with pinned memory of so many bytes.
func (h *Handle) inStream(size int, do func(trial.Stream) (string, error)) (string, error) {
	dq, err := h.NewQueue()
	if err != nil {
		return "", err
	}
	q, api := dq.(*Queue), h.driver
	defer q.Close()
	memory, err := h.Alloc(hal.HostCoherent, size)
	if err != nil {
		return "", err
	}
	defer memory.Free()
	return do(trial.Stream{
		Pinned: unsafe.Slice((*byte)(memory.Host()), size),
		Alloc: func(size uintptr) (at uintptr, err error) {
			err = q.Enqueue(api.AllocInStream.Name, func(stream uintptr) Result {
				return Code(api.AllocInStream.Call(uintptr(unsafe.Pointer(&at)), size, stream))
			})
			return at, err
		},
		Free: func(at uintptr) error {
			return q.Enqueue(api.FreeInStream.Name, func(stream uintptr) Result { return Code(api.FreeInStream.Call(at, stream)) })
		},
		ToDevice: func(to, from, size uintptr) error {
			return q.Enqueue(api.CopyToDevice.Name, func(stream uintptr) Result { return Code(api.CopyToDevice.Call(to, from, size, stream)) })
		},
		ToHost: func(to, from, size uintptr) error {
			return q.Enqueue(api.CopyToHost.Name, func(stream uintptr) Result { return Code(api.CopyToHost.Call(to, from, size, stream)) })
		},
		Call: func(function, argument uintptr) error {
			return q.Enqueue(api.CallHost.Name, func(stream uintptr) Result { return Code(api.CallHost.Call(stream, function, argument)) })
		},
		Wait: func() error { return Finish(q, nil) },
	})
}
