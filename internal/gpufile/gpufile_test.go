package gpufile

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
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

// TestFiles: a library that may copy gets a file wherever there can be one, also where O_DIRECT is refused; nothing is left behind.
func TestFiles(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the libraries are for Linux")
	}
	folders := []string{t.TempDir()}
	if memory, err := os.MkdirTemp("/dev/shm", "dialtone-*"); err == nil {
		t.Cleanup(func() { os.RemoveAll(memory) })
		folders = append(folders, memory)
	}
	for _, folder := range folders {
		content := pattern(3)
		for mode, direct := range map[string]bool{"off": true, "on": false} {
			detail, err := (&Library{}).withFile(folder, content, direct, func(f *os.File) error {
				got, err := os.ReadFile(f.Name())
				if err == nil && !bytes.Equal(got, content) {
					t.Errorf("%s: the file has other bytes", folder)
				}
				return err
			})
			if errors.Is(err, syscall.EINVAL) && direct {
				t.Logf("%s: no O_DIRECT: %v", folder, err)
			} else if err != nil || !strings.Contains(detail, "compatibility mode "+mode) {
				t.Errorf("%s: %q, %v", folder, detail, err)
			}
		}
		plain, err := createPlain(filepath.Join(folder, "plain"), content)
		if err != nil {
			t.Fatal(err)
		}
		plain.Close()
		if f, err := createPlain(plain.Name(), content); err == nil {
			f.Close()
			t.Errorf("%s was overwritten", f.Name())
		}
		os.Remove(plain.Name())
		if left, _ := os.ReadDir(folder); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	}
}
