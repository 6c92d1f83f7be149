package bench

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/hostcall/policy"
	"github.com/dialtone-gpu/dialtone/internal/devicetest"
	"github.com/dialtone-gpu/dialtone/internal/wasmtest"
	"github.com/dialtone-gpu/dialtone/program"
)

func TestMain(m *testing.M) { devicetest.Main(m) }

// first is the first one under test.
func first(t *testing.T) *hal.Device {
	t.Helper()
	devices := devicetest.All(t)
	if len(devices) == 0 {
		t.Skip("there is no device under test")
	}
	return devices[0]
}

// TestAsking has another runtime run the modules that make a call many times.
func TestAsking(t *testing.T) {
	for _, rounds := range []uint32{1, 63, 64, 20000, 1 << 20} {
		for _, call := range []wanted{wantsTime, wantsWrite} {
			got, err := wasmtest.Run(t.Context(), asking(call, rounds), policy.Policy{Args: []string{"asking"}})
			if err != nil || got != (wasmtest.Ran{}) {
				t.Errorf("%s, %d rounds: %+v, %v", call.name, rounds, got, err)
			}
		}
	}
}

// rows are the names of a report's, with those that must be there.
func rows(t *testing.T, report Report, want ...string) {
	t.Helper()
	var names []string
	for _, r := range report.Rows {
		names = append(names, r.Name)
		if r.Value <= 0 || r.Unit == "" {
			t.Errorf("%+v", r)
		}
		if h200 := strings.Contains(report.Name, "H200"); (r.Target != "" || r.Met != nil) && !h200 {
			t.Errorf("%s is judged on %s", r.Name, report.Name)
		}
	}
	for _, w := range want {
		if !slices.ContainsFunc(names, func(n string) bool { return strings.Contains(n, w) }) {
			t.Errorf("no row %q among %q; left out: %+v", w, names, report.LeftOut)
		}
	}
}

func TestPrograms(t *testing.T) {
	dev := first(t)
	for _, name := range []string{"c/recurse.c", "rust/sort.rs"} { // skips where there are none
		wasmtest.Example(t, name)
	}
	report, err := Programs(t.Context(), dev, ProgramOptions{Options: Options{Quick: true}, Folder: os.Getenv(wasmtest.Variable)})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"an interpreted instruction, lone instance of c/recurse.c", "the host's time, a kernel", "the host's time, a program", "a write of nothing, a kernel", "a write of nothing, a program"}
	for _, tier := range program.Tiers() {
		what := "c/recurse.c 1, " + string(tier)
		if !slices.ContainsFunc(report.LeftOut, func(l LeftOut) bool { return strings.HasSuffix(l.What, string(tier)) }) {
			want = append(want, what)
		}
	}
	if !slices.ContainsFunc(report.LeftOut, func(l LeftOut) bool { return strings.Contains(l.Reason, "to compare with") }) {
		want = append(want, "instances of rust/sort.rs")
	}
	rows(t, report, want...)
	if !slices.Contains(report.LeftOut, LeftOut{"the start of a program", "no command was named to run"}) {
		t.Errorf("left out: %+v", report.LeftOut)
	}
}

// TestWithoutPrograms has a folder without any: what needs none is measured all the same, and the rest named.
func TestWithoutPrograms(t *testing.T) {
	report, err := Programs(t.Context(), first(t), ProgramOptions{Options: Options{Quick: true}, Folder: t.TempDir(), Command: "/nowhere/dialtone"})
	if err != nil {
		t.Fatal(err)
	}
	rows(t, report, "the host's time, a kernel", "the host's time, a program", "a write of nothing, a kernel", "a write of nothing, a program")
	if len(report.Rows) != 4 || len(report.LeftOut) != 3 {
		t.Errorf("%d rows, left out: %+v", len(report.Rows), report.LeftOut)
	}
	var table strings.Builder
	if err := report.WriteTable(&table); err != nil {
		t.Fatal(err)
	}
	for _, l := range report.LeftOut {
		if !strings.Contains(l.Reason, "rs.wasm") && !strings.Contains(l.Reason, "c.wasm") || !strings.Contains(table.String(), "left out: "+l.What+": "+l.Reason+"\n") {
			t.Errorf("%+v is not in\n%s", l, &table)
		}
	}
}
