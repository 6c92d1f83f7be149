// Package hostcall lets kernels call the operating system: it compiles a kernel file for a device,
// launches it, and serves what it asks for while it runs.
//
//	dev, err := hal.Open(ctx, "")               // the best device, or the host's own cores
//	rt, err := hostcall.New(ctx, dev, nil)      // looks at what the device can do, and plans
//	prog, err := rt.Load(ctx, "hello.kernel.c", text)
//	res, err := prog.Run(ctx, hostcall.Launch{Policy: policy.Policy{Stdout: os.Stdout}})
//
// The contract:
//
//   - A run is like a process: its descriptors, its policy and its exit code are its own. Several
//     runs may go on at once.
//   - Run returns when the kernel has ended and everything that it had asked for is done. What it
//     wrote before a fault is delivered before the error is returned.
//   - An error of Run says why there is no exit code: the kernel faulted (*hal.Error), called
//     hc_abort or failed an assertion (service.Abort, service.Assert), or the context ended.
//   - A kernel that does not end when its context does is stopped where the backend can; where it
//     cannot, Run returns [ErrStillRunning] after a grace period, and the device stays busy until
//     the process ends.
package hostcall
