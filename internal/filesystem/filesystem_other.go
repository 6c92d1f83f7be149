//go:build !linux && !darwin

package filesystem

// Name is not known here.
func Name(string) string { return unknown }
