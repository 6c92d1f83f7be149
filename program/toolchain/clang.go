package toolchain

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// versioned are the names that Debian gives a program of LLVM, the system's own choice first. wasi-libc is packaged since LLVM 14.
func versioned(name string) []string {
	names := []string{name}
	for v := 23; v >= 14; v-- {
		names = append(names, fmt.Sprintf("%s-%d", name, v))
	}
	return names
}

// clang finds one that makes WASI modules. WASI_SDK_PATH is where the WASI SDK says that it is.
func (b *build) clang() (string, error) {
	names := versioned("clang")
	if sdk := os.Getenv("WASI_SDK_PATH"); sdk != "" {
		names = append([]string{filepath.Join(sdk, "bin", "clang")}, names...)
	}
	var missing *Missing
	for _, name := range names {
		path, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		lacks := b.lacks(path)
		if len(lacks) == 0 {
			return path, nil
		}
		if missing == nil {
			missing = &Missing{b.path, path + " makes no WASI modules", "install Debian's " + strings.Join(lacks, ", ") + ", or the WASI SDK and set WASI_SDK_PATH"}
		}
	}
	if missing == nil {
		missing = &Missing{b.path, "there is no clang in PATH",
			"install Debian's clang, lld, wasi-libc and libclang-rt-dev-wasm32, or the WASI SDK and set WASI_SDK_PATH"}
	}
	return "", missing
}

// lacks says which of Debian's packages have what a clang does not find.
func (b *build) lacks(clang string) []string {
	infix := ""
	if _, v, ok := strings.Cut(filepath.Base(clang), "-"); ok {
		infix = "-" + v
	}
	ask := func(args ...string) string { return b.ask("", clang, append([]string{wasi}, args...)...) }
	var packages []string
	if _, err := exec.LookPath(ask("-print-prog-name=wasm-ld")); err != nil {
		packages = append(packages, "lld"+infix)
	}
	// What it does not find it prints as it was asked, and the last one wherever it should be.
	if !filepath.IsAbs(ask("-print-file-name=libc.a")) {
		packages = append(packages, "wasi-libc")
	}
	if _, err := os.Stat(ask("--rtlib=compiler-rt", "-print-libgcc-file-name")); err != nil {
		packages = append(packages, "libclang-rt"+infix+"-dev-wasm32")
	}
	return packages
}

const wasi = "--target=wasm32-wasi"

func (b *build) c() (string, error) {
	clang, err := b.clang()
	if err != nil {
		return "", err
	}
	return b.module(), b.run(b.command(clang, wasi, "-O2",
		// Two of WebAssembly 2.0 that save instructions, and memory.copy and memory.fill.
		"-mbulk-memory", "-msign-ext", "-mnontrapping-fptoint",
		// With the first of them clang 14 gives errno storage of a thread, which wasi-libc's has not: there is one thread.
		"-D_Thread_local=", "-D__thread=",
		// The linker's own is 64 KiB, above the program's data, which a deeper stack overwrites; at the bottom it traps.
		"-Wl,-z,stack-size=1048576", "-Wl,--stack-first",
		"-o", b.module(), b.source(), "-lm"))
}
