package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/samber/lo"
	"github.com/spf13/cobra"

	"github.com/dialtone-gpu/dialtone/capabilities"
	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/hostcall/probe"
)

// surveying are the flags of commands that ask devices, or read a report instead.
type surveying struct {
	depth   string
	limit   time.Duration
	storage string
	from    string
}

func (s *surveying) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.DurationVar(&s.limit, "timeout", 15*time.Second, "how long one step may take; what takes longer is unknown")
	f.StringVar(&s.storage, "storage", "", "the `folder` on whose file system direct transfers are tried; the one for temporary files if not given")
}

func (s *surveying) fromFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&s.from, "from", "", "take what is in this `report` instead of asking devices; - is standard input")
}

// survey asks the devices, all of them if none is named.
func (p *process) survey(ctx context.Context, s surveying, devices []string, only []capabilities.ID) (*capabilities.Report, error) {
	if s.limit <= 0 {
		return nil, usagef("--timeout %v: want more than nothing", s.limit)
	}
	depth := capabilities.Depth(s.depth)
	switch depth {
	case "", capabilities.DepthDeclared, capabilities.DepthFunctional:
	default:
		return nil, usagef("--depth %q: want %s or %s", s.depth, capabilities.DepthDeclared, capabilities.DepthFunctional)
	}
	ctx, stop := p.untilSignal(ctx)
	defer stop()
	defer p.insist(ctx)()
	r, err := probe.Survey(ctx, &probe.Options{
		Devices: devices, Depth: depth, Only: only, Limit: s.limit, Storage: s.storage, Tool: version(), Progress: p.progress.stage,
	})
	p.progress.done()
	if err != nil {
		return nil, interrupted(ctx, deviceError(err))
	}
	return r, nil
}

// report is that of a file, or of the devices.
func (p *process) report(ctx context.Context, s surveying, devices []string, only []capabilities.ID) (*capabilities.Report, error) {
	if s.from != "" {
		return readReport(s.from)
	}
	return p.survey(ctx, s, devices, only)
}

// best is the device that commands take where none is named.
func (p *process) best(ctx context.Context) (string, error) {
	infos, missing, err := probe.List(ctx, &probe.Options{Progress: p.progress.stage})
	p.progress.done()
	if err != nil {
		return "", err
	}
	for _, i := range infos {
		if !i.Sim {
			return i.URI, nil
		}
	}
	return "", fmt.Errorf("no device: %s: %w", strings.Join(lo.Map(missing, func(m capabilities.Missing, _ int) string { return m.Reason }), "; "), hal.ErrNoDevice)
}

func readReport(path string) (*capabilities.Report, error) {
	in := io.Reader(os.Stdin)
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, usage(err)
		}
		defer f.Close()
		in = f
	}
	r, err := capabilities.Decode(in)
	if err != nil {
		return nil, usage(fmt.Errorf("%s: %w", path, err))
	}
	return r, nil
}

func (p *process) newProbe() *cobra.Command {
	var s surveying
	var asJSON, asSchema, redact, verbose bool
	cmd := &cobra.Command{
		Use:   "probe [DEVICE...]",
		Short: "Find out what devices can do, by doing it",
		Long: `Asks the drivers of all devices, or of those named, what they claim, and then tries it: words that
go to a running kernel and back, clocks that are compared, atomics that have to add up. Each device is
probed in processes of its own: a driver that crashes or hangs is a result. See explain for what a
capability means and how it is proven.

  proven   it was done                    no       it is not there
  claimed  the driver says so             broken   the driver says so, and doing it failed
  unknown  not asked, or no answer came   forced   the user says so (plan)`,
		Example: `  dialtone probe
  dialtone probe cuda:0 --json > before.json
  dialtone probe --depth declared
  dialtone probe --json --redact | gzip > for-a-bug-report.json.gz`,
		Args: between(0, -1, ""),
		RunE: func(cmd *cobra.Command, args []string) error {
			if asSchema {
				_, err := io.WriteString(cmd.OutOrStdout(), capabilities.JSONSchema)
				return err
			}
			r, err := p.report(cmd.Context(), s, args, nil)
			if err != nil {
				return err
			}
			if s.from != "" && len(args) > 0 {
				var named []capabilities.Device
				for _, uri := range args {
					d, err := r.Device(uri)
					if err != nil {
						return usage(err)
					}
					named = append(named, d)
				}
				r.Devices = named
				r.Physical = lo.Filter(r.Physical, func(same []string, _ int) bool {
					return lo.EveryBy(same, func(uri string) bool {
						return lo.ContainsBy(named, func(d capabilities.Device) bool { return d.URI == uri })
					})
				})
			}
			if redact {
				r = capabilities.Redact(r)
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), r)
			}
			return reportTable(cmd.OutOrStdout(), r, verbose)
		},
	}
	s.flags(cmd)
	s.fromFlag(cmd)
	f := cmd.Flags()
	f.StringVar(&s.depth, "depth", string(capabilities.DepthFunctional), "declared: only ask the drivers; functional: also try")
	f.BoolVar(&asJSON, "json", false, "print the report as JSON")
	f.BoolVar(&asSchema, "schema", false, "print the JSON Schema of reports")
	f.BoolVar(&redact, "redact", false, "take out UUIDs, PCI addresses, names of host and user, and paths")
	f.BoolVarP(&verbose, "verbose", "v", false, "print texts in full, and every fact")
	return cmd
}

// evidenceColumns is how much of the evidence a table shows.
const evidenceColumns = 80

func reportTable(w io.Writer, r *capabilities.Report, verbose bool) error {
	cut := shorten
	if verbose {
		cut = func(s string, _ int) string { return s }
	}
	if r.Origin == capabilities.Written {
		fmt.Fprintf(w, "written, not recorded: %s\n\n", r.Note)
	}
	if len(r.Devices) == 0 {
		fmt.Fprintln(w, "no devices")
	}
	for i, d := range r.Devices {
		if i > 0 {
			fmt.Fprintln(w)
		}
		simulated := ""
		if d.Sim {
			simulated = " (SIMULATED: no hardware is behind it)"
		}
		fmt.Fprintf(w, "%s: %s, %s%s\ndriver %s\n", d.URI, d.Name, d.Kind, simulated, d.Driver)
		for _, same := range r.Physical {
			if others := lo.Without(same, d.URI); len(others) < len(same) {
				fmt.Fprintf(w, "the same hardware as %s\n", strings.Join(others, ", "))
			}
		}
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "\nCAPABILITY\tSTATE\tLEVEL\tEVIDENCE")
		var silent []string
		for _, f := range d.Capabilities {
			if !verbose && f.State == capabilities.Unknown && f.Reason == capabilities.Silent {
				silent = append(silent, string(f.ID))
				continue
			}
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", f.ID, f.State, f.Level, cut(evidence(f), evidenceColumns))
		}
		if verbose {
			fmt.Fprintln(t, "\nFACT\tVALUE\t\tSOURCE")
			for _, f := range d.Facts {
				fmt.Fprintf(t, "%s\t%s%s\t\t%s\n", f.Name, f.Value, lo.Ternary(f.Error != "", "("+f.Error+")", ""), f.Source)
			}
		}
		if err := t.Flush(); err != nil {
			return err
		}
		if silent != nil {
			fmt.Fprintf(w, "unknown, since nothing declares or tries it here: %s\n", strings.Join(silent, ", "))
		}
		list(w, "contradictions", lo.Map(d.Violations, func(v capabilities.Violation, _ int) string { return v.Rule + ": " + v.Text }))
		list(w, "what went wrong", d.Troubles)
	}
	list(w, "contradictions between drivers", lo.Map(r.Violations, func(v capabilities.Violation, _ int) string { return v.Text }))
	list(w, "not on this machine", lo.Map(r.Missing, func(m capabilities.Missing, _ int) string {
		first, _, _ := strings.Cut(m.Reason, "\n")
		return m.Backend + ": " + cut(strings.TrimPrefix(first, m.Backend+": "), reasonColumns)
	}))
	return nil
}

func list(w io.Writer, title string, lines []string) {
	if len(lines) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s:\n", title)
	for _, l := range lines {
		fmt.Fprintf(w, "  %s\n", l)
	}
}

// evidence is a finding's facts, its figure and its reason in a line.
func evidence(f capabilities.Finding) string {
	var parts []string
	if f.Value != 0 {
		c, _ := capabilities.Find(string(f.ID))
		parts = append(parts, strings.TrimSpace(fmt.Sprintf("%.4g %s", f.Value, c.Unit)))
	}
	for _, fact := range f.Facts {
		what := lo.Ternary(fact.Name != "", fact.Name, fact.Source)
		parts = append(parts, what+": "+fact.Value+fact.Error)
	}
	if f.Reason != "" && !strings.Contains(strings.Join(parts, "; "), f.Reason) {
		parts = append(parts, f.Reason)
	}
	return strings.ReplaceAll(strings.Join(parts, "; "), "\n", " ")
}
