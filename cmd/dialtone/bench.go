package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/hostcall/plan"
	"github.com/dialtone-gpu/dialtone/internal/bench"
)

func (p *process) newBench() *cobra.Command {
	var (
		device string
		asJSON bool
		opts   bench.Options
	)
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure hostcalls against the floor of the same device",
		Long: `Measures how long hostcalls take and how many a device makes, against a bare flag that goes
back and forth through the same memory in the same process, and prints the ratios.`,
		Example: `  dialtone bench
  dialtone bench --device cuda:0 --json > result.json`,
		Args: between(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			over := plan.Policy{Transport: opts.Transport}
			if err := over.Check(); err != nil {
				return usage(err)
			}
			return p.on(cmd.Context(), device, func(ctx context.Context, dev *hal.Device) error {
				p.progress.done()
				opts.Progress = p.stderr
				report, err := bench.Run(ctx, dev, opts)
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(cmd.OutOrStdout(), report)
				}
				return report.WriteTable(cmd.OutOrStdout())
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&device, "device", "", "the `device`, as dialtone devices lists them; the best one if not given")
	transportFlag(cmd, (*string)(&opts.Transport))
	f.BoolVar(&asJSON, "json", false, "print JSON")
	f.BoolVar(&opts.Quick, "quick", false, "repeat less often")
	return cmd
}
