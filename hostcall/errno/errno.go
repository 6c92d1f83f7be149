// Package errno has the error numbers that a kernel or a WASI program gets back from a call.
//
// A number means the same on every host: it is Linux's, whatever the operating system of the host calls it, so that a kernel's binary
// and its C header (whose HC_E* constants are generated from All) never depend on the machine. 0 is success. All numbers fit in eight
// bits, which is what a reply has room for; the numbers from 201 to 255 are never given out and free for a protocol's own marks.
//
// From turns what a Go function returned into such a number. It never returns 0 for an error that is not nil, and EIO stands for
// everything that it does not know.
package errno

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"strconv"
	"syscall"
)

// Errno is a portable error number; 0 is success. As an error it must not be compared with nil: an Errno of 0 in an error is not nil.
// Use Err.
type Errno uint8

// OK is the number of success.
const OK Errno = 0

// Name returns the C name, such as "ENOENT", "OK" for 0 and "errno N" for a number without a name.
func (e Errno) Name() string {
	if e == OK {
		return "OK"
	}
	if n := messages[e].name; n != "" {
		return n
	}
	return "errno " + strconv.Itoa(int(e))
}

// Message returns the meaning in words, such as "no such file or directory".
func (e Errno) Message() string {
	if e == OK {
		return "no error"
	}
	if m := messages[e].message; m != "" {
		return m
	}
	return "unknown error"
}

// Error returns name and meaning, such as "ENOENT: no such file or directory".
func (e Errno) Error() string { return e.Name() + ": " + e.Message() }

// Err returns e as an error that is nil for 0.
func (e Errno) Err() error {
	if e == OK {
		return nil
	}
	return e
}

// Is makes errors.Is(e, fs.ErrNotExist) and its like true where syscall.Errno does.
func (e Errno) Is(target error) bool {
	switch target {
	case fs.ErrNotExist:
		return e == ENOENT
	case fs.ErrExist:
		return e == EEXIST || e == ENOTEMPTY
	case fs.ErrPermission:
		return e == EACCES || e == EPERM || e == ENOTCAPABLE
	case errors.ErrUnsupported:
		return e == ENOSYS || e == ENOTSUP
	case os.ErrDeadlineExceeded:
		return e == ETIMEDOUT
	case context.Canceled:
		return e == ECANCELED
	}
	return false
}

// Description is one row of the table of numbers.
type Description struct {
	Name    string // "ENOENT"
	Number  Errno
	Message string // "no such file or directory"
}

// All returns every number that has a name, in ascending order, without success.
func All() []Description {
	var all []Description
	for n, m := range messages {
		if m.name != "" {
			all = append(all, Description{m.name, Errno(n), m.message})
		}
	}
	return all
}

// From returns the number for err: 0 for nil, that of the Errno or system error number anywhere in its chain, else that of the sentinel
// in its chain (those of io/fs, os, io and context), else EIO. io.EOF is no failure of a call and has no number; a caller maps it to
// a count of 0 before it comes here.
func From(err error) Errno {
	if err == nil {
		return OK
	}
	if e, ok := errors.AsType[Errno](err); ok {
		if e == OK {
			return EIO // an error all the same
		}
		return e
	}
	if h, ok := errors.AsType[syscall.Errno](err); ok {
		if e := fromHost(h); e != OK {
			return e
		}
		return EIO
	}
	for _, s := range sentinels {
		if errors.Is(err, s.err) {
			return s.errno
		}
	}
	return fromText(err)
}

// sentinels are what Go reports without a system error number. The order matters where one error matches several.
var sentinels = []struct {
	err   error
	errno Errno
}{
	{context.Canceled, ECANCELED},
	{context.DeadlineExceeded, ETIMEDOUT},
	{os.ErrDeadlineExceeded, ETIMEDOUT},
	{io.ErrClosedPipe, EPIPE},
	{fs.ErrClosed, EBADF},
	{fs.ErrNotExist, ENOENT},
	{fs.ErrExist, EEXIST},
	{fs.ErrPermission, EACCES},
	{fs.ErrInvalid, EINVAL},
	{errors.ErrUnsupported, ENOTSUP},
}

// fromText knows the errors that package os makes without exporting them, by the text of the innermost one. A test provokes each of
// them, so that a new Go release that words one differently is noticed.
func fromText(err error) Errno {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			break
		}
		err = inner
	}
	switch err.Error() {
	case "path escapes from parent":
		return ENOTCAPABLE
	case "use of closed network connection": // net.ErrClosed, without package net in every program
		return EBADF
	case "not a directory":
		return ENOTDIR
	case "empty path":
		return ENOENT
	case "negative offset", "unsupported file mode":
		return EINVAL
	}
	return EIO
}
