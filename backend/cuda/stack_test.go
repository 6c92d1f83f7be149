package cuda

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/dialtone-gpu/dialtone/backend/stream"
	"github.com/dialtone-gpu/dialtone/hal"
)

// TestGPUStack: a module says how much stack it needs; what is set is never lowered, and what cannot be had is an error.
func TestGPUStack(t *testing.T) {
	if !isolated(t, time.Minute) {
		return
	}
	d := open(t)
	c := d.Driver().(*device)
	limit := func() (n uintptr) {
		r := c.With(func() result {
			return code(c.api.CtxGetLimit.Call(uintptr(unsafe.Pointer(&n)), stream.LimitStackSize))
		})
		if r != success {
			t.Fatal(c.Fail("cuCtxGetLimit", r))
		}
		return n
	}
	load := func(stack int) error {
		m, err := d.Compile(t.Context(), hal.Source{Name: "deep", Text: addSource, Stack: stack})
		if err == nil {
			err = m.Close()
		}
		return err
	}
	first := limit()
	must(t, load(0))
	if n := limit(); n != first {
		t.Errorf("%d bytes of stack, %d before a module that says nothing", n, first)
	}
	must(t, load(48<<10+8))
	deep := limit()
	if deep < 48<<10+8 {
		t.Errorf("%d bytes of stack", deep)
	}
	must(t, load(2048))
	if n := limit(); n != deep {
		t.Errorf("%d bytes of stack after a module that needs less than %d", n, deep)
	}
	if err := load(1 << 30); !errors.Is(err, hal.ErrUnsupported) || !strings.Contains(err.Error(), "cuCtxSetLimit") || !strings.Contains(err.Error(), "deep needs 1073741824 bytes") {
		t.Errorf("a GiB: %v", err)
	}
	if os.Getenv(doubleEnv) != "" {
		if err := load(300 << 10); !errors.Is(err, hal.ErrOutOfMemory) || !strings.Contains(err.Error(), "307200 bytes of stack") {
			t.Errorf("more than there is memory for: %v", err)
		}
	}
	if n := limit(); n != deep {
		t.Errorf("%d bytes of stack after errors, %d before", n, deep)
	}
	must(t, load(0))
}
