// Package service answers the calls of a kernel or a WASI program: streams, files, clocks, arguments and environment, random bytes, and
// the ways a program ends. It knows nothing of devices, packets or slots; what carries a call decodes it, calls here and sends
// the result back. What a run may reach is a policy.Policy; everything else is denied.
//
// A [Host] is what a policy opens, [Files] the descriptors of one run or program over it; several may share a Host.
//
// # Results
//
// Calls follow POSIX and return a portable number beside their result: errno.OK, or what went wrong. A count goes with OK unless nothing
// was done: a read or write that got somewhere and then failed gives the count and OK, and the next one the error. A read of 0 bytes with
// OK into a buffer that is not empty is the end of the file. The exception is WriteAll, which says both how far it got and why it stopped.
// What the policy does not grant gives ENOTCAPABLE, whether or not it exists.
//
// # Concurrency
//
// All methods may be called from many goroutines at once. Calls that may wait for something outside of the host's disks (a terminal, a
// pipe) take a context, wait in the caller's goroutine only, and give ECANCELED soon after the context ends, whether it was cancelled or
// ran out of time. The others take as long as the disk or the reader of an output stream takes.
//
// # Cost
//
// Reading, writing, and the clocks allocate nothing, except where a read has to wait. No two descriptors share a lock, save that
// Stdout and Stderr do where they are the same writer.
package service
