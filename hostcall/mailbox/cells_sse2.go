//go:build amd64 && !race

package mailbox

import "unsafe"

// interleave writes n cells, a multiple of 4, with the words and one tag.
//
//go:noescape
func interleave(dst unsafe.Pointer, words *uint32, n int, tag uint32)

// prefetch asks for the cache lines of a request's payload, and to own those of its reply.
//
//go:noescape
func prefetch(read, write unsafe.Pointer, readBytes, writeBytes int)

// copyStream copies n bytes, a multiple of 64, without bringing the destination into the cache. Nothing orders
// these stores but streamFence.
//
//go:noescape
func copyStream(dst, src unsafe.Pointer, n int)

// streamFence orders what copyStream wrote before all that follows.
func streamFence()
