package opencl_test

import (
	"errors"
	"testing"

	"github.com/dialtone-gpu/dialtone/hal"
)

// TestTrials runs what drivers are tried with: each is done, or cannot be done, and does not stay open. The platforms that are
// known by name do what they did before.
func TestTrials(t *testing.T) {
	d := open(t, usual)
	does := map[string]map[string]bool{
		pocl:       {"mem.svm coarse": true, "mem.svm fine-buffer": true, "mem.svm fine-system": true, "mem.pageable ": true, "timer.boundary ": true},
		"rusticl":  {"mem.svm coarse": true, "mem.svm fine-buffer": true, "mem.svm fine-system": true, "mem.pageable ": true, "timer.boundary ": true},
		"Oclgrind": {"timer.boundary ": true},
	}[d.Info().Platform]
	for _, one := range d.Trials() {
		name := one.Capability + " " + one.Level
		if one.Risky && !d.Info().HostCPU {
			t.Logf("%s: left to the survey, which has a process for it", name)
			continue
		}
		detail, err := one.Run(t.Context(), t.TempDir())
		t.Logf("%s: %s %v", name, detail, err)
		switch {
		case err != nil && !errors.Is(err, hal.ErrUnsupported):
			t.Errorf("%s: %v", name, err)
		case does != nil && does[name] != (err == nil):
			t.Errorf("%s: %v", name, err)
		case err == nil && detail == "":
			t.Errorf("%s is proven by nothing", name)
		}
	}
	if len(d.Trials()) == 0 {
		t.Error("there are no trials")
	}
}
