package metal_test

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dialtone-gpu/dialtone/device"
	"github.com/dialtone-gpu/dialtone/hal"
)

// TestKernelsCompile has the whole library go the way of every program: assembled, compiled, each kernel made.
func TestKernelsCompile(t *testing.T) {
	d := open(t)
	for _, path := range []string{"../../hostcall/testdata/printf.kernel.c", "../../hostcall/testdata/files.kernel.c", "../../examples/grep/grep.kernel.c"} {
		t.Run(filepath.Base(path), func(t *testing.T) {
			text, err := os.ReadFile(path)
			must(t, err)
			check, err := os.ReadFile("../../hostcall/testdata/check.h")
			must(t, err)
			if strings.Contains(path, "testdata") {
				text = append(append(check, "#line 1 \""+filepath.Base(path)+"\"\n"...), text...)
			}
			u, err := device.Parse(filepath.Base(path), string(text))
			must(t, err)
			full, err := u.Assemble("msl", device.Options{})
			must(t, err)
			m, err := d.Compile(t.Context(), hal.Source{Name: u.Name, Text: full})
			must(t, err)
			defer m.Close()
			for _, k := range u.Kernels {
				if _, err := m.Kernel(k.Name); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// TestFloatsByCompareAndExchange adds floats as the probe does where a compiler has no atomic ones, which the stand-in's has.
func TestFloatsByCompareAndExchange(t *testing.T) {
	d := open(t)
	text, err := os.ReadFile("../../hostcall/probe/kernels/optional/floats.kernel.c")
	must(t, err)
	k, hidden := portable(t, d, string(text), "floats")
	q, sum := queue(t, d), alloc(t, d, hal.DeviceMemory, 64)
	must(t, q.Write(sum, 0, words(0)))
	const groups, group, times = 16, 32, 100
	must(t, q.Launch(k, [3]int{groups}, [3]int{group}, append(hidden, hal.Memory(sum), hal.Int32(times))...))
	got := make([]byte, 4)
	must(t, q.Read(got, sum, 0))
	if f := math.Float32frombits(word(got, 0)); f != groups*group*times/2 {
		t.Errorf("%d halves added came to %g", groups*group*times, f)
	}
}
