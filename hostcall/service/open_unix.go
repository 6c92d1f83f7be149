//go:build unix

package service

import "syscall"

const (
	// openAlways keeps an open from waiting for the other end of a FIFO, and from making a terminal the process's own.
	openAlways = syscall.O_NONBLOCK | syscall.O_NOCTTY
	// openDirectory refuses what is no directory before anything happens to it.
	openDirectory = syscall.O_DIRECTORY
)
