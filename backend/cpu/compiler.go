package cpu

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/internal/cache"
	"github.com/dialtone-gpu/dialtone/internal/command"
)

// compiler is the C compiler to use.
type compiler struct {
	path string   // of the program
	args []string // that came with $CC
	id   string   // changes when the program does
}

// String names it for people.
func (c compiler) String() string { return strings.Join(append([]string{c.path}, c.args...), " ") }

// findCompiler takes $CC, or the first of cc, clang, gcc and tcc on the PATH.
func findCompiler() (compiler, error) {
	if runtime.GOOS == "windows" {
		return compiler{}, fmt.Errorf("the cpu device needs POSIX threads and signals, which Windows has not: %w", hal.ErrUnavailable)
	}
	candidates := [][]string{{"cc"}, {"clang"}, {"gcc"}, {"tcc"}}
	if cc := strings.Fields(os.Getenv("CC")); len(cc) > 0 {
		candidates = [][]string{cc}
	}
	var tried []string
	for _, c := range candidates {
		path, err := exec.LookPath(c[0])
		if err != nil {
			tried = append(tried, c[0])
			continue
		}
		if real, err := filepath.EvalSymlinks(path); err == nil {
			path = real
		}
		st, err := os.Stat(path)
		if err != nil {
			tried = append(tried, c[0])
			continue
		}
		id := fmt.Sprint(path, c[1:], st.Size(), st.ModTime().UnixNano())
		return compiler{path: path, args: c[1:], id: id}, nil
	}
	install := "install one, for example with: apt-get install gcc"
	if runtime.GOOS == "darwin" {
		install = "install one with: xcode-select --install"
	}
	if cc := os.Getenv("CC"); cc != "" {
		install = "CC names no program; " + install + ", or unset CC"
	}
	return compiler{}, fmt.Errorf("no C compiler (tried %s): %s: %w", strings.Join(tried, ", "), install, hal.ErrUnavailable)
}

// flags: position-independent code without what changes results (fused or reassociated
// arithmetic) or meaning (type-based aliasing: kernels reinterpret memory as they do on a GPU).
// What every other dialect refuses is an error here too, even where the compiler would let it pass.
var flags = []string{
	"-std=gnu11", "-O2", "-fPIC", "-shared", "-fno-strict-aliasing", "-ffp-contract=off",
	"-fno-math-errno", "-U_FORTIFY_SOURCE", "-fno-diagnostics-show-option",
	"-Werror=implicit-function-declaration", "-Werror=implicit-int", "-Werror=int-conversion", "-Werror=incompatible-pointer-types",
}

// quoting has clang give no lines of the text that it compiles, in which the user's are rewritten; gcc looks for the user's own.
const quoting = "-fno-caret-diagnostics"

// clang says whether it is clang, as what is called cc and gcc on macOS is.
func (c compiler) clang() bool {
	return strings.Contains(filepath.Base(c.path), "clang") || runtime.GOOS == "darwin" && slices.Contains([]string{"cc", "gcc"}, filepath.Base(c.path))
}

// tcc says whether it is the Tiny C Compiler.
func (c compiler) tcc() bool { return strings.Contains(filepath.Base(c.path), "tcc") }

func (c compiler) flags() []string {
	if c.tcc() {
		return []string{"-std=c11", "-shared", "-w"}
	}
	if c.clang() {
		return append(slices.Clone(flags), quoting)
	}
	return flags
}

// build compiles text into a shared object and gives its path and the compiler's log. A
// program that was compiled before comes from the cache.
func (c compiler) build(ctx context.Context, name, text string) (path, log string, err error) {
	key := "cpu-" + cache.Key("2", c.id, strings.Join(c.flags(), " "), name, text) + ".so"
	if path, ok := cache.Path(key); ok {
		return path, "", nil
	}
	var out bytes.Buffer
	err = cache.Make(key, func(object string) error {
		source := strings.TrimSuffix(object, ".so") + ".c"
		defer os.Remove(strings.TrimSuffix(object, ".so") + ".c")
		if err := os.WriteFile(source, []byte(text), 0o600); err != nil {
			return err
		}
		args := append(append([]string{}, c.args...), c.flags()...)
		cmd := command.New(ctx, c.path) // cc starts the compiler proper
		if c.tcc() {
			// It takes the names of #line directives, and with them __FILE__, for paths beside the source.
			cmd.Dir, source = filepath.Dir(source), filepath.Base(source)
		}
		cmd.Args = append(append(cmd.Args, args...), "-o", object, source, "-lpthread")
		cmd.Stdout, cmd.Stderr = &out, &out
		cmd.Env = append(os.Environ(), "LC_ALL=C")
		return cmd.Run()
	})
	path, _ = cache.Path(key)
	return path, out.String(), err
}
