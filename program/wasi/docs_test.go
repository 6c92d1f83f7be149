package wasi_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/dialtone-gpu/dialtone/program/wasi"
)

// TestDocs: docs/programs.md has each call once in its table.
func TestDocs(t *testing.T) {
	b, err := os.ReadFile("../../docs/programs.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(b), "\n## The calls of WASI\n")
	if !found {
		t.Fatal("there is no table")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	listed := map[string]int{}
	for row := range strings.Lines(section) {
		cells := strings.Split(row, "|")
		if len(cells) < 3 {
			continue
		}
		for _, name := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(cells[1], -1) {
			listed[name[1]]++
		}
	}
	for _, c := range wasi.Calls() {
		if !c.Own && listed[c.Name] != 1 {
			t.Errorf("%s is listed %d times", c.Name, listed[c.Name])
		}
		delete(listed, c.Name)
	}
	for name := range listed {
		t.Errorf("%s is no call of the table", name)
	}
}
