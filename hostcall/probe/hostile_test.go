package probe_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/dialtone-gpu/dialtone/hal"
)

// hostileVariable brings devices to light whose drivers do what drivers should not.
const hostileVariable = "DIALTONE_TEST_HOSTILE"

// A hostile device is the cpu device with an accident at some kernel. All but the first claim to be GPUs.
var accidents = []struct {
	kernel string
	what   string
}{
	{"adding", "crash"},
	{"adding", "crash"},
	{"wide", "hang"},
	{"messages", "lose"},
	{"pingpong", "spin"},
	{"whereis", "spin"},
	{"", "refuse"},
	{"", "die"},
	{"guarded", "lie"},
	{"", "mute"},
}

const (
	crashingCPU = iota
	crashing
	hanging
	losing
	spinning
	spinningLater
	refusing
	dying
	lying
	mute // after its first answer
)

func init() {
	hal.Register(hostile{})
	hal.Register(unlisted{"brittle", func() { panic("cannot even list") }})
	hal.Register(unlisted{"sleepy", func() { select {} }})
}

// unlisted is a backend that does not survive being asked for devices.
type unlisted struct {
	name string
	do   func()
}

func (u unlisted) Name() string { return u.name }

func (u unlisted) Devices(context.Context) ([]hal.Info, error) {
	if os.Getenv(hostileVariable) == u.name {
		fmt.Print("half a line of a driver that begins to ")
		u.do()
	}
	return nil, nil
}

func (u unlisted) Open(context.Context, int) (hal.DriverDevice, error) { return nil, hal.ErrNoDevice }

type hostile struct{}

func (hostile) Name() string { return "hostile" }

func (hostile) Devices(ctx context.Context) ([]hal.Info, error) {
	if os.Getenv(hostileVariable) == "" {
		return nil, nil
	}
	infos, err := hal.DevicesOf(ctx, "cpu")
	if err != nil {
		return nil, err
	}
	var all []hal.Info
	for i := range accidents {
		all = append(all, disguise(infos[0], i))
	}
	return all, nil
}

func disguise(i hal.Info, ordinal int) hal.Info {
	i.URI, i.Backend, i.Ordinal = fmt.Sprintf("hostile:%d", ordinal), "hostile", ordinal
	i.Sim = ordinal == lying
	if i.HostCPU = ordinal == crashingCPU; !i.HostCPU {
		i.Kind = hal.GPU
	}
	return i
}

func (hostile) Open(ctx context.Context, ordinal int) (hal.DriverDevice, error) {
	switch accidents[ordinal].what {
	case "refuse":
		return nil, errors.New("not today")
	case "die":
		panic("the driver died")
	}
	dev, err := hal.Open(ctx, "cpu:0")
	if err != nil {
		return nil, err
	}
	return hostileDevice{dev.Driver(), ordinal, &sync.Once{}}, nil
}

type hostileDevice struct {
	hal.DriverDevice
	ordinal int
	once    *sync.Once
}

func (d hostileDevice) Info() hal.Info { return disguise(d.DriverDevice.Info(), d.ordinal) }

func (d hostileDevice) Facts(_ context.Context, tell func(hal.Fact)) {
	fmt.Print("a driver that prints without an end of line")
	tell(hal.Fact{Name: "temper", Source: "test", Value: "bad"})
	if accidents[d.ordinal].what == "mute" {
		select {}
	}
}

func (d hostileDevice) Trials() []hal.Trial {
	return []hal.Trial{
		{Capability: "stream.memops", Run: func(context.Context, string) (string, error) {
			return "done it, copies allowed: " + os.Getenv("HIPFILE_ALLOW_COMPAT_MODE"), nil
		}},
		{Capability: "io.file.compat", Env: []string{"HIPFILE_ALLOW_COMPAT_MODE=true"}, Run: func(context.Context, string) (string, error) {
			return "copies allowed: " + os.Getenv("HIPFILE_ALLOW_COMPAT_MODE"), nil
		}},
		{Capability: "queue.hostfn", Run: func(context.Context, string) (string, error) {
			return "", fmt.Errorf("no such call: %w", hal.ErrUnsupported)
		}},
		{Capability: "mem.pools", Run: func(context.Context, string) (string, error) { return "", errors.New("not clear") }},
		{Capability: "io.file.read.direct", Risky: true, Run: func(context.Context, string) (string, error) { panic("boom") }},
	}
}

func (d hostileDevice) Compile(ctx context.Context, src hal.Source) (hal.DriverModule, error) {
	m, err := d.DriverDevice.Compile(ctx, src)
	return hostileModule{m}, err
}

func (d hostileDevice) NewQueue() (hal.DriverQueue, error) {
	q, err := d.DriverDevice.NewQueue()
	return &hostileQueue{DriverQueue: q, device: d}, err
}

type hostileModule struct{ hal.DriverModule }

func (m hostileModule) Kernel(name string) (hal.DriverKernel, error) {
	k, err := m.DriverModule.Kernel(name)
	return hostileKernel{k, name}, err
}

type hostileKernel struct {
	hal.DriverKernel
	name string
}

// hostileQueue has no Stop.
type hostileQueue struct {
	hal.DriverQueue
	device  hostileDevice
	lost    bool
	forever bool
}

func (q *hostileQueue) Launch(k hal.DriverKernel, grid, group [3]int, args []hal.DriverArg) error {
	kernel := k.(hostileKernel)
	if a := accidents[q.device.ordinal]; a.kernel == kernel.name {
		switch a.what {
		case "crash":
			panic("the driver crashed at " + kernel.name)
		case "hang":
			select {}
		case "lose":
			q.lost = true
			return nil
		case "spin":
			q.forever = true
			return nil
		case "lie": // it says that it ran
			return nil
		}
	}
	return q.DriverQueue.Launch(kernel.DriverKernel, grid, group, args)
}

func (q *hostileQueue) Done() (bool, error) {
	switch {
	case q.lost:
		return true, &hal.Error{Op: "run", Backend: "hostile", Err: hal.ErrDeviceLost}
	case q.forever:
		return false, nil
	}
	return q.DriverQueue.Done()
}

// openHostile opens one in this process.
func openHostile(t *testing.T, ordinal int) *hal.Device {
	t.Helper()
	if _, err := hal.DevicesOf(t.Context(), "cpu"); err != nil {
		t.Skipf("the hostile devices are cpu devices in disguise: %v", err)
	}
	dev, err := hal.Open(t.Context(), fmt.Sprintf("hostile:%d", ordinal))
	if err != nil {
		t.Fatal(err)
	}
	return dev
}
