package capabilities

import (
	"fmt"
	"slices"

	"github.com/samber/lo"
)

// Change is what is different about one capability of one device between two reports.
type Change struct {
	Device     string `json:"device"` // URI in the newer report, in the older one if it is gone
	ID         ID     `json:"id,omitempty"`
	Before     string `json:"before"` // state and level
	After      string `json:"after"`
	Regression bool   `json:"regression"`
}

// String is the change in a line.
func (c Change) String() string {
	what := string(c.ID)
	if what == "" {
		what = "device"
	}
	return fmt.Sprintf("%s: %s: %s -> %s", c.Device, what, c.Before, c.After)
}

// Diff compares two reports. A device is the same in both by its UUID, else its PCI address, else its URI. What the earlier report does not
// tell is no change: its program may not have known it.
//
// A regression is a device that is gone, and a capability that is less sure or goes less far. A capability
// of which nothing is known any more is one if it had been proven or claimed, and so is one that is not in the report any more.
func Diff(before, after *Report) []Change {
	changes := []Change{}
	earlier := after.Schema < before.Schema || !after.Taken.IsZero() && after.Taken.Before(before.Taken) // although it is called after
	match := pairs(before.Devices, after.Devices)
	for i, a := range before.Devices {
		if match[i] < 0 {
			changes = append(changes, Change{Device: a.URI, Before: "there", After: "gone", Regression: true})
			continue
		}
		b := after.Devices[match[i]]
		was, is := a.Set(), b.Set()
		for _, f := range was.List() {
			now, told := is[f.ID]
			if !told && earlier || f.State == now.State && f.Level == now.Level {
				continue
			}
			c, err := Find(string(f.ID))
			change := Change{Device: b.URI, ID: f.ID, Before: outcome(f), After: outcome(now), Regression: err == nil && !c.Limit && worse(c, f, now)}
			if !told {
				change.After = "not told"
			}
			changes = append(changes, change)
		}
	}
	for j, b := range after.Devices {
		if !lo.Contains(match, j) {
			changes = append(changes, Change{Device: b.URI, Before: "not there", After: "there"})
		}
	}
	return changes
}

// pairs gives for each device before the index of the same one after, or -1. The surest ways of telling come first.
func pairs(before, after []Device) []int {
	match := make([]int, len(before))
	for i := range match {
		match[i] = -1
	}
	for _, key := range []func(Device) string{
		func(d Device) string { return d.Backend + ternary(known(d.UUID), bareUUID(d.UUID)) },
		func(d Device) string { return d.Backend + ternary(known(d.PCI), pciKey(d.PCI)) },
		func(d Device) string { return "uri " + d.URI },
	} {
		for i, a := range before {
			if match[i] >= 0 || key(a) == a.Backend {
				continue
			}
			for j, b := range after {
				if !lo.Contains(match, j) && key(a) == key(b) {
					match[i] = j
					break
				}
			}
		}
	}
	return match
}

func ternary(ok bool, s string) string {
	if ok {
		return s
	}
	return ""
}

// known says that a name tells devices apart: it is there and was not taken out.
func known(s string) bool { return s != "" && s != redacted }

func worse(c Capability, before, after Finding) bool {
	if after.State != before.State {
		// Whether something is not there, broken or not known comes to the same for a program.
		return after.State < before.State && before.State >= Claimed
	}
	return slices.Index(c.Levels, after.Level) < slices.Index(c.Levels, before.Level)
}

func outcome(f Finding) string {
	if f.Level != "" {
		return f.State.String() + " (" + f.Level + ")"
	}
	return f.State.String()
}
