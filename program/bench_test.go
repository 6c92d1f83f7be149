package program_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/dialtone-gpu/dialtone/hostcall"
	"github.com/dialtone-gpu/dialtone/hostcall/policy"
	"github.com/dialtone-gpu/dialtone/internal/devicetest"
	"github.com/dialtone-gpu/dialtone/internal/wasmtest"
	"github.com/dialtone-gpu/dialtone/program"
)

// BenchmarkPrograms compares programs on each device with what wazero's compiler and its interpreter take for them, in turns, since others may use
// the machine: the best of each, from the beginning of an instance to its end.
func BenchmarkPrograms(b *testing.B) {
	folder := b.TempDir()
	var data bytes.Buffer
	data.WriteString(`{"a": [`)
	for i := range 4000 {
		fmt.Fprintf(&data, `{"b": %d, "c": "text %d", "d": [1.5e3, true, null]},`, i, i)
	}
	data.WriteString(`{}]}`)
	if err := os.WriteFile(filepath.Join(folder, "data.json"), data.Bytes(), 0o644); err != nil {
		b.Fatal(err)
	}
	programs := []struct {
		name string
		args []string
	}{
		{"c/compute.c", []string{"3"}}, {"c/mandelbrot.c", []string{"/picture.pgm", "200", "4000"}}, {"c/recurse.c", []string{"2"}}, {"rust/sort.rs", []string{"-n", "5000"}},
		{"go/jsonq", []string{".a[].d[0]", "/data.json"}},
	}
	for _, dev := range devicetest.All(b) {
		b.Run(dev.Info().URI, func(b *testing.B) {
			rt, err := hostcall.New(b.Context(), dev, nil)
			if err != nil {
				b.Fatal(err)
			}
			defer rt.Close()
			for _, c := range programs {
				b.Run(c.name, func(b *testing.B) {
					module := wasmtest.Example(b, c.name)
					compare(b, rt, module, policy.Policy{Args: append([]string{c.name}, c.args...), Dirs: []policy.Dir{{Host: folder, Guest: "/"}}})
				})
			}
		})
	}
}

func compare(b *testing.B, rt *hostcall.Runtime, module []byte, allowed policy.Policy) {
	type way struct {
		name string
		run  func() (string, time.Duration)
		slow bool // once is enough
		best time.Duration
	}
	wazero := func(e *wasmtest.Engine) func() (string, time.Duration) {
		return func() (string, time.Duration) {
			start := time.Now()
			ran, err := e.Run(context.Background(), module, allowed)
			took := time.Since(start)
			if err != nil || ran.Code != 0 {
				b.Fatal(ran, err)
			}
			return ran.Stdout, took
		}
	}
	ways := []*way{{name: "wazero", run: wazero(wasmtest.Compiler)}, {name: "wazero-interpreter", run: wazero(wasmtest.Interpreter), slow: true}}
	for _, tier := range program.Tiers() {
		start := time.Now()
		p, err := program.Load(b.Context(), rt, "bench.wasm", module, program.Options{Tier: tier})
		if tier == program.Whole && err != nil {
			b.Logf("%s: %v", tier, err)
			continue
		} else if err != nil {
			b.Fatal(err)
		}
		defer p.Close()
		b.Logf("%s loaded in %v", tier, time.Since(start))
		ways = append(ways, &way{name: string(tier), run: func() (string, time.Duration) {
			var out bytes.Buffer
			l := program.Launch{Policy: allowed, Memory: 64 << 20}
			l.Policy.Stdout = &out
			start := time.Now()
			res, err := p.Run(b.Context(), l)
			took := time.Since(start)
			if err != nil || res.ExitCode() != 0 {
				b.Fatal(res, err)
			}
			return out.String(), took
		}})
	}
	for b.Loop() {
		want := ""
		for round := range 9 {
			for i, w := range ways {
				if w.slow && round > 0 {
					continue
				}
				got, took := w.run()
				if i == 0 {
					want = got
				} else if got != want {
					b.Fatalf("%s prints %.200q, wazero %.200q", w.name, got, want)
				}
				if w.best == 0 || took < w.best {
					w.best = took
				}
			}
		}
	}
	for _, w := range ways {
		b.ReportMetric(float64(w.best)/1e6, w.name+"-ms")
	}
	for _, w := range ways[2:] {
		b.ReportMetric(float64(w.best)/float64(ways[0].best), w.name+"/wazero")
	}
}
