package main

import (
	"errors"
	"fmt"

	"github.com/dialtone-gpu/dialtone/hal"
)

// Exit codes that are not the kernel's own.
const (
	exitFailure = 1
	exitUsage   = 2
	exitTimeout = 124 // as timeout(1) has it
	exitSignal  = 128 // plus the signal's number, as shells have it
)

// status is an error that says with which code the process ends. Without an err nothing is printed.
type status struct {
	code int
	err  error
}

func (s status) Error() string {
	if s.err == nil {
		return fmt.Sprintf("exit %d", s.code)
	}
	return s.err.Error()
}

func (s status) Unwrap() error { return s.err }

// usage marks an error of the command line.
func usage(err error) error {
	if err == nil {
		return nil
	}
	return status{exitUsage, err}
}

func usagef(format string, args ...any) error { return usage(fmt.Errorf(format, args...)) }

// deviceError gives an error of opening a device its code: a device that is not there is a mistake of the command line, a driver that is
// not there is not.
func deviceError(err error) error {
	if (errors.Is(err, hal.ErrNoDevice) || errors.Is(err, hal.ErrInvalid)) && !errors.Is(err, hal.ErrUnavailable) {
		return usage(err)
	}
	return err
}
