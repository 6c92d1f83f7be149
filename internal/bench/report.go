package bench

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// Report is what a bench run measured. Every figure of one report comes from one process.
type Report struct {
	Schema int    `json:"schema"` // 1
	Device string `json:"device"`
	Name   string `json:"name"`
	Driver string `json:"driver"`
	Host   string `json:"host"` // operating system, architecture, cores
	Rows   []Row  `json:"rows"`
	// LeftOut is what could not be measured here.
	LeftOut []LeftOut `json:"left_out,omitempty"`
}

// LeftOut is something that was not measured, and why.
type LeftOut struct {
	What   string `json:"what"`
	Reason string `json:"reason"`
}

// Row is one figure.
type Row struct {
	Name   string  `json:"name"`
	Value  float64 `json:"value"`
	Unit   string  `json:"unit"`
	P99    float64 `json:"p99,omitempty"`    // same unit
	Ratio  float64 `json:"ratio,omitempty"`  // to the floor or the bandwidth of the same run
	Target string  `json:"target,omitempty"` // what an NVIDIA H200 has to reach
	Met    *bool   `json:"met,omitempty"`    // only where the target applies
	Note   string  `json:"note,omitempty"`
}

// WriteTable renders the report for people.
func (r Report) WriteTable(w io.Writer) error {
	fmt.Fprintf(w, "%s  %s\n%s; %s\n\n", r.Device, r.Name, r.Driver, r.Host)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "what\tfigure\tp99\tratio\ttarget\t")
	for _, row := range r.Rows {
		p99, ratio, target := "", "", row.Target
		if row.P99 > 0 {
			p99 = fmt.Sprintf("%.4g", row.P99)
		}
		if row.Ratio > 0 {
			ratio = fmt.Sprintf("%.2f", row.Ratio)
		}
		if row.Met != nil {
			if *row.Met {
				target += "  met"
			} else {
				target += "  MISSED"
			}
		}
		fmt.Fprintf(t, "%s\t%.4g %s\t%s\t%s\t%s\t%s\n", row.Name, row.Value, row.Unit, p99, ratio, target, row.Note)
	}
	err := t.Flush()
	for _, l := range r.LeftOut {
		fmt.Fprintf(w, "left out: %s: %s\n", l.What, l.Reason)
	}
	return err
}
