package opencl

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"unsafe"

	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/internal/dl"
)

// buildOptions gives the dialect, and tells the kernel library what a float is on this device: OpenCL C leaves it open, and has no macro for it.
// Divisions and roots are rounded as everywhere else, where the device can. config is CL_DEVICE_SINGLE_FP_CONFIG.
func buildOptions(config uint64) string {
	options := "-cl-std=CL1.2"
	if config&fpInfNaN == 0 || config&fpRoundToNearest == 0 {
		return options
	}
	options += " -DHC_EXACT_FLOAT=1"
	if config&fpDenorm != 0 {
		options += " -DHC_SUBNORMALS=1"
	}
	if config&fpCorrectlyRounded != 0 {
		options += " -cl-fp32-correctly-rounded-divide-sqrt -DHC_EXACT_DIVISION=1"
	}
	return options
}

// noOptimization is for Oclgrind: it (21.10) takes a value that the optimizer has cut to 2 bits for one of 8, so that a switch over it
// goes astray.
const noOptimization = " -cl-opt-disable"

// module is a built program.
type module struct {
	device  *device
	program uintptr // cl_program

	mu      sync.Mutex
	kernels map[string]*kernel
	names   []string
	closed  bool
}

// Compile builds the source. The build itself cannot be interrupted: when the context
// ends first it is finished, and thrown away, in the background.
func (d *device) Compile(ctx context.Context, src hal.Source) (hal.DriverModule, error) {
	if err := d.usable(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	d.lock(&objects)
	code := d.RetainContext.Int(d.context) // until the build has ended: the device may be closed before
	d.unlock(&objects)
	if code != success {
		return nil, d.fail("clRetainContext", code)
	}
	m, err := dl.Within(ctx, d.info.URI+": compile "+src.Name, func(m *module) { _ = m.Close() }, func() (*module, error) {
		defer d.release(func() error {
			d.lock(&objects)
			defer d.unlock(&objects)
			d.ReleaseContext.Int(d.context)
			return nil
		})
		return d.build(src)
	})
	if err != nil {
		return nil, err
	}
	return m, nil
}

func (d *device) build(src hal.Source) (*module, error) {
	d.lock(&objects)
	defer d.unlock(&objects)
	var code int32
	source, length, options := dl.CString(src.Text), uintptr(len(src.Text)), dl.CString(d.limits.buildOptions)
	list := &source[0] // the list of strings, on the heap for the call and so keeping source
	program := d.CreateProgramWithSource.Call(d.context, 1, uintptr(unsafe.Pointer(&list)),
		uintptr(unsafe.Pointer(&length)), uintptr(unsafe.Pointer(&code)))
	if code != success || program == 0 {
		return nil, d.fail("clCreateProgramWithSource", code)
	}
	code = d.BuildProgram.Int(program, 1, uintptr(unsafe.Pointer(&d.handle)), uintptr(unsafe.Pointer(&options[0])), 0, 0)
	if code != success {
		defer d.ReleaseProgram.Int(program)
		if code == buildProgramFailure || code == compileProgramFailure {
			log := text(query(d.GetProgramBuildInfo, program, d.handle, programBuildLog))
			return nil, &hal.CompileError{Device: d.info.URI, Source: src.Name, Log: diagnostics(log, src.Text)}
		}
		return nil, d.fail("clBuildProgram", code)
	}
	m := &module{device: d, program: program, kernels: map[string]*kernel{}}
	// NVIDIA's driver crashes when asked for the names of no kernels.
	if number(query(d.GetProgramInfo, program, 0, programNumKernels)) > 0 {
		m.names = strings.FieldsFunc(text(query(d.GetProgramInfo, program, 0, programKernelNames)), func(r rune) bool { return r == ';' })
		slices.Sort(m.names)
	}
	return m, nil
}

// Kernel finds an entry point.
func (m *module) Kernel(name string) (hal.DriverKernel, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := m.device
	if m.closed {
		return nil, &hal.Error{Op: "find kernel", Backend: backendName, Device: d.info.URI, Kernel: name, Err: hal.ErrClosed}
	}
	if k, ok := m.kernels[name]; ok {
		return k, nil
	}
	exported := name
	if renamed := "_cl_" + name; !slices.Contains(m.names, name) && slices.Contains(m.names, renamed) {
		exported = renamed // PoCL's headers do this to whatever is called like a built-in function
	}
	if !slices.Contains(m.names, exported) {
		there := "the module has no kernels"
		if len(m.names) > 0 {
			there = "the module has " + strings.Join(m.names, ", ")
		}
		return nil, &hal.Error{Op: "find kernel", Backend: backendName, Device: d.info.URI, Kernel: name,
			Err: fmt.Errorf("%w: no kernel of that name, %s", hal.ErrInvalid, there)}
	}
	k := &kernel{module: m, name: name, exported: exported}
	first, err := k.create()
	if err != nil {
		return nil, err
	}
	k.idle = append(k.idle, first)
	// PoCL ends the process at the launch of such a kernel.
	need, has := number(query(d.GetKernelWorkGroupInfo, first.handle, d.handle, kernelLocalMemSize)), number(query(d.GetDeviceInfo, d.handle, 0, deviceLocalMemSize))
	if has > 0 && need > has {
		first.release()
		return nil, &hal.Error{Op: "find kernel", Backend: backendName, Device: d.info.URI, Kernel: name,
			Err: fmt.Errorf("%w: it wants %d bytes of shared memory for each group, and the device has %d: declare less SHARED", hal.ErrInvalid, need, has)}
	}
	k.args = int(number(query(d.GetKernelInfo, first.handle, 0, kernelNumArgs)))
	k.maxGroup = int(number(query(d.GetKernelWorkGroupInfo, first.handle, d.handle, kernelWorkGroupSize)))
	m.kernels[name] = k
	return k, nil
}

// Close releases the program. Launches that were accepted still run.
func (m *module) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil
	}
	m.closed = true
	var idle []*instance
	for _, k := range m.kernels {
		idle = append(idle, k.close()...)
	}
	d := m.device
	return d.release(func() error {
		for _, i := range idle {
			i.release()
		}
		d.lock(&objects)
		defer d.unlock(&objects)
		if code := d.ReleaseProgram.Int(m.program); code != success {
			return d.fail("clReleaseProgram", code)
		}
		return nil
	})
}

// kernel is an entry point. Arguments are state of a cl_kernel and enqueueing may block,
// so each launch under way has an instance of its own.
type kernel struct {
	module   *module
	name     string // as the source has it
	exported string // as the driver has it
	args     int
	maxGroup int

	mu     sync.Mutex
	idle   []*instance
	closed bool
}

// instance is a cl_kernel with its arguments.
type instance struct {
	kernel *kernel
	handle uintptr // cl_kernel
	object uintptr // where clSetKernelArg reads a cl_mem
	frame  frame   // of the launch that has the instance
}

// MaxGroup is CL_KERNEL_WORK_GROUP_SIZE.
func (k *kernel) MaxGroup() int { return k.maxGroup }

func (k *kernel) fail(op string, code int32) *hal.Error {
	return fail(op, k.module.device.info.URI, k.name, code)
}

func (k *kernel) create() (*instance, error) {
	var code int32
	name := dl.CString(k.exported)
	k.module.device.lock(&objects)
	defer k.module.device.unlock(&objects)
	h := k.module.device.CreateKernel.Call(k.module.program, uintptr(unsafe.Pointer(&name[0])), uintptr(unsafe.Pointer(&code)))
	if code != success || h == 0 {
		return nil, k.fail("clCreateKernel", code)
	}
	return &instance{kernel: k, handle: h}, nil
}

// release gives it back to the driver.
func (i *instance) release() {
	d := i.kernel.module.device
	d.lock(&objects)
	defer d.unlock(&objects)
	d.ReleaseKernel.Int(i.handle)
}

// take gives an instance that no other launch uses.
func (k *kernel) take() (*instance, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return nil, &hal.Error{Op: "launch", Backend: backendName, Device: k.module.device.info.URI, Kernel: k.name,
			Err: fmt.Errorf("%w: its module", hal.ErrClosed)}
	}
	if n := len(k.idle); n > 0 {
		i := k.idle[n-1]
		k.idle = k.idle[:n-1]
		return i, nil
	}
	return k.create()
}

// give returns it.
func (k *kernel) give(i *instance) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		i.release()
		return
	}
	k.idle = append(k.idle, i)
}

// close takes the kernel out of use, and gives the instances that nobody uses.
func (k *kernel) close() []*instance {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.closed = true
	idle := k.idle
	k.idle = nil
	return idle
}

// bind sets one argument. "Setting Kernel Arguments". What the argument points to is on
// the heap: it came through an interface.
func (i *instance) bind(index int, arg hal.DriverArg) error {
	d := i.kernel.module.device
	switch b, _ := arg.Buffer.(*buffer); {
	case b == nil && len(arg.Value) == 0:
		return i.kernel.invalid("argument %d is empty", index)
	case b == nil:
		i.frame = frame{i.handle, uintptr(index), uintptr(len(arg.Value)), uintptr(unsafe.Pointer(&arg.Value[0]))}
	case b.object == 0:
		i.frame = frame{i.handle, uintptr(index), uintptr(b.host)}
		if code := d.SetKernelArgSVMPointer.Int(i.frame[:3]...); code != success {
			return i.kernel.argument("clSetKernelArgSVMPointer", index, unsafe.Sizeof(b.host), code)
		}
		return nil
	default:
		i.object = b.object
		i.frame = frame{i.handle, uintptr(index), unsafe.Sizeof(i.object), uintptr(unsafe.Pointer(&i.object))}
	}
	code := d.SetKernelArg.Int(i.frame[:4]...)
	runtime.KeepAlive(arg.Value)
	if code != success {
		return i.kernel.argument("clSetKernelArg", index, i.frame[2], code)
	}
	return nil
}

func (k *kernel) invalid(format string, args ...any) error {
	return &hal.Error{Op: "launch", Backend: backendName, Device: k.module.device.info.URI, Kernel: k.name,
		Err: fmt.Errorf("%w: "+format, append([]any{hal.ErrInvalid}, args...)...)}
}

func (k *kernel) argument(op string, index int, size uintptr, code int32) error {
	e := k.fail(op, code)
	e.Op = fmt.Sprintf("%s of argument %d with %d bytes", op, index, size)
	return e
}
