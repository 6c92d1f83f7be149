// Package trial is what the trials of CUDA and HIP have in common, whose drivers have the same calls behind other names: what a stream
// does in its turn, and the look at a descriptor that memory was exported as.
package trial

import (
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/ebitengine/purego"

	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/internal/dl"
)

// Offsets in pinned memory: a stream copies so many bytes there before it calls the function, whose note lies behind them.
const (
	copied  = 4 << 20 // so many that the function, if it came at once, would be there first
	note    = copied
	answer  = note + 8
	arrived = note + 16
)

// CallPinned and CallDevice are the bytes of memory that [CallInTurn] needs.
const (
	CallPinned = note + 64
	CallDevice = copied + 4
)

// lingers is how long the function takes: a copy that does not wait for it is done by then.
const lingers = 20 * time.Millisecond

// secret is the last word of what is copied, and what the answer is made of.
const secret = 0x600dca11

// function is the address of the function. It calls no driver, as CUDA and HIP want it, and knows nothing but its argument.
var function = sync.OnceValue(func() uintptr { return purego.NewCallback(called) }) // which are never given back

// called is the function: what it finds of the copy before it, how often it came, and what the copy behind it has to take along.
func called(at uintptr) uintptr {
	word := func(offset int) *uint32 { return (*uint32)(unsafe.Add(dl.Pointer(at), offset)) }
	found := atomic.LoadUint32(word(-4))
	time.Sleep(lingers)
	atomic.StoreUint32(word(0), found)
	atomic.AddUint32(word(4), 1)
	atomic.StoreUint32(word(answer-note), ^found)
	return 0
}

// CallInTurn has a stream copy, call a function of the host, and copy again what that wrote. s.Pinned has at least [CallPinned] bytes, device is
// memory of [CallDevice]. The text says what was done, for people; the error wraps hal.ErrUnsupported where something came out of turn.
func CallInTurn(s Stream, device uintptr) (string, error) {
	host := address(s.Pinned)
	clear(s.Pinned)
	binary.LittleEndian.PutUint32(s.Pinned[copied-4:], secret)
	if err := s.all(func() error { return s.ToDevice(device, host, copied) }); err != nil {
		return "", err
	}
	clear(s.Pinned)
	if err := s.all(
		func() error { return s.ToHost(host, device, copied) },
		func() error { return s.Call(function(), host+note) },
		func() error { return s.ToDevice(device+copied, host+answer, 4) },
		func() error { return s.ToHost(host+arrived, device+copied, 4) },
	); err != nil {
		return "", err
	}
	word := func(at int) uint32 { return binary.LittleEndian.Uint32(s.Pinned[at:]) }
	switch n := word(note + 4); {
	case n != 1:
		return "", fmt.Errorf("the function was called %d times: %w", n, hal.ErrUnsupported)
	case word(note) != secret:
		return "", fmt.Errorf("the function was called before the copy in front of it had ended: %w", hal.ErrUnsupported)
	case word(arrived) != ^uint32(secret):
		return "", fmt.Errorf("the copy behind the function did not wait for it: %w", hal.ErrUnsupported)
	}
	return fmt.Sprintf("a function was called once, after a copy of %d bytes and before another one", copied), nil
}
