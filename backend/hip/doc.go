// Package hip is the backend for AMD GPUs: the HIP runtime and its run-time compiler hiprtc, loaded at
// run time, without cgo and without ROCm's headers. Importing it registers it; nothing is
// loaded before somebody asks for devices. It has never run on AMD's hardware: see folder standin for
// what stands in for it in tests.
//
// Streams, events, memory and modules are package stream's, whose comment says why nothing here synchronizes, when code is loaded and when
// memory is given back.
//
// # What is the driver's?
//
// It maps streams to a few hardware queues (GPU_MAX_HW_QUEUES, 4 unless set). Of more streams
// than that, some wait for each other's kernels.
//
// # What is never asked?
//
// hipGetDeviceProperties: the size of its struct is 792 bytes until HIP 5 and 1472 since, and the old
// name gives the old struct in both. Attributes have the same numbers in HIP 5.2, 5.7, 6.4 and 7.2. The name of the architecture is a text
// and no attribute of every version: see arch.go.
//
// # What does a fault leave behind?
//
// Usually no process: AMD's runtime ends it when a kernel faults.
// Where the driver reports a fault instead, the device is lost to this process. Memory of kind HostCoherent stays readable.
//
// # When the driver hangs?
//
// Listing, opening and compiling end with their context also while a call of the driver does not return: that
// goes on by itself. Nothing can be done about a launch or a query that hangs.
package hip
