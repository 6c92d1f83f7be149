package main

import (
	"context"
	"os"

	"github.com/spf13/cobra"

	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/hostcall/plan"
	"github.com/dialtone-gpu/dialtone/internal/bench"
)

func (p *process) newBench() *cobra.Command {
	var j benchJob
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure hostcalls against the floor of the same device",
		Long: `Measures how long hostcalls take and how many a device makes, against a bare flag that goes
back and forth through the same memory in the same process, and prints the ratios.`,
		Example: `  dialtone bench
  dialtone bench --device cuda:0 --json > result.json`,
		Args: between(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.bench(cmd, &j, func(ctx context.Context, dev *hal.Device) (bench.Report, error) { return bench.Run(ctx, dev, j.opts) })
		},
	}
	j.flags(cmd)
	cmd.AddCommand(p.newBenchPrograms())
	return cmd
}

func (p *process) newBenchPrograms() *cobra.Command {
	var j benchJob
	var folder string
	cmd := &cobra.Command{
		Use:   "programs",
		Short: "Measure ordinary programs on a device",
		Long: `Measures what an instruction of a program takes that is interpreted, programs in each tier, a
program's calls against a kernel's, many instances against a core that runs the program
natively, and the start of a program. The programs are examples, which rustc and clang compile
now, unless there is a folder where that was done before (.ci/programs.go does it).`,
		Example: `  dialtone bench programs
  dialtone bench programs --device cuda:0 --programs bundle/programs`,
		Args: between(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if folder != "" {
				if _, err := os.ReadDir(folder); err != nil {
					return usagef("--programs: %w", err)
				}
			}
			own, err := os.Executable()
			if err != nil {
				return err
			}
			return p.bench(cmd, &j, func(ctx context.Context, dev *hal.Device) (bench.Report, error) {
				return bench.Programs(ctx, dev, bench.ProgramOptions{Options: j.opts, Folder: folder, Command: own})
			})
		},
	}
	j.flags(cmd)
	cmd.Flags().StringVar(&folder, "programs", "", "a `folder` with the example programs, built; they are built now if not given")
	return cmd
}

// benchJob is the command line of bench.
type benchJob struct {
	device string
	asJSON bool
	opts   bench.Options
}

func (j *benchJob) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&j.device, "device", "", "the `device`, as dialtone devices lists them; the best one if not given")
	transportFlag(cmd, (*string)(&j.opts.Transport))
	f.BoolVar(&j.asJSON, "json", false, "print JSON")
	f.BoolVar(&j.opts.Quick, "quick", false, "repeat less often")
}

// bench measures a device, and prints the report.
func (p *process) bench(cmd *cobra.Command, j *benchJob, measure func(context.Context, *hal.Device) (bench.Report, error)) error {
	over := plan.Policy{Transport: j.opts.Transport}
	if err := over.Check(); err != nil {
		return usage(err)
	}
	return p.on(cmd.Context(), j.device, func(ctx context.Context, dev *hal.Device) error {
		p.progress.done()
		j.opts.Progress = p.stderr
		report, err := measure(ctx, dev)
		if err != nil {
			return err
		}
		if j.asJSON {
			return printJSON(cmd.OutOrStdout(), report)
		}
		return report.WriteTable(cmd.OutOrStdout())
	})
}
