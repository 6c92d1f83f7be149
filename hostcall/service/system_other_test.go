//go:build !linux

package service

import (
	"errors"
	"testing"
)

func mkfifo(string) error { return errors.ErrUnsupported }

// systemChannels adds what only this system has.
func systemChannels(map[string]func(t *testing.T) channel) {}
