// Package cpu is the backend that every machine has: kernels are compiled by the C
// compiler found there into a shared object, and work-groups run on real threads of this
// process, at the same time as the host.
//
// Work-items of one group are fibers of one thread (see runtime.c): a barrier, or a wait
// for the host's answer, lets the next one run. A kernel that faults or never ends is
// taken off its threads without harm to the process.
package cpu

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"runtime"
	"strconv"

	"github.com/dialtone-gpu/dialtone/hal"
)

func init() { hal.Register(backend{}) }

// Limits of the device that it declares.
const (
	maxGroup = 1024
	// lentThreads is how many groups may be waiting for the host, each with a thread, while others get on.
	lentThreads = 64
)

type backend struct{}

// Name is the URI scheme.
func (backend) Name() string { return "cpu" }

// Devices gives the one device, provided that a C compiler is there.
func (backend) Devices(context.Context) ([]hal.Info, error) {
	cc, err := findCompiler()
	if err != nil {
		return nil, err
	}
	return []hal.Info{info(cc)}, nil
}

// Open compiles and loads the runtime on first use.
func (backend) Open(ctx context.Context, ordinal int) (hal.DriverDevice, error) {
	if ordinal != 0 {
		return nil, fmt.Errorf("cpu:%d: there is only cpu:0: %w", ordinal, hal.ErrNoDevice)
	}
	cc, err := findCompiler()
	if err != nil {
		return nil, err
	}
	rt, err := loadRuntime(ctx, cc)
	if err != nil {
		return nil, err
	}
	d := &device{info: info(cc), compiler: cc, runtime: rt, threads: threads(), lent: lentThreads}
	if rt.single {
		d.threads, d.lent = 1, 0
	}
	return d, nil
}

// threads is the number of groups that get on at once: DIALTONE_CPU_THREADS, or every core.
func threads() int {
	if n, err := strconv.Atoi(os.Getenv("DIALTONE_CPU_THREADS")); err == nil && n > 0 {
		return min(n, 1024)
	}
	return runtime.NumCPU()
}

func info(cc compiler) hal.Info {
	return hal.Info{
		URI:      "cpu:0",
		Backend:  "cpu",
		Kind:     hal.CPU,
		Name:     fmt.Sprintf("%d host cores", runtime.NumCPU()),
		Vendor:   "dialtone",
		Driver:   cc.String(),
		Arch:     runtime.GOARCH,
		Dialect:  hal.C11,
		Units:    threads(),
		Subgroup: 1,
		MaxGroup: maxGroup,
		Resident: threads() + lentThreads,
		Memory:   physicalMemory(),
		HostCPU:  true,
		Kinds:    []hal.MemoryKind{hal.DeviceMemory, hal.HostCoherent, hal.Managed},
	}
}
