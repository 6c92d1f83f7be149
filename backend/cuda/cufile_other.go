//go:build !linux

package cuda

import (
	"fmt"
	"os"

	"github.com/dialtone-gpu/dialtone/hal"
)

func openDirect(string, []byte) (*os.File, error) {
	return nil, fmt.Errorf("cuFile is a library for Linux: %w", hal.ErrUnsupported)
}
