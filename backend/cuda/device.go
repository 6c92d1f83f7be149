package cuda

import (
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync/atomic"
	"unsafe"

	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/internal/dl"
)

// name is the backend's name and the scheme of its URIs.
const name = "cuda"

func init() { hal.Register(backend{}) }

// backend implements hal.Backend.
type backend struct{}

// Name is "cuda".
func (backend) Name() string { return name }

// Devices lists the GPUs without opening a context.
func (backend) Devices(ctx context.Context) ([]hal.Info, error) {
	return dl.Within(ctx, "cuda: list devices", nil, func() ([]hal.Info, error) {
		d, err := startedDriver()
		if err != nil {
			return nil, err
		}
		return d.list()
	})
}

func (d *driver) list() ([]hal.Info, error) {
	var n int32
	if r := code(d.DeviceGetCount.Call(uintptr(unsafe.Pointer(&n)))); r != success { // page "Device Management"
		return nil, d.failure("cuDeviceGetCount", "", r)
	}
	if n <= 0 {
		return nil, fmt.Errorf("the driver library is there (%s) and lists no GPU (CUDA_VISIBLE_DEVICES hides all?): %w", d.path, hal.ErrUnavailable)
	}
	infos := make([]hal.Info, 0, n)
	for i := range int(n) {
		info, _, err := d.describe(i)
		if err != nil {
			return infos, err
		}
		infos = append(infos, info)
	}
	return infos, nil
}

// Open makes a GPU usable.
func (backend) Open(ctx context.Context, ordinal int) (hal.DriverDevice, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return dl.Within(ctx, fmt.Sprintf("cuda:%d: open", ordinal), func(d hal.DriverDevice) { _ = d.Close() }, func() (hal.DriverDevice, error) {
		d, err := startedDriver()
		if err != nil {
			return nil, err
		}
		info, lim, err := d.describe(ordinal)
		if err != nil {
			return nil, err
		}
		c, err := retain(d, ordinal)
		if err != nil {
			return nil, err
		}
		return &device{context: c, info: info, limits: lim}, nil
	})
}

// device is an open GPU.
type device struct {
	context *primary
	info    hal.Info
	limits  limits
	closed  atomic.Bool
}

// limits are those of a launch.
type limits struct {
	cc    int    // compute capability, 90 for 9.0
	grid  [3]int // groups
	group [3]int // work-items
}

// Info gives what the driver declares.
func (d *device) Info() hal.Info { return d.info }

// usable is why the device is not, or nil.
func (d *device) usable() error {
	if d.closed.Load() {
		return fmt.Errorf("%s: %w", d.info.URI, hal.ErrClosed)
	}
	return d.context.usable()
}

// Close releases the context when nothing else holds it and nothing runs; it waits for nothing.
func (d *device) Close() error {
	if d.closed.Swap(true) {
		return nil
	}
	return d.context.unref()
}

// describe asks for the facts of one GPU. Page "Device Management".
func (d *driver) describe(ordinal int) (hal.Info, limits, error) {
	uri := fmt.Sprintf("%s:%d", name, ordinal)
	var id int32
	if r := code(d.DeviceGet.Call(uintptr(unsafe.Pointer(&id)), uintptr(ordinal))); r != success {
		return hal.Info{}, limits{}, d.failure("cuDeviceGet", uri, r)
	}
	dev := uintptr(id)
	var failed error
	attr := func(n uintptr) int {
		var v int32
		if r := code(d.DeviceGetAttribute.Call(uintptr(unsafe.Pointer(&v)), n, dev)); r != success && failed == nil {
			failed = d.failure(fmt.Sprintf("cuDeviceGetAttribute(%d)", n), uri, r)
		}
		return int(v)
	}
	text := func(f dl.Func) string {
		var b [256]byte
		if r := code(f.Call(uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), dev)); r != success {
			return ""
		}
		return dl.Text(b[:])
	}
	major, minor := attr(attrMajor), attr(attrMinor)
	units, warp := attr(attrMultiprocessors), attr(attrWarpSize)
	info := hal.Info{
		URI:      uri,
		Backend:  name,
		Ordinal:  ordinal,
		Kind:     hal.GPU,
		Name:     text(d.DeviceGetName),
		Vendor:   "NVIDIA",
		Driver:   d.describeSoftware(),
		Arch:     fmt.Sprintf("sm_%d%d", major, minor),
		Dialect:  hal.CUDA,
		UUID:     d.uuid(dev),
		PCI:      strings.ToLower(text(d.DeviceGetPCIBusId)),
		Units:    units,
		Subgroup: warp,
		MaxGroup: attr(attrMaxThreadsPerBlock),
		Kinds:    []hal.MemoryKind{hal.DeviceMemory},
	}
	if warp > 0 {
		info.Resident = units * attr(attrMaxThreadsPerSM) / warp
	}
	if attr(attrCanMapHostMemory) != 0 {
		info.Kinds = append(info.Kinds, hal.HostCoherent)
	}
	// Without concurrent access a host that touches managed memory while a kernel
	// runs is killed by a signal, which the contract of Buffer.Bytes does not allow.
	if attr(attrManagedMemory) != 0 && attr(attrConcurrentManaged) != 0 && d.MemAllocManaged != 0 {
		info.Kinds = append(info.Kinds, hal.Managed)
	}
	lim := limits{cc: major*10 + minor}
	for i := range 3 {
		lim.grid[i], lim.group[i] = attr(attrMaxGridDimX+uintptr(i)), attr(attrMaxBlockDimX+uintptr(i))
	}
	var memory uintptr
	if r := code(d.DeviceTotalMem.Call(uintptr(unsafe.Pointer(&memory)), dev)); r != success && failed == nil {
		failed = d.failure("cuDeviceTotalMem", uri, r)
	}
	info.Memory = uint64(memory)
	return info, lim, failed
}

// uuid gives "GPU-01234567-89ab-cdef-0123-456789abcdef", as NVIDIA's tools write it.
func (d *driver) uuid(dev uintptr) string {
	var b [16]byte
	if d.DeviceGetUuid == 0 || code(d.DeviceGetUuid.Call(uintptr(unsafe.Pointer(&b[0])), dev)) != success {
		return ""
	}
	h := hex.EncodeToString(b[:])
	return strings.Join([]string{"GPU", h[:8], h[8:12], h[12:16], h[16:20], h[20:]}, "-")
}

// describeSoftware gives "CUDA 13.0 (driver API 13000), kernel module 580.159, NVRTC 13.0".
func (d *driver) describeSoftware() string {
	s := fmt.Sprintf("CUDA %d.%d (driver API %d)", d.version/1000, d.version%1000/10, d.version)
	if v := moduleVersion(); v != "" {
		s += ", kernel module " + v
	}
	if c, err := loadedCompiler(); err == nil {
		return s + ", NVRTC " + c.version()
	}
	return s + ", no NVRTC"
}

var versionNumber = regexp.MustCompile(`\b\d{3,}\.\d+(\.\d+)?\b`)

// moduleVersion is the Linux kernel module's version, "" where there is none.
func moduleVersion() string {
	text, err := os.ReadFile("/proc/driver/nvidia/version")
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return versionNumber.FindString(line)
}
