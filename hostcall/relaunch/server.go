package relaunch

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dialtone-gpu/dialtone/hostcall/call"
	"github.com/dialtone-gpu/dialtone/hostcall/errno"
	"github.com/dialtone-gpu/dialtone/hostcall/wire"
)

// Options describe a run.
type Options struct {
	Items     int  // work-items of the launch
	Group     int  // and of a group
	Resumable bool // the kernel may be started again: each call is answered; else it can only post
	Share     int  // bytes of a call, each way
	// Keep bounds the bytes kept for replays and unfinished calls; 0 is 256 MiB.
	Keep int
	// Name gives an opcode for people; nil knows dialtone's own.
	Name func(op wire.Opcode) string
	// Panicked is told of a handler that panicked, with its stack.
	Panicked func(op wire.Opcode, cause any, stack []byte)
}

// Errors that end a run, for errors.Is.
var (
	// ErrDiverged: a kernel that said it may be started again made other calls than before.
	ErrDiverged = errors.New("a replay made another call than the one that was answered: the kernel does not keep the promise of HC_RESUMABLE")
	// ErrRefused: a kernel that cannot be started again made a call that needs an answer.
	ErrRefused = errors.New("it needs an answer, but its kernel does not say HC_RESUMABLE")
	// ErrTooMuch: the answers since the last checkpoints are more than is kept.
	ErrTooMuch = errors.New("too many answers to keep for replays: the kernel needs checkpoints")
)

// Server answers the calls of one run, between its launches.
type Server struct {
	table *call.Table
	opts  Options

	ctx    context.Context
	cancel context.CancelFunc

	mutex   sync.Mutex
	logs    logs // of the work-items that have made calls with answers
	kept    int  // bytes in logs
	open    int  // requests that have no answer yet, or are not delivered
	fresh   int  // answers that no launch has seen
	backlog []*job
	workers int  // goroutines that serve
	growing bool // somebody looks whether there should be more
	done    int  // jobs that ended
	err     error
	changed chan struct{} // gets a token when one of these changes

	// Of Take, for the handlers that it calls itself.
	inline call.Call
	quick  []*request

	group  sync.WaitGroup // goroutines
	served atomic.Uint64
}

// job is what one goroutine serves in order: a call, or all that is printed to one descriptor.
type job struct {
	entry    *call.Entry
	requests []*request
}

// New begins a run.
func New(ctx context.Context, table *call.Table, opts Options) *Server {
	if opts.Keep == 0 {
		opts.Keep = 256 << 20
	}
	if opts.Name == nil {
		opts.Name = name
	}
	s := &Server{table: table, opts: opts, changed: make(chan struct{}, 1)}
	if opts.Resumable {
		s.logs = newLogs(opts.Items)
	}
	s.ctx, s.cancel = context.WithCancel(ctx)
	s.inline.Context = s.ctx
	return s
}

// Busy reports whether a handler has a call, or an answer waits for a launch.
func (s *Server) Busy() bool {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.open > 0 || s.fresh > 0
}

// Served is the number of calls that were served so far.
func (s *Server) Served() uint64 { return s.served.Load() }

// Abort ends the run: handlers see their context end. What has been taken is still served.
func (s *Server) Abort() { s.cancel() }

// Err is what the calls did that ends the run: a breach of the rules, or a posted call that failed; the first counts.
func (s *Server) Err() error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.err
}

func (s *Server) fail(err error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.err == nil {
		s.err = err
	}
}

// tell wakes Wait; the mutex is held.
func (s *Server) tell() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// Close waits until every handler has returned. It reports whether that was within grace, at whose end their context ends, and
// another.
func (s *Server) Close(grace time.Duration) bool {
	defer s.cancel()
	done := make(chan struct{})
	go func() {
		s.group.Wait()
		close(done)
	}()
	for range 2 {
		select {
		case <-done:
			return true
		case <-time.After(grace):
			s.cancel()
		}
	}
	return false
}

// Take decodes the records of a launch and gives its calls to their handlers. It reports how many there were. The memory belongs to the
// server from now on. complete says that every work-item that waits for another launch has said why: the groups without one have come to
// their end. The error says that records make no sense; what came before them is served.
func (s *Server) Take(records []byte, launch uint32, complete bool) (int, error) {
	calls, breaches, err := decode(records, launch, s.opts.Items)
	for _, b := range breaches {
		cause := ErrRefused
		if b.kind == wire.RecordDiverged {
			cause = ErrDiverged
		}
		s.fail(fmt.Errorf("work-item %d: call %s: %w", b.item, s.opts.Name(b.op), cause))
	}
	if s.opts.Resumable {
		s.take(calls)
		if complete && err == nil {
			s.drop(calls)
		}
	} else {
		s.deliver(calls)
	}
	return len(calls), err
}

// name is an opcode for people.
func name(op wire.Opcode) string {
	for _, c := range wire.Calls {
		if c.Op == op {
			return c.Name
		}
	}
	return fmt.Sprint(uint16(op))
}

// ends reports whether a call ends the run: all others of its launch are taken on before.
func ends(op wire.Opcode) bool { return op == wire.OpExit || op == wire.OpAbort || op == wire.OpAssert }

// prints reports whether a call writes to the descriptor in word 1, so that those to one descriptor are served in order, and together.
func prints(op wire.Opcode) bool { return op == wire.OpWrite || op == wire.OpPrintf }

// take serves the calls of a launch that all get an answer: each work-item has one at most.
func (s *Server) take(calls []*request) {
	var jobs, last []*job
	var printed map[uint32]*job // by descriptor
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.quick = s.quick[:0]
	for _, r := range calls {
		l := s.logs.of(r.item)
		if l.pending {
			continue // it has a call open: this is no client of ours
		}
		s.kept -= 4 * l.forget(r.done)
		e := s.table.Find(r.op())
		switch {
		case r.malformed():
			s.refuse(r, l, errno.EPROTO)
		case r.withBytes() && uint64(r.words[0]) > uint64(len(r.bytes)):
			s.refuse(r, l, errno.EINVAL)
		case r.more():
			s.keep(l, r)
			s.answer(r, l, 0, nil, nil)
		case e.Handler == nil:
			s.refuse(r, l, errno.ENOSYS)
		case !e.Fits(r.in, r.withBytes()):
			s.refuse(r, l, errno.EPROTO)
		case l.over:
			s.refuse(r, l, errno.E2BIG)
		case e.Inline && !r.withBytes():
			l.pending = true
			s.open++
			s.quick = append(s.quick, r)
		default:
			s.join(l, r)
			l.pending = true
			s.open++
			if j := printed[r.words[1]]; prints(r.op()) && j != nil {
				j.requests = append(j.requests, r)
				continue
			}
			j := &job{e, []*request{r}}
			switch {
			case ends(r.op()):
				last = append(last, j)
			case prints(r.op()):
				j.entry = nil // it may be either of the two
				if printed == nil {
					printed = map[uint32]*job{}
				}
				printed[r.words[1]] = j
				fallthrough
			default:
				jobs = append(jobs, j)
			}
		}
	}
	s.mutex.Unlock() // which the end of a call takes
	for rest := s.quick; len(rest) > 0; {
		n := alike(rest)
		s.call(&s.inline, s.table.Find(rest[0].op()), rest[:n], nil)
		rest = rest[n:]
	}
	s.mutex.Lock()
	s.start(append(jobs, last...))
}

// alike is how many requests at the beginning can be the lanes of one call.
func alike(requests []*request) int {
	n := 1
	for n < min(len(requests), wire.MaxLanes) && requests[n].call == requests[0].call {
		n++
	}
	return n
}

// drop forgets the answers of groups that are not started again: those without a call of the launch or an open one.
func (s *Server) drop(calls []*request) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	group := uint32(max(s.opts.Group, 1))
	live := map[uint32]bool{}
	last := ^uint32(0)
	for _, r := range calls {
		if g := r.item / group; g != last { // calls of a group come together mostly
			live[g], last = true, g
		}
	}
	if groups := (uint32(s.opts.Items) + group - 1) / group; uint32(len(live)) == groups {
		return
	}
	for item, l := range s.logs.all() {
		if l.pending || l.waits {
			live[item/group] = true
		}
	}
	for item, l := range s.logs.all() {
		if !live[item/group] {
			s.kept -= 4*len(l.answers) + len(l.partial)
			s.logs.drop(l)
		}
	}
}

// refuse answers a call that no handler gets; the mutex is held.
func (s *Server) refuse(r *request, l *itemLog, e errno.Errno) {
	s.kept -= len(l.partial)
	l.partial, l.over = nil, false
	s.answer(r, l, e, make([]uint32, min(r.out(), wire.MaxWords)), nil)
}

// keep stores the bytes of a packet that has a successor; the mutex is held.
func (s *Server) keep(l *itemLog, r *request) {
	b := r.bytes[:r.words[0]]
	if s.kept+len(b) > s.opts.Keep {
		l.over = true
		return
	}
	s.kept += len(b)
	l.partial = append(l.partial, b...)
}

// join puts the bytes kept in front of those of the last packet; the mutex is held.
func (s *Server) join(l *itemLog, r *request) {
	if r.withBytes() {
		r.bytes = r.bytes[:r.words[0]]
	}
	if l.partial != nil {
		s.kept -= len(l.partial)
		r.bytes, l.partial = append(l.partial, r.bytes...), nil
	}
}

// answer puts an answer into the work-item's log; the mutex is held.
func (s *Server) answer(r *request, l *itemLog, e errno.Errno, words []uint32, back []byte) {
	s.kept += 4 * l.give(r.call, e, words, back)
	s.fresh++
	s.served.Add(1)
	if s.kept > s.opts.Keep && s.err == nil {
		s.err = fmt.Errorf("%d MiB: %w", s.kept>>20, ErrTooMuch)
	}
	s.tell()
}

// deliver serves posted calls in their order.
func (s *Server) deliver(calls []*request) {
	partial := map[uint32][]byte{}
	j := &job{}
	for _, r := range calls {
		e := s.table.Find(r.op())
		switch {
		case r.malformed() || r.withBytes() && uint64(r.words[0]) > uint64(len(r.bytes)) || e.Handler == nil || !r.more() && !e.Fits(r.in, r.withBytes()):
			s.fail(fmt.Errorf("work-item %d: call %s: %w", r.item, s.opts.Name(r.op()), errno.EPROTO))
			continue
		case r.withBytes():
			r.bytes = r.bytes[:r.words[0]]
		}
		if r.more() {
			partial[r.item] = append(partial[r.item], r.bytes...)
			continue
		}
		if b := partial[r.item]; b != nil {
			r.bytes = append(b, r.bytes...)
			delete(partial, r.item)
		}
		j.requests = append(j.requests, r)
	}
	if len(j.requests) == 0 {
		return
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.open += len(j.requests)
	s.start([]*job{j})
}

// start hands jobs over; the mutex is held.
func (s *Server) start(jobs []*job) {
	s.backlog = append(s.backlog, jobs...)
	for range min(len(s.backlog), someWorkers-s.workers) {
		s.worker()
	}
	if len(s.backlog) > 0 && !s.growing {
		s.growing = true
		s.group.Go(s.grow)
	}
}

// someWorkers is how many goroutines serve without a thought: more are started when they are found to block.
const someWorkers = 16

// worker starts one; the mutex is held.
func (s *Server) worker() {
	s.workers++
	s.group.Go(func() {
		c := new(call.Call)
		c.Context = s.ctx
		room := make([]byte, s.opts.Share)
		returned := false
		defer func() {
			if !returned { // a handler ended this goroutine: another takes its place
				s.mutex.Lock()
				s.workers--
				s.worker()
				s.mutex.Unlock()
			}
		}()
		for j := s.next(); j != nil; j = s.next() {
			s.run(c, j, room)
		}
		returned = true
	})
}

// next takes a job; nil ends the worker.
func (s *Server) next() *job {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if len(s.backlog) == 0 {
		s.workers--
		return nil
	}
	j := s.backlog[0]
	s.backlog[0] = nil
	s.backlog = s.backlog[1:]
	return j
}

// grow starts more workers as long as there is work and none of them gets on.
func (s *Server) grow() {
	before := -1
	for {
		s.mutex.Lock()
		if len(s.backlog) == 0 {
			s.growing = false
			s.mutex.Unlock()
			return
		}
		if s.done == before || s.workers == 0 {
			for range min(len(s.backlog), max(s.workers, someWorkers)) {
				s.worker()
			}
		}
		before = s.done
		s.mutex.Unlock()
		time.Sleep(time.Millisecond)
	}
}

// run serves a job.
func (s *Server) run(c *call.Call, j *job, room []byte) {
	defer func() {
		s.mutex.Lock()
		s.done++
		s.mutex.Unlock()
	}()
	for rest := j.requests; len(rest) > 0; {
		n := 1
		if prints(rest[0].op()) {
			n = alike(rest)
		}
		e := j.entry
		if e == nil {
			e = s.table.Find(rest[0].op())
		}
		s.call(c, e, rest[:n], room)
		rest = rest[n:]
	}
}

// call serves requests with the same call word as the lanes of one call.
func (s *Server) call(c *call.Call, e *call.Entry, lanes []*request, room []byte) {
	r, n := lanes[0], len(lanes)
	c.Op, c.In, c.Out, c.HasBytes = r.op(), r.in, r.out(), r.withBytes()
	c.Mask = ^uint64(0) >> (wire.MaxLanes - n)
	words := c.Words(wire.MaxWords, n)
	clear(words)
	for lane, r := range lanes {
		for i := range r.in {
			c.SetWord(lane, i, r.words[i])
		}
		if c.HasBytes {
			c.SetBytes(lane, r.bytes)
			c.SetRoom(lane, room)
		}
	}
	clear(c.Errnos()[:])
	c.Begin()
	s.handle(c, e, lanes)
}

// handle calls a handler and settles the lanes; one that panics fails the call of one lane and nothing else.
func (s *Server) handle(c *call.Call, e *call.Entry, lanes []*request) {
	returned := false
	defer func() {
		if !returned {
			cause := recover()
			ended := cause == nil
			if ended {
				cause = "it ended its goroutine"
			}
			again := c.Panicked()
			if s.opts.Panicked != nil {
				s.opts.Panicked(c.Op, cause, debug.Stack())
			}
			if again && !ended {
				s.handle(c, e, lanes)
				return
			}
		}
		s.settle(c, lanes)
	}()
	e.Handler(c)
	returned = true
}

// settle gives each lane its answer; of posted calls it only looks whether they failed.
func (s *Server) settle(c *call.Call, lanes []*request) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	defer s.tell()
	s.open -= len(lanes)
	for m := c.Mask; m != 0; m &= m - 1 {
		lane := bits.TrailingZeros64(m)
		r, e := lanes[lane], c.Errno(lane)
		if !s.opts.Resumable {
			s.served.Add(1)
			if e == 0 && c.Op == wire.OpWrite && int(c.Word(lane, 0)) < len(r.bytes) {
				e = errno.EIO
			}
			if e != 0 && e != call.Stop && s.err == nil {
				s.err = fmt.Errorf("work-item %d: call %s, served after the launch, to descriptor %d: %w", r.item, s.opts.Name(c.Op), int32(r.words[1]), e)
			}
			continue
		}
		l := s.logs.of(r.item)
		l.pending = false
		var words [wire.MaxWords]uint32
		out := words[:c.Out]
		for i := range out {
			out[i] = c.Word(lane, i)
		}
		var back []byte
		if w, ok := wire.BytesBack(c.Op); ok && e == 0 && c.HasBytes && w < c.Out {
			room := c.Room(lane)
			back = room[:min(len(room), int(out[w]))]
		}
		s.answer(r, l, e, out, back)
	}
}

// Wait returns when another launch makes sense: when all calls are served, when answers have come and no more within window of
// the first, or when over is closed. With room set a launch makes sense without an answer: there is room for calls that found none.
func (s *Server) Wait(over <-chan struct{}, window time.Duration, room bool) {
	var late <-chan time.Time
	for {
		s.mutex.Lock()
		open, fresh, failed := s.open, s.fresh > 0, s.err != nil
		s.mutex.Unlock()
		if open == 0 || failed {
			return
		}
		if late == nil && (fresh || room) {
			timer := time.NewTimer(window)
			defer timer.Stop()
			late = timer.C
		}
		select {
		case <-s.changed:
		case <-late:
			return
		case <-over:
			return
		}
	}
}

// Idle waits until all calls are served, or over is closed.
func (s *Server) Idle(over <-chan struct{}) {
	for {
		s.mutex.Lock()
		open := s.open
		s.mutex.Unlock()
		if open == 0 {
			return
		}
		select {
		case <-s.changed:
		case <-over:
			return
		}
	}
}

// Inbox appends what the next launch begins with to b; nothing if there is no answer.
func (s *Server) Inbox(b []byte) []byte {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.fresh = 0
	if s.logs.count == 0 {
		return b
	}
	start := len(b)
	b = append(b, make([]byte, 4*s.opts.Items)...)
	for item, l := range s.logs.all() {
		binary.LittleEndian.PutUint32(b[start+4*int(item):], uint32(len(b)-start)/4)
		b = l.appendTo(b)
		l.waits = l.pending
	}
	return b
}
