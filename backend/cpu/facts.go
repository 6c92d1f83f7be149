package cpu

import (
	"context"
	"fmt"
	"iter"
	"os"
	"runtime"
	"time"

	"github.com/dialtone-gpu/dialtone/hal"
)

var _ hal.Teller = (*device)(nil)

// Facts are those of the host: Go's runtime, os.Getpagesize, the compiler, proc(5).
func (d *device) Facts(context.Context) iter.Seq[hal.Fact] {
	questions := []struct {
		name, source string
		ask          func() any
	}{
		{"cores", "runtime.NumCPU", func() any { return runtime.NumCPU() }},
		{"threads", "DIALTONE_CPU_THREADS", func() any { return d.threads }},
		{"arch", "runtime.GOARCH", func() any { return runtime.GOARCH }},
		{"page_size", "getpagesize", func() any { return os.Getpagesize() }},
		{"memory", "/proc/meminfo MemTotal", func() any { return physicalMemory() }},
		{"compiler", "CC", func() any { return d.compiler.String() }},
	}
	return func(yield func(hal.Fact) bool) {
		for _, q := range questions {
			start := time.Now()
			v := q.ask()
			if !yield(hal.Fact{Name: q.name, Source: q.source, Value: fmt.Sprint(v), Took: time.Since(start)}) {
				return
			}
		}
	}
}
