package cpu

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/dialtone-gpu/dialtone/hal"
)

var _ hal.Teller = (*device)(nil)

// Facts are those of the host: Go's runtime, os.Getpagesize, the compiler, proc(5).
func (d *device) Facts(_ context.Context, tell func(hal.Fact)) {
	add := func(name, source string, ask func() any) {
		start := time.Now()
		v := ask()
		tell(hal.Fact{Name: name, Source: source, Value: fmt.Sprint(v), Took: time.Since(start)})
	}
	add("cores", "runtime.NumCPU", func() any { return runtime.NumCPU() })
	add("threads", "DIALTONE_CPU_THREADS", func() any { return d.threads })
	add("arch", "runtime.GOARCH", func() any { return runtime.GOARCH })
	add("page_size", "getpagesize", func() any { return os.Getpagesize() })
	add("memory", "/proc/meminfo MemTotal", func() any { return physicalMemory() })
	add("compiler", "CC", func() any { return d.compiler.String() })
}
