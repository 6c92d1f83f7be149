package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/hostcall"
	"github.com/dialtone-gpu/dialtone/internal/devicetest"
)

func TestMain(m *testing.M) {
	devicetest.EmulateHIP()
	devicetest.Main(m)
}

func TestCustom(t *testing.T) {
	fruits := []string{"apple", "pear", "plum", "cherry", "quince", "fig", "grape"}
	var want []string
	for id := range 16 {
		if n := id % 10; n < len(fruits) {
			want = append(want, fmt.Sprintf("lane %d: item-%d is %s (%d bytes)", id, n, fruits[n], len(fruits[n])))
		} else {
			want = append(want, fmt.Sprintf("lane %d: item-%d is not there (error 2)", id, n))
		}
	}
	want = append(want, "16 lanes called, their ids add up to 120")
	slices.Sort(want)
	devicetest.ForEach(t, func(t *testing.T, dev *hal.Device) {
		rt, err := hostcall.New(t.Context(), dev, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer rt.Close()
		if err := rt.Plan().NeedsHost(); err != nil {
			t.Skipf("no hostcalls on this device: %v", err)
		}
		var out strings.Builder
		if err := run(t.Context(), dev.Info().URI, &out); err != nil {
			t.Fatal(err)
		}
		got := strings.Split(strings.TrimSpace(out.String()), "\n")
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
}
