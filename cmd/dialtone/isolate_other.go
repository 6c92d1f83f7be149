//go:build !unix

package main

import (
	"context"
	"errors"
	"os"
)

// isolated: a process of this system cannot hand on more than three files by number, so everything runs in the command itself.
func isolated(string) bool { return false }

type parent struct {
	device string
	stderr *os.File
}

func attach() *parent { return nil }

func (*parent) tell(string) {}

func (*parent) subscribe(chan<- os.Signal) {}

func (p *process) supervise(context.Context, string) error {
	return errors.New("BUG: no child processes on this system")
}

func (p *process) lingering() (stop func()) { return func() {} }
