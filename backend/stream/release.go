package stream

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/dialtone-gpu/dialtone/hal"
)

// release is a driver call that synchronizes and therefore waits until nothing runs.
type release struct {
	device     *Device
	everywhere bool // the memory is mapped on every device of this process
	do         func() Result
	done       func() // bookkeeping afterwards, also when the device was lost and do was left out
}

// later queues a release.
func (d *Device) later(r release) {
	r.device = d
	all := &d.driver.releases
	all.Lock()
	all.list = append(all.list, r)
	all.Unlock()
	all.waiting.Add(1)
	d.waiting.Add(1)
}

// collect carries out what can be. It never waits.
func (d *Driver) collect() {
	if d.releases.waiting.Load() > 0 && d.gate.TryLock() {
		_ = d.carryOut()
		d.gate.Unlock()
	}
}

// quiet returns when nothing runs on the device, with the gate held exclusively: the caller unlocks
// it. What runs is waited for here and not in the driver, which would make others wait too.
func (d *Device) quiet(ctx context.Context, op string) error {
	d.loads.Add(1)
	defer d.loads.Add(-1)
	gate := &d.driver.gate
	start := time.Now()
	for pause := 20 * time.Microsecond; ; pause = min(pause*5/4, pauseMax) {
		if err := d.Usable(); err != nil {
			return err
		}
		if !d.runs() && gate.TryLock() {
			if !d.busy() {
				return nil
			}
			gate.Unlock()
		}
		if err := ctx.Err(); err != nil {
			return &hal.Error{Op: op, Backend: d.driver.Backend, Device: d.uri, Err: fmt.Errorf("waited %v for what runs on the device to end (%s), because the driver does: %w",
				time.Since(start).Round(time.Millisecond), cmp.Or(d.suspects(nil), "transfers, or another load"), err)}
		}
		time.Sleep(pause)
	}
}

// runs is busy for those who do not hold the gate. A load that is under way, for which a driver may take long, counts.
func (d *Device) runs() bool {
	if !d.driver.gate.TryRLock() {
		return true
	}
	defer d.driver.gate.RUnlock()
	return d.busy()
}

// giveWay lets a load go first that waits for an idle device, because launches that follow each
// other closely may never leave it a moment. While something runs it returns at once: that may be
// waiting for the very launch that asks.
func (d *Device) giveWay() {
	for range 20 {
		if d.loads.Load() == 0 || d.runs() {
			return
		}
		time.Sleep(pauseMax / 4)
	}
}

// carryOut makes the releases whose devices are idle and gives the devices that are not.
// The gate is held exclusively.
func (d *Driver) carryOut() (busy map[*Device]bool) {
	busy = map[*Device]bool{}
	d.devices.Lock()
	all := slices.Collect(maps.Values(d.devices.open))
	d.devices.Unlock()
	for _, one := range all {
		if one.busy() {
			busy[one] = true
		}
	}
	d.releases.Lock()
	list := d.releases.list
	d.releases.list = nil
	d.releases.Unlock()
	var rest []release
	for _, r := range list {
		lost := r.device.lost.Load() != nil
		if !lost && (busy[r.device] || r.everywhere && len(busy) > 0) {
			rest = append(rest, r)
			continue
		}
		if !lost {
			// A failure leaves the resource to the end of the context; a fault is
			// noticed by the next operation that can report it.
			r.device.With(r.do)
		}
		d.releases.waiting.Add(-1)
		r.device.waiting.Add(-1)
		if r.done != nil {
			r.done()
		}
	}
	d.releases.Lock()
	d.releases.list = slices.Concat(rest, d.releases.list)
	d.releases.Unlock()
	return busy
}
