//go:build !unix

package command

import "os/exec"

// group would end what a command has started with it. Here that ends by itself.
func group(*exec.Cmd) {}
