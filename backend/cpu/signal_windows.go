package cpu

import "syscall"

const sigBus = syscall.Signal(0x7)

func signalName(n int32) string { return syscall.Signal(n).String() }
