//go:build !windows

package pages

import "syscall"

// Alloc maps size zeroed bytes: mmap(2), POSIX.1-2017 with the common MAP_ANON.
func Alloc(size int) ([]byte, error) {
	return syscall.Mmap(-1, 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANON)
}

// Free unmaps what Alloc gave: munmap(2).
func Free(m []byte) error { return syscall.Munmap(m) }
