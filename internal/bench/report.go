package bench

import (
	"fmt"
	"io"
	"strings"
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

// WriteTable renders the report for people, as Options.Table does while it is measured.
func (r Report) WriteTable(w io.Writer) error {
	t := table{w: w}
	t.head(r)
	for _, row := range r.Rows {
		t.row(row)
	}
	for _, l := range r.LeftOut {
		t.leftOut(l)
	}
	return t.err
}

// table writes a report line by line, each as soon as it is there, so that a run which is stopped has said what it measured. Columns have
// fixed widths for that.
type table struct {
	w   io.Writer
	err error // the first
}

func (t *table) line(what, figure, p99, ratio, target, note string) {
	t.print("%s\n", strings.TrimRight(fmt.Sprintf("%-80s  %-14s  %-8s  %-8s  %-26s  %s", what, figure, p99, ratio, target, note), " "))
}

func (t *table) print(format string, a ...any) {
	if t.w == nil || t.err != nil {
		return
	}
	_, t.err = fmt.Fprintf(t.w, format, a...)
}

func (t *table) head(r Report) {
	t.print("%s  %s\n%s; %s\n\n", r.Device, r.Name, r.Driver, r.Host)
	t.line("what", "figure", "p99", "ratio", "target", "")
}

func (t *table) row(row Row) {
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
	t.line(row.Name, fmt.Sprintf("%.4g %s", row.Value, row.Unit), p99, ratio, target, row.Note)
}

func (t *table) leftOut(l LeftOut) { t.print("left out: %s: %s\n", l.What, l.Reason) }
