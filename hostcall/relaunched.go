package hostcall

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/hostcall/relaunch"
	"github.com/dialtone-gpu/dialtone/hostcall/wire"
)

// relaunched is a run whose calls are carried between the launches of its kernel.
type relaunched struct {
	run       *run
	room      *room
	server    *relaunch.Server
	resumable bool
	share     int
	inbox     []byte // of the last launch
	ahead     int    // bytes of records that the first read of a launch takes, by what the last one left
}

// soon is how long a launch may take until somebody asks the driver about it, and looks whether the run is over. While the read that waits
// for it is given to the driver, another question would only be in its way.
const soon = time.Millisecond

// errOutboxFull ends a kernel that cannot be started again to go on.
var errOutboxFull = errors.New("it printed more than there is room for until its launch ends; all before that was delivered: a kernel that says HC_RESUMABLE waits for room")

// relaunched takes a room for a run of a kernel in groups of items.
func (rt *Runtime) relaunched(r *run, kernel string, items int) (*relaunched, error) {
	k := keeps{items: items, groups: 1}
	for _, n := range r.launch.Grid {
		k.groups *= n
		if k.groups > mostItems/items {
			return nil, fmt.Errorf("%v groups of %v work-items are more than can be started again, %d in all: %w", r.launch.Grid, r.launch.Group, mostItems, hal.ErrInvalid)
		}
	}
	k.items *= k.groups
	t := &relaunched{run: r, resumable: r.program.unit.Resumable(kernel), share: 64 << 10, ahead: 1 << 10}
	for t.share > 1<<10 && t.share*k.items > 64<<20 {
		t.share /= 2
	}
	outbox := max(leastOutbox, min(512*k.items, mostOutbox/4))
	if !t.resumable { // nobody waits for room
		outbox = max(16*leastOutbox, min(4096*k.items, mostOutbox))
	}
	if rt.outbox > 0 {
		outbox = rt.outbox
		t.share = min(t.share, max(16, outbox/4&^15))
	}
	var err error
	if t.room, err = rt.room(); err != nil {
		return nil, err
	}
	if err := t.room.furnish(r.env.Block, k, outbox); err != nil {
		return nil, errors.Join(err, t.room.close())
	}
	t.server = relaunch.New(context.Background(), r.table(), relaunch.Options{Items: k.items, Group: items, Resumable: t.resumable, Share: t.share,
		Name: rt.callName, Panicked: rt.panicked})
	return t, nil
}

func (t *relaunched) serve(ctx context.Context, kernel *hal.Kernel) (running bool, err error) {
	r, m := t.run, t.room
	// What waits between launches waits for the end of the run, too.
	over, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		select {
		case <-r.end.signal:
			stop()
		case <-over.Done():
		}
	}()
	for first := true; ; first = false {
		start := time.Now()
		head, running, err := t.launch(ctx, kernel, first)
		if running {
			return true, err
		}
		n, damage := 0, error(nil)
		if head != nil {
			n, damage = t.take(head)
		}
		if err = errors.Join(err, damage); err != nil {
			t.server.Idle(over.Done()) // what was posted before a fault is delivered
			return false, err
		}
		if err := t.server.Err(); err != nil {
			t.server.Idle(over.Done())
			return false, err
		}
		full := head.Full(m.launch)
		if !t.resumable {
			t.server.Idle(over.Done())
			if r.lost = t.server.Err(); r.lost == nil && full && !r.end.set.Load() {
				r.lost = errOutboxFull
			}
			if t.server.Busy() {
				return false, t.ended(ctx)
			}
			return false, nil
		}
		if !head.Cancelled(m.launch) {
			return false, nil
		}
		need := t.needs(head)
		if need {
			if err := m.checkpoints(int(head.Head[wire.OutOwn]), int(head.Head[wire.OutGroup])); err != nil {
				return false, err
			}
		}
		room := need
		if full {
			room = n > 0
			if n == 0 || t.run.program.runtime.outbox == 0 {
				grown, err := m.grow()
				if err != nil {
					return false, err
				}
				room = room || grown
			}
		}
		if !room && n == 0 && !t.server.Busy() {
			return false, fmt.Errorf("kernel %s waits for answers to calls that it does not make", kernel.Name())
		}
		t.server.Wait(over.Done(), time.Since(start), room)
		if over.Err() != nil || r.end.set.Load() {
			return false, t.ended(ctx)
		}
		if err := t.server.Err(); err != nil {
			return false, err
		}
	}
}

// ended notes why the run is over, if that is the context's end.
func (t *relaunched) ended(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		t.run.end.put(err)
	}
	if t.run.end.set.Load() {
		t.server.Abort()
	}
	return nil
}

// launch runs the kernel once and reads what it left: the head of the outbox, or nil if that is lost, and the records that came with it.
func (t *relaunched) launch(ctx context.Context, kernel *hal.Kernel, first bool) (head *outbox, running bool, err error) {
	r, m := t.run, t.room
	if m.launch++; m.launch == 0 {
		m.launch = 1
	}
	p := wire.Params{Argc: uint32(r.env.Argc), Envc: uint32(r.env.Envc)}
	p.Bulk = t.share
	if t.resumable {
		p.Flags = wire.FlagResumable
		if !first {
			p.Flags |= wire.FlagResumed
		}
		t.inbox = t.server.Inbox(t.inbox[:0])
		if p.Inbox, err = m.deliver(t.inbox); err != nil {
			return nil, false, err
		}
	}
	k := &m.keeps
	p.Launch, p.Posted, p.Outbox = m.launch, m.posted, uint32(m.outbox/4)
	p.Items, p.Groups = uint32(k.itemsAt/4), uint32(k.groupsAt/4)
	p.Own, p.OwnBytes, p.Group, p.GroupBytes = uint32(k.ownAt/4), uint32(k.ownBytes), uint32(k.groupSavesAt/4), uint32(k.groupBytes)
	args := append([]hal.Arg{hal.Memory(m.local), hal.Memory(m.mail), hal.Value(p.Bytes())}, r.launch.Args...)
	if err := m.queue.Launch(kernel, r.launch.Grid, r.launch.Group, args...); err != nil {
		return nil, false, err
	}
	// The read waits for the kernel, in the queue: nobody has to ask when it ended. If it does not end, the read goes on without this run.
	out := &outbox{bytes: make([]byte, relaunch.HeadBytes+min(t.ahead, m.outbox))}
	read := make(chan struct{})
	go func() {
		out.err = m.queue.Read(out.bytes, m.mail, 0)
		close(read)
	}()
	late := time.NewTimer(soon)
	select {
	case <-read:
	case <-late.C:
	}
	late.Stop()
	running, err = r.await(ctx, watched{queue: m.queue, marked: read, abort: t.server.Abort, abandon: func() {}})
	if running {
		return nil, true, err
	}
	<-read
	if out.err != nil && !errors.Is(err, hal.ErrDeviceLost) {
		// A kernel that failed may have left its memory.
		out.err = m.queue.Read(out.bytes, m.mail, 0)
	}
	if out.err != nil {
		return nil, false, errors.Join(err, out.err)
	}
	out.Head = relaunch.ReadHead(out.bytes)
	return out, false, err
}

// outbox is what was read of it.
type outbox struct {
	relaunch.Head
	bytes []byte
	err   error
}

// needs reports whether a checkpoint found no room.
func (t *relaunched) needs(head *outbox) bool {
	k := &t.room.keeps
	return int(head.Head[wire.OutOwn]) > k.ownBytes || int(head.Head[wire.OutGroup]) > k.groupBytes
}

// take gives the server what a launch left, and the number of its calls.
func (t *relaunched) take(head *outbox) (int, error) {
	m := t.room
	used := head.Used(m.posted, m.outbox/4)
	m.posted = head.Head[wire.OutPosted]
	t.ahead = min(max(used, 1<<10), 256<<10)
	records := head.bytes[relaunch.HeadBytes:]
	if used > len(records) {
		all := make([]byte, used)
		if err := m.queue.Read(all[copy(all, records):], m.mail, relaunch.HeadBytes+len(records)); err != nil {
			return 0, err
		}
		records = all
	}
	return t.server.Take(records[:used], m.launch, !head.Full(m.launch) && !t.needs(head))
}

func (t *relaunched) abort() { t.server.Abort() }

func (t *relaunched) finish(grace time.Duration) bool {
	served := t.server.Close(grace)
	if t.run.lost == nil && !t.resumable {
		t.run.lost = t.server.Err()
	}
	return served
}

func (t *relaunched) calls() uint64 { return t.server.Served() }

// leave closes the room: what the call's function may yet answer never reaches the device.
func (t *relaunched) leave() error { return t.room.close() }

func (t *relaunched) free(ended bool) error {
	if !ended {
		return t.room.close()
	}
	return t.run.program.runtime.keep(t.room)
}
