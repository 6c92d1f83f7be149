package metal

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/internal/dl"
)

const backendName = "metal"

func init() { hal.Register(backend{}) }

// standIn is the library of UseStandIn.
var standIn atomic.Pointer[string]

// UseStandIn makes this backend load a test double of Metal instead of Apple's, on any system: folder standin has one. It is for
// tests, which call it before anything asks for devices; nothing else loads one. Devices say that they are simulated.
func UseStandIn(path string) { standIn.Store(&path) }

// load loads the libraries once per process. Metal gives devices only where CoreGraphics is loaded too
// ("MTLCreateSystemDefaultDevice()"); its dependencies bring Foundation.
var load = sync.OnceValues(func() (*library, error) {
	var l *library
	var err error
	if p := standIn.Load(); p != nil {
		l, err = openLibrary([]string{*p}, []string{*p}, []string{*p}, true)
	} else if runtime.GOOS == "darwin" {
		const frameworks = "/System/Library/Frameworks/"
		if err = openOnly(frameworks + "CoreGraphics.framework/CoreGraphics"); err == nil {
			l, err = openLibrary([]string{"/usr/lib/libobjc.A.dylib"}, []string{frameworks + "Metal.framework/Metal"}, []string{"/usr/lib/libSystem.B.dylib"}, false)
		}
	} else {
		err = errors.New("Metal is part of macOS")
	}
	if err != nil {
		return nil, fail("load Metal", "", fmt.Errorf("%w: %w", hal.ErrUnavailable, err))
	}
	return l, nil
})

// openOnly loads a library for what its being loaded does.
func openOnly(path string) error {
	_, err := dl.Open(path)
	return err
}

// backend is Metal as a whole: ordinals are places in the list of MTLCopyAllDevices.
type backend struct{}

func (backend) Name() string { return backendName }

// Devices lists all GPUs.
func (backend) Devices(context.Context) ([]hal.Info, error) {
	l, err := load()
	if err != nil {
		return nil, err
	}
	var infos []hal.Info
	l.each(func(i int, gpu id) { infos = append(infos, l.describe(i, gpu).info) })
	if infos == nil {
		return nil, fail("MTLCopyAllDevices", "", fmt.Errorf("%w: this system has no GPU that Metal knows", hal.ErrUnavailable))
	}
	return infos, nil
}

// Open keeps a GPU.
func (backend) Open(_ context.Context, ordinal int) (hal.DriverDevice, error) {
	l, err := load()
	if err != nil {
		return nil, err
	}
	var d *device
	l.each(func(i int, gpu id) {
		if i == ordinal {
			d = l.describe(i, gpu)
			l.send(gpu, l.sel.Retain)
		}
	})
	if d == nil {
		return nil, fail("open", uri(ordinal), hal.ErrNoDevice)
	}
	return d, nil
}

func uri(ordinal int) string { return fmt.Sprintf("%s:%d", backendName, ordinal) }

// each visits the GPUs with a pool in place. The list is the caller's to release ("MTLCopyAllDevices()").
func (l *library) each(visit func(int, id)) {
	l.pooled(func() {
		list := id(l.CopyAllDevices.Call())
		defer l.release(list)
		for i := range int(l.send(list, l.sel.Count)) {
			visit(i, id(l.send(list, l.sel.ObjectAtIndex, uintptr(i))))
		}
	})
}

// families are MTLGPUFamily values, newest first; the numbers are those of the enumeration, since names of headers lag.
var families = []struct {
	number uintptr
	name   string
}{{1010, "apple10"}, {1009, "apple9"}, {1008, "apple8"}, {1007, "apple7"}, {1006, "apple6"}, {1005, "apple5"}, {2002, "mac2"}}

const (
	// maxResident is more threads than any GPU holds at once that Metal runs on: it tells neither cores nor threads.
	maxResident = 1 << 18
	// maxBuffers and maxBytes: "Metal Feature Set Tables", "Maximum number of entries in the buffer argument table" and
	// setBytes:length:atIndex:.
	maxBuffers = 31
	maxBytes   = 4096
)

// describe asks a GPU for what is to be known of it; a pool is in place. What an older system does not know is left out.
func (l *library) describe(ordinal int, gpu id) *device {
	d := &device{library: l, handle: gpu, limit: l.sendSize(gpu, l.sel.MaxThreadsPerThreadgroup)}
	name := l.goString(id(l.send(gpu, l.sel.Name)))
	vendor, _, _ := strings.Cut(name, " ")
	d.info = hal.Info{
		URI:      uri(ordinal),
		Backend:  backendName,
		Ordinal:  ordinal,
		Kind:     hal.GPU,
		Name:     name,
		Vendor:   vendor,
		Driver:   "macOS " + l.systemVersion(),
		Arch:     "unknown",
		Dialect:  hal.MSL,
		Subgroup: 1,
		MaxGroup: int(d.limit.width),
		Resident: maxResident,
		Sim:      l.simulated,
		Kinds:    []hal.MemoryKind{hal.DeviceMemory, hal.HostCoherent},

		NoConcurrentAccess: true,
	}
	if l.responds(gpu, l.sel.SupportsFamily) {
		for _, f := range families {
			if byte(l.send(gpu, l.sel.SupportsFamily, f.number)) != 0 {
				d.info.Arch = f.name
				break
			}
		}
	}
	if l.responds(gpu, l.sel.MaxWorkingSet) {
		d.info.Memory = uint64(l.send(gpu, l.sel.MaxWorkingSet))
	}
	if l.responds(gpu, l.sel.MaxBufferLength) {
		d.maxAlloc = l.send(gpu, l.sel.MaxBufferLength)
	}
	return d
}

// systemVersion is for people; a pool is in place.
func (l *library) systemVersion() string {
	return l.goString(id(l.send(id(l.send(l.class("NSProcessInfo"), l.sel.ProcessInfo)), l.sel.SystemVersion)))
}
