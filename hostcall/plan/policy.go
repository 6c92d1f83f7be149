package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dialtone-gpu/dialtone/capabilities"
)

// Trust is what a plan relies on.
type Trust string

const (
	// Normal relies on what is proven, and on a driver's word where it is all there can be. It is the default.
	Normal Trust = ""
	// Strict relies on what is proven alone.
	Strict Trust = "strict"
	// Trusting relies on whatever a driver claims and no proof refuted: it shows what a device would do if it kept its word.
	Trusting Trust = "trusting"
)

// Policy is what a plan may rely on. The zero value is the default.
type Policy struct {
	Trust Trust `json:"trust,omitempty"`
	// Force says of capabilities that they are there, whatever is known.
	Force []capabilities.ID `json:"force,omitempty"`
	// Deny says of capabilities that they are not there; it counts for more than Force.
	Deny []capabilities.ID `json:"deny,omitempty"`
	// Transport is the one to take, whatever is known; empty: the best.
	Transport Transport `json:"transport,omitempty"`
}

// Check finds names that do not exist.
func (o Policy) Check() error {
	if !slices.Contains([]Trust{Normal, Strict, Trusting}, o.Trust) {
		return fmt.Errorf("no policy %q; there are normal, %s, %s", o.Trust, Strict, Trusting)
	}
	if o.Transport != "" && !slices.Contains(Transports, o.Transport) {
		return fmt.Errorf("no transport %q; there are %s, %s, %s", o.Transport, Mailbox, Stopping, None)
	}
	for _, id := range slices.Concat(o.Force, o.Deny) {
		if _, err := capabilities.Find(string(id)); err != nil {
			return err
		}
	}
	return nil
}

// Override adds what "CAPABILITY" or "CAPABILITY=no" says.
func (o *Policy) Override(text string) error {
	name, value, given := strings.Cut(text, "=")
	c, err := capabilities.Find(name)
	switch {
	case err != nil:
		return err
	case given && value == "no":
		o.Deny = append(o.Deny, c.ID)
	case given && value != "yes":
		return fmt.Errorf("%s=%s: want %s, %s=yes or %s=no", name, value, name, name, name)
	default:
		o.Force = append(o.Force, c.ID)
	}
	return nil
}

// force is the set with the overrides; the original is left as it is.
func (o Policy) force(set capabilities.Set) capabilities.Set {
	all := capabilities.Set{}
	for id, f := range set {
		all[id] = f
	}
	override := func(ids []capabilities.ID, state capabilities.State, what string) {
		for _, id := range ids {
			f := all[id]
			f.ID, f.State, f.Reason = id, state, ""
			f.Facts = append([]capabilities.Fact{{Source: "policy", Value: what + fmt.Sprintf("; it was %s", all[id].State)}}, f.Facts...)
			all[id] = f
		}
	}
	override(o.Force, capabilities.Forced, "forced")
	override(o.Deny, capabilities.No, "denied")
	return all
}
