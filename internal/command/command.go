// Package command starts compilers and other commands that run commands of their own.
package command

import (
	"context"
	"os/exec"
	"time"
)

// New is exec.CommandContext for a command that ends with the context together with the commands that it has started, which would go on, and
// would be waited for as long as they hold its output open.
func New(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.WaitDelay = 5 * time.Second // for output that a process which is of no group, or outlives it, may still hold open
	group(cmd)
	return cmd
}
