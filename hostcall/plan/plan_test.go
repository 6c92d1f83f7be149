package plan_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/dialtone-gpu/dialtone/capabilities"
	"github.com/dialtone-gpu/dialtone/hostcall/plan"
)

func set(states map[capabilities.ID]capabilities.State) capabilities.Set {
	s := capabilities.Set{}
	for id, state := range states {
		s[id] = capabilities.Finding{ID: id, State: state}
	}
	return s
}

func TestMake(t *testing.T) {
	const (
		mail  = capabilities.CommMailbox
		timer = capabilities.TimerGlobal
		yield = capabilities.HostYield
	)
	type states = map[capabilities.ID]capabilities.State
	for _, c := range []struct {
		name            string
		states          states
		transport       plan.Transport
		streams, clock  plan.Route
		defines         []string
		better          string // of the monotonic clock
		streamsWouldBe  string
		needsHostAnyway bool
	}{
		{name: "all", states: states{mail: capabilities.Proven, timer: capabilities.Proven, yield: capabilities.Proven},
			transport: "mailbox", streams: plan.Host, clock: plan.Device, defines: []string{"HC_DEVICE_CLOCK", "HC_HOST_YIELD"}},
		{name: "forced", states: states{mail: capabilities.Forced, timer: capabilities.Forced},
			transport: "mailbox", streams: plan.Host, clock: plan.Device, defines: []string{"HC_DEVICE_CLOCK"}},
		{name: "no clock", states: states{mail: capabilities.Proven, timer: capabilities.No},
			transport: "mailbox", streams: plan.Host, clock: plan.Host, better: "proven timer.global"},
		{name: "a broken clock", states: states{mail: capabilities.Proven, timer: capabilities.Broken},
			transport: "mailbox", streams: plan.Host, clock: plan.Host, better: "proven timer.global"},
		{name: "a claim is not enough", states: states{mail: capabilities.Claimed, timer: capabilities.Claimed, yield: capabilities.Claimed},
			transport: "none", streams: plan.Unavailable, clock: plan.Unavailable, better: "proven timer.global; or proven comm.mailbox; or proven exec.basic", streamsWouldBe: "proven comm.mailbox; or proven exec.basic", needsHostAnyway: true},
		{name: "a clock and no mailbox", states: states{mail: capabilities.No, timer: capabilities.Proven},
			transport: "none", streams: plan.Unavailable, clock: plan.Device, defines: []string{"HC_DEVICE_CLOCK"}, streamsWouldBe: "proven comm.mailbox; or proven exec.basic", needsHostAnyway: true},
		{name: "kernels and no mailbox", states: states{capabilities.ExecBasic: capabilities.Proven, mail: capabilities.No},
			transport: "relaunch", streams: plan.Relaunch, clock: plan.Relaunch, better: "proven timer.global; or proven comm.mailbox",
			streamsWouldBe: "proven comm.mailbox", needsHostAnyway: true},
		{name: "nothing is known",
			transport: "none", streams: plan.Unavailable, clock: plan.Unavailable, better: "proven timer.global; or proven comm.mailbox; or proven exec.basic", streamsWouldBe: "proven comm.mailbox; or proven exec.basic", needsHostAnyway: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := plan.Make("some:0", set(c.states))
			if p.Device != "some:0" || p.Transport != c.transport || p.Route(plan.Streams) != c.streams || p.Route(plan.Monotonic) != c.clock ||
				!slices.Equal(p.Defines, c.defines) {
				t.Errorf("%+v", p)
			}
			if p.Route(plan.Strings) != plan.Cached {
				t.Errorf("arguments go by %s", p.Route(plan.Strings))
			}
			var services []plan.Service
			for _, d := range p.Decisions {
				services = append(services, d.Service)
				if d.Rule == "" || len(d.Evidence) == 0 {
					t.Errorf("%s gives no reasons: %+v", d.Service, d)
				}
				if d.Route == plan.Unavailable && d.Better == "" {
					t.Errorf("%s is unavailable and does not say what would help", d.Service)
				}
				if d.Service == plan.Monotonic && d.Better != c.better || d.Service == plan.Streams && d.Better != c.streamsWouldBe {
					t.Errorf("%s: better with %q", d.Service, d.Better)
				}
				for _, id := range d.Evidence {
					if !slices.ContainsFunc(capabilities.Catalogue, func(e capabilities.Capability) bool { return e.ID == id }) {
						t.Errorf("%s rests on %q, which is not in the catalogue", d.Service, id)
					}
				}
			}
			if !slices.Equal(services, plan.Services) {
				t.Errorf("decides on %v, want %v", services, plan.Services)
			}
			err := p.NeedsHost()
			if (err != nil) != c.needsHostAnyway {
				t.Errorf("NeedsHost gives %v", err)
			}
			if err != nil && (!strings.Contains(err.Error(), "some:0") || !strings.Contains(err.Error(), "comm.mailbox")) {
				t.Errorf("%q names neither the device nor what is missing", err)
			}
			again := plan.Make("some:0", set(c.states))
			a, _ := json.Marshal(p)
			b, _ := json.Marshal(again)
			if string(a) != string(b) {
				t.Error("two plans from the same facts differ")
			}
			var back plan.Plan
			if err := json.Unmarshal(a, &back); err != nil || back.Route(plan.Streams) != c.streams {
				t.Errorf("the plan does not survive JSON: %v", err)
			}
		})
	}
}

func TestRouteOfAnUnknownService(t *testing.T) {
	if r := (plan.Plan{}).Route("telepathy"); r != plan.Unavailable {
		t.Errorf("got %s", r)
	}
}
