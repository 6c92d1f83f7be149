package probe_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dialtone-gpu/dialtone/capabilities"
	"github.com/dialtone-gpu/dialtone/hostcall/plan"
	"github.com/dialtone-gpu/dialtone/hostcall/probe"
	"github.com/dialtone-gpu/dialtone/internal/devicetest"
	"github.com/dialtone-gpu/dialtone/internal/metaltest"
)

// metalStates are what a survey finds on what stands in for Metal: what its kernels do, and no more than it has.
var metalStates = []struct {
	id     capabilities.ID
	state  capabilities.State
	level  string
	reason string
}{
	{capabilities.ExecBasic, capabilities.Proven, "", "guard words"},
	{capabilities.ModuleJIT, capabilities.Proven, "", "the probes' kernels"},
	{capabilities.CommMailbox, capabilities.No, "", "promises nothing"},
	{capabilities.MemFineGrain, capabilities.No, "", "promises nothing"},
	{capabilities.Access64, capabilities.Unknown, "", "comm.mailbox is missing"},
	{capabilities.AtomicSystem, capabilities.Unknown, "", "comm.mailbox is no"},
	{capabilities.FenceSystem, capabilities.Unknown, "", "comm.mailbox is no"},
	{capabilities.MemHostMap, capabilities.Proven, "", "came back"},
	{capabilities.MemUVA, capabilities.No, "", "different addresses"}, // kernels work on copies
	{capabilities.MemManaged, capabilities.No, "", "allocates none"},
	{capabilities.Atomic32, capabilities.Proven, "", "exactly"},
	{capabilities.Atomic64, capabilities.Proven, "minmax", "exact"},
	{capabilities.AtomicFloat, capabilities.Proven, "native", "exactly"},
	{capabilities.Float64, capabilities.No, "", "no double"},
	{capabilities.TimerGlobal, capabilities.No, "", "has no clock"},
	{capabilities.TimerCorrelate, capabilities.No, "", "has no clock"},
	{capabilities.TimerCycle, capabilities.No, "", "no cycle counter"},
	{capabilities.ExecCoop, capabilities.Unknown, "", "how many units"},
	{capabilities.ExecProgress, capabilities.No, "", "do not both go on"}, // its threads take turns at barriers alone
	{capabilities.ArgsBindless, capabilities.Unknown, "", "told of every buffer"},
	{capabilities.MemPageable, capabilities.No, "", ""},
	{capabilities.FileReadDirect, capabilities.Proven, "", "a kernel saw them byte for byte"},
	{capabilities.FileWriteDirect, capabilities.No, "", "only loads"},
	{capabilities.MemUnified, capabilities.Claimed, "", "1"},
	{capabilities.SyncTimeline, capabilities.No, "", "0"}, // it has no shared events
	{capabilities.TimerBoundary, capabilities.No, "", "without timestamp"},
	{capabilities.IDStable, capabilities.No, "", "every start"},
}

// metalSurvey is what has to hold of a survey of what stands in for Metal.
func metalSurvey(t *testing.T, d capabilities.Device) {
	t.Helper()
	for _, w := range metalStates {
		want(t, d, w.id, w.state, w.reason)
		if got := d.Set()[w.id].Level; got != w.level {
			t.Errorf("%s: %s goes as far as %q, want %q", d.URI, w.id, got, w.level)
		}
	}
	if !d.Sim || len(d.Violations) > 0 {
		t.Errorf("%s: simulated %v, violations %+v", d.URI, d.Sim, d.Violations)
	}
	if p := plan.Make(d.URI, d.Set()); p.Transport != plan.Stopping || !slices.Contains(p.Defines, "HC_RELAUNCH") {
		t.Errorf("%s: %s, %v", d.URI, p.Transport, p.Defines)
	}
}

// TestMetalFaults: what a survey makes of a Metal that is old, that lies and that fails, in other processes.
func TestMetalFaults(t *testing.T) {
	if dev := devicetest.Get(t, "metal:0"); !dev.Info().Sim {
		t.Skip("faults can be ordered of what stands in for Metal alone")
	}
	for _, c := range []struct {
		fault  string
		id     capabilities.ID
		state  capabilities.State
		reason string
	}{
		{"old system", capabilities.FileReadDirect, capabilities.No, "came with macOS 13"},
		{"load lies", capabilities.FileReadDirect, capabilities.Broken, "other bytes"},
		{"load fails", capabilities.FileReadDirect, capabilities.Unknown, "MTLIOErrorDomain (2)"},
		{"launch fails", capabilities.ExecBasic, capabilities.Unknown, "MTLCommandBufferErrorDomain (1)"},
	} {
		t.Run(c.fault, func(t *testing.T) {
			t.Setenv(metaltest.FaultVariable, c.fault)
			r, err := probe.Survey(t.Context(), &probe.Options{Devices: []string{"metal:0"}, Only: []capabilities.ID{c.id}, Limit: time.Minute, Storage: t.TempDir()})
			if err != nil {
				t.Fatal(err)
			}
			valid(t, r)
			d := r.Devices[0]
			want(t, d, c.id, c.state, c.reason)
			if broken := c.state == capabilities.Broken; (len(d.Violations) > 0) != broken || len(d.Troubles) > 0 {
				t.Errorf("violations %+v, troubles %q", d.Violations, d.Troubles)
			}
			for _, f := range d.Facts {
				if f.Name == "registryID" && strings.Contains(f.Error, "does not respond") != (c.fault == "old system") {
					t.Errorf("%+v", f)
				}
			}
		})
	}
}
