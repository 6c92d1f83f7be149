package main

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/hostcall/errno"
	"github.com/dialtone-gpu/dialtone/internal/devicetest"
)

func TestMain(m *testing.M) { devicetest.Main(m) }

// What a run leaves in the warehouse does not depend on the order in which the work-items came, as long as
// all orders of an item are of one size.
func TestFill(t *testing.T) {
	devicetest.ForEach(t, func(t *testing.T, dev *hal.Device) {
		for _, n := range []int{1, 5, 100, 1000} {
			w := newWarehouse()
			var orders []order
			for i := range n {
				orders = append(orders, order{[]string{"bolt", "nut", "washer", "gear", "sprocket"}[i%5], 4})
			}
			var out bytes.Buffer
			if err := fill(t.Context(), dev, w, orders, &out); err != nil {
				t.Fatal(err)
			}
			each := [5]int{}
			for i := range n {
				each[i%5]++
			}
			if got, want := w.items["bolt"].left, uint32(5000-4*each[0]); got != want {
				t.Errorf("%d orders: %d bolts are left, want %d", n, got, want)
			}
			if got, want := w.items["nut"].left, uint32(80-4*min(20, each[1])); got != want {
				t.Errorf("%d orders: %d nuts are left, want %d", n, got, want)
			}
			if got, want := w.items["gear"].left, uint32(30-4*min(7, each[3])); got != want {
				t.Errorf("%d orders: %d gears are left, want %d", n, got, want)
			}
			count := map[errno.Errno]int{}
			for _, e := range w.booked {
				count[e]++
			}
			want := map[errno.Errno]int{errno.ENOENT: each[4], errno.ENOSPC: max(0, each[1]-20) + max(0, each[3]-7)}
			want[errno.OK] = n - want[errno.ENOENT] - want[errno.ENOSPC]
			for e, n := range want {
				if count[e] != n {
					t.Errorf("%d orders: %d booked with %s, want %d", n, count[e], e.Name(), n)
				}
			}
			check(t, orders, out.String())
		}
	})
}

// check looks at the lines that the kernel printed.
func check(t *testing.T, orders []order, out string) {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	if len(lines) != len(orders) {
		t.Errorf("%d lines for %d orders", len(lines), len(orders))
	}
	shelves := map[string]string{"bolt": "A1", "nut": "A2", "washer": "B1", "gear": "C7 top"}
	filled := regexp.MustCompile(`^order (\d+): (\d+) x (\w+) from shelf ([\w ]+), \d+ left$`)
	failed := regexp.MustCompile(`^order (\d+): (\d+) x (\w+): (no such item|not enough of it)$`)
	seen := map[string]bool{}
	for _, l := range lines {
		m := filled.FindStringSubmatch(l)
		if m == nil {
			m = failed.FindStringSubmatch(l)
			if m != nil && (m[4] == "no such item") != (m[3] == "sprocket") {
				t.Errorf("%q: the wrong reason", l)
			}
		} else if shelves[m[3]] != m[4] {
			t.Errorf("%q: the wrong shelf", l)
		}
		if m == nil {
			t.Errorf("a line is %q", l)
			continue
		}
		i := slices.IndexFunc(orders, func(o order) bool { return o.item == m[3] && fmt.Sprint(o.quantity) == m[2] })
		if i < 0 || seen[m[1]] {
			t.Errorf("%q is no order, or came twice", l)
		}
		seen[m[1]] = true
	}
}

func TestRun(t *testing.T) {
	devicetest.ForEach(t, func(t *testing.T, dev *hal.Device) {
		var out bytes.Buffer
		if err := run(t.Context(), dev.Info().URI, 10, &out); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(out.String(), "\n")
		want := []string{"10 orders booked, 8 filled; failed: 2 with ENOENT", "left: 11 x gear, 4983 x bolt, 69 x nut, 999975 x washer", ""}
		if got := lines[max(0, len(lines)-3):]; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
	if err := run(t.Context(), "nothing:0", 1, new(bytes.Buffer)); err == nil {
		t.Error("a device that does not exist was opened")
	}
}
