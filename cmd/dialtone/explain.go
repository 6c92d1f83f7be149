package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/dialtone-gpu/dialtone/capabilities"
	"github.com/dialtone-gpu/dialtone/hostcall/plan"
)

func (p *process) newExplain() *cobra.Command {
	var s surveying
	cmd := &cobra.Command{
		Use:   "explain [CAPABILITY [DEVICE]]",
		Short: "Tell what a capability means, how it is proven, and what is known of it on a device",
		Long: `Tells what a capability means, what it does not imply, how it is proven, which drivers' answers
claim it, and which services' routes rest on it. With a device it is tried there and the evidence
printed. Without a capability all of them are listed.`,
		Example: `  dialtone explain
  dialtone explain comm.mailbox
  dialtone explain mem.concurrent cuda:0
  dialtone explain timer.global --from report.json cuda:0`,
		Args: between(0, 2, ""),
		RunE: func(cmd *cobra.Command, args []string) error {
			w := cmd.OutOrStdout()
			if len(args) == 0 {
				return catalogueTable(w)
			}
			c, err := capabilities.Find(args[0])
			if err != nil {
				return usage(err)
			}
			if len(args) == 1 && s.from == "" {
				explain(w, c)
				return nil
			}
			r, err := p.report(cmd.Context(), s, args[1:], []capabilities.ID{c.ID})
			if err != nil {
				return err
			}
			explain(w, c)
			d, err := r.Device(strings.Join(args[1:], ""))
			if err != nil {
				return usage(err)
			}
			known(w, r, d, d.Set()[c.ID])
			return nil
		},
	}
	s.flags(cmd)
	s.fromFlag(cmd)
	return cmd
}

func catalogueTable(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "CAPABILITY\tPROOF\tMEANING")
	for _, c := range capabilities.Catalogue {
		fmt.Fprintf(t, "%s\t%s\t%s\n", c.ID, c.Proof, c.Meaning)
	}
	return t.Flush()
}

func explain(w io.Writer, c capabilities.Capability) {
	fmt.Fprintf(w, "%s: %s\n\n", c.ID, c.Meaning)
	fmt.Fprintf(w, "does not imply  %s\n", c.NotMeant)
	fmt.Fprintf(w, "proof           %s: %s\n", c.Proof, c.ProvenBy)
	if c.Levels != nil {
		fmt.Fprintf(w, "levels          %s\n", strings.Join(c.Levels, " < "))
	}
	if c.Unit != "" {
		fmt.Fprintf(w, "figure          in %s\n", c.Unit)
	}
	if c.Limit {
		fmt.Fprintln(w, "a limit         having it is no gain")
	}
	if services := plan.ReadBy(c.ID); len(services) > 0 {
		var names []string
		for _, s := range services {
			names = append(names, string(s))
		}
		fmt.Fprintf(w, "read by         %s\n", strings.Join(names, ", "))
	}
	claimed := false
	for _, r := range capabilities.ClaimRules {
		if r.ID != c.ID {
			continue
		}
		if !claimed {
			fmt.Fprintln(w, "\nclaimed by")
			claimed = true
		}
		var parts []string
		for _, cond := range r.If {
			parts = append(parts, strings.TrimSpace(fmt.Sprintf("%s %s %s", cond.Fact, cond.Op, cond.Arg)))
		}
		what := strings.Join(parts, " and ")
		if r.If == nil {
			what = "nothing: " + r.Reason
		}
		if r.Level != "" {
			what += " (" + r.Level + ")"
		}
		fmt.Fprintf(w, "  %-7s %s\n", r.Backend, what)
	}
}

func known(w io.Writer, r *capabilities.Report, d capabilities.Device, f capabilities.Finding) {
	fmt.Fprintf(w, "\non %s, %s:\n", d.URI, d.Name)
	if r.Origin == capabilities.Written {
		fmt.Fprintln(w, "  written, not recorded")
	}
	if d.Sim {
		fmt.Fprintln(w, "  simulated: no hardware is behind it")
	}
	state := f.State.String()
	if f.Level != "" {
		state += ", " + f.Level
	}
	if f.Value != 0 {
		c, _ := capabilities.Find(string(f.ID))
		state += fmt.Sprintf(", %.4g %s", f.Value, c.Unit)
	}
	fmt.Fprintf(w, "  %s\n", state)
	if f.Reason != "" {
		fmt.Fprintf(w, "  because %s\n", f.Reason)
	}
	for _, fact := range f.Facts {
		took := ""
		if fact.Took > 0 {
			took = fmt.Sprintf(" [%v]", fact.Took.Round(time.Microsecond))
		}
		name := fact.Source
		if fact.Name != "" {
			name += " " + fact.Name
		}
		fmt.Fprintf(w, "  %s: %s%s%s\n", name, fact.Value, fact.Error, took)
	}
	for _, t := range slices.Concat(d.Troubles) {
		fmt.Fprintf(w, "  went wrong: %s\n", t)
	}
}
