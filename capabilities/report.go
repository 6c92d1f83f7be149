package capabilities

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	_ "embed"

	"github.com/samber/lo"

	"github.com/dialtone-gpu/dialtone/hal"
)

// ReportSchema is the version of reports. It changes when something is renamed, removed or means something else, not
// when capabilities, facts or rules are added.
const ReportSchema = 1

// JSONSchema describes a report, in JSON Schema 2020-12.
//
//go:embed report.schema.json
var JSONSchema string

// Origin is where a report comes from.
type Origin string

const (
	Recorded Origin = "recorded" // by probing the devices
	Written  Origin = "written"  // by hand, from documentation: no device was asked
)

// Depth is how far a probe went.
type Depth string

const (
	DepthDeclared   Depth = "declared"   // drivers were asked
	DepthFunctional Depth = "functional" // and what they said was tried
)

// Report is what is known of a machine's devices.
type Report struct {
	Schema   int       `json:"schema"`
	Origin   Origin    `json:"origin"`
	Note     string    `json:"note,omitempty"` // of a written one: what it was written from
	Tool     string    `json:"tool"`
	Taken    time.Time `json:"taken"`
	Host     Host      `json:"host"`
	Depth    Depth     `json:"depth"`
	Redacted bool      `json:"redacted"`
	Devices  []Device  `json:"devices"` // best first
	Missing  []Missing `json:"missing"` // backends without devices here
	// Physical lists the URIs of devices that several drivers show, each list one piece of hardware.
	Physical   [][]string  `json:"physical"`
	Violations []Violation `json:"violations"` // of what the drivers of one device owe each other
}

// Host is the machine.
type Host struct {
	Name string `json:"name"`
	OS   string `json:"os"`
	Arch string `json:"arch"`
	User string `json:"user"`
}

// Missing is a backend that cannot be used here.
type Missing struct {
	Backend string `json:"backend"`
	Reason  string `json:"reason"`
}

// Device is one device of a report.
type Device struct {
	Description
	Took         time.Duration `json:"took_ns"`
	Facts        []Fact        `json:"facts"`
	Capabilities []Finding     `json:"capabilities"`
	Violations   []Violation   `json:"violations"`
	Troubles     []string      `json:"troubles"` // what went wrong while probing
}

// Description is what a backend declares about a device, as all commands print it.
type Description struct {
	hal.Info
	Kind        string   `json:"kind"`
	MemoryKinds []string `json:"memory_kinds"`
}

// Describe makes one.
func Describe(i hal.Info) Description {
	d := Description{Info: i, Kind: i.Kind.String(), MemoryKinds: []string{}}
	for _, k := range i.Kinds {
		d.MemoryKinds = append(d.MemoryKinds, k.String())
	}
	return d
}

// Restore gives the Info back, with what JSON carries as text.
func (d Description) Restore() hal.Info {
	i := d.Info
	for _, k := range []hal.Kind{hal.GPU, hal.CPU, hal.Accelerator} {
		if k.String() == d.Kind {
			i.Kind = k
		}
	}
	i.Kinds = nil
	for _, name := range d.MemoryKinds {
		for _, k := range []hal.MemoryKind{hal.DeviceMemory, hal.HostCoherent, hal.Managed} {
			if k.String() == name {
				i.Kinds = append(i.Kinds, k)
			}
		}
	}
	return i
}

// Set are the device's findings.
func (d Device) Set() Set { return SetOf(d.Capabilities) }

// Device finds one of the report: by URI, "" being the first that is not simulated.
func (r *Report) Device(uri string) (Device, error) {
	if b, n, err := hal.ParseURI(uri); err == nil {
		uri = fmt.Sprintf("%s:%d", b, n)
	}
	for _, d := range r.Devices {
		if d.URI == uri || uri == "" && !d.Sim {
			return d, nil
		}
	}
	names := lo.Map(r.Devices, func(d Device, _ int) string { return d.URI })
	return Device{}, fmt.Errorf("the report has no device %q; it has %s: %w", uri, strings.Join(names, ", "), hal.ErrNoDevice)
}

// Finish sets what follows from the devices: which are one piece of hardware, and what drivers of one contradict each other in.
func (r *Report) Finish() {
	r.Physical, r.Violations = [][]string{}, []Violation{}
	for _, same := range Physical(lo.Map(r.Devices, func(d Device, _ int) hal.Info { return d.Info })) {
		if len(same) < 2 {
			continue
		}
		r.Physical = append(r.Physical, lo.Map(same, func(i hal.Info, _ int) string { return i.URI }))
		for _, i := range same[1:] {
			r.Violations = append(r.Violations, disagreements(same[0], i)...)
		}
	}
}

// Physical groups devices by the hardware behind them: the same UUID, or the same PCI address. What has neither stands alone.
func Physical(infos []hal.Info) [][]hal.Info {
	var groups [][]hal.Info
	for _, i := range infos {
		at := slices.IndexFunc(groups, func(g []hal.Info) bool {
			return slices.ContainsFunc(g, func(o hal.Info) bool { return sameHardware(i, o) })
		})
		if at < 0 {
			groups = append(groups, []hal.Info{i})
		} else {
			groups[at] = append(groups[at], i)
		}
	}
	return groups
}

func sameHardware(a, b hal.Info) bool {
	if a.Backend == b.Backend || a.Sim || b.Sim {
		return false
	}
	if known(a.UUID) && known(b.UUID) {
		return bareUUID(a.UUID) == bareUUID(b.UUID)
	}
	return known(a.PCI) && pciKey(a.PCI) == pciKey(b.PCI)
}

// bareUUID is without the prefix that NVIDIA's tools put before it.
func bareUUID(s string) string { return strings.TrimPrefix(strings.ToLower(s), "gpu-") }

// pciKey is the address with a domain of four digits, as some drivers give eight.
func pciKey(s string) string {
	domain, rest, _ := strings.Cut(strings.ToLower(s), ":")
	if len(domain) > 4 {
		domain = domain[len(domain)-4:]
	}
	return domain + ":" + rest
}

// disagreements are what two drivers say differently about one device.
func disagreements(a, b hal.Info) []Violation {
	var list []Violation
	add := func(what, of, and string) {
		if of != "" && and != "" && of != and {
			list = append(list, Violation{"drivers-agree", fmt.Sprintf("%s and %s are one device: %s is %s and %s", a.URI, b.URI, what, of, and)})
		}
	}
	add("its number of units", fmt.Sprint(a.Units), fmt.Sprint(b.Units))
	add("its architecture", a.Arch, b.Arch)
	add("its PCI address", pciKey(a.PCI), pciKey(b.PCI))
	// Drivers keep some memory for themselves, and not the same.
	if lo, hi := min(a.Memory, b.Memory), max(a.Memory, b.Memory); lo > 0 && hi-lo > hi/20 {
		add("its memory", fmt.Sprint(a.Memory), fmt.Sprint(b.Memory))
	}
	return list
}

// Limits of a report that is read: a report is the word of another machine.
const (
	maxReport   = 16 << 20
	maxDevices  = 1024
	maxFindings = 1024
	maxFacts    = 8192
	maxText     = 64 << 10
)

var (
	uriForm   = regexp.MustCompile(`^[a-z][a-z0-9]{0,31}:[0-9]{1,6}$`)
	idForm    = regexp.MustCompile(`^[a-z][A-Za-z0-9]*(\.[A-Za-z0-9]+)+$`)
	levelForm = regexp.MustCompile(`^[a-z0-9-]*$`)
)

// Decode reads a report and checks it: the version, every name, that nothing is there twice, sizes. Capabilities that this
// version does not know are kept.
func Decode(from io.Reader) (*Report, error) {
	data, err := io.ReadAll(io.LimitReader(from, maxReport+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxReport {
		return nil, fmt.Errorf("the report is longer than %d bytes", maxReport)
	}
	var head struct {
		Schema int `json:"schema"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return nil, fmt.Errorf("no report: %w", err)
	}
	if head.Schema != ReportSchema {
		return nil, fmt.Errorf("a report of schema %d; this program reads schema %d", head.Schema, ReportSchema)
	}
	r := new(Report)
	if err := json.Unmarshal(data, r); err != nil {
		return nil, fmt.Errorf("no report: %w", err)
	}
	if err := r.check(); err != nil {
		return nil, fmt.Errorf("no valid report: %w", err)
	}
	r.normalize()
	return r, nil
}

func (r *Report) check() error {
	switch {
	case r.Origin != Recorded && r.Origin != Written:
		return fmt.Errorf("origin %q", r.Origin)
	case r.Depth != DepthDeclared && r.Depth != DepthFunctional:
		return fmt.Errorf("depth %q", r.Depth)
	case r.Devices == nil:
		return errors.New("it has no list of devices")
	case len(r.Devices) > maxDevices:
		return fmt.Errorf("%d devices", len(r.Devices))
	}
	seen := map[string]bool{}
	for _, d := range r.Devices {
		if !uriForm.MatchString(d.URI) || seen[d.URI] || !strings.HasPrefix(d.URI, d.Backend+":") {
			return fmt.Errorf("device %.40q of backend %.40q: want each BACKEND:NUMBER once", d.URI, d.Backend)
		}
		seen[d.URI] = true
		if err := d.check(); err != nil {
			return fmt.Errorf("%s: %w", d.URI, err)
		}
	}
	for _, same := range r.Physical {
		for _, uri := range same {
			if !seen[uri] {
				return fmt.Errorf("%.40q is one with another device and not there", uri)
			}
		}
	}
	return nil
}

func (d *Device) check() error {
	if d.Took < 0 {
		return errors.New("probing it took less than no time")
	}
	if len(d.Facts) > maxFacts || len(d.Capabilities) > maxFindings {
		return fmt.Errorf("%d facts, %d capabilities", len(d.Facts), len(d.Capabilities))
	}
	if err := checkFacts(d.Facts); err != nil {
		return err
	}
	known := map[ID]bool{}
	for _, f := range d.Capabilities {
		switch {
		case len(f.ID) > 64 || !idForm.MatchString(string(f.ID)) || known[f.ID]:
			return fmt.Errorf("capability %.40q: want each name once", f.ID)
		case len(f.Level) > 64 || !levelForm.MatchString(f.Level):
			return fmt.Errorf("%s: level %.40q", f.ID, f.Level)
		case len(f.Facts) > maxFacts || len(f.Reason) > maxText:
			return fmt.Errorf("%s: it says too much", f.ID)
		}
		known[f.ID] = true
		if c, err := Find(string(f.ID)); err == nil && f.Level != "" && !c.Has(f.Level) {
			return fmt.Errorf("%s: it has no level %.40q; there are %s", f.ID, f.Level, strings.Join(c.Levels, ", "))
		}
		if err := checkFacts(f.Facts); err != nil {
			return fmt.Errorf("%s: %w", f.ID, err)
		}
	}
	return nil
}

func checkFacts(facts []Fact) error {
	for _, f := range facts {
		switch {
		case len(f.Name) > 256 || len(f.Source) > 1024 || len(f.Value) > maxText || len(f.Error) > maxText:
			return fmt.Errorf("fact %.40q is too long", f.Name)
		case f.Took < 0:
			return fmt.Errorf("fact %.40q took less than no time", f.Name)
		}
	}
	return nil
}

// normalize gives lists that are not there as empty ones.
func (r *Report) normalize() {
	fill(&r.Missing)
	fill(&r.Physical)
	fill(&r.Violations)
	for i := range r.Devices {
		d := &r.Devices[i]
		fill(&d.Facts)
		fill(&d.Capabilities)
		fill(&d.Violations)
		fill(&d.Troubles)
		fill(&d.MemoryKinds)
		d.Info = d.Restore()
		for j := range d.Capabilities {
			fill(&d.Capabilities[j].Facts)
		}
	}
	for i := range r.Physical {
		fill(&r.Physical[i])
	}
}

func fill[T any](list *[]T) {
	if *list == nil {
		*list = []T{}
	}
}
