package hal

import (
	"context"
	"iter"
	"time"
)

// Fact is one raw answer, or the reason why there is none. Nothing is interpreted: flags stay numbers.
type Fact struct {
	Name   string        `json:"name,omitempty"`  // what was asked, as the vendor names it: "CL_DEVICE_SVM_CAPABILITIES"
	Source string        `json:"source"`          // the call that gave it: "clGetDeviceInfo(0x1053)"
	Value  string        `json:"value,omitempty"` // as text; numbers in decimal
	Error  string        `json:"error,omitempty"` // why there is no value
	Took   time.Duration `json:"took_ns"`
}

// Teller is a DriverDevice that tells what its driver says, fact by fact. Facts asks and changes nothing; it gives
// every answer, those that nobody interprets yet too, and a query that fails is a Fact with an Error. Each comes as soon as the driver
// has given it: the next query may be one from which the driver does not come back.
type Teller interface {
	Facts(ctx context.Context, tell func(Fact))
}

// Facts are the raw facts of the driver as it gives them, none where the backend tells none.
func (d *Device) Facts(ctx context.Context) iter.Seq[Fact] {
	return func(yield func(Fact) bool) {
		t, ok := d.driver.(Teller)
		if !ok {
			return
		}
		ctx, enough := context.WithCancel(ctx)
		defer enough()
		wanted := true
		t.Facts(ctx, func(f Fact) {
			if wanted = wanted && yield(f); !wanted {
				enough()
			}
		})
	}
}

// Trial does once what the portable API has no call for, and cleans up.
type Trial struct {
	Capability string // what it proves, as package capabilities names it
	Level      string // how far, where that has levels: each has a trial, the least first
	// Risky says that it may take the device or the process with it: whoever runs it gives it a process of its own.
	Risky bool
	// Env is what the environment of its process has to begin with, "NAME=value": libraries read it when they are loaded, and no
	// process can change that later. A trial that has some gets a process of its own.
	Env []string
	// Run gives nil if it was done and checked, an error that wraps ErrUnsupported if it cannot be done here,
	// and any other error if that remains open. detail says what was done, for people. storage is a folder
	// for files that the trial makes and removes.
	Run func(ctx context.Context, storage string) (detail string, err error)
}

// Trier is a DriverDevice with trials of its vendor's functions.
type Trier interface {
	Trials() []Trial
}

// Trials are those of the backend.
func (d *Device) Trials() []Trial {
	if t, ok := d.driver.(Trier); ok {
		return t.Trials()
	}
	return nil
}

// DevicesOf lists the devices of one backend; a name that is not registered is ErrNoDevice.
func DevicesOf(ctx context.Context, backend string) ([]Info, error) {
	for _, b := range backends() {
		if b.Name() == backend {
			return b.Devices(ctx)
		}
	}
	return nil, noBackend(backend)
}
