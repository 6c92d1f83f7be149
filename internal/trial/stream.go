package trial

import (
	"errors"
	"fmt"
	"unsafe"

	"github.com/dialtone-gpu/dialtone/hal"
)

// Stream is what a backend gives a stream to do for a trial: each function enqueues, and says what the driver says of that.
type Stream struct {
	Pinned   []byte // memory of the host that the driver allocated
	Alloc    func(size uintptr) (at uintptr, err error)
	Free     func(at uintptr) error
	ToDevice func(to, from, size uintptr) error
	ToHost   func(to, from, size uintptr) error
	Call     func(function, argument uintptr) error
	Wait     func() error // until all of it has ended
}

// all enqueues until something is refused, and waits for what was not.
func (s Stream) all(steps ...func() error) error {
	var err error
	for _, step := range steps {
		if err = step(); err != nil {
			break
		}
	}
	return errors.Join(err, s.Wait())
}

func address(pinned []byte) uintptr { return uintptr(unsafe.Pointer(&pinned[0])) }

// An allocation has pooled bytes; there are rounds of them, one after the other.
const (
	pooled = 64 << 10
	rounds = 3
)

// AllocPinned is the bytes of pinned memory that [AllocateInOrder] needs.
const AllocPinned = 2 * rounds * pooled

// AllocateInOrder allocates memory in a stream, fills it, reads it back and frees it there, several times without waiting: what is freed may be
// what comes next. The text says what was done, for people; the error wraps hal.ErrUnsupported if other bytes came back.
func AllocateInOrder(s Stream) (string, error) {
	host := address(s.Pinned)
	want, got := s.Pinned[:rounds*pooled], s.Pinned[rounds*pooled:AllocPinned]
	for i := range want {
		want[i] = byte((uint32(i)*2654435761 + 1) >> 24)
	}
	clear(got)
	var steps []func() error
	for i := range uintptr(rounds) {
		steps = append(steps, func() error {
			at, err := s.Alloc(pooled)
			if err != nil {
				return err
			}
			from := host + i*pooled
			if err = s.ToDevice(at, from, pooled); err == nil {
				err = s.ToHost(from+rounds*pooled, at, pooled)
			}
			return errors.Join(err, s.Free(at))
		})
	}
	if err := s.all(steps...); err != nil {
		return "", err
	}
	if string(want) != string(got) {
		return "", fmt.Errorf("other bytes came back than were written to what a stream had allocated: %w", hal.ErrUnsupported)
	}
	return fmt.Sprintf("%d times %d bytes were allocated, written, read and freed in a stream's order", rounds, pooled), nil
}
