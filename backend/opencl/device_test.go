package opencl_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/internal/devicetest"
)

// devices lists this backend's devices; none skips the test.
func devices(t *testing.T) []hal.Info {
	t.Helper()
	infos, missing := hal.Devices(t.Context())
	infos = slices.DeleteFunc(infos, func(i hal.Info) bool { return i.Backend != "opencl" })
	if len(infos) == 0 {
		t.Skipf("no OpenCL device: %v", missing["opencl"])
	}
	return infos
}

func TestDevices(t *testing.T) {
	infos := devices(t)
	for _, i := range infos {
		t.Run(i.URI, func(t *testing.T) {
			t.Logf("%+v", i)
			if i.URI != fmt.Sprintf("opencl:%d", i.Ordinal) || i.Ordinal >= len(infos) {
				t.Errorf("ordinal %d has the URI %s", i.Ordinal, i.URI)
			}
			if i.Name == "" || i.Vendor == "" || i.Arch == "" || i.Platform == "" || !strings.Contains(i.Driver, "OpenCL ") {
				t.Error("a fact is empty")
			}
			if i.Dialect != hal.OpenCL || i.Subgroup != 1 || i.Units < 1 || i.MaxGroup < 1 || i.Resident < 1 || i.Memory == 0 {
				t.Error("a fact makes no sense")
			}
			if i.HostCPU != (i.Kind == hal.CPU) {
				t.Errorf("kind %s, on the host's CPU: %t", i.Kind, i.HostCPU)
			}
			if got := open(t, i.URI).Info(); got.URI != i.URI || got.Name != i.Name {
				t.Errorf("opened %+v", got)
			}
		})
	}
}

func TestNoSuchDevice(t *testing.T) {
	n := len(devices(t))
	_, err := hal.Open(t.Context(), fmt.Sprintf("opencl:%d", n))
	if !errors.Is(err, hal.ErrNoDevice) || !strings.Contains(err.Error(), fmt.Sprintf("opencl:%d", n-1)) {
		t.Errorf("opening a device that is not there: %v", err)
	}
}

// TestUnavailable looks at what is said where OpenCL is missing.
func TestUnavailable(t *testing.T) {
	if !devicetest.InChild(t) {
		t.Parallel()
	}
	for _, c := range []struct {
		name, setting string
		want          []string
	}{
		{"library", "DIALTONE_OPENCL=/nonexistent.so", []string{"/nonexistent.so", "pocl-opencl-icd", "ocl-icd-libopencl1", "DIALTONE_OPENCL"}},
		{"symbols", "DIALTONE_OPENCL=libc.so.6", []string{"libc.so.6", "clGetPlatformIDs", "clCreateContext"}},
		{"platform", "OCL_ICD_VENDORS=" + t.TempDir(), []string{"no platform", "pocl-opencl-icd"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.name != "library" && !devicetest.InChild(t) {
				devices(t) // these need a loader, and the names are Linux's
			}
			if !inChild(t, c.setting) {
				return
			}
			infos, missing := hal.DevicesOf(t.Context(), "opencl")
			if c.name == "platform" && len(infos) > 0 {
				t.Skip("this loader does not take its platforms from OCL_ICD_VENDORS")
			}
			_, err := hal.Open(t.Context(), "opencl:0")
			for _, err := range []error{missing, err} {
				if !errors.Is(err, hal.ErrUnavailable) {
					t.Fatalf("%v is not ErrUnavailable", err)
				}
				for _, w := range c.want {
					if !strings.Contains(err.Error(), w) {
						t.Errorf("the message lacks %q:\n%v", w, err)
					}
				}
			}
		})
	}
}

// TestTwoDevices uses two devices of one platform at once.
func TestTwoDevices(t *testing.T) {
	if !inChild(t, "POCL_DEVICES=pthread pthread", "POCL_MAX_PTHREAD_COUNT=2") {
		return
	}
	infos := slices.DeleteFunc(devices(t), func(i hal.Info) bool { return i.Platform != pocl })
	switch len(infos) {
	case 0:
		t.Skip("the setting is PoCL's, and PoCL is not here")
	case 2:
	default:
		t.Fatalf("%d devices, want 2", len(infos))
	}
	first, second := open(t, infos[0].URI), open(t, infos[1].URI)

	// The first device is busy all the time; the second one works meanwhile.
	running, release := hold(t, first, queue(t, first))
	eventually(t, "the kernel runs", running)
	k, q := compile(t, second, addSource, "add"), queue(t, second)
	a, sum := alloc(t, second, hal.DeviceMemory, 64), alloc(t, second, hal.DeviceMemory, 128)
	must(t, q.Write(a, 0, words(slices.Repeat([]uint32{21}, 16)...)))
	must(t, q.Launch(k, [3]int{16}, [3]int{}, hal.Memory(a), hal.Memory(a), hal.Memory(sum)))
	got := make([]byte, 128)
	must(t, q.Read(got, sum, 0))
	if w := word(got, 16); w != 42 {
		t.Errorf("the second device says %d, want 42", w)
	}

	// What belongs to one device is refused by the other.
	other := alloc(t, first, hal.DeviceMemory, 64)
	for what, err := range map[string]error{
		"argument": q.Launch(k, [3]int{1}, [3]int{}, hal.Memory(other), hal.Memory(a), hal.Memory(sum)),
		"kernel":   queue(t, first).Launch(k, [3]int{1}, [3]int{}, hal.Memory(a), hal.Memory(a), hal.Memory(sum)),
		"read":     q.Read(got[:64], other, 0)} {
		if !errors.Is(err, hal.ErrInvalid) {
			t.Errorf("%s of another device: %v", what, err)
		}
	}
	release()
}

func TestCloseTwice(t *testing.T) {
	d, err := hal.Open(t.Context(), open(t, usual).Info().URI)
	must(t, err)
	q, err := d.NewQueue()
	must(t, err)
	b, err := d.Alloc(hal.HostCoherent, 10)
	must(t, err)
	m, err := d.Compile(t.Context(), hal.Source{Name: "user.kernel.c", Text: addSource})
	must(t, err)
	k, err := m.Kernel("add")
	must(t, err)
	for range 2 {
		must(t, q.Close())
		must(t, b.Close())
		must(t, m.Close())
		must(t, d.Close())
	}
	// The drivers' objects, too, whatever the portable ones catch.
	must(t, d.Driver().Close())
	_, alloc := d.Alloc(hal.DeviceMemory, 1)
	_, compile := d.Compile(t.Context(), hal.Source{})
	_, newQueue := d.NewQueue()
	_, find := m.Kernel("add")
	for what, err := range map[string]error{
		"launch": q.Launch(k, [3]int{}, [3]int{}), "alloc": alloc, "compile": compile, "queue": newQueue, "kernel": find,
		"write": q.Write(b, 0, []byte{1})} {
		if !errors.Is(err, hal.ErrClosed) {
			t.Errorf("%s after close: %v", what, err)
		}
	}
}
