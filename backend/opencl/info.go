package opencl

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/internal/dl"
)

// limits are facts that only this backend needs.
type limits struct {
	itemSizes  [3]uintptr // work-items per dimension of a group
	maxAlloc   uint64     // bytes of one buffer
	svm        uint64     // CL_DEVICE_SVM_CAPABILITIES, 0 before OpenCL 2.0
	sharesHost bool       // host memory is used in place
	// blockingStatus: asking for an event's status waits for its kernel. rusticl (Mesa 25.0) keeps the event locked while
	// llvmpipe runs the kernel.
	blockingStatus bool
	buildOptions   string // of clBuildProgram
}

// fineGrained reports memory that host and device may use at the same time.
func (l limits) fineGrained() bool { return l.svm&svmFineGrainBuffer != 0 }

// unusable says why a device cannot be used at all, or nothing.
func unusable(l *library, d uintptr) string {
	switch {
	case number(query(l.GetDeviceInfo, d, 0, deviceAvailable)) == 0:
		return "the device is not available (CL_DEVICE_AVAILABLE)"
	case number(query(l.GetDeviceInfo, d, 0, deviceCompilerAvailable)) == 0:
		return "the driver has no compiler (CL_DEVICE_COMPILER_AVAILABLE)"
	}
	c := text(query(l.GetDeviceInfo, d, 0, deviceOpenCLCVersion))
	if !version(c, versionPrefixC).atLeast(1, 2) {
		return fmt.Sprintf("the driver compiles %q, older than OpenCL C 1.2", c)
	}
	return ""
}

// describe reads a device's facts.
func describe(l *library, d, platform uintptr, platformLabel string, ordinal int) candidate {
	str := func(parameter uint32) string { return text(query(l.GetDeviceInfo, d, 0, parameter)) }
	num := func(parameter uint32) uint64 { return number(query(l.GetDeviceInfo, d, 0, parameter)) }

	extensions := strings.Fields(str(deviceExtensions))
	has := func(name string) bool { return slices.Contains(extensions, name) }
	kind := num(deviceType)
	units := int(num(deviceMaxComputeUnits))
	info := hal.Info{
		URI:      uri(ordinal),
		Backend:  backendName,
		Ordinal:  ordinal,
		Kind:     hal.GPU,
		Name:     str(deviceName),
		Vendor:   str(deviceVendor),
		Driver:   strings.TrimSpace(str(driverVersion) + "; " + str(deviceVersion)),
		Dialect:  hal.OpenCL,
		Platform: platformLabel,
		Units:    units,
		Subgroup: 1, // OpenCL C 1.2 has no portable sub-groups
		MaxGroup: int(num(deviceMaxWorkGroupSize)),
		Memory:   num(deviceGlobalMemSize),
		HostCPU:  kind&deviceTypeCPU != 0,
		Sim:      platformLabel == "Oclgrind",
		Kinds:    []hal.MemoryKind{hal.DeviceMemory, hal.HostCoherent},
	}
	switch {
	case info.HostCPU:
		info.Kind = hal.CPU
	case kind&deviceTypeAccelerator != 0 && kind&deviceTypeGPU == 0:
		info.Kind = hal.Accelerator
	}
	info.Resident = resident(info)
	if has(extensionUUID) {
		b, _ := query(l.GetDeviceInfo, d, 0, deviceUUID)
		info.UUID = formatUUID(b)
	}
	if has(extensionPCI) {
		b, _ := query(l.GetDeviceInfo, d, 0, devicePCIBusInfo)
		info.PCI = formatPCI(b)
	}
	info.Arch = arch(info.Name, str(deviceVersion))
	if has(extensionNVAttributes) {
		if info.UUID != "" {
			info.UUID = "GPU-" + info.UUID // as NVIDIA's own interfaces give it
		}
		if major := num(deviceComputeMajorNV); major != 0 {
			info.Arch = fmt.Sprintf("sm_%d%d", major, num(deviceComputeMinorNV))
		}
	}

	lim := limits{maxAlloc: num(deviceMaxMemAllocSize)}
	sizes, _ := query(l.GetDeviceInfo, d, 0, deviceMaxWorkItemSizes)
	for i := range lim.itemSizes {
		lim.itemSizes[i] = uintptr(number(sizes[min(8*i, len(sizes)):min(8*i+8, len(sizes))], success))
	}
	// Functions of 2.0 exist only where platform and device both have it.
	platformHas := version(text(query(l.GetPlatformInfo, platform, 0, platformVersion)), versionPrefix).atLeast(2, 0)
	if l.SVMAlloc != 0 && l.SVMFree != 0 && l.SetKernelArgSVMPointer != 0 &&
		platformHas && version(str(deviceVersion), versionPrefix).atLeast(2, 0) {
		lim.svm = num(deviceSVMCapabilities)
	}
	lim.sharesHost = info.HostCPU || num(deviceHostUnifiedMemory) != 0
	lim.buildOptions = buildOptions(num(deviceSingleFPConfig))
	if info.Sim {
		lim.buildOptions += noOptimization
	}
	lim.blockingStatus = info.HostCPU && platformLabel == "rusticl"
	return candidate{handle: d, platform: platform, info: info, limits: lim}
}

// maxResident bounds what a backend with one caller per work-item asks the layers above
// to reserve a slot for.
const maxResident = 65536

// resident is an upper bound of the work-items that execute at once. PoCL and Oclgrind
// run the items of a group one after another, PoCL in one thread per compute unit, Oclgrind
// in one per core whatever units it reports. Other CPU drivers put them into vector lanes: 64 is
// one byte per lane of the widest registers.
// Of the GPUs in use none keeps more than 2560 items (40 wavefronts of 64) on a unit;
// most reach the cap.
func resident(i hal.Info) int {
	units, per := i.Units, 2560
	switch {
	case i.Sim:
		units, per = max(units, runtime.NumCPU()), 1
	case i.HostCPU && i.Platform == "Portable Computing Language":
		per = 1
	case i.HostCPU:
		per = 64
	}
	return max(1, min(units*per, maxResident))
}

// arch names what code is compiled for: the triple that PoCL appends to its version, or
// else the device's name.
func arch(name, version string) string {
	if _, target, ok := strings.Cut(version, "HSTR: "); ok && strings.TrimSpace(target) != "" {
		return strings.TrimSpace(target)
	}
	return name
}

// formatUUID renders CL_DEVICE_UUID_KHR, "" if it is not one.
func formatUUID(b []byte) string {
	if len(b) != 16 || bytes.Count(b, []byte{0}) == len(b) {
		return ""
	}
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:16])
}

// formatPCI renders cl_device_pci_bus_info_khr: domain, bus, device and function, each a
// cl_uint.
func formatPCI(b []byte) string {
	if len(b) != 16 {
		return ""
	}
	word := func(i int) uint32 { return binary.NativeEndian.Uint32(b[4*i:]) }
	return fmt.Sprintf("%04x:%02x:%02x.%x", word(0), word(1), word(2), word(3))
}

// text reads a string answer, "" if there is none.
func text(b []byte, code int32) string {
	if code != success {
		return ""
	}
	return strings.TrimSpace(dl.Text(b))
}

// number reads a cl_uint, cl_bool, size_t or cl_ulong answer, 0 if there is none.
func number(b []byte, code int32) uint64 {
	switch {
	case code != success:
		return 0
	case len(b) >= 8:
		return binary.NativeEndian.Uint64(b)
	case len(b) >= 4:
		return uint64(binary.NativeEndian.Uint32(b))
	}
	return 0
}

// release is a major and minor version.
type release [2]int

func (r release) atLeast(major, minor int) bool {
	return r[0] > major || r[0] == major && r[1] >= minor
}

// version reads "OpenCL 3.0 anything" or "OpenCL C 1.2 anything", which the standard
// prescribes; anything else is version 0.
func version(s, prefix string) release {
	s, ok := strings.CutPrefix(s, prefix)
	if !ok {
		return release{}
	}
	s, _, _ = strings.Cut(s, " ")
	major, minor, _ := strings.Cut(s, ".")
	a, err := strconv.Atoi(major)
	if err != nil {
		return release{}
	}
	b, err := strconv.Atoi(minor)
	if err != nil {
		return release{}
	}
	return release{a, b}
}
