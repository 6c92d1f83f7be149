// Package metaltest gives tests the stand-in for Metal of backend/metal/standin: it compiles it, makes the backend load it, and
// orders its faults. Only tests import it, so no binary has it.
package metaltest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"unsafe"

	"github.com/dialtone-gpu/dialtone/backend/metal"
	"github.com/dialtone-gpu/dialtone/internal/dl"
)

// StandIn is the loaded double.
type StandIn struct {
	setup, fault, live, started dl.Func
}

// clangs are names of the compiler: no other knows address spaces.
var clangs = []string{"clang++", "clang++-20", "clang++-19", "clang++-18", "clang++-17", "clang++-16", "clang++-15", "clang++-14"}

// library is what Build makes.
const library = "metal.so"

// Build compiles the stand-in into a folder. The error says what is missing here.
func Build(folder string, options ...string) (path string, err error) {
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" && runtime.GOARCH != "arm64" {
		return "", fmt.Errorf("the stand-in for Metal is for Linux on x86-64 and arm64, this is %s/%s", runtime.GOOS, runtime.GOARCH)
	}
	source, err := tree()
	if err != nil {
		return "", err
	}
	cc, err := first("cc", "gcc", "clang", "clang-14")
	if err != nil {
		return "", err
	}
	path = filepath.Join(folder, library)
	args := append([]string{"-std=gnu11", "-shared", "-fPIC", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter",
		"-Wno-missing-field-initializers", "-Wno-sign-compare", "-pthread", "-o", path, filepath.Join(source, "standin.c"), "-ldl"}, options...)
	if out, err := exec.Command(cc, args...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s: %w\n%s", cc, err, out)
	}
	return path, nil
}

// folderVariable tells child processes where their parent keeps the stand-in.
const folderVariable = "DIALTONE_TEST_METAL"

// FaultVariable names a fault that a stand-in has from the start, for ever: for child processes, whose faults nobody else can order.
const FaultVariable = "DIALTONE_TEST_METAL_FAULT"

// Use builds a stand-in and makes the backend load it, here and in child processes that call Use too. Call it before anything asks for
// devices. What it gives is to be called at the end, and removes what was made.
func Use() (s *StandIn, end func() error, err error) {
	end = func() error { return nil }
	clang, err := first(clangs...)
	if err != nil {
		return nil, end, err
	}
	source, err := tree()
	if err != nil {
		return nil, end, err
	}
	folder := os.Getenv(folderVariable)
	if folder == "" {
		if folder, err = os.MkdirTemp("", "dialtone-metal-"); err != nil {
			return nil, end, err
		}
		end = func() error { return os.RemoveAll(folder) }
		if _, err := Build(folder); err != nil {
			return nil, end, err
		}
		os.Setenv(folderVariable, folder)
	}
	path := filepath.Join(folder, library)
	lib, err := dl.Open(path)
	if err != nil {
		return nil, end, err
	}
	s = &StandIn{setup: lib.Lookup("standin_setup"), fault: lib.Lookup("standin_fault"), live: lib.Lookup("standin_live"), started: lib.Lookup("standin_started")}
	compiler, include, place := dl.CString(clang), dl.CString(filepath.Join(source, "include")), dl.CString(folder)
	s.setup.Call(uintptr(unsafe.Pointer(&compiler[0])), uintptr(unsafe.Pointer(&include[0])), uintptr(unsafe.Pointer(&place[0])))
	if fault := os.Getenv(FaultVariable); fault != "" {
		s.Fault(fault, -1)
	}
	metal.UseStandIn(path)
	return s, end, nil
}

// Fault orders a fault for so many times, -1 for ever; 0 takes it back and lets go what hangs. standin.c lists them.
func (s *StandIn) Fault(name string, times int) {
	c := dl.CString(name)
	s.fault.Call(uintptr(unsafe.Pointer(&c[0])), uintptr(times))
}

// Live counts the objects that nobody has released, and names their classes.
func (s *StandIn) Live() (int, string) {
	text := make([]byte, 1024)
	n := s.live.Call(uintptr(unsafe.Pointer(&text[0])), uintptr(len(text)))
	return int(n), dl.Text(text)
}

// Started counts the launches that have taken the copies of their buffers.
func (s *StandIn) Started() int { return int(s.started.Call()) }

// tree finds the sources.
func tree() (string, error) {
	_, file, _, ok := runtime.Caller(0)
	folder := filepath.Join(filepath.Dir(file), "..", "..", "backend", "metal", "standin")
	if _, err := os.Stat(filepath.Join(folder, "standin.c")); !ok || err != nil {
		return "", fmt.Errorf("the stand-in for Metal needs the source tree: %w", err)
	}
	return folder, nil
}

func first(names ...string) (string, error) {
	for _, n := range names {
		if path, err := exec.LookPath(n); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("none of %v is installed", names)
}
