package bench

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

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
	for _, name := range []string{"c/compute.c", "c/recurse.c", "rust/sort.rs"} { // skips where there are none
		wasmtest.Example(t, name)
	}
	var table, again strings.Builder
	report, err := Programs(t.Context(), dev, ProgramOptions{Options: Options{Quick: true, Table: &table}, Folder: os.Getenv(wasmtest.Variable)})
	if err != nil {
		t.Fatal(err)
	}
	if err := report.WriteTable(&again); err != nil || sorted(again.String()) != sorted(table.String()) { // there, what is left out comes last
		t.Errorf("%v; the report's table is\n%s\nand while it was measured it was\n%s", err, &again, &table)
	}
	want := []string{"an interpreted instruction, lone instance of c/compute.c", "an interpreted instruction, lone instance of c/recurse.c", "the host's time, a kernel", "the host's time, a program", "a write of nothing, a kernel", "a write of nothing, a program"}
	for _, tier := range program.Tiers() {
		if !slices.ContainsFunc(report.LeftOut, func(l LeftOut) bool { return strings.HasSuffix(l.What, string(tier)) }) {
			want = append(want, "c/compute.c 1, "+string(tier), "c/recurse.c 1, "+string(tier))
		}
	}
	if !slices.ContainsFunc(report.LeftOut, func(l LeftOut) bool { return strings.Contains(l.Reason, "to compare with") }) {
		want = append(want, "instances of rust/sort.rs", "-n 100, against a core")
	}
	rows(t, report, want...)
	if !slices.Contains(report.LeftOut, LeftOut{"the start of a program", "no command was named to run"}) {
		t.Errorf("left out: %+v", report.LeftOut)
	}
}

// sorted has the lines of a text in order.
func sorted(text string) string {
	return strings.Join(slices.Sorted(strings.Lines(text)), "")
}

// TestStopped ends a run when it has its first figure, which is not lost.
func TestStopped(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var table strings.Builder
	report, err := Programs(ctx, first(t), ProgramOptions{Folder: t.TempDir(), Options: Options{Quick: true, Table: writer(func(line []byte) (int, error) {
		if strings.Contains(string(line), "a kernel's call") {
			cancel()
		}
		return table.Write(line)
	})}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	rows(t, report, "the host's time, a kernel")
	if !strings.Contains(table.String(), "the host's time, a kernel's call") {
		t.Errorf("the table is\n%s", &table)
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(b []byte) (int, error) { return w(b) }

// TestCompileLimit: what takes too long to compile is left out, with that reason, and the rest goes on.
func TestCompileLimit(t *testing.T) {
	t.Setenv("DIALTONE_CACHE", t.TempDir()) // what is compiled already does not take long
	folder := t.TempDir()
	module := filepath.Join(folder, "examples", "programs", "c")
	if err := os.MkdirAll(module, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"compute.c.wasm", "recurse.c.wasm"} {
		if err := os.WriteFile(filepath.Join(module, name), asking(wantsTime, 1), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	report, err := Programs(t.Context(), first(t), ProgramOptions{Options: Options{Quick: true}, Folder: folder, Limit: time.Nanosecond})
	if err != nil {
		t.Fatal(err)
	}
	late := 0
	for _, l := range report.LeftOut {
		if strings.Contains(l.Reason, "takes more than 1ns") {
			late++
		}
	}
	if late != 3 || len(report.LeftOut) != 5 || len(report.Rows) != 0 {
		t.Errorf("%d of %+v; measured were %+v", late, report.LeftOut, report.Rows)
	}
}

// TestCompilerProcess: the process that compiles ends in time, and its crash is a reason.
func TestCompilerProcess(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the command is a shell script")
	}
	folder := t.TempDir()
	for script, want := range map[string]string{
		"exec sleep 600":              "context deadline exceeded",
		"echo so it is >&2; exit 139": "ended with exit status 139: so it is",
		"kill -ABRT $$":               "ended with signal: aborted",
		"echo not here >&2; exit 1":   "",
	} {
		command := filepath.Join(folder, "command")
		if err := os.WriteFile(command, []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		start := time.Now()
		b := &programsBench{command: command, work: folder}
		err := b.compile(ctx, "c/compute.c", nil, program.Whole, []string{"0"})
		cancel()
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", script, err, want)
		}
		if took := time.Since(start); took > 4*time.Second {
			t.Errorf("%s: it took %v", script, took)
		}
	}
}

// TestWithoutPrograms has a folder without any: what needs none is measured all the same, and the rest named.
func TestWithoutPrograms(t *testing.T) {
	report, err := Programs(t.Context(), first(t), ProgramOptions{Options: Options{Quick: true}, Folder: t.TempDir(), Command: "/nowhere/dialtone"})
	if err != nil {
		t.Fatal(err)
	}
	rows(t, report, "the host's time, a kernel", "the host's time, a program", "a write of nothing, a kernel", "a write of nothing, a program")
	if len(report.Rows) != 4 || len(report.LeftOut) != 4 {
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
