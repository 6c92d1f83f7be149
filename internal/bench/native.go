package bench

import (
	"context"
	"fmt"
	"io"
	"os/exec"

	"github.com/dialtone-gpu/dialtone/internal/command"
	"github.com/dialtone-gpu/dialtone/program/toolchain"
)

// Native compiles a Rust program for this machine's processor, as toolchain.Build does for a device. The result needs no library where the
// compiler can do that. Where there is no rustc the error is a *toolchain.Missing.
func Native(ctx context.Context, source, to string, out io.Writer) error {
	rustc, err := exec.LookPath("rustc")
	if err != nil {
		return &toolchain.Missing{Path: source, What: "there is no rustc in PATH", Get: "install it with rustup, or Debian's rustc"}
	}
	args := []string{"--edition", "2021", "-O", "--crate-name", "program", "-C", "strip=symbols", "-o", to, source}
	if command.New(ctx, rustc, append([]string{"-C", "target-feature=+crt-static"}, args...)...).Run() == nil {
		return nil
	}
	cmd := command.New(ctx, rustc, args...)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: rustc: %w", source, err)
	}
	return nil
}
