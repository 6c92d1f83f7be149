package metal_test

import (
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
