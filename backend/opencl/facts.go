package opencl

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/internal/dl"
)

// form is how an answer is laid out.
type form uint8

const (
	asNumber form = iota // cl_uint, cl_bool, size_t, cl_ulong and flags
	asText
	asUUID
	asPCI
	asNames   // cl_name_version[]: a cl_uint and 64 bytes of name each
	asNumbers // size_t[]
)

// question is a parameter of clGetDeviceInfo or clGetPlatformInfo.
type question struct {
	parameter uint32
	name      string
	form      form
	platform  bool
	extension string // that has it; empty: the core of some version
}

// questions are asked of every device, whatever its version: what a driver does not know it refuses, which is an answer too.
// Tables "Device Queries" and "Platform Queries" of the OpenCL specification 3.0, and those of the extensions named.
var questions = []question{
	{0x0900, "CL_PLATFORM_PROFILE", asText, true, ""},
	{0x0901, "CL_PLATFORM_VERSION", asText, true, ""},
	{0x0902, "CL_PLATFORM_NAME", asText, true, ""},
	{0x0903, "CL_PLATFORM_VENDOR", asText, true, ""},
	{0x0904, "CL_PLATFORM_EXTENSIONS", asText, true, ""},
	{0x0905, "CL_PLATFORM_HOST_TIMER_RESOLUTION", asNumber, true, ""},
	{0x1000, "CL_DEVICE_TYPE", asNumber, false, ""},
	{0x1001, "CL_DEVICE_VENDOR_ID", asNumber, false, ""},
	{0x1002, "CL_DEVICE_MAX_COMPUTE_UNITS", asNumber, false, ""},
	{0x1004, "CL_DEVICE_MAX_WORK_GROUP_SIZE", asNumber, false, ""},
	{0x1005, "CL_DEVICE_MAX_WORK_ITEM_SIZES", asNumbers, false, ""},
	{0x100C, "CL_DEVICE_MAX_CLOCK_FREQUENCY", asNumber, false, ""},
	{0x100D, "CL_DEVICE_ADDRESS_BITS", asNumber, false, ""},
	{0x1010, "CL_DEVICE_MAX_MEM_ALLOC_SIZE", asNumber, false, ""},
	{0x101D, "CL_DEVICE_GLOBAL_MEM_CACHELINE_SIZE", asNumber, false, ""},
	{0x101E, "CL_DEVICE_GLOBAL_MEM_CACHE_SIZE", asNumber, false, ""},
	{0x101F, "CL_DEVICE_GLOBAL_MEM_SIZE", asNumber, false, ""},
	{deviceLocalMemSize, "CL_DEVICE_LOCAL_MEM_SIZE", asNumber, false, ""},
	{0x1024, "CL_DEVICE_ERROR_CORRECTION_SUPPORT", asNumber, false, ""},
	{0x1025, "CL_DEVICE_PROFILING_TIMER_RESOLUTION", asNumber, false, ""},
	{0x1027, "CL_DEVICE_AVAILABLE", asNumber, false, ""},
	{0x1028, "CL_DEVICE_COMPILER_AVAILABLE", asNumber, false, ""},
	{0x1029, "CL_DEVICE_EXECUTION_CAPABILITIES", asNumber, false, ""},
	{0x102B, "CL_DEVICE_NAME", asText, false, ""},
	{0x102C, "CL_DEVICE_VENDOR", asText, false, ""},
	{0x102D, "CL_DRIVER_VERSION", asText, false, ""},
	{0x102F, "CL_DEVICE_VERSION", asText, false, ""},
	{0x1030, "CL_DEVICE_EXTENSIONS", asText, false, ""},
	{0x1032, "CL_DEVICE_DOUBLE_FP_CONFIG", asNumber, false, ""},
	{0x1035, "CL_DEVICE_HOST_UNIFIED_MEMORY", asNumber, false, ""},
	{0x103D, "CL_DEVICE_OPENCL_C_VERSION", asText, false, ""},
	{0x1043, "CL_DEVICE_PARTITION_MAX_SUB_DEVICES", asNumber, false, ""},
	{0x1049, "CL_DEVICE_PRINTF_BUFFER_SIZE", asNumber, false, ""},
	{0x1053, "CL_DEVICE_SVM_CAPABILITIES", asNumber, false, ""},
	{0x105B, "CL_DEVICE_IL_VERSION", asText, false, ""},
	{0x105C, "CL_DEVICE_MAX_NUM_SUB_GROUPS", asNumber, false, ""},
	{0x105D, "CL_DEVICE_SUB_GROUP_INDEPENDENT_FORWARD_PROGRESS", asNumber, false, ""},
	{0x1063, "CL_DEVICE_ATOMIC_MEMORY_CAPABILITIES", asNumber, false, ""},
	{0x1064, "CL_DEVICE_ATOMIC_FENCE_CAPABILITIES", asNumber, false, ""},
	{0x1069, "CL_DEVICE_GENERIC_ADDRESS_SPACE_SUPPORT", asNumber, false, ""},
	{0x106F, "CL_DEVICE_OPENCL_C_FEATURES", asNames, false, ""},
	{0x1072, "CL_DEVICE_LATEST_CONFORMANCE_VERSION_PASSED", asText, false, ""},
	{0x1076, "CL_DEVICE_KERNEL_CLOCK_CAPABILITIES_KHR", asNumber, false, "cl_khr_kernel_clock"},
	{0x1077, "CL_DEVICE_SVM_TYPE_CAPABILITIES_KHR", asNumbers, false, "cl_khr_unified_svm"},
	{0x106A, "CL_DEVICE_UUID_KHR", asUUID, false, "cl_khr_device_uuid"},
	{0x12A9, "CL_DEVICE_COMMAND_BUFFER_CAPABILITIES_KHR", asNumber, false, "cl_khr_command_buffer"},
	{0x410F, "CL_DEVICE_PCI_BUS_INFO_KHR", asPCI, false, "cl_khr_pci_bus_info"},
	{0x4190, "CL_DEVICE_HOST_MEM_CAPABILITIES_INTEL", asNumber, false, "cl_intel_unified_shared_memory"},
	{0x4191, "CL_DEVICE_DEVICE_MEM_CAPABILITIES_INTEL", asNumber, false, "cl_intel_unified_shared_memory"},
	{0x4192, "CL_DEVICE_SINGLE_DEVICE_SHARED_MEM_CAPABILITIES_INTEL", asNumber, false, "cl_intel_unified_shared_memory"},
	{0x4193, "CL_DEVICE_CROSS_DEVICE_SHARED_MEM_CAPABILITIES_INTEL", asNumber, false, "cl_intel_unified_shared_memory"},
	{0x4194, "CL_DEVICE_SHARED_SYSTEM_MEM_CAPABILITIES_INTEL", asNumber, false, "cl_intel_unified_shared_memory"},
	{0x4000, "CL_DEVICE_COMPUTE_CAPABILITY_MAJOR_NV", asNumber, false, "cl_nv_device_attribute_query"},
	{0x4001, "CL_DEVICE_COMPUTE_CAPABILITY_MINOR_NV", asNumber, false, "cl_nv_device_attribute_query"},
	{0x4003, "CL_DEVICE_WARP_SIZE_NV", asNumber, false, "cl_nv_device_attribute_query"},
	{0x4005, "CL_DEVICE_KERNEL_EXEC_TIMEOUT_NV", asNumber, false, "cl_nv_device_attribute_query"},
	{0x4006, "CL_DEVICE_INTEGRATED_MEMORY_NV", asNumber, false, "cl_nv_device_attribute_query"},
	{0x4038, "CL_DEVICE_BOARD_NAME_AMD", asText, false, "cl_amd_device_attribute_query"},
	{0x4043, "CL_DEVICE_WAVEFRONT_WIDTH_AMD", asNumber, false, "cl_amd_device_attribute_query"},
}

var _ hal.Teller = (*device)(nil)

// Facts asks clGetDeviceInfo and clGetPlatformInfo everything that this backend knows the layout of. What belongs to an extension
// is asked only where the device lists it: numbers of extensions may mean something else elsewhere.
func (d *device) Facts(ctx context.Context, tell func(hal.Fact)) {
	extensions := strings.Fields(text(query(d.GetDeviceInfo, d.handle, 0, deviceExtensions)))
	for _, q := range questions {
		if ctx.Err() != nil {
			break
		}
		f := hal.Fact{Name: q.name, Source: fmt.Sprintf("clGetDeviceInfo(0x%04X)", q.parameter)}
		object, ask := d.handle, d.GetDeviceInfo
		if q.platform {
			object, ask = d.platform, d.GetPlatformInfo
			f.Source = fmt.Sprintf("clGetPlatformInfo(0x%04X)", q.parameter)
		}
		if q.extension != "" && !slices.Contains(extensions, q.extension) {
			f.Error = "the device has no " + q.extension
			tell(f)
			continue
		}
		start := time.Now()
		b, code := query(ask, object, 0, q.parameter)
		f.Took = time.Since(start)
		if code != success {
			f.Error = fmt.Sprintf("%s (%d)", names[code], code)
		} else {
			f.Value = render(b, q.form)
		}
		tell(f)
	}
}

func render(b []byte, as form) string {
	switch as {
	case asText:
		return text(b, success)
	case asUUID:
		return formatUUID(b)
	case asPCI:
		return formatPCI(b)
	case asNames:
		s := ""
		for ; len(b) >= 68; b = b[68:] {
			s += dl.Text(b[4:68]) + " "
		}
		return text([]byte(s), success)
	case asNumbers:
		s := ""
		for ; len(b) >= 8; b = b[8:] {
			s += fmt.Sprint(number(b[:8], success)) + " "
		}
		return text([]byte(s), success)
	}
	return fmt.Sprint(number(b, success))
}
