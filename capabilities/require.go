package capabilities

import (
	"fmt"
	"slices"
	"strings"
)

// Requirement is what a script wants of a capability.
type Requirement struct {
	ID    ID
	State State  // at least this
	Level string // at least this, "" any
}

// ParseRequirement reads CAPABILITY, CAPABILITY=LEVEL, CAPABILITY=claimed or CAPABILITY=no. Without a state the capability has to
// be proven, or claimed where nothing more can be had.
func ParseRequirement(text string) (Requirement, error) {
	name, want, given := strings.Cut(text, "=")
	c, err := Find(name)
	if err != nil {
		return Requirement{}, err
	}
	r := Requirement{ID: c.ID, State: Proven}
	if c.Proof == Declared {
		r.State = Claimed
	}
	switch {
	case !given:
	case want == "claimed":
		r.State = Claimed
	case want == "proven":
		r.State = Proven
	case want == "no":
		r.State = No
	case c.Has(want):
		r.Level = want
	default:
		return Requirement{}, fmt.Errorf("%s has no level %q; there are %s", c.ID, want, strings.Join(append(slices.Clone(c.Levels), "no", "claimed", "proven"), ", "))
	}
	return r, nil
}

// Met gives nil, or what is missing.
func (r Requirement) Met(s Set) error {
	f := s[r.ID]
	c, err := Find(string(r.ID))
	if err != nil {
		return err
	}
	why := f.Reason
	if why == "" && len(f.Facts) > 0 {
		why = f.Facts[0].Source + ": " + f.Facts[0].Value + f.Facts[0].Error
	}
	if r.State == No {
		if f.State == No || f.State == Broken {
			return nil
		}
		return fmt.Errorf("%s is %s, not known to be missing: %s", r.ID, f.State, why)
	}
	if f.State < r.State {
		return fmt.Errorf("%s is %s, not %s: %s", r.ID, f.State, r.State, why)
	}
	if r.Level != "" && slices.Index(c.Levels, f.Level) < slices.Index(c.Levels, r.Level) {
		return fmt.Errorf("%s goes as far as %q, not %q: %s", r.ID, f.Level, r.Level, why)
	}
	return nil
}
