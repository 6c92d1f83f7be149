//go:build !windows

package cpu

import "syscall"

const sigBus = syscall.SIGBUS

// signalName gives the usual name, or the system's words.
func signalName(n int32) string {
	switch s := syscall.Signal(n); s {
	case syscall.SIGSEGV:
		return "SIGSEGV"
	case syscall.SIGBUS:
		return "SIGBUS"
	case syscall.SIGFPE:
		return "SIGFPE"
	case syscall.SIGILL:
		return "SIGILL"
	case syscall.SIGTRAP:
		return "SIGTRAP"
	case syscall.SIGABRT:
		return "SIGABRT"
	default:
		return s.String()
	}
}
