// Package cuda is the backend for NVIDIA GPUs: the CUDA driver API and NVRTC, loaded at
// run time, without cgo and without a toolkit. Importing it registers it; nothing is
// loaded before somebody asks for devices.
//
// Streams, events, memory and modules are package stream's, whose comment says why nothing here synchronizes, when code is loaded and when
// memory is given back. What is only NVIDIA's:
//
//   - A load by cuModuleLoadDataEx is made complete by cuFuncLoad: with lazy loading, the driver's default since 12.2, the first launch
//     would load a kernel, and wait for every one that runs.
//   - NVRTC takes minutes for some sources and cannot be interrupted. It goes on by itself when the context of Compile has ended, other
//     compilations wait for it, and what comes of it is kept in the cache.
//   - Memory is not of cuMemAllocAsync, although cuMemFreeAsync does not synchronize: pool memory cannot be registered for direct storage.
//   - A trap or an illegal address poisons the GPU's primary context, which all of its devices share.
package cuda
