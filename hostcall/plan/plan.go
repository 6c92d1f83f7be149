// Package plan decides how each service reaches a kernel on one device. It is a pure function of
// what is known about the device: it runs, and is tested, without one.
package plan

import (
	"fmt"
	"slices"

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
	Transport string     `json:"transport"`          // "mailbox", "relaunch", or "none"
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

// Transports.
const (
	Mailbox    = "mailbox"  // a running kernel asks and the host answers
	Relaunched = "relaunch" // the host answers between the launches of a kernel
	None       = "none"
)

// NeedsHost is the error for a plan without a transport, naming what is missing.
func (p Plan) NeedsHost() error {
	if p.Transport != None {
		return nil
	}
	return fmt.Errorf("%s: kernels cannot call the host here: the capabilities %s and %s are missing: %s",
		p.Device, capabilities.CommMailbox, capabilities.ExecBasic, p.Obstacle)
}

// Waits is the error for a kernel that makes calls with an answer, and cannot be started again to get it, where that is the only
// way; nil elsewhere. It names what is missing.
func (p Plan) Waits(kernel, call string) error {
	if p.Transport != Relaunched {
		return nil
	}
	return fmt.Errorf("kernel %s: %s needs an answer while the kernel runs: %s: the capability %s is missing: %s; a kernel that says HC_RESUMABLE is started again with the answer",
		kernel, call, p.Device, capabilities.CommMailbox, p.Obstacle)
}

// Over gives the plan for another transport than the one chosen, [Mailbox] or [Relaunched]; "" leaves it.
func (p Plan) Over(transport string) (Plan, error) {
	switch {
	case transport == "" || transport == p.Transport:
		return p, nil
	case transport == Relaunched && p.Transport == Mailbox:
		return p.relaunched("the transport " + Relaunched + " was asked for"), nil
	case transport == Mailbox || transport == Relaunched:
		return p, fmt.Errorf("%s: there is no transport %s: %s", p.Device, transport, p.Obstacle)
	}
	return p, fmt.Errorf("no transport is called %q; there are %s and %s", transport, Mailbox, Relaunched)
}

// relaunched has every call that goes through the mailbox wait for the end of a launch.
func (p Plan) relaunched(obstacle string) Plan {
	p.Transport, p.Obstacle = Relaunched, obstacle
	p.Decisions = slices.Clone(p.Decisions)
	for i := range p.Decisions {
		d := &p.Decisions[i]
		switch {
		case d.Service == Monotonic && d.Route == Device:
			d.Rule += "; kernels that say HC_RESUMABLE ask the host, so that a replay reads the same"
		case d.Route != Host:
		case d.Service == Process:
			d.Route, d.Rule = Deferred, "posted, and served when the launch ends: "+obstacle
		case d.Service == Streams:
			d.Route, d.Rule = Relaunch, "kernels that say HC_RESUMABLE are started again with the answer; what others print is posted, and served when the launch ends: "+obstacle
		default:
			d.Route, d.Rule = Relaunch, "kernels that say HC_RESUMABLE are started again with the answer: "+obstacle
		}
		if d.Route == Relaunch || d.Route == Deferred {
			d.Better = "proven " + string(capabilities.CommMailbox)
		}
	}
	p.Defines = append([]string{"HC_RELAUNCH"}, p.Defines...)
	return p
}

// Make plans for a device.
func Make(device string, set capabilities.Set) Plan {
	p := Plan{Device: device, Transport: Mailbox}
	hosted := Host
	if !set.Has(capabilities.CommMailbox) && !set.Has(capabilities.ExecBasic) {
		p.Transport, hosted = None, Unavailable
		p.Obstacle = obstacle(set[capabilities.ExecBasic], "kernels are not known to work")
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
	if hosted == Host && !set.Has(capabilities.CommMailbox) {
		return p.relaunched(obstacle(set[capabilities.CommMailbox], "the host and a running kernel are not known to see each other's writes"))
	}
	return p
}

// obstacle is what a finding says against a capability.
func obstacle(f capabilities.Finding, otherwise string) string {
	if len(f.Facts) > 0 {
		return f.Facts[0].Source + ": " + f.Facts[0].Value
	}
	return otherwise
}
