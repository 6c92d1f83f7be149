package hal

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestParseURI(t *testing.T) {
	for _, tt := range []struct {
		uri, backend string
		ordinal      int
		wrong        bool
	}{
		{uri: "cuda:0", backend: "cuda"},
		{uri: "cuda", backend: "cuda"},
		{uri: "opencl:12", backend: "opencl", ordinal: 12},
		{uri: "", wrong: true},
		{uri: ":0", wrong: true},
		{uri: "cuda:", wrong: true},
		{uri: "cuda:-1", wrong: true},
		{uri: "cuda:one", wrong: true},
		{uri: "cuda:0:1", wrong: true},
		{uri: "cuda:99999999999999999999", wrong: true},
	} {
		backend, ordinal, err := ParseURI(tt.uri)
		if tt.wrong {
			if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "cuda:0") {
				t.Errorf("%q: %v", tt.uri, err)
			}
			continue
		}
		if err != nil || backend != tt.backend || ordinal != tt.ordinal {
			t.Errorf("%q: %s, %d, %v", tt.uri, backend, ordinal, err)
		}
	}
}

func TestRegister(t *testing.T) {
	register(t, &fakeBackend{name: "second"}, &fakeBackend{name: "first"})
	if got := Backends(); !slices.Equal(got, []string{"first", "second"}) {
		t.Errorf("backends %v", got)
	}
	defer func() {
		if r, _ := recover().(string); !strings.Contains(r, "BUG") || !strings.Contains(r, "first") {
			t.Errorf("a name registered twice: %q", r)
		}
	}()
	Register(&fakeBackend{name: "first"})
}

// ordered are devices from the one that is chosen first to the one that is never chosen.
var ordered = []Info{
	{URI: "cuda:0", Backend: "cuda", Kind: GPU},
	{URI: "hip:0", Backend: "hip", Kind: GPU},
	{URI: "metal:0", Backend: "metal", Kind: GPU},
	{URI: "opencl:0", Backend: "opencl", Kind: GPU},
	{URI: "opencl:1", Backend: "opencl", Kind: Accelerator},
	{URI: "cpu:0", Backend: "cpu", Kind: CPU, HostCPU: true},
	{URI: "opencl:2", Backend: "opencl", Kind: CPU, HostCPU: true},
	{URI: "opencl:3", Backend: "opencl", Kind: GPU, Sim: true},
}

func uris(infos []Info) (all []string) {
	for _, i := range infos {
		all = append(all, i.URI)
	}
	return all
}

func TestDevicesAreRanked(t *testing.T) {
	for range 20 {
		backends := map[string]*fakeBackend{}
		for _, i := range rand.Perm(len(ordered)) {
			info := ordered[i]
			if backends[info.Backend] == nil {
				backends[info.Backend] = &fakeBackend{name: info.Backend}
			}
			backends[info.Backend].infos = append(backends[info.Backend].infos, info)
		}
		t.Run("", func(t *testing.T) {
			all := make([]Backend, 0, len(backends))
			for _, b := range backends {
				all = append(all, b)
			}
			register(t, all...)
			infos, missing := Devices(t.Context())
			if got, want := uris(infos), uris(ordered); !slices.Equal(got, want) || len(missing) != 0 {
				t.Errorf("%v, want %v (missing %v)", got, want, missing)
			}
		})
	}
}

// TestMissing: a backend that cannot work is named with its reason, and hides no other.
func TestMissing(t *testing.T) {
	why := errors.New("no library")
	register(t, &fakeBackend{name: "cuda", missing: why}, &fakeBackend{name: "cpu", infos: ordered[5:6]},
		&fakeBackend{name: "opencl", infos: ordered[6:7], missing: errors.New("half of it")})
	infos, missing := Devices(t.Context())
	if got := uris(infos); !slices.Equal(got, []string{"cpu:0", "opencl:2"}) {
		t.Errorf("devices %v", got)
	}
	if len(missing) != 2 || missing["cuda"] != why || missing["opencl"] == nil {
		t.Errorf("missing %v", missing)
	}
}

func TestOpen(t *testing.T) {
	infos := []Info{{URI: "one:0"}, {URI: "one:1"}}
	register(t, &fakeBackend{name: "one", infos: infos})
	for uri, want := range map[string]string{"one": "one:0", "one:0": "one:0", "one:1": "one:1"} {
		d, err := Open(t.Context(), uri)
		if err != nil || d.Info().URI != want {
			t.Errorf("%s: %v, %v", uri, d, err)
		}
	}
	for uri, want := range map[string]error{"one:2": ErrNoDevice, "two:0": ErrNoDevice, "one:x": ErrInvalid} {
		if _, err := Open(t.Context(), uri); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", uri, err, want)
		}
	}
	if _, err := Open(t.Context(), "two:0"); !strings.Contains(err.Error(), "there are one") {
		t.Errorf("%v does not say which backends there are", err)
	}
}

func TestOpenBest(t *testing.T) {
	var tried []string
	backend := func(i int, refuse error) *fakeBackend {
		return &fakeBackend{name: ordered[i].Backend, infos: ordered[i : i+1], refuse: refuse, opened: &tried}
	}
	gone := errors.New("it has just gone")
	for _, tt := range []struct {
		name  string
		all   []Backend
		tried []string
		err   []string // what the error says
	}{
		{"the GPU", []Backend{backend(5, nil), backend(0, nil)}, []string{"cuda:0"}, nil},
		{"the next one", []Backend{backend(5, nil), backend(0, gone)}, []string{"cuda:0", "cpu:0"}, nil},
		{"none", []Backend{backend(5, gone), &fakeBackend{name: "cuda", missing: errors.New("no driver")}}, []string{"cpu:0"},
			[]string{"it has just gone", "cuda: no driver"}},
		{"a simulated one never", []Backend{backend(7, nil)}, nil, nil},
		{"no backend", nil, nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			register(t, tt.all...)
			tried = nil
			d, err := Open(t.Context(), "")
			if !slices.Equal(tried, tt.tried) {
				t.Errorf("tried %v, want %v", tried, tt.tried)
			}
			if err == nil {
				if d.Info().Sim {
					t.Error("a simulated device was chosen")
				}
				return
			}
			if !errors.Is(err, ErrNoDevice) {
				t.Error(err)
			}
			for _, want := range tt.err {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v does not say %q", err, want)
				}
			}
		})
	}
	// By name it opens.
	register(t, &fakeBackend{name: "opencl", infos: ordered[7:]})
	if d, err := Open(context.Background(), "opencl:0"); err != nil || !d.Info().Sim {
		t.Errorf("a simulated device by name: %v", err)
	}
}

func TestDevicesOf(t *testing.T) {
	register(t, &fakeBackend{name: "cpu", infos: ordered[5:6]}, &fakeBackend{name: "cuda", missing: ErrUnavailable})
	if infos, err := DevicesOf(t.Context(), "cpu"); err != nil || len(infos) != 1 || infos[0].URI != "cpu:0" {
		t.Errorf("%v, %v", infos, err)
	}
	if _, err := DevicesOf(t.Context(), "cuda"); !errors.Is(err, ErrUnavailable) {
		t.Error(err)
	}
	if _, err := DevicesOf(t.Context(), "hip"); !errors.Is(err, ErrNoDevice) || !strings.Contains(err.Error(), "there are cpu, cuda") {
		t.Error(err)
	}
}

// TestSilentDevice: telling facts and having trials are optional.
func TestSilentDevice(t *testing.T) {
	register(t, &fakeBackend{name: "cpu", infos: ordered[5:6]})
	d, err := Open(t.Context(), "cpu:0")
	if err != nil {
		t.Fatal(err)
	}
	if facts, trials := slices.Collect(d.Facts(t.Context())), d.Trials(); facts != nil || trials != nil {
		t.Errorf("%v, %v", facts, trials)
	}
}
