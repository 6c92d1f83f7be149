//go:build !linux

package trial

import (
	"fmt"

	"github.com/dialtone-gpu/dialtone/hal"
)

// Exported refuses: DMA-BUFs are Linux's.
func Exported(int, int64) (string, error) {
	return "", fmt.Errorf("DMA-BUFs are Linux's: %w", hal.ErrUnsupported)
}
