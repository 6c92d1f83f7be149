package hal

import "slices"

// Kind is what sort of processor a device is.
type Kind uint8

const (
	GPU Kind = 1 + iota
	CPU
	Accelerator
)

// String gives "gpu", "cpu" or "accelerator".
func (k Kind) String() string {
	switch k {
	case GPU:
		return "gpu"
	case CPU:
		return "cpu"
	case Accelerator:
		return "accelerator"
	}
	return "unknown"
}

// Dialect is the kernel language that a device compiles.
type Dialect string

const (
	C11    Dialect = "c11"
	OpenCL Dialect = "opencl-c-1.2"
	CUDA   Dialect = "cuda-c++"
	HIP    Dialect = "hip-c++"
	MSL    Dialect = "msl"
)

// MemoryKind says where a buffer lives and who sees it.
type MemoryKind uint8

const (
	// DeviceMemory belongs to the device; the host reaches it through Queue.Read and Queue.Write.
	DeviceMemory MemoryKind = 1 + iota
	// HostCoherent is host memory that the device addresses directly. The backend
	// allocates the most coherent kind it has; whether a *running* kernel and the
	// host see each other's writes is for a probe to prove.
	HostCoherent
	// Managed memory migrates between host and device under one address.
	Managed
)

// String names the kind.
func (k MemoryKind) String() string {
	switch k {
	case DeviceMemory:
		return "device"
	case HostCoherent:
		return "host-coherent"
	case Managed:
		return "managed"
	}
	return "unknown"
}

// HostVisible reports whether Buffer.Bytes works.
func (k MemoryKind) HostVisible() bool { return k == HostCoherent || k == Managed }

// Info is what a backend declares about a device: facts, not promises.
type Info struct {
	URI      string       `json:"uri"`     // "cuda:0", stable while the machine's devices are
	Backend  string       `json:"backend"` // "cuda"
	Ordinal  int          `json:"ordinal"` // the number in the URI
	Kind     Kind         `json:"-"`
	Name     string       `json:"name"`   // for people; nothing may depend on it
	Vendor   string       `json:"vendor"` // for people
	Driver   string       `json:"driver"` // driver and compiler versions
	Arch     string       `json:"arch"`   // what code is compiled for: "sm_90", "x86_64"
	Dialect  Dialect      `json:"dialect"`
	UUID     string       `json:"uuid,omitempty"`      // the same for one physical device seen through two drivers
	PCI      string       `json:"pci,omitempty"`       // domain:bus:device.function
	Platform string       `json:"platform,omitempty"`  // OpenCL: the platform's name
	Units    int          `json:"compute_units"`       // multiprocessors, compute units or cores
	Subgroup int          `json:"subgroup_size"`       // lanes that the kernel library treats as one caller; 1 where lanes are independent
	MaxGroup int          `json:"max_group_size"`      // work-items in one group
	Resident int          `json:"resident_subgroups"`  // upper bound of subgroups that execute at once
	Memory   uint64       `json:"memory_bytes"`        // device memory
	HostCPU  bool         `json:"runs_on_host_cpu"`    // the device's lanes are threads of this machine's cores
	Sim      bool         `json:"simulated,omitempty"` // a stand-in without hardware behind it
	Kinds    []MemoryKind `json:"-"`                   // memory kinds that Alloc accepts

	// NoConcurrentAccess: the API promises nothing about what a running kernel and the host see of each other's writes to
	// memory that both reach, whatever is seen on one machine. When a launch has ended, they agree.
	NoConcurrentAccess bool `json:"no_concurrent_access,omitempty"`
}

// Has reports whether Alloc accepts kind.
func (i Info) Has(kind MemoryKind) bool { return slices.Contains(i.Kinds, kind) }
