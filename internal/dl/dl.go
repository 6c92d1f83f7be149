// Package dl loads vendors' libraries at run time, without cgo and without their
// headers. A backend describes what it needs as a struct of [Func] fields; Bind
// resolves them all in one place.
package dl

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"unsafe"

	"github.com/ebitengine/purego"
)

// Func is the address of a foreign function, 0 if an optional one is missing.
type Func uintptr

// Call calls a foreign function with integer or pointer arguments (the platform's C
// calling convention) and returns its integer result. Calling a missing function panics:
// backends check optional ones.
//
// A pointer to Go memory must be converted in the argument list itself,
//
//	f.Call(handle, uintptr(unsafe.Pointer(&value)), uintptr(len(list)))
//
// and nowhere else: there the compiler puts what it points to on the heap, which unlike a stack does
// not move, and keeps it until the call returns. That is not so for a list made before, f.Call(list...),
// which allocates nothing if it is used again: the caller makes sure that its pointers are to memory on
// the heap, and alive. Nor is it so for pointers within what an argument points to: keep those as
// pointers ([]*byte, not []uintptr), so that the garbage collector knows them. A go or defer statement
// calls a function that makes the call.
//
//go:uintptrescapes
func (f Func) Call(args ...uintptr) uintptr {
	if f == 0 {
		panic("BUG: call of a foreign function that was not resolved")
	}
	r, _, _ := purego.SyscallN(uintptr(f), args...)
	return r
}

// Int is Call of a function whose result is a C int: the upper half of the register that carries
// one is undefined. What Call says of pointers holds here too.
//
//go:uintptrescapes
func (f Func) Int(args ...uintptr) int32 { return int32(f.Call(args...)) }

// Library is a loaded shared object.
type Library struct {
	handle uintptr
	Path   string // the name that worked
}

// Open tries the names in order. The error lists each with its reason.
func Open(names ...string) (*Library, error) {
	var tried []error
	for _, name := range names {
		if name == "" {
			continue
		}
		h, err := open(name)
		if err == nil && h != 0 {
			return &Library{handle: h, Path: name}, nil
		}
		tried = append(tried, fmt.Errorf("%s: %w", name, err))
	}
	return nil, fmt.Errorf("tried %w", errors.Join(tried...))
}

// FromEnv gives the path in the environment variable, alone, or else the names.
func FromEnv(variable string, names ...string) []string {
	if p := os.Getenv(variable); p != "" {
		return []string{p}
	}
	return names
}

// Lookup finds the first of the names, 0 if there is none.
func (l *Library) Lookup(names ...string) Func {
	for _, n := range names {
		if p, err := symbol(l.handle, n); err == nil && p != 0 {
			return Func(p)
		}
	}
	return 0
}

// Bind fills the Func fields of the struct that table points to. A field's tag
// `sym:"newest,older"` lists the exported names to try; with `optional:"true"` it may stay
// 0. The error names every required symbol that is missing.
func (l *Library) Bind(table any) error {
	v := reflect.ValueOf(table).Elem()
	var missing []string
	for i := range v.NumField() {
		f := v.Type().Field(i)
		names, ok := f.Tag.Lookup("sym")
		if !ok {
			continue
		}
		fn := l.Lookup(strings.Split(names, ",")...)
		if fn == 0 && f.Tag.Get("optional") == "" {
			missing = append(missing, names)
		}
		v.Field(i).SetUint(uint64(fn))
	}
	if missing != nil {
		return fmt.Errorf("%s lacks %s", l.Path, strings.Join(missing, ", "))
	}
	return nil
}

// Close unloads the library.
func (l *Library) Close() error { return unload(l.handle) }

// CString gives s with a terminating NUL; keep the slice alive during the call.
func CString(s string) []byte { return append([]byte(s), 0) }

// GoString copies the NUL-terminated bytes at a foreign address, "" for 0.
func GoString(p uintptr) string {
	if p == 0 {
		return ""
	}
	n := 0
	for *(*byte)(unsafe.Add(Pointer(p), n)) != 0 {
		n++
	}
	return string(unsafe.Slice((*byte)(Pointer(p)), n))
}

// Text copies the bytes up to the first NUL, which a foreign function wrote.
func Text(b []byte) string {
	b, _, _ = bytes.Cut(b, []byte{0})
	return string(b)
}

// Pointer makes a pointer of a foreign address. It must not be an address of Go memory.
func Pointer(p uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&p)) }
