package cpu

import (
	"context"
	_ "embed"
	"fmt"
	"sync"

	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/internal/dl"
)

//go:embed native/abi.h
var abiText string

//go:embed native/bind.h
var bindText string

//go:embed native/runtime.c
var runtimeText string

// library is the loaded runtime; the functions are runtime.c's.
type library struct {
	Start     dl.Func `sym:"dialtone_start"`
	Functions dl.Func `sym:"dialtone_functions"`
	Single    dl.Func `sym:"dialtone_single"`
	New       dl.Func `sym:"dialtone_new"`
	Run       dl.Func `sym:"dialtone_run"`
	Stop      dl.Func `sym:"dialtone_stop"`
	Fault     dl.Func `sym:"dialtone_fault"`
	Free      dl.Func `sym:"dialtone_free"`

	functions uintptr
	single    bool
}

var loaded struct {
	sync.Mutex
	library *library
}

// loadRuntime compiles and loads the runtime once per process. It stays: its signal
// handlers do.
func loadRuntime(ctx context.Context, cc compiler) (*library, error) {
	loaded.Lock()
	defer loaded.Unlock()
	if loaded.library != nil {
		return loaded.library, nil
	}
	path, log, err := cc.build(ctx, "dialtone/runtime.c", abiText+runtimeText)
	if ctx.Err() != nil && err != nil {
		return nil, ctx.Err()
	} else if err != nil {
		return nil, &hal.Error{Op: "compile the runtime with " + cc.String(), Backend: "cpu",
			Err: fmt.Errorf("%w: %w\n%s", hal.ErrUnavailable, err, log)}
	}
	lib, err := dl.Open(path)
	if err != nil {
		return nil, &hal.Error{Op: "load the runtime", Backend: "cpu", Err: err}
	}
	var l library
	if err := lib.Bind(&l); err != nil {
		return nil, &hal.Error{Op: "load the runtime", Backend: "cpu", Err: err}
	}
	if int32(l.Start.Call()) != 0 {
		return nil, &hal.Error{Op: "dialtone_start", Backend: "cpu", Err: hal.ErrUnavailable}
	}
	l.functions = l.Functions.Call()
	l.single = l.Single.Call() != 0
	loaded.library = &l
	return &l, nil
}
