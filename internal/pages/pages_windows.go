package pages

import (
	"syscall"
	"unsafe"
)

var (
	kernel32     = syscall.NewLazyDLL("kernel32.dll")
	virtualAlloc = kernel32.NewProc("VirtualAlloc")
	virtualFree  = kernel32.NewProc("VirtualFree")
)

// Alloc maps size zeroed bytes: VirtualAlloc, Windows API, MEM_RESERVE|MEM_COMMIT, PAGE_READWRITE.
func Alloc(size int) ([]byte, error) {
	p, _, err := virtualAlloc.Call(0, uintptr(size), 0x3000, 0x04)
	if p == 0 {
		return nil, err
	}
	return unsafe.Slice((*byte)(*(*unsafe.Pointer)(unsafe.Pointer(&p))), size), nil
}

// Free unmaps what Alloc gave: VirtualFree, MEM_RELEASE.
func Free(m []byte) error {
	r, _, err := virtualFree.Call(uintptr(unsafe.Pointer(unsafe.SliceData(m))), 0, 0x8000)
	if r == 0 {
		return err
	}
	return nil
}
