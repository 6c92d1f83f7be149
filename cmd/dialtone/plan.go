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
	"github.com/dialtone-gpu/dialtone/hostcall/plan"
	"github.com/dialtone-gpu/dialtone/hostcall/probe"
)

type planJSON struct {
	Schema       int                      `json:"schema"`
	Device       capabilities.Description `json:"device"`
	Policy       plan.Policy              `json:"policy"`
	Transport    plan.Transport           `json:"transport"`
	Reason       string                   `json:"reason"` // of the transport
	Services     []plan.Decision          `json:"services"`
	Capabilities []capabilities.Finding   `json:"capabilities"`
	Defines      []string                 `json:"defines"` // what the kernel library is compiled with
}

// planning are the flags of a policy.
type planning struct {
	trust, transport string
	force            []string
}

func (f *planning) policy() (plan.Policy, error) {
	o := plan.Policy{Trust: plan.Trust(f.trust), Transport: plan.Transport(f.transport)}
	if f.trust == "normal" {
		o.Trust = plan.Normal
	}
	for _, text := range f.force {
		if err := o.Override(text); err != nil {
			return o, usage(fmt.Errorf("--force: %w", err))
		}
	}
	return o, usage(o.Check())
}

func (p *process) newPlan() *cobra.Command {
	var asJSON bool
	var from string
	var flags planning
	cmd := &cobra.Command{
		Use:   "plan [DEVICE]",
		Short: "Tell how each service reaches a kernel on a device, and why",
		Long: `Looks at what a device can do, by doing it, and tells for each family of calls how it is
served there, by which rule, on which evidence, and what would make a better way possible.
What was found is kept for the next time. With --from a report of probe is planned from,
which may be of another machine.`,
		Example: `  dialtone plan
  dialtone plan opencl:0
  dialtone plan --json cuda:0 | jq '.services[] | {service, route}'
  dialtone plan --from report.json --policy strict
  dialtone plan --force timer.global=no --transport relaunch`,
		Args: between(0, 1, ""),
		RunE: func(cmd *cobra.Command, args []string) error {
			policy, err := flags.policy()
			if err != nil {
				return err
			}
			show := func(report *planJSON) error {
				if asJSON {
					return printJSON(cmd.OutOrStdout(), report)
				}
				return report.table(cmd.OutOrStdout())
			}
			if from != "" {
				r, err := readReport(from)
				if err != nil {
					return err
				}
				d, err := r.Device(strings.Join(args, ""))
				if err != nil {
					return usage(err)
				}
				return show(planOf(d.Description, d.Set(), policy))
			}
			device := strings.Join(args, "")
			if device == "" { // found in other processes: a driver that crashes is not this one's end
				if device, err = p.best(cmd.Context()); err != nil {
					return deviceError(err)
				}
			}
			return p.on(cmd.Context(), device, func(ctx context.Context, dev *hal.Device) error {
				info := dev.Info()
				p.stage("probing %s", info.URI)
				found, err := probe.Device(ctx, dev)
				if err != nil {
					return err
				}
				p.progress.done()
				return show(planOf(capabilities.Describe(info), found, policy))
			})
		},
	}
	f := cmd.Flags()
	f.BoolVar(&asJSON, "json", false, "print JSON")
	f.StringVar(&from, "from", "", "plan from this `report` of probe --json; - is standard input")
	f.StringVar(&flags.trust, "policy", "normal", "strict: only what is proven; normal: a driver's word too where it is all there can be; trusting: all claims")
	f.StringVar(&flags.transport, "transport", "", "what carries calls, whatever is known: mailbox, relaunch or none")
	f.StringSliceVar(&flags.force, "force", nil, "`CAPABILITY[=yes|no]`: plan as if it were there, or not")
	return cmd
}

func planOf(d capabilities.Description, found capabilities.Set, policy plan.Policy) *planJSON {
	made := policy.Make(d.URI, found)
	return &planJSON{
		Schema: schema, Device: d, Policy: policy, Transport: made.Transport, Reason: made.Reason, Services: made.Decisions,
		Capabilities: append([]capabilities.Finding{}, found.List()...), Defines: made.Defines,
	}
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
	fmt.Fprintf(w, "\n  because %s\n\n", r.Reason)

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
			c, _ := capabilities.Find(string(f.ID))
			state += fmt.Sprintf(" (%.4g %s)", f.Value, c.Unit)
		}
		for _, fact := range f.Facts {
			took := ""
			if fact.Took > 0 {
				took = fmt.Sprintf(" [%v]", fact.Took.Round(10*time.Microsecond))
			}
			fmt.Fprintf(t, "%s\t%s\t%s: %s%s%s\n", id, state, fact.Source, fact.Value, fact.Error, took)
			id, state = "", ""
		}
		if len(f.Facts) == 0 {
			fmt.Fprintf(t, "%s\t%s\t%s\n", id, state, f.Reason)
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
