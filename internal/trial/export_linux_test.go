package trial

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/dialtone-gpu/dialtone/hal"
)

// TestExported: a file is no DMA-BUF; where it may be one, its size counts. The descriptor is closed in any case.
func TestExported(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, make([]byte, 4096), 0o600); err != nil {
		t.Fatal(err)
	}
	var fs syscall.Statfs_t
	if err := syscall.Statfs(path, &fs); err != nil {
		t.Fatal(err)
	}
	magic := int64(uint32(fs.Type))
	for _, c := range []struct {
		size, magic int64
		detail, err string
	}{
		{4096, dmaBufMagic, "", "no DMA-BUF"},
		{4096, magic, "4096 bytes were exported as a DMA-BUF of 4096", ""},
		{4000, magic, "4000 bytes were exported as a DMA-BUF of 4096", ""},
		{8192, magic, "", "fewer than the 8192"},
	} {
		fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		detail, err := exported(fd, c.size, c.magic)
		if detail != c.detail || (err == nil) != (c.err == "") || err != nil && (!errors.Is(err, hal.ErrUnsupported) || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%d bytes, type %#x: %q, %v", c.size, c.magic, detail, err)
		}
		if err := syscall.Fstatfs(fd, &fs); err != syscall.EBADF {
			t.Errorf("the descriptor is still open: %v", err)
		}
	}
	if _, err := Exported(-1, 1); err == nil || errors.Is(err, hal.ErrUnsupported) {
		t.Errorf("no descriptor: %v", err)
	}
}
