package main

import (
	"context"
	"errors"
	"os"
	"time"

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
	var limit time.Duration
	cmd := &cobra.Command{
		Use:   "programs",
		Short: "Measure ordinary programs on a device",
		Long: `Measures what an instruction of a program takes that is interpreted, programs in each tier, a
program's calls against a kernel's, many instances against a core that runs the program
natively, and the start of a program. The programs are examples, which rustc and clang compile
now, unless there is a folder where that was done before (.ci/programs.go does it).

A program that takes the device's compiler longer than --compile-limit is left out, with a word
about it. NVRTC takes minutes for Rust programs that are compiled wholly; what it has compiled is
kept for the next time.`,
		Example: `  dialtone bench programs
  dialtone bench programs --device cuda:0 --programs bundle/programs`,
		Args: between(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if folder != "" {
				if _, err := os.ReadDir(folder); err != nil {
					return usagef("--programs: %w", err)
				}
			}
			if limit <= 0 {
				return usagef("--compile-limit %v: want more than nothing", limit)
			}
			own, err := os.Executable()
			if err != nil {
				return err
			}
			return p.bench(cmd, &j, func(ctx context.Context, dev *hal.Device) (bench.Report, error) {
				return bench.Programs(ctx, dev, bench.ProgramOptions{Options: j.opts, Folder: folder, Command: own, Limit: limit})
			})
		},
	}
	j.flags(cmd)
	cmd.Flags().StringVar(&folder, "programs", "", "a `folder` with the example programs, built; they are built now if not given")
	cmd.Flags().DurationVar(&limit, "compile-limit", bench.DefaultLimit, "leave out what takes the device's compiler longer than that `time`")
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

// bench measures a device, and prints the report: as a table line by line, as JSON in the end. What stops it stops neither.
func (p *process) bench(cmd *cobra.Command, j *benchJob, measure func(context.Context, *hal.Device) (bench.Report, error)) error {
	over := plan.Policy{Transport: j.opts.Transport}
	if err := over.Check(); err != nil {
		return usage(err)
	}
	return p.on(cmd.Context(), j.device, func(ctx context.Context, dev *hal.Device) error {
		p.progress.done()
		j.opts.Progress = p.stderr
		if !j.asJSON {
			j.opts.Table = cmd.OutOrStdout()
		}
		report, err := measure(ctx, dev)
		if j.asJSON && report.Schema > 0 {
			err = errors.Join(err, printJSON(cmd.OutOrStdout(), report))
		}
		return err
	})
}
