package capabilities

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/samber/lo"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/dialtone-gpu/dialtone/hal"
)

// reports are the files of testdata/devices, by name.
func reports(t testing.TB) map[string][]byte {
	t.Helper()
	paths, err := filepath.Glob("testdata/devices/*.json")
	if err != nil || len(paths) < 7 {
		t.Fatalf("%q, %v", paths, err)
	}
	all := map[string][]byte{}
	for _, p := range paths {
		data, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		all[strings.TrimSuffix(filepath.Base(p), ".json")] = data
	}
	return all
}

func decode(t testing.TB, data []byte) *Report {
	t.Helper()
	r, err := Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func schemaOf(t testing.TB) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(JSONSchema))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("report.schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("report.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func validate(t testing.TB, s *jsonschema.Schema, data []byte) error {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return s.Validate(v)
}

func TestReportsFitTheSchema(t *testing.T) {
	s := schemaOf(t)
	for name, data := range reports(t) {
		if err := validate(t, s, data); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		r := decode(t, data)
		again, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := validate(t, s, again); err != nil {
			t.Errorf("%s, decoded and encoded: %v", name, err)
		}
		if d := cmp.Diff(r, decode(t, again)); d != "" {
			t.Errorf("%s changes on its way:\n%s", name, d)
		}
		recorded := name == "cpu" || name == "pocl" || strings.HasPrefix(name, "h200-")
		if written := !recorded; (r.Origin == Written) != written || written == (r.Note == "") {
			t.Errorf("%s says of itself that it is %s (%q)", name, r.Origin, r.Note)
		}
	}
	// The schema refuses what is none.
	var tree map[string]any
	if err := json.Unmarshal(reports(t)["cpu"], &tree); err != nil {
		t.Fatal(err)
	}
	tree["devices"].([]any)[0].(map[string]any)["capabilities"].([]any)[0].(map[string]any)["state"] = "splendid"
	bad, _ := json.Marshal(tree)
	if validate(t, s, bad) == nil {
		t.Error("the schema takes any state")
	}
}

// corrected are claims in recorded reports that the rules of their time derived and today's do not, each with why. Each goes when the
// device is recorded again.
var corrected = map[string]map[ID]string{
	"h200-opencl": {SyncTimeline: "cl_khr_semaphore has binary semaphores only"},
}

// TestFindingsFollowFromFacts: what reports say is claimed is what today's rules derive from their facts.
func TestFindingsFollowFromFacts(t *testing.T) {
	for name, data := range reports(t) {
		for _, d := range decode(t, data).Devices {
			claims := Claims(d.Info, d.Facts)
			for _, f := range d.Capabilities {
				claim := claims[f.ID]
				follows := f.State != Claimed || claim.State == Claimed && claim.Level == f.Level
				if why := corrected[name][f.ID]; why != "" {
					if follows {
						t.Errorf("%s: %s follows from its facts, although %s", name, f.ID, why)
					}
					continue
				}
				if !follows {
					t.Errorf("%s: %s is claimed %q in the report, and %s %q by its facts", name, f.ID, f.Level, claim.State, claim.Level)
				}
				if f.State == Unknown && claim.State == Claimed && f.Reason == "" {
					t.Errorf("%s: %s is unknown without a reason, and claimed by the facts", name, f.ID)
				}
			}
			if len(d.Capabilities) != len(Catalogue) {
				t.Errorf("%s tells of %d capabilities, there are %d", name, len(d.Capabilities), len(Catalogue))
			}
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	good := string(reports(t)["h200-cuda"])
	for _, c := range []struct{ name, old, new, want string }{
		{"another version", `"schema": 1`, `"schema": 2`, "schema 2"},
		{"an origin that is none", `"origin": "recorded"`, `"origin": "dreamt"`, "dreamt"},
		{"a state that is none", `"state": "proven"`, `"state": "splendid"`, `no state "splendid"`},
		{"a device of another backend", `"uri": "cuda:0"`, `"uri": "hip:0"`, "hip:0"},
		{"a URI that is none", `"uri": "cuda:0"`, `"uri": "cuda:0;rm"`, "BACKEND:NUMBER"},
		{"a capability twice", `"id": "timer.global"`, `"id": "timer.cycle"`, "once"},
		{"a level that is none", `"level": "full"`, `"level": "fuller"`, "no level"},
		{"a capability's name that is none", `"id": "timer.global"`, `"id": "<b>"`, "once"},
		{"a fact before its time", `"took_ns": 0`, `"took_ns": -1`, "less than no time"},
		{"a list that is none", `"devices": [`, `"devices": 7, "x": [`, "no report"},
		{"no devices", `"devices": [`, `"gadgets": [`, "no list of devices"},
	} {
		text := strings.Replace(good, c.old, c.new, 1)
		if text == good {
			t.Fatalf("%s: nothing was changed", c.name)
		}
		if _, err := Decode(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	if _, err := Decode(strings.NewReader(strings.Repeat(" ", maxReport+1))); err == nil || !strings.Contains(err.Error(), "longer") {
		t.Errorf("a long one: %v", err)
	}
	// What a later version adds is no reason to refuse.
	r, err := Decode(strings.NewReader(strings.Replace(good, `"id": "timer.global"`, `"id": "timer.lunar"`, 1)))
	if err != nil || r.Devices[0].Set()["timer.lunar"].State == No {
		t.Errorf("a capability of a later version: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	for _, data := range reports(f) {
		f.Add(data)
	}
	f.Add([]byte(`{"schema":1,"origin":"recorded","depth":"declared","devices":[]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := Decode(bytes.NewReader(data))
		if err != nil {
			return
		}
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(r, decode(t, text)); d != "" {
			t.Fatalf("a valid report changes on its way:\n%s", d)
		}
		if red, err := json.Marshal(Redact(r)); err != nil {
			t.Fatal(err)
		} else {
			decode(t, red)
		}
		if c := Diff(r, r); len(c) > 0 {
			t.Fatalf("differs from itself: %v", c)
		}
	})
}

// secretive is a report full of what must not leave the house.
func secretive() *Report {
	finding := Finding{ID: CommMailbox, State: Broken, Reason: "cannot open /home/ada/.cache/x: GPU-01234567-89ab-cdef-0123-456789abcdef",
		Facts: []Fact{{Name: "uuid", Source: "cuDeviceGetUuid", Value: "whatever"}, {Source: "trial", Error: `C:\Users\ada\file.bin on analytical-engine.example.org (Ada's)`}}}
	r := &Report{Schema: 1, Origin: Recorded, Tool: "/home/ada/bin/dialtone 1.0", Depth: DepthFunctional,
		Host: Host{Name: "analytical-engine.example.org", OS: "linux", Arch: "amd64", User: "ada"},
		Devices: []Device{
			{Description: Describe(hal.Info{URI: "cuda:0", Backend: "cuda", UUID: "GPU-01234567-89ab-cdef-0123-456789abcdef", PCI: "00000000:c1:00.0", Name: "NVIDIA H200"}),
				Facts:        []Fact{{Name: "PCI_BUS_ID", Source: "cuDeviceGetAttribute(33)", Value: "193"}, {Name: "driver_library", Source: "dlopen", Value: "~/lib/libcuda.so.1"}},
				Capabilities: []Finding{finding}, Troubles: []string{"see file:///home/ada/core at 0000:c1:00.0"}},
			{Description: Describe(hal.Info{URI: "opencl:0", Backend: "opencl", UUID: "01234567-89ab-cdef-0123-456789abcdef", PCI: "0000:c1:00.0"})},
		},
		Missing: []Missing{{"hip", "tried /opt/rocm/lib/libamdhip64.so: not on ANALYTICAL-ENGINE"}}}
	r.Finish()
	r.normalize()
	return r
}

func TestRedact(t *testing.T) {
	r := secretive()
	before, _ := json.Marshal(r)
	red := Redact(r)
	text, err := json.Marshal(red)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"ada", "Ada", "analytical", "ANALYTICAL", "01234567", "cdef", "c1:00", "/home", "/opt", `Users`, "rocm", "193", "whatever"} {
		if bytes.Contains(text, []byte(secret)) {
			t.Errorf("%q is left: %s", secret, text)
		}
	}
	for _, kept := range []string{"NVIDIA H200", "cuda:0", "comm.mailbox", "cuDeviceGetUuid"} {
		if !bytes.Contains(text, []byte(kept)) {
			t.Errorf("%q is gone: %s", kept, text)
		}
	}
	if after, _ := json.Marshal(r); !bytes.Equal(before, after) {
		t.Error("the original was changed")
	}
	if len(red.Physical) != 1 || !red.Redacted {
		t.Errorf("%+v", red)
	}
	if err := validate(t, schemaOf(t), text); err != nil {
		t.Error(err)
	}
	decode(t, text)
	if again, _ := json.Marshal(Redact(red)); !bytes.Equal(again, text) {
		t.Errorf("redacting twice makes a difference:\n%s\n%s", text, again)
	}
	// Devices without identity still compare by name.
	if c := Diff(red, red); len(c) > 0 {
		t.Errorf("%v", c)
	}
}

func TestPhysical(t *testing.T) {
	infos := []hal.Info{
		{URI: "cuda:0", Backend: "cuda", UUID: "GPU-aa", Units: 132, Memory: 100 << 30},
		{URI: "cuda:1", Backend: "cuda", PCI: "0000:c1:00.0"},
		{URI: "opencl:0", Backend: "opencl", UUID: "AA", Units: 131, Memory: 99 << 30},
		{URI: "opencl:1", Backend: "opencl", PCI: "00000000:C1:00.0"},
		{URI: "opencl:2", Backend: "opencl"},
		{URI: "opencl:3", Backend: "opencl"},
		{URI: "opencl:4", Backend: "opencl", UUID: "AA", Sim: true},
		{URI: "cuda:5", Backend: "cuda", UUID: redacted, PCI: redacted},
		{URI: "opencl:5", Backend: "opencl", UUID: redacted, PCI: redacted},
	}
	var got []string
	for _, g := range Physical(infos) {
		got = append(got, strings.Join(lo.Map(g, func(i hal.Info, _ int) string { return i.URI }), "+"))
	}
	if want := []string{"cuda:0+opencl:0", "cuda:1+opencl:1", "opencl:2", "opencl:3", "opencl:4", "cuda:5", "opencl:5"}; !cmp.Equal(got, want) {
		t.Errorf("%v", got)
	}
	r := &Report{}
	for _, i := range infos {
		r.Devices = append(r.Devices, Device{Description: Describe(i)})
	}
	r.Finish()
	if len(r.Physical) != 2 || len(r.Violations) != 1 || !strings.Contains(r.Violations[0].Text, "132 and 131") {
		t.Errorf("%+v %+v", r.Physical, r.Violations)
	}
}

func TestDeviceOfAReport(t *testing.T) {
	r := secretive()
	r.Devices[0].Sim = true
	for uri, want := range map[string]string{"": "opencl:0", "cuda": "cuda:0", "cuda:0": "cuda:0"} {
		if d, err := r.Device(uri); err != nil || d.URI != want {
			t.Errorf("%q: %s, %v", uri, d.URI, err)
		}
	}
	if _, err := r.Device("cuda:1"); err == nil || !strings.Contains(err.Error(), "cuda:0, opencl:0") {
		t.Error(err)
	}
}
