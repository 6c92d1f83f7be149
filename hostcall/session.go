package hostcall

import (
	"errors"
	"fmt"

	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/hostcall/mailbox"
	"github.com/dialtone-gpu/dialtone/hostcall/wire"
)

// session is what one run at a time needs on the device: a mailbox, the slots' locks with the strings
// behind them, and a queue. Idle sessions are kept, since allocating host memory for a device is slow.
type session struct {
	device *hal.Device
	slots  *mailbox.Slots
	mail   *hal.Buffer
	local  *hal.Buffer
	queue  *hal.Queue
	// strings is what the local buffer holds behind the locks.
	strings string
}

// bulkBudget bounds the bulk memory of a mailbox, both ways together.
const bulkBudget = 288 << 20

// shapeFor sizes a mailbox for a launch of that many subgroups in groups of items. There are as many
// slots as subgroups can be resident, so that none waits for a slot that a subgroup holds which
// cannot run.
func shapeFor(info hal.Info, subgroups, items int) wire.Shape {
	resident := info.Resident
	if info.HostCPU && info.Dialect == hal.OpenCL {
		// Such drivers run the items of a group in turn on one thread. In a kernel with barriers they
		// suspend an item also where they please, for instance at the end of each round of a loop,
		// with a slot in its hands.
		resident *= items
	}
	slots := max(1, min(subgroups, resident))
	least := 4 << 10
	if info.Subgroup == 1 {
		least = 1 << 10 // for one lane alone
	}
	bulk := 64 << 10
	for bulk > least && bulk*2*slots > bulkBudget {
		bulk /= 2
	}
	return wire.Shape{Slots: slots, Lanes: info.Subgroup, Bulk: bulk}
}

// session takes an idle one of that shape or makes one.
func (r *Runtime) session(shape wire.Shape) (*session, error) {
	r.mutex.Lock()
	for i, s := range r.sessions {
		if s.slots.Shape == shape {
			r.sessions = append(r.sessions[:i], r.sessions[i+1:]...)
			r.mutex.Unlock()
			return s, nil
		}
	}
	r.mutex.Unlock()
	return newSession(r.device, shape)
}

// idleSessions is how many are kept.
const idleSessions = 4

// release keeps a session for the next run, or frees it.
func (r *Runtime) release(s *session) error {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.sessions = append(r.sessions, s)
	if r.closed || len(r.sessions) > idleSessions {
		oldest := r.sessions[0]
		r.sessions = r.sessions[1:]
		return oldest.close()
	}
	return nil
}

func newSession(dev *hal.Device, shape wire.Shape) (_ *session, err error) {
	layout, err := shape.Layout()
	if err != nil {
		return nil, err
	}
	s := &session{device: dev}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.mail, err = dev.Alloc(hal.HostCoherent, layout.Size); err != nil {
		return nil, fmt.Errorf("mailbox for %d subgroups: %w", shape.Slots, err)
	}
	if s.slots, err = mailbox.New(s.mail.Bytes(), shape); err != nil {
		return nil, err
	}
	if s.queue, err = dev.NewQueue(); err != nil {
		return nil, err
	}
	return s, s.setStrings("")
}

// locks is the size of the slots' locks, in bytes.
func (s *session) locks() int { return s.slots.Slots * wire.LockStride * 4 }

// setStrings puts the arguments and variables behind the locks.
func (s *session) setStrings(strings string) error {
	if s.local != nil && s.strings == strings {
		return nil
	}
	if s.local == nil || s.local.Size() < s.locks()+len(strings)+1 {
		old := s.local
		local, err := s.device.Alloc(hal.DeviceMemory, s.locks()+max(4096, 2*len(strings)))
		if err != nil {
			return fmt.Errorf("slot locks: %w", err)
		}
		locks := make([]byte, s.locks())
		if old != nil {
			// The locks hold the slots' sequence numbers, which go on.
			if err := s.queue.Read(locks, old, 0); err != nil {
				return errors.Join(err, local.Close())
			}
			if err := old.Close(); err != nil {
				return err
			}
		}
		if err := s.queue.Write(local, 0, locks); err != nil {
			return err
		}
		s.local = local
	}
	s.strings = strings
	return s.queue.Write(s.local, s.locks(), append([]byte(strings), 0))
}

func (s *session) close() error {
	var errs []error
	if s.queue != nil {
		errs = append(errs, s.queue.Close())
	}
	for _, b := range []*hal.Buffer{s.local, s.mail} {
		if b != nil {
			errs = append(errs, b.Close())
		}
	}
	return errors.Join(errs...)
}
