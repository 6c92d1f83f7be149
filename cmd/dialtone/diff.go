package main

import (
	"fmt"

	"github.com/samber/lo"
	"github.com/spf13/cobra"

	"github.com/dialtone-gpu/dialtone/capabilities"
)

type diffJSON struct {
	Schema  int                   `json:"schema"`
	Changes []capabilities.Change `json:"changes"`
}

func (p *process) newDiff() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "diff BEFORE.json AFTER.json",
		Short: "Compare two reports; exit with 1 if anything got worse",
		Long: `Compares two reports of probe --json: those of one machine before and after an update of its driver,
or those of two machines. Devices are the same by their UUID, else by their PCI address, else by their
name. The exit code is 1 if a device is gone, or a capability less sure, of a lower level, or not told of any more
(in a report that was taken earlier it may not have been known yet).`,
		Example: `  dialtone probe --json > before.json
  sudo apt-get upgrade && sudo reboot
  dialtone probe --json > after.json
  dialtone diff before.json after.json`,
		Args: between(2, 2, "a report"),
		RunE: func(cmd *cobra.Command, args []string) error {
			before, err := readReport(args[0])
			if err != nil {
				return err
			}
			after, err := readReport(args[1])
			if err != nil {
				return err
			}
			changes := capabilities.Diff(before, after)
			if asJSON {
				if err := printJSON(cmd.OutOrStdout(), diffJSON{schema, changes}); err != nil {
					return err
				}
			} else {
				for _, c := range changes {
					fmt.Fprintf(cmd.OutOrStdout(), "%s %s\n", lo.Ternary(c.Regression, "worse  ", "changed"), c)
				}
			}
			if lo.SomeBy(changes, func(c capabilities.Change) bool { return c.Regression }) {
				return status{code: exitFailure}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
