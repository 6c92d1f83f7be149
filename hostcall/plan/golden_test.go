package plan_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dialtone-gpu/dialtone/capabilities"
	"github.com/dialtone-gpu/dialtone/hostcall/plan"
)

var update = flag.Bool("update", false, "write the golden plans anew")

// TestGoldenPlans plans for the devices of capabilities/testdata: what is normal, and what would be if their drivers kept their word. Four
// of them are recorded, the others written from documentation.
func TestGoldenPlans(t *testing.T) {
	paths, err := filepath.Glob("../../capabilities/testdata/devices/*.json")
	if err != nil || len(paths) < 7 {
		t.Fatalf("%q, %v", paths, err)
	}
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		r, err := capabilities.Decode(f)
		f.Close()
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		for _, trust := range []plan.Trust{plan.Normal, plan.Strict, plan.Trusting} {
			name := strings.TrimSuffix(filepath.Base(path), ".json")
			if trust != plan.Normal {
				name += "." + string(trust)
			}
			t.Run(name, func(t *testing.T) {
				d := r.Devices[0]
				made := struct {
					Origin capabilities.Origin
					plan.Plan
				}{r.Origin, plan.Policy{Trust: trust}.Make(d.URI, d.Set())}
				got, err := json.MarshalIndent(made, "", "  ")
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, '\n')
				golden := filepath.Join("testdata", name+".json")
				if *update {
					if err := os.WriteFile(golden, got, 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(golden)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got, want) {
					t.Errorf("not as in %s; go test -update writes it anew:\n%s", golden, cmp.Diff(string(want), string(got)))
				}
			})
		}
	}
}

// anySet draws a state for every capability of the catalogue, or none.
func anySet(t *rapid.T) capabilities.Set {
	set := capabilities.Set{}
	for _, c := range capabilities.Catalogue {
		// Those that rules need are worth trying more often than they would be drawn.
		if s := rapid.IntRange(-1, int(capabilities.Proven)).Draw(t, string(c.ID)); s >= 0 {
			set[c.ID] = capabilities.Finding{ID: c.ID, State: capabilities.State(s)}
		}
	}
	return set
}

func anyPolicy(t *rapid.T) plan.Policy {
	return plan.Policy{
		Trust:     rapid.SampledFrom([]plan.Trust{plan.Normal, plan.Strict, plan.Trusting}).Draw(t, "trust"),
		Transport: rapid.SampledFrom(append([]plan.Transport{""}, plan.Transports...)).Draw(t, "transport"),
	}
}

// TestMoreIsNeverWorse: another proven capability takes no service to a worse route, nor the plan to a worse transport.
func TestMoreIsNeverWorse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		set, policy := anySet(t), anyPolicy(t)
		before := policy.Make("some:0", set)
		id := rapid.SampledFrom(capabilities.Catalogue).Draw(t, "more").ID
		set[id] = capabilities.Finding{ID: id, State: capabilities.Proven}
		after := policy.Make("some:0", set)
		if slices.Index(plan.Transports, after.Transport) > slices.Index(plan.Transports, before.Transport) {
			t.Fatalf("%s: %s becomes %s", id, before.Transport, after.Transport)
		}
		for _, s := range plan.Services {
			if slices.Index(plan.Routes, after.Route(s)) > slices.Index(plan.Routes, before.Route(s)) {
				t.Fatalf("%s: %s goes by %s instead of %s", id, s, after.Route(s), before.Route(s))
			}
		}
	})
}

// TestBetterIsTrue: what a decision says would make it better does so, as far as that is built.
func TestBetterIsTrue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		set := anySet(t)
		before := plan.Make("some:0", set)
		for _, d := range before.Decisions {
			first, _, _ := strings.Cut(d.Better, "; or ")
			needs, ok := strings.CutPrefix(first, "proven ")
			if !ok || strings.Contains(needs, "not built") {
				continue
			}
			more := capabilities.Set{}
			for id, f := range set {
				more[id] = f
			}
			for _, id := range strings.Split(needs, " and ") {
				more[capabilities.ID(id)] = capabilities.Finding{ID: capabilities.ID(id), State: capabilities.Proven}
			}
			if after := plan.Make("some:0", more); slices.Index(plan.Routes, after.Route(d.Service)) >= slices.Index(plan.Routes, d.Route) {
				t.Fatalf("%s: %q leaves it at %s", d.Service, d.Better, after.Route(d.Service))
			}
		}
	})
}

// TestPlansExplainThemselves: every decision has a rule and evidence, a transport its reason, and the set is left as it is.
func TestPlansExplainThemselves(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		set, policy := anySet(t), anyPolicy(t)
		id := rapid.SampledFrom(capabilities.Catalogue).Draw(t, "forced").ID
		policy.Force = []capabilities.ID{id}
		was, _ := json.Marshal(set.List())
		p := policy.Make("some:0", set)
		if now, _ := json.Marshal(set.List()); !bytes.Equal(was, now) {
			t.Fatal("planning changed the set")
		}
		if p.Reason == "" || (p.Transport == plan.Mailbox) != (p.Obstacle == "") {
			t.Fatalf("transport %s: %q, obstacle %q", p.Transport, p.Reason, p.Obstacle)
		}
		for _, d := range p.Decisions {
			if d.Rule == "" || len(d.Evidence) == 0 || d.Route == plan.Unavailable && d.Better == "" {
				t.Fatalf("%+v", d)
			}
		}
		if (p.NeedsHost() == nil) != (p.Transport != plan.None) {
			t.Fatalf("%s, %v", p.Transport, p.NeedsHost())
		}
	})
}

func TestPolicies(t *testing.T) {
	mail, clock, basic := capabilities.CommMailbox, capabilities.TimerGlobal, capabilities.ExecBasic
	for _, c := range []struct {
		name      string
		states    map[capabilities.ID]capabilities.State
		policy    plan.Policy
		transport plan.Transport
		clock     plan.Route
		streams   plan.Route
		reason    string
	}{
		{"trusting a claim", map[capabilities.ID]capabilities.State{mail: capabilities.Claimed}, plan.Policy{Trust: plan.Trusting}, plan.Mailbox, plan.Host, plan.Host, "see each other"},
		{"trusting no broken claim", map[capabilities.ID]capabilities.State{mail: capabilities.Broken, basic: capabilities.Proven}, plan.Policy{Trust: plan.Trusting}, plan.Stopping, plan.Relaunch, plan.Relaunch, "comm.mailbox is broken"},
		{"strict", map[capabilities.ID]capabilities.State{mail: capabilities.Proven, clock: capabilities.Claimed}, plan.Policy{Trust: plan.Strict}, plan.Mailbox, plan.Host, plan.Host, ""},
		{"forced", nil, plan.Policy{Force: []capabilities.ID{mail, clock}}, plan.Mailbox, plan.Device, plan.Host, ""},
		{"denied", map[capabilities.ID]capabilities.State{mail: capabilities.Proven, clock: capabilities.Proven}, plan.Policy{Deny: []capabilities.ID{clock}}, plan.Mailbox, plan.Host, plan.Host, ""},
		{"denied counts for more", map[capabilities.ID]capabilities.State{basic: capabilities.Proven}, plan.Policy{Force: []capabilities.ID{mail}, Deny: []capabilities.ID{mail}}, plan.Stopping, plan.Relaunch, plan.Relaunch, "comm.mailbox is no"},
		{"another transport", map[capabilities.ID]capabilities.State{mail: capabilities.Proven, basic: capabilities.Proven}, plan.Policy{Transport: plan.Stopping}, plan.Stopping, plan.Relaunch, plan.Relaunch, "forced by the policy"},
		{"no transport", map[capabilities.ID]capabilities.State{mail: capabilities.Proven, clock: capabilities.Proven}, plan.Policy{Transport: plan.None}, plan.None, plan.Device, plan.Unavailable, ""},
		{"a transport against the evidence", map[capabilities.ID]capabilities.State{mail: capabilities.No}, plan.Policy{Transport: plan.Mailbox}, plan.Mailbox, plan.Host, plan.Host, "although comm.mailbox is no"},
	} {
		if err := c.policy.Check(); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		p := c.policy.Make("some:0", set(c.states))
		if p.Transport != c.transport || p.Route(plan.Monotonic) != c.clock || p.Route(plan.Streams) != c.streams || !strings.Contains(p.Reason, c.reason) {
			t.Errorf("%s: %+v", c.name, p)
		}
	}
	for _, bad := range []plan.Policy{{Trust: "blind"}, {Transport: "pigeon"}, {Force: []capabilities.ID{"x.y"}}, {Deny: []capabilities.ID{"x.y"}}} {
		if bad.Check() == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
	var p plan.Policy
	for _, text := range []string{"comm.mailbox", "timer.global=no", "exec.basic=yes"} {
		if err := p.Override(text); err != nil {
			t.Error(err)
		}
	}
	if !slices.Equal(p.Force, []capabilities.ID{mail, basic}) || !slices.Equal(p.Deny, []capabilities.ID{clock}) {
		t.Errorf("%+v", p)
	}
	for _, bad := range []string{"telepathy", "comm.mailbox=perhaps", ""} {
		if err := p.Override(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
