package hal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
)

var registry struct {
	sync.Mutex
	backends []Backend
}

// Register adds a backend; package backend/all does it for every one in the binary.
// It panics on a second backend of the same name: BUG in the program's imports.
func Register(b Backend) {
	registry.Lock()
	defer registry.Unlock()
	for _, have := range registry.backends {
		if have.Name() == b.Name() {
			panic("BUG: hal backend " + b.Name() + " registered twice")
		}
	}
	registry.backends = append(registry.backends, b)
	slices.SortFunc(registry.backends, func(a, b Backend) int { return cmp.Compare(a.Name(), b.Name()) })
}

// Backends lists the registered names, sorted.
func Backends() []string {
	var names []string
	for _, b := range backends() {
		names = append(names, b.Name())
	}
	return names
}

func backends() []Backend {
	registry.Lock()
	defer registry.Unlock()
	return slices.Clone(registry.backends)
}

// Devices lists every device of every backend, best first (see [Open]). Backends
// that cannot work here are reported in missing, by name, with the reason.
func Devices(ctx context.Context) (infos []Info, missing map[string]error) {
	missing = map[string]error{}
	for _, b := range backends() {
		found, err := b.Devices(ctx)
		if err != nil {
			missing[b.Name()] = err
		}
		infos = append(infos, found...)
	}
	Sort(infos)
	return infos, missing
}

// Sort puts the best device first, as [Devices] does.
func Sort(infos []Info) {
	slices.SortStableFunc(infos, func(a, b Info) int { return cmp.Compare(rank(a), rank(b)) })
}

// rank orders devices for the empty URI: real GPUs by how directly their vendor's API
// reaches them, accelerators, then host processors; simulated ones last.
func rank(i Info) int {
	if i.Sim {
		return 100
	}
	r := slices.Index([]string{"cuda", "hip", "metal", "opencl", "cpu"}, i.Backend)
	switch {
	case i.Backend == "cpu":
		return 20 // the default where there is no GPU, ahead of another vendor's CPU device
	case i.Kind == GPU:
		return r
	case i.Kind == Accelerator:
		return 10 + r
	}
	return 30 + r
}

// ParseURI splits "cuda:0" into backend and ordinal. "cuda" means "cuda:0".
func ParseURI(uri string) (backend string, ordinal int, err error) {
	name, number, ok := strings.Cut(uri, ":")
	if !ok {
		number = "0"
	}
	n, err := strconv.Atoi(number)
	if name == "" || err != nil || n < 0 {
		return "", 0, fmt.Errorf("device %q: want BACKEND:NUMBER, as in cuda:0: %w", uri, ErrInvalid)
	}
	return name, n, nil
}

// Open makes a device usable. The empty URI takes the best real device: a GPU through
// its vendor's API, then through OpenCL, then the embedded cpu backend; a simulated
// device is opened only by name.
func Open(ctx context.Context, uri string) (*Device, error) {
	if uri == "" {
		return openBest(ctx)
	}
	name, ordinal, err := ParseURI(uri)
	if err != nil {
		return nil, err
	}
	for _, b := range backends() {
		if b.Name() == name {
			return open(ctx, b, ordinal)
		}
	}
	return nil, noBackend(uri)
}

func noBackend(device string) error {
	return fmt.Errorf("device %q: no backend of that name; there are %s: %w",
		device, strings.Join(Backends(), ", "), ErrNoDevice)
}

func openBest(ctx context.Context) (*Device, error) {
	infos, missing := Devices(ctx)
	var errs []error
	for _, info := range infos {
		if info.Sim {
			continue
		}
		d, err := Open(ctx, info.URI)
		if err == nil {
			return d, nil
		}
		errs = append(errs, err)
	}
	for name, err := range missing {
		errs = append(errs, fmt.Errorf("%s: %w", name, err))
	}
	return nil, fmt.Errorf("no device can be opened: %w", errors.Join(append(errs, ErrNoDevice)...))
}

func open(ctx context.Context, b Backend, ordinal int) (*Device, error) {
	d, err := b.Open(ctx, ordinal)
	if err != nil {
		return nil, err
	}
	return &Device{driver: d, info: d.Info()}, nil
}
