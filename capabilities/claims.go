package capabilities

import (
	"math/bits"
	"strconv"
	"strings"

	"github.com/dialtone-gpu/dialtone/hal"
)

// Condition asks one thing of one fact.
type Condition struct {
	Fact string // its Name
	Op   Op
	Arg  string
}

// Op is how a Condition looks at a value.
type Op string

const (
	NotZero  Op = "not zero"
	AtLeast  Op = "at least"   // Arg is a number
	HasBits  Op = "has bits"   // Arg is a number; all of its bits
	HasWord  Op = "has word"   // Arg is a word of a list that is parted by spaces
	Contains Op = "contains"   // Arg is text, in any case
	NotEmpty Op = "not empty"  // any text
	SameAs   Op = "same as"    // Arg names another fact
	ImpliesN Op = "is zero or" // Arg names another fact that is not zero then
)

// Claim is a rule: where all its conditions hold on a device of that backend, its driver claims the capability. Without
// conditions the backend's API has no such thing, and Reason says so.
type Claim struct {
	ID      ID
	Backend string
	Level   string
	If      []Condition
	Reason  string
	// Mute marks conditions that deny nothing where they do not hold: they are about one way of several.
	Mute bool
}

func on(fact string, op Op, arg ...string) Condition {
	return Condition{Fact: fact, Op: op, Arg: strings.Join(arg, "")}
}

// ClaimRules says what facts claim what, for each backend. Of several rules for one capability the last that holds decides
// its level. The facts' names are those of the vendors' documentation: CUdevice_attribute of the CUDA driver API,
// hipDeviceAttribute_t of HIP, the device queries of the OpenCL specification, MTLDevice of Metal.
var ClaimRules = []Claim{
	// CUDA. The clock is a register of the language since compute capability 3.0 (PTX ISA, "%globaltimer").
	{ID: ExecBasic, Backend: "cuda", If: []Condition{on("COMPUTE_CAPABILITY_MAJOR", AtLeast, "1")}},
	{ID: CommMailbox, Backend: "cuda", If: []Condition{on("CAN_MAP_HOST_MEMORY", NotZero), on("UNIFIED_ADDRESSING", NotZero)}},
	{ID: MemFineGrain, Backend: "cuda", If: []Condition{on("CAN_MAP_HOST_MEMORY", NotZero)}},
	{ID: TimerGlobal, Backend: "cuda", If: []Condition{on("COMPUTE_CAPABILITY_MAJOR", AtLeast, "3")}},
	{ID: ExecPreempt, Backend: "cuda", If: []Condition{on("COMPUTE_PREEMPTION_SUPPORTED", NotZero)}},
	{ID: ExecTimeout, Backend: "cuda", If: []Condition{on("KERNEL_EXEC_TIMEOUT", NotZero)}},
	{ID: ExecCoop, Backend: "cuda", If: []Condition{on("COOPERATIVE_LAUNCH", NotZero)}},
	{ID: ExecProgress, Backend: "cuda", Level: "subgroup", If: []Condition{on("COMPUTE_CAPABILITY_MAJOR", AtLeast, "1")}},
	{ID: ExecProgress, Backend: "cuda", Level: "lane", If: []Condition{on("COMPUTE_CAPABILITY_MAJOR", AtLeast, "7")}},
	{ID: SubgroupSize, Backend: "cuda", If: []Condition{on("WARP_SIZE", NotZero)}},
	{ID: MemUVA, Backend: "cuda", If: []Condition{on("UNIFIED_ADDRESSING", NotZero)}},
	{ID: MemHostMap, Backend: "cuda", If: []Condition{on("CAN_MAP_HOST_MEMORY", NotZero)}},
	{ID: MemRegister, Backend: "cuda", If: []Condition{on("HOST_REGISTER_SUPPORTED", NotZero)}},
	{ID: MemUnified, Backend: "cuda", If: []Condition{on("INTEGRATED", NotZero)}},
	{ID: MemManaged, Backend: "cuda", If: []Condition{on("MANAGED_MEMORY", NotZero)}},
	{ID: MemConcurrent, Backend: "cuda", If: []Condition{on("CONCURRENT_MANAGED_ACCESS", NotZero)}},
	{ID: MemPageable, Backend: "cuda", If: []Condition{on("PAGEABLE_MEMORY_ACCESS", NotZero)}},
	{ID: MemHostPT, Backend: "cuda", If: []Condition{on("PAGEABLE_MEMORY_ACCESS_USES_HOST_PAGE_TABLES", NotZero)}},
	{ID: MemDirectMgd, Backend: "cuda", If: []Condition{on("DIRECT_MANAGED_MEM_ACCESS_FROM_HOST", NotZero)}},
	{ID: MemVMM, Backend: "cuda", If: []Condition{on("VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED", NotZero)}},
	{ID: MemPools, Backend: "cuda", If: []Condition{on("MEMORY_POOLS_SUPPORTED", NotZero)}},
	{ID: AtomicSystem, Backend: "cuda", If: []Condition{on("HOST_NATIVE_ATOMIC_SUPPORTED", NotZero)}},
	{ID: Atomic32, Backend: "cuda", If: []Condition{on("COMPUTE_CAPABILITY_MAJOR", AtLeast, "2")}},
	{ID: Atomic64, Backend: "cuda", Level: "full", If: []Condition{on("COMPUTE_CAPABILITY_MAJOR", AtLeast, "6")}},
	{ID: AtomicFloat, Backend: "cuda", Level: "native", If: []Condition{on("COMPUTE_CAPABILITY_MAJOR", AtLeast, "2")}},
	{ID: Float64, Backend: "cuda", If: []Condition{on("COMPUTE_CAPABILITY_MAJOR", AtLeast, "2")}},
	{ID: TimerCycle, Backend: "cuda", If: []Condition{on("COMPUTE_CAPABILITY_MAJOR", AtLeast, "2")}},
	{ID: TimerBoundary, Backend: "cuda", If: []Condition{on("COMPUTE_CAPABILITY_MAJOR", AtLeast, "1")}},
	{ID: StreamMemOps, Backend: "cuda", If: []Condition{on("CAN_USE_STREAM_MEM_OPS_V1", NotZero)}},
	{ID: StreamMemOps, Backend: "cuda", If: []Condition{on("CAN_USE_64_BIT_STREAM_MEM_OPS", NotZero)}},
	{ID: SyncTimeline, Backend: "cuda", If: []Condition{on("TIMELINE_SEMAPHORE_INTEROP_SUPPORTED", NotZero)}},
	{ID: RDMA, Backend: "cuda", If: []Condition{on("GPU_DIRECT_RDMA_SUPPORTED", NotZero)}},
	{ID: DMABufDevice, Backend: "cuda", If: []Condition{on("DMA_BUF_SUPPORTED", NotZero)}},
	{ID: DMABufHost, Backend: "cuda", If: []Condition{on("HOST_ALLOC_DMA_BUF_SUPPORTED", NotZero)}},
	{ID: IPCEvent, Backend: "cuda", If: []Condition{on("IPC_EVENT_SUPPORTED", NotZero)}},
	{ID: IPCMemory, Backend: "cuda", If: []Condition{on("HANDLE_TYPE_POSIX_FILE_DESCRIPTOR_SUPPORTED", NotZero)}},
	{ID: IsolationMPS, Backend: "cuda", If: []Condition{on("MPS_ENABLED", NotZero)}},
	{ID: IsolationMIG, Backend: "cuda", If: []Condition{on("name", Contains, " MIG ")}},
	{ID: IDStable, Backend: "cuda", If: []Condition{on("uuid", NotEmpty)}},
	{ID: DiagPrintf, Backend: "cuda", If: []Condition{on("COMPUTE_CAPABILITY_MAJOR", AtLeast, "2")}},
	// cuLaunchHostFunc came with version 10.0 of the driver API.
	{ID: QueueHostFn, Backend: "cuda", If: []Condition{on("driver_version", AtLeast, "10000")}},
	{ID: PeerCopy, Backend: "cuda", If: []Condition{on("peers", NotZero)}},
	{ID: PeerAccess, Backend: "cuda", If: []Condition{on("peers_access", NotZero)}},
	{ID: PeerAtomics, Backend: "cuda", If: []Condition{on("peers_native_atomics", NotZero)}},

	// HIP. Some answers of its runtime are constants or copies of each other: ManagedMemory is ConcurrentManagedAccess.
	{ID: ExecBasic, Backend: "hip", If: []Condition{on("WarpSize", NotZero)}},
	{ID: ExecPreempt, Backend: "hip", If: []Condition{on("ComputePreemptionSupported", NotZero)}},
	{ID: ExecTimeout, Backend: "hip", If: []Condition{on("KernelExecTimeout", NotZero)}},
	{ID: ExecCoop, Backend: "hip", If: []Condition{on("CooperativeLaunch", NotZero)}},
	{ID: SubgroupSize, Backend: "hip", If: []Condition{on("WarpSize", NotZero)}},
	{ID: TimerGlobal, Backend: "hip", If: []Condition{on("WallClockRate", NotZero)}},
	{ID: TimerCycle, Backend: "hip", If: []Condition{on("ClockInstructionRate", NotZero)}},
	{ID: MemHostMap, Backend: "hip", If: []Condition{on("CanMapHostMemory", NotZero)}},
	{ID: MemUnified, Backend: "hip", If: []Condition{on("Integrated", NotZero)}},
	{ID: MemManaged, Backend: "hip", If: []Condition{on("ManagedMemory", NotZero)}},
	{ID: MemConcurrent, Backend: "hip", If: []Condition{on("ConcurrentManagedAccess", NotZero)}},
	{ID: MemPageable, Backend: "hip", If: []Condition{on("PageableMemoryAccess", NotZero)}},
	{ID: MemDirectMgd, Backend: "hip", If: []Condition{on("DirectManagedMemAccessFromHost", NotZero)}},
	{ID: MemLargeBAR, Backend: "hip", If: []Condition{on("IsLargeBar", NotZero)}},
	{ID: MemFineGrain, Backend: "hip", If: []Condition{on("FineGrainSupport", NotZero)}},
	{ID: CommMailbox, Backend: "hip", If: []Condition{on("FineGrainSupport", NotZero)}},
	{ID: MemVMM, Backend: "hip", If: []Condition{on("VirtualMemoryManagementSupported", NotZero)}},
	{ID: MemPools, Backend: "hip", If: []Condition{on("MemoryPoolsSupported", NotZero)}},
	{ID: AtomicSystem, Backend: "hip", If: []Condition{on("HostNativeAtomicSupported", NotZero)}},
	{ID: StreamMemOps, Backend: "hip", If: []Condition{on("CanUseStreamWaitValue", NotZero)}},
	{ID: DMABufDevice, Backend: "hip", If: []Condition{on("DmaBufSupported", NotZero)}},
	// The library, and the functions of the runtime that its direct path needs.
	{ID: FileReadDirect, Backend: "hip", If: []Condition{on("hipfile", NotEmpty), on("hipAmdFileRead", NotZero)}},
	{ID: FileWriteDirect, Backend: "hip", If: []Condition{on("hipfile", NotEmpty), on("hipAmdFileWrite", NotZero)}},
	{ID: FileCompat, Backend: "hip", If: []Condition{on("hipfile", NotEmpty)}},
	{ID: IDStable, Backend: "hip", If: []Condition{on("uuid", NotEmpty)}},
	{ID: IDStable, Backend: "hip", If: []Condition{on("pci", NotEmpty)}},
	// Both are constants of the runtime, which says why: what it allocates of the host's memory has one address, and any other can be registered.
	{ID: MemUVA, Backend: "hip", If: []Condition{on("UnifiedAddressing", NotZero)}},
	{ID: MemRegister, Backend: "hip", If: []Condition{on("HostRegisterSupported", NotZero)}},
	// HIP 5 answers the second from whether host and device share their memory.
	{ID: MemHostPT, Backend: "hip", If: []Condition{on("PageableMemoryAccess", NotZero), on("PageableMemoryAccessUsesHostPageTables", NotZero)}},
	{ID: DMABufHost, Backend: "hip", If: []Condition{on("HostAllocDmaBufSupported", NotZero)}},
	{ID: RDMA, Backend: "hip", Mute: true, If: []Condition{on("GPUDirectRDMAWithHipVMMSupported", NotZero)}},         // of hipMemCreate's memory alone
	{ID: IPCMemory, Backend: "hip", Mute: true, If: []Condition{on("MemoryPoolSupportedHandleTypes", HasBits, "1")}}, // of memory pools alone
	{ID: QueueHostFn, Backend: "hip", If: []Condition{on("hipLaunchHostFunc", NotZero)}},
	{ID: TimerBoundary, Backend: "hip", If: []Condition{on("hipEventElapsedTime", NotZero)}},
	{ID: PeerCopy, Backend: "hip", If: []Condition{on("peers", NotZero)}},
	{ID: PeerAccess, Backend: "hip", If: []Condition{on("peers_access", NotZero)}},
	{ID: PeerAtomics, Backend: "hip", If: []Condition{on("peers_native_atomics", NotZero)}},

	// OpenCL.
	{ID: ExecBasic, Backend: "opencl", If: []Condition{on("CL_DEVICE_AVAILABLE", NotZero), on("CL_DEVICE_COMPILER_AVAILABLE", NotZero)}},
	{ID: MemSVM, Backend: "opencl", Level: "coarse", If: []Condition{on("CL_DEVICE_SVM_CAPABILITIES", HasBits, "1")}},
	{ID: MemSVM, Backend: "opencl", Level: "fine-buffer", If: []Condition{on("CL_DEVICE_SVM_CAPABILITIES", HasBits, "2")}},
	{ID: MemSVM, Backend: "opencl", Level: "fine-system", If: []Condition{on("CL_DEVICE_SVM_CAPABILITIES", HasBits, "4")}},
	// Host-coherent memory is shared virtual memory where that is fine-grained, else a memory object, of which nobody claims an address.
	{ID: MemUVA, Backend: "opencl", If: []Condition{on("CL_DEVICE_SVM_CAPABILITIES", HasBits, "2")}},
	{ID: MemFineGrain, Backend: "opencl", If: []Condition{on("CL_DEVICE_SVM_CAPABILITIES", HasBits, "2")}},
	{ID: CommMailbox, Backend: "opencl", If: []Condition{on("CL_DEVICE_SVM_CAPABILITIES", HasBits, "10")}},
	{ID: MemPageable, Backend: "opencl", If: []Condition{on("CL_DEVICE_SVM_CAPABILITIES", HasBits, "4")}},
	{ID: MemPageable, Backend: "opencl", If: []Condition{on("CL_DEVICE_SHARED_SYSTEM_MEM_CAPABILITIES_INTEL", HasBits, "1")}},
	{ID: MemConcurrent, Backend: "opencl", If: []Condition{on("CL_DEVICE_SINGLE_DEVICE_SHARED_MEM_CAPABILITIES_INTEL", HasBits, "4")}},
	{ID: MemManaged, Backend: "opencl", If: []Condition{on("CL_DEVICE_SINGLE_DEVICE_SHARED_MEM_CAPABILITIES_INTEL", HasBits, "1")}},
	// Bit ALL_DEVICES of 0x1063 alone says nothing about the host.
	{ID: AtomicSystem, Backend: "opencl", If: []Condition{on("CL_DEVICE_SVM_CAPABILITIES", HasBits, "8"), on("CL_DEVICE_ATOMIC_MEMORY_CAPABILITIES", HasBits, "64")}},
	{ID: FenceSystem, Backend: "opencl", If: []Condition{on("CL_DEVICE_ATOMIC_FENCE_CAPABILITIES", HasBits, "64")}},
	{ID: Atomic64, Backend: "opencl", Level: "add", If: []Condition{on("CL_DEVICE_EXTENSIONS", HasWord, "cl_khr_int64_base_atomics")}},
	{ID: Atomic64, Backend: "opencl", Level: "full", If: []Condition{on("CL_DEVICE_EXTENSIONS", HasWord, "cl_khr_int64_base_atomics"), on("CL_DEVICE_EXTENSIONS", HasWord, "cl_khr_int64_extended_atomics")}},
	{ID: Float64, Backend: "opencl", If: []Condition{on("CL_DEVICE_EXTENSIONS", HasWord, "cl_khr_fp64")}},
	{ID: TimerGlobal, Backend: "opencl", If: []Condition{on("CL_DEVICE_KERNEL_CLOCK_CAPABILITIES_KHR", HasBits, "1")}},
	{ID: TimerCycle, Backend: "opencl", If: []Condition{on("CL_DEVICE_KERNEL_CLOCK_CAPABILITIES_KHR", HasBits, "4")}},
	// Without a clock in kernels there is nothing of theirs to place on the host's.
	{ID: TimerCorrelate, Backend: "opencl", If: []Condition{on("CL_PLATFORM_HOST_TIMER_RESOLUTION", NotZero), on("CL_DEVICE_KERNEL_CLOCK_CAPABILITIES_KHR", HasBits, "1")}},
	{ID: TimerBoundary, Backend: "opencl", If: []Condition{on("CL_DEVICE_PROFILING_TIMER_RESOLUTION", NotZero)}},
	{ID: ExecProgress, Backend: "opencl", Level: "subgroup", If: []Condition{on("CL_DEVICE_SUB_GROUP_INDEPENDENT_FORWARD_PROGRESS", NotZero)}},
	{ID: MemUnified, Backend: "opencl", If: []Condition{on("CL_DEVICE_HOST_UNIFIED_MEMORY", NotZero)}},
	{ID: MemUnified, Backend: "opencl", If: []Condition{on("CL_DEVICE_INTEGRATED_MEMORY_NV", NotZero)}},
	{ID: ModuleJIT, Backend: "opencl", If: []Condition{on("CL_DEVICE_COMPILER_AVAILABLE", NotZero)}},
	{ID: DiagPrintf, Backend: "opencl", If: []Condition{on("CL_DEVICE_PRINTF_BUFFER_SIZE", NotZero)}},
	{ID: DMABufDevice, Backend: "opencl", If: []Condition{on("CL_DEVICE_EXTENSIONS", HasWord, "cl_khr_external_memory_dma_buf")}},
	{ID: ExecTimeout, Backend: "opencl", If: []Condition{on("CL_DEVICE_KERNEL_EXEC_TIMEOUT_NV", NotZero)}},
	{ID: QueueHostFn, Backend: "opencl", If: []Condition{on("CL_DEVICE_EXECUTION_CAPABILITIES", HasBits, "2")}},
	{ID: IDStable, Backend: "opencl", If: []Condition{on("CL_DEVICE_EXTENSIONS", HasWord, "cl_khr_device_uuid")}},
	{ID: IDStable, Backend: "opencl", If: []Condition{on("CL_DEVICE_EXTENSIONS", HasWord, "cl_khr_pci_bus_info")}},
	{ID: FileReadDirect, Backend: "opencl", Reason: "OpenCL has no file transfers"},
	{ID: FileWriteDirect, Backend: "opencl", Reason: "OpenCL has no file transfers"},
	{ID: FileCompat, Backend: "opencl", Reason: "OpenCL has no file transfers"},
	{ID: RDMA, Backend: "opencl", Reason: "OpenCL does not register memory with network cards"},
	{ID: StreamMemOps, Backend: "opencl", Reason: "OpenCL's queues wait for events, not for memory"},
	{ID: IPCMemory, Backend: "opencl", Reason: "OpenCL imports memory of other APIs (cl_khr_external_memory) and exports none"},
	{ID: IPCEvent, Backend: "opencl", Reason: "OpenCL's events have no handle that another process could open"},
	{ID: SyncTimeline, Backend: "opencl", Reason: "OpenCL's semaphores (cl_khr_semaphore) are binary"},

	// Metal.
	{ID: ExecBasic, Backend: "metal", If: []Condition{on("maxBufferLength", NotZero)}},
	{ID: ModuleJIT, Backend: "metal", If: []Condition{on("maxBufferLength", NotZero)}},
	{ID: MemUnified, Backend: "metal", If: []Condition{on("hasUnifiedMemory", NotZero)}},
	{ID: MemHostMap, Backend: "metal", If: []Condition{on("maxBufferLength", NotZero)}},
	{ID: MemDirectMgd, Backend: "metal", If: []Condition{on("hasUnifiedMemory", NotZero)}},
	{ID: ArgsBindless, Backend: "metal", If: []Condition{on("argumentBuffersSupport", AtLeast, "1")}},
	{ID: Atomic64, Backend: "metal", Level: "minmax", If: []Condition{on("supportsFamily(1008)", NotZero), on("supportsFamily(2002)", NotZero)}},
	{ID: Atomic64, Backend: "metal", Level: "minmax", If: []Condition{on("supportsFamily(1009)", NotZero)}},
	{ID: AtomicFloat, Backend: "metal", Level: "native", If: []Condition{on("supportsFamily(1007)", NotZero)}},
	{ID: FileReadDirect, Backend: "metal", If: []Condition{on("newIOCommandQueueWithDescriptor:error:", NotZero)}},
	{ID: TimerBoundary, Backend: "metal", If: []Condition{on("supportsCounterSampling(0)", NotZero), on("counterSets", HasWord, "timestamp")}},
	{ID: SyncTimeline, Backend: "metal", If: []Condition{on("newSharedEvent", NotZero)}},
	{ID: StreamMemOps, Backend: "metal", If: []Condition{on("newSharedEvent", NotZero)}},
	{ID: MemRegister, Backend: "metal", If: []Condition{on("newBufferWithBytesNoCopy:length:options:deallocator:", NotZero)}},
	{ID: PeerCopy, Backend: "metal", If: []Condition{on("peerGroupID", NotZero)}},
	{ID: IDStable, Backend: "metal", Reason: "registryID changes with every start"},
	{ID: IsolationPara, Backend: "metal", If: []Condition{on("name", Contains, "paravirtual")}},
	{ID: TimerGlobal, Backend: "metal", Reason: "Metal's kernel language has no clock"},
	{ID: TimerCycle, Backend: "metal", Reason: "Metal's kernel language has no clock"},
	// sampleTimestamps:gpuTimestamp: places what a queue notes on the host's clock, and nothing that a kernel reads.
	{ID: TimerCorrelate, Backend: "metal", Reason: "Metal's kernel language has no clock"},
	{ID: FileWriteDirect, Backend: "metal", Reason: "Metal's file queue only loads"},
	{ID: Float64, Backend: "metal", Reason: "Metal's kernel language has no double"},
	{ID: RDMA, Backend: "metal", Reason: "Metal does not register memory with network cards"},

	// The host's cores.
	{ID: MemUnified, Backend: "cpu", If: []Condition{on("cores", NotZero)}},
	{ID: MemUVA, Backend: "cpu", If: []Condition{on("cores", NotZero)}},
	{ID: MemRegister, Backend: "cpu", If: []Condition{on("cores", NotZero)}},
	{ID: MemDirectMgd, Backend: "cpu", If: []Condition{on("cores", NotZero)}},
	{ID: MemHostPT, Backend: "cpu", If: []Condition{on("cores", NotZero)}},
	{ID: ExecPreempt, Backend: "cpu", If: []Condition{on("cores", NotZero)}},
	{ID: ExecTimeout, Backend: "cpu", Reason: "nothing ends kernels on the host's cores but their runs"},
	{ID: TimerCycle, Backend: "cpu", Reason: "the kernel language has no cycle counter there"},
	{ID: FileReadDirect, Backend: "cpu", Reason: "the device's memory is the host's: there is no copy to save"},
	{ID: FileWriteDirect, Backend: "cpu", Reason: "the device's memory is the host's: there is no copy to save"},
	{ID: StreamMemOps, Backend: "cpu", Reason: "this backend's queues wait for nothing"},
	{ID: IDStable, Backend: "cpu", Reason: "it is whatever machine it runs on"},
}

// absent lists what the APIs of backends have no call for.
var absent = map[string][]ID{
	"cpu": {DMABufDevice, DMABufHost, FileCompat, RDMA, IPCEvent, IPCMemory, IsolationMIG, IsolationMPS, MemLargeBAR, MemPools, MemSVM, MemVMM,
		PeerAccess, PeerAtomics, PeerCopy, QueueHostFn, SyncTimeline, TimerBoundary, DiagPrintf},
	"opencl": {MemVMM, MemPools, PeerAccess, PeerAtomics, PeerCopy, DMABufHost, MemHostPT, MemDirectMgd},
	"cuda":   {MemSVM},
	"hip":    {MemSVM, IsolationMPS},
	"metal":  {MemSVM, IsolationMIG, IsolationMPS, DMABufDevice, DMABufHost, MemPageable, MemHostPT, MemLargeBAR, MemVMM, IPCEvent},
}

// untold is what a device may have while its driver's API has no query that would tell. It is no denial: another driver of the same
// device may know.
var untold = map[string]map[ID]string{
	"cuda": {
		MemLargeBAR:   "CUDA does not tell the size of the BAR; nvidia-smi does",
		IsolationPara: "CUDA does not tell whether the GPU is virtual; nvidia-smi does",
		FileCompat:    "CUDA has no query for it: cuFile is a library beside it",
	},
	"hip": {
		DiagPrintf:    "HIP has no query for it",
		IPCEvent:      "HIP has no query for it",
		IsolationMIG:  "HIP does not tell whether the GPU is a partition; amd-smi does",
		IsolationPara: "HIP does not tell whether the GPU is virtual; amd-smi does",
		SyncTimeline:  "HIP has no query for it",
	},
	"opencl": {
		ExecPreempt:   "OpenCL has no query for it",
		ExecTimeout:   "OpenCL has no query for it, and the device none of a vendor's",
		IsolationMIG:  "OpenCL has no query for it",
		IsolationMPS:  "OpenCL has no query for it",
		IsolationPara: "OpenCL has no query for it",
		MemLargeBAR:   "OpenCL has no query for it",
		MemRegister:   "OpenCL has no query for it: what it is given by CL_MEM_USE_HOST_PTR may be copied",
	},
}

// Claims derives from the facts what the driver of a device claims and what it denies. What its API has no query for is Unknown, with
// that reason. What no rule is about, and what depends on a fact that is not there, is not in the set.
func Claims(info hal.Info, facts []Fact) Set {
	by := index(facts)
	claims := Set{}
	for _, id := range absent[info.Backend] {
		claims[id] = Finding{ID: id, State: No, Reason: "this API has no such thing", Facts: []Fact{}}
	}
	for id, why := range untold[info.Backend] {
		claims[id] = Finding{ID: id, Reason: why, Facts: []Fact{}}
	}
	for _, c := range ClaimRules {
		if c.Backend != info.Backend {
			continue
		}
		if c.If == nil {
			claims[c.ID] = Finding{ID: c.ID, State: No, Reason: c.Reason, Facts: []Fact{}}
			continue
		}
		holds, used := true, []Fact{}
		for _, cond := range c.If {
			ok, known := cond.holds(by)
			holds = holds && ok
			if known {
				used = append(used, abridged(by[cond.Fact], cond))
			}
		}
		if len(used) < len(c.If) {
			continue
		}
		f := claims[c.ID]
		f.ID, f.Reason = c.ID, ""
		f.Facts = appendNew(f.Facts, used)
		switch {
		case holds:
			f.State, f.Level = Claimed, c.Level
		case f.State == Claimed:
		case c.Mute:
			f.Reason = "the driver does not claim it, which denies nothing: there are other ways to it"
		default:
			f.State = No
		}
		claims[c.ID] = f
	}
	return claims
}

func index(facts []Fact) map[string]Fact {
	by := map[string]Fact{}
	for _, f := range facts {
		if f.Name != "" && f.Error == "" {
			by[f.Name] = f
		}
	}
	return by
}

// abridged is a fact without the rest of a list of which one word matters.
func abridged(f Fact, c Condition) Fact {
	if c.Op == HasWord {
		if ok, _ := c.holds(map[string]Fact{f.Name: f}); ok {
			f.Value = c.Arg
		} else {
			f.Value = "without " + c.Arg
		}
	}
	return f
}

func appendNew(to, facts []Fact) []Fact {
	for _, f := range facts {
		known := false
		for _, have := range to {
			known = known || have.Name == f.Name && have.Value == f.Value
		}
		if !known {
			to = append(to, f)
		}
	}
	return to
}

// holds says whether the condition is met; known is false if its fact is not there.
func (c Condition) holds(by map[string]Fact) (ok, known bool) {
	f, known := by[c.Fact]
	if !known {
		return false, false
	}
	switch c.Op {
	case NotZero:
		return number(f.Value) != 0, true
	case AtLeast:
		return number(f.Value) >= number(c.Arg), true
	case HasBits:
		return bits.OnesCount64(number(f.Value)&number(c.Arg)) == bits.OnesCount64(number(c.Arg)), true
	case HasWord:
		for w := range strings.FieldsSeq(f.Value) {
			if w == c.Arg {
				return true, true
			}
		}
		return false, true
	case Contains:
		return strings.Contains(strings.ToLower(f.Value), strings.ToLower(c.Arg)), true
	case NotEmpty:
		return f.Value != "", true
	case SameAs:
		other, there := by[c.Arg]
		return other.Value == f.Value, there
	case ImpliesN:
		other, there := by[c.Arg]
		return number(f.Value) == 0 || number(other.Value) != 0, there
	}
	return false, false
}

// number reads an integer, 0 if it is none; -1 is all bits, as drivers mean it.
func number(s string) uint64 {
	if n, err := strconv.ParseInt(s, 0, 64); err == nil {
		return uint64(n)
	}
	n, _ := strconv.ParseUint(s, 0, 64)
	return n
}
