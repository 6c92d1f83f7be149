// Package cuda is the backend for NVIDIA GPUs: the CUDA driver API and NVRTC, loaded at
// run time, without cgo and without a toolkit. Importing it registers it; nothing is
// loaded before somebody asks for devices.
//
// # Why is there no synchronizing call?
//
// A kernel of this project waits for answers that this very process gives. Whatever
// waits inside the driver for such a kernel may hold the driver's locks and so stop the
// code that would have answered. Therefore
//
//   - streams are made non-blocking and the legacy default stream is never used;
//   - completion is asked with cuStreamQuery and cuEventQuery, never waited for in the driver;
//   - transfers go through pinned memory on the queue's own stream, so that they are
//     truly asynchronous;
//   - at most [backlogMax] operations wait in a stream, because past the length of the
//     hardware's queue (1024) cuLaunchKernel blocks inside the driver. Launch then waits
//     for room outside of it;
//   - whatever synchronizes by itself (cuMemFree, cuMemFreeHost, cuModuleUnload,
//     cuDevicePrimaryCtxRelease) is put off until nothing runs: see below;
//   - so is loading code (cuModuleLoadDataEx, cuFuncLoad), which waits for every kernel that
//     runs on the device, whatever thread it is called on (measured: H200, driver 580.159). It is loaded
//     completely then: with lazy loading, the driver's default since 12.2, the first launch would load it.
//
// # When is code loaded?
//
// Compile translates at once, by NVRTC or from the cache, which needs no driver. Then it waits
// outside the driver until nothing of this process is in flight on the device, and loads. While it
// waits, everything else goes on; while it loads, launches and transfers wait for it, some milliseconds,
// and Done says "not yet". A launch on an idle device lets a waiting load go first. A kernel that never ends
// keeps code from being loaded: compile before it starts. Compile ends
// with its context; NVRTC, which takes minutes for some sources and cannot be interrupted, goes on by
// itself then, other compilations wait for it, and what comes of it is kept in the cache. Listing and opening end likewise.
//
// # When is memory given back?
//
// Free and Close queue a release, and a release is carried out when nothing is in flight: on
// the same device for device memory and code, on any device of this process for host and
// managed memory, because that is mapped into all of them. A process in which some
// kernel always runs therefore keeps what it frees: reuse buffers there. Why not
// cuMemFreeAsync, which does not synchronize? It takes back only memory of a pool, and pool memory
// cannot be registered for direct storage.
//
// # What does a fault leave behind?
//
// A trap or an illegal address poisons the context: every later operation gives the error
// of the first, with the kernel's name. Memory of kind HostCoherent stays readable, so
// that requests posted before the fault can be served. The context is therefore not
// torn down before the last buffer is closed too, whatever the order of the Close calls.
//
// # What does Close do with a kernel that never ends?
//
// It leaves it running. CUDA has no call that ends one kernel, and releasing the context
// would wait for it. The context stays, is taken up again by the next Open of that
// device, and the end of the process ends the kernel. So the queues are no hal.Stopper.
//
// # Which context, which thread?
//
// Every device of the hal shares its GPU's primary context. The context is made current
// for each operation on a thread that is locked for just that operation; no goroutine owns a context.
package cuda
