package mailbox

import (
	"testing"

	"pgregory.net/rapid"
)

func TestCut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 4).Draw(t, "ranges")
		homes := rapid.IntRange(n, 5000).Draw(t, "homes")
		spare := rapid.IntRange(0, 64).Draw(t, "spare")
		end := 0
		for i := range n {
			from, to := cut(homes+spare, spare, n, i)
			if from != end {
				t.Fatalf("range %d begins at %d, the one before ended at %d", i, from, end)
			}
			if mine := min(to, homes) - from; mine < homes/n || mine > homes/n+1 {
				t.Fatalf("range %d has %d of %d homes", i, mine, homes)
			}
			end = to
		}
		if end != homes+spare {
			t.Fatalf("the ranges end at %d of %d", end, homes+spare)
		}
	})
}
