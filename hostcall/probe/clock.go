package probe

import (
	"context"
	"encoding/binary"
	"math"
	"sync/atomic"
	"time"

	"github.com/dialtone-gpu/dialtone/capabilities"
	"github.com/dialtone-gpu/dialtone/hal"
)

// clock: timer.global and timer.correlate.
func (p *prober) clock(ctx context.Context) error {
	const id = capabilities.TimerGlobal
	start := time.Now()
	if _, err := p.module.Kernel("rate"); err != nil {
		p.lacks(ctx, "clock", id, capabilities.TimerCorrelate)
		return nil
	}
	if !p.set.Has(capabilities.CommMailbox) {
		for _, id := range []capabilities.ID{id, capabilities.TimerCorrelate} {
			p.unknown(id, "kernel rate", "not asked: %s is %s", capabilities.CommMailbox, p.set[capabilities.CommMailbox].State)
		}
		return nil
	}
	back, err := p.clockOrder(ctx)
	if err != nil {
		return err
	}
	if back > 0 {
		p.note(id, capabilities.Broken, 0, time.Since(start), "kernel clocks", "it went back %d times across groups", back)
		p.unknown(capabilities.TimerCorrelate, "kernel clocks", "not asked: %s is broken", id)
		return nil
	}
	mail, err := p.words(hal.HostCoherent)
	if err != nil {
		return err
	}
	defer mail.Close()
	at, err := p.device.Alloc(hal.DeviceMemory, 64)
	if err != nil {
		return err
	}
	defer at.Close()
	// The best of some tries: the host may be held up at a meeting, the clocks are not.
	best := 1.0
	apart := time.Duration(math.MaxInt64)
	var tick uint64
	for try := 0; try < 5 && best > 0.002 || try < 25 && best > 0.01; try++ {
		clear(mail.Bytes())
		host := make(chan [2]time.Time, 1)
		stop := make(chan struct{})
		go func() {
			var met [2]time.Time
			for m := range met {
				for n := 0; atomic.LoadUint32(word(mail, 0)) != uint32(m+1); n++ {
					if n%4096 == 4095 {
						select {
						case <-stop:
							host <- met
							return
						default:
						}
					}
				}
				met[m] = time.Now()
				atomic.StoreUint32(word(mail, 64), uint32(m+1))
			}
			host <- met
		}()
		err = p.launch(ctx, p.module, "rate", 1, 1, hal.Memory(mail), hal.Memory(at), hal.Int64(10e6), hal.Int32(p.patience()))
		close(stop)
		met := <-host
		if err != nil {
			return err
		}
		var raw [40]byte
		if err := p.queue.Read(raw[:], at, 0); err != nil {
			return err
		}
		first, second := binary.LittleEndian.Uint64(raw[:]), binary.LittleEndian.Uint64(raw[8:])
		tick = binary.LittleEndian.Uint64(raw[16:])
		if met[1].IsZero() || second <= first {
			continue
		}
		for m := range 2 { // the host's reading lies between the device's two of that meeting
			before, after := binary.LittleEndian.Uint64(raw[8*m:]), binary.LittleEndian.Uint64(raw[8*(m+3):])
			if after >= before {
				apart = min(apart, time.Duration(min(after-before, math.MaxInt64)))
			}
		}
		ratio := float64(second-first)/float64(met[1].Sub(met[0])) - 1
		best = min(best, max(ratio, -ratio))
	}
	if best > 0.01 {
		p.unknown(capabilities.TimerCorrelate, "kernel rate", "not asked: %s is broken", id)
		p.note(id, capabilities.Broken, 0, time.Since(start), "kernel rate", "its rate differs from the host's by %.2g%%", best*100)
		return nil
	}
	p.note(id, capabilities.Proven, float64(tick), time.Since(start), "kernels clocks and rate",
		"monotonic across groups, tick %d ns, %.2g%% off the host's clock", tick, best*100)
	p.note(capabilities.TimerCorrelate, capabilities.Proven, float64(apart), time.Since(start), "kernel rate",
		"the host's clock was read between two readings of the device's, %v apart", apart)
	return nil
}

// clockOrder counts readings that contradict the order of tickets drawn between them.
func (p *prober) clockOrder(ctx context.Context) (int, error) {
	const groups, readings = 64, 16
	ticket, err := p.device.Alloc(hal.DeviceMemory, 64)
	if err != nil {
		return 0, err
	}
	defer ticket.Close()
	rows, err := p.device.Alloc(hal.DeviceMemory, 16*groups*readings)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	if err := p.queue.Write(ticket, 0, make([]byte, 64)); err != nil {
		return 0, err
	}
	if err := p.launch(ctx, p.module, "clocks", groups, 1, hal.Memory(ticket), hal.Memory(rows), hal.Int32(readings)); err != nil {
		return 0, err
	}
	raw := make([]byte, rows.Size())
	if err := p.queue.Read(raw, rows, 0); err != nil {
		return 0, err
	}
	back, latest := 0, uint64(0)
	for i := 0; i < len(raw); i += 16 {
		before, after := binary.LittleEndian.Uint64(raw[i:]), binary.LittleEndian.Uint64(raw[i+8:])
		if after < latest || after < before {
			back++
		}
		latest = max(latest, before)
	}
	return back, nil
}
