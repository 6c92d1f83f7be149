package opencl

import (
	"syscall"
	"unsafe"

	"github.com/dialtone-gpu/dialtone/internal/dl"
)

var (
	kernel32     = syscall.NewLazyDLL("kernel32.dll")
	virtualAlloc = kernel32.NewProc("VirtualAlloc")
	virtualFree  = kernel32.NewProc("VirtualFree")
)

// Windows API, memoryapi.h.
const (
	memCommitReserve = 0x1000 | 0x2000
	memRelease       = 0x8000
	pageReadWrite    = 0x04
)

// mapHost gives zeroed, page-aligned memory that is not Go's. VirtualAlloc, Windows API.
func mapHost(size int) (unsafe.Pointer, error) {
	p, _, err := virtualAlloc.Call(0, uintptr(size), memCommitReserve, pageReadWrite)
	if p == 0 {
		return nil, err
	}
	return dl.Pointer(p), nil
}

// unmapHost gives it back. VirtualFree, Windows API.
func unmapHost(p unsafe.Pointer, _ int) error {
	if ok, _, err := virtualFree.Call(uintptr(p), 0, memRelease); ok == 0 {
		return err
	}
	return nil
}
