package opencl

import (
	"encoding/binary"
	"runtime"
	"testing"

	"github.com/dialtone-gpu/dialtone/hal"
)

func TestVersion(t *testing.T) {
	for _, c := range []struct {
		text, prefix string
		want         release
	}{
		{"OpenCL 3.0 PoCL HSTR: x", versionPrefix, release{3, 0}},
		{"OpenCL C 1.2", versionPrefixC, release{1, 2}},
		{"OpenCL C 1.2 ", versionPrefixC, release{1, 2}},
		{"OpenCL 10.12 y", versionPrefix, release{10, 12}},
		{"OpenCL C 1.2", versionPrefix, release{}},
		{"OpenCL 3", versionPrefix, release{}},
		{"OpenCL ", versionPrefix, release{}},
		{"", versionPrefix, release{}},
	} {
		if got := version(c.text, c.prefix); got != c.want {
			t.Errorf("version(%q) = %v, want %v", c.text, got, c.want)
		}
	}
	if !(release{2, 0}).atLeast(1, 2) || !(release{1, 2}).atLeast(1, 2) || (release{1, 1}).atLeast(1, 2) || (release{1, 2}).atLeast(2, 0) {
		t.Error("atLeast does not order versions")
	}
}

func TestFormat(t *testing.T) {
	uuid := []byte{0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0, 1, 2, 3, 4, 5, 6, 7, 8}
	if got, want := formatUUID(uuid), "12345678-9abc-def0-0102-030405060708"; got != want {
		t.Errorf("UUID %s, want %s", got, want)
	}
	if formatUUID(uuid[:8]) != "" || formatUUID(make([]byte, 16)) != "" || formatUUID(nil) != "" {
		t.Error("a UUID of nothing")
	}
	// cl_device_pci_bus_info_khr has four cl_uint members: 16 bytes, no padding.
	var bus []byte
	for _, w := range []uint32{1, 0x17, 2, 3} {
		bus = binary.NativeEndian.AppendUint32(bus, w)
	}
	if got, want := formatPCI(bus), "0001:17:02.3"; got != want {
		t.Errorf("PCI %s, want %s", got, want)
	}
	if formatPCI(bus[:8]) != "" || formatPCI(nil) != "" {
		t.Error("a PCI address of nothing")
	}
}

func TestResident(t *testing.T) {
	for _, c := range []struct {
		name string
		info hal.Info
		want int
	}{
		{"PoCL", hal.Info{HostCPU: true, Units: 2, Platform: "Portable Computing Language"}, 2},
		{"Oclgrind", hal.Info{HostCPU: true, Units: 1, Platform: "Oclgrind", Sim: true}, runtime.NumCPU()},
		{"another CPU driver", hal.Info{HostCPU: true, Units: 8, Platform: "rusticl"}, 512},
		{"small GPU", hal.Info{Units: 4}, 10240},
		{"large GPU", hal.Info{Units: 132}, maxResident},
		{"no units", hal.Info{}, 1},
	} {
		if got := resident(c.info); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

func TestArch(t *testing.T) {
	for _, c := range []struct{ name, version, want string }{
		{"pthread-x", "OpenCL 3.0 PoCL HSTR: pthread-x86_64-pc-linux-gnu-znver3", "pthread-x86_64-pc-linux-gnu-znver3"},
		{"gfx90a", "OpenCL 2.0 ", "gfx90a"},
		{"n", "OpenCL 3.0 HSTR: ", "n"},
	} {
		if got := arch(c.name, c.version); got != c.want {
			t.Errorf("arch(%q, %q) = %q, want %q", c.name, c.version, got, c.want)
		}
	}
}

func TestErrors(t *testing.T) {
	for code := range int32(73) {
		if name := names[-code]; (name == "") != (code == 0 || code > 19 && code < 30) {
			t.Errorf("code %d is called %q", -code, name)
		}
	}
	for _, c := range []struct {
		code      int32
		want, run error
	}{
		{-2, hal.ErrDeviceLost, hal.ErrDeviceLost},
		{-4, hal.ErrOutOfMemory, hal.ErrOutOfMemory},
		{-5, hal.ErrOutOfMemory, hal.ErrDeviceLost},
		{-6, hal.ErrOutOfMemory, hal.ErrOutOfMemory},
		{-36, nil, hal.ErrDeviceLost},
		{-51, hal.ErrInvalid, hal.ErrDeviceLost},
		{-12345, nil, hal.ErrDeviceLost},
	} {
		if got := cause(c.code); got != c.want {
			t.Errorf("cause(%d) = %v, want %v", c.code, got, c.want)
		}
		if got := executionCause(c.code); got != c.run {
			t.Errorf("executionCause(%d) = %v, want %v", c.code, got, c.run)
		}
	}
	e := fail("clEnqueueNDRangeKernel", "opencl:0", "add", -54)
	if want := "opencl:0: kernel add: clEnqueueNDRangeKernel: CL_INVALID_WORK_GROUP_SIZE (-54): invalid argument"; e.Error() != want {
		t.Errorf("%s, want %s", e, want)
	}
}

func TestList(t *testing.T) {
	var l list
	a, b := new(operation), new(operation)
	for range 2 {
		l.push(a)
		l.push(b)
		if l.pop() != a || l.pop() != b || l.pop() != nil || l.tail != nil {
			t.Fatal("a list does not give what it got in order")
		}
	}
}
