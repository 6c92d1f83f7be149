package nap_test

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dialtone-gpu/dialtone/internal/nap"
)

// TestOthers has a goroutine run while the only other one naps, without waiting for the runtime to notice.
func TestOthers(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	for range 50 {
		var ran atomic.Bool
		go ran.Store(true)
		for range 2 { // now and then the runtime goes on with the one that yields
			nap.For(time.Microsecond)
		}
		if !ran.Load() {
			t.Fatal("two naps, and the other goroutine did not run")
		}
	}
}
