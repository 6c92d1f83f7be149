// Package capabilities says what a device can really do, and how that is known.
//
// A [Fact] is what a query or a trial returned, with its source. A [Finding] is the state of one
// capability with the facts that decided it. What a driver merely declares is only [Claimed] ([Claims]
// derives that from the facts); a probe does the thing it asks about, and [Judge] puts both together.
//
// The contract of a probe, whoever runs it: it was done and checked ([Proven]); it cannot be done ([No], or
// [Broken] where the driver claims it); anything else, such as a crash, a time limit or a device that was lost
// before, leaves the capability [Unknown] with the reason. Only what is not Unknown may be remembered.
//
// Nothing here decides what to do with it: that is package plan's. Nothing here runs a kernel either: that is
// package probe's, so that reports can be read, compared and planned from without a device.
package capabilities

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/dialtone-gpu/dialtone/hal"
)

// State is how sure a capability is.
type State uint8

// States, worst first for planning: Proven and Forced are relied on, Claimed only as a policy has it.
const (
	Unknown State = iota // not asked, or the probe gave no answer
	No                   // it is not there
	Broken               // claimed, and the proof failed
	Claimed              // the driver says so
	Proven               // it was done
	Forced               // the user says so
)

var stateNames = []string{"unknown", "no", "broken", "claimed", "proven", "forced"}

// String names the state.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("state %d", uint8(s))
}

// MarshalText is String, for reports.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads the name of a state; any other text is an error.
func (s *State) UnmarshalText(text []byte) error {
	i := slices.Index(stateNames, string(text))
	if i < 0 {
		return fmt.Errorf("no state %q; there are %s", text, strings.Join(stateNames, ", "))
	}
	*s = State(i)
	return nil
}

// Fact is one observation: an answer of the driver, or what a probe saw.
type Fact = hal.Fact

// Finding is what is known of a capability on one device.
type Finding struct {
	ID    ID     `json:"id"`
	State State  `json:"state"`
	Level string `json:"level,omitempty"` // how far it goes, one of the capability's Levels
	// Value is a measured figure in the unit that the catalogue gives for it: a latency or a tick in nanoseconds.
	Value float64 `json:"value,omitempty"`
	// Reason says why, where the facts do not: what kept a probe from an answer, or whose word is against whose.
	Reason string `json:"reason,omitempty"`
	Facts  []Fact `json:"facts"`
}

// Set holds a device's findings.
type Set map[ID]Finding

// Has reports whether id may be relied on.
func (s Set) Has(id ID) bool { return s[id].State >= Proven }

// List gives the findings sorted by ID.
func (s Set) List() []Finding {
	var list []Finding
	for _, f := range s {
		list = append(list, f)
	}
	slices.SortFunc(list, func(a, b Finding) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

// SetOf is the set with these findings; of two about one capability the later counts.
func SetOf(findings []Finding) Set {
	s := Set{}
	for _, f := range findings {
		s[f.ID] = f
	}
	return s
}

// Silent is the Reason of what no driver's answer and no probe is about.
const Silent = "nothing here declares or tries it"

// Judge puts what the driver claims and what probes found together, for every capability of the catalogue. A proof
// counts for more than a claim, a failed proof of a claim is Broken, and a probe without an answer leaves the capability
// Unknown whatever is claimed: it may have crashed over it. Facts of both are kept.
func Judge(claims, proofs Set) Set {
	all := Set{}
	for _, c := range Catalogue {
		claim, proof := claims[c.ID], proofs[c.ID]
		_, claimed := claims[c.ID]
		_, tried := proofs[c.ID]
		var f Finding
		switch {
		case tried && claimed:
			f = proof
			f.Facts = append(slices.Clone(proof.Facts), claim.Facts...)
			switch {
			case claim.State == Claimed && proof.State == No:
				f.State = Broken
				f.Reason = join(proof.Reason, "the driver claims it")
			case claim.State == No && proof.State == Proven:
				f.Reason = join(proof.Reason, "the driver denies it")
			}
		case tried:
			f = proof
		case claimed:
			f = claim
		default:
			f.Reason = Silent
		}
		f.ID = c.ID
		if f.Facts == nil {
			f.Facts = []Fact{}
		}
		all[c.ID] = f
	}
	return all
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + "; " + b
}
