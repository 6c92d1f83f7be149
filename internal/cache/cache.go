// Package cache keeps compiled kernels on disk, named by the content that made them.
//
// An entry is written under a temporary name and renamed, so a reader never sees half
// of one and two processes may write the same. A cache that cannot be written is not an
// error of the program: Put says so and the caller goes on without.
package cache

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
)

// Key hashes the parts, each with its length, so that no two lists collide.
func Key(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil))[:40]
}

// Dir is the cache's folder: $DIALTONE_CACHE, or dialtone in the user's cache folder, or
// a private one among temporary files where neither can be had.
func Dir() (string, error) {
	dir := os.Getenv("DIALTONE_CACHE")
	if dir == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			base = filepath.Join(os.TempDir(), fmt.Sprintf("dialtone-%d", os.Getuid()))
		}
		dir = filepath.Join(base, "dialtone")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("kernel cache: %w (set DIALTONE_CACHE to a folder that can be written)", err)
	}
	return dir, nil
}

// Get reads an entry that Put stored; ok is false when there is none. One that is damaged is removed: a driver need not survive it.
func Get(name string) (data []byte, ok bool) {
	dir, err := Dir()
	if err != nil {
		return nil, false
	}
	file, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return nil, false
	}
	if len(file) <= sha256.Size || sha256.Sum256(file[sha256.Size:]) != [sha256.Size]byte(file[:sha256.Size]) {
		Remove(name)
		return nil, false
	}
	return file[sha256.Size:], true
}

// Put stores an entry, behind its sum.
func Put(name string, data []byte) error {
	sum := sha256.Sum256(data)
	return Make(name, func(path string) error { return os.WriteFile(path, append(sum[:], data...), 0o600) })
}

// Remove takes away an entry that is of no use, if it can.
func Remove(name string) {
	if dir, err := Dir(); err == nil {
		_ = os.Remove(filepath.Join(dir, name))
	}
}

// Make lets fill write the entry to a temporary path, then gives it its name.
func Make(name string, fill func(path string) error) error {
	dir, err := Dir()
	if err != nil {
		return err
	}
	// The temporary file keeps the extension: linkers and loaders look at it.
	f, err := os.CreateTemp(dir, "new-*-"+name)
	if err != nil {
		return err
	}
	tmp := f.Name()
	f.Close()
	defer os.Remove(tmp)
	if err := fill(tmp); err != nil {
		return err
	}
	return os.Rename(tmp, filepath.Join(dir, name))
}

// Path is where an entry is, and whether it is there.
func Path(name string) (string, bool) {
	dir, err := Dir()
	if err != nil {
		return "", false
	}
	p := filepath.Join(dir, name)
	st, err := os.Stat(p)
	return p, err == nil && st.Size() > 0
}
