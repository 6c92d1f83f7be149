package capabilities

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"time"
)

const redacted = "redacted"

var secrets = []struct {
	form *regexp.Regexp
	by   string
}{
	{regexp.MustCompile(`(?i)\b(GPU-|MIG-)?[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b`), "UUID"},
	{regexp.MustCompile(`(?i)\b([0-9a-f]{4,8}:)?[0-9a-f]{2}:[0-9a-f]{2}\.[0-9a-f]\b`), "PCI"},
	{regexp.MustCompile(`(?i)\b[A-Z]:\\[^\s"'<>|,;()]*|\\\\[^\s"'<>|,;()]+`), "PATH"},
	{regexp.MustCompile(`(^|[\s"'(=,;:\[<])~?/[^\s"'(),;<>\]]+`), "${1}PATH"},
}

// Redact takes out of a report what tells machines and people apart: UUIDs, PCI addresses, the names of host and user, and
// paths, also where they stand within other texts. Which devices are one piece of hardware is kept, and the time only to the day.
// The report stays valid; the original is left as it is.
func Redact(r *Report) *Report {
	data, err := json.Marshal(r)
	if err != nil {
		panic("BUG: a report that cannot be written: " + err.Error())
	}
	var tree any
	numbers := json.NewDecoder(bytes.NewReader(data))
	numbers.UseNumber()
	if err := numbers.Decode(&tree); err != nil {
		panic("BUG: a report that cannot be read back: " + err.Error())
	}
	words := names(r.Host.Name, r.Host.User)
	data, err = json.Marshal(scrub(tree, words))
	if err != nil {
		panic("BUG: " + err.Error())
	}
	out := new(Report)
	if err := json.Unmarshal(data, out); err != nil {
		panic("BUG: redacting broke the report: " + err.Error())
	}
	out.Redacted = true
	out.Host.Name, out.Host.User = redacted, redacted
	out.Taken = r.Taken.UTC().Truncate(24 * time.Hour)
	for i := range out.Devices {
		d := &out.Devices[i]
		if r.Devices[i].UUID != "" {
			d.UUID = redacted
		}
		if r.Devices[i].PCI != "" {
			d.PCI = redacted
		}
		// What is an identity by its name, whatever it looks like.
		for j, f := range d.Facts {
			if identity.MatchString(f.Name) && f.Value != "" {
				d.Facts[j].Value = redacted
			}
		}
		for j := range d.Capabilities {
			for k, f := range d.Capabilities[j].Facts {
				if identity.MatchString(f.Name) && f.Value != "" {
					d.Capabilities[j].Facts[k].Value = redacted
				}
			}
		}
	}
	return out
}

var identity = regexp.MustCompile(`(?i)(^|_)(uuid|luid|serial|pci|hostname|node_?mask)(_|$)|PCI_BUS|PCI_DEVICE_ID|PCI_DOMAIN|PciBusId|PciDeviceId|PciDomainId|registryID`)

// names are expressions for those words of the machine that can be told from others.
func names(list ...string) []*regexp.Regexp {
	var forms []*regexp.Regexp
	for _, n := range list {
		if len(n) > 2 && n != redacted && n != "root" {
			forms = append(forms, regexp.MustCompile(`(?i)(^|[^\pL\pN])`+regexp.QuoteMeta(n)+`($|[^\pL\pN])`))
			if short, _, cut := strings.Cut(n, "."); cut && len(short) > 2 {
				forms = append(forms, regexp.MustCompile(`(?i)(^|[^\pL\pN])`+regexp.QuoteMeta(short)+`($|[^\pL\pN])`))
			}
		}
	}
	return forms
}

// scrub goes through all texts. Texts that a report needs for what it is (states, names of capabilities) have none of the forms.
func scrub(v any, words []*regexp.Regexp) any {
	switch v := v.(type) {
	case string:
		for _, w := range words {
			v = w.ReplaceAllString(v, "${1}NAME${2}")
		}
		for _, s := range secrets {
			v = s.form.ReplaceAllString(v, s.by)
		}
		return v
	case []any:
		for i := range v {
			v[i] = scrub(v[i], words)
		}
	case map[string]any:
		for k := range v {
			if !structure[k] {
				v[k] = scrub(v[k], words)
			}
		}
	}
	return v
}

// structure are the fields that are never names of people or machines, and without which a report is none.
var structure = map[string]bool{"uri": true, "backend": true, "id": true, "state": true, "level": true, "origin": true,
	"depth": true, "taken": true, "kind": true, "memory_kinds": true, "dialect": true, "physical": true, "rule": true, "os": true}
