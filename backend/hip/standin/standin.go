// Package standin builds what stands in for AMD's HIP runtime in tests: a libamdhip64.so that runs HIP C++ on the host's cores. It is
// for tests alone: no command imports it, nothing looks for what it builds, and devices that come of it are marked as simulated.
//
// The C sources in folder native are compiled against AMD's headers (Debian: libamdhip64-dev).
package standin

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"unsafe"

	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/internal/cache"
	"github.com/dialtone-gpu/dialtone/internal/dl"
)

// sources is the folder of the C sources, found from the folder of any package of the module, which is where tests run.
func sources() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return filepath.Join(dir, "backend/hip/standin/native"), nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("needs the source tree")
		}
	}
}

// Build compiles the library with more options for the C compiler, or finds it as compiled before, and gives its path. The error wraps
// hal.ErrUnavailable where a compiler or AMD's headers are missing.
func Build(options ...string) (string, error) {
	if runtime.GOOS != "linux" {
		return "", fmt.Errorf("the stand-in for HIP is for Linux: %w", hal.ErrUnavailable)
	}
	folder, err := sources()
	if err != nil {
		return "", err
	}
	cc, err := exec.LookPath("cc")
	if err != nil {
		return "", fmt.Errorf("the stand-in for HIP needs a C compiler: %w: %w", err, hal.ErrUnavailable)
	}
	cxx := os.Getenv("CXX")
	if cxx == "" {
		cxx = "c++"
	}
	if _, err := exec.LookPath(cxx); err != nil {
		return "", fmt.Errorf("the stand-in for HIP needs a C++ compiler (Debian: g++): %w: %w", err, hal.ErrUnavailable)
	}
	probe := exec.Command(cc, "-D__HIP_PLATFORM_AMD__", "-fsyntax-only", "-x", "c", "-")
	probe.Stdin = strings.NewReader("#include <hip/hip_runtime_api.h>\n#include <hip/hiprtc.h>\n")
	if err := probe.Run(); err != nil {
		return "", fmt.Errorf("the stand-in for HIP needs AMD's headers (Debian: libamdhip64-dev): %w", hal.ErrUnavailable)
	}
	args := append([]string{"-shared", "-fPIC", "-O1", "-g", "-Wall", "-Wextra", "-Werror", fmt.Sprintf("-DSTANDIN_FOLDER=%q", folder)}, options...)
	parts := append([]string{folder}, args...)
	for _, pattern := range []string{"*.[ch]", "../../../cpu/native/*"} {
		files, err := filepath.Glob(filepath.Join(folder, pattern))
		if err != nil || len(files) == 0 {
			return "", fmt.Errorf("no %s in %s: %w", pattern, folder, errors.Join(err, os.ErrNotExist))
		}
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err != nil {
				return "", err
			}
			parts = append(parts, string(text))
		}
	}
	key := "hip-standin-" + cache.Key(parts...) + ".so"
	if path, ok := cache.Path(key); ok {
		return path, nil
	}
	err = cache.Make(key, func(path string) error {
		out, err := exec.Command(cc, append(args, "-o", path, filepath.Join(folder, "standin.c"), "-ldl", "-lpthread")...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("the stand-in for HIP does not compile: %w\n%s", err, out)
		}
		return nil
	})
	path, _ := cache.Path(key)
	return path, err
}

// Faults makes calls of the loaded stand-in at path fail as spec says, which standin.c explains; "" ends it.
func Faults(path, spec string) error {
	f, err := lookup(path, "standin_faults")
	if err != nil {
		return err
	}
	text := dl.CString(spec)
	f.Call(uintptr(unsafe.Pointer(&text[0])))
	return nil
}

// Seen is how often a call was made since the last Faults that named it, -1 if that did not.
func Seen(path, call string) (int, error) {
	f, err := lookup(path, "standin_seen")
	if err != nil {
		return 0, err
	}
	name := dl.CString(call)
	return int(f.Call(uintptr(unsafe.Pointer(&name[0])))), nil
}

func lookup(path, symbol string) (dl.Func, error) {
	lib, err := dl.Open(path)
	if err != nil {
		return 0, err
	}
	f := lib.Lookup(symbol)
	if f == 0 {
		return 0, fmt.Errorf("%s has no %s: it stands in for nothing", path, symbol)
	}
	return f, nil
}
