package hip

import (
	"context"
	"encoding/hex"
	"fmt"
	"math"
	"regexp"
	"strings"
	"unsafe"

	"github.com/dialtone-gpu/dialtone/backend/stream"
	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/internal/dl"
)

// name is the backend's name and the scheme of its URIs.
const name = "hip"

func init() { hal.Register(backend{}) }

// backend implements hal.Backend.
type backend struct{}

// Name is "hip".
func (backend) Name() string { return name }

// Devices lists the GPUs.
func (backend) Devices(ctx context.Context) ([]hal.Info, error) {
	return dl.Within(ctx, "hip: list devices", nil, func() ([]hal.Info, error) {
		d, err := startedDriver()
		if err != nil {
			return nil, err
		}
		return d.list()
	})
}

func (d *driver) list() ([]hal.Info, error) {
	var n int32
	if r := code(d.GetDeviceCount.Call(uintptr(unsafe.Pointer(&n)))); r != success && r != noDevice { // "Device Management"
		return nil, d.failure("hipGetDeviceCount", "", r)
	}
	if n <= 0 {
		return nil, fmt.Errorf("the HIP runtime is there (%s) and lists no GPU%s: %w", d.path, hint(), hal.ErrUnavailable)
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
	return dl.Within(ctx, fmt.Sprintf("hip:%d: open", ordinal), nil, func() (hal.DriverDevice, error) {
		d, err := startedDriver()
		if err != nil {
			return nil, err
		}
		return d.open(ordinal)
	})
}

// open gives a device whose context is the process's: hipSetDevice makes it when it is first needed, and a device that was lost is lost to
// the process.
func (d *driver) open(ordinal int) (hal.DriverDevice, error) {
	c, err := d.describe(ordinal)
	if err != nil {
		return nil, err
	}
	h, err := d.streams.Open(c.info, c.limits, func() (stream.Context, error) { return stream.Context{Current: uintptr(ordinal)}, nil })
	if err != nil {
		return nil, err
	}
	return &device{Handle: h, api: d, clock: c.clock}, nil
}

// device is an open GPU.
type device struct {
	*stream.Handle
	api   *driver
	clock int // kHz of wall_clock64, 0 if it is not known
}

// Compile makes code for the GPU, and loads it.
func (d *device) Compile(ctx context.Context, src hal.Source) (hal.DriverModule, error) {
	return d.Handle.Compile(ctx, src, d.fetch)
}

// candidate is a GPU that may be opened.
type candidate struct {
	info   hal.Info
	limits stream.Limits
	clock  int // kHz of wall_clock64, 0 if it is not known
}

// describe asks for the facts of one GPU: "Initialization and Version", "Device Management".
func (d *driver) describe(ordinal int) (candidate, error) {
	uri := fmt.Sprintf("%s:%d", name, ordinal)
	var id int32
	if r := code(d.DeviceGet.Call(uintptr(unsafe.Pointer(&id)), uintptr(ordinal))); r != success {
		return candidate{}, d.failure("hipDeviceGet", uri, r)
	}
	dev := uintptr(id)
	var failed error
	ask := func(n uintptr) (int, result) {
		var v [256]byte // some attributes write more than the int that is declared
		r := code(d.DeviceGetAttribute.Call(uintptr(unsafe.Pointer(&v[0])), n, dev))
		return int(*(*int32)(unsafe.Pointer(&v[0]))), r
	}
	attr := func(n uintptr) int {
		v, r := ask(n)
		if r != success && failed == nil {
			failed = d.failure(fmt.Sprintf("hipDeviceGetAttribute(%d)", n), uri, r)
		}
		return v
	}
	text := func(f dl.Func) string {
		var b [256]byte
		if r := code(f.Call(uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), dev)); r != success {
			return ""
		}
		return dl.Text(b[:])
	}
	units, wave := attr(attrComputeUnits), attr(attrWarpSize)
	info := hal.Info{
		URI:      uri,
		Backend:  name,
		Ordinal:  ordinal,
		Kind:     hal.GPU,
		Name:     text(d.DeviceGetName),
		Vendor:   "AMD",
		Driver:   d.describeSoftware(),
		Dialect:  hal.HIP,
		UUID:     d.uuid(dev),
		PCI:      strings.ToLower(text(d.DeviceGetPCIBusId)),
		Units:    units,
		Subgroup: wave,
		MaxGroup: attr(attrMaxThreadsPerBlock),
		Kinds:    []hal.MemoryKind{hal.DeviceMemory},
	}
	if d.Simulated != 0 { // its lanes are this machine's cores
		info.Vendor, info.Sim, info.HostCPU = "dialtone", true, true
	}
	if failed == nil && wave != 32 && wave != 64 {
		return candidate{}, fmt.Errorf("%s: waves of %d lanes, neither 32 nor 64: %w", uri, wave, hal.ErrUnsupported)
	}
	if wave > 0 {
		info.Resident = units * attr(attrMaxThreadsPerCU) / wave
	}
	if attr(attrCanMapHostMemory) != 0 {
		info.Kinds = append(info.Kinds, hal.HostCoherent)
	}
	if attr(attrManagedMemory) != 0 && attr(attrConcurrentManaged) != 0 && d.MallocManaged != 0 && d.MemGetInfo != 0 {
		info.Kinds = append(info.Kinds, hal.Managed)
	}
	c := candidate{limits: stream.Limits{Items: math.MaxUint32}} // the hardware counts work-items in 32 bits
	for i := range 3 {
		c.limits.Grid[i], c.limits.Group[i] = attr(attrMaxGridDimX+uintptr(i)), attr(attrMaxBlockDimX+uintptr(i))
	}
	if v, r := ask(attrWallClockRate); r == success { // HIP 5.2 does not have it, and one that cannot tell says 0
		c.clock = max(v, 0)
	}
	v, r := ask(attrStreamWaitValue) // true where both halves of the stream's memory operations are there
	c.limits.NoMarks = r != success || v == 0
	var memory uintptr
	if r := code(d.DeviceTotalMem.Call(uintptr(unsafe.Pointer(&memory)), dev)); r != success && failed == nil {
		failed = d.failure("hipDeviceTotalMem", uri, r)
	}
	info.Memory = uint64(memory)
	if failed != nil {
		return candidate{}, failed
	}
	arch, err := d.arch(dev, info.PCI, kfdTopology)
	if err != nil {
		return candidate{}, fmt.Errorf("%s: %w", uri, err)
	}
	info.Arch = arch
	c.info = info
	return c, nil
}

var printable = regexp.MustCompile(`^[0-9A-Za-z]{16}$`)

// uuid gives "GPU-0123456789abcdef", as AMD's tools write it: the 16 bytes are hexadecimal digits already.
func (d *driver) uuid(dev uintptr) string {
	var b [16]byte
	if d.DeviceGetUuid == 0 || code(d.DeviceGetUuid.Call(uintptr(unsafe.Pointer(&b[0])), dev)) != success || b == [16]byte{} {
		return ""
	}
	if printable.Match(b[:]) {
		return "GPU-" + string(b[:])
	}
	return "GPU-" + hex.EncodeToString(b[:])
}

// describeSoftware gives "HIP 6.4.43484 (libamdhip64.so.6), hiprtc in libhiprtc.so.6".
func (d *driver) describeSoftware() string {
	s := fmt.Sprintf("HIP %v (%s)", d.version, d.path)
	if d.Simulated != 0 {
		s = "stand-in for " + s
	}
	c, err := d.compile()
	switch {
	case err != nil:
		return s + ", no hiprtc"
	case c.path == d.path:
		return s
	}
	return s + ", hiprtc in " + c.path
}
