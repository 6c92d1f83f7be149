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
	runs   uint32 // of this session so far; the last one's number is its mark
	// strings is what the local buffer holds behind the locks.
	strings string
}

// Bounds of the bulk memory of a mailbox, both ways together: what one may have without a thought, and
// what one may have at all.
const (
	bulkAmple = 32 << 20
	bulkMost  = 288 << 20
)

// placing is how subgroups share the slots of a mailbox.
type placing struct {
	shape  wire.Shape
	homes  int // subgroups that have slots of their own
	spread int // slots of each
}

// place sizes a mailbox for a launch of that many subgroups in groups of items. Nobody may have to wait for
// a slot whose holder cannot go on, be it that it does not run or that its answer never comes: there is a
// slot for each subgroup that can be resident, and as the lanes of one can part and call by themselves, for
// each lane as far as that is cheap, and some to spare where it is not.
func place(info hal.Info, subgroups, items int) placing {
	resident, spare := info.Resident, 0
	if info.HostCPU {
		// A thread has the items of one group in turn, any of which may be left waiting with a slot in
		// its hands while the next one runs: by a barrier, or, on the cpu device, by the wait itself. There
		// groups get threads besides those of the cores while others wait.
		resident = info.Units * items
		spare = max(0, min(spareSlots, info.Resident-info.Units, subgroups-resident))
	}
	p := placing{homes: max(1, min(subgroups, resident)), spread: 1}
	if info.Subgroup > 1 {
		p.spread = max(1, min(cheapSlots/p.homes, info.Subgroup, items))
		if p.spread < min(info.Subgroup, items) {
			spare = spareSlots
		}
	}
	p.shape = wire.Shape{Slots: p.homes*p.spread + spare, Lanes: info.Subgroup, Bulk: 64 << 10}
	least, enough := 4<<10, 16<<10
	if info.Subgroup == 1 {
		least, enough = 1<<10, 4<<10 // for one lane alone
	}
	for p.bulk() > bulkAmple && p.shape.Bulk > enough || p.bulk() > bulkMost && p.shape.Bulk > least {
		p.shape.Bulk /= 2
	}
	return p
}

// spare is how many slots are nobody's home. They are the last ones.
func (p placing) spare() int { return p.shape.Slots - p.homes*p.spread }

func (p placing) bulk() int { return 2 * p.shape.Bulk * p.shape.Slots }

const (
	cheapSlots = 512 // looking at so many costs less than answering a call
	spareSlots = 64
)

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
