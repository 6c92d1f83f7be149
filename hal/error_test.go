package hal

import (
	"errors"
	"fmt"
	"io"
	"testing"
)

func TestErrorText(t *testing.T) {
	for _, tt := range []struct {
		err  Error
		want string
	}{
		{Error{Op: "cuStreamQuery", Backend: "cuda", Device: "cuda:0", Kernel: "grep", Code: 700, Name: "CUDA_ERROR_ILLEGAL_ADDRESS", Err: ErrDeviceLost},
			"cuda:0: kernel grep: cuStreamQuery: CUDA_ERROR_ILLEGAL_ADDRESS (700): device lost"},
		{Error{Op: "cuInit", Backend: "cuda", Code: 999}, "cuda: cuInit: code 999"},
		{Error{Op: "launch", Device: "cpu:0", Err: ErrInvalid}, "cpu:0: launch: invalid argument"},
		{Error{Op: "load"}, "load"},
	} {
		if got := tt.err.Error(); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

func TestErrorIs(t *testing.T) {
	err := fmt.Errorf("outside: %w", &Error{Op: "op", Code: 5, Err: fmt.Errorf("%w: %w", ErrDeviceLost, io.EOF)})
	for _, want := range []error{ErrDeviceLost, io.EOF} {
		if !errors.Is(err, want) {
			t.Errorf("%v is not %v", err, want)
		}
	}
	if errors.Is(err, ErrInvalid) {
		t.Errorf("%v is %v", err, ErrInvalid)
	}
	var e *Error
	if !errors.As(err, &e) || e.Code != 5 {
		t.Errorf("the code is lost: %v", e)
	}
}

func TestCompileErrorText(t *testing.T) {
	e := CompileError{Device: "cuda:0", Source: "a.c", Log: "a.c:1: error: no\n\n"}
	if got, want := e.Error(), "a.c does not compile for cuda:0:\na.c:1: error: no"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
