package hal

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"unsafe"
)

// fakeBackend has the devices that a test wants.
type fakeBackend struct {
	name    string
	infos   []Info
	missing error
	refuse  error // what Open says
	opened  *[]string
}

func (b *fakeBackend) Name() string { return b.name }

func (b *fakeBackend) Devices(context.Context) ([]Info, error) { return b.infos, b.missing }

func (b *fakeBackend) Open(_ context.Context, ordinal int) (DriverDevice, error) {
	if b.opened != nil {
		*b.opened = append(*b.opened, fmt.Sprintf("%s:%d", b.name, ordinal))
	}
	if b.refuse != nil {
		return nil, b.refuse
	}
	if ordinal >= len(b.infos) {
		return nil, ErrNoDevice
	}
	return &fakeDevice{info: b.infos[ordinal]}, nil
}

// register gives the test a registry of its own.
func register(t *testing.T, all ...Backend) {
	t.Helper()
	registry.Lock()
	kept := registry.backends
	registry.backends = nil
	registry.Unlock()
	t.Cleanup(func() {
		registry.Lock()
		registry.backends = kept
		registry.Unlock()
	})
	for _, b := range all {
		Register(b)
	}
}

// fakeDevice remembers what it was asked for.
type fakeDevice struct {
	info    Info
	closed  int
	freed   int
	failure error // of Alloc, Compile, NewQueue
	queue   fakeQueue
}

func (d *fakeDevice) Info() Info   { return d.info }
func (d *fakeDevice) Close() error { d.closed++; return nil }

func (d *fakeDevice) Alloc(kind MemoryKind, size int) (DriverBuffer, error) {
	if d.failure != nil {
		return nil, d.failure
	}
	b := &fakeBuffer{device: d}
	if kind.HostVisible() {
		b.memory = make([]byte, size)
	}
	return b, nil
}

func (d *fakeDevice) Compile(_ context.Context, src Source) (DriverModule, error) {
	if d.failure != nil {
		return nil, d.failure
	}
	return &fakeModule{device: d}, nil
}

func (d *fakeDevice) NewQueue() (DriverQueue, error) { return &d.queue, d.failure }

type fakeBuffer struct {
	device *fakeDevice
	memory []byte
}

func (b *fakeBuffer) Host() unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(b.memory)) }
func (b *fakeBuffer) Free() error          { b.device.freed++; return nil }

type fakeModule struct{ device *fakeDevice }

func (m *fakeModule) Kernel(name string) (DriverKernel, error) {
	if name == "none" {
		return nil, ErrInvalid
	}
	return fakeKernel(len(name)), nil
}
func (m *fakeModule) Close() error { m.device.closed++; return nil }

// fakeKernel is a kernel whose groups are at most so large, 0 for no limit of its own.
type fakeKernel int

func (k fakeKernel) MaxGroup() int { return int(k) }

// answer is one of Done's.
type answer struct {
	done bool
	err  error
}

type fakeQueue struct {
	mu            sync.Mutex
	launches      int
	grid, group   [3]int
	args          []byte // the values of the last launch, one behind the other; 'B' for a buffer
	kept          []DriverArg
	transfers     []string
	answers       []answer // the last one is repeated
	asked, closed int
}

func (q *fakeQueue) Launch(_ DriverKernel, grid, group [3]int, args []DriverArg) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.launches++
	q.grid, q.group, q.kept, q.args = grid, group, args, q.args[:0]
	for _, a := range args {
		if a.Buffer != nil {
			q.args = append(q.args, 'B')
		}
		q.args = append(q.args, a.Value...)
	}
	return nil
}

func (q *fakeQueue) Read(dst []byte, _ DriverBuffer, offset int) error {
	q.transfers = append(q.transfers, fmt.Sprintf("read %d at %d", len(dst), offset))
	return nil
}

func (q *fakeQueue) Write(_ DriverBuffer, offset int, src []byte) error {
	q.transfers = append(q.transfers, fmt.Sprintf("write %d at %d", len(src), offset))
	return nil
}

func (q *fakeQueue) Done() (bool, error) {
	if len(q.answers) == 0 {
		return true, nil
	}
	a := q.answers[min(q.asked, len(q.answers)-1)]
	q.asked++
	return a.done, a.err
}

func (q *fakeQueue) Close() error { q.closed++; return nil }

// fakeStopper is a queue that can end a kernel.
type fakeStopper struct {
	fakeQueue
	stopped int
}

func (q *fakeStopper) Stop() error { q.stopped++; return nil }
