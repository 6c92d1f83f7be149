package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func (p *process) newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "dialtone",
		Short: "Programs and kernels that call the operating system, on GPUs and other devices",
		Long: `dialtone runs ordinary programs, in Rust, Go and C, and kernels on any vendor's GPU and on the
host's own cores. While they run they print, read files, tell the time and exit.

A device is named BACKEND:NUMBER, as in cuda:0, opencl:1 or cpu:0. Where none is named, the
best one is taken.`,
		Example: `  dialtone devices
  dialtone plan cuda:0
  dialtone run --dir .:/ examples/programs/rust/hello.rs
  dialtone run --dir .:/ examples/hello/hello.kernel.c
  dialtone run --device cpu:0 --grid 64 --dir src:/ examples/grep/grep.kernel.c PATTERN /`,
		Version:       version(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("no command %q; dialtone --help lists what there is", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetVersionTemplate("{{.Version}}\n")
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetErr(p.stderr)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef("%w; see %s --help", err, cmd.CommandPath())
	})
	root.AddCommand(p.newDevices(), p.newProbe(), p.newExplain(), p.newDiff(), p.newRequire(), p.newPlan(), p.newRun(), p.newBench())
	return root
}

// between wants between least and most arguments; what names them.
func between(least, most int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return usagef("%s is missing; see %s --help", what, cmd.CommandPath())
		case most >= 0 && len(args) > most:
			return usagef("%q is too much; see %s --help", args[most], cmd.CommandPath())
		}
		return nil
	}
}

// version is what the Go tool knows about this binary.
func version() string {
	name, commit, changed := "(unknown)", "", ""
	if info, ok := debug.ReadBuildInfo(); ok {
		if info.Main.Version != "" {
			name = info.Main.Version
		}
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision" && len(s.Value) >= 12:
				commit = ", commit " + s.Value[:12]
			case s.Key == "vcs.modified" && s.Value == "true":
				changed = ", modified"
			}
		}
	}
	return fmt.Sprintf("dialtone %s%s%s, %s, %s/%s", name, commit, changed, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
