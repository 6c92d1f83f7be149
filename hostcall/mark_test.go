package hostcall_test

import (
	"context"
	"testing"
	"time"

	"github.com/dialtone-gpu/dialtone/backend/hip/standin"
	"github.com/dialtone-gpu/dialtone/hostcall"
	"github.com/dialtone-gpu/dialtone/hostcall/plan"
	"github.com/dialtone-gpu/dialtone/internal/devicetest"
)

// TestMarkedEnd: of a silent kernel whose end the queue marks the driver is asked seldom; where it writes no mark, it is asked as before.
func TestMarkedEnd(t *testing.T) {
	dev := target{devicetest.Get(t, "hip:0"), plan.Mailbox}
	library := devicetest.StandIn(t, dev.Device)
	const silence = 500 * time.Millisecond
	rt := newRuntime(t, dev, nil)
	if err := rt.Register("hold", func(context.Context, *hostcall.Lane) error { time.Sleep(silence); return nil }); err != nil {
		t.Fatal(err)
	}
	p := loadText(t, rt, "mark.kernel.c", `
HC_IMPORT(hold);
KERNEL(k) {
    if (hc_call_words(hold, (hc_u32 *)0, 0u, 0u) < 0) hc_exit(1);
}
`)
	good(t, p, hostcall.Launch{}) // so that what is loaded at first is
	t.Cleanup(func() {
		if err := standin.Faults(library, ""); err != nil {
			t.Error(err)
		}
	})
	asked := func(faults string) (marks, queries int) {
		t.Helper()
		if err := standin.Faults(library, faults); err != nil {
			t.Fatal(err)
		}
		good(t, p, hostcall.Launch{})
		for call, n := range map[string]*int{"hipStreamWriteValue32": &marks, "hipStreamQuery": &queries} {
			var err error
			if *n, err = standin.Seen(library, call); err != nil {
				t.Fatal(err)
			}
		}
		return marks, queries
	}
	// The pauses between two questions grow by a tenth of the time so far, from 1 ms on: 50 in this time.
	marks, queries := asked("hipStreamWriteValue32=0,hipStreamQuery=0")
	if marks != 1 || queries < 1 || queries > 100 {
		t.Errorf("%d marks, the driver was asked %d times", marks, queries)
	}
	t.Logf("with a mark: asked %d times", queries)
	marks, queries = asked("hipStreamWriteValue32=1,hipStreamQuery=0") // hipErrorInvalidValue
	if marks != 1 || queries < 1 {
		t.Errorf("without: %d marks tried, the driver was asked %d times", marks, queries)
	}
	t.Logf("without: asked %d times", queries)
}
