package filesystem

import (
	"path/filepath"
	"runtime"
	"testing"
)

func TestName(t *testing.T) {
	if n := Name(filepath.Join(t.TempDir(), "nothing")); n != unknown {
		t.Errorf("a path that is not there is on %q", n)
	}
	known := runtime.GOOS == "linux" || runtime.GOOS == "darwin"
	if n := Name(t.TempDir()); n == "" || (n != unknown) != known {
		t.Errorf("a folder is on %q", n)
	}
	if n := Name("/proc"); runtime.GOOS == "linux" && n != "file system 0x9fa0" {
		t.Errorf("proc(5) is %q", n)
	}
}
