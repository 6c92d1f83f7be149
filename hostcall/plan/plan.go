// Package plan decides how each service reaches a kernel on one device. It is a pure function of
// what is known about the device and of a [Policy]: it runs, and is tested, without one.
//
// For each service the [Rules] are asked in their order, best route first, and the first whose needs are met decides. What
// the rules before it lack is what would make the route better. Rules need that capabilities are there, never that one is
// missing: so a capability more never makes a route worse.
package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/samber/lo"

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

// Routes lists all of them, best first.
var Routes = []Route{Device, Cached, Direct, Host, Relaunch, Deferred, Unavailable}

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

// Transport is what carries calls to the host.
type Transport string

const (
	Mailbox  Transport = "mailbox"  // a running kernel and the host exchange words
	Stopping Transport = "relaunch" // the kernel ends, the host serves, the kernel is launched again
	None     Transport = "none"
)

// Transports lists all of them, best first.
var Transports = []Transport{Mailbox, Stopping, None}

// Decision is the route of a service and why it was chosen.
type Decision struct {
	Service  Service           `json:"service"`
	Route    Route             `json:"route"`
	Rule     string            `json:"rule"`
	Evidence []capabilities.ID `json:"evidence"`         // what was read to decide
	Better   string            `json:"better,omitempty"` // what would give a better route
}

// Plan is the outcome for one device.
type Plan struct {
	Device    string     `json:"device"`
	Policy    Policy     `json:"policy"`
	Transport Transport  `json:"transport"`
	Reason    string     `json:"reason"`             // of the transport
	Obstacle  string     `json:"obstacle,omitempty"` // why it is not the mailbox
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
	if p.Transport != None {
		return nil
	}
	return fmt.Errorf("%s: kernels cannot call the host here: the capability %s is missing: %s",
		p.Device, capabilities.CommMailbox, p.Obstacle)
}

// Waits is the error for a kernel that makes calls with an answer, and cannot be started again to get it, where that is the only
// way; nil elsewhere. It names what is missing.
func (p Plan) Waits(kernel, call string) error {
	if p.Transport != Stopping {
		return nil
	}
	return fmt.Errorf("kernel %s: %s needs an answer while the kernel runs: %s: the capability %s is missing: %s; a kernel that says HC_RESUMABLE is started again with the answer",
		kernel, call, p.Device, capabilities.CommMailbox, p.Obstacle)
}

// Make plans for a device, with the default policy.
func Make(device string, set capabilities.Set) Plan { return Policy{}.Make(device, set) }

// Make plans for a device. The policy must be valid: see [Policy.Check].
func (o Policy) Make(device string, set capabilities.Set) Plan {
	r := &reader{policy: o, set: o.force(set)}
	p := Plan{Device: device, Policy: o, Defines: []string{}}
	p.Transport, p.Reason = r.transport()
	if p.Transport != Mailbox {
		p.Obstacle = "the host and a running kernel do not see each other's writes"
		switch f := r.set[capabilities.CommMailbox]; {
		case f.State == capabilities.Claimed && !r.has(f.ID):
			p.Obstacle = "nobody has seen that they do: it is only claimed"
		case len(f.Facts) > 0 && !r.has(f.ID):
			p.Obstacle = strings.TrimSpace(f.Facts[0].Source + ": " + f.Facts[0].Value + f.Facts[0].Error)
		case o.Transport != "":
			p.Obstacle = "the policy asks for the transport " + string(o.Transport)
		}
	}
	for _, s := range Services {
		d := r.decide(s, p.Transport)
		if d.Route == Unavailable {
			d.Rule = "there is no way to the host: " + p.Obstacle
		}
		p.Decisions = append(p.Decisions, d)
	}
	for _, d := range defines {
		if d.holds(r, p) {
			p.Defines = append(p.Defines, d.name)
		}
	}
	return p
}

// reader looks up capabilities as a policy has it.
type reader struct {
	policy Policy
	set    capabilities.Set
}

// has reports whether the policy lets the plan rely on id.
func (r *reader) has(id capabilities.ID) bool {
	f := r.set[id]
	if f.State >= capabilities.Proven {
		return true
	}
	if f.State != capabilities.Claimed {
		return false
	}
	switch r.policy.Trust {
	case Trusting:
		return true
	case Strict:
		return false
	}
	c, err := capabilities.Find(string(id))
	return err == nil && c.Proof == capabilities.Declared
}

// lacks lists those that cannot be relied on.
func (r *reader) lacks(ids []capabilities.ID) []capabilities.ID {
	return lo.Reject(ids, func(id capabilities.ID, _ int) bool { return r.has(id) })
}

func (r *reader) transport() (Transport, string) {
	var obstacles []string
	for _, rule := range transportRules {
		missing := r.lacks(rule.needs)
		switch {
		case r.policy.Transport != "" && rule.transport != r.policy.Transport:
		case r.policy.Transport != "" && len(missing) > 0:
			return rule.transport, "forced by the policy, although " + r.states(missing)
		case r.policy.Transport != "":
			return rule.transport, "forced by the policy"
		case len(missing) > 0:
			obstacles = append(obstacles, r.states(missing))
		case obstacles != nil:
			return rule.transport, strings.Join(obstacles, ", ") + ": " + rule.why
		default:
			return rule.transport, rule.why
		}
	}
	if r.policy.Transport == None {
		return None, "forced by the policy"
	}
	return None, strings.Join(obstacles, ", ")
}

// states says how sure each of them is.
func (r *reader) states(ids []capabilities.ID) string {
	return strings.Join(lo.Map(ids, func(id capabilities.ID, _ int) string { return fmt.Sprintf("%s is %s", id, r.set[id].State) }), ", ")
}

// decide asks the rules of a service.
func (r *reader) decide(s Service, t Transport) Decision {
	d := Decision{Service: s, Route: Unavailable, Evidence: []capabilities.ID{}}
	var better []string
	for _, rule := range Rules {
		if !slices.Contains(rule.Services, s) {
			continue
		}
		missing := r.lacks(rule.Needs)
		if rule.Over != "" && rule.Over == r.policy.Transport {
			missing = lo.Without(missing, transportNeeds(t)...) // the policy says that it works
		}
		d.Evidence = lo.Union(d.Evidence, rule.Needs, rule.Reads)
		switch {
		case len(missing) > 0:
			text := "proven " + strings.Join(lo.Map(missing, func(id capabilities.ID, _ int) string { return string(id) }), " and ")
			if rule.Unbuilt {
				text += fmt.Sprintf(", and the route %s, which is not built yet", rule.Route)
			}
			better = append(better, text)
		case rule.Unbuilt:
			better = append(better, fmt.Sprintf("the route %s, which is possible here and not built yet", rule.Route))
		case rule.Over != "" && rule.Over != t:
			if r.policy.Transport != "" {
				better = append(better, "another transport than the policy's")
			}
		default:
			d.Route, d.Rule = rule.Route, rule.Why
			d.Better = strings.Join(lo.Uniq(better), "; or ")
			return d
		}
	}
	d.Better = strings.Join(lo.Uniq(better), "; or ")
	return d
}
