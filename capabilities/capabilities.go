// Package capabilities says what a device can really do, and how that is known.
//
// A [Fact] is what a query or a trial returned, with its source. A [Finding] is the state of one
// capability with the facts that decided it. A probe does the thing it asks about; what a driver
// merely declares is only [Claimed]. Nothing here decides what to do with it: that is package plan's.
package capabilities

import (
	"slices"
	"time"
)

// ID names a capability; the catalogue is closed.
type ID string

// The catalogue, as far as a plan reads it.
const (
	ExecBasic   ID = "exec.basic"
	CommMailbox ID = "comm.mailbox"
	Access64    ID = "access.single64"
	TimerGlobal ID = "timer.global"
	HostYield   ID = "exec.hostyield"
)

// Capability is an entry of the catalogue.
type Capability struct {
	ID       ID
	Meaning  string
	NotMeant string // what it does not imply
	ProvenBy string
}

// Catalogue lists every capability, sorted by ID.
var Catalogue = []Capability{
	{Access64, "an aligned 64-bit load or store between device and host is one access", "64-bit atomics",
		"both halves of every word that arrived belonged together"},
	{CommMailbox, "the host and a running kernel see each other's writes in host-coherent memory", "atomic read-modify-write over the bus",
		"words exchanged both ways while the kernel ran"},
	{ExecBasic, "a kernel compiles, runs and writes what it should where it should", "anything about speed",
		"position-dependent values between guard words"},
	{HostYield, "a waiting kernel on a host processor can give its core away", "fairness among kernels",
		"a kernel with the system call ran to its end"},
	{TimerGlobal, "a clock of constant rate that a kernel reads without the host", "the time of day",
		"it advanced, never went back across groups, and agreed with the host within 1%"},
}

// State is how sure a capability is.
type State uint8

// States, worst first for planning: only Proven and Forced are relied on.
const (
	Unknown State = iota // not asked, or the probe gave no answer
	No                   // it is not there
	Broken               // claimed, and the proof failed
	Claimed              // the driver says so
	Proven               // it was done
	Forced               // the user says so
)

// String names the state.
func (s State) String() string {
	return [...]string{"unknown", "no", "broken", "claimed", "proven", "forced"}[s]
}

// MarshalText is String, for reports.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Fact is one observation.
type Fact struct {
	Source string        `json:"source"` // the query or the trial
	Value  string        `json:"value"`
	Took   time.Duration `json:"took_ns"`
}

// Finding is what is known of a capability on one device.
type Finding struct {
	ID    ID      `json:"id"`
	State State   `json:"state"`
	Value float64 `json:"value,omitempty"` // a measured figure: latency or tick in nanoseconds
	Facts []Fact  `json:"facts"`
}

// Set holds a device's findings.
type Set map[ID]Finding

// Has reports whether id may be relied on.
func (s Set) Has(id ID) bool { return s[id].State >= Proven }

// List gives the findings sorted by ID.
func (s Set) List() []Finding {
	var list []Finding
	for _, c := range Catalogue {
		if f, ok := s[c.ID]; ok {
			list = append(list, f)
		}
	}
	slices.SortFunc(list, func(a, b Finding) int { return compare(a.ID, b.ID) })
	return list
}

func compare(a, b ID) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
