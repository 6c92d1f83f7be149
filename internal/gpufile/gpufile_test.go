package gpufile

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"unsafe"
)

// TestLayout: the struct is the one of the libraries' headers on 64-bit systems.
func TestLayout(t *testing.T) {
	if d := (descriptor{}); unsafe.Sizeof(d) != 24 || unsafe.Offsetof(d.descriptor) != 8 || unsafe.Offsetof(d.operations) != 16 {
		t.Errorf("a descriptor has %d bytes", unsafe.Sizeof(d))
	}
}

// TestCallBytes: what is read and written by system calls is counted, both.
func TestCallBytes(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("/proc is Linux's")
	}
	path := filepath.Join(t.TempDir(), "f")
	for what, f := range map[string]func() error{
		"written": func() error { return os.WriteFile(path, pattern(1), 0o600) },
		"read":    func() error { _, err := os.ReadFile(path); return err },
	} {
		if what == "read" {
			if err := os.WriteFile(path, pattern(1), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		before, err := callBytes()
		if err != nil {
			t.Skipf("this system does not tell: %v", err)
		}
		if err := f(); err != nil {
			t.Fatal(err)
		}
		if after, err := callBytes(); err != nil || after-before < Size || after-before > Size+1<<16 {
			t.Errorf("%s: %d bytes were counted, want a little over %d; %v", what, after-before, Size, err)
		}
	}
}
