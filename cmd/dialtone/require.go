package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/samber/lo"
	"github.com/spf13/cobra"

	"github.com/dialtone-gpu/dialtone/capabilities"
	"github.com/dialtone-gpu/dialtone/hal"
)

func (p *process) newRequire() *cobra.Command {
	var s surveying
	var quiet bool
	cmd := &cobra.Command{
		Use:   "require CAPABILITY[=LEVEL]... [DEVICE]",
		Short: "Exit with 0 if a device has capabilities, with 1 if not",
		Long: `Tries the capabilities on a device, the best one if none is named, and exits with 0 if it has all of
them. Proven is what counts, unless the driver's word is all there can be. LEVEL is one of the
capability's (see explain), or claimed, proven, or no: known not to be there.`,
		Example: `  dialtone require comm.mailbox timer.global cuda:0
  dialtone require atomic.dev64=full && echo all 64-bit atomics
  dialtone require io.file.read.direct --storage /mnt/nvme`,
		Args: between(1, -1, "CAPABILITY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var wants []capabilities.Requirement
			var devices []string
			for i, a := range args {
				name, _, _ := strings.Cut(a, ":")
				if i == len(args)-1 && i > 0 && (strings.Contains(a, ":") || lo.Contains(hal.Backends(), name)) {
					devices = []string{a}
					continue
				}
				r, err := capabilities.ParseRequirement(a)
				if err != nil {
					return usage(err)
				}
				wants = append(wants, r)
			}
			device := strings.Join(devices, "")
			if device == "" && s.from == "" {
				best, err := p.best(cmd.Context())
				if err != nil {
					return err
				}
				device, devices = best, []string{best}
			}
			r, err := p.report(cmd.Context(), s, devices, lo.Map(wants, func(r capabilities.Requirement, _ int) capabilities.ID { return r.ID }))
			if err != nil {
				return err
			}
			d, err := r.Device(device)
			if err != nil {
				return usage(err)
			}
			var missing []error
			for _, w := range wants {
				if err := w.Met(d.Set()); err != nil {
					missing = append(missing, err)
				}
			}
			switch {
			case missing == nil:
				return nil
			case quiet:
				return status{code: exitFailure}
			}
			return fmt.Errorf("%s: %w", d.URI, errors.Join(missing...))
		},
	}
	s.flags(cmd)
	s.fromFlag(cmd)
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "only the exit code")
	return cmd
}
