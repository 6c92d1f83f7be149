package hostcall

import (
	"errors"
	"fmt"

	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/hostcall/relaunch"
	"github.com/dialtone-gpu/dialtone/hostcall/wire"
)

// room is what one relaunched run at a time needs on the device: the outbox with the inbox behind it (mail); arguments and
// environment, with what the kernel keeps between launches behind them (local); and a queue. All of it is ordinary device memory.
type room struct {
	device *hal.Device
	queue  *hal.Queue
	mail   *hal.Buffer
	local  *hal.Buffer
	outbox int    // bytes behind the head
	posted uint32 // what the outbox counts
	launch uint32 // number of the last launch
	keeps  keeps
}

// keeps is what a kernel keeps between launches, and where, in bytes.
type keeps struct {
	strings, items, groups     int // how many
	ownBytes, groupBytes       int // of a checkpoint
	itemsAt, groupsAt          int
	ownAt, groupSavesAt, bytes int
}

// place computes where everything is.
func (k *keeps) place() error {
	at := 0
	next := func(n, size int) int {
		here := at
		at += (n*size + 15) &^ 15
		return here
	}
	next(k.strings+1, 1)
	k.itemsAt = next(k.items, 4*wire.ItemWords)
	k.groupsAt = next(k.groups, 4*wire.GroupWords)
	k.ownAt = next(k.items, k.ownBytes)
	k.groupSavesAt = next(k.groups, k.groupBytes)
	if k.bytes = at; at > mostKept {
		return fmt.Errorf("%d work-items in %d groups, with checkpoints of %d and %d bytes, keep %d MiB between launches, at most %d: %w",
			k.items, k.groups, k.ownBytes, k.groupBytes, at>>20, mostKept>>20, hal.ErrInvalid)
	}
	return nil
}

const (
	mostKept    = 1 << 30
	leastOutbox = 1 << 20
	mostOutbox  = 256 << 20
	mostItems   = 1 << 26 // work-items of a launch
)

// room takes an idle one or makes one.
func (r *Runtime) room() (*room, error) {
	r.mutex.Lock()
	if n := len(r.rooms); n > 0 {
		m := r.rooms[n-1]
		r.rooms = r.rooms[:n-1]
		r.mutex.Unlock()
		return m, nil
	}
	r.mutex.Unlock()
	m := &room{device: r.device}
	var err error
	m.queue, err = r.device.NewQueue()
	return m, err
}

// keep leaves a room to the next run, or frees it.
func (r *Runtime) keep(m *room) error {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.closed || len(r.rooms) >= idleSessions {
		return m.close()
	}
	r.rooms = append(r.rooms, m)
	return nil
}

// furnish makes ready for a run: everything that is kept is zero, the outbox has that many bytes at least.
func (m *room) furnish(strings []byte, k keeps, outbox int) error {
	k.strings = len(strings)
	if err := k.place(); err != nil {
		return err
	}
	local := make([]byte, k.ownAt) // no more is read before it was written
	copy(local, strings)
	m.keeps = k
	if err := m.enlarge(&m.local, k.bytes); err != nil {
		return err
	}
	if err := m.queue.Write(m.local, 0, local); err != nil {
		return err
	}
	m.outbox = outbox
	return m.empty(0)
}

// empty makes sure that the mail buffer has room for that many bytes behind the outbox, and starts its count anew.
func (m *room) empty(inbox int) error {
	if err := m.enlarge(&m.mail, relaunch.HeadBytes+m.outbox+inbox); err != nil {
		return err
	}
	m.posted = 0
	return m.queue.Write(m.mail, 0, make([]byte, relaunch.HeadBytes))
}

// enlarge replaces a buffer that is too small.
func (m *room) enlarge(b **hal.Buffer, size int) error {
	if *b != nil && (*b).Size() >= size {
		return nil
	}
	if *b != nil {
		old := *b
		*b = nil
		if err := old.Close(); err != nil {
			return err
		}
	}
	fresh, err := m.device.Alloc(hal.DeviceMemory, size)
	if err != nil {
		return fmt.Errorf("memory for calls between launches: %w", err)
	}
	*b = fresh
	return nil
}

// checkpoints makes room for larger ones, and keeps all that is kept.
func (m *room) checkpoints(own, group int) error {
	was, k := m.keeps, m.keeps
	k.ownBytes, k.groupBytes = max(k.ownBytes, (own+15)&^15), max(k.groupBytes, (group+15)&^15)
	if err := k.place(); err != nil {
		return err
	}
	old := make([]byte, was.bytes)
	if err := m.queue.Read(old, m.local, 0); err != nil {
		return err
	}
	all := make([]byte, k.bytes)
	copy(all, old[:was.ownAt])
	for i := 0; was.ownBytes > 0 && i < k.items; i++ {
		copy(all[k.ownAt+i*k.ownBytes:], old[was.ownAt+i*was.ownBytes:][:was.ownBytes])
	}
	for i := 0; was.groupBytes > 0 && i < k.groups; i++ {
		copy(all[k.groupSavesAt+i*k.groupBytes:], old[was.groupSavesAt+i*was.groupBytes:][:was.groupBytes])
	}
	m.keeps = k
	if err := m.enlarge(&m.local, k.bytes); err != nil {
		return err
	}
	return m.queue.Write(m.local, 0, all)
}

// deliver puts an inbox behind the outbox, and gives where that is in words.
func (m *room) deliver(inbox []byte) (uint32, error) {
	if len(inbox) == 0 {
		return 0, nil
	}
	at := relaunch.HeadBytes + m.outbox
	if at+len(inbox) > m.mail.Size() {
		if err := m.empty(2 * len(inbox)); err != nil {
			return 0, err
		}
	}
	return uint32(at / 4), m.queue.Write(m.mail, at, inbox)
}

// grow gives the outbox four times the room, if it may have that.
func (m *room) grow() (bool, error) {
	if 4*m.outbox > mostOutbox {
		return false, nil
	}
	m.outbox *= 4
	return true, m.empty(0)
}

func (m *room) close() error {
	var errs []error
	if m.queue != nil {
		errs = append(errs, m.queue.Close())
	}
	for _, b := range []*hal.Buffer{m.local, m.mail} {
		if b != nil {
			errs = append(errs, b.Close())
		}
	}
	return errors.Join(errs...)
}
