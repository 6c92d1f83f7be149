//go:build !windows

package opencl

import (
	"syscall"
	"unsafe"
)

// mapHost gives zeroed, page-aligned memory that is not Go's. mmap(2), POSIX.1-2017.
func mapHost(size int) (unsafe.Pointer, error) {
	b, err := syscall.Mmap(-1, 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return nil, err
	}
	return unsafe.Pointer(&b[0]), nil
}

// unmapHost gives it back. munmap(2), POSIX.1-2017.
func unmapHost(p unsafe.Pointer, size int) error {
	return syscall.Munmap(unsafe.Slice((*byte)(p), size))
}
