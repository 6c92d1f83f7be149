package probe

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/dialtone-gpu/dialtone/capabilities"
	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/internal/pages"
)

// touched is how many words a kernel reads and writes to show that it reaches memory.
const touched = 1000

// fillWords writes what the kernel touch reads; it returns what it has to write.
func fillWords(b []byte) []byte {
	want := make([]byte, 4*touched)
	for i := range uint32(touched) {
		binary.LittleEndian.PutUint32(b[4*i:], i^0x00c0ffee)
		binary.LittleEndian.PutUint32(want[4*i:], (i^0x00c0ffee)*2654435761+1)
	}
	return want
}

// touch lets a kernel use memory that the host sees, and compares.
func (p *prober) touch(ctx context.Context, memory []byte, arg hal.Arg) (ok bool, err error) {
	want := fillWords(memory)
	if err := p.extra(ctx, "touch", (touched+63)/64, min(64, p.device.Info().MaxGroup), arg, hal.Int32(touched)); err != nil {
		return false, err
	}
	return string(memory[4*touched:8*touched]) == string(want), nil
}

// hostmap: mem.hostmap and mem.uva.
func (p *prober) hostmap(ctx context.Context) error {
	start := time.Now()
	if !p.device.Info().Has(hal.HostCoherent) {
		for _, id := range []capabilities.ID{capabilities.MemHostMap, capabilities.MemUVA} {
			p.failed(id, start, "device", "it has no host-coherent memory")
		}
		return nil
	}
	b, err := p.device.Alloc(hal.HostCoherent, 8*touched)
	if err != nil {
		return err
	}
	defer b.Close()
	ok, err := p.touch(ctx, b.Bytes(), hal.Memory(b))
	switch {
	case err != nil:
		return err
	case !ok:
		p.failed(capabilities.MemHostMap, start, "kernel touch", "%d values did not come back as they should", touched)
	default:
		p.proven(capabilities.MemHostMap, start, "kernel touch", "%d values went to a kernel and came back", touched)
	}
	start = time.Now()
	m, err := p.optional(ctx, capabilities.MemUVA, start, "address", addressText)
	if m == nil {
		return err
	}
	defer p.unload(m)
	at, err := p.zeroed(64)
	if err != nil {
		return err
	}
	defer at.Close()
	if err := p.launch(ctx, m, "whereis", 1, 1, hal.Memory(b), hal.Memory(at)); err != nil {
		return err
	}
	raw, err := p.read(at)
	if err != nil {
		return err
	}
	// Addresses stay out of reports: they say where libraries lie.
	if u64(raw, 0) == uint64(uintptr(unsafe.Pointer(&b.Bytes()[0]))) {
		p.proven(capabilities.MemUVA, start, "kernel whereis", "host and kernel have the same address")
	} else {
		p.failed(capabilities.MemUVA, start, "kernel whereis", "host and kernel have different addresses")
	}
	return nil
}

// managed: mem.managed.
func (p *prober) managed(ctx context.Context) error {
	const id = capabilities.MemManaged
	start := time.Now()
	if !p.device.Info().Has(hal.Managed) {
		p.untried(ctx, "device", "the backend allocates none here", id)
		return nil
	}
	b, err := p.device.Alloc(hal.Managed, 8*touched)
	if err != nil {
		return err
	}
	defer b.Close()
	ok, err := p.touch(ctx, b.Bytes(), hal.Memory(b))
	switch {
	case err != nil:
		return err
	case !ok:
		p.failed(id, start, "kernel touch", "%d values did not come back as they should", touched)
	default:
		p.proven(id, start, "kernel touch", "%d values went to a kernel and came back", touched)
	}
	return nil
}

// concurrent: mem.concurrent. Where the driver moves pages, the host's access while the kernel runs may end the process.
func (p *prober) concurrent(ctx context.Context) error {
	const id = capabilities.MemConcurrent
	start := time.Now()
	e, err := p.exchange(ctx, hal.Managed)
	if err != nil {
		return err
	}
	if e.rounds != exchangeRounds {
		p.failed(id, start, "kernel pingpong", "%s", e)
		return nil
	}
	p.note(id, capabilities.Proven, float64(e.median.Nanoseconds()), time.Since(start), "kernel pingpong", "%s", e)
	return nil
}

// pageable: mem.pageable. The address of plain pages goes to a kernel as a number.
func (p *prober) pageable(ctx context.Context) error {
	const id = capabilities.MemPageable
	start := time.Now()
	switch d := p.device.Info().Dialect; d {
	case hal.OpenCL:
		return nil // its kernels take no addresses as numbers: the backend has a trial of its own
	case hal.MSL:
		p.unknown(id, "kernel touch", "not tried: %s kernels take buffers, not addresses", d)
		return nil
	}
	size := (8*touched + os.Getpagesize() - 1) / os.Getpagesize() * os.Getpagesize()
	plain, err := pages.Alloc(size)
	if err != nil {
		return err
	}
	ok, err := p.touch(ctx, plain, hal.Int64(int64(uintptr(unsafe.Pointer(&plain[0])))))
	if p.stuck == "" {
		defer pages.Free(plain)
	}
	switch {
	case err != nil:
		return err
	case !ok:
		p.failed(id, start, "kernel touch", "%d values did not come back as they should", touched)
	default:
		p.proven(id, start, "kernel touch", "a kernel used %d plain pages of the process", size/os.Getpagesize())
	}
	return nil
}

// follow: args.bindless.
func (p *prober) follow(ctx context.Context) error {
	const id, secret = capabilities.ArgsBindless, 0x0badcafe
	start := time.Now()
	if p.device.Info().Dialect == hal.MSL {
		p.unknown(id, "kernel follow", "not tried: Metal has to be told of every buffer that a kernel uses, and is told of arguments alone")
		return nil
	}
	m, err := p.optional(ctx, id, start, "address", addressText)
	if m == nil {
		return err
	}
	defer p.unload(m)
	target, err := p.device.Alloc(hal.DeviceMemory, 64)
	if err != nil {
		return err
	}
	defer target.Close()
	value := make([]byte, 64)
	binary.LittleEndian.PutUint32(value, secret)
	if err := p.queue.Write(target, 0, value); err != nil {
		return err
	}
	at, err := p.zeroed(64)
	if err != nil {
		return err
	}
	defer at.Close()
	out, err := p.zeroed(64)
	if err != nil {
		return err
	}
	defer out.Close()
	if err := p.launch(ctx, m, "whereis", 1, 1, hal.Memory(target), hal.Memory(at)); err != nil {
		return err
	}
	if err := p.launch(ctx, m, "follow", 1, 1, hal.Memory(at), hal.Memory(out)); err != nil {
		return err
	}
	raw, err := p.read(out)
	if err != nil {
		return err
	}
	if got := u32(raw, 0); got != secret {
		p.failed(id, start, "kernel follow", "it found %#x instead of %#x", got, secret)
	} else {
		p.proven(id, start, "kernel follow", "a kernel read another buffer by its address")
	}
	return nil
}

// messages: atomic.fence.system.
func (p *prober) messages(ctx context.Context) error {
	const id, rounds, words = capabilities.FenceSystem, 1000, 4
	start := time.Now()
	out, err := p.words(hal.HostCoherent)
	if err != nil {
		return err
	}
	defer out.Close()
	in, err := p.words(hal.HostCoherent)
	if err != nil {
		return err
	}
	defer in.Close()
	seen, err := p.zeroed(64)
	if err != nil {
		return err
	}
	defer seen.Close()
	incomplete := 0
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for round := uint32(1); round <= rounds; round++ {
			if !await(word(out, 0), round, stop) {
				return
			}
			for i := uint32(1); i <= words; i++ {
				if atomic.LoadUint32(word(out, int(32*i))) != round*i {
					incomplete++
				}
				atomic.StoreUint32(word(in, int(32*i)), round*i)
			}
			atomic.StoreUint32(word(in, 0), round)
		}
	}()
	err = p.extra(ctx, "messages", 1, 1, hal.Memory(out), hal.Memory(in), hal.Memory(seen), hal.Int32(rounds), hal.Int32(p.patience()))
	close(stop)
	<-stopped
	if err != nil {
		return err
	}
	raw, err := p.read(seen)
	if err != nil {
		return err
	}
	done, late := u32(raw, 0), int(u32(raw, 1))
	switch {
	case done != rounds+1:
		return fmt.Errorf("the answer to message %d never came", done)
	case incomplete+late > 0:
		p.failed(id, start, "kernel messages", "%d words of %d messages were behind their flags for the host, %d for the kernel", incomplete, rounds, late)
	default:
		p.proven(id, start, "kernel messages", "%d messages of %d words each way were complete when their flags had come", rounds, words)
	}
	return nil
}
