package probe

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/dialtone-gpu/dialtone/capabilities"
	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/internal/nap"
)

// words is memory for a probe that the host sees, cleared.
func (p *prober) words(kind hal.MemoryKind) (*hal.Buffer, error) {
	b, err := p.device.Alloc(kind, 4096)
	if err == nil {
		clear(b.Bytes())
	}
	return b, err
}

func word(b *hal.Buffer, i int) *uint32 { return (*uint32)(unsafe.Pointer(&b.Bytes()[4*i])) }

func cell(b *hal.Buffer, i int) *uint64 { return (*uint64)(unsafe.Pointer(&b.Bytes()[4*i])) }

// mailbox: comm.mailbox, access.single64 and mem.finegrain.
func (p *prober) mailbox(ctx context.Context) error {
	start := time.Now()
	if p.device.Info().NoConcurrentAccess {
		for _, id := range []capabilities.ID{capabilities.CommMailbox, capabilities.MemFineGrain} {
			p.note(id, capabilities.No, 0, 0, "device", "its API promises nothing about memory that the host and a running kernel share")
		}
		p.unknown(capabilities.Access64, "device", "not asked: %s is missing", capabilities.CommMailbox)
		return nil
	}
	e, err := p.exchange(ctx, hal.HostCoherent)
	if err != nil {
		return err
	}
	if e.rounds != exchangeRounds {
		p.note(capabilities.CommMailbox, capabilities.No, 0, time.Since(start), "kernel pingpong", "%s", e)
		p.note(capabilities.MemFineGrain, capabilities.No, 0, time.Since(start), "kernel pingpong", "%s", e)
		p.unknown(capabilities.Access64, "kernel pingpong", "not asked: %s is missing", capabilities.CommMailbox)
		return nil
	}
	p.note(capabilities.CommMailbox, capabilities.Proven, float64(e.median.Nanoseconds()), time.Since(start), "kernel pingpong", "%s", e)
	p.note(capabilities.MemFineGrain, capabilities.Proven, 0, time.Since(start), "kernel pingpong", "%s", e)
	if e.torn > 0 {
		p.note(capabilities.Access64, capabilities.No, 0, 0, "kernel pingpong", "%d torn words", e.torn)
	} else {
		p.note(capabilities.Access64, capabilities.Proven, 0, 0, "kernel pingpong", "no torn word in %d", 2*exchangeRounds)
	}
	return nil
}

const exchangeRounds = 200

// exchanged is what came of words sent both ways while a kernel ran.
type exchanged struct {
	rounds      int // that came back
	looks       int32
	median, p99 time.Duration
	torn        int
}

func (e exchanged) String() string {
	if e.rounds < exchangeRounds {
		return fmt.Sprintf("round %d of %d never came back within %d looks", e.rounds+1, exchangeRounds, e.looks)
	}
	return fmt.Sprintf("%d round trips, median %.1f us, p99 %.1f us", e.rounds, float64(e.median.Nanoseconds())/1e3, float64(e.p99.Nanoseconds())/1e3)
}

// exchange sends words both ways through memory of that kind while a kernel runs.
func (p *prober) exchange(ctx context.Context, kind hal.MemoryKind) (exchanged, error) {
	mail, err := p.words(kind)
	if err != nil {
		return exchanged{}, err
	}
	defer mail.Close()
	seen, err := p.zeroed(64)
	if err != nil {
		return exchanged{}, err
	}
	defer seen.Close()
	const rounds = exchangeRounds
	patience := p.patience()
	torn := 0
	stop, stopped := make(chan struct{}), make(chan struct{})
	var trips []time.Duration
	go func() {
		defer close(stopped)
		last := time.Now()
		for round := uint32(1); round <= rounds; round++ {
			if !await(word(mail, 0), round, stop) {
				return
			}
			if v := atomic.LoadUint64(cell(mail, 16)); v != 0 && uint32(v)^0x5a5a5a5a != uint32(v>>32) {
				torn++
			}
			atomic.StoreUint64(cell(mail, 80), uint64(round)<<32|uint64(round^0x5a5a5a5a))
			atomic.StoreUint32(word(mail, 64), round)
			now := time.Now()
			trips = append(trips, now.Sub(last))
			last = now
		}
	}()
	err = p.launch(ctx, p.module, "pingpong", 1, 1, hal.Memory(mail), hal.Memory(seen), hal.Int32(rounds), hal.Int32(patience))
	close(stop)
	<-stopped
	if err != nil {
		return exchanged{}, err
	}
	result, err := p.read(seen)
	if err != nil {
		return exchanged{}, err
	}
	done, halves := binary.LittleEndian.Uint32(result), binary.LittleEndian.Uint32(result[4:])
	e := exchanged{rounds: int(done) - 1, looks: patience, torn: torn + int(halves)}
	if len(trips) > 0 {
		slices.Sort(trips)
		e.median, e.p99 = trips[len(trips)/2], trips[len(trips)*99/100]
	}
	return e, nil
}

// await looks at a word until it has a value; false if stop was closed before. It sleeps only when nothing has come for long,
// since a sleep takes longer than a round trip.
func await(at *uint32, want uint32, stop <-chan struct{}) bool {
	for n := 0; atomic.LoadUint32(at) != want; n++ {
		if n%256 == 255 {
			select {
			case <-stop:
				return false
			default:
			}
			if n > 1<<14 {
				nap.For(0)
			}
		}
	}
	return true
}
