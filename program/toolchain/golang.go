package toolchain

import (
	"fmt"
	"go/version"
	"os"
	"os/exec"
	"path/filepath"
)

// oldestGo knows GOOS=wasip1; see the release notes of Go 1.21, "WebAssembly System Interface".
const oldestGo = "go1.21"

func (b *build) golang() (string, error) {
	const get = "install Go 1.21 or later: https://go.dev/dl, or golang-go of Debian 13"
	command, err := exec.LookPath("go")
	if err != nil {
		return "", &Missing{b.path, "there is no go command in PATH", get}
	}
	dir, what := b.path, "."
	if info, err := os.Stat(b.path); err != nil {
		return "", err
	} else if !info.IsDir() {
		dir, what = filepath.Dir(b.path), "./"+filepath.Base(b.path)
	}
	if has := b.ask(dir, command, "env", "GOVERSION"); version.IsValid(has) && version.Compare(has, oldestGo) < 0 {
		return "", &Missing{b.path, fmt.Sprintf("%s is %s, which makes no WASI modules", command, has), get}
	}
	// No version control: asking it may write to its folder.
	cmd := b.command(command, "build", "-trimpath", "-buildvcs=false", "-o", b.module(), what)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0")
	return b.module(), b.run(cmd)
}
