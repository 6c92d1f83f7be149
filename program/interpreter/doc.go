// Package interpreter runs images of package bytecode on a device: Source is the text of a kernel with a case for each instruction, Instances the memory
// that it works on.
//
//	image, err := bytecode.Lower(module, bytecode.Options{Host: ...})
//	program, err := runtime.Load(ctx, "vm.kernel.c", interpreter.Source(interpreter.Parts{Host: ...}))
//	instances, err := interpreter.New(device, image, interpreter.Options{Instances: 100, Entry: start})
//	err = instances.Prepare(ctx, program)
//	launch, err := instances.Launch(ctx, 1)
//	result, err := program.Run(ctx, launch)
//	state, err := instances.State(0)
//
// A kernel depends on no module, so one is enough for all that have no native code. Images and instances are data.
//
// # Instances
//
// An instance is a program that runs: one work-item of the launch. It has a linear memory, which grows up to its limit, and a state: where it
// is, its globals, tables, calls and frames. All that outlives a launch is there, so that an instance can stop at any branch or call: where kernels are
// launched again for every answer of the host (the transport relaunch), it goes on from there. Its kernel is resumable as docs/kernel-c.md
// has it: what changes memory lies between a checkpoint and the next, and nothing there makes it leave.
//
// Memory and calls have limits, of which the module notices what the specification provides: memory.grow and table.grow give -1, calls that are too deep trap.
//
// # Calls of the host
//
// CallHost is made by C that the caller gives (Parts.Host, such as wasi.KernelSource), in steps:
//
//	hc_u32 vm_wasi_step(HC, vm_state *vm, hc_u32 function, hc_u32 instance, GLOBAL hc_u64 *args, hc_u32 *got, hc_u32 *result)
//
// args are the parameters, in slots, which stay as they are until the call is done; *got is 0 at first, and kept. It returns 0 when *result is what the call
// gives; 1 to be called again after a checkpoint; 2 to leave the kernel, if nothing was changed; 3 if the instance has come to its end.
//
// # Trust
//
// Modules have been validated, and every access that they make is checked. What is read back from a device is not trusted: State says so if it makes
// no sense.
package interpreter
