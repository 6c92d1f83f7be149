package service

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Exit ends a run as exit(Code) does. It is an error so that it can travel where errors do; errors.As finds it.
type Exit struct{ Code int32 }

func (x Exit) Error() string { return fmt.Sprintf("the program called exit(%d)", x.Code) }

// Abort ends a run as abort() does. Message is what the program said, if anything.
type Abort struct{ Message string }

func (a Abort) Error() string {
	if a.Message == "" {
		return "the program called abort()"
	}
	return "the program called abort(): " + printable(a.Message)
}

// Assert ends a run whose assertion failed.
type Assert struct {
	File string
	Line uint32
	Expr string
}

func (a Assert) Error() string {
	return fmt.Sprintf("%s:%d: assertion failed: %s", printable(a.File), a.Line, printable(a.Expr))
}

// ExitCode returns the code that a process reports for err: 0 for nil, an Exit's own (its low eight bits, as shells have it), 134 for Abort and
// Assert (128 + SIGABRT), 1 for anything else. Errors may be wrapped.
func ExitCode(err error) int {
	switch e := unwrapEnd(err).(type) {
	case nil:
		return 0
	case Exit:
		return int(uint8(e.Code))
	case Abort, Assert:
		return 134
	}
	return 1
}

// unwrapEnd returns the Exit, Abort or Assert in err's chain, else err.
func unwrapEnd(err error) error {
	if e, ok := errors.AsType[Exit](err); ok {
		return e
	}
	if e, ok := errors.AsType[Abort](err); ok {
		return e
	}
	if e, ok := errors.AsType[Assert](err); ok {
		return e
	}
	return err
}

// printable makes what a device sent fit for one line of a terminal: at most 1024 bytes, and what is not printable UTF-8 escaped as in Go.
func printable(s string) string {
	const limit = 1024
	more := ""
	if len(s) > limit {
		s, more = s[:limit], "..."
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		if unicode.IsPrint(r) && (r != utf8.RuneError || n > 1) {
			b.WriteString(s[:n])
		} else {
			quoted := strconv.Quote(s[:n])
			b.WriteString(quoted[1 : len(quoted)-1])
		}
		s = s[n:]
	}
	return b.String() + more
}
