//go:build !amd64 || race

package mailbox

import (
	"sync/atomic"
	"unsafe"
)

// publish stores a cell after all stores before it.
func publish(p unsafe.Pointer, v uint64) { atomic.StoreUint64((*uint64)(p), v) }

// storeCell stores a cell that is valid by itself; atomically, for the race detector's sake and for
// processors on which a plain store of 64 bits promises less.
func storeCell(p unsafe.Pointer, v uint64) { atomic.StoreUint64((*uint64)(p), v) }
