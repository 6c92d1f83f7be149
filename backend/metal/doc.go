// Package metal is the backend for GPUs of Macs: Metal through the Objective-C runtime, loaded at run time, without cgo.
// Importing it registers it; nothing is loaded before somebody asks for devices. It has never run on Apple's
// hardware: what its tests run on is a stand-in for the runtime and for Metal, in folder standin, which only tests build and load.
//
// What Metal leaves open, and what this backend does about it:
//
//   - Nothing is promised about what a running kernel and the host see of each other's writes, so
//     [hal.Info] says NoConcurrentAccess. When a launch has ended, they agree.
//   - All memory has shared storage ("MTLStorageMode.shared"): the host's copies need no commands, only their turn.
//   - A command queue blocks when too many of its command buffers have not ended. Every queue has a goroutine that
//     encodes in order and holds back what would block; Launch only checks and hands over. Completion handlers, which
//     Metal calls on threads of its own, say what has ended; nothing waits in the driver.
//   - Objects that a call gives without ownership live until the thread's autorelease pool is popped: each step has a pool of
//     its own, on a thread that it is bound to for that long and no longer.
//   - A failed command buffer leaves the device usable, as Metal has it, unless the device was removed or
//     ignores further work: then it is lost.
//   - Nothing ends a running kernel: queues are no [hal.Stopper]. The system ends kernels that hold up the screen.
//   - Nothing says what a file queue (MTLIOCommandQueue) does on its way from the storage to a buffer: the backend's one trial shows that the
//     bytes arrive.
//   - Kernels take at most 31 buffers and values, of at most 4096 bytes ("Metal Feature Set Tables").
//
// Ownership: a buffer or module closed while launches use it lives on until they end.
package metal
