package opencl

// Values of the OpenCL API, named as in "The OpenCL Specification" without the CL_
// prefix. The comments name its tables and functions.
const (
	success = 0

	// clGetPlatformInfo, table "Platform Queries".
	platformVersion = 0x0901
	platformName    = 0x0902

	// clGetDeviceIDs, table "Device Types".
	deviceTypeCPU         = 1 << 1
	deviceTypeGPU         = 1 << 2
	deviceTypeAccelerator = 1 << 3
	deviceTypeAll         = 0xFFFFFFFF

	// clGetDeviceInfo, table "Device Queries".
	deviceType              = 0x1000
	deviceMaxComputeUnits   = 0x1002
	deviceMaxWorkGroupSize  = 0x1004
	deviceMaxWorkItemSizes  = 0x1005
	deviceLocalMemSize      = 0x1023
	deviceMaxMemAllocSize   = 0x1010
	deviceSingleFPConfig    = 0x101B
	deviceGlobalMemSize     = 0x101F
	deviceAvailable         = 0x1027
	deviceCompilerAvailable = 0x1028
	deviceName              = 0x102B
	deviceVendor            = 0x102C
	driverVersion           = 0x102D
	deviceVersion           = 0x102F
	deviceExtensions        = 0x1030
	deviceHostUnifiedMemory = 0x1035 // deprecated by 2.0, still answered
	deviceOpenCLCVersion    = 0x103D
	deviceSVMCapabilities   = 0x1053
	deviceUUID              = 0x106A // cl_khr_device_uuid
	devicePCIBusInfo        = 0x410F // cl_khr_pci_bus_info
	deviceComputeMajorNV    = 0x4000 // cl_nv_device_attribute_query
	deviceComputeMinorNV    = 0x4001
	fpDenorm                = 1 << 0 // cl_device_fp_config
	fpInfNaN                = 1 << 1
	fpRoundToNearest        = 1 << 2
	fpCorrectlyRounded      = 1 << 7 // ..._DIVIDE_SQRT
	svmFineGrainBuffer      = 1 << 1
	svmFineGrainSystem      = 1 << 2
	svmAtomics              = 1 << 3
	extensionUUID           = "cl_khr_device_uuid"
	extensionPCI            = "cl_khr_pci_bus_info"
	extensionNVAttributes   = "cl_nv_device_attribute_query"
	versionPrefix           = "OpenCL "
	versionPrefixC          = "OpenCL C "

	// clCreateBuffer, clSVMAlloc: tables "Memory Flags" and "SVM Memory Flags".
	memReadWrite          = 1 << 0
	memUseHostPtr         = 1 << 3
	memSVMFineGrainBuffer = 1 << 10
	memSVMAtomics         = 1 << 11

	// clGetProgramInfo, clGetProgramBuildInfo.
	programNumKernels  = 0x1167
	programKernelNames = 0x1168
	programBuildLog    = 0x1183

	// clGetKernelInfo, clGetKernelWorkGroupInfo.
	kernelNumArgs       = 0x1191
	kernelWorkGroupSize = 0x11B0
	kernelLocalMemSize  = 0x11B2

	// clGetEventInfo: 0 is CL_COMPLETE, more is under way, less is an error code.
	eventCommandExecutionStatus = 0x11D3
	complete                    = 0
	// clWaitForEvents: one of the events ended abnormally.
	statusErrorInWaitList = -14

	// clCreateCommandQueue: table "List of supported queue creation properties".
	queueProfilingEnable = 1 << 1

	// clGetEventProfilingInfo: nanoseconds of the device's clock.
	profilingQueued = 0x1280
	profilingSubmit = 0x1281
	profilingStart  = 0x1282
	profilingEnd    = 0x1283

	// clEnqueueSVMMap: table "Map Flags".
	mapRead  = 1 << 0
	mapWrite = 1 << 1

	blocking    = 1
	nonBlocking = 0
)
