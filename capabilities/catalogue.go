package capabilities

import (
	"fmt"
	"slices"
	"strings"
)

// ID names a capability; the catalogue is closed.
type ID string

// The catalogue.
const (
	Access64        ID = "access.single64"
	ArgsBindless    ID = "args.bindless"
	Atomic32        ID = "atomic.dev32"
	Atomic64        ID = "atomic.dev64"
	FenceSystem     ID = "atomic.fence.system"
	AtomicFloat     ID = "atomic.float"
	AtomicSystem    ID = "atomic.system.rmw"
	CommMailbox     ID = "comm.mailbox"
	Float64         ID = "compute.float64"
	DiagPrintf      ID = "diag.printf"
	ExecBasic       ID = "exec.basic"
	ExecCoop        ID = "exec.coop"
	ExecProgress    ID = "exec.fwdprogress"
	HostYield       ID = "exec.hostyield"
	ExecPreempt     ID = "exec.preempt"
	ExecTimeout     ID = "exec.timeout"
	IDStable        ID = "id.stable"
	DMABufDevice    ID = "io.dmabuf.dev"
	DMABufHost      ID = "io.dmabuf.host"
	FileCompat      ID = "io.file.compat"
	FileReadDirect  ID = "io.file.read.direct"
	FileWriteDirect ID = "io.file.write.direct"
	RDMA            ID = "io.rdma"
	IPCEvent        ID = "ipc.event"
	IPCMemory       ID = "ipc.memory"
	IsolationMIG    ID = "isolation.mig"
	IsolationMPS    ID = "isolation.mps"
	IsolationPara   ID = "isolation.paravirtual"
	MemConcurrent   ID = "mem.concurrent"
	MemDirectMgd    ID = "mem.directManaged"
	MemFineGrain    ID = "mem.finegrain"
	MemHostMap      ID = "mem.hostmap"
	MemHostPT       ID = "mem.hostPT"
	MemLargeBAR     ID = "mem.largeBAR"
	MemManaged      ID = "mem.managed"
	MemPageable     ID = "mem.pageable"
	MemPools        ID = "mem.pools"
	MemRegister     ID = "mem.register"
	MemSVM          ID = "mem.svm"
	MemUnified      ID = "mem.unified.phys"
	MemUVA          ID = "mem.uva"
	MemVMM          ID = "mem.vmm"
	ModuleJIT       ID = "module.jit"
	PeerAccess      ID = "peer.access"
	PeerAtomics     ID = "peer.atomics"
	PeerCopy        ID = "peer.copy"
	QueueHostFn     ID = "queue.hostfn"
	StreamMemOps    ID = "stream.memops"
	SubgroupSize    ID = "subgroup.size"
	SyncTimeline    ID = "sync.timeline"
	TimerBoundary   ID = "timer.boundary"
	TimerCorrelate  ID = "timer.correlate"
	TimerCycle      ID = "timer.cycle"
	TimerGlobal     ID = "timer.global"
)

// Proof is what it takes to know a capability.
type Proof uint8

const (
	Functional Proof = iota // it has to be done
	Declared                // the driver's word is all there can be
)

// String names the proof.
func (p Proof) String() string { return [...]string{"functional", "declared"}[p] }

// Capability is an entry of the catalogue.
type Capability struct {
	ID       ID
	Meaning  string
	NotMeant string // what it does not imply
	ProvenBy string
	Proof    Proof
	// Levels say how far it goes, least first; empty where it is there or not.
	Levels []string
	Unit   string // of Finding.Value: "ns", "lanes", "groups"; empty: there is none
	// Limit marks what takes something away from a program: having it is no gain, losing it no regression.
	Limit bool
}

// Has reports whether level is one of the capability's.
func (c Capability) Has(level string) bool { return slices.Contains(c.Levels, level) }

// Catalogue lists every capability, sorted by ID.
var Catalogue = []Capability{
	{ID: Access64, Meaning: "an aligned 64-bit load or store between device and host is one access",
		NotMeant: "64-bit atomics", ProvenBy: "both halves of every word that arrived belonged together"},
	{ID: ArgsBindless, Meaning: "a kernel follows an address that it finds in memory",
		NotMeant: "that addresses are the host's, or that the driver knows which buffers a kernel uses",
		ProvenBy: "a kernel read a buffer that was not among its arguments, by an address from another kernel"},
	{ID: Atomic32, Meaning: "32-bit additions to device memory from all groups at once lose nothing",
		NotMeant: "anything about the host, or about order between different words", ProvenBy: "contended additions summed up exactly"},
	{ID: Atomic64, Meaning: "the same with 64 bits", Levels: []string{"minmax", "add", "full"},
		NotMeant: "that a 64-bit access to the host's memory is whole",
		ProvenBy: "each operation compiled, and its contended result was exact: minmax are these two without a result, add also exchanges, full compares and exchanges too"},
	{ID: FenceSystem, Meaning: "what a kernel stores before its fence, the host sees before what it stores after it",
		NotMeant: "that the host sees either soon, or without a fence", ProvenBy: "a message of several words was complete whenever its flag had arrived, both ways"},
	{ID: AtomicFloat, Meaning: "contended additions of 32-bit floats lose nothing", Levels: []string{"cas", "native"},
		NotMeant: "an order of the additions, so not the same rounding each time",
		ProvenBy: "additions that need no rounding summed up exactly, by one instruction (native) or by compare and exchange (cas)"},
	{ID: AtomicSystem, Meaning: "device and host may add to one word of host memory at once",
		NotMeant: "other operations, 64 bits, or peers", ProvenBy: "additions from both sides at once summed up exactly"},
	{ID: CommMailbox, Unit: "ns", Meaning: "the host and a running kernel see each other's writes in host-coherent memory",
		NotMeant: "atomic read-modify-write over the bus", ProvenBy: "words exchanged both ways while the kernel ran"},
	{ID: Float64, Meaning: "kernels compute with 64-bit floats", NotMeant: "that it is fast", ProvenBy: "a sum that 32 bits cannot hold"},
	{ID: DiagPrintf, Proof: Declared, Meaning: "the vendor's own printf in kernels", NotMeant: "live output, or that nothing is lost; hc_printf does not use it",
		ProvenBy: "the driver's word"},
	{ID: ExecBasic, Meaning: "a kernel compiles, runs and writes what it should where it should", NotMeant: "anything about speed",
		ProvenBy: "position-dependent values between guard words"},
	{ID: ExecCoop, Unit: "groups", Meaning: "as many groups as the device has units run at once and can wait for each other",
		NotMeant: "that more do, or that they do beside another kernel", ProvenBy: "every group saw every other arrive, within a bounded wait"},
	{ID: ExecProgress, Levels: []string{"subgroup", "lane"}, Meaning: "a lane that spins does not keep the one it waits for from running",
		NotMeant: "fairness, or progress of groups that are not resident", ProvenBy: "lanes of two subgroups, or of one, waited for each other in turn, and both went on"},
	{ID: HostYield, Meaning: "a waiting kernel on a host processor can give its core away", NotMeant: "fairness among kernels",
		ProvenBy: "a kernel called the system and got the process's own number"},
	{ID: ExecPreempt, Proof: Declared, Meaning: "a running kernel can be interrupted for another one", NotMeant: "that the host can end a kernel", ProvenBy: "the driver's word"},
	{ID: ExecTimeout, Proof: Declared, Limit: true, Meaning: "a watchdog ends kernels that run long", NotMeant: "that a kernel which waits for the host is safe where it is absent",
		ProvenBy: "the driver's word: trying it would mean hanging the display"},
	{ID: IDStable, Proof: Declared, Meaning: "the device has a name that outlives a restart: UUID or PCI address", NotMeant: "that all its drivers give the same", ProvenBy: "the driver's word"},
	{ID: DMABufDevice, Meaning: "device memory can be given to other drivers as a DMA-BUF", NotMeant: "that any other device can reach it", ProvenBy: "a descriptor was exported, is a DMA-BUF, and has at least the memory's size"},
	{ID: DMABufHost, Meaning: "the driver's pinned host memory can be given away as a DMA-BUF", NotMeant: "the same for device memory", ProvenBy: "a descriptor was exported, is a DMA-BUF, and has at least the memory's size"},
	{ID: FileCompat, Meaning: "the vendor's file library works at least through a copy in host memory", NotMeant: "DMA: it may be slower than reading and copying",
		ProvenBy: "a file was read, with the compatibility mode on, and compared byte for byte"},
	{ID: FileReadDirect, Meaning: "the host can order DMA from a file to device memory without a copy in its own", NotMeant: "that a kernel can, that every file system can, or writing",
		ProvenBy: "a file was read, with the compatibility mode off where the vendor has one, and compared byte for byte, on the file system that the evidence names"},
	{ID: FileWriteDirect, Meaning: "the same from device memory to a file", NotMeant: "reading, or durability", ProvenBy: "a file was written with the compatibility mode off and compared byte for byte"},
	{ID: RDMA, Proof: Declared, Meaning: "network cards can be given the device's memory", NotMeant: "that one is there, or order between its writes and the kernel's reads", ProvenBy: "the driver's word; a trial needs a network card"},
	{ID: IPCEvent, Proof: Declared, Meaning: "events can be shared with other processes", NotMeant: "memory", ProvenBy: "the driver's word"},
	{ID: IPCMemory, Proof: Declared, Meaning: "device memory can be shared with other processes", NotMeant: "that they see each other's writes while kernels run", ProvenBy: "the driver's word"},
	{ID: IsolationMIG, Proof: Declared, Limit: true, Meaning: "the device is a partition of a GPU", NotMeant: "that its neighbours cannot be felt", ProvenBy: "its identity"},
	{ID: IsolationMPS, Proof: Declared, Limit: true, Meaning: "kernels of several processes share the device through a server", NotMeant: "that a fault of one leaves the others alone", ProvenBy: "the driver's word"},
	{ID: IsolationPara, Proof: Declared, Limit: true, Meaning: "the device is a virtual machine's view of another", NotMeant: "that what it claims is what the hardware does", ProvenBy: "its name"},
	{ID: MemConcurrent, Unit: "ns", Meaning: "the host may touch managed memory while a kernel uses it", NotMeant: "atomic read-modify-write", ProvenBy: "words exchanged both ways in managed memory while the kernel ran"},
	{ID: MemDirectMgd, Proof: Declared, Meaning: "the host reads managed memory where it is, without moving it", NotMeant: "speed", ProvenBy: "the driver's word"},
	{ID: MemFineGrain, Meaning: "host memory that stays coherent while a kernel runs", NotMeant: "atomics", ProvenBy: "the exchange of comm.mailbox, which lies in it"},
	{ID: MemHostPT, Proof: Declared, Meaning: "the device uses the host's page tables (ATS): one coherent address space", NotMeant: "equal speed everywhere", ProvenBy: "the driver's word, with mem.pageable proven"},
	{ID: MemHostMap, Meaning: "kernels read and write memory of the host that the driver allocated", NotMeant: "that either side sees the other's writes before the kernel has ended",
		ProvenBy: "values went to a kernel and came back in one buffer, without a copy being asked for"},
	{ID: MemLargeBAR, Proof: Declared, Meaning: "the host can address all of the device's memory", NotMeant: "coherence, or fast reads", ProvenBy: "the driver's word"},
	{ID: MemManaged, Meaning: "one allocation that host and kernels use in turn by one address", NotMeant: "use at the same time", ProvenBy: "values went to a kernel and came back without a copy"},
	{ID: MemPageable, Meaning: "kernels use memory that no driver allocated (HMM or ATS)", NotMeant: "coherence while a kernel runs, or speed",
		ProvenBy: "a kernel read and wrote plain pages of the process"},
	{ID: MemPools, Meaning: "memory can be allocated and freed in the order of a queue", NotMeant: "that such memory can be registered or shared", ProvenBy: "allocations were made, written, read and freed on a queue, which was not waited for between"},
	{ID: MemRegister, Proof: Declared, Meaning: "the host's own memory can be pinned for the device", NotMeant: "that its address is the same there", ProvenBy: "the driver's word"},
	{ID: MemSVM, Levels: []string{"coarse", "fine-buffer", "fine-system"}, Meaning: "OpenCL's shared virtual memory", NotMeant: "atomics, or that a running kernel and the host see each other",
		ProvenBy: "values went to a kernel and came back: in memory mapped in turns (coarse), never mapped (fine-buffer), in plain pages of the process (fine-system)"},
	{ID: MemUnified, Proof: Declared, Meaning: "device and host share one DRAM", NotMeant: "coherence, or one address space", ProvenBy: "the driver's word"},
	{ID: MemUVA, Meaning: "the host's address of a buffer is the kernel's too", NotMeant: "that kernels may use other addresses of the host", ProvenBy: "a kernel was asked for the address of its argument"},
	{ID: MemVMM, Proof: Declared, Meaning: "addresses and memory can be reserved and mapped apart", NotMeant: "mapping the host's pages", ProvenBy: "the driver's word"},
	{ID: ModuleJIT, Meaning: "kernels are compiled from source at run time", NotMeant: "that the compiler is correct or quick", ProvenBy: "the probes' own kernels"},
	{ID: PeerAccess, Proof: Declared, Meaning: "kernels address another device's memory", NotMeant: "atomics there", ProvenBy: "the driver's word"},
	{ID: PeerAtomics, Proof: Declared, Meaning: "atomics on another device's memory", NotMeant: "those on the host's", ProvenBy: "the driver's word"},
	{ID: PeerCopy, Proof: Declared, Meaning: "copies between two devices bypass the host", NotMeant: "that kernels can address the other's memory", ProvenBy: "the driver's word"},
	{ID: QueueHostFn, Meaning: "a queue calls a function of the host in its turn", NotMeant: "that the function may call the driver", ProvenBy: "a function was called once, behind one copy and before another"},
	{ID: StreamMemOps, Meaning: "a queue waits for and writes words of memory without a kernel", NotMeant: "that a write overtakes nothing", ProvenBy: "a queue waited for a word that the host wrote, then wrote one"},
	{ID: SubgroupSize, Unit: "lanes", Meaning: "how many lanes run in step and can exchange values", NotMeant: "that all of them are active", ProvenBy: "lanes counted themselves"},
	{ID: SyncTimeline, Proof: Declared, Meaning: "a 64-bit counter that device and host signal and wait for", NotMeant: "that a running kernel can", ProvenBy: "the driver's word"},
	{ID: TimerBoundary, Meaning: "timestamps where kernels begin and end", NotMeant: "a clock inside kernels",
		ProvenBy: "those of two kernels agreed with their order, with their work, and with the host's clock"},
	{ID: TimerCorrelate, Unit: "ns", Meaning: "a reading of the device's clock can be placed on the host's", NotMeant: "the time of day on the device", ProvenBy: "both clocks were read at meetings that the two sides agreed on; the figure is how far apart the readings may be"},
	{ID: TimerCycle, Meaning: "a counter of cycles in kernels", NotMeant: "a constant rate, or the same count elsewhere on the device", ProvenBy: "it advanced"},
	{ID: TimerGlobal, Unit: "ns", Meaning: "a clock of constant rate that a kernel reads without the host", NotMeant: "the time of day",
		ProvenBy: "it advanced, never went back across groups, and agreed with the host within 1%"},
}

// Find gives the entry of that name. The error names those that come close.
func Find(name string) (Capability, error) {
	var near []string
	for _, c := range Catalogue {
		if strings.EqualFold(string(c.ID), name) {
			return c, nil
		}
		for part := range strings.SplitSeq(strings.ToLower(name), ".") {
			if len(part) > 2 && strings.Contains(strings.ToLower(string(c.ID)), part) {
				near = append(near, string(c.ID))
				break
			}
		}
	}
	if near == nil {
		return Capability{}, fmt.Errorf("no capability %q; dialtone explain lists them", name)
	}
	return Capability{}, fmt.Errorf("no capability %q; there are %s", name, strings.Join(near, ", "))
}
