package devicetest

import (
	"context"
	_ "embed"
	"fmt"
	"strings"

	"github.com/dialtone-gpu/dialtone/hal"
)

//go:embed warp.h
var warpText string

// EmulateWarps adds a device warp:0 on which 32 work-items make a subgroup, as on a GPU: the cpu
// device with another end of its dialect, in place of single.h (see warp.h). It finds what goes wrong where lanes part and meet,
// on machines without a GPU. Call it before anything asks for devices.
func EmulateWarps() { hal.Register(warps{}) }

type warps struct{}

func (warps) Name() string { return "warp" }

func (w warps) Devices(ctx context.Context) ([]hal.Info, error) {
	d, err := w.Open(ctx, 0)
	if err != nil {
		return nil, err
	}
	return []hal.Info{d.Info()}, nil
}

func (warps) Open(ctx context.Context, _ int) (hal.DriverDevice, error) {
	d, err := hal.Open(ctx, "cpu:0")
	if err != nil {
		return nil, err
	}
	if strings.Contains(d.Info().Driver, "tcc") {
		return nil, fmt.Errorf("the emulation of warps needs gcc or clang: %w", hal.ErrUnavailable)
	}
	return &warpDevice{d.Driver()}, nil
}

type warpDevice struct{ hal.DriverDevice }

// Info is the cpu device's, so that tests treat it as one, but for what makes the difference.
func (d *warpDevice) Info() hal.Info {
	i := d.DriverDevice.Info()
	i.URI, i.Name, i.Subgroup, i.Sim = "warp:0", "warps on "+i.Name, 32, true
	return i
}

func (d *warpDevice) Compile(ctx context.Context, src hal.Source) (hal.DriverModule, error) {
	const from, to = "#line 1 \"dialtone/dialect/single.h\"\n", "#line 1 \"dialtone/wire.h\"\n"
	start, end := strings.Index(src.Text, from), strings.Index(src.Text, to)
	if start < 0 || end < start {
		return nil, fmt.Errorf("BUG: the C11 dialect has changed: %q before %q is no longer there", from, to)
	}
	src.Text = src.Text[:start] + "#line 1 \"dialtone/warp.h\"\n" + warpText + src.Text[end:]
	return d.DriverDevice.Compile(ctx, src)
}
