package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/samber/lo"
	"github.com/spf13/cobra"

	"github.com/dialtone-gpu/dialtone/capabilities"
	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/hostcall"
	"github.com/dialtone-gpu/dialtone/hostcall/plan"
)

type planJSON struct {
	Schema       int                    `json:"schema"`
	Device       deviceJSON             `json:"device"`
	Transport    string                 `json:"transport"`
	Services     []plan.Decision        `json:"services"`
	Capabilities []capabilities.Finding `json:"capabilities"`
	Defines      []string               `json:"defines"` // what the kernel library is compiled with
}

func (p *process) newPlan() *cobra.Command {
	var asJSON bool
	var transport string
	cmd := &cobra.Command{
		Use:   "plan [DEVICE]",
		Short: "Tell how each service reaches a kernel on a device, and why",
		Long: `Looks at what a device can do, by doing it, and tells for each family of calls how it is
served there, by which rule, on which evidence, and what would make a better way possible.
What was found is kept for the next time.`,
		Example: `  dialtone plan
  dialtone plan opencl:0
  dialtone plan --json cuda:0 | jq '.services[] | {service, route}'`,
		Args: between(0, 1, ""),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.on(cmd.Context(), strings.Join(args, ""), func(ctx context.Context, dev *hal.Device) error {
				report, err := p.plan(ctx, dev, transport)
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(cmd.OutOrStdout(), report)
				}
				return report.table(cmd.OutOrStdout())
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	transportFlag(cmd, &transport)
	return cmd
}

func (p *process) plan(ctx context.Context, dev *hal.Device, transport string) (*planJSON, error) {
	info := dev.Info()
	p.stage("probing %s", info.URI)
	rt, err := hostcall.New(ctx, dev, &hostcall.Options{Transport: transport})
	if err != nil {
		return nil, err
	}
	p.progress.done()
	made := rt.Plan()
	return &planJSON{
		Schema: schema, Device: describe(info), Transport: made.Transport, Services: made.Decisions,
		Capabilities: rt.Capabilities().List(), Defines: append([]string{}, made.Defines...),
	}, rt.Close()
}

func (r *planJSON) table(w io.Writer) error {
	d := r.Device
	simulated := ""
	if d.Sim {
		simulated = ", simulated"
	}
	fmt.Fprintf(w, "%s: %s, %s%s\n", d.URI, d.Name, d.Kind, simulated)
	fmt.Fprintf(w, "driver %s, kernels as %s for %s\n", d.Driver, d.Dialect, d.Arch)
	fmt.Fprintf(w, "%d units, subgroups of %d, groups of up to %d, %d subgroups resident\n", d.Units, d.Subgroup, d.MaxGroup, d.Resident)
	fmt.Fprintf(w, "memory %s: %s\n", size(d.Memory), strings.Join(d.MemoryKinds, ", "))
	fmt.Fprintf(w, "transport %s", r.Transport)
	if len(r.Defines) > 0 {
		fmt.Fprintf(w, ", kernel library with %s", strings.Join(r.Defines, ", "))
	}
	fmt.Fprint(w, "\n\n")

	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "SERVICE\tROUTE\tRULE")
	for _, s := range r.Services {
		fmt.Fprintf(t, "%s\t%s\t%s\n", s.Service, s.Route, s.Rule)
		fmt.Fprintf(t, "\t\t  evidence: %s\n", r.evidence(s.Evidence))
		if s.Better != "" {
			fmt.Fprintf(t, "\t\t  better with: %s\n", s.Better)
		}
	}
	fmt.Fprintln(t)
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(t, "CAPABILITY\tSTATE\tFACTS")
	for _, f := range r.Capabilities {
		id, state := string(f.ID), f.State.String()
		if f.Value != 0 {
			state += fmt.Sprintf(" (%.4g ns)", f.Value)
		}
		for _, fact := range f.Facts {
			took := ""
			if fact.Took > 0 {
				took = fmt.Sprintf(" [%v]", fact.Took.Round(10*time.Microsecond))
			}
			fmt.Fprintf(t, "%s\t%s\t%s: %s%s\n", id, state, fact.Source, fact.Value, took)
			id, state = "", ""
		}
		if len(f.Facts) == 0 {
			fmt.Fprintf(t, "%s\t%s\t\n", id, state)
		}
	}
	return t.Flush()
}

// evidence lists capabilities with how sure they are.
func (r *planJSON) evidence(ids []capabilities.ID) string {
	return strings.Join(lo.Map(ids, func(id capabilities.ID, _ int) string {
		found, _ := lo.Find(r.Capabilities, func(f capabilities.Finding) bool { return f.ID == id })
		return fmt.Sprintf("%s (%s)", id, found.State)
	}), ", ")
}
