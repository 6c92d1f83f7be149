package metal_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/dialtone-gpu/dialtone/backend/metal"
	"github.com/dialtone-gpu/dialtone/hal"
)

// loadTrial runs the trial of file queues on a device.
func loadTrial(t *testing.T, ctx context.Context, d *hal.Device, storage string) (string, error) {
	t.Helper()
	trials := d.Trials()
	if len(trials) != 1 || trials[0].Capability != "io.file.read.direct" || !trials[0].Risky {
		t.Fatalf("trials: %+v", trials)
	}
	detail, err := trials[0].Run(ctx, storage)
	if left, _ := os.ReadDir(storage); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	return detail, err
}

func TestLoadFile(t *testing.T) {
	d := open(t)
	detail, err := loadTrial(t, t.Context(), d, t.TempDir())
	must(t, err)
	if !strings.HasPrefix(detail, "1048576 bytes of a file on ") || !strings.HasSuffix(detail, "a kernel saw them byte for byte") {
		t.Error(detail)
	}
}

// TestLoadFileFaults: what cannot be done here is told from what remains open.
func TestLoadFileFaults(t *testing.T) {
	needStandIn(t)
	for _, c := range []struct {
		fault, want string
		unsupported bool
	}{
		{"old system", "does not respond to newIOCommandQueueWithDescriptor:error:", true},
		{"load lies", "a kernel saw other bytes than the file has", true},
		{"file queue", "metal:0: newIOCommandQueueWithDescriptor:error:: MTLIOErrorDomain (2): Internal Error", false},
		{"file", "metal:0: newIOFileHandleWithURL:error:: MTLIOErrorDomain (1): Invalid URL", false},
		{"load fails", "sourceHandleOffset:: MTLIOErrorDomain (2): Internal Error", false},
		{"load is cancelled", "no reason given", false},
		{"allocate", "out of memory", false},
		{"launch fails", "kernel seen", false},
	} {
		t.Run(c.fault, func(t *testing.T) {
			d := again(t)
			standIn.Fault(c.fault, -1)
			defer standIn.Fault(c.fault, 0)
			detail, err := loadTrial(t, t.Context(), d, t.TempDir())
			if err == nil || errors.Is(err, hal.ErrUnsupported) != c.unsupported || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %q, %v, want %s", detail, err, c.want)
			}
		})
	}
	t.Run("no storage", func(t *testing.T) {
		if detail, err := again(t).Trials()[0].Run(t.Context(), t.TempDir()+"/none"); err == nil || errors.Is(err, hal.ErrUnsupported) {
			t.Errorf("got %q, %v", detail, err)
		}
	})
	t.Run("closed", func(t *testing.T) {
		d := again(t)
		must(t, d.Close())
		if detail, err := loadTrial(t, t.Context(), d, t.TempDir()); !errors.Is(err, hal.ErrClosed) {
			t.Errorf("got %q, %v", detail, err)
		}
	})
}

// TestLoadFileBefore14: files were opened by another name.
func TestLoadFileBefore14(t *testing.T) {
	needStandIn(t)
	d := again(t)
	standIn.Fault("macOS 13", -1)
	defer standIn.Fault("macOS 13", 0)
	_, err := loadTrial(t, t.Context(), d, t.TempDir())
	must(t, err)
	standIn.Fault("file", 1)
	if _, err := loadTrial(t, t.Context(), d, t.TempDir()); err == nil || !strings.Contains(err.Error(), "newIOHandleWithURL:error:") {
		t.Error(err)
	}
}

// TestLoadFileHangs: time and the caller's context end the trial. What is still loading keeps what it uses, and no more.
func TestLoadFileHangs(t *testing.T) {
	needStandIn(t)
	defer metal.SetLoadLimit(20 * time.Millisecond)()
	d := again(t)
	standIn.Fault("load hangs", -1)
	defer standIn.Fault("load hangs", 0)
	if _, err := loadTrial(t, t.Context(), d, t.TempDir()); err == nil || !strings.Contains(err.Error(), "did not end within 20ms") {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := loadTrial(t, ctx, d, t.TempDir()); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
