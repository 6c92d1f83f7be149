package hostcall_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/hostcall"
	"github.com/dialtone-gpu/dialtone/hostcall/policy"
)

// tree makes /d, /e and the read-only /ro for a run.
func tree(t testing.TB) (policy.Policy, string) {
	t.Helper()
	top := t.TempDir()
	d := filepath.Join(top, "d")
	for _, dir := range []string{"d/sub", "e", "ro"} {
		if err := os.MkdirAll(filepath.Join(top, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"d/file", "d/sub/inner", "ro/file"} {
		if err := os.WriteFile(filepath.Join(top, name), []byte("content of "+name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(d, "out")); err != nil {
		t.Fatal(err)
	}
	return policy.Policy{Dirs: []policy.Dir{
		{Host: d, Guest: "/d"},
		{Host: filepath.Join(top, "e"), Guest: "/e"},
		{Host: filepath.Join(top, "ro"), Guest: "/ro", ReadOnly: true},
	}}, d
}

func TestFiles(t *testing.T) {
	forEach(t, func(t *testing.T, dev target) {
		rt := newRuntime(t, dev, nil)
		p := load(t, rt, "files")
		text := pattern(300_000)
		memory := buffer(t, dev, text)
		t.Run("file", func(t *testing.T) {
			slowToCompile(t, dev)
			pol, dir := tree(t)
			checked(t, dev, p, hostcall.Launch{Kernel: "file", Policy: pol, Args: []hal.Arg{hal.Memory(memory)}})
			got, err := os.ReadFile(filepath.Join(dir, "new"))
			if want := string(text[:5]) + "\n"; err != nil || string(got) != want {
				t.Errorf("the file has %q (%v), want %q", got, err, want)
			}
		})
		t.Run("misuse", func(t *testing.T) {
			for n := 1; n <= 4; n++ {
				checked(t, dev, p, hostcall.Launch{Kernel: "misuse", Policy: policy.Policy{Args: make([]string, n)}, Args: []hal.Arg{hal.Memory(memory)}})
			}
		})
		t.Run("paths", func(t *testing.T) {
			slowToCompile(t, dev)
			pol, _ := tree(t)
			long := buffer(t, dev, []byte("/d/"+strings.Repeat("a", 5000)+"\x00"))
			checked(t, dev, p, hostcall.Launch{Kernel: "paths", Policy: pol, Args: []hal.Arg{hal.Memory(long)}})
		})
		t.Run("limit", func(t *testing.T) {
			pol, _ := tree(t)
			pol.MaxOpen = 20
			checked(t, dev, p, hostcall.Launch{Kernel: "limit", Policy: pol, Args: []hal.Arg{hal.Int32(20)}})
		})
		t.Run("list", func(t *testing.T) {
			pol, dir := tree(t)
			want := map[string]bool{"1 4 file": true, "2 3 sub": true, "3 3 out": true}
			for i := range 40 {
				name := fmt.Sprintf("%d%s", i, strings.Repeat("n", i*253/39))
				if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
					t.Fatal(err)
				}
				want[fmt.Sprintf("1 %d %s", len(name), name)] = true
			}
			out := strings.Split(strings.TrimSuffix(checked(t, dev, p, hostcall.Launch{Kernel: "list", Policy: pol}), "\n"), "\n")
			if len(out) != len(want)+1 {
				t.Fatalf("%d lines, want %d", len(out), len(want)+1)
			}
			for _, line := range out[:len(want)] {
				if !want[line] {
					t.Errorf("%q is listed twice or is not there", line)
				}
				delete(want, line)
			}
			if a, b := out[len(out)-1], "again "+out[len(out)-2]; a != b {
				t.Errorf("the last cookie gives %q, want %q", a, b)
			}
		})
		t.Run("large", func(t *testing.T) {
			for _, n := range []int{1, 65536, 65537, 300_000} {
				pol, dir := tree(t)
				back := buffer(t, dev, make([]byte, 2*n))
				out := checked(t, dev, p, hostcall.Launch{Kernel: "large", Policy: pol,
					Args: []hal.Arg{hal.Memory(memory), hal.Memory(back), hal.Int32(int32(n))}})
				got, err := os.ReadFile(filepath.Join(dir, "large"))
				twice := append(bytes.Clone(text[:n]), text[:n]...)
				if err != nil || !bytes.Equal(got, twice) {
					t.Errorf("%d bytes: the file has %d bytes (%v)", n, len(got), err)
				}
				if b := content(t, dev, back); !bytes.Equal(b[:2*n], twice) {
					t.Errorf("%d bytes: what was read back differs", n)
				}
				if out != string(text[:n]) {
					t.Errorf("%d bytes: standard output has %d bytes, or others", n, len(out))
				}
			}
		})
		t.Run("lanes", func(t *testing.T) {
			pol, dir := tree(t)
			checked(t, dev, p, hostcall.Launch{Kernel: "lanes", Grid: grid(4), Group: grid(33), Policy: pol, Args: []hal.Arg{hal.Memory(memory)}})
			for i := range 4 * 33 {
				got, err := os.ReadFile(filepath.Join(dir, fmt.Sprintf("f%03d", i)))
				switch n := i * 37 % 300; {
				case i%2 == 1 && !os.IsNotExist(err):
					t.Errorf("file %d is still there (%v)", i, err)
				case i%2 == 0 && (err != nil || !bytes.Equal(got, text[i:i+n])):
					t.Errorf("file %d: %d bytes (%v), want %d", i, len(got), err, n)
				}
			}
		})
	})
}
