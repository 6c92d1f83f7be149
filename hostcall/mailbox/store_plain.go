//go:build amd64 && !race

package mailbox

import "unsafe"

// publish stores a cell after all stores before it. On amd64 every store is such a one; Go's atomic store
// would also wait until all earlier ones have left the processor, which costs more than the rest of a reply.
func publish(p unsafe.Pointer, v uint64) { *(*uint64)(p) = v }

// storeCell stores a cell that is valid by itself.
func storeCell(p unsafe.Pointer, v uint64) { *(*uint64)(p) = v }
