package capabilities

import (
	"fmt"
	"strings"

	"github.com/dialtone-gpu/dialtone/hal"
)

// FactRule is what the facts of one driver owe each other.
type FactRule struct {
	Name    string
	Backend string
	Must    Condition
	Why     string
}

// FactRules are checked on every report that has the facts. A driver that breaks one answers from a constant or mixes
// two things up: its claims deserve less trust.
var FactRules = []FactRule{
	{"cuda-ats-is-pageable", "cuda", on("PAGEABLE_MEMORY_ACCESS_USES_HOST_PAGE_TABLES", ImpliesN, "PAGEABLE_MEMORY_ACCESS"), "page tables cannot be shared where pageable memory cannot be used"},
	{"cuda-pageable-is-concurrent", "cuda", on("PAGEABLE_MEMORY_ACCESS", ImpliesN, "CONCURRENT_MANAGED_ACCESS"), "the programming guide gives pageable access only with full managed memory"},
	{"cuda-concurrent-is-managed", "cuda", on("CONCURRENT_MANAGED_ACCESS", ImpliesN, "MANAGED_MEMORY"), "concurrent access is a property of managed memory"},
	{"cuda-rdma-vmm-is-rdma", "cuda", on("GPU_DIRECT_RDMA_WITH_CUDA_VMM_SUPPORTED", ImpliesN, "GPU_DIRECT_RDMA_SUPPORTED"), "the one is a special case of the other"},
	{"hip-managed-is-concurrent", "hip", on("ManagedMemory", SameAs, "ConcurrentManagedAccess"), "the runtime answers both from one flag"},
	{"hip-pageable-is-managed", "hip", on("PageableMemoryAccess", ImpliesN, "ManagedMemory"), "both rest on shared virtual memory of the kernel driver"},
	{"hip-ats-is-pageable", "hip", on("PageableMemoryAccessUsesHostPageTables", ImpliesN, "PageableMemoryAccess"), "page tables cannot be shared where pageable memory cannot be used"},
	{"hip-rdma-vmm-is-vmm", "hip", on("GPUDirectRDMAWithHipVMMSupported", ImpliesN, "VirtualMemoryManagementSupported"), "the one is a flag of the other's memory"},
	{"hip-clock-has-a-rate", "hip", on("WallClockRate", NotZero), "a failed query is given as a rate of 0"},
	{"opencl-fine-system-is-fine-buffer", "opencl", on("svm_fine_system", ImpliesN, "svm_fine_buffer"), "the specification's levels include each other"},
	{"opencl-svm-atomics-are-fine", "opencl", on("svm_atomics", ImpliesN, "svm_fine_buffer"), "atomics need fine-grained memory"},
}

// StateRule is what the findings of one device owe each other: where Proven holds, none of Needs can be No or Broken.
type StateRule struct {
	Name   string
	Proven ID
	Needs  []ID
	Why    string
}

// StateRules are checked on every device.
var StateRules = []StateRule{
	{"mailbox-needs-kernels", CommMailbox, []ID{ExecBasic}, "a kernel has to run to exchange words"},
	{"mailbox-is-finegrain", CommMailbox, []ID{MemFineGrain, MemHostMap}, "the words lie in such memory"},
	{"concurrent-is-managed", MemConcurrent, []ID{MemManaged}, "it is managed memory"},
	{"system-atomics-need-mapping", AtomicSystem, []ID{MemHostMap}, "the word lies in mapped memory"},
	{"correlation-needs-a-clock", TimerCorrelate, []ID{TimerGlobal}, "there is nothing to correlate otherwise"},
	{"ats-needs-pageable", MemHostPT, []ID{MemPageable}, "shared page tables make all memory usable"},
	{"wide-atomics-need-narrow", Atomic64, []ID{Atomic32}, "no device has only the wide ones"},
}

// Violation is a rule that a device breaks.
type Violation struct {
	Rule string `json:"rule"`
	Text string `json:"text"`
}

// Violations checks the rules of one device.
func Violations(info hal.Info, facts []Fact, set Set) []Violation {
	list := []Violation{}
	by := derived(index(facts))
	for _, r := range FactRules {
		if r.Backend != info.Backend {
			continue
		}
		ok, known := r.Must.holds(by)
		if !known || ok {
			continue
		}
		text := fmt.Sprintf("%s is %s", r.Must.Fact, by[r.Must.Fact].Value)
		if other, there := by[r.Must.Arg]; there {
			text += fmt.Sprintf(", %s is %s", r.Must.Arg, other.Value)
		}
		list = append(list, Violation{r.Name, text + ": " + r.Why})
	}
	for _, r := range StateRules {
		if set[r.Proven].State != Proven {
			continue
		}
		var missing []string
		for _, id := range r.Needs {
			if s := set[id].State; s == No || s == Broken {
				missing = append(missing, fmt.Sprintf("%s is %s", id, s))
			}
		}
		if missing != nil {
			list = append(list, Violation{r.Name, fmt.Sprintf("%s is proven, but %s: %s", r.Proven, strings.Join(missing, ", "), r.Why)})
		}
	}
	for _, c := range Catalogue {
		if set[c.ID].State == Broken {
			list = append(list, Violation{"claim-without-proof", fmt.Sprintf("%s is claimed, and trying it failed", c.ID)})
		}
	}
	return list
}

// derived adds single bits of flags, for rules.
func derived(by map[string]Fact) map[string]Fact {
	if svm, ok := by["CL_DEVICE_SVM_CAPABILITIES"]; ok {
		for bit, name := range map[uint64]string{2: "svm_fine_buffer", 4: "svm_fine_system", 8: "svm_atomics"} {
			by[name] = Fact{Name: name, Value: fmt.Sprint(number(svm.Value) & bit)}
		}
	}
	return by
}
