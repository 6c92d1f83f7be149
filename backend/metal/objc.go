package metal

import (
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"unsafe"

	"github.com/ebitengine/purego"

	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/internal/dl"
)

// id is an object, as Objective-C has it; 0 is nil, to which every message gives 0.
type id uintptr

// selector is the registered name of a message: "sel_registerName".
type selector uintptr

// runtimeTable is what is used of libobjc: "Objective-C Runtime", and of autorelease pools what Clang's "Automatic Reference
// Counting", section "Runtime support", has.
type runtimeTable struct {
	GetClass     dl.Func `sym:"objc_getClass"`
	RegisterName dl.Func `sym:"sel_registerName"`
	MsgSend      dl.Func `sym:"objc_msgSend"`
	MsgSendStret dl.Func `sym:"objc_msgSend_stret" optional:"true"` // for large structs as results, on x86-64 only
	PoolPush     dl.Func `sym:"objc_autoreleasePoolPush"`
	PoolPop      dl.Func `sym:"objc_autoreleasePoolPop"`
}

// metalTable: "MTLCopyAllDevices()", macOS 10.11.
type metalTable struct {
	CopyAllDevices dl.Func `sym:"MTLCopyAllDevices"`
}

// systemTable: Clang's "Block Implementation Specification".
type systemTable struct {
	GlobalBlock dl.Func `sym:"_NSConcreteGlobalBlock"` // the address of data
}

// selectors are the messages, under the names of Apple's documentation: of NSObject, NSString, NSArray, NSError, NSProcessInfo,
// NSURL, MTLDevice, MTLCompileOptions, MTLLibrary, MTLComputePipelineState, MTLBuffer, MTLCommandQueue, MTLCommandBuffer,
// MTLComputeCommandEncoder, MTLIOCommandQueue, MTLIOCommandBuffer. What Facts asks besides is in its own table.
type selectors struct {
	New                selector `sel:"new"`
	Retain             selector `sel:"retain"`
	Release            selector `sel:"release"`
	RespondsToSelector selector `sel:"respondsToSelector:"`

	StringWithUTF8String selector `sel:"stringWithUTF8String:"`
	UTF8String           selector `sel:"UTF8String"`
	Count                selector `sel:"count"`
	ObjectAtIndex        selector `sel:"objectAtIndex:"`
	Code                 selector `sel:"code"`
	Domain               selector `sel:"domain"`
	LocalizedDescription selector `sel:"localizedDescription"`
	ProcessInfo          selector `sel:"processInfo"`
	SystemVersion        selector `sel:"operatingSystemVersionString"`
	FileURL              selector `sel:"fileURLWithPath:"`

	Name                     selector `sel:"name"`
	SupportsFamily           selector `sel:"supportsFamily:"`              // macOS 10.15
	MaxWorkingSet            selector `sel:"recommendedMaxWorkingSetSize"` // macOS 10.12
	MaxBufferLength          selector `sel:"maxBufferLength"`              // macOS 10.14
	MaxThreadsPerThreadgroup selector `sel:"maxThreadsPerThreadgroup"`     // an MTLSize
	NewQueue                 selector `sel:"newCommandQueueWithMaxCommandBufferCount:"`
	NewBuffer                selector `sel:"newBufferWithLength:options:"`
	NewLibrary               selector `sel:"newLibraryWithSource:options:error:"`
	NewPipeline              selector `sel:"newComputePipelineStateWithFunction:error:"`
	SetFastMathEnabled       selector `sel:"setFastMathEnabled:"`

	FunctionNames   selector `sel:"functionNames"`
	NewFunction     selector `sel:"newFunctionWithName:"`
	MaxTotalThreads selector `sel:"maxTotalThreadsPerThreadgroup"`
	Contents        selector `sel:"contents"`
	CommandBuffer   selector `sel:"commandBuffer"`
	Encoder         selector `sel:"computeCommandEncoder"`
	AddCompleted    selector `sel:"addCompletedHandler:"`
	Commit          selector `sel:"commit"`
	Status          selector `sel:"status"`
	Error           selector `sel:"error"`
	SetPipeline     selector `sel:"setComputePipelineState:"`
	SetBuffer       selector `sel:"setBuffer:offset:atIndex:"`
	SetBytes        selector `sel:"setBytes:length:atIndex:"`
	Dispatch        selector `sel:"dispatchThreadgroups:threadsPerThreadgroup:"`
	EndEncoding     selector `sel:"endEncoding"`

	NewFileQueue selector `sel:"newIOCommandQueueWithDescriptor:error:"` // macOS 13
	NewFile      selector `sel:"newIOFileHandleWithURL:error:"`          // macOS 14
	NewFileOf13  selector `sel:"newIOHandleWithURL:error:"`              // macOS 13, deprecated in 14
	LoadBuffer   selector `sel:"loadBuffer:offset:size:sourceHandle:sourceHandleOffset:"`
}

// library is the loaded runtime.
type library struct {
	runtimeTable
	metalTable
	systemTable
	sel       selectors
	handler   *block
	simulated bool
}

// openLibrary loads the runtime, Metal and the system's library, which in a stand-in are one.
func openLibrary(objc, metal, system []string, simulated bool) (*library, error) {
	l := &library{simulated: simulated}
	for _, part := range []struct {
		names []string
		table any
	}{{objc, &l.runtimeTable}, {metal, &l.metalTable}, {system, &l.systemTable}} {
		file, err := dl.Open(part.names...)
		if err == nil {
			err = file.Bind(part.table)
		}
		if err != nil {
			return nil, err
		}
	}
	switch {
	case runtime.GOARCH == "arm64":
	case runtime.GOARCH != "amd64":
		return nil, fmt.Errorf("how %s passes structs is not known here", runtime.GOARCH)
	case l.MsgSendStret == 0:
		return nil, fmt.Errorf("%s lacks objc_msgSend_stret", objc[0])
	}
	v := reflect.ValueOf(&l.sel).Elem()
	for i := range v.NumField() {
		v.Field(i).SetUint(uint64(l.selector(v.Type().Field(i).Tag.Get("sel"))))
	}
	l.handler = newBlock(uintptr(l.GlobalBlock))
	return l, nil
}

// selector registers the name of a message.
func (l *library) selector(name string) selector {
	c := dl.CString(name)
	return selector(l.RegisterName.Call(uintptr(unsafe.Pointer(&c[0]))))
}

// send sends a message whose arguments and result are integers and pointers. What dl.Func.Call says of pointers holds.
//
//go:uintptrescapes
func (l *library) send(to id, s selector, args ...uintptr) uintptr {
	var frame [8]uintptr
	frame[0], frame[1] = uintptr(to), uintptr(s)
	n := copy(frame[2:], args)
	return l.MsgSend.Call(frame[:n+2]...)
}

// class finds a class, which is an object too.
func (l *library) class(name string) id {
	c := dl.CString(name)
	return id(l.GetClass.Call(uintptr(unsafe.Pointer(&c[0]))))
}

// responds asks whether an object knows a message that older systems do not have. BOOL has one byte.
func (l *library) responds(to id, s selector) bool {
	return byte(l.send(to, l.sel.RespondsToSelector, uintptr(s))) != 0
}

// release gives up ownership.
func (l *library) release(o id) {
	if o != 0 {
		l.send(o, l.sel.Release)
	}
}

// pooled runs f with an autorelease pool, which belongs to a thread.
func (l *library) pooled(f func()) {
	runtime.LockOSThread()
	p := l.PoolPush.Call()
	defer func() {
		l.PoolPop.Call(p)
		runtime.UnlockOSThread()
	}()
	f()
}

// nsString makes a string that the pool owns.
func (l *library) nsString(s string) id {
	c := dl.CString(strings.ReplaceAll(s, "\x00", " "))
	return id(l.send(l.class("NSString"), l.sel.StringWithUTF8String, uintptr(unsafe.Pointer(&c[0]))))
}

func (l *library) goString(s id) string {
	if s == 0 {
		return ""
	}
	return dl.GoString(l.send(s, l.sel.UTF8String))
}

// nsError reads an error: its domain, its code and its text.
func (l *library) nsError(e id) (domain string, code int, text string) {
	if e == 0 {
		return "", 0, "no reason given"
	}
	return l.goString(id(l.send(e, l.sel.Domain))), int(l.send(e, l.sel.Code)), l.goString(id(l.send(e, l.sel.LocalizedDescription)))
}

// mtlSize is MTLSize: three NSUInteger.
type mtlSize struct{ width, height, depth uintptr }

// sendSize sends a message without arguments whose result is an MTLSize. A struct of 24 bytes comes back through memory: on
// x86-64 its address is the first argument and another function takes the message ("objc_msgSend_stret"), on arm64 it is in a
// register of its own, which only RegisterFunc sets.
func (l *library) sendSize(to id, s selector) mtlSize {
	if runtime.GOARCH == "amd64" {
		var size mtlSize
		l.MsgSendStret.Call(uintptr(unsafe.Pointer(&size)), uintptr(to), uintptr(s))
		return size
	}
	var f func(id, selector) mtlSize
	purego.RegisterFunc(&f, uintptr(l.MsgSend))
	return f(to, s)
}

// frame is the argument list of a hot call, part of an object on the heap: a list made for the call would be an allocation.
type frame [12]uintptr

// dispatch sends dispatchThreadgroups:threadsPerThreadgroup:, whose arguments are structs by value. One of 24 bytes goes on the
// stack on x86-64 (System V ABI, class MEMORY), behind the registers for integers, and as the address of a copy on arm64
// (AAPCS64, rule B.4). The sizes are on the heap.
func (l *library) dispatch(f *frame, encoder id, groups, threads *mtlSize) {
	f[0], f[1] = uintptr(encoder), uintptr(l.sel.Dispatch)
	if runtime.GOARCH == "amd64" {
		f[2], f[3], f[4], f[5] = 0, 0, 0, 0 // the registers that the message does not use
		f[6], f[7], f[8] = groups.width, groups.height, groups.depth
		f[9], f[10], f[11] = threads.width, threads.height, threads.depth
		l.MsgSend.Call(f[:12]...)
		return
	}
	f[2], f[3] = uintptr(unsafe.Pointer(groups)), uintptr(unsafe.Pointer(threads))
	l.MsgSend.Call(f[:4]...)
}

// block is a block without captured variables: struct Block_literal of the "Block Implementation Specification".
type block struct {
	isa        uintptr
	flags      int32
	reserved   int32
	invoke     uintptr
	descriptor *blockDescriptor
}

type blockDescriptor struct{ reserved, size uintptr }

const blockIsGlobal = 1 << 28 // BLOCK_IS_GLOBAL: copying and disposing do nothing

// newBlock makes the completion handler. It is never freed: callbacks of purego are not either.
func newBlock(isa uintptr) *block {
	return &block{isa: isa, flags: blockIsGlobal, invoke: purego.NewCallback(onCompleted),
		descriptor: &blockDescriptor{size: unsafe.Sizeof(block{})}}
}

func fail(op, uri string, cause error) *hal.Error {
	return &hal.Error{Op: op, Backend: backendName, Device: uri, Err: cause}
}
