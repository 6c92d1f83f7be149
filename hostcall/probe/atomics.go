package probe

import (
	"context"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"github.com/dialtone-gpu/dialtone/capabilities"
	"github.com/dialtone-gpu/dialtone/hal"
)

// What a compiler may refuse, each in a file of its own.
var (
	//go:embed kernels/optional/wide.kernel.c
	wideText string
	//go:embed kernels/optional/floats.kernel.c
	floatsText string
	//go:embed kernels/optional/double.kernel.c
	doubleText string
	//go:embed kernels/optional/cycle.kernel.c
	cycleText string
	//go:embed kernels/optional/address.kernel.c
	addressText string
)

func u32(b []byte, i int) uint32 { return binary.LittleEndian.Uint32(b[4*i:]) }

func u64(b []byte, i int) uint64 { return binary.LittleEndian.Uint64(b[8*i:]) }

func isUnsupported(err error) bool {
	return errors.Is(err, hal.ErrUnsupported) || errors.Is(err, hal.ErrUnavailable)
}

// adding: atomic.dev32.
func (p *prober) adding(ctx context.Context) error {
	const id = capabilities.Atomic32
	start := time.Now()
	sum, err := p.zeroed(64)
	if err != nil {
		return err
	}
	defer sum.Close()
	grid, group, times := p.contention()
	if err := p.extra(ctx, "adding", grid, group, hal.Memory(sum), hal.Int32(int32(times))); err != nil {
		return err
	}
	raw, err := p.read(sum)
	if err != nil {
		return err
	}
	if got, want := int(u32(raw, 0)), grid*group*times; got != want {
		p.failed(id, start, "kernel adding", "%d additions came to %d", want, got)
	} else {
		p.proven(id, start, "kernel adding", "%d additions of %d work-items summed up exactly", want, grid*group)
	}
	return nil
}

// exchanges is the part of the usual contention that is left where each addition is a compare and exchange: of those that contend one
// comes through at a time, and 800,000 take two seconds on an H200.
const exchanges = 50

// wide: atomic.dev64. The compiler decides which operations there are, contention whether they work.
func (p *prober) wide(ctx context.Context) error {
	const id = capabilities.Atomic64
	start := time.Now()
	refused := ""
	for _, try := range []struct {
		level  string
		define string
	}{{"full", "PROBE_LEVEL=3"}, {"add", "PROBE_LEVEL=2"}, {"minmax", "PROBE_LEVEL=1"}} {
		m, err := p.compile(ctx, "wide", wideText, try.define)
		if why, ok := refusal(err); ok {
			if refused == "" {
				refused = why
			}
			continue
		}
		if err != nil {
			return err
		}
		wrong, err := p.wideSums(ctx, m, try.level)
		if err := errors.Join(err, m.Close()); err != nil {
			return err
		}
		if wrong != "" {
			p.failed(id, start, "kernel wide", "%s", wrong)
			return nil
		}
		p.proven(id, start, "kernel wide", "contended %s operations gave exact results", try.level)
		p.level(id, try.level)
		return nil
	}
	p.failed(id, start, "compiler", "%s", refused)
	return nil
}

// wideSums compares the results of contention with what they have to be.
func (p *prober) wideSums(ctx context.Context, m *hal.Module, level string) (wrong string, err error) {
	const step = 0x100000001
	cells, err := p.device.Alloc(hal.DeviceMemory, 64)
	if err != nil {
		return "", err
	}
	defer cells.Close()
	begin := make([]byte, 64)
	binary.LittleEndian.PutUint64(begin[16:], math.MaxUint64) // the least of nothing
	if err := p.queue.Write(cells, 0, begin); err != nil {
		return "", err
	}
	grid, group, times := p.contention()
	times /= exchanges
	if err := p.launch(ctx, m, "wide", grid, group, hal.Memory(cells), hal.Int32(int32(times))); err != nil {
		return "", err
	}
	raw, err := p.read(cells)
	if err != nil {
		return "", err
	}
	items := uint64(grid * group)
	sum := items * uint64(times) * step
	check := func(what string, i int, want uint64) {
		if got := u64(raw, i); got != want && wrong == "" {
			wrong = fmt.Sprintf("%s: %#x, want %#x", what, got, want)
		}
	}
	if level != "minmax" {
		check("the sum", 0, sum)
		if last := u64(raw, 4); last>>33 == 0 || last>>33 > items || last<<31 != 0 {
			wrong = fmt.Sprintf("an exchanged value is %#x, which nobody stored", last)
		}
	}
	if level == "full" {
		check("the sum by compare and exchange", 1, sum)
	}
	if level != "add" {
		check("the least", 2, 1<<33)
		check("the greatest", 3, items<<33)
	}
	return wrong, nil
}

// floats: atomic.float. Each term is a half, so that no addition rounds.
func (p *prober) floats(ctx context.Context) error {
	const id = capabilities.AtomicFloat
	start := time.Now()
	grid, group, times := p.contention()
	refused := ""
	for _, try := range []struct {
		level   string
		defines []string
		part    int // of the usual contention
	}{{"native", []string{"PROBE_NATIVE"}, 4}, {"cas", nil, exchanges}} {
		m, err := p.compile(ctx, "floats", floatsText, try.defines...)
		if why, ok := refusal(err); ok {
			refused = why
			continue
		}
		if err != nil {
			return err
		}
		sum, err := p.zeroed(64)
		if err != nil {
			return errors.Join(err, m.Close())
		}
		times := min(times/try.part, 1<<23/(grid*group)) // the sum fits 24 bits
		err = p.launch(ctx, m, "floats", grid, group, hal.Memory(sum), hal.Int32(int32(times)))
		var raw []byte
		if err == nil {
			raw, err = p.read(sum)
		}
		if err := errors.Join(err, sum.Close(), m.Close()); err != nil {
			return err
		}
		if got, want := math.Float32frombits(u32(raw, 0)), float32(grid*group*times)/2; got != want {
			p.failed(id, start, "kernel floats", "%d halves added (%s) came to %g, not %g", grid*group*times, try.level, got, want)
			return nil
		}
		p.proven(id, start, "kernel floats", "%d halves added (%s) summed up exactly", grid*group*times, try.level)
		p.level(id, try.level)
		return nil
	}
	p.failed(id, start, "compiler", "%s", refused)
	return nil
}

// system: atomic.system.rmw. Device and host add to one word, the host for as long as the device does: whichever is slower, each of its
// additions may meet one of the other side's.
func (p *prober) system(ctx context.Context) error {
	const id = capabilities.AtomicSystem
	start := time.Now()
	for range 10 {
		got, host, err := p.addTogether(ctx)
		switch {
		case err != nil:
			return err
		case host < systemTimes/100: // it was held up: nothing is shown by that
		case got != systemTimes+host:
			p.failed(id, start, "kernel adding_with_host", "%d additions of the device and %d of the host came to %d", systemTimes, host, got)
			return nil
		default:
			p.proven(id, start, "kernel adding_with_host", "%d additions of the device and %d of the host summed up exactly", systemTimes, host)
			return nil
		}
	}
	return errors.New("kernel and host never came to add at the same time")
}

const systemTimes = 100_000

// addTogether gives the sum, and how much of it the host added; 0 if kernel or host waited for the other in vain.
func (p *prober) addTogether(ctx context.Context) (sum, host uint32, err error) {
	mail, err := p.words(hal.HostCoherent)
	if err != nil {
		return 0, 0, err
	}
	defer mail.Close()
	state, err := p.words(hal.HostCoherent)
	if err != nil {
		return 0, 0, err
	}
	defer state.Close()
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		if !await(word(state, 0), 1, stop) {
			return
		}
		atomic.StoreUint32(word(state, 16), 1)
		for atomic.LoadUint32(word(state, 48)) == 0 {
			for range 64 {
				atomic.AddUint32(word(mail, 0), 1)
			}
			host += 64
			select {
			case <-stop:
				return
			default:
			}
		}
	}()
	err = p.extra(ctx, "adding_with_host", 1, 1, hal.Memory(mail), hal.Memory(state), hal.Int32(systemTimes), hal.Int32(p.patience()))
	close(stop)
	<-stopped
	if atomic.LoadUint32(word(state, 32)) != 0 {
		host = 0
	}
	return atomic.LoadUint32(word(mail, 0)), host, err
}
