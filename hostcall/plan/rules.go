package plan

import (
	"slices"

	"github.com/samber/lo"

	"github.com/dialtone-gpu/dialtone/capabilities"
)

// Rule gives services a route where its needs are met.
type Rule struct {
	Services []Service
	Route    Route
	Why      string
	Needs    []capabilities.ID
	Over     Transport         // that has to carry it; empty: none
	Reads    []capabilities.ID // further evidence, which it does not need
	Unbuilt  bool              // it is never chosen; the decision says that it would be possible
}

var hosted = []Service{Streams, Files, Monotonic, Wall, Sleep, Random, Process, Calls}

// Rules lists all of them. Those of one service are in the order of their routes, best first.
var Rules = []Rule{
	{Services: []Service{Monotonic}, Route: Device, Why: "the device has a clock of its own, the same for all groups and as fast as the host's", Needs: []capabilities.ID{capabilities.TimerGlobal}},
	{Services: []Service{Strings}, Route: Cached, Why: "they do not change during a run", Reads: []capabilities.ID{capabilities.ExecBasic}},
	{Services: []Service{Files}, Route: Direct, Why: "files go to device memory and back by DMA", Over: Mailbox, Unbuilt: true,
		Needs: []capabilities.ID{capabilities.CommMailbox, capabilities.FileReadDirect, capabilities.FileWriteDirect}},
	{Services: hosted, Route: Host, Why: "the mailbox works: a running kernel asks and the host answers", Over: Mailbox,
		Needs: []capabilities.ID{capabilities.CommMailbox}},
	{Services: hosted, Route: Relaunch, Why: "the kernel stops, the host serves its requests, and the kernel goes on", Over: Stopping,
		Needs: []capabilities.ID{capabilities.ExecBasic}},
}

// transportRules are in the order of preference.
var transportRules = []struct {
	transport Transport
	needs     []capabilities.ID
	why       string
}{
	{Mailbox, []capabilities.ID{capabilities.CommMailbox}, "the host and a running kernel see each other's writes"},
	{Stopping, []capabilities.ID{capabilities.ExecBasic}, "kernels run, and leave their requests in memory that the host reads between launches"},
}

// defines are macros of the kernel library, and when they are set.
var defines = []struct {
	name  string
	holds func(*reader, Plan) bool
}{
	{"HC_DEVICE_CLOCK", func(_ *reader, p Plan) bool { return p.Route(Monotonic) == Device }},
	{"HC_HOST_YIELD", func(r *reader, _ Plan) bool { return r.has(capabilities.HostYield) }},
}

// ReadBy lists the services whose rules need a capability, in the order of [Services].
func ReadBy(id capabilities.ID) []Service {
	var found []Service
	for _, r := range Rules {
		if slices.Contains(r.Needs, id) {
			found = append(found, r.Services...)
		}
	}
	return lo.Filter(Services, func(s Service, _ int) bool { return slices.Contains(found, s) })
}

func transportNeeds(t Transport) []capabilities.ID {
	for _, r := range transportRules {
		if r.transport == t {
			return r.needs
		}
	}
	return nil
}
