package probe_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/dialtone-gpu/dialtone/capabilities"
	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/hostcall/probe"
	"github.com/dialtone-gpu/dialtone/internal/devicetest"
)

// clockedVariable brings a device to light: the first one of OpenCL, with a driver that gives the variable's value for the clocks that
// cl_khr_kernel_clock has for kernels: 1 of the device, 2 of a group, 4 of a subgroup.
const clockedVariable = "DIALTONE_TEST_CLOCKED"

func init() { hal.Register(clocked{}) }

type clocked struct{}

func (clocked) Name() string { return "clocked" }

func (clocked) Devices(ctx context.Context) ([]hal.Info, error) {
	if os.Getenv(clockedVariable) == "" {
		return nil, nil
	}
	infos, err := hal.DevicesOf(ctx, "opencl")
	if err != nil {
		return nil, err
	}
	return []hal.Info{renamed(infos[0])}, nil
}

// renamed is still a device of OpenCL, whose claims are meant.
func renamed(i hal.Info) hal.Info {
	i.URI = "clocked:0"
	return i
}

func (clocked) Open(ctx context.Context, _ int) (hal.DriverDevice, error) {
	dev, err := hal.Open(ctx, "opencl:0")
	if err != nil {
		return nil, err
	}
	return clockedDevice{dev.Driver()}, nil
}

type clockedDevice struct{ hal.DriverDevice }

func (d clockedDevice) Info() hal.Info { return renamed(d.DriverDevice.Info()) }

func (clockedDevice) Facts(_ context.Context, tell func(hal.Fact)) {
	tell(hal.Fact{Name: "CL_PLATFORM_HOST_TIMER_RESOLUTION", Source: "test", Value: "1"})
	tell(hal.Fact{Name: "CL_DEVICE_KERNEL_CLOCK_CAPABILITIES_KHR", Source: "test", Value: os.Getenv(clockedVariable)})
}

// TestClaimsBeyondTheDialect: what kernels cannot say is no failed trial of what a driver claims.
func TestClaimsBeyondTheDialect(t *testing.T) {
	if _, err := hal.DevicesOf(t.Context(), "opencl"); err != nil {
		t.Skipf("no OpenCL device: %v", err)
	}
	devicetest.URIs() // those of the machine, before there are more
	timers := []capabilities.ID{capabilities.TimerGlobal, capabilities.TimerCorrelate, capabilities.TimerCycle}
	for clocks, state := range map[string]capabilities.State{"7": capabilities.Unknown, "0": capabilities.No} {
		t.Setenv(clockedVariable, clocks)
		r, err := probe.Survey(t.Context(), &probe.Options{Devices: []string{"clocked:0"}, Only: timers, Limit: time.Minute})
		if err != nil || len(r.Devices) != 1 {
			t.Fatalf("%+v, %v", r, err)
		}
		for _, id := range timers {
			want(t, r.Devices[0], id, state, "the dialect opencl-c-1.2 has no c")
		}
		if vs := r.Devices[0].Violations; len(vs) != 0 {
			t.Errorf("with clocks %s: %+v", clocks, vs)
		}
	}
}
