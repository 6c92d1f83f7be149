package hip

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/internal/dl"
)

// known lists the architectures that hiprtc compiles for since a version. For one that it does not know, the hiprtc of HIP 5 and 6
// ends the process, in libamd_comgr; that of HIP 7 gives an error. Source: what the hiprtc of 5.2.3, 5.7.1 and 6.4.3
// was seen to compile. So a version between may know more than it is trusted with. gfx940 and gfx941, of which there are no products, came
// with 5.7 and are gone again from LLVM 21, with which that of 6.4.3 ended over them.
var known = []struct {
	since version
	archs []string
}{
	{version{5, 2, 0}, strings.Fields("gfx600 gfx601 gfx602 gfx700 gfx701 gfx702 gfx703 gfx704 gfx705 gfx801 gfx802 gfx803 gfx805 gfx810 " +
		"gfx900 gfx902 gfx904 gfx906 gfx908 gfx909 gfx90a gfx90c gfx1010 gfx1011 gfx1012 gfx1013 gfx1030 gfx1031 gfx1032 gfx1033 gfx1034 gfx1035 gfx1036")},
	{version{5, 7, 0}, strings.Fields("gfx942 gfx1100 gfx1101 gfx1102 gfx1103")},
	{version{6, 4, 0}, strings.Fields("gfx950 gfx1150 gfx1151 gfx1200 gfx1201")},
}

// compiles is why hiprtc of that version is not to be given an architecture, or nil.
func (v version) compiles(arch string) error {
	if v.major >= 7 {
		return nil // it says so itself
	}
	for _, k := range known {
		if !slices.Contains(k.archs, arch) {
			continue
		}
		if v.major > k.since.major || v.major == k.since.major && v.minor >= k.since.minor {
			return nil
		}
		return fmt.Errorf("hiprtc %v is not known to compile for %s, and ends the process if it cannot: install HIP %d.%d or newer: %w",
			v, arch, k.since.major, k.since.minor, hal.ErrUnavailable)
	}
	return fmt.Errorf("hiprtc %v is not known to compile for %q, and ends the process if it cannot: install HIP 7 or newer: %w", v, arch, hal.ErrUnavailable)
}

// Offsets in hipDeviceProp_tR0600 and its size, hip_runtime_api.h of HIP 6 and 7.
const (
	propertiesSize  = 1472
	propertiesArch  = 1160 // char gcnArchName[256]
	propertiesAhead = 4096 // room for fields to come
)

// arch is the name of a GPU's architecture without its features, "gfx90a". The struct of HIP 6 has it. HIP 5 can be asked for an
// attribute "gcnArch name in 256 bytes"; where that gives none, Linux knows by the place on the bus.
func (d *driver) arch(device uintptr, pci, kfd string) (string, error) {
	var b [propertiesAhead]byte
	if d.GetDeviceProperties != 0 && code(d.GetDeviceProperties.Call(uintptr(unsafe.Pointer(&b[0])), device)) == success {
		if name := target(dl.Text(b[propertiesArch : propertiesArch+256])); name != "" {
			return name, nil
		}
	}
	b = [propertiesAhead]byte{}
	if code(d.DeviceGetAttribute.Call(uintptr(unsafe.Pointer(&b[0])), attrGcnArchName, device)) == success {
		if name := target(dl.Text(b[:256])); name != "" {
			return name, nil
		}
	}
	if name := kernelArch(kfd, pci); name != "" {
		return name, nil
	}
	return "", fmt.Errorf("HIP %v (%s) does not say which architecture the device at %s has: install HIP 6 or newer: %w", d.version, d.path, pci, hal.ErrUnavailable)
}

// target gives "gfx90a" for "gfx90a:sramecc+:xnack-", "" for what is no architecture.
func target(id string) string {
	name, _, _ := strings.Cut(id, ":")
	if !strings.HasPrefix(name, "gfx") || len(name) < 6 {
		return ""
	}
	return name
}

// kfdTopology describes the GPUs of amdgpu's compute interface: Documentation/gpu/amdgpu of the Linux kernel,
// include/uapi/linux/kfd_sysfs.h.
const kfdTopology = "/sys/class/kfd/kfd/topology/nodes"

// kernelArch finds the architecture of the GPU at a PCI address ("0000:c1:00.0") in the topology, "" if it is not there.
func kernelArch(topology, pci string) string {
	var domain, bus, device, function uint64
	if n, _ := fmt.Sscanf(pci, "%x:%x:%x.%x", &domain, &bus, &device, &function); n != 4 {
		return ""
	}
	nodes, _ := filepath.Glob(filepath.Join(topology, "*", "properties")) // the pattern is sound
	for _, node := range nodes {
		text, err := os.ReadFile(node)
		if err != nil {
			continue
		}
		facts := map[string]uint64{}
		for line := range strings.Lines(string(text)) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
			facts[key], _ = strconv.ParseUint(value, 10, 64)
		}
		// location_id is bus, device and function, gfx_target_version 90010 for gfx90a: two decimal digits each of minor and stepping.
		if v := facts["gfx_target_version"]; v != 0 && facts["domain"] == domain && facts["location_id"] == bus<<8|device<<3|function {
			return fmt.Sprintf("gfx%d%x%x", v/10000, v/100%100, v%100)
		}
	}
	return ""
}
