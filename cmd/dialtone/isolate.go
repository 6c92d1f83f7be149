package main

// A kernel on an OpenCL driver that runs on the host's own cores is code of this process: if it faults, the process is gone, and nothing
// can say which kernel did it. AMD's runtime ends the process, too, and drivers crash while they compile. So what uses the opencl or hip backend runs in a child: the same binary with
// the same arguments, the same standard input and output, and
//
//	2  what the Go runtime and the driver's libraries print: a pipe, so that no crash trace reaches the terminal
//	3  the real standard error, for messages and the kernel's own output
//	4  signals from the parent, a byte each. The child ignores those of the terminal, which reach both; at the end of this stream, the
//	   parent is gone and the child ends
//	5  what the child is doing, a line each, for the message about its end
//
// The variable isolatedVariable tells the child that it is one, and the device.

const isolatedVariable = "DIALTONE_ISOLATED"
