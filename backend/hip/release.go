package hip

import (
	"cmp"
	"context"
	"fmt"
	"maps"
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
	gpu        *gpu
	everywhere bool // the memory is mapped on every device of this process
	do         func() result
	done       func() // bookkeeping afterwards, also when the device was lost and do was left out
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
	r.gpu.waiting.Add(1)
}

// collect carries out what can be. It never waits.
func collect() {
	if releases.waiting.Load() > 0 && gate.TryLock() {
		carryOut()
		gate.Unlock()
	}
}

// quiet returns when nothing runs on the device, with the gate held exclusively: the caller unlocks
// it. What runs is waited for here and not in the driver, which would make others wait too.
func (g *gpu) quiet(ctx context.Context, op string) error {
	g.loads.Add(1)
	defer g.loads.Add(-1)
	start := time.Now()
	for pause := 20 * time.Microsecond; ; pause = min(pause*5/4, pauseMax) {
		if err := g.usable(); err != nil {
			return err
		}
		if !g.runs() && gate.TryLock() {
			if !g.busy() {
				return nil
			}
			gate.Unlock()
		}
		if err := ctx.Err(); err != nil {
			return &hal.Error{Op: op, Backend: name, Device: g.uri, Err: fmt.Errorf("waited %v for what runs on the device to end (%s), because the driver does: %w",
				time.Since(start).Round(time.Millisecond), cmp.Or(g.suspects(nil), "transfers, or another load"), err)}
		}
		time.Sleep(pause)
	}
}

// runs is busy for those who do not hold the gate. A load that is under way, for which a driver may take long, counts.
func (g *gpu) runs() bool {
	if !gate.TryRLock() {
		return true
	}
	defer gate.RUnlock()
	return g.busy()
}

// giveWay lets a load go first that waits for an idle device, because launches that follow each
// other closely may never leave it a moment. While something runs it returns at once: that may be
// waiting for the very launch that asks.
func (g *gpu) giveWay() {
	for range 20 {
		if g.loads.Load() == 0 || g.runs() {
			return
		}
		time.Sleep(pauseMax / 4)
	}
}

// carryOut makes the releases whose devices are idle.
// The gate is held exclusively.
func carryOut() {
	busy := map[*gpu]bool{}
	gpus.Lock()
	all := slices.Collect(maps.Values(gpus.known))
	gpus.Unlock()
	for _, g := range all {
		if g.busy() {
			busy[g] = true
		}
	}
	releases.Lock()
	list := releases.list
	releases.list = nil
	releases.Unlock()
	var rest []release
	for _, r := range list {
		lost := r.gpu.lost.Load() != nil
		if !lost && (busy[r.gpu] || r.everywhere && len(busy) > 0) {
			rest = append(rest, r)
			continue
		}
		if !lost {
			// A failure leaves the resource to the end of the process; a fault is
			// noticed by the next operation that can report it.
			r.gpu.with(r.do)
		}
		releases.waiting.Add(-1)
		r.gpu.waiting.Add(-1)
		if r.done != nil {
			r.done()
		}
	}
	releases.Lock()
	releases.list = slices.Concat(rest, releases.list)
	releases.Unlock()
}
