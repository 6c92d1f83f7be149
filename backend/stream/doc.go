// Package stream is what CUDA and HIP have in common: devices with streams and events, pinned memory, modules and kernels. HIP was
// made after CUDA's driver API, so the functions, their parameters and most of their codes are the same under other names. A backend
// fills in a [Driver], and what this package makes of it are hal's devices, buffers, queues, modules and kernels.
//
// # Why is there no synchronizing call?
//
// A kernel of this project waits for answers that this very process gives. Whatever
// waits inside the driver for such a kernel may hold the driver's locks and so stop the
// code that would have answered. Therefore
//
//   - streams are made non-blocking and the legacy default stream is never used;
//   - completion is asked by StreamQuery and EventQuery, never waited for in the driver;
//   - transfers go through pinned memory on the queue's own stream, so that they are
//     truly asynchronous;
//   - at most [BacklogMax] operations wait in a stream, because past the length of the
//     hardware's queue (1024 on an H200) a launch blocks inside the driver. Launch then waits
//     for room outside of it;
//   - whatever synchronizes by itself, or may (freeing memory, destroying a stream, unloading a module, releasing a context),
//     is put off until nothing runs: see below;
//   - so is loading code, which waits for every kernel that
//     runs on the device, whatever thread it is called on (measured: H200, driver 580.159). It is loaded completely then.
//
// # When is code loaded?
//
// Compile translates at once, by the run-time compiler or from the cache, which needs no driver. Then it waits
// outside the driver until nothing of this process is in flight on the device, and loads. While it
// waits, everything else goes on; while it loads, launches and transfers wait for it, some milliseconds,
// and Done says "not yet". A launch on an idle device lets a waiting load go first. A kernel that never ends
// keeps code from being loaded: compile before it starts. Compile ends
// with its context; what it asked of a library that cannot be interrupted goes on by itself then.
//
// # When is memory given back?
//
// Free and Close queue a release, and a release is carried out when nothing is in flight: on
// the same device for device memory and code, on any device of the driver in this process for host and
// managed memory, because that is mapped into all of them. A process in which some
// kernel always runs therefore keeps what it frees: reuse buffers there.
//
// # What does a fault leave behind?
//
// Every later operation on that device gives the error
// of the first, with the kernel's name. Memory of kind HostCoherent stays readable, so
// that requests posted before the fault can be served. A context is therefore not
// torn down before the last buffer is closed too, whatever the order of the Close calls.
//
// # What does Close do with a kernel that never ends?
//
// It leaves it running: there is no call that ends one kernel, and releasing the context
// would wait for it. The context stays, is taken up again by the next Open of that
// device, and the end of the process ends the kernel. So the queues are no hal.Stopper.
//
// # Which context, which thread?
//
// A context (CUDA) or current device (HIP) is a thread's. It is set
// for each operation on a thread that is locked for just that operation; no goroutine owns one.
package stream
