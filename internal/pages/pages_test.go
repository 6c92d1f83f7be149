package pages

import (
	"os"
	"testing"
	"unsafe"
)

func TestAlloc(t *testing.T) {
	for _, size := range []int{1, 4096, 1<<20 + 1} {
		m, err := Alloc(size)
		if err != nil {
			t.Fatal(err)
		}
		if len(m) != size || uintptr(unsafe.Pointer(&m[0]))%uintptr(os.Getpagesize()) != 0 {
			t.Errorf("%d bytes at %p, want %d at a page's begin", len(m), &m[0], size)
		}
		for i := range m {
			if m[i] != 0 {
				t.Fatalf("byte %d of %d is %d", i, size, m[i])
			}
			m[i] = 1
		}
		if err := Free(m); err != nil {
			t.Error(err)
		}
	}
	if _, err := Alloc(1 << 60); err == nil {
		t.Error("an exbibyte was given")
	}
}
