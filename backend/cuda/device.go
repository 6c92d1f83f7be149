package cuda

import (
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"regexp"
	"strings"
	"unsafe"

	"github.com/dialtone-gpu/dialtone/backend/stream"
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
		c, err := d.describe(i)
		if err != nil {
			return infos, err
		}
		infos = append(infos, c.info)
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
		c, err := d.describe(ordinal)
		if err != nil {
			return nil, err
		}
		h, err := d.streams.Open(c.info, c.limits, func() (stream.Context, error) { return d.primary(c) })
		if err != nil {
			return nil, err
		}
		return &device{Handle: h, api: d, id: c.id, cc: c.cc}, nil
	})
}

// primary is the primary context of a GPU: cuDevicePrimaryCtxRetain, cuDevicePrimaryCtxRelease, page "Primary Context Management".
func (d *driver) primary(of candidate) (c stream.Context, err error) {
	if r := code(d.PrimaryCtxRetain.Call(uintptr(unsafe.Pointer(&c.Current)), of.id)); r != success {
		return c, d.failure("cuDevicePrimaryCtxRetain", of.info.URI, r)
	}
	c.Release = func() error {
		if r := code(d.PrimaryCtxRelease.Call(of.id)); r != success {
			return d.failure("cuDevicePrimaryCtxRelease", of.info.URI, r)
		}
		return nil
	}
	return c, nil
}

// candidate is a GPU that may be opened.
type candidate struct {
	info   hal.Info
	limits stream.Limits
	id     uintptr // CUdevice
	cc     int     // compute capability, 90 for 9.0
}

// device is an open GPU.
type device struct {
	*stream.Handle
	api *driver
	id  uintptr // CUdevice
	cc  int     // compute capability, 90 for 9.0
}

// Compile makes code for the GPU, and loads it.
func (d *device) Compile(ctx context.Context, src hal.Source) (hal.DriverModule, error) {
	return d.Handle.Compile(ctx, src, func(ctx context.Context, src hal.Source, fresh bool) ([]byte, string, error) {
		return fetch(ctx, d.URI(), src, d.cc, fresh)
	})
}

// describe asks for the facts of one GPU. Page "Device Management".
func (d *driver) describe(ordinal int) (candidate, error) {
	uri := fmt.Sprintf("%s:%d", name, ordinal)
	var id int32
	if r := code(d.DeviceGet.Call(uintptr(unsafe.Pointer(&id)), uintptr(ordinal))); r != success {
		return candidate{}, d.failure("cuDeviceGet", uri, r)
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
	var lim stream.Limits
	for i := range 3 {
		lim.Grid[i], lim.Group[i] = attr(attrMaxGridDimX+uintptr(i)), attr(attrMaxBlockDimX+uintptr(i))
	}
	var memory uintptr
	if r := code(d.DeviceTotalMem.Call(uintptr(unsafe.Pointer(&memory)), dev)); r != success && failed == nil {
		failed = d.failure("cuDeviceTotalMem", uri, r)
	}
	info.Memory = uint64(memory)
	return candidate{info: info, limits: lim, id: dev, cc: major*10 + minor}, failed
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
