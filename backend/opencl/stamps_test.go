package opencl

import (
	"strings"
	"testing"
	"time"
)

func TestWrongStamps(t *testing.T) {
	ms := uint64(time.Millisecond)
	for _, c := range []struct {
		name string
		all  [2]stamps
		want string // "" where nothing is wrong
	}{
		{"as it should be", [2]stamps{{1, 2, 3, 4}, {5, 6, 7, 5 * ms}}, ""},
		{"the second is queued while the first one runs", [2]stamps{{1, 2, 10, 20}, {3, 4, 20, 5 * ms}}, ""},
		{"zeros", [2]stamps{}, "queued at 0"},
		{"one constant", [2]stamps{{9, 9, 9, 9}, {9, 9, 9, 9}}, "ended at 9"},
		{"backwards", [2]stamps{{1, 2, 4, 3}, {5, 6, 7, 8}}, "ended at 3"},
		{"started before submitted", [2]stamps{{1, 3, 2, 4}, {5, 6, 7, 8}}, "submitted at 3"},
		{"longer than the host saw", [2]stamps{{1, 2, 3, 4}, {5, 6, 7, 50 * ms}}, "the host waited"},
		{"in the wrong order", [2]stamps{{1, 2, 10, 20}, {3, 4, 19, 5 * ms}}, "before the one in front"},
		{"more work in less time", [2]stamps{{1, 2, 3, 3 * ms}, {3 * ms, 3 * ms, 3 * ms, 4 * ms}}, "instead of"},
	} {
		got := wrongStamps(c.all, [2]time.Duration{10 * time.Millisecond, 10 * time.Millisecond})
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
