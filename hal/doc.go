// Package hal is the portable device API: a [Device] owns memory ([Buffer]),
// compiled code ([Module], [Kernel]) and queues ([Queue]), whatever the vendor.
//
// The concrete types here are what programs use. What a vendor has to provide
// is the handful of small Driver… interfaces in driver.go; a backend registers
// itself with [Register] and is found through [Devices] and [Open].
//
// The contract, once for all backends:
//
//   - Every method may be called from any goroutine; a Queue orders the
//     operations given to it, distinct queues are independent.
//   - No method of Queue except Wait blocks on a running kernel, and Wait only
//     polls: a kernel may be waiting for an answer from this very process.
//   - Errors of a driver arrive as [*Error], which keeps the driver's own code.
//     errors.Is works with the sentinels of this package.
//   - Close is idempotent and must follow the Close of whatever was made from
//     the object; a Device that failed with [ErrDeviceLost] stays lost.
//   - A buffer of a kind that [MemoryKind.HostVisible] reports is memory that
//     the device may write at any time: copy it, then look at the copy.
package hal
