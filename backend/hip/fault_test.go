package hip

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dialtone-gpu/dialtone/backend/hip/standin"
	"github.com/dialtone-gpu/dialtone/backend/stream/streamtest"
	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/internal/cache"
)

// faultsEnv makes calls of the stand-in fail from the start of a process: see standin.c.
const faultsEnv = "DIALTONE_STANDIN_FAULTS"

// needStandIn skips where a real GPU, or nothing, is under test.
func needStandIn(t *testing.T) *driver {
	t.Helper()
	needGPU(t)
	d, err := startedDriver()
	must(t, err)
	if d.Simulated == 0 {
		t.Skip("a real driver does not fail to order")
	}
	return d
}

// another loads a stand-in of its own, compiled with options.
func another(t *testing.T, options ...string) (*driver, error) {
	t.Helper()
	needStandIn(t)
	path, err := standin.Build(options...)
	must(t, err)
	d, err := loadDriver(path)
	if err == nil {
		must(t, d.start())
	}
	return d, err
}

func TestMissingSymbols(t *testing.T) {
	_, err := another(t, "-DhipStreamQuery=gone1", "-DhipModuleLaunchKernel=gone2")
	if !errors.Is(err, hal.ErrUnavailable) || !strings.Contains(err.Error(), "lacks hipStreamQuery, hipModuleLaunchKernel") {
		t.Errorf("required ones: %v", err)
	}
	d, err := another(t, "-DhipDeviceGetUuid=gone1", "-DhipFuncGetAttribute=gone2", "-DhipGetDevicePropertiesR0600=gone3")
	must(t, err)
	if c, err := d.describe(1); err != nil || c.info.UUID != "" || c.info.Arch != "gfx90a" {
		t.Errorf("optional ones: %v, %+v", err, c.info)
	}
	standInFaults(t, d, "hipDeviceGetAttribute:10004=1")
	if _, err := d.describe(1); !errors.Is(err, hal.ErrUnavailable) || !strings.Contains(err.Error(), "does not say which architecture") {
		t.Errorf("without an architecture: %v", err)
	}
	d, err = another(t, "-DhiprtcCompileProgram=gone1")
	must(t, err)
	t.Setenv("DIALTONE_HIPRTC", d.path)
	if c, err := d.describe(0); err != nil || !strings.Contains(c.info.Driver, "no hiprtc") {
		t.Errorf("without hiprtc: %v, %+v", err, c.info)
	}
	if _, err := d.compile(); !errors.Is(err, hal.ErrUnavailable) || !strings.Contains(err.Error(), "lacks hiprtcCompileProgram") {
		t.Errorf("without hiprtc: %v", err)
	}
}

func TestUnknownAttributes(t *testing.T) {
	d := needStandIn(t)
	standInFaults(t, d, "hipDeviceGetAttribute:87=1")
	if _, err := d.describe(0); err == nil || !strings.Contains(err.Error(), "hip:0: hipDeviceGetAttribute(87): hipErrorInvalidValue (1)") {
		t.Errorf("the wave size: %v", err)
	}
	standInFaults(t, d, "hipDeviceGetAttribute:10017=1")
	dev := open(t)
	if options := strings.Join(dev.Driver().(*device).options(), " "); strings.Contains(options, "HC_CLOCK_KHZ") || !strings.Contains(options, "-DHC_LANES=32") {
		t.Errorf("without the clock's rate: %s", options)
	}
	standInFaults(t, d, "hipGetDeviceCount=100")
	if _, err := (backend{}).Devices(t.Context()); !errors.Is(err, hal.ErrUnavailable) {
		t.Errorf("no device: %v", err)
	}
}

func TestOutOfMemory(t *testing.T) {
	d := needStandIn(t)
	dev := open(t)
	standInFaults(t, d, "hipMalloc=2,hipHostMalloc=2,hipMallocManaged=2")
	for _, kind := range dev.Info().Kinds {
		if _, err := dev.Alloc(kind, 4096); !errors.Is(err, hal.ErrOutOfMemory) || !strings.Contains(err.Error(), "4096 bytes of "+kind.String()) {
			t.Errorf("%s: %v", kind, err)
		}
	}
	if _, err := dev.NewQueue(); !errors.Is(err, hal.ErrOutOfMemory) {
		t.Errorf("queue: %v", err)
	}
	standInFaults(t, d, "")
	for _, kind := range dev.Info().Kinds {
		alloc(t, dev, kind, 4096)
	}
	newQueue(t, dev)
}

// TestNotCoherent: a driver that refuses the flag gives its default.
func TestNotCoherent(t *testing.T) {
	d := needStandIn(t)
	dev := open(t)
	for _, code := range []string{"801", "1"} {
		standInFaults(t, d, "hipHostMalloc:0x40000003="+code)
		if b := alloc(t, dev, hal.HostCoherent, 4096); len(b.Bytes()) != 4096 {
			t.Errorf("%d bytes", len(b.Bytes()))
		}
	}
}

func TestLaunchFails(t *testing.T) {
	d := needStandIn(t)
	dev := open(t)
	q, k, b := newQueue(t, dev), get(t, compile(t, dev, kernels), "increment"), alloc(t, dev, hal.DeviceMemory, 4)
	standInFaults(t, d, "hipModuleLaunchKernel=701")
	err := q.Launch(k, [3]int{}, [3]int{}, hal.Memory(b))
	if !errors.Is(err, hal.ErrInvalid) || !strings.Contains(err.Error(), "kernel increment: hipModuleLaunchKernel: hipErrorLaunchOutOfResources (701)") {
		t.Errorf("got %v", err)
	}
	standInFaults(t, d, "")
	must(t, q.Launch(k, [3]int{}, [3]int{}, hal.Memory(b)))
	wait(t, q)
}

// TestMarkRefused: a queue says that it writes no marks, whatever keeps it from that, and goes on.
func TestMarkRefused(t *testing.T) {
	d := needStandIn(t)
	older, err := another(t, "-DhipStreamWriteValue32=gone1")
	must(t, err)
	for name, c := range map[string]struct {
		api    *driver
		faults string
		want   error
		asked  int // how often two marks ask the driver
	}{
		"no symbol":     {older, "", hal.ErrUnsupported, -1},
		"no attribute":  {d, "hipDeviceGetAttribute:10013=1,hipStreamWriteValue32=0", hal.ErrUnsupported, 0},
		"not supported": {d, "hipStreamWriteValue32=801", hal.ErrUnsupported, 1},
		"another error": {d, "hipStreamWriteValue32=1", nil, 2},
	} {
		t.Run(name, func(t *testing.T) {
			standInFaults(t, c.api, c.faults)
			own, err := loadDriver(c.api.path) // what it learns is its own
			must(t, err)
			dev, err := own.open(0)
			must(t, err)
			q, err := dev.NewQueue()
			must(t, err)
			defer q.Close()
			b, err := dev.Alloc(hal.HostCoherent, 64)
			must(t, err)
			defer b.Free()
			for range 2 {
				err := q.(hal.Marker).Mark(b, 0, 1)
				if err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), "hipStreamWriteValue32") {
					t.Errorf("got %v", err)
				}
			}
			if seen, err := standin.Seen(c.api.path, "hipStreamWriteValue32"); err != nil || seen != c.asked {
				t.Errorf("the driver was asked %d times, want %d; %v", seen, c.asked, err)
			}
			must(t, dev.(*device).Usable())
			if done, err := q.Done(); !done || err != nil {
				t.Errorf("%v, %v", done, err)
			}
		})
	}
}

func TestRefusedCode(t *testing.T) {
	d := needStandIn(t)
	dev := open(t)
	standInFaults(t, d, "hipModuleLoadData=209")
	_, err := dev.Compile(t.Context(), hal.Source{Name: "k", Text: addSource})
	if !errors.Is(err, hal.ErrUnavailable) || !strings.Contains(err.Error(), "hipErrorNoBinaryForGpu (209)") {
		t.Errorf("got %v", err)
	}
}

// TestDeviceLost has calls of every kind find out.
func TestDeviceLost(t *testing.T) {
	needStandIn(t)
	for _, call := range []string{"hipModuleLaunchKernel=719", "hipStreamQuery=709", "hipMemcpyHtoDAsync=700", "hipEventQuery=214", "hipStreamWriteValue32=719", "hipMalloc=719@2", "hipModuleLoadData=719@2"} {
		t.Run(call, func(t *testing.T) {
			if !isolated(t, time.Minute) {
				return
			}
			d := needStandIn(t)
			dev, err := hal.Open(t.Context(), "hip:0")
			must(t, err)
			q, err := dev.NewQueue()
			must(t, err)
			standInFaults(t, d, call)
			name, _, _ := strings.Cut(call, "=")
			var first error
			for range 3 {
				first = errors.Join(first, func() error {
					b, err := dev.Alloc(hal.DeviceMemory, 1<<16)
					if err != nil {
						return err
					}
					m, err := dev.Compile(t.Context(), hal.Source{Name: "k", Text: kernels})
					if err != nil {
						return err
					}
					k, err := m.Kernel("increment")
					if err != nil {
						return err
					}
					if err := q.Launch(k, [3]int{}, [3]int{}, hal.Memory(b)); err != nil {
						return err
					}
					word, err := dev.Alloc(hal.HostCoherent, 4)
					if err != nil {
						return err
					}
					if err := q.Mark(word, 0, 1); err != nil {
						return err
					}
					ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
					defer cancel()
					return errors.Join(q.Write(b, 0, make([]byte, 1<<16)), q.Wait(ctx), q.Read(make([]byte, 1<<16), b, 0))
				}())
			}
			var e *hal.Error
			if !errors.Is(first, hal.ErrDeviceLost) || !errors.As(first, &e) || e.Op != name || e.Device != "hip:0" {
				t.Fatalf("%v: want a lost device by %s", first, name)
			}
			// Every later operation gives the same, also of a queue that is new to it, and closing goes on.
			if _, err := dev.Alloc(hal.DeviceMemory, 8); !errors.Is(err, hal.ErrDeviceLost) {
				t.Errorf("Alloc: %v", err)
			}
			if done, err := q.Done(); !done || !errors.Is(err, hal.ErrDeviceLost) {
				t.Errorf("Done: %v, %v", done, err)
			}
			must(t, q.Close())
			must(t, dev.Close())
			// The other device is not.
			other, err := hal.Open(t.Context(), "hip:1")
			must(t, err)
			b, err := other.Alloc(hal.HostCoherent, 4096)
			must(t, err)
			must(t, errors.Join(b.Close(), other.Close()))
		})
	}
}

// TestHangs: a call of the driver that does not return keeps nobody beyond their context.
func TestHangs(t *testing.T) {
	if os.Getenv(streamtest.ChildEnv) == "" {
		needStandIn(t)
	}
	short := func() (context.Context, context.CancelFunc) {
		return context.WithTimeout(t.Context(), 100*time.Millisecond)
	}
	hung := func(t *testing.T, what string, start time.Time, err error) {
		t.Helper()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", what, err)
		}
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("%s took %v", what, took)
		}
	}
	t.Run("hipInit", func(t *testing.T) {
		if os.Getenv(streamtest.ChildEnv) != t.Name() {
			t.Setenv(faultsEnv, "hipInit=hang")
			streamtest.RunChild(t, time.Minute)
			return
		}
		for what, f := range map[string]func(context.Context) error{
			"Devices": func(ctx context.Context) error { _, err := (backend{}).Devices(ctx); return err },
			"Open":    func(ctx context.Context) error { _, err := (backend{}).Open(ctx, 0); return err },
		} {
			ctx, cancel := short()
			start := time.Now()
			err := f(ctx)
			cancel()
			hung(t, what, start, err)
			if err != nil && !strings.Contains(err.Error(), "has not answered") {
				t.Errorf("%s: %v", what, err)
			}
		}
	})
	t.Run("hiprtcCompileProgram", func(t *testing.T) {
		if os.Getenv(streamtest.ChildEnv) != t.Name() {
			// The compiler of the stand-in's hiprtc.
			slow := filepath.Join(t.TempDir(), "slow")
			must(t, os.WriteFile(slow, []byte("#!/bin/sh\nsleep 0.3\nexec c++ \"$@\"\n"), 0o700))
			t.Setenv("CXX", slow)
			t.Setenv("DIALTONE_CACHE", t.TempDir())
			streamtest.RunChild(t, time.Minute)
			return
		}
		needStandIn(t)
		dev, err := hal.Open(t.Context(), "hip:0")
		must(t, err)
		for _, name := range []string{"one", "two"} { // which waits for the first
			ctx, cancel := short()
			start := time.Now()
			_, err := dev.Compile(ctx, hal.Source{Name: name, Text: addSource})
			cancel()
			hung(t, name, start, err)
		}
		must(t, dev.Close())
		// It goes on, and what comes of it is kept for the next time.
		dev, err = hal.Open(t.Context(), "hip:0")
		must(t, err)
		m, err := dev.Compile(t.Context(), hal.Source{Name: "three", Text: addSource})
		must(t, err)
		must(t, m.Close())
		d := dev.Driver().(*device)
		c, err := d.api.compile()
		must(t, err)
		if _, ok := cache.Path(d.entry(hal.Source{Name: "one", Text: addSource}, c)); !ok {
			t.Error("what was compiled too late is not in the cache")
		}
		must(t, dev.Close())
	})
	t.Run("hipModuleLoadData", func(t *testing.T) {
		if !isolated(t, time.Minute) {
			return
		}
		d := needStandIn(t)
		dev, err := hal.Open(t.Context(), "hip:0")
		must(t, err)
		q, err := dev.NewQueue()
		must(t, err)
		b, err := dev.Alloc(hal.DeviceMemory, 4)
		must(t, err)
		src := hal.Source{Name: "k", Text: addSource}
		m, err := dev.Compile(t.Context(), src) // so that the compiler is not waited for again
		must(t, err)
		must(t, m.Close())
		must(t, q.Write(b, 0, make([]byte, 4)))
		standInFaults(t, d, "hipModuleLoadData=hang")
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		start := time.Now()
		_, err = dev.Compile(ctx, src)
		hung(t, "Compile", start, err)
		if err == nil || !strings.Contains(err.Error(), "load k") {
			t.Errorf("Compile: %v", err)
		}
		ctx2, cancel2 := short()
		defer cancel2()
		start = time.Now()
		hung(t, "Wait", start, q.Wait(ctx2)) // nobody knows whether the write has arrived
		start = time.Now()
		must(t, errors.Join(q.Close(), b.Close(), dev.Close()))
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("closing took %v", took)
		}
	})
}

// TestMemoryOperations: the trial tells what the driver can do from what it cannot, and from what remains open.
func TestMemoryOperations(t *testing.T) {
	d := needStandIn(t)
	older, err := another(t, "-DhipStreamWaitValue32=gone1")
	must(t, err)
	hasty, err := another(t, "-DSTANDIN_WAITS_FOR_NOTHING")
	must(t, err)
	for name, c := range map[string]struct {
		api    *driver
		faults string
		want   string // "" for a success, "unsupported: ..." for what cannot be
	}{
		"it does":              {d, "", ""},
		"no symbol":            {older, "", "unsupported: the HIP runtime has no hipStreamWaitValue32"},
		"it waits for nothing": {hasty, "", "unsupported: the stream did not wait"},
		"no signal memory":     {d, "hipExtMallocWithFlags=1", "unsupported: hip:0: hipExtMallocWithFlags: hipErrorInvalidValue (1)"},
		"no waiting":           {d, "hipStreamWaitValue32=801", "unsupported: hip:0: hipStreamWaitValue32: hipErrorNotSupported (801)"},
		"no writing":           {d, "hipStreamWriteValue32=801", "unsupported: hip:0: hipStreamWriteValue32"},
		"no room for a write":  {d, "hipStreamWriteValue32=2", "hip:0: hipStreamWriteValue32: hipErrorOutOfMemory (2)"},
	} {
		t.Run(name, func(t *testing.T) {
			standInFaults(t, c.api, c.faults)
			own, err := loadDriver(c.api.path) // what it learns is its own
			must(t, err)
			dev, err := own.open(0)
			must(t, err)
			detail, err := streamtest.Trial(t, dev.(*device).Trials(), "stream.memops").Run(t.Context(), "")
			for until := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) { // of signal memory there is little
				b, err := dev.Alloc(hal.DeviceMemory, 4) // gives back what can be
				must(t, err)
				must(t, b.Free())
				if _, waiting := own.streams.Left(); waiting == 0 {
					break
				}
				if time.Now().After(until) {
					t.Fatal("the signal memory is not given back")
				}
			}
			got := ""
			if err != nil {
				got = err.Error()
			}
			if errors.Is(err, hal.ErrUnsupported) {
				got = "unsupported: " + got
			}
			if (detail == "") == (err == nil) || c.want == "" && err != nil || !strings.HasPrefix(got, c.want) {
				t.Errorf("%q, %q, want %q", detail, got, c.want)
			}
		})
	}
}

// TestStreamOrder: the trials of what a stream does in its turn tell what the driver can do from what it cannot, and from what remains open.
func TestStreamOrder(t *testing.T) {
	d := needStandIn(t)
	older, err := another(t, "-DhipFreeAsync=gone1", "-DhipLaunchHostFunc=gone2", "-DhipMemGetHandleForAddressRange=gone3")
	must(t, err)
	wrong, err := another(t, "-DSTANDIN_CALLS_LATE", "-DSTANDIN_POOL_FORGETS")
	must(t, err)
	// The stand-in has no DMA-BUFs to give. Files of the right size do to see what the trial makes of an export.
	exports := &streamtest.Exports{TB: t}
	for _, c := range []struct {
		capability string
		api        *driver
		faults     string
		fake       bool
		want       string // the beginning of what comes out
	}{
		{"mem.pools", d, "", false, "done: 3 times 65536 bytes were allocated, written, read and freed"},
		{"mem.pools", older, "", false, "unsupported: the driver has no hipFreeAsync"},
		{"mem.pools", wrong, "", false, "unsupported: other bytes came back"},
		{"mem.pools", d, "hipMallocAsync=801", false, "unsupported: hip:0: hipMallocAsync: hipErrorNotSupported (801)"},
		{"mem.pools", d, "hipMallocAsync=2@2", false, "open: hip:0: hipMallocAsync: hipErrorOutOfMemory (2)"},
		{"mem.pools", d, "hipMemcpyDtoHAsync=2@2", false, "open: hip:0: hipMemcpyDtoHAsync: hipErrorOutOfMemory (2)"},
		{"queue.hostfn", d, "", false, "done: a function was called once, after a copy of 4194304 bytes and before another one"},
		{"queue.hostfn", older, "", false, "unsupported: the driver has no hipLaunchHostFunc"},
		{"queue.hostfn", wrong, "", false, "unsupported: the copy behind the function did not wait for it"},
		{"queue.hostfn", d, "hipLaunchHostFunc=1", false, "unsupported: hip:0: hipLaunchHostFunc: hipErrorInvalidValue (1)"},
		{"queue.hostfn", d, "hipLaunchHostFunc=2", false, "open: hip:0: hipLaunchHostFunc: hipErrorOutOfMemory (2)"},
		{"io.dmabuf.dev", d, "", false, "unsupported: what was exported is no DMA-BUF"},
		{"io.dmabuf.dev", d, "", true, "done: a file"},
		{"io.dmabuf.dev", older, "", true, "unsupported: the driver has no hipMemGetHandleForAddressRange"},
		{"io.dmabuf.dev", d, "hipMemGetHandleForAddressRange:1=801", true, "unsupported: hip:0: hipMemGetHandleForAddressRange: hipErrorNotSupported (801)"},
		{"io.dmabuf.dev", d, "hipMemGetHandleForAddressRange=2", true, "open: hip:0: hipMemGetHandleForAddressRange: hipErrorOutOfMemory (2)"},
		{"io.dmabuf.host", d, "", false, "unsupported: what was exported is no DMA-BUF"},
		{"io.dmabuf.host", d, "", true, "done: a file"},
	} {
		t.Run(c.capability+" "+c.want, func(t *testing.T) {
			standInFaults(t, c.api, c.faults)
			own, err := loadDriver(c.api.path) // what it learns is its own
			must(t, err)
			if c.fake {
				own.streams.Exported = exports.Look
			}
			dev, err := own.open(0)
			must(t, err)
			got := streamtest.Outcome(t, streamtest.Trial(t, dev.(*device).Trials(), c.capability))
			if !strings.HasPrefix(got, c.want) {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
	if exports.N != 2 {
		t.Errorf("%d exports were looked at", exports.N)
	}
}
