// Package opencl drives any OpenCL device through the installable client driver
// loader, without cgo and without its headers. Importing it registers the backend;
// the library is loaded when someone asks for devices, from the path in
// $DIALTONE_OPENCL or under the system's usual name.
//
// What the standard leaves open, and what this backend does about it:
//
//   - Enqueueing and flushing may block until the kernel ends (PoCL's "basic" device,
//     simulators, a driver whose queue is full). Every queue therefore has a goroutine
//     that makes these calls in order; Launch only checks, binds the arguments and hands
//     over. What goes wrong later is reported by Done.
//   - Even asking for the status of an event may block while another call for the same queue
//     does: NVIDIA's driver holds it up for as long as a blocking transfer waits for a kernel.
//     Done does not ask while the goroutine is in such a call; it is not done then anyway.
//   - A driver may need a free worker to do anything at all for another queue (PoCL).
//     No operation here touches a queue other than its own, and allocating, compiling,
//     binding and asking for a status use no queue.
//   - [hal.HostCoherent] memory is fine-grained shared virtual memory where the device
//     has it. Elsewhere it is page-aligned host memory given to CL_MEM_USE_HOST_PTR: a
//     device that shares the host's memory uses it in place; for any other device it is
//     copied in before each kernel and back after it, so the two sides agree between
//     launches and not during one.
//   - Nothing ends a running kernel in OpenCL: queues are no [hal.Stopper].
//
// Ownership: a buffer closed while kernels use it lives on until they end. The first
// failure of a queue is what Read and Write return and what Done reports, up to and
// including the Done that says that everything is finished. A kernel that the driver ended
// abnormally makes the device lost.
package opencl
