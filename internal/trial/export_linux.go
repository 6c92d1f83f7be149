package trial

import (
	"fmt"
	"io"
	"syscall"

	"github.com/dialtone-gpu/dialtone/hal"
)

// dmaBufMagic is the type of the file system that DMA-BUFs are on: DMA_BUF_MAGIC of linux/magic.h, since Linux 5.3.
const dmaBufMagic = 0x444d4142

// Exported looks at a descriptor that size bytes were exported as, and closes it. The text says what it is, for people; the error wraps
// hal.ErrUnsupported if it is no DMA-BUF, or has less bytes: a driver may export more, the whole of an allocation. "Buffer Sharing and
// Synchronization (dma-buf)" of the Linux kernel's documentation.
func Exported(descriptor int, size int64) (string, error) {
	return exported(descriptor, size, dmaBufMagic)
}

func exported(descriptor int, size, magic int64) (string, error) {
	defer syscall.Close(descriptor)
	var fs syscall.Statfs_t
	if err := syscall.Fstatfs(descriptor, &fs); err != nil {
		return "", fmt.Errorf("the descriptor that was exported: fstatfs: %w", err)
	}
	if int64(uint32(fs.Type)) != magic {
		return "", fmt.Errorf("what was exported is no DMA-BUF, but a file of type %#x: %w", uint32(fs.Type), hal.ErrUnsupported)
	}
	n, err := syscall.Seek(descriptor, 0, io.SeekEnd) // its size: the only seek there is
	if err != nil {
		return "", fmt.Errorf("the descriptor that was exported: lseek: %w", err)
	}
	if n < size {
		return "", fmt.Errorf("the DMA-BUF has %d bytes, fewer than the %d that were exported: %w", n, size, hal.ErrUnsupported)
	}
	return fmt.Sprintf("%d bytes were exported as a DMA-BUF of %d", size, n), nil
}
