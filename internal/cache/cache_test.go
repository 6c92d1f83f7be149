package cache

import (
	"bytes"
	"os"
	"testing"
)

// TestDamaged: an entry of which a byte is not what it was is none, and is gone.
func TestDamaged(t *testing.T) {
	t.Setenv("DIALTONE_CACHE", t.TempDir())
	content := []byte("some code")
	for what, damage := range map[string]func([]byte) []byte{
		"a byte":   func(b []byte) []byte { b[len(b)-1] ^= 1; return b },
		"cut":      func(b []byte) []byte { return b[:len(b)-1] },
		"too long": func(b []byte) []byte { return append(b, 0) },
		"no more":  func(b []byte) []byte { return b[:10] },
		"empty":    func([]byte) []byte { return nil },
	} {
		if err := Put("entry", content); err != nil {
			t.Fatal(err)
		}
		if got, ok := Get("entry"); !ok || !bytes.Equal(got, content) {
			t.Fatalf("%s: got %q, %t", what, got, ok)
		}
		path, ok := Path("entry")
		if !ok {
			t.Fatal("no such file")
		}
		file, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, damage(file), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, ok := Get("entry"); ok {
			t.Errorf("%s: got %q", what, got)
		}
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s: it is still there", what)
		}
	}
	if _, ok := Get("another"); ok {
		t.Error("an entry that nobody made")
	}
}
