package hostcall_test

import (
	"fmt"
	"testing"

	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/hostcall"
	"github.com/dialtone-gpu/dialtone/hostcall/wire"
)

// TestLap has the sequence numbers of the slots come round during a run.
func TestLap(t *testing.T) {
	forEach(t, func(t *testing.T, dev target) {
		mailboxOnly(t, dev, "it has no slots whose numbers come round")
		for _, tagged := range []bool{true, false} {
			t.Run(fmt.Sprintf("tagged %v", tagged), func(t *testing.T) {
				rt, _ := callsRuntime(t, dev, nil)
				hostcall.SetTagged(rt, tagged)
				p := load(t, rt, "calls")
				text := pattern(40_000)
				memory := buffer(t, dev, text)
				lanes := dev.Info().Subgroup
				for _, ticket := range []uint32{wire.SeqMask - 40, wire.SeqMask - 3, wire.SeqMask - 2, wire.SeqMask - 1, wire.SeqMask, 3<<wire.SeqBits - 5, 1<<31 - 4} {
					preset := func(g, b int) {
						t.Helper()
						if err := hostcall.PresetTickets(rt, grid(g), grid(b), ticket); err != nil {
							t.Fatal(err)
						}
					}
					preset(2, lanes)
					checked(t, dev, p, hostcall.Launch{Kernel: "short_words", Grid: grid(2), Group: grid(lanes)})
					checked(t, dev, p, hostcall.Launch{Kernel: "short_words", Grid: grid(2), Group: grid(lanes)})
					preset(1, lanes)
					checked(t, dev, p, hostcall.Launch{Kernel: "errors", Group: grid(lanes)})
					// Many packets for one call.
					preset(1, lanes)
					sums := buffer(t, dev, make([]byte, 4*lanes))
					checked(t, dev, p, hostcall.Launch{Kernel: "large", Group: grid(lanes),
						Args: []hal.Arg{hal.Memory(memory), hal.Memory(sums), hal.Int32(1000)}})
				}
			})
		}
	})
}
