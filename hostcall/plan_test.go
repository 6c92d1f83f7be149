package hostcall_test

import (
	"strings"
	"testing"

	"github.com/dialtone-gpu/dialtone/capabilities"
	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/hostcall"
	"github.com/dialtone-gpu/dialtone/hostcall/plan"
	"github.com/dialtone-gpu/dialtone/internal/devicetest"
)

// TestPolicy: what a policy denies is not relied on, and a plan without the mailbox loads nothing.
func TestPolicy(t *testing.T) {
	devicetest.ForEach(t, func(t *testing.T, dev *hal.Device) {
		rt, err := hostcall.New(t.Context(), dev, &hostcall.Options{Policy: plan.Policy{
			Deny: []capabilities.ID{capabilities.CommMailbox, capabilities.TimerGlobal}, Force: []capabilities.ID{capabilities.ExecBasic},
		}})
		if err != nil {
			t.Fatal(err)
		}
		defer rt.Close()
		if p := rt.Plan(); p.Transport != plan.Stopping || p.Route(plan.Monotonic) != plan.Relaunch || p.Route(plan.Streams) != plan.Relaunch {
			t.Errorf("%+v", p)
		}
		if _, err := rt.Load(t.Context(), "k.kernel.c", "KERNEL(k) {}"); err == nil || !strings.Contains(err.Error(), "comm.mailbox") {
			t.Errorf("loaded: %v", err)
		}
		if _, err := hostcall.New(t.Context(), dev, &hostcall.Options{Policy: plan.Policy{Trust: "blind"}}); err == nil || !strings.Contains(err.Error(), "blind") {
			t.Errorf("a policy that is none: %v", err)
		}
	})
}
