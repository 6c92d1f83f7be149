package mailbox

import (
	"context"
	"math/bits"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dialtone-gpu/dialtone/hostcall/call"
	"github.com/dialtone-gpu/dialtone/hostcall/errno"
	"github.com/dialtone-gpu/dialtone/hostcall/wire"
	"github.com/dialtone-gpu/dialtone/internal/nap"
)

// Options tune a server; the zero value is right for tests only.
type Options struct {
	Pollers  int  // at most; at least 1
	HostCPU  bool // kernels run on this machine's cores: a spinning poller takes one from them
	IdleCore bool // with HostCPU: this kernel leaves a core idle, which a poller may have
	Spare    int  // of the slots, the last ones that are nobody's home: few calls come to them
	// Mark, if not 0, is the value that appears at MarkOffset when the kernel has ended.
	Mark uint32
	// Panicked is told of a handler that panicked, with its stack.
	Panicked func(op wire.Opcode, cause any, stack []byte)
}

// moreLimit bounds the bytes that unfinished calls of one server keep on the host.
const moreLimit = 256 << 20

// Server answers the requests of one kernel run.
type Server struct {
	slots *Slots
	table *call.Table
	opts  Options

	ctx      context.Context
	cancel   context.CancelFunc
	aborted  atomic.Bool
	stopping atomic.Bool // answer everything with call.Stop

	open    []atomic.Uint32 // per slot: the request that a handler has, see take and release
	pending []Request       // per slot: that request
	more    []*partial      // per slot: bytes of packets before the last
	kept    atomic.Int64    // bytes in more

	marked  chan struct{} // closed when the mark was seen
	ranges  []slotRange
	work    chan *job
	free    chan *job
	idle    atomic.Int64 // workers that wait for work
	quit    chan struct{}
	pollers sync.WaitGroup
	workers sync.WaitGroup

	served atomic.Uint64 // requests answered, for tests and diagnosis
}

// slotRange is what one poller looks after.
type slotRange struct {
	mutex    sync.Mutex // held while its slots are scanned
	closed   bool       // nothing is accepted any more
	from, to int
	homes    int // where the spare slots begin, if it has them
	every    int // scans that find something at home for one that looks at the spare slots as well: neither is to take longer than the other
	scans    int
	parked   atomic.Bool
	wake     chan struct{}
	scratch  *call.Call
	batch    [batchSize]Request
	handed   int        // requests of this scan that workers have been given
	current  *Request   // whose inline handler runs
	filled   []*Request // answered, but for the announcement; parts of batch
	_        [64]byte
}

// batchSize is how many requests are looked for before the first is answered, while the memory of all
// of them is on its way into the cache.
const batchSize = 32

type job struct {
	request Request
	entry   *call.Entry
	call    call.Call
}

type partial struct {
	lanes [wire.MaxLanes][]byte
	over  bool
}

// Start begins to serve.
func Start(ctx context.Context, slots *Slots, table *call.Table, opts Options) *Server {
	homes := slots.Slots - opts.Spare
	n := max(1, min(opts.Pollers, homes/slotsPerPoller, maxPollers))
	s := &Server{
		slots: slots, table: table, opts: opts,
		open:    make([]atomic.Uint32, slots.Slots),
		pending: make([]Request, slots.Slots),
		more:    make([]*partial, slots.Slots),
		ranges:  make([]slotRange, n),
		work:    make(chan *job, slots.Slots),
		free:    make(chan *job, min(slots.Slots, 1024)),
		quit:    make(chan struct{}),
		marked:  make(chan struct{}),
	}
	s.ctx, s.cancel = context.WithCancel(ctx)
	slots.SetAbort(false)
	for i := range s.ranges {
		r := &s.ranges[i]
		r.from, r.to = cut(slots.Slots, opts.Spare, n, i)
		r.homes = min(r.to, homes)
		r.every = max(1, (r.to-r.homes)/max(1, r.homes-r.from))
		r.wake = make(chan struct{}, 1)
		r.scratch = new(call.Call)
		r.scratch.Context = s.ctx
		r.filled = make([]*Request, 0, batchSize)
		s.pollers.Add(1)
		go s.poll(i)
	}
	return s
}

// cut gives range i of n. All have as many homes, since a launch is done when the slowest poller is; the last one also looks after the spare slots.
func cut(slots, spare, n, i int) (from, to int) {
	homes := slots - spare
	from, to = i*homes/n, (i+1)*homes/n
	if i == n-1 {
		to = slots
	}
	return from, to
}

// Served is the number of packets answered so far.
func (s *Server) Served() uint64 { return s.served.Load() }

// Marked is closed once the mark was seen: a look at memory, which a poller takes whenever it finds nothing else to do.
func (s *Server) Marked() <-chan struct{} { return s.marked }

// Abort ends the run: what has been posted by now is still taken on, handlers see their context end, and
// whatever they say, all answers from now on are call.Stop. It waits for no handler and may be called by one.
func (s *Server) Abort() {
	if s.aborted.Swap(true) {
		return
	}
	for i := range s.ranges {
		s.sweep(i)
	}
	s.stopping.Store(true)
	s.slots.SetAbort(true)
	s.cancel()
}

// Abandon answers in place of the handlers that have not returned although the run is over. It is for those
// that do not look at their context: the bytes of a call may change under its handler from now on.
func (s *Server) Abandon() {
	s.Abort()
	for i := range s.ranges {
		s.sweep(i) // behind this, nothing more is given to a handler
	}
	var c call.Call
	for slot := range s.open {
		if seq := s.open[slot].Load(); seq != 0 && s.open[slot].CompareAndSwap(seq, 0) {
			request := s.pending[slot] // the slot's next request may take its place during the answer
			s.answer(&request, &c, call.Stop)
		}
	}
}

// Close looks once more at every slot, so that what a kernel posted before it ended or
// died is served, then ends pollers and workers. It reports whether every handler has
// returned within grace; if not, the mailbox's memory must stay.
func (s *Server) Close(grace time.Duration) bool {
	close(s.quit)
	for i := range s.ranges {
		s.wake(i)
	}
	s.pollers.Wait()
	for i := range s.ranges {
		s.sweep(i)
		r := &s.ranges[i]
		r.mutex.Lock()
		r.closed = true // a handler may still abort the run, which must find nothing more
		r.mutex.Unlock()
	}
	close(s.work)
	done := make(chan struct{})
	go func() {
		s.workers.Wait()
		close(done)
	}()
	defer s.cancel()
	select {
	case <-done:
		return true
	case <-time.After(grace):
	}
	s.Abort()
	select {
	case <-done:
		return true
	case <-time.After(grace):
		return false
	}
}

func (s *Server) quitting() bool {
	select {
	case <-s.quit:
		return true
	default:
		return false
	}
}

func (s *Server) wake(i int) {
	select {
	case s.ranges[i].wake <- struct{}{}:
	default:
	}
}

// poll watches one range: it spins while requests come, then yields, then naps. The first poller
// stands in for the others when they have parked.
func (s *Server) poll(i int) {
	defer s.pollers.Done()
	mine := &s.ranges[i]
	spin := spinTime
	looks := spinLooks
	if s.opts.HostCPU {
		spin, looks = spinTimeHostCPU, 1
		if s.opts.IdleCore {
			spin = spinTimeIdleCore
		}
	}
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	quiet := 0
	awaited := s.opts.Mark // 0 if there is none, or once it was seen
	if i > 0 {
		awaited = 0
	}
	var since time.Time // when it became quiet
	for {
		found, handed := s.scan(i)
		if i == 0 {
			for j := 1; j < len(s.ranges); j++ {
				if !s.ranges[j].parked.Load() {
					continue
				}
				if n, h := s.scan(j); n > 0 {
					found += n
					handed += h
					s.wake(j)
				}
			}
		}
		if found > 0 {
			quiet = 0
			if s.opts.HostCPU || handed == found && found <= fewHanded {
				runtime.Gosched()
			}
			if s.stopping.Load() && s.quitting() { // a kernel that hears nothing may call for ever
				return
			}
			continue
		}
		if quiet++; quiet%looks != 0 {
			continue
		}
		select {
		case <-s.quit:
			return
		default:
		}
		if awaited != 0 && s.slots.marked() == awaited {
			close(s.marked)
			awaited = 0
		}
		now := time.Now()
		if quiet == looks {
			since = now
		}
		silence := now.Sub(since)
		switch {
		case silence < spin:
			if s.opts.HostCPU {
				runtime.Gosched()
			}
		case i > 0 && silence > parkTime:
			mine.parked.Store(true)
			<-mine.wake
			mine.parked.Store(false)
			quiet = 0
		case silence < longSilence:
			nap.For(napTime)
			quiet += looks - 1 // every nap is followed by one look
		default:
			timer.Reset(min(silence/restShare, longestRest))
			select {
			case <-s.quit:
				return
			case <-timer.C:
			}
			quiet += looks - 1
		}
	}
}

const (
	maxPollers     = 4
	slotsPerPoller = 32 // with fewer, another poller does not pay

	// fewHanded is how many workers a poller lets go first, on its own processor, which is sooner than another thread wakes for them.
	fewHanded = 4

	// spinTime is how long a poller spins after the last request of a GPU, spinLooks how many looks it
	// takes between two readings of the clock.
	spinTime  = 200 * time.Microsecond
	spinLooks = 64
	// spinTimeHostCPU is the same where the kernel wants the core itself.
	spinTimeHostCPU = 20 * time.Microsecond
	// spinTimeIdleCore is for a core that nobody wants: programs that compute and print, one instance of them, call every few hundred microseconds.
	spinTimeIdleCore = 2 * time.Millisecond
	// parkTime is how long a second poller naps before it leaves its slots to the first.
	parkTime = 2 * time.Millisecond

	// napTime is what a poller asks for while a call may come at any moment; with the usual timer slack
	// it gets about 55 us.
	napTime = time.Microsecond
	// After longSilence a poller rests for a share of the silence so far: what a call then waits is
	// lost in the time that its kernel took before it, and an idle server costs next to nothing.
	longSilence = 25 * time.Millisecond
	restShare   = 30
	longestRest = 20 * time.Millisecond
)

// scan serves what is there in one range and gives the number of requests, and how many of them workers have been given.
func (s *Server) scan(i int) (found, handed int) {
	r := &s.ranges[i]
	if !r.mutex.TryLock() {
		return 0, 0
	}
	return s.scanLocked(r)
}

// sweep is scan for those who must not miss what is there.
func (s *Server) sweep(i int) int {
	r := &s.ranges[i]
	r.mutex.Lock()
	r.scans = -1
	found, _ := s.scanLocked(r)
	return found
}

// scanLocked gives the mutex back.
func (s *Server) scanLocked(r *slotRange) (found, handed int) {
	defer s.scanned(r, &found)
	if r.closed {
		return 0, 0
	}
	r.handed = 0
	r.scans++
	for slot, to := r.from, r.homes; slot < to; {
		var n int
		n, slot = s.slots.Find(r.batch[:], slot, to)
		for k := range r.batch[:n] {
			if k+1 < n {
				s.slots.prefetchLong(&r.batch[k+1])
			}
			if s.accept(r, &r.batch[k]) {
				found++
			}
		}
		s.announce(r)
		if slot == r.homes && (found == 0 || r.scans%r.every == 0) {
			to = r.to
		}
	}
	return found, r.handed
}

// announce sends the answers of a batch that have been filled in.
func (s *Server) announce(r *slotRange) {
	if len(r.filled) == 0 {
		return
	}
	streamFence()
	for _, request := range r.filled {
		s.slots.Announce(request)
	}
	r.filled = r.filled[:0]
}

// reply answers from a poller; the kernel sees it when the batch is announced at the latest.
func (s *Server) reply(r *slotRange, request *Request, c *call.Call) {
	s.slots.Reopen(request, false)
	if s.slots.Fill(request, c) {
		r.filled = append(r.filled, request)
	}
}

// scanned ends a scan, also one that an inline handler's panic ended: that call fails, and what was found
// after it is found again.
func (s *Server) scanned(r *slotRange, found *int) {
	if cause := recover(); cause != nil {
		request, c := r.current, r.scratch
		c.FailAll(errno.EFAULT)
		s.reply(r, request, c)
		s.announce(r)
		*found++
		if s.opts.Panicked != nil {
			s.opts.Panicked(request.Op(), cause, debug.Stack())
		}
	}
	r.mutex.Unlock()
	if *found > 0 {
		s.served.Add(uint64(*found))
	}
}

// accept takes a request on: answers it here, or gives it to a worker.
func (s *Server) accept(r *slotRange, request *Request) bool {
	e := s.table.Find(request.Op())
	if !e.Inline && e.Handler != nil && fits(request, e) && request.Call&wire.More == 0 && !s.stopping.Load() {
		if !s.hand(request, e) {
			return false
		}
		r.handed++
		return true
	}
	c := r.scratch
	if !s.slots.Accept(request, c) {
		return false
	}
	switch {
	case s.stopping.Load():
		c.FailAll(call.Stop)
	case e.Handler == nil || !fits(request, e) || c.HasBytes || request.malformed:
		s.acceptOther(r, request, e, c)
	default:
		r.current = request
		e.Handler(c)
	}
	s.reply(r, request, c)
	return true
}

// fits reports whether a packet has what its handler looks at.
func fits(r *Request, e *call.Entry) bool { return e.Fits(int(r.in), r.Call&wire.WithBytes != 0) }

// acceptOther is what is left of accept when a request is not of the simplest kind.
func (s *Server) acceptOther(r *slotRange, request *Request, e *call.Entry, c *call.Call) {
	switch {
	case request.malformed: // Accept has set the errno
	case request.Call&wire.More != 0:
		s.keep(request.Slot, c)
	case e.Handler == nil:
		c.FailAll(errno.ENOSYS)
	case !fits(request, e):
		c.FailAll(errno.EPROTO)
	default:
		s.joinPartial(request.Slot, c)
		r.current = request
		e.Handler(c)
	}
}

// keep stores the bytes of a packet that has a successor.
func (s *Server) keep(slot int, c *call.Call) {
	p := s.more[slot]
	if p == nil {
		p = new(partial)
		s.more[slot] = p
	}
	for m := c.Mask; m != 0; m &= m - 1 {
		lane := bits.TrailingZeros64(m)
		b := c.Bytes(lane)
		if s.kept.Add(int64(len(b))) > moreLimit {
			p.over = true
			s.kept.Add(int64(-len(b)))
			continue
		}
		p.lanes[lane] = append(p.lanes[lane], b...)
	}
}

// joinPartial puts the bytes kept in front of those of the last packet.
func (s *Server) joinPartial(slot int, c *call.Call) {
	p := s.more[slot]
	if p == nil {
		return
	}
	s.more[slot] = nil
	for m := c.Mask; m != 0; m &= m - 1 {
		lane := bits.TrailingZeros64(m)
		if len(p.lanes[lane]) > 0 && c.Errno(lane) == 0 {
			c.SetBytes(lane, append(p.lanes[lane], c.Bytes(lane)...))
		}
		if p.over {
			c.Fail(lane, errno.E2BIG)
		}
	}
	for lane := range p.lanes {
		s.kept.Add(int64(-len(p.lanes[lane])))
	}
}

// hand gives a request to a worker, of which there are as many as block at once.
func (s *Server) hand(request *Request, e *call.Entry) bool {
	var j *job
	select {
	case j = <-s.free:
	default:
		j = new(job)
		j.call.Context = s.ctx
	}
	if !s.slots.Accept(request, &j.call) {
		s.recycle(j)
		return false
	}
	s.joinPartial(request.Slot, &j.call)
	if request.malformed {
		s.slots.Reopen(request, false)
		s.slots.Reply(request, &j.call)
		s.recycle(j)
		return true
	}
	j.request, j.entry = *request, e
	s.pending[request.Slot] = *request
	s.open[request.Slot].Store(request.Seq)
	s.work <- j
	if s.idle.Add(-1) < 0 {
		s.idle.Add(1)
		s.workers.Add(1)
		go s.serve(nil)
	}
	return true
}

func (s *Server) recycle(j *job) {
	select {
	case s.free <- j:
	default:
	}
}

// serve is a worker; first is a job that it takes over, if any.
func (s *Server) serve(first *job) {
	defer s.workers.Done()
	if first != nil {
		s.run(first)
	}
	for j := range s.work {
		s.run(j)
	}
}

// run calls a handler and answers; one that panics fails the call of one lane and nothing else.
func (s *Server) run(j *job) {
	returned := false
	defer func() {
		if !returned {
			cause := recover()
			again := s.failed(j, cause)
			switch {
			case cause == nil: // runtime.Goexit ends this worker: another takes its place
				s.workers.Add(1)
				if again {
					go s.serve(j)
					return
				}
				go s.serve(nil)
			case again:
				s.run(j)
				return
			}
		}
		if s.open[j.request.Slot].CompareAndSwap(j.request.Seq, 0) {
			if s.stopping.Load() {
				j.call.FailAll(call.Stop)
			}
			s.slots.Reopen(&j.request, true)
			s.slots.Reply(&j.request, &j.call)
		}
		s.recycle(j)
		s.idle.Add(1)
	}()
	j.entry.Handler(&j.call)
	returned = true
}

// failed is for a handler that did not return. It reports whether lanes are left that have not been served.
func (s *Server) failed(j *job, cause any) (again bool) {
	if cause == nil {
		cause = "it ended its goroutine"
	}
	again = j.call.Panicked()
	if s.opts.Panicked != nil {
		s.opts.Panicked(j.request.Op(), cause, debug.Stack())
	}
	return again
}

// answer replies with one errno for all lanes.
func (s *Server) answer(request *Request, c *call.Call, e errno.Errno) {
	c.Mask = request.Mask & s.slots.full
	c.FailAll(e)
	s.slots.Reopen(request, true)
	s.slots.Reply(request, c)
}
