package hip

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"
	"unsafe"

	"github.com/dialtone-gpu/dialtone/hal"
)

// attributes are the names of hipDeviceAttribute_t of hip_runtime_api.h without their prefix: those that say what a device
// can do. Some are newer than others.
var attributes = map[int]string{
	attrCanMapHostMemory: "CanMapHostMemory", 4: "CanUseHostPointerForRegisteredMem", 5: "ClockRate", 7: "ComputePreemptionSupported",
	8: "ConcurrentKernels", 9: "ConcurrentManagedAccess", 10: "CooperativeLaunch", 13: "DirectManagedMemAccessFromHost",
	15: "HostNativeAtomicSupported", 16: "Integrated", 18: "KernelExecTimeout", 23: "ComputeCapabilityMajor", 24: "ManagedMemory",
	attrMaxThreadsPerBlock: "MaxThreadsPerBlock", attrMaxThreadsPerCU: "MaxThreadsPerMultiProcessor", 61: "ComputeCapabilityMinor",
	attrComputeUnits: "MultiprocessorCount", 65: "PageableMemoryAccess", 66: "PageableMemoryAccessUsesHostPageTables", 67: "PciBusId",
	68: "PciDeviceId", 69: "PciDomainID", 85: "UnifiedAddressing", attrWarpSize: "WarpSize", 88: "MemoryPoolsSupported",
	89: "VirtualMemoryManagementSupported", 90: "HostRegisterSupported", 91: "MemoryPoolSupportedHandleTypes", 93: "DmaBufSupported",
	94: "GPUDirectRDMAWithHipVMMSupported", 96: "HostAllocDmaBufSupported", 10000: "ClockInstructionRate", 10011: "IsLargeBar", 10012: "AsicRevision",
	attrStreamWaitValue: "CanUseStreamWaitValue", 10014: "ImageSupport", 10015: "PhysicalMultiProcessorCount", 10016: "FineGrainSupport",
	attrWallClockRate: "WallClockRate", 10018: "NumberOfXccs",
}

var _ hal.Teller = (*device)(nil)

// Facts asks for each attribute that is known by name, and for what no attribute tells. One that the driver refuses is a fact too. "Device Management":
// hipDeviceGetAttribute.
func (d *device) Facts(ctx context.Context, tell func(hal.Fact)) {
	api := d.api
	for _, f := range []hal.Fact{
		{Name: "driver_version", Source: "hipRuntimeGetVersion", Value: api.version.String()},
		{Name: "driver_library", Source: "dlopen", Value: api.path},
		{Name: "name", Source: "hipDeviceGetName", Value: d.Info().Name},
		{Name: "arch", Source: "gcnArchName, or the kernel's topology", Value: d.Info().Arch},
		{Name: "uuid", Source: "hipDeviceGetUuid", Value: d.Info().UUID},
		{Name: "pci", Source: "hipDeviceGetPCIBusId", Value: d.Info().PCI},
	} {
		tell(f)
	}
	for _, n := range slices.Sorted(maps.Keys(attributes)) {
		if ctx.Err() != nil {
			break
		}
		var v [2]int32 // some are written as 8 bytes
		start := time.Now()
		r := code(api.DeviceGetAttribute.Call(uintptr(unsafe.Pointer(&v[0])), uintptr(n), uintptr(d.Info().Ordinal)))
		f := hal.Fact{Name: attributes[n], Source: fmt.Sprintf("hipDeviceGetAttribute(%d)", n), Took: time.Since(start)}
		if r == success {
			f.Value = fmt.Sprint(v[0])
		} else {
			f.Error = fmt.Sprintf("%s (%d)", api.errorName(r), r)
		}
		tell(f)
	}
	for _, name := range []string{"hipLaunchHostFunc", "hipEventElapsedTime"} { // of which no attribute tells
		f := hal.Fact{Name: name, Source: "dlsym", Value: "0"}
		if api.library.Lookup(name) != 0 {
			f.Value = "1"
		}
		tell(f)
	}
	for _, f := range slices.Concat(d.peers(), api.fileFacts()) {
		tell(f)
	}
}

// hipDeviceP2PAttr.
const p2pNativeAtomics = 2 // hipDevP2PAttrNativeAtomicSupported

// peers counts the other GPUs whose memory this one can address: hipDeviceCanAccessPeer, "PeerToPeer Device Memory Access";
// hipDeviceGetP2PAttribute, "Initialization and Version".
func (d *device) peers() []hal.Fact {
	api := d.api
	if api.DeviceCanAccessPeer == 0 || api.DeviceGetP2PAttribute == 0 {
		return []hal.Fact{{Name: "peers", Source: "hipDeviceCanAccessPeer", Error: "the HIP runtime has no such function"}}
	}
	start := time.Now()
	var n int32
	if r := code(api.GetDeviceCount.Call(uintptr(unsafe.Pointer(&n)))); r != success {
		return []hal.Fact{{Name: "peers", Source: "hipGetDeviceCount", Error: fmt.Sprintf("%s (%d)", api.errorName(r), r)}}
	}
	access, atomics, refused := 0, 0, ""
	for i := range int(n) {
		if i == d.Info().Ordinal {
			continue
		}
		var can, native int32
		r := code(api.DeviceCanAccessPeer.Call(uintptr(unsafe.Pointer(&can)), uintptr(d.Info().Ordinal), uintptr(i)))
		if r == success && can != 0 {
			access++
			r = code(api.DeviceGetP2PAttribute.Call(uintptr(unsafe.Pointer(&native)), p2pNativeAtomics, uintptr(d.Info().Ordinal), uintptr(i)))
			if r == success && native != 0 {
				atomics++
			}
		}
		if r != success {
			refused = fmt.Sprintf("of hip:%d: %s (%d)", i, api.errorName(r), r)
		}
	}
	took := time.Since(start)
	facts := []hal.Fact{
		{Name: "peers", Source: "hipGetDeviceCount, hipDeviceCanAccessPeer", Value: fmt.Sprint(access), Took: took},
		{Name: "peers_access", Source: "hipDeviceCanAccessPeer", Value: fmt.Sprint(access), Took: took},
		{Name: "peers_native_atomics", Source: "hipDeviceGetP2PAttribute(2)", Value: fmt.Sprint(atomics), Took: took},
	}
	for i := range facts {
		if refused != "" { // a count without some is none
			facts[i].Value, facts[i].Error = "", refused
		}
	}
	return facts
}
