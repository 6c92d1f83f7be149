package devicetest

import (
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// Leaks calls f several times and fails if goroutines or threads are left behind: the first
// call may start what lives on (a driver's pool, the runtime's own threads), the others not.
func Leaks(t testing.TB, f func()) {
	t.Helper()
	const rounds = 6
	f()
	goroutines, threads := settle(runtime.NumGoroutine, -1), threadCount()
	for range rounds {
		f()
	}
	if n := settle(runtime.NumGoroutine, goroutines); n > goroutines {
		t.Errorf("%d goroutines more after %d runs than before:\n%s", n-goroutines, rounds, stacks())
	}
	// The Go runtime keeps a few threads more when several calls block at once; a thread left behind by each
	// run stands out all the same.
	if n := settle(threadCount, threads+rounds-1); n >= threads+rounds {
		t.Errorf("%d threads more after %d runs than before", n-threads, rounds)
	}
}

// settle reads count until it is at most want or nothing changes any more: what is about to end is
// given time to.
func settle(count func() int, want int) int {
	n := count()
	for same := 0; n > want && same < 20; {
		time.Sleep(5 * time.Millisecond)
		if m := count(); m < n {
			n, same = m, 0
		} else {
			n = m
			same++
		}
	}
	return n
}

// threadCount is the number of threads of this process, 0 where /proc (proc(5)) does not tell.
func threadCount() int {
	list, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return 0
	}
	return len(list)
}

func stacks() string {
	buf := make([]byte, 1<<20)
	text := string(buf[:runtime.Stack(buf, true)])
	if len(text) > 20000 {
		text = text[:20000] + "\n..."
	}
	return strings.TrimSpace(text)
}
