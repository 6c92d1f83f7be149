package trial

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/internal/dl"
	"github.com/dialtone-gpu/dialtone/internal/pages"
)

// memory outside of Go's heap, as drivers allocate it.
func memory(t *testing.T, size int) []byte {
	t.Helper()
	m, err := pages.Alloc((size + 65535) / 65536 * 65536)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pages.Free(m) })
	return m
}

func move(to, from, size uintptr) {
	copy(unsafe.Slice((*byte)(dl.Pointer(to)), size), unsafe.Slice((*byte)(dl.Pointer(from)), size))
}

// outcome checks that a trial was done, or says what is wanted of its error.
func outcome(t *testing.T, name, detail string, err error, want string) {
	t.Helper()
	if (err == nil) != (want == "") || (detail == "") != (err != nil) || err != nil && (!errors.Is(err, hal.ErrUnsupported) || !strings.Contains(err.Error(), want)) {
		t.Errorf("%s: %q, %v", name, detail, err)
	}
}

// TestCallInTurn: the function in its turn is told from one that comes too early, too late, twice, or not at all.
func TestCallInTurn(t *testing.T) {
	device := memory(t, CallDevice)
	for name, c := range map[string]struct {
		steps []int // of what was enqueued between two waits: copy, function, copy, copy back
		want  string
	}{
		"in turn":   {[]int{0, 1, 2, 3}, ""},
		"too early": {[]int{1, 0, 2, 3}, "before the copy in front of it"},
		"too late":  {[]int{0, 2, 1, 3}, "did not wait"},
		"twice":     {[]int{0, 1, 1, 2, 3}, "called 2 times"},
		"never":     {[]int{0, 2, 3}, "called 0 times"},
	} {
		var enqueued []func()
		give := func(f func()) error {
			enqueued = append(enqueued, f)
			return nil
		}
		copies := func(to, from, size uintptr) error { return give(func() { move(to, from, size) }) }
		s := Stream{Pinned: memory(t, CallPinned), ToDevice: copies, ToHost: copies,
			Call: func(function, argument uintptr) error { return give(func() { dl.Func(function).Call(argument) }) }, // as C calls it
			Wait: func() error {
				if len(enqueued) == 4 {
					all := slices.Clone(enqueued)
					enqueued = nil
					for _, i := range c.steps {
						enqueued = append(enqueued, all[i])
					}
				}
				for _, f := range enqueued {
					f()
				}
				enqueued = nil
				return nil
			}}
		detail, err := CallInTurn(s, address(device))
		outcome(t, name, detail, err, c.want)
	}
}

// TestAllocateInOrder: memory that keeps what was written to it, or does not; whatever was allocated is freed, also where something fails.
func TestAllocateInOrder(t *testing.T) {
	refused := errors.New("refused")
	for name, c := range map[string]struct {
		damage bool
		fails  string // the first call of that name
		want   string
	}{
		"as it should be": {}, "forgetful": {damage: true, want: "other bytes came back"},
		"no memory": {fails: "alloc"}, "no way there": {fails: "there"}, "no way back": {fails: "back"}, "it keeps it": {fails: "free"},
	} {
		device, live, waited := memory(t, pooled), 0, 0
		fail := func(call string) error {
			if call == c.fails {
				return refused
			}
			return nil
		}
		s := Stream{Pinned: memory(t, AllocPinned),
			Alloc: func(uintptr) (uintptr, error) {
				if err := fail("alloc"); err != nil {
					return 0, err
				}
				live++
				return address(device), nil
			},
			Free: func(uintptr) error { live--; return fail("free") },
			ToDevice: func(to, from, size uintptr) error {
				move(to, from, size)
				if c.damage {
					device[777] ^= 1
				}
				return fail("there")
			},
			ToHost: func(to, from, size uintptr) error { move(to, from, size); return fail("back") },
			Wait:   func() error { waited++; return nil }}
		detail, err := AllocateInOrder(s)
		if c.fails == "" {
			outcome(t, name, detail, err, c.want)
		} else if !errors.Is(err, refused) {
			t.Errorf("%s: %q, %v", name, detail, err)
		}
		if live != 0 || waited != 1 {
			t.Errorf("%s: %d allocations are left, and it was waited for %d times", name, live, waited)
		}
	}
}
