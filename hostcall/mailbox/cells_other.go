//go:build !amd64 || race

package mailbox

import "unsafe"

// interleave writes n cells, a multiple of 4, with the words and one tag.
func interleave(dst unsafe.Pointer, words *uint32, n int, tag uint32) {
	for i, w := range unsafe.Slice(words, n) {
		storeCell(unsafe.Add(dst, i*8), uint64(w)|uint64(tag)<<32)
	}
}

// prefetch is left to the processor.
func prefetch(_, _ unsafe.Pointer, _, _ int) {}

// copyStream copies n bytes.
func copyStream(dst, src unsafe.Pointer, n int) {
	copy(unsafe.Slice((*byte)(dst), n), unsafe.Slice((*byte)(src), n))
}

// streamFence has nothing to do: copyStream's stores are ordinary ones.
func streamFence() {}
