package opencl

import (
	"context"
	"errors"
	"fmt"
	"unsafe"

	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/internal/dl"
)

const backendName = "opencl"

func init() { hal.Register(backend{}) }

// backend is OpenCL as a whole: ordinals count the usable devices of all platforms, in
// the order in which the loader gives platforms and platforms give devices.
type backend struct{}

func (backend) Name() string { return backendName }

// Devices lists the devices that can compile and run kernels. The error says for each
// platform why it contributes none if there is no device at all.
func (backend) Devices(ctx context.Context) ([]hal.Info, error) {
	return dl.Within(ctx, "opencl: list devices", nil, func() ([]hal.Info, error) {
		_, found, err := candidates()
		if err != nil {
			return nil, err
		}
		infos := make([]hal.Info, len(found))
		for i, c := range found {
			infos[i] = c.info
		}
		return infos, nil
	})
}

// Open makes a context for the device with that ordinal.
func (backend) Open(ctx context.Context, ordinal int) (hal.DriverDevice, error) {
	return dl.Within(ctx, uri(ordinal)+": open", func(d hal.DriverDevice) { _ = d.Close() }, func() (hal.DriverDevice, error) {
		l, found, err := candidates()
		if err != nil {
			return nil, err
		}
		if ordinal < 0 || ordinal >= len(found) {
			return nil, &hal.Error{Op: "open", Backend: backendName, Device: uri(ordinal),
				Err: fmt.Errorf("%w: the last one is %s", hal.ErrNoDevice, uri(len(found)-1))}
		}
		return newDevice(l, found[ordinal])
	})
}

func uri(ordinal int) string { return fmt.Sprintf("%s:%d", backendName, ordinal) }

// candidate is a usable device before it is opened.
type candidate struct {
	handle   uintptr // cl_device_id
	platform uintptr // cl_platform_id
	info     hal.Info
	limits   limits
}

// candidates loads the library and lists the devices.
func candidates() (*library, []candidate, error) {
	l, err := load()
	if err != nil {
		return nil, nil, err
	}
	found, err := enumerate(l)
	return l, found, err
}

// enumerate asks every platform. There being no device is an error.
func enumerate(l *library) ([]candidate, error) {
	platforms, code := handles(func(n uintptr, list *uintptr, count *uint32) int32 {
		return l.GetPlatformIDs.Int(n, uintptr(unsafe.Pointer(list)), uintptr(unsafe.Pointer(count)))
	})
	if code != success && code != platformNotFoundKHR {
		e := fail("clGetPlatformIDs", "", "", code)
		e.Err = hal.ErrUnavailable
		return nil, e
	}
	var found []candidate
	var skipped []error
	for _, p := range platforms {
		platform := text(query(l.GetPlatformInfo, p, 0, platformName))
		devices, code := handles(func(n uintptr, list *uintptr, count *uint32) int32 {
			return l.GetDeviceIDs.Int(p, deviceTypeAll, n, uintptr(unsafe.Pointer(list)), uintptr(unsafe.Pointer(count)))
		})
		if code != success {
			skipped = append(skipped, fmt.Errorf("platform %s: clGetDeviceIDs: %s (%d)", platform, names[code], code))
			continue
		}
		for _, d := range devices {
			if why := unusable(l, d); why != "" {
				skipped = append(skipped, fmt.Errorf("platform %s: %s: %s", platform, text(query(l.GetDeviceInfo, d, 0, deviceName)), why))
				continue
			}
			found = append(found, describe(l, d, p, platform, len(found)))
		}
	}
	if len(found) > 0 {
		return found, nil
	}
	why := errors.New("the loader knows no platform")
	if len(skipped) > 0 {
		why = errors.Join(skipped...)
	}
	return nil, &hal.Error{Op: "find devices", Backend: backendName,
		Err: fmt.Errorf("%w: %w\n%s", hal.ErrUnavailable, why, remedy())}
}

// handles reads a list in the two steps that clGetPlatformIDs and clGetDeviceIDs share.
func handles(get func(n uintptr, list *uintptr, count *uint32) int32) ([]uintptr, int32) {
	var n uint32
	if code := get(0, nil, &n); code != success || n == 0 {
		return nil, code
	}
	list := make([]uintptr, n)
	code := get(uintptr(n), &list[0], nil)
	return list, code
}
