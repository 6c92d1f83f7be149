package stream

import (
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/internal/trial"
)

// export exports memory as a DMA-BUF: ExportRange, which takes whole pages and nothing else.
func (h *Handle) export(kind hal.MemoryKind) (string, error) {
	const size = 2 << 20
	f := h.driver.ExportRange
	if runtime.GOOS != "linux" {
		return "", fmt.Errorf("DMA-BUFs are Linux's: %w", hal.ErrUnsupported)
	}
	if err := has(f); err != nil {
		return "", err
	}
	page := uintptr(os.Getpagesize())
	memory, err := h.Alloc(kind, size+int(page))
	if err != nil {
		return "", err
	}
	defer memory.Free()
	at := (memory.(*Buffer).address + page - 1) &^ (page - 1)
	descriptor := int32(-1)
	if r := h.With(func() Result {
		return Code(f.Call(uintptr(unsafe.Pointer(&descriptor)), at, size, RangeDMABuf, 0))
	}); r != Success {
		return "", h.Unsupported(f.Name, r)
	}
	if h.driver.Exported != nil {
		return h.driver.Exported(int(descriptor), size)
	}
	return trial.Exported(int(descriptor), size)
}
