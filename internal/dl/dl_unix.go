//go:build !windows

package dl

import "github.com/ebitengine/purego"

// open: dlopen(3), POSIX.1-2017.
func open(name string) (uintptr, error) {
	return purego.Dlopen(name, purego.RTLD_NOW|purego.RTLD_LOCAL)
}

// symbol: dlsym(3).
func symbol(h uintptr, name string) (uintptr, error) { return purego.Dlsym(h, name) }

// unload: dlclose(3).
func unload(h uintptr) error { return purego.Dlclose(h) }
