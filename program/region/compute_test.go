package region_test

import (
	"encoding/binary"
	"math"
	"testing"
	"time"

	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/internal/devicetest"
	"github.com/dialtone-gpu/dialtone/program/region"
	"github.com/dialtone-gpu/dialtone/program/region/regiontest"
	"github.com/dialtone-gpu/dialtone/program/wasm"
)

// computing are the exported functions of compute.wasm, each of which is a region.
func computing(t testing.TB) (m *wasm.Module, regions []region.Region, names []string) {
	t.Helper()
	m, err := wasm.Decode(regiontest.Compute)
	if err != nil {
		t.Fatal(err)
	}
	regions = region.Select(m, region.Options{})
	for i := range regions {
		r := &regions[i]
		if r.Start != 0 {
			t.Fatalf("%v is not all of the function", r)
		}
		for _, e := range m.Exports {
			if e.Kind == wasm.KindFunc && int(e.Index) == r.Func {
				names = append(names, e.Name)
			}
		}
	}
	if len(names) != 6 {
		t.Fatalf("regions %v", names)
	}
	return m, regions, names
}

// turning is a memory that says how many turns the functions take.
func turning(turns uint32) []byte {
	memory := make([]byte, pageSize)
	binary.LittleEndian.PutUint32(memory[regiontest.Turns:], turns)
	return memory
}

// TestCompute runs the loops of a C program on every device.
func TestCompute(t *testing.T) {
	m, regions, names := computing(t)
	ref := newReference(t, regiontest.Compute, m)
	devicetest.ForEach(t, func(t *testing.T, dev *hal.Device) {
		var jobs []job
		for i := range regions {
			jobs = append(jobs, jobsOf(m, regions, i, nil, 0, math.MaxInt32, 1)...)
		}
		for i, got := range run(t, dev, m, regions, jobs, turning(3), nil) {
			want := ref.callNamed(names[i/2], "", nil, turning(3), nil)
			if d := differ(got, want); d != "" {
				t.Errorf("%s with fuel %d: %s", names[i/2], jobs[i].fuel, d)
			}
			if wantCalls := uint32(1 + i%2*2); got.calls != wantCalls {
				t.Errorf("%s with fuel %d: %d calls of the region, want %d", names[i/2], jobs[i].fuel, got.calls, wantCalls)
			}
		}
	})
}

// BenchmarkCompute compares regions on the cpu device with wazero's compiler: each reports its time for a turn, and the ratio.
func BenchmarkCompute(b *testing.B) {
	m, regions, names := computing(b)
	dev := devicetest.Get(b, "cpu:0")
	ref := newReference(b, regiontest.Compute, m)
	const turns = 3000
	for i, name := range names {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				ours, theirs := time.Hour, time.Hour
				for range 10 { // in turns, since others may use the machine
					_, d := timed(b, dev, m, regions, jobsOf(m, regions, i, nil, 0, math.MaxInt32), turning(turns), nil)
					ours = min(ours, d)
					start := time.Now()
					ref.callNamed(name, "", nil, turning(turns), nil)
					theirs = min(theirs, time.Since(start))
				}
				b.ReportMetric(float64(ours.Nanoseconds())/turns, "ns/turn")
				b.ReportMetric(float64(theirs.Nanoseconds())/turns, "wazero-ns/turn")
				b.ReportMetric(float64(ours)/float64(theirs), "of-wazero")
			}
		})
	}
}
