package dl

import "syscall"

// open: LoadLibraryW, Windows API.
func open(name string) (uintptr, error) {
	h, err := syscall.LoadLibrary(name)
	return uintptr(h), err
}

// symbol: GetProcAddress, Windows API.
func symbol(h uintptr, name string) (uintptr, error) {
	return syscall.GetProcAddress(syscall.Handle(h), name)
}

// unload: FreeLibrary, Windows API.
func unload(h uintptr) error { return syscall.FreeLibrary(syscall.Handle(h)) }
