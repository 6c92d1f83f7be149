package probe_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/dialtone-gpu/dialtone/capabilities"
	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/hostcall/plan"
	"github.com/dialtone-gpu/dialtone/hostcall/probe"
	"github.com/dialtone-gpu/dialtone/internal/devicetest"
)

// survey probes hostile devices, and gives them by their ordinals.
func survey(t *testing.T, opts probe.Options, ordinals ...int) map[int]capabilities.Device {
	t.Helper()
	if _, err := hal.DevicesOf(t.Context(), "cpu"); err != nil {
		t.Skipf("the hostile devices are cpu devices in disguise: %v", err)
	}
	devicetest.URIs() // those of the machine, before there are more
	t.Setenv(hostileVariable, "1")
	for _, o := range ordinals {
		opts.Devices = append(opts.Devices, fmt.Sprintf("hostile:%d", o))
	}
	if opts.Limit == 0 {
		opts.Limit = time.Minute
	}
	r, err := probe.Survey(t.Context(), &opts)
	if err != nil {
		t.Fatal(err)
	}
	valid(t, r)
	all := map[int]capabilities.Device{}
	for _, d := range r.Devices {
		all[d.Ordinal] = d
	}
	if len(all) != len(ordinals) {
		t.Fatalf("%d devices of %d", len(all), len(ordinals))
	}
	return all
}

func valid(t *testing.T, r *capabilities.Report) {
	t.Helper()
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := capabilities.Decode(strings.NewReader(string(text))); err != nil {
		t.Error(err)
	}
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(capabilities.JSONSchema))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("report", doc); err != nil {
		t.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.MustCompile("report").Validate(v); err != nil {
		t.Error(err)
	}
}

func want(t *testing.T, d capabilities.Device, id capabilities.ID, state capabilities.State, reason string) {
	t.Helper()
	f := d.Set()[id]
	text := f.Reason
	for _, fact := range f.Facts {
		text += "; " + fact.Value + fact.Error
	}
	if f.State != state || !strings.Contains(text, reason) {
		t.Errorf("%s: %s is %s: %s; want %s: %s", d.URI, id, f.State, text, state, reason)
	}
}

// TestDriversThatCrash: the probe at which it happened stays open, and no other on the host's cores.
func TestDriversThatCrash(t *testing.T) {
	all := survey(t, probe.Options{}, crashingCPU, crashing)
	for _, d := range all {
		want(t, d, capabilities.Atomic32, capabilities.Unknown, "panic: the driver crashed at adding")
		want(t, d, capabilities.CommMailbox, capabilities.Proven, "round trips")
		want(t, d, capabilities.Atomic64, capabilities.Proven, "exact") // comes after the crash
		want(t, d, capabilities.MemPageable, capabilities.Proven, "plain pages")
		want(t, d, capabilities.StreamMemOps, capabilities.Proven, "done it, copies allowed: false")
		want(t, d, capabilities.FileCompat, capabilities.Proven, "copies allowed: true") // in an environment of its own
		want(t, d, capabilities.QueueHostFn, capabilities.No, "no such call")
		want(t, d, capabilities.MemPools, capabilities.Unknown, "not clear")
		want(t, d, capabilities.FileReadDirect, capabilities.Unknown, "panic: boom")
		if len(d.Troubles) != 2 || !strings.Contains(d.Troubles[0], "step adding") || len(d.Facts) != 1 || d.Facts[0].Value != "bad" {
			t.Errorf("%q %+v", d.Troubles, d.Facts)
		}
	}
}

// TestDriversThatHang: what hangs is killed, and the rest of a GPU's probes is not asked.
func TestDriversThatHang(t *testing.T) {
	d := survey(t, probe.Options{Limit: 10 * time.Second}, hanging)[hanging]
	want(t, d, capabilities.Atomic32, capabilities.Proven, "exactly")
	want(t, d, capabilities.Atomic64, capabilities.Unknown, "it took too long (10s)")
	want(t, d, capabilities.ExecCoop, capabilities.Unknown, "tainted: at step wide")
	want(t, d, capabilities.MemPageable, capabilities.Unknown, "tainted")
}

// TestDriversThatFallSilent: what a driver has said before it hangs over a question stays.
func TestDriversThatFallSilent(t *testing.T) {
	d := survey(t, probe.Options{Depth: capabilities.DepthDeclared, Limit: 3 * time.Second}, mute)[mute]
	if len(d.Facts) != 1 || d.Facts[0].Value != "bad" || len(d.Troubles) != 1 || !strings.Contains(d.Troubles[0], "step facts it took too long") {
		t.Errorf("%q %+v", d.Troubles, d.Facts)
	}
}

// TestLostDevices: after the loss of a device nothing else is asked of it.
func TestLostDevices(t *testing.T) {
	d := survey(t, probe.Options{}, losing)[losing]
	want(t, d, capabilities.AtomicSystem, capabilities.Proven, "exactly")
	want(t, d, capabilities.FenceSystem, capabilities.Unknown, "device lost")
	want(t, d, capabilities.ExecCoop, capabilities.Unknown, "tainted: the device was lost")
}

// TestKernelsThatDoNotEnd: the mailbox stays open, and so does all that would have to wait for that kernel.
func TestKernelsThatDoNotEnd(t *testing.T) {
	t.Setenv("DIALTONE_TEST_LIMIT", "4s")
	all := survey(t, probe.Options{Only: []capabilities.ID{capabilities.CommMailbox, capabilities.TimerGlobal, capabilities.MemUVA, capabilities.MemManaged}}, spinning, spinningLater)
	want(t, all[spinning], capabilities.CommMailbox, capabilities.Unknown, "pingpong did not end within 4s")
	want(t, all[spinning], capabilities.TimerGlobal, capabilities.Unknown, "tainted")
	want(t, all[spinningLater], capabilities.CommMailbox, capabilities.Proven, "")
	want(t, all[spinningLater], capabilities.MemUVA, capabilities.Unknown, "whereis did not end")
	want(t, all[spinningLater], capabilities.MemManaged, capabilities.Unknown, "tainted")
	if n := len(all[spinning].Capabilities); n != 4 {
		t.Errorf("%d capabilities, 4 were asked for", n)
	}
}

// TestDevicesThatDoNotOpen: they are in the report, with the reason, and nothing is known of them.
func TestDevicesThatDoNotOpen(t *testing.T) {
	all := survey(t, probe.Options{}, refusing, dying)
	want(t, all[refusing], capabilities.ExecBasic, capabilities.Unknown, "not today")
	want(t, all[dying], capabilities.ExecBasic, capabilities.Unknown, "panic: the driver died")
	for _, d := range all {
		if p := plan.Make(d.URI, d.Set()); p.Transport != plan.None {
			t.Errorf("%s: %s", d.URI, p.Transport)
		}
		if len(d.Troubles) == 0 {
			t.Errorf("%s: no troubles", d.URI)
		}
	}
}

// TestLies: a kernel that never ran is found out, and a simulated device says what it is.
func TestLies(t *testing.T) {
	d := survey(t, probe.Options{}, lying)[lying]
	want(t, d, capabilities.ExecBasic, capabilities.Broken, "wrong values")
	want(t, d, capabilities.CommMailbox, capabilities.Unknown, "exec.basic is broken")
	want(t, d, capabilities.MemPageable, capabilities.Unknown, "exec.basic is broken")
	if !d.Sim {
		t.Error("it does not say that it is simulated")
	}
}

// TestBackendsThatCannotBeListed: they are missing, with the reason, and the others are there.
func TestBackendsThatCannotBeListed(t *testing.T) {
	devicetest.URIs()
	for backend, reason := range map[string]string{"brittle": "panic: cannot even list", "sleepy": "took too long (5s)"} {
		t.Setenv(hostileVariable, backend)
		infos, missing, err := probe.List(t.Context(), &probe.Options{Limit: 5 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, m := range missing {
			found = found || m.Backend == backend && strings.Contains(m.Reason, reason)
		}
		if !found {
			t.Errorf("%s: %+v", backend, missing)
		}
		// The backends that are there are still found.
		if cpu, err := hal.DevicesOf(t.Context(), "cpu"); err == nil && !strings.Contains(fmt.Sprint(infos), cpu[0].URI) {
			t.Errorf("%s: cpu:0 is gone: %v", backend, infos)
		}
	}
}

func TestSurveyOfWhatIsNotThere(t *testing.T) {
	for uri, sentinel := range map[string]error{"teapot:0": hal.ErrNoDevice, "cpu:7": hal.ErrNoDevice, "cpu:x": hal.ErrInvalid} {
		if r, err := probe.Survey(t.Context(), &probe.Options{Devices: []string{uri}}); !errors.Is(err, sentinel) && !errors.Is(err, hal.ErrUnavailable) {
			t.Errorf("%s: %v, %v", uri, r, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := probe.Survey(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that ended: %v", err)
	}
}

// TestSurvey probes the devices of the machine: everything of the catalogue is in the report, and what a start needs is found alike.
func TestSurvey(t *testing.T) {
	devicetest.ForEach(t, func(t *testing.T, dev *hal.Device) {
		r, err := probe.Survey(t.Context(), &probe.Options{Devices: []string{dev.Info().URI}, Limit: time.Minute, Storage: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		valid(t, r)
		d, set := r.Devices[0], r.Devices[0].Set()
		t.Logf("in %v", d.Took)
		for _, c := range capabilities.Catalogue {
			f, ok := set[c.ID]
			switch {
			case !ok:
				t.Errorf("%s is not in the report", c.ID)
			case f.State == capabilities.Unknown && f.Reason == "":
				t.Errorf("%s is unknown for no reason", c.ID)
			case f.State == capabilities.Proven && len(f.Facts) == 0:
				t.Errorf("%s is proven by nothing", c.ID)
			}
		}
		for _, trouble := range d.Troubles {
			t.Errorf("trouble: %s", trouble)
		}
		for _, v := range d.Violations {
			t.Logf("%s: %s", v.Rule, v.Text)
		}
		if _, tells := dev.Driver().(hal.Teller); tells && len(d.Facts) < 5 {
			t.Errorf("only the facts %+v", d.Facts)
		}
		quick, err := probe.Device(t.Context(), dev)
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range []capabilities.ID{capabilities.ExecBasic, capabilities.CommMailbox, capabilities.HostYield} {
			if quick.Has(id) != set.Has(id) {
				t.Errorf("%s is %s in the survey and %s at a start", id, set[id].State, quick[id].State)
			}
		}
		if info := dev.Info(); info.Backend == "metal" && info.Sim {
			metalSurvey(t, d)
		}
		if info := dev.Info(); info.Backend == "hip" && info.Sim {
			want(t, d, capabilities.MemPools, capabilities.Proven, "in a stream's order")
			want(t, d, capabilities.QueueHostFn, capabilities.Proven, "a function was called once")
			want(t, d, capabilities.TimerCycle, capabilities.Proven, "steps of work")
			for _, id := range []capabilities.ID{capabilities.DMABufDevice, capabilities.DMABufHost} { // which the kernel's drivers make
				want(t, d, id, capabilities.No, "no DMA-BUF")
			}
		}
		// What works on every device that is tested at all.
		if info := dev.Info(); info.HostCPU {
			works := []capabilities.ID{capabilities.MemHostMap, capabilities.Atomic32, capabilities.FenceSystem, capabilities.SubgroupSize, capabilities.AtomicFloat}
			if info.Platform != "rusticl" { // llvmpipe has no doubles (Mesa 25.0)
				works = append(works, capabilities.Float64)
			}
			if info.Platform != "Oclgrind" { // its atomics exclude its own threads alone (21.10)
				works = append(works, capabilities.AtomicSystem)
			}
			for _, id := range works {
				if !set.Has(id) {
					t.Errorf("%s is %s: %+v", id, set[id].State, set[id].Facts)
				}
			}
			// The items of a group take turns at its barriers, or go in step.
			if f := set[capabilities.ExecProgress]; info.Dialect == hal.OpenCL && f.State != capabilities.No {
				t.Errorf("%s is %s: %+v", f.ID, f.State, f.Facts)
			}
			// Only code for the host's own processor can call its system.
			if f := set[capabilities.HostYield]; info.Dialect == hal.OpenCL && info.Platform != "Portable Computing Language" && f.State != capabilities.No {
				t.Errorf("%s is %s: %+v", f.ID, f.State, f.Facts)
			}
		}
	})
}

// TestDeclared: only the drivers are asked.
func TestDeclared(t *testing.T) {
	devicetest.ForEach(t, func(t *testing.T, dev *hal.Device) {
		r, err := probe.Survey(t.Context(), &probe.Options{Devices: []string{dev.Info().URI}, Depth: capabilities.DepthDeclared, Limit: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		valid(t, r)
		claimed := 0
		for _, f := range r.Devices[0].Capabilities {
			if f.State == capabilities.Proven || f.State == capabilities.Broken {
				t.Errorf("%s is %s", f.ID, f.State)
			}
			if f.State == capabilities.Claimed {
				claimed++
			}
		}
		if claimed == 0 {
			t.Error("nothing is claimed")
		}
	})
}

// TestMailboxThatDoesNotEnd: a start with such a device is no error, and nothing of it is remembered.
func TestMailboxThatDoesNotEnd(t *testing.T) {
	t.Setenv("DIALTONE_CACHE", t.TempDir())
	dev := openHostile(t, spinning)
	defer probe.SetLimit(1500 * time.Millisecond)()
	for range 2 {
		set, err := probe.Device(t.Context(), dev)
		if err != nil {
			t.Fatal(err)
		}
		f := set[capabilities.CommMailbox]
		if f.State != capabilities.Unknown || !strings.Contains(f.Reason, "did not end within") || set[capabilities.TimerGlobal].State != capabilities.Unknown {
			t.Errorf("%+v", set)
		}
		if p := plan.Make("x", set); p.Transport != plan.Stopping {
			t.Errorf("%+v", p)
		}
	}
}

// TestCertainFaults: what would fault for certain, as the driver says itself, is not tried.
func TestCertainFaults(t *testing.T) {
	rules := capabilities.ClaimRules
	defer func() { capabilities.ClaimRules = rules }()
	capabilities.ClaimRules = append(rules[:len(rules):len(rules)], capabilities.Claim{ID: capabilities.MemPageable, Backend: "hostile",
		If: []capabilities.Condition{{Fact: "temper", Op: capabilities.Contains, Arg: "good"}}})
	d := survey(t, probe.Options{Only: []capabilities.ID{capabilities.MemPageable}}, crashing)[crashing]
	want(t, d, capabilities.MemPageable, capabilities.No, "bad")
	for _, f := range d.Set()[capabilities.MemPageable].Facts {
		if strings.HasPrefix(f.Source, "kernel") {
			t.Errorf("it was tried: %+v", f)
		}
	}
}
