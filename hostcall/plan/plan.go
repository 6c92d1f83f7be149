// Package plan decides how each service reaches a kernel on one device. It is a pure function of
// what is known about the device: it runs, and is tested, without one.
package plan

import (
	"fmt"

	"github.com/dialtone-gpu/dialtone/capabilities"
)

// Route is a way to serve a call.
type Route string

const (
	Device      Route = "device"      // the device answers itself
	Cached      Route = "cached"      // sent before the launch, answered on the device
	Direct      Route = "direct"      // DMA between storage and device memory
	Host        Route = "host"        // through the mailbox, the kernel waits
	Relaunch    Route = "relaunch"    // the kernel stops, the host serves, the kernel goes on
	Deferred    Route = "deferred"    // posted, served when the launch ends
	Unavailable Route = "unavailable" // a kernel that needs it does not load
)

// Service is a family of calls.
type Service string

const (
	Streams   Service = "streams"
	Files     Service = "files"
	Monotonic Service = "clock.monotonic"
	Wall      Service = "clock.wall"
	Sleep     Service = "sleep"
	Strings   Service = "arguments"
	Random    Service = "random"
	Process   Service = "process"
	Calls     Service = "calls"
)

// Services lists all of them in the order of reports.
var Services = []Service{Streams, Files, Monotonic, Wall, Sleep, Strings, Random, Process, Calls}

// Decision is the route of a service and why it was chosen.
type Decision struct {
	Service  Service           `json:"service"`
	Route    Route             `json:"route"`
	Rule     string            `json:"rule"`
	Evidence []capabilities.ID `json:"evidence"`
	Better   string            `json:"better,omitempty"` // what would give a better route
}

// Plan is the outcome for one device.
type Plan struct {
	Device    string     `json:"device"`
	Transport string     `json:"transport"`          // "mailbox", or "none"
	Obstacle  string     `json:"obstacle,omitempty"` // why there is no transport
	Decisions []Decision `json:"decisions"`
	// Defines are the macros that make the kernel library follow the plan.
	Defines []string `json:"defines"`
}

// Route gives a service's route.
func (p Plan) Route(s Service) Route {
	for _, d := range p.Decisions {
		if d.Service == s {
			return d.Route
		}
	}
	return Unavailable
}

// NeedsHost is the error for a plan without a transport, naming what is missing.
func (p Plan) NeedsHost() error {
	if p.Transport != "none" {
		return nil
	}
	return fmt.Errorf("%s: kernels cannot call the host here: the capability %s is missing: %s",
		p.Device, capabilities.CommMailbox, p.Obstacle)
}

// Make plans for a device.
func Make(device string, set capabilities.Set) Plan {
	p := Plan{Device: device, Transport: "mailbox"}
	hosted := Host
	if !set.Has(capabilities.CommMailbox) {
		p.Transport, hosted = "none", Unavailable
		p.Obstacle = "the host and a running kernel do not see each other's writes"
		if f := set[capabilities.CommMailbox]; len(f.Facts) > 0 {
			p.Obstacle = f.Facts[0].Source + ": " + f.Facts[0].Value
		}
	}
	for _, s := range Services {
		d := Decision{Service: s, Route: hosted, Evidence: []capabilities.ID{capabilities.CommMailbox}}
		if hosted == Host {
			d.Rule = "the mailbox works: a running kernel asks and the host answers"
		} else {
			d.Rule = "there is no way to the host: " + p.Obstacle
			d.Better = "proven " + string(capabilities.CommMailbox)
		}
		switch s {
		case Monotonic:
			d.Evidence = append(d.Evidence, capabilities.TimerGlobal)
			if set.Has(capabilities.TimerGlobal) {
				d.Route, d.Rule, d.Better = Device, "the device has a clock that was proven", ""
				p.Defines = append(p.Defines, "HC_DEVICE_CLOCK")
			} else if d.Better == "" {
				d.Better = "proven " + string(capabilities.TimerGlobal)
			}
		case Strings:
			d.Route, d.Rule, d.Better, d.Evidence = Cached, "they do not change during a run", "", []capabilities.ID{capabilities.ExecBasic}
		}
		p.Decisions = append(p.Decisions, d)
	}
	if set.Has(capabilities.HostYield) {
		p.Defines = append(p.Defines, "HC_HOST_YIELD")
	}
	return p
}
