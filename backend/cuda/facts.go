package cuda

import (
	"context"
	"fmt"
	"time"
	"unsafe"

	"github.com/dialtone-gpu/dialtone/hal"
)

// lastAttribute is past what any driver knows today: cuDeviceGetAttribute refuses what it does not.
const lastAttribute = 200

// attributes are the names of CUdevice_attribute without their prefix CU_DEVICE_ATTRIBUTE_, page "Data types used by CUDA
// driver". Numbers that are not here are kept as attribute_N.
var attributes = map[int]string{
	1: "MAX_THREADS_PER_BLOCK", 2: "MAX_BLOCK_DIM_X", 3: "MAX_BLOCK_DIM_Y", 4: "MAX_BLOCK_DIM_Z", 5: "MAX_GRID_DIM_X", 6: "MAX_GRID_DIM_Y",
	7: "MAX_GRID_DIM_Z", 8: "MAX_SHARED_MEMORY_PER_BLOCK", 9: "TOTAL_CONSTANT_MEMORY", 10: "WARP_SIZE", 11: "MAX_PITCH",
	12: "MAX_REGISTERS_PER_BLOCK", 13: "CLOCK_RATE", 14: "TEXTURE_ALIGNMENT", 15: "GPU_OVERLAP", 16: "MULTIPROCESSOR_COUNT",
	17: "KERNEL_EXEC_TIMEOUT", 18: "INTEGRATED", 19: "CAN_MAP_HOST_MEMORY", 20: "COMPUTE_MODE", 31: "CONCURRENT_KERNELS", 32: "ECC_ENABLED",
	33: "PCI_BUS_ID", 34: "PCI_DEVICE_ID", 35: "TCC_DRIVER", 36: "MEMORY_CLOCK_RATE", 37: "GLOBAL_MEMORY_BUS_WIDTH", 38: "L2_CACHE_SIZE",
	39: "MAX_THREADS_PER_MULTIPROCESSOR", 40: "ASYNC_ENGINE_COUNT", 41: "UNIFIED_ADDRESSING", 50: "PCI_DOMAIN_ID",
	75: "COMPUTE_CAPABILITY_MAJOR", 76: "COMPUTE_CAPABILITY_MINOR", 78: "STREAM_PRIORITIES_SUPPORTED", 79: "GLOBAL_L1_CACHE_SUPPORTED",
	80: "LOCAL_L1_CACHE_SUPPORTED", 81: "MAX_SHARED_MEMORY_PER_MULTIPROCESSOR", 82: "MAX_REGISTERS_PER_MULTIPROCESSOR", 83: "MANAGED_MEMORY",
	84: "MULTI_GPU_BOARD", 85: "MULTI_GPU_BOARD_GROUP_ID", 86: "HOST_NATIVE_ATOMIC_SUPPORTED", 87: "SINGLE_TO_DOUBLE_PRECISION_PERF_RATIO",
	88: "PAGEABLE_MEMORY_ACCESS", 89: "CONCURRENT_MANAGED_ACCESS", 90: "COMPUTE_PREEMPTION_SUPPORTED",
	91: "CAN_USE_HOST_POINTER_FOR_REGISTERED_MEM", 92: "CAN_USE_STREAM_MEM_OPS_V1", 93: "CAN_USE_64_BIT_STREAM_MEM_OPS_V1",
	94: "CAN_USE_STREAM_WAIT_VALUE_NOR_V1", 95: "COOPERATIVE_LAUNCH", 96: "COOPERATIVE_MULTI_DEVICE_LAUNCH",
	97: "MAX_SHARED_MEMORY_PER_BLOCK_OPTIN", 98: "CAN_FLUSH_REMOTE_WRITES", 99: "HOST_REGISTER_SUPPORTED",
	100: "PAGEABLE_MEMORY_ACCESS_USES_HOST_PAGE_TABLES", 101: "DIRECT_MANAGED_MEM_ACCESS_FROM_HOST", 102: "VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED",
	103: "HANDLE_TYPE_POSIX_FILE_DESCRIPTOR_SUPPORTED", 104: "HANDLE_TYPE_WIN32_HANDLE_SUPPORTED", 105: "HANDLE_TYPE_WIN32_KMT_HANDLE_SUPPORTED",
	106: "MAX_BLOCKS_PER_MULTIPROCESSOR", 107: "GENERIC_COMPRESSION_SUPPORTED", 108: "MAX_PERSISTING_L2_CACHE_SIZE",
	109: "MAX_ACCESS_POLICY_WINDOW_SIZE", 110: "GPU_DIRECT_RDMA_WITH_CUDA_VMM_SUPPORTED", 111: "RESERVED_SHARED_MEMORY_PER_BLOCK",
	112: "SPARSE_CUDA_ARRAY_SUPPORTED", 113: "READ_ONLY_HOST_REGISTER_SUPPORTED", 114: "TIMELINE_SEMAPHORE_INTEROP_SUPPORTED",
	115: "MEMORY_POOLS_SUPPORTED", 116: "GPU_DIRECT_RDMA_SUPPORTED", 117: "GPU_DIRECT_RDMA_FLUSH_WRITES_OPTIONS",
	118: "GPU_DIRECT_RDMA_WRITES_ORDERING", 119: "MEMPOOL_SUPPORTED_HANDLE_TYPES", 120: "CLUSTER_LAUNCH",
	121: "DEFERRED_MAPPING_CUDA_ARRAY_SUPPORTED", 122: "CAN_USE_64_BIT_STREAM_MEM_OPS", 123: "CAN_USE_STREAM_WAIT_VALUE_NOR",
	124: "DMA_BUF_SUPPORTED", 125: "IPC_EVENT_SUPPORTED", 126: "MEM_SYNC_DOMAIN_COUNT", 127: "TENSOR_MAP_ACCESS_SUPPORTED",
	128: "HANDLE_TYPE_FABRIC_SUPPORTED", 129: "UNIFIED_FUNCTION_POINTERS", 130: "NUMA_CONFIG", 131: "NUMA_ID", 132: "MULTICAST_SUPPORTED",
	133: "MPS_ENABLED", 134: "HOST_NUMA_ID", 135: "D3D12_CIG_SUPPORTED", 136: "MEM_DECOMPRESS_ALGORITHM_MASK",
	137: "MEM_DECOMPRESS_MAXIMUM_LENGTH", 138: "VULKAN_CIG_SUPPORTED", 139: "GPU_PCI_DEVICE_ID", 140: "GPU_PCI_SUBSYSTEM_ID",
	141: "HOST_NUMA_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED", 142: "HOST_NUMA_MEMORY_POOLS_SUPPORTED", 143: "HOST_NUMA_MULTINODE_IPC_SUPPORTED",
	144: "HOST_MEMORY_POOLS_SUPPORTED", 145: "HOST_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED", 146: "HOST_ALLOC_DMA_BUF_SUPPORTED",
	147: "ONLY_PARTIAL_HOST_NATIVE_ATOMIC_SUPPORTED", 148: "ATOMIC_REDUCTION_SUPPORTED",
}

// attributeName is the documented name, or attribute_N.
func attributeName(n int) string {
	if s, ok := attributes[n]; ok {
		return s
	}
	return fmt.Sprintf("attribute_%d", n)
}

var _ hal.Teller = (*device)(nil)

// Facts asks for every attribute by number, up to far past those that are documented: what the driver knows and this table does not
// is kept as attribute_N. A documented one that the driver refuses is a fact too. Page "Device Management": cuDeviceGetAttribute;
// page "Peer Context Memory Access": cuDeviceCanAccessPeer, cuDeviceGetP2PAttribute.
func (d *device) Facts(ctx context.Context, tell func(hal.Fact)) {
	api, handle := d.api, d.id
	for _, f := range []hal.Fact{
		{Name: "driver_version", Source: "cuDriverGetVersion", Value: fmt.Sprint(api.version)},
		{Name: "driver_library", Source: "dlopen", Value: api.path},
		{Name: "kernel_module", Source: "/proc/driver/nvidia/version", Value: moduleVersion()},
		{Name: "name", Source: "cuDeviceGetName", Value: d.Info().Name},
		{Name: "uuid", Source: "cuDeviceGetUuid", Value: d.Info().UUID},
		{Name: "pci", Source: "cuDeviceGetPCIBusId", Value: d.Info().PCI},
	} {
		tell(f)
	}
	for n := 1; n <= lastAttribute && ctx.Err() == nil; n++ {
		var v int32
		start := time.Now()
		r := code(api.DeviceGetAttribute.Call(uintptr(unsafe.Pointer(&v)), uintptr(n), handle))
		f := hal.Fact{Name: attributeName(n), Source: fmt.Sprintf("cuDeviceGetAttribute(%d)", n), Took: time.Since(start)}
		_, documented := attributes[n]
		switch {
		case r == success:
			f.Value = fmt.Sprint(v)
		case documented:
			f.Error = fmt.Sprintf("%s (%d)", api.errorName(r), r)
		default:
			continue
		}
		tell(f)
	}
	for _, f := range d.peers() {
		tell(f)
	}
}

// CUdevice_P2PAttribute.
const p2pNativeAtomics = 3

// peers counts the other GPUs whose memory this one can address.
func (d *device) peers() []hal.Fact {
	api := d.api
	if api.DeviceCanAccessPeer == 0 || api.DeviceGetP2PAttribute == 0 {
		return []hal.Fact{{Name: "peers", Source: "cuDeviceCanAccessPeer", Error: "the driver library has no such function"}}
	}
	start := time.Now()
	var n int32
	if r := code(api.DeviceGetCount.Call(uintptr(unsafe.Pointer(&n)))); r != success {
		return []hal.Fact{{Name: "peers", Source: "cuDeviceGetCount", Error: api.errorName(r)}}
	}
	access, atomics := 0, 0
	for i := range int(n) {
		var other, can int32
		if i == d.Info().Ordinal || code(api.DeviceGet.Call(uintptr(unsafe.Pointer(&other)), uintptr(i))) != success {
			continue
		}
		if code(api.DeviceCanAccessPeer.Call(uintptr(unsafe.Pointer(&can)), d.id, uintptr(other))) == success && can != 0 {
			access++
		}
		can = 0
		if code(api.DeviceGetP2PAttribute.Call(uintptr(unsafe.Pointer(&can)), p2pNativeAtomics, d.id, uintptr(other))) == success && can != 0 {
			atomics++
		}
	}
	took := time.Since(start)
	return []hal.Fact{
		{Name: "peers", Source: "cuDeviceGetCount, cuDeviceCanAccessPeer", Value: fmt.Sprint(access), Took: took},
		{Name: "peers_access", Source: "cuDeviceCanAccessPeer", Value: fmt.Sprint(access), Took: took},
		{Name: "peers_native_atomics", Source: "cuDeviceGetP2PAttribute(3)", Value: fmt.Sprint(atomics), Took: took},
	}
}
