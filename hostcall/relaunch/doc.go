// Package relaunch carries hostcalls between the launches of a kernel, for devices where a running kernel and the host do not see each
// other's writes.
//
// A kernel posts its requests to an outbox in device memory. When the launch is over, [Server.Take] decodes what the host has read
// of it and gives the requests to their handlers; [Server.Wait] waits until another launch makes sense, and [Server.Inbox] is what
// it begins with: each work-item's log of answers, from which its calls are answered when it is replayed. The package knows no device:
// who launches copies the memory. docs/relaunch.md specifies both sides.
//
// Whatever a kernel writes can at worst make its own calls fail or its own run end: the outbox is a copy, and every number in it is checked.
package relaunch
