//go:build !linux

package gpufile

import (
	"fmt"
	"os"
	"syscall"

	"github.com/dialtone-gpu/dialtone/hal"
)

// Create refuses: the libraries are for Linux.
func Create(string, []byte) (*os.File, error) {
	return nil, fmt.Errorf("cuFile and hipFile are libraries for Linux: %w", hal.ErrUnsupported)
}

func createPlain(path string, content []byte) (*os.File, error) { return Create(path, content) }

func refusal(syscall.Errno) bool { return false }

func callBytes() (int64, error) { return 0, hal.ErrUnsupported }
