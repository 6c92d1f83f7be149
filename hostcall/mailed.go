package hostcall

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/hostcall/mailbox"
	"github.com/dialtone-gpu/dialtone/hostcall/wire"
)

// mailed is a run whose calls go through a mailbox while the kernel runs.
type mailed struct {
	run     *run
	session *session
	server  atomic.Pointer[mailbox.Server]
	params  wire.Params
	spare   int // slots that are nobody's home
}

// mailed takes a session for a run of that many subgroups in groups of items.
func (rt *Runtime) mailed(r *run, subgroups, items int) (*mailed, error) {
	place := place(rt.device.Info(), subgroups, items)
	s, err := rt.session(place.shape)
	if err != nil {
		return nil, err
	}
	if err := s.setStrings(string(r.env.Block)); err != nil {
		return nil, errors.Join(err, rt.release(s))
	}
	m := &mailed{run: r, session: s, spare: place.spare(), params: wire.Params{
		Layout:  s.slots.Layout,
		Homes:   uint32(place.homes),
		Spread:  uint32(place.spread),
		Strings: uint32(s.locks()),
		Argc:    uint32(r.env.Argc),
		Envc:    uint32(r.env.Envc),
	}}
	// Few callers want a short way, many want few bytes on the bus.
	if t := rt.opts.Tagged; t != nil && *t || t == nil && place.homes <= fewCallers {
		m.params.Flags |= wire.FlagTagged
	}
	return m, nil
}

// fewCallers is up to how many subgroups a short way matters more than few bytes on the bus.
const fewCallers = 256

func (m *mailed) serve(ctx context.Context, kernel *hal.Kernel) (running bool, err error) {
	r, s, rt := m.run, m.session, m.run.program.runtime
	s.runs = max(1, s.runs+1)
	// The handlers' context ends when the kernel is told, not before: else a lane would get ECANCELED and go on.
	server := mailbox.Start(context.WithoutCancel(ctx), s.slots, r.table(), mailbox.Options{
		Pollers: rt.pollers(), HostCPU: rt.device.Info().HostCPU, IdleCore: fewerGroups(r.launch.Grid, runtime.NumCPU()),
		Spare: m.spare, Mark: s.runs, Panicked: rt.panicked,
	})
	m.server.Store(server)
	args := append([]hal.Arg{hal.Memory(s.local), hal.Memory(s.mail), hal.Value(m.params.Bytes())}, r.launch.Args...)
	if err := s.queue.Launch(kernel, r.launch.Grid, r.launch.Group, args...); err != nil {
		return false, err
	}
	w := watched{queue: s.queue, abort: server.Abort, abandon: server.Abandon}
	// Without a mark, or if it fails, await asks the driver.
	if s.queue.Mark(s.mail, mailbox.MarkOffset, s.runs) == nil {
		w.marked = server.Marked()
	}
	return r.await(ctx, w)
}

func (m *mailed) abort() {
	if s := m.server.Load(); s != nil {
		s.Abort()
	}
}

func (m *mailed) finish(grace time.Duration) bool { return m.server.Load().Close(grace) }

func (m *mailed) calls() uint64 { return m.server.Load().Served() }

// leave leaves the session to the call's function, which may yet answer.
func (m *mailed) leave() error { return nil }

// free closes the session of a run that did not end well: a lane may have stopped with a slot in its hands.
func (m *mailed) free(ended bool) error {
	if !ended {
		return m.session.close()
	}
	return m.run.program.runtime.release(m.session)
}

// fewerGroups reports a grid of fewer groups than n; their product need not fit into an int.
func fewerGroups(grid [3]int, n int) bool {
	for _, groups := range grid {
		if groups >= n {
			return false
		}
	}
	return grid[0]*grid[1]*grid[2] < n
}
