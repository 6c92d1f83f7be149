package capabilities

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dialtone-gpu/dialtone/hal"
)

func TestJudge(t *testing.T) {
	const none = State(99)
	for _, c := range []struct {
		claim, proof, want State
		reason             string
	}{
		{none, none, Unknown, "nothing here declares"},
		{Claimed, none, Claimed, ""}, {No, none, No, ""},
		{none, Proven, Proven, ""}, {none, No, No, ""},
		{Claimed, Proven, Proven, ""}, {Claimed, No, Broken, "the driver claims it"},
		{No, Proven, Proven, "the driver denies it"}, {No, No, No, ""},
		{Claimed, Unknown, Unknown, "crashed"}, {No, Unknown, Unknown, "crashed"},
	} {
		claims, proofs := Set{}, Set{}
		if c.claim != none {
			claims[ExecBasic] = Finding{ID: ExecBasic, State: c.claim, Facts: []Fact{{Source: "claim"}}}
		}
		if c.proof != none {
			proofs[ExecBasic] = Finding{ID: ExecBasic, State: c.proof, Facts: []Fact{{Source: "proof"}}}
			if c.proof == Unknown {
				f := proofs[ExecBasic]
				f.Reason = "crashed"
				proofs[ExecBasic] = f
			}
		}
		all := Judge(claims, proofs)
		f := all[ExecBasic]
		facts := len(claims) + len(proofs)
		if f.State != c.want || !strings.Contains(f.Reason, c.reason) || len(f.Facts) != facts || len(all) != len(Catalogue) {
			t.Errorf("claim %v and proof %v: %+v", c.claim, c.proof, f)
		}
	}
}

func facts(pairs ...string) []Fact {
	var list []Fact
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, Fact{Name: pairs[i], Source: "test", Value: pairs[i+1]})
	}
	return list
}

func TestClaims(t *testing.T) {
	for _, c := range []struct {
		backend string
		facts   []Fact
		id      ID
		state   State
		level   string
	}{
		{"cuda", facts("MANAGED_MEMORY", "1"), MemManaged, Claimed, ""},
		{"cuda", facts("MANAGED_MEMORY", "0"), MemManaged, No, ""},
		{"cuda", nil, MemManaged, Unknown, ""},
		{"cuda", []Fact{{Name: "MANAGED_MEMORY", Error: "CUDA_ERROR_INVALID_VALUE"}}, MemManaged, Unknown, ""},
		{"opencl", facts("MANAGED_MEMORY", "1"), MemManaged, Unknown, ""},
		{"cuda", facts("COMPUTE_CAPABILITY_MAJOR", "6"), ExecProgress, Claimed, "subgroup"},
		{"cuda", facts("COMPUTE_CAPABILITY_MAJOR", "9"), ExecProgress, Claimed, "lane"},
		{"cuda", facts("CAN_USE_STREAM_MEM_OPS_V1", "1", "CAN_USE_64_BIT_STREAM_MEM_OPS", "0"), StreamMemOps, Claimed, ""},
		{"opencl", facts("CL_DEVICE_SVM_CAPABILITIES", "11"), MemSVM, Claimed, "fine-buffer"},
		{"opencl", facts("CL_DEVICE_SVM_CAPABILITIES", "0"), MemSVM, No, ""},
		{"opencl", facts("CL_PLATFORM_HOST_TIMER_RESOLUTION", "1"), TimerCorrelate, Unknown, ""}, // no kernel can read what is placed
		{"opencl", facts("CL_PLATFORM_HOST_TIMER_RESOLUTION", "1", "CL_DEVICE_KERNEL_CLOCK_CAPABILITIES_KHR", "1"), TimerCorrelate, Claimed, ""},
		{"opencl", facts("CL_DEVICE_SVM_CAPABILITIES", "11"), CommMailbox, Claimed, ""},
		{"opencl", facts("CL_DEVICE_SVM_CAPABILITIES", "2"), CommMailbox, No, ""},
		{"opencl", facts("CL_DEVICE_ATOMIC_MEMORY_CAPABILITIES", "64"), AtomicSystem, Unknown, ""},
		{"opencl", facts("CL_DEVICE_ATOMIC_MEMORY_CAPABILITIES", "64", "CL_DEVICE_SVM_CAPABILITIES", "3"), AtomicSystem, No, ""},
		{"opencl", facts("CL_DEVICE_ATOMIC_MEMORY_CAPABILITIES", "71", "CL_DEVICE_SVM_CAPABILITIES", "11"), AtomicSystem, Claimed, ""},
		{"opencl", facts("CL_DEVICE_EXTENSIONS", "cl_khr_int64_base_atomics cl_khr_fp64"), Atomic64, Claimed, "add"},
		{"opencl", facts("CL_DEVICE_EXTENSIONS", "cl_khr_int64_base_atomics_but_not"), Atomic64, No, ""},
		{"opencl", nil, FileReadDirect, No, ""},
		{"opencl", facts("CL_DEVICE_SVM_CAPABILITIES", "11"), MemUVA, Claimed, ""},
		{"opencl", facts("CL_DEVICE_SVM_CAPABILITIES", "1"), MemUVA, No, ""}, // coarse-grained: this backend's memory is none of it
		{"opencl", facts("CL_DEVICE_EXTENSIONS", "cl_khr_semaphore"), SyncTimeline, No, ""},
		{"opencl", facts("CL_DEVICE_KERNEL_EXEC_TIMEOUT_NV", "0"), ExecTimeout, No, ""},
		{"opencl", facts("CL_DEVICE_KERNEL_EXEC_TIMEOUT_NV", "1"), ExecTimeout, Claimed, ""},
		{"opencl", nil, ExecTimeout, Unknown, ""},
		{"opencl", facts("CL_DEVICE_EXECUTION_CAPABILITIES", "1"), QueueHostFn, No, ""}, // kernels only
		{"opencl", facts("CL_DEVICE_EXECUTION_CAPABILITIES", "3"), QueueHostFn, Claimed, ""},
		{"cuda", facts("driver_version", "13000"), QueueHostFn, Claimed, ""},
		{"cuda", facts("driver_version", "9020"), QueueHostFn, No, ""},
		{"metal", facts("name", "Apple Paravirtual device"), IsolationPara, Claimed, ""},
		{"metal", facts("supportsFamily(1008)", "1", "supportsFamily(2002)", "0", "supportsFamily(1009)", "0"), Atomic64, No, ""},
		{"metal", facts("newIOCommandQueueWithDescriptor:error:", "1"), FileReadDirect, Claimed, ""},
		{"metal", facts("newIOCommandQueueWithDescriptor:error:", "0"), FileReadDirect, No, ""},
		{"metal", facts("supportsCounterSampling(0)", "1", "counterSets", "statistic timestamp"), TimerBoundary, Claimed, ""},
		{"metal", facts("supportsCounterSampling(0)", "1", "counterSets", ""), TimerBoundary, No, ""},
		{"metal", []Fact{{Name: "hasUnifiedMemory", Error: "the device does not respond to hasUnifiedMemory"}}, MemUnified, Unknown, ""},
		{"metal", facts("sampleTimestamps", "7 8"), TimerCorrelate, No, ""}, // of commands, not of kernels
		{"hip", facts("WallClockRate", "0"), TimerGlobal, No, ""},
		{"hip", facts("hipfile", "0.3.0 (libhipfile.so.0)", "hipAmdFileRead", "1"), FileReadDirect, Claimed, ""},
		{"hip", facts("hipfile", "0.3.0 (libhipfile.so.0)", "hipAmdFileRead", "0"), FileReadDirect, No, ""},
		{"hip", facts("hipfile", "", "hipAmdFileWrite", "1"), FileWriteDirect, No, ""},
		{"hip", facts("uuid", "", "pci", "0000:03:00.0"), IDStable, Claimed, ""},
		{"hip", facts("uuid", "GPU-1", "pci", ""), IDStable, Claimed, ""},
		{"hip", facts("uuid", "", "pci", ""), IDStable, No, ""},
		{"hip", facts("UnifiedAddressing", "1"), MemUVA, Claimed, ""},
		{"hip", facts("HostRegisterSupported", "1"), MemRegister, Claimed, ""},
		{"hip", nil, MemRegister, Unknown, ""}, // HIP 5 has no such attribute
		{"hip", facts("PageableMemoryAccessUsesHostPageTables", "1", "PageableMemoryAccess", "0"), MemHostPT, No, ""},
		{"hip", facts("PageableMemoryAccessUsesHostPageTables", "1", "PageableMemoryAccess", "1"), MemHostPT, Claimed, ""},
		{"hip", facts("HostAllocDmaBufSupported", "1"), DMABufHost, Claimed, ""},
		{"hip", facts("GPUDirectRDMAWithHipVMMSupported", "1"), RDMA, Claimed, ""},
		{"hip", facts("GPUDirectRDMAWithHipVMMSupported", "0"), RDMA, Unknown, ""}, // other memory may do
		{"hip", facts("MemoryPoolSupportedHandleTypes", "1"), IPCMemory, Claimed, ""},
		{"hip", facts("MemoryPoolSupportedHandleTypes", "0"), IPCMemory, Unknown, ""},
		{"hip", facts("hipLaunchHostFunc", "0"), QueueHostFn, No, ""},
		{"hip", facts("hipEventElapsedTime", "1"), TimerBoundary, Claimed, ""},
		{"hip", facts("peers", "0", "peers_access", "0", "peers_native_atomics", "0"), PeerCopy, No, ""},
		{"hip", facts("peers", "1", "peers_access", "1", "peers_native_atomics", "0"), PeerAccess, Claimed, ""},
		{"hip", facts("peers", "1", "peers_access", "1", "peers_native_atomics", "0"), PeerAtomics, No, ""},
	} {
		f := Claims(hal.Info{Backend: c.backend}, c.facts)[c.id]
		if f.State != c.state || f.Level != c.level {
			t.Errorf("%s %v: %s is %s %q, want %s %q", c.backend, c.facts, c.id, f.State, f.Level, c.state, c.level)
		}
		if f.State == Unknown && len(f.Facts) > 0 && f.Reason == "" {
			t.Errorf("%s: unknown for no reason", c.id)
		}
		if f.State == No && f.Reason == "" && len(f.Facts) == 0 {
			t.Errorf("%s: no for no reason", c.id)
		}
	}
	// Long lists do not become evidence as a whole.
	f := Claims(hal.Info{Backend: "opencl"}, facts("CL_DEVICE_EXTENSIONS", "cl_a cl_khr_fp64 cl_b"))
	if f[Float64].Facts[0].Value != "cl_khr_fp64" || f[DMABufDevice].Facts[0].Value != "without cl_khr_external_memory_dma_buf" {
		t.Errorf("%+v %+v", f[Float64], f[DMABufDevice])
	}
	// What an API cannot tell is not denied, and says so; where a fact does tell, the fact counts.
	for backend, list := range untold {
		claims := Claims(hal.Info{Backend: backend}, nil)
		for id := range list {
			if c, err := Find(string(id)); err != nil || claims[c.ID].State != Unknown || claims[c.ID].Reason == "" {
				t.Errorf("%s: %s is %+v, %v", backend, id, claims[id], err)
			}
		}
	}
	f = Claims(hal.Info{Backend: "opencl"}, facts("CL_DEVICE_KERNEL_EXEC_TIMEOUT_NV", "0"))
	if f[ExecTimeout].Reason != "" || len(f[ExecTimeout].Facts) != 1 {
		t.Errorf("%+v", f[ExecTimeout])
	}
}

// TestRulesAreSound: rules name capabilities and levels that exist, and what has to be tried can be told from what has not.
func TestRulesAreSound(t *testing.T) {
	for _, r := range ClaimRules {
		c, err := Find(string(r.ID))
		if err != nil || r.Level != "" && !c.Has(r.Level) || r.Level == "" && r.If != nil && c.Levels != nil {
			t.Errorf("%+v: %v", r, err)
		}
		if (r.If == nil) == (r.Reason == "") {
			t.Errorf("%s on %s: conditions, or the reason why there are none", r.ID, r.Backend)
		}
		for _, cond := range r.If {
			if _, known := cond.holds(map[string]Fact{cond.Fact: {Value: "1"}}); !known {
				t.Errorf("%+v can never be decided", cond)
			}
		}
	}
	for _, r := range StateRules {
		for _, id := range append(slices.Clone(r.Needs), r.Proven) {
			if _, err := Find(string(id)); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestViolations(t *testing.T) {
	for _, c := range []struct {
		name, backend string
		facts         []Fact
		set           Set
		want          []string
	}{
		{name: "nothing is known", backend: "cuda"},
		{name: "the H200", backend: "cuda", facts: facts("PAGEABLE_MEMORY_ACCESS", "0", "CONCURRENT_MANAGED_ACCESS", "1", "MANAGED_MEMORY", "1", "PAGEABLE_MEMORY_ACCESS_USES_HOST_PAGE_TABLES", "0")},
		{name: "ATS without HMM", backend: "cuda", facts: facts("PAGEABLE_MEMORY_ACCESS", "0", "PAGEABLE_MEMORY_ACCESS_USES_HOST_PAGE_TABLES", "1"), want: []string{"cuda-ats-is-pageable"}},
		{name: "concurrent without managed", backend: "cuda", facts: facts("CONCURRENT_MANAGED_ACCESS", "1", "MANAGED_MEMORY", "0"), want: []string{"cuda-concurrent-is-managed"}},
		{name: "another vendor's facts", backend: "opencl", facts: facts("CONCURRENT_MANAGED_ACCESS", "1", "MANAGED_MEMORY", "0")},
		{name: "one flag for two", backend: "hip", facts: facts("ManagedMemory", "1", "ConcurrentManagedAccess", "0"), want: []string{"hip-managed-is-concurrent"}},
		{name: "a clock that stands", backend: "hip", facts: facts("WallClockRate", "0"), want: []string{"hip-clock-has-a-rate"}},
		{name: "atomics in coarse memory", backend: "opencl", facts: facts("CL_DEVICE_SVM_CAPABILITIES", "9"), want: []string{"opencl-svm-atomics-are-fine"}},
		{name: "PoCL", backend: "opencl", facts: facts("CL_DEVICE_SVM_CAPABILITIES", "11")},
		{name: "a mailbox out of nothing", backend: "cpu", set: Set{CommMailbox: {ID: CommMailbox, State: Proven}, ExecBasic: {ID: ExecBasic, State: No}}, want: []string{"mailbox-needs-kernels"}},
		{name: "a mailbox, the rest unknown", backend: "cpu", set: Set{CommMailbox: {ID: CommMailbox, State: Proven}}},
		{name: "a broken claim", backend: "cpu", set: Set{AtomicSystem: {ID: AtomicSystem, State: Broken}}, want: []string{"claim-without-proof"}},
	} {
		var got []string
		for _, v := range Violations(hal.Info{Backend: c.backend}, c.facts, c.set) {
			got = append(got, v.Rule)
			if v.Text == "" {
				t.Errorf("%s: %s says nothing", c.name, v.Rule)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestRequirements(t *testing.T) {
	set := Set{
		CommMailbox:  {ID: CommMailbox, State: Proven},
		Atomic64:     {ID: Atomic64, State: Proven, Level: "add"},
		MemSVM:       {ID: MemSVM, State: Claimed, Level: "fine-buffer"},
		MemUnified:   {ID: MemUnified, State: Claimed},
		MemPageable:  {ID: MemPageable, State: Claimed},
		TimerGlobal:  {ID: TimerGlobal, State: No, Reason: "no clock"},
		AtomicSystem: {ID: AtomicSystem, State: Broken},
		ExecBasic:    {ID: ExecBasic, State: Forced},
	}
	for text, met := range map[string]bool{
		"comm.mailbox": true, "COMM.MAILBOX=proven": true, "comm.mailbox=no": false, "exec.basic": true,
		"atomic.dev64": true, "atomic.dev64=minmax": true, "atomic.dev64=add": true, "atomic.dev64=full": false,
		"mem.svm": false, "mem.svm=coarse": false, "mem.svm=claimed": true, "mem.unified.phys": true, "mem.unified.phys=proven": false,
		"mem.pageable": false, "mem.pageable=claimed": true, "timer.global": false, "timer.global=no": true,
		"atomic.system.rmw": false, "atomic.system.rmw=no": true, "mem.vmm": false, "mem.vmm=no": false,
	} {
		r, err := ParseRequirement(text)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Met(set); (err == nil) != met {
			t.Errorf("%s: %v", text, err)
		}
	}
	for text, want := range map[string]string{"comm.mail": "comm.mailbox", "telepathy": "explain lists them", "atomic.dev64=most": "minmax", "comm.mailbox=": "claimed"} {
		if _, err := ParseRequirement(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestDiff(t *testing.T) {
	device := func(uri, uuid string, findings ...Finding) Device {
		b, _, _ := strings.Cut(uri, ":")
		return Device{Description: Describe(hal.Info{URI: uri, Backend: b, UUID: uuid}), Capabilities: findings}
	}
	one := func(id ID, s State, level string) Finding { return Finding{ID: id, State: s, Level: level} }
	for _, c := range []struct {
		name          string
		before, after []Device
		want          string // the changes, a ! before regressions
	}{
		{"nothing", []Device{device("cuda:0", "", one(ExecBasic, Proven, ""))}, []Device{device("cuda:0", "", one(ExecBasic, Proven, ""))}, ""},
		{"worse", []Device{device("cuda:0", "", one(ExecBasic, Proven, ""))}, []Device{device("cuda:0", "", one(ExecBasic, Unknown, ""))}, "!cuda:0: exec.basic: proven -> unknown"},
		{"better", []Device{device("cuda:0", "", one(ExecBasic, No, ""))}, []Device{device("cuda:0", "", one(ExecBasic, Proven, ""))}, "cuda:0: exec.basic: no -> proven"},
		{"nothing lost", []Device{device("cuda:0", "", one(ExecBasic, Broken, ""))}, []Device{device("cuda:0", "", one(ExecBasic, No, ""))}, "cuda:0: exec.basic: broken -> no"},
		{"a level less", []Device{device("cuda:0", "", one(Atomic64, Proven, "full"))}, []Device{device("cuda:0", "", one(Atomic64, Proven, "add"))}, "!cuda:0: atomic.dev64: proven (full) -> proven (add)"},
		{"a level more", []Device{device("cuda:0", "", one(Atomic64, Proven, "add"))}, []Device{device("cuda:0", "", one(Atomic64, Proven, "full"))}, "cuda:0: atomic.dev64: proven (add) -> proven (full)"},
		{"a limit gone", []Device{device("cuda:0", "", one(ExecTimeout, Claimed, ""))}, []Device{device("cuda:0", "", one(ExecTimeout, No, ""))}, "cuda:0: exec.timeout: claimed -> no"},
		{"proven, not told", []Device{device("cuda:0", "", one(ExecBasic, Proven, ""))}, []Device{device("cuda:0", "")}, "!cuda:0: exec.basic: proven -> not told"},
		{"claimed, not told", []Device{device("cuda:0", "", one(Atomic64, Claimed, "full"))}, []Device{device("cuda:0", "")}, "!cuda:0: atomic.dev64: claimed (full) -> not told"},
		{"no, not told", []Device{device("cuda:0", "", one(ExecBasic, No, ""))}, []Device{device("cuda:0", "")}, "cuda:0: exec.basic: no -> not told"},
		{"unknown, not told", []Device{device("cuda:0", "", one(ExecBasic, Unknown, ""))}, []Device{device("cuda:0", "")}, ""},
		{"a limit not told", []Device{device("cuda:0", "", one(ExecTimeout, Claimed, ""))}, []Device{device("cuda:0", "")}, "cuda:0: exec.timeout: claimed -> not told"},
		{"not known here", []Device{device("cuda:0", "", one("mem.telepathic", Proven, ""))}, []Device{device("cuda:0", "")}, "cuda:0: mem.telepathic: proven -> not told"},
		{"new", []Device{device("cuda:0", "")}, []Device{device("cuda:0", "", one(ExecBasic, No, ""))}, ""},
		{"another machine's", []Device{device("cuda:0", "a", one(ExecBasic, Proven, ""))}, []Device{device("cuda:0", "b", one(ExecBasic, No, "")), device("cuda:1", "c")},
			"!cuda:0: exec.basic: proven -> no; cuda:1: device: not there -> there"},
		{"renumbered", []Device{device("cuda:0", "a", one(ExecBasic, Proven, "")), device("cuda:1", "b", one(ExecBasic, No, ""))},
			[]Device{device("cuda:0", "b", one(ExecBasic, No, "")), device("cuda:1", "a", one(ExecBasic, Proven, ""))}, ""},
		{"one less", []Device{device("cuda:0", ""), device("cuda:1", "")}, []Device{device("cuda:0", "")}, "!cuda:1: device: there -> gone"},
		{"redacted", []Device{device("cuda:0", redacted, one(ExecBasic, Proven, "")), device("cuda:1", redacted, one(ExecBasic, No, ""))},
			[]Device{device("cuda:0", redacted, one(ExecBasic, Proven, "")), device("cuda:1", redacted, one(ExecBasic, No, ""))}, ""},
	} {
		var got []string
		for _, change := range Diff(&Report{Devices: c.before}, &Report{Devices: c.after}) {
			s := change.String()
			if change.Regression {
				s = "!" + s
			}
			got = append(got, s)
		}
		if text := strings.Join(got, "; "); text != c.want {
			t.Errorf("%s: %q, want %q", c.name, text, c.want)
		}
	}
	// The program of a report that was taken earlier may not know all that the other's knows.
	full, empty := []Device{device("cuda:0", "", one(ExecBasic, Proven, ""))}, []Device{device("cuda:0", "")}
	now := time.Now()
	for _, c := range []struct {
		before, after time.Time
		changes       int
	}{{now, now.Add(-time.Hour), 0}, {now, now, 1}, {now, now.Add(time.Hour), 1}, {now, time.Time{}, 1}} {
		if changes := Diff(&Report{Taken: c.before, Devices: full}, &Report{Taken: c.after, Devices: empty}); len(changes) != c.changes {
			t.Errorf("taken at %v and at %v: %v", c.before, c.after, changes)
		}
	}
	if changes := Diff(&Report{Schema: 2, Devices: full}, &Report{Schema: 1, Devices: empty}); len(changes) != 0 {
		t.Errorf("an older schema: %v", changes)
	}
}
