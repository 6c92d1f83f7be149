// Package gpufile has a vendor's library move a file into a device's memory and back, and checks what arrived. The libraries are
// NVIDIA's cuFile and AMD's hipFile, which has the same functions, structs and error numbers behind another prefix: "cuFile API Reference
// Guide", sections "cuFile Driver APIs", "cuFile Synchronous IO APIs" and "cuFile Library APIs"; "hipFile API reference". All of it
// is called by the host: no kernel can.
//
// Both libraries copy through the host's memory where they cannot do better, unless the environment tells them not to when they are loaded.
// [Library.Read] and [Library.Write] are for a library that was told so, [Library.ReadAnyhow] for one that was told the contrary: whoever
// calls makes sure of it.
package gpufile

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"unsafe"

	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/internal/dl"
	"github.com/dialtone-gpu/dialtone/internal/filesystem"
)

// Size is how many bytes a trial moves: a multiple of every block size in use.
const Size = 1 << 20

// Library is a loaded cuFile or hipFile.
type Library struct {
	*dl.Library
	options Options

	driverOpen, driverClose, handleRegister, handleDeregister, bufRegister, bufDeregister, read, write, errno dl.Func
}

// Options tell the libraries apart.
type Options struct {
	Backend string // of errors
	Prefix  string // of the functions' names: cuFile, hipFile
	// Refusals are the error numbers that say what a machine lacks, and what that is.
	Refusals map[int]string
	// NoCalls says that the library moves nothing by read(2), write(2) and their like unless it copies: bytes that
	// the process moves so meanwhile refuse a transfer that has to be direct.
	NoCalls bool
}

// Load opens the first library of those names that is there. Errors wrap hal.ErrUnsupported.
func Load(o Options, names ...string) (*Library, error) {
	lib, err := dl.Open(names...)
	if err != nil {
		return nil, fmt.Errorf("lib%s cannot be loaded: %w: %w", strings.ToLower(o.Prefix), err, hal.ErrUnsupported)
	}
	l := &Library{Library: lib, options: o}
	for f, names := range map[*dl.Func][]string{
		&l.driverOpen: {"DriverOpen"}, &l.driverClose: {"DriverClose_v2", "DriverClose"}, &l.handleRegister: {"HandleRegister"},
		&l.handleDeregister: {"HandleDeregister"}, &l.bufRegister: {"BufRegister"}, &l.bufDeregister: {"BufDeregister"},
		&l.read: {"Read"}, &l.write: {"Write"},
	} {
		for _, n := range names {
			if *f == 0 {
				*f = lib.Lookup(o.Prefix + n)
			}
		}
		if *f == 0 {
			return nil, fmt.Errorf("%s is too old: it lacks %s%s: %w", lib.Path, o.Prefix, names[0], hal.ErrUnsupported)
		}
	}
	l.errno = lib.Lookup("__errno_location") // of the C library that it stands on: Linux Standard Base
	return l, nil
}

// lastErrno is what the library's last call left in errno; the thread must be the same. 0 where that cannot be had.
func (l *Library) lastErrno() syscall.Errno {
	if l.errno == 0 {
		return 0
	}
	return syscall.Errno(*(*int32)(dl.Pointer(l.errno.Call())))
}

// Memory is device memory of at least [Size] bytes.
type Memory struct {
	Address uintptr
	Bind    func() error // makes the device the calling thread's
	// Get and Put move the first bytes by a way that has nothing to do with the library.
	Get, Put func([]byte) error
}

// descriptor is CUfileDescr_t and hipFileDescr_t.
type descriptor struct {
	kind       int32
	_          int32
	descriptor int32
	_          int32
	operations uintptr // 0: those of the library
}

const opaqueDescriptor = 1 // CU_FILE_HANDLE_TYPE_OPAQUE_FD, hipFileHandleTypeOpaqueFD

// Read lets the library read a new file in the folder into memory, and compares. The text says what was done, for people.
func (l *Library) Read(folder string, m Memory) (string, error) { return l.readFile(folder, m, true) }

// ReadAnyhow is Read by whatever way the library finds, also through a copy in the host's memory.
func (l *Library) ReadAnyhow(folder string, m Memory) (string, error) {
	return l.readFile(folder, m, false)
}

func (l *Library) readFile(folder string, m Memory, direct bool) (string, error) {
	want := pattern(1)
	return l.withFile(folder, want, direct, func(file *os.File) error {
		// What is compared later must not have been there before.
		if err := m.Put(make([]byte, Size)); err != nil {
			return err
		}
		if err := l.transfer(file, m, "Read", l.read, direct); err != nil {
			return err
		}
		got := make([]byte, Size)
		if err := m.Get(got); err != nil {
			return err
		}
		if !bytes.Equal(got, want) {
			return fmt.Errorf("other bytes arrived than the file has: %w", hal.ErrUnsupported)
		}
		return nil
	})
}

// Write lets the library write memory to a new file in the folder, and compares.
func (l *Library) Write(folder string, m Memory) (string, error) {
	want := pattern(2)
	return l.withFile(folder, make([]byte, Size), true, func(file *os.File) error {
		if err := m.Put(want); err != nil {
			return err
		}
		if err := l.transfer(file, m, "Write", l.write, true); err != nil {
			return err
		}
		got, err := os.ReadFile(file.Name())
		if err == nil && !bytes.Equal(got, want) {
			err = fmt.Errorf("the file has other bytes than were written: %w", hal.ErrUnsupported)
		}
		return err
	})
}

// pattern is bytes that depend on their position.
func pattern(seed uint32) []byte {
	b := make([]byte, Size)
	for i := range b {
		b[i] = byte((uint32(i)*2654435761 + seed) >> 24)
	}
	return b
}

// withFile makes a file with that content for do, and removes it.
func (l *Library) withFile(folder string, content []byte, direct bool, do func(*os.File) error) (detail string, err error) {
	path := filepath.Join(folder, fmt.Sprintf("dialtone-transfer-%d", os.Getpid()))
	file, err := Create(path, content)
	if errors.Is(err, syscall.EINVAL) && !direct {
		file, err = createPlain(path, content) // a file system without O_DIRECT
	}
	if err != nil {
		return "", fmt.Errorf("a file to transfer: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close(), os.Remove(path)) }()
	if err := do(file); err != nil {
		return "", err
	}
	mode := "off"
	if !direct {
		mode = "on"
	}
	return fmt.Sprintf("%d bytes of a file on %s, compatibility mode %s, byte for byte", Size, filesystem.Name(path), mode), nil
}

// transfer moves Size bytes between file and memory, with everything registered before and nothing after.
func (l *Library) transfer(file *os.File, m Memory, op string, move dl.Func, direct bool) error {
	// Every call needs the device, and the libraries keep state of the thread.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := m.Bind(); err != nil {
		return err
	}
	if err := l.result("DriverOpen", l.driverOpen.Call()); err != nil {
		return err
	}
	defer l.driverClose.Call()
	d := &descriptor{kind: opaqueDescriptor, descriptor: int32(file.Fd())}
	var handle uintptr
	if err := l.result("HandleRegister", l.handleRegister.Call(uintptr(unsafe.Pointer(&handle)), uintptr(unsafe.Pointer(d)))); err != nil {
		return err
	}
	defer l.handleDeregister.Call(handle)
	if err := l.result("BufRegister", l.bufRegister.Call(m.Address, Size, 0)); err != nil {
		return err
	}
	defer l.bufDeregister.Call(m.Address)
	before, err := l.called(direct)
	if err != nil {
		return err
	}
	n := int(move.Call(handle, m.Address, Size, 0, 0)) // ssize_t (handle, device pointer, size, file offset, device offset)
	if err := l.moved(op, n, l.lastErrno()); err != nil {
		return err
	}
	after, err := l.called(direct)
	if err == nil && after-before >= Size {
		err = fmt.Errorf("%s%s made the process read or write %d bytes by system calls: the host copied them: %w", l.options.Prefix, op, after-before, hal.ErrUnsupported)
	}
	return err
}

// called is how many bytes the process has read and written by system calls, where that is asked for.
func (l *Library) called(direct bool) (int64, error) {
	if !l.options.NoCalls || !direct {
		return 0, nil
	}
	return callBytes()
}

// result is the error of a CUfileError_t or hipFileError_t, which comes back by value in one register: the first half is the library's, the other the driver's.
func (l *Library) result(op string, r uintptr) error {
	if code := int(int32(uint32(r))); code != 0 {
		return l.failure(op, code)
	}
	return nil
}

// moved is the error of a transfer that did not move all: -1 is a system error, less the negative of the library's.
func (l *Library) moved(op string, n int, errno syscall.Errno) error {
	switch {
	case n == Size:
		return nil
	case n < -1:
		return l.failure(op, -n)
	}
	err := fmt.Errorf("gave %d instead of %d bytes", n, Size)
	if n == -1 && errno != 0 {
		err = fmt.Errorf("%w: %w", err, errno)
		if refusal(errno) {
			err = fmt.Errorf("%w: %w", err, hal.ErrUnsupported)
		}
	}
	return &hal.Error{Op: l.options.Prefix + op, Backend: l.options.Backend, Err: err}
}

func (l *Library) failure(op string, code int) error {
	e := &hal.Error{Op: l.options.Prefix + op, Backend: l.options.Backend, Code: code, Name: l.options.Refusals[code]}
	if e.Name != "" {
		e.Err = hal.ErrUnsupported
	}
	return e
}
