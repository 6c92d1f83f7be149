package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/dialtone-gpu/dialtone/capabilities"
	"github.com/dialtone-gpu/dialtone/hostcall/probe"
)

// schema is the version of the JSON that commands print. It changes when something is renamed, removed or means something else.
const schema = 1

type missingJSON struct {
	Backend string `json:"backend"`
	Reason  string `json:"reason"`
}

type devicesJSON struct {
	Schema  int                        `json:"schema"`
	Devices []capabilities.Description `json:"devices"` // best first
	Missing []missingJSON              `json:"missing"`
}

func (p *process) newDevices() *cobra.Command {
	var asJSON, verbose bool
	cmd := &cobra.Command{
		Use:   "devices",
		Short: "List every device, best first",
		Long: `Lists the devices of every backend, best first: the first one that is not simulated is what
the other commands take where none is named. Backends that cannot work on this machine are
listed beneath with the reason.`,
		Example: `  dialtone devices
  dialtone devices -v
  dialtone devices --json | jq -r '.devices[].uri'`,
		Args: between(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			p.stage("looking for devices")
			infos, missing, err := probe.List(cmd.Context(), nil) // a driver that crashes or hangs does so elsewhere
			p.progress.done()
			if err != nil {
				return err
			}
			report := devicesJSON{Schema: schema, Devices: []capabilities.Description{}, Missing: []missingJSON{}}
			for _, i := range infos {
				report.Devices = append(report.Devices, capabilities.Describe(i))
			}
			for _, m := range missing {
				report.Missing = append(report.Missing, missingJSON{m.Backend, m.Reason})
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), report)
			}
			return report.table(cmd.OutOrStdout(), verbose)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "print names and reasons in full")
	return cmd
}

// Columns that names and drivers get unless everything is wanted, so that a line has about a hundred.
const (
	nameColumns   = 30
	driverColumns = 28
	reasonColumns = 86
)

func (r devicesJSON) table(w io.Writer, verbose bool) error {
	cut := shorten
	if verbose {
		cut = func(s string, _ int) string { return s }
	}
	if len(r.Devices) == 0 {
		fmt.Fprintln(w, "no devices")
	} else {
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "URI\tNAME\tKIND\tSUBGROUP\tUNITS\tMEMORY\tDRIVER")
		for _, d := range r.Devices {
			kind := d.Kind
			if d.Sim {
				kind += " (simulated)"
			}
			fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%d\t%s\t%s\n", d.URI, cut(d.Name, nameColumns), kind, d.Subgroup, d.Units, size(d.Memory), cut(d.Driver, driverColumns))
		}
		if err := t.Flush(); err != nil {
			return err
		}
	}
	if len(r.Missing) == 0 {
		return nil
	}
	var b strings.Builder
	b.WriteString("\nnot on this machine:\n")
	for _, m := range r.Missing {
		lines := strings.Split(strings.TrimSpace(m.Reason), "\n")
		lines[0] = strings.TrimPrefix(lines[0], m.Backend+": ")
		if !verbose {
			lines = lines[:1]
		}
		fmt.Fprintf(&b, "  %-7s %s\n", m.Backend, cut(lines[0], reasonColumns))
		for l := range slices.Values(lines[1:]) {
			fmt.Fprintf(&b, "  %-7s %s\n", "", l)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// size renders bytes for people.
func size(n uint64) string {
	switch {
	case n == 0:
		return "-"
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%d KiB", n>>10)
}
