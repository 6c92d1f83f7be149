package probe_test

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dialtone-gpu/dialtone/capabilities"
	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/hostcall/probe"
	"github.com/dialtone-gpu/dialtone/internal/devicetest"
)

func TestMain(m *testing.M) {
	devicetest.EmulateHIP()
	devicetest.EmulateMetal() // children load what their parents built, before they ask for devices
	probe.Child()
	devicetest.Main(m)
}

func TestDevices(t *testing.T) {
	devicetest.ForEach(t, func(t *testing.T, dev *hal.Device) {
		cache := t.TempDir()
		t.Setenv("DIALTONE_CACHE", cache)
		set, err := probe.Device(t.Context(), dev)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range set.List() {
			t.Logf("%-16s %-8s %s", f.ID, f.State, f.Facts[0].Value)
		}
		for _, id := range probe.Planned() {
			f, ok := set[id]
			switch {
			case !ok:
				t.Errorf("%s was not asked", id)
			case f.ID != id || len(f.Facts) == 0 || f.Facts[0].Source == "" || f.Facts[0].Value == "":
				t.Errorf("%s has no facts: %+v", id, f)
			case f.State == capabilities.Claimed || f.State == capabilities.Forced:
				t.Errorf("%s is %s, which no probe can find", id, f.State)
			}
		}
		info := dev.Info()
		// What the project promises to work on.
		wanted := []capabilities.ID{capabilities.ExecBasic}
		switch {
		case info.Backend == "cpu", info.Backend == "hip":
			wanted = append(wanted, capabilities.CommMailbox, capabilities.Access64, capabilities.TimerGlobal)
		case info.Backend == "cuda":
			wanted = append(wanted, capabilities.CommMailbox, capabilities.Access64)
		case info.Platform == "Portable Computing Language":
			wanted = append(wanted, capabilities.CommMailbox)
		}
		for _, id := range wanted {
			if !set.Has(id) {
				t.Errorf("%s is %s: %+v", id, set[id].State, set[id].Facts)
			}
		}

		entries, err := filepath.Glob(filepath.Join(cache, "probe2-*.json"))
		if err != nil || len(entries) != 1 {
			t.Fatalf("the cache has %q (%v)", entries, err)
		}
		start := time.Now()
		again, err := probe.Device(t.Context(), dev)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(set, again); d != "" {
			t.Errorf("the cache gives others (after %v):\n%s", time.Since(start), d)
		}
		// A damaged entry is as good as none.
		if err := os.WriteFile(entries[0], []byte(`[{"ID":`), 0o600); err != nil {
			t.Fatal(err)
		}
		if again, err = probe.Device(t.Context(), dev); err != nil || !again.Has(capabilities.ExecBasic) {
			t.Errorf("after a damaged entry: %v, %+v", err, again)
		}
	})
}

func TestCancelled(t *testing.T) {
	devicetest.ForEach(t, func(t *testing.T, dev *hal.Device) {
		t.Setenv("DIALTONE_CACHE", t.TempDir())
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if set, err := probe.Device(ctx, dev); err == nil {
			t.Errorf("found %+v", set)
		} else if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

func TestNothingIsLeftBehind(t *testing.T) {
	devicetest.ForEach(t, func(t *testing.T, dev *hal.Device) {
		if testing.Short() {
			t.Skip("it probes seven times")
		}
		t.Setenv("DIALTONE_CACHE", t.TempDir())
		devicetest.Leaks(t, func() {
			os.RemoveAll(os.Getenv("DIALTONE_CACHE"))
			if _, err := probe.Device(t.Context(), dev); err != nil {
				t.Error(err)
			}
		})
	})
}

// TestAdvances: a counter that stands still has not advanced; one that begins anew has, but for once.
func TestAdvances(t *testing.T) {
	for _, c := range []struct {
		readings []uint64
		times    int
		sum      uint64
	}{
		{[]uint64{7, 7, 7, 7}, 0, 0},
		{[]uint64{1, 3, 6, 10}, 3, 9},
		{[]uint64{1<<20 - 9, 1<<20 - 2, 4, 10}, 2, 13},
		{[]uint64{9, 8, 7, 6}, 0, 0},
	} {
		raw := make([]byte, 8*len(c.readings))
		for i, v := range c.readings {
			binary.LittleEndian.PutUint64(raw[8*i:], v)
		}
		if times, sum := probe.Advances(raw, len(c.readings)); times != c.times || sum != c.sum {
			t.Errorf("%d: %d times, %d in all", c.readings, times, sum)
		}
	}
}
