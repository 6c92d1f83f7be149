package service

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestEnds(t *testing.T) {
	for _, c := range []struct {
		err  error
		text string
		code int
	}{
		{Exit{0}, "the program called exit(0)", 0},
		{Exit{3}, "the program called exit(3)", 3},
		{Exit{-1}, "the program called exit(-1)", 255},
		{Exit{256}, "the program called exit(256)", 0},
		{Abort{}, "the program called abort()", 134},
		{Abort{"out of luck"}, "the program called abort(): out of luck", 134},
		{Abort{"\x1b[2Jüber\n\xff"}, `the program called abort(): \x1b[2Jüber\n\xff`, 134},
		{Assert{"grep.kernel.c", 12, `n > 0 && name[0] != '"'`}, `grep.kernel.c:12: assertion failed: n > 0 && name[0] != '"'`, 134},
		{Assert{`C:\k.c`, 1, "x"}, `C:\k.c:1: assertion failed: x`, 134},
		{errors.New("driver"), "driver", 1},
	} {
		wrapped := fmt.Errorf("run: %w", c.err)
		if c.err.Error() != c.text || ExitCode(wrapped) != c.code {
			t.Errorf("%#v: %q and %d, want %q and %d", c.err, c.err.Error(), ExitCode(wrapped), c.text, c.code)
		}
	}
	if ExitCode(nil) != 0 {
		t.Error("no error is no success")
	}
	if exit, ok := errors.AsType[Exit](fmt.Errorf("run: %w", Exit{7})); !ok || exit.Code != 7 {
		t.Errorf("%v, %v", exit, ok)
	}
	if n := len(Abort{strings.Repeat("x", 5000)}.Error()); n > 1100 {
		t.Errorf("a message of %d bytes", n)
	}
}
