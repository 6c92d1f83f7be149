// Command dialtone runs ordinary programs and kernels on devices, where they call the operating system, and tells what this machine's devices can do.
//
//	dialtone devices                                          what there is
//	dialtone probe cuda:0                                     what it can do, found out by doing it
//	dialtone plan cuda:0                                      how each service reaches a kernel there
//	dialtone run --dir .:/ examples/programs/rust/hello.rs    run a program
//	dialtone run --dir .:/ examples/hello/hello.kernel.c      run a kernel
//
// # Exit codes
//
// That of run is the program's or kernel's: the low eight bits of what it exited with, 0 if it simply ended; of several instances, that of the
// first which is not 0. Otherwise:
//
//	1          require: something is missing; diff: something is worse; else what was to run does not compile or went wrong, or the machine lacks something
//	2          the command line cannot be followed: an unknown flag, a file or device that is not there
//	124        --timeout passed
//	128+N      a signal ended the run, or the kernel faulted with what is signal N on this system; 134 is a program's trap,
//	           hc_abort or hc_assert
package main

import (
	"context"
	"os"

	_ "github.com/dialtone-gpu/dialtone/backend/all"
	"github.com/dialtone-gpu/dialtone/hostcall/probe"
)

func main() {
	probe.Child() // what a survey of devices is done in
	p := newProcess()
	os.Exit(p.execute(context.Background(), os.Args[1:]))
}
