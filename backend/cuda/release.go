package cuda

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dialtone-gpu/dialtone/hal"
)

// gate is held shared while work is given to a device and exclusively while something
// is given back or loaded. So nothing starts to run between the look that finds the
// devices idle and the call that would wait for what runs. The exclusive side is only
// ever tried for, and held only while nothing runs there.
var gate sync.RWMutex

// release is a driver call that synchronizes and therefore waits until nothing runs.
type release struct {
	context    *primary
	everywhere bool // the memory is mapped on every device of this process
	do         func() result
	done       func() // bookkeeping afterwards, also when the context was lost and do was left out
}

var releases struct {
	sync.Mutex
	list    []release
	waiting atomic.Int64 // len(list), or more while some are being carried out
}

// add queues a release.
func (r release) add() {
	releases.Lock()
	releases.list = append(releases.list, r)
	releases.Unlock()
	releases.waiting.Add(1)
	r.context.waiting.Add(1)
}

// collect carries out what can be. It never waits.
func collect() {
	if releases.waiting.Load() > 0 && gate.TryLock() {
		_ = carryOut()
		gate.Unlock()
	}
}

// quiet returns when nothing runs on the device, with the gate held exclusively: the caller unlocks
// it. What runs is waited for here and not in the driver, which would make others wait too.
func (c *primary) quiet(ctx context.Context, op string) error {
	c.loads.Add(1)
	defer c.loads.Add(-1)
	start := time.Now()
	for pause := 20 * time.Microsecond; ; pause = min(pause*5/4, pauseMax) {
		if err := c.usable(); err != nil {
			return err
		}
		if !c.runs() && gate.TryLock() {
			if !c.busy() {
				return nil
			}
			gate.Unlock()
		}
		if err := ctx.Err(); err != nil {
			return &hal.Error{Op: op, Backend: name, Device: c.uri, Err: fmt.Errorf("waited %v for what runs on the device to end (%s), because the driver does: %w",
				time.Since(start).Round(time.Millisecond), cmp.Or(c.suspects(nil), "transfers, or another load"), err)}
		}
		time.Sleep(pause)
	}
}

// runs is busy for those who do not hold the gate. A load that is under way, for which a driver may take long, counts.
func (c *primary) runs() bool {
	if !gate.TryRLock() {
		return true
	}
	defer gate.RUnlock()
	return c.busy()
}

// giveWay lets a load go first that waits for an idle device, because launches that follow each
// other closely may never leave it a moment. While something runs it returns at once: that may be
// waiting for the very launch that asks.
func (c *primary) giveWay() {
	for range 20 {
		if c.loads.Load() == 0 || c.runs() {
			return
		}
		time.Sleep(pauseMax / 4)
	}
}

// carryOut makes the releases whose devices are idle and gives the contexts that are not.
// The gate is held exclusively.
func carryOut() (busy map[*primary]bool) {
	busy = map[*primary]bool{}
	contexts.Lock()
	all := make([]*primary, 0, len(contexts.open))
	for _, c := range contexts.open {
		all = append(all, c)
	}
	contexts.Unlock()
	for _, c := range all {
		if c.busy() {
			busy[c] = true
		}
	}
	releases.Lock()
	list := releases.list
	releases.list = nil
	releases.Unlock()
	var rest []release
	for _, r := range list {
		lost := r.context.lost.Load() != nil
		if !lost && (busy[r.context] || r.everywhere && len(busy) > 0) {
			rest = append(rest, r)
			continue
		}
		if !lost {
			// A failure leaves the resource to the end of the context; a fault is
			// noticed by the next operation that can report it.
			r.context.with(r.do)
		}
		releases.waiting.Add(-1)
		r.context.waiting.Add(-1)
		if r.done != nil {
			r.done()
		}
	}
	releases.Lock()
	releases.list = slices.Concat(rest, releases.list)
	releases.Unlock()
	return busy
}
