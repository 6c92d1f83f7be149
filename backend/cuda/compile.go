package cuda

import (
	"bytes"
	"cmp"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/internal/cache"
	"github.com/dialtone-gpu/dialtone/internal/dl"
)

// options are given to every compilation. No fast mathematics, and no products fused with sums, which is NVRTC's default: results
// shall be those of the other devices. No warnings: much of a source is a prelude of functions that
// this kernel does not use, and there is nobody to show them to when compiling succeeds.
// Errors arrive all the same.
var options = []string{
	"--std=c++17",
	"--no-source-include", // what a source means depends on its text alone
	"--device-as-default-execution-space",
	"--fmad=false",
	"--disable-warnings",
}

// lineInfo lets profilers show source lines. NVRTC 11.8 overflows its stack over it when a
// kernel of one source line calls an inlined function ("void k(u32 *p) { store(p, 1); }"), and
// takes the process with it; 12.4 does not. PTX can be made with it by both.
const lineInfo = "--generate-line-info"

// soon is for large sources: 14 seconds in place of 120 for a program of 400 functions, which ran as fast. NVRTC 13.0 has it, 11.8 does not.
const soon = "--Ofast-compile=mid"

// format is part of every cache key: raise it when the meaning of an entry changes.
const format = "2"

// compiling is held by the one compilation that may run: NVRTC does not promise to be
// safe for concurrent use in all of its versions.
var compiling = make(chan struct{}, 1)

// version is that of NVRTC, "13.0".
func (c *compiler) version() string { return fmt.Sprintf("%d.%d", c.major, c.minor) }

// target is the architecture to ask NVRTC for on a device of compute capability cc: the
// device's own, for which there will be machine code, or else the nearest older one,
// whose PTX the driver translates.
func (c *compiler) target(cc int) (arch string, machine bool, err error) {
	if slices.Contains(c.archs, int32(cc)) {
		return fmt.Sprintf("sm_%d", cc), true, nil
	}
	best := int32(0)
	for _, a := range c.archs {
		if a <= int32(cc) {
			best = max(best, a)
		}
	}
	if best == 0 {
		return "", false, fmt.Errorf("NVRTC %s (%s) compiles for sm_%d and newer, not for sm_%d: install an older NVRTC, or name it in DIALTONE_NVRTC: %w",
			c.version(), c.path, slices.Min(c.archs), cc, hal.ErrUnavailable)
	}
	return fmt.Sprintf("compute_%d", best), false, nil
}

// build compiles without looking at the cache. The image is a cubin or, ending in a NUL, PTX. late gets it when the context has ended before
// NVRTC, which cannot be interrupted and takes minutes for some sources.
func (c *compiler) build(ctx context.Context, uri string, src hal.Source, cc int, late func(image []byte)) (image []byte, err error) {
	arch, machine, err := c.target(cc)
	if err != nil {
		return nil, err
	}
	what := uri + ": compile " + src.Name
	select {
	case compiling <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("%s: NVRTC is at another source: %w", what, ctx.Err())
	}
	return dl.Within(ctx, what, late, func() ([]byte, error) {
		defer func() { <-compiling }()
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		return c.explained(uri, src, arch, machine)
	})
}

// explained is translate with the options that this NVRTC takes, and an error that says where in the source it is.
func (c *compiler) explained(uri string, src hal.Source, arch string, machine bool) (image []byte, err error) {
	opts := slices.Clone(options)
	switch {
	case src.Large: // without lines, which are more than the code then
		opts = append(opts, soon)
	case c.major >= 12 || !machine:
		opts = append(opts, lineInfo)
	}
	image, err = c.translate(src, arch, machine, opts)
	var he *hal.Error
	if src.Large && errors.As(err, &he) && result(he.Code) == nvrtcInvalidOption {
		opts = opts[:len(options)]
		image, err = c.translate(src, arch, machine, opts)
	}
	var ce *hal.CompileError
	if !errors.As(err, &ce) {
		return image, err
	}
	ce.Device = uri
	if machine && strings.Contains(ce.Log, "ptxas") {
		// Wrong inline PTX is reported by line of the PTX. To make the PTX alone succeeds.
		virtual := strings.Replace(arch, "sm_", "compute_", 1)
		ptx, err := c.translate(src, virtual, false, opts)
		lined, lerr := c.translate(src, virtual, false, append(options[:len(options):len(options)], lineInfo))
		if err == nil && lerr == nil {
			ce.Log = locate(ce.Log, string(ptx), string(lined))
		}
	}
	return nil, ce
}

// translate compiles for one architecture, to machine code or PTX. Section "Compilation"
// of the NVRTC manual.
func (c *compiler) translate(src hal.Source, arch string, machine bool, options []string) (image []byte, err error) {
	text, file := dl.CString(src.Text), dl.CString(src.Name)
	var program uintptr
	r := code(c.CreateProgram.Call(uintptr(unsafe.Pointer(&program)), uintptr(unsafe.Pointer(&text[0])), uintptr(unsafe.Pointer(&file[0])), 0, 0, 0))
	if r != success {
		return nil, c.fail("nvrtcCreateProgram", r, nil)
	}
	defer func() { c.DestroyProgram.Call(uintptr(unsafe.Pointer(&program))) }()

	var argv []*byte
	for _, o := range append([]string{"--gpu-architecture=" + arch}, options...) {
		argv = append(argv, &dl.CString(o)[0])
	}
	r = code(c.CompileProgram.Call(program, uintptr(len(argv)), uintptr(unsafe.Pointer(&argv[0]))))
	if r != success {
		log, _ := c.output(c.GetProgramLogSize, c.GetProgramLog, program)
		if text := tidy(string(log)); text != "" && r == nvrtcCompilation {
			return nil, &hal.CompileError{Source: src.Name, Log: text}
		}
		return nil, c.fail("nvrtcCompileProgram", r, errors.New(cmp.Or(tidy(string(log)), "no log")))
	}
	if machine {
		image, err = c.output(c.GetCUBINSize, c.GetCUBIN, program)
	} else {
		image, err = c.output(c.GetPTXSize, c.GetPTX, program)
	}
	if err == nil && len(image) == 0 {
		err = fmt.Errorf("NVRTC %s: no code for %s came of %s", c.version(), arch, src.Name)
	}
	return image, err
}

const (
	nvrtcInvalidOption result = 5 // NVRTC_ERROR_INVALID_OPTION: it does not know one
	nvrtcCompilation   result = 6 // NVRTC_ERROR_COMPILATION: the source is at fault
)

// output fetches one result of a compilation: a pair of functions of NVRTC gives size and bytes.
func (c *compiler) output(size, get dl.Func, program uintptr) ([]byte, error) {
	var n uintptr
	if r := code(size.Call(program, uintptr(unsafe.Pointer(&n)))); r != success {
		return nil, c.fail("size of NVRTC's output", r, nil)
	}
	if n == 0 {
		return nil, nil
	}
	b := make([]byte, n)
	if r := code(get.Call(program, uintptr(unsafe.Pointer(&b[0])))); r != success {
		return nil, c.fail("NVRTC's output", r, nil)
	}
	return b, nil
}

// chatter are the lines of a log that say nothing about the source.
var chatter = regexp.MustCompile(`^(\d+ (catastrophic )?errors? detected in the compilation of .*|Compilation terminated\.|ptxas fatal *: Ptx assembly aborted due to errors|)$`)

// tidy leaves of a log what the compiler says about the source.
func tidy(log string) string {
	var lines []string
	for line := range strings.Lines(strings.TrimRight(log, "\x00")) {
		if line = strings.TrimRight(line, "\r\n "); !chatter.MatchString(line) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}

// Lines of PTX, and of ptxas about PTX.
var (
	ptxasLine = regexp.MustCompile(`^ptxas .*, line (\d+); (?:error|fatal) *: *(.*)$`)
	ptxFile   = regexp.MustCompile(`^\s*\.file\s+(\d+)\s+"(.*?)"`)
	ptxLoc    = regexp.MustCompile(`^\s*\.loc\s+(\d+)\s+(\d+)\s`)
	// ptxExtra is what only PTX with line information has.
	ptxExtra = regexp.MustCompile(`^\s*($|\.loc\s|\.file\s|\$L__(tmp|func_begin|func_end|info_string)\d+:)`)
)

// locate puts the place in the source before what ptxas says about a line of the PTX.
// lined is the same PTX with line information.
func locate(log, ptx, lined string) string {
	files := map[string]string{}
	here, _ := os.Getwd() // NVRTC puts it before a relative name
	var texts, places []string
	place := ""
	for line := range strings.SplitSeq(lined, "\n") {
		if m := ptxFile.FindStringSubmatch(line); m != nil { // after its uses
			files[m[1]] = strings.TrimPrefix(m[2], filepath.ToSlash(here)+"/")
		}
		if m := ptxLoc.FindStringSubmatch(line); m != nil {
			place = m[1] + " " + m[2]
		}
		if !ptxExtra.MatchString(line) {
			texts, places = append(texts, line), append(places, place)
		}
	}
	lines := strings.Split(ptx, "\n")
	var out []string
	for line := range strings.SplitSeq(log, "\n") {
		if m := ptxasLine.FindStringSubmatch(line); m != nil {
			n, _ := strconv.Atoi(m[1])
			n = min(n, len(lines))
			before := slices.DeleteFunc(slices.Clone(lines[:n]), ptxExtra.MatchString)
			if i := len(before) - 1; i >= 0 && i < len(texts) && texts[i] == before[i] && places[i] != "" {
				file, number, _ := strings.Cut(places[i], " ")
				line = fmt.Sprintf("%s(%s): error: ptxas: %s", files[file], number, m[2])
			}
		}
		out = append(out, line)
	}
	return strings.Join(out, "\n")
}

// entry is the name of a compiled source in the cache, without the version of the
// compiler. That follows it, so that a machine without NVRTC finds what another or an
// earlier NVRTC compiled.
func entry(src hal.Source, cc int) string {
	return "cuda-" + cache.Key(append([]string{format, fmt.Sprint(cc, src.Large), src.Name, src.Text}, options...)...) + "-nvrtc"
}

// fetch gives the code for a source, from the cache unless fresh is set. key names the
// entry it came from, "" if it was compiled now.
func fetch(ctx context.Context, uri string, src hal.Source, cc int, fresh bool) (image []byte, key string, err error) {
	c, missing := loadedCompiler()
	if !fresh {
		if image, key := cached(entry(src, cc), c); image != nil {
			return image, key, nil
		}
	}
	if missing != nil {
		return nil, "", fmt.Errorf("%s: compile %s: %w", uri, src.Name, missing)
	}
	keep := func(image []byte) {
		_ = cache.Put(entry(src, cc)+c.version(), image) // compiling again is all that is lost
	}
	if image, err = c.build(ctx, uri, src, cc, keep); err != nil {
		return nil, "", err
	}
	keep(image)
	return image, "", nil
}

// cached reads an entry made by that NVRTC or, without one, the newest there is.
func cached(entry string, c *compiler) (image []byte, key string) {
	var keys []string
	if c != nil {
		keys = []string{entry + c.version()}
	} else if dir, err := cache.Dir(); err == nil {
		for _, path := range glob(filepath.Join(dir, entry+"*")) {
			keys = append(keys, filepath.Base(path))
		}
	}
	for _, key := range keys {
		if image, ok := cache.Get(key); ok {
			return image, key
		}
	}
	return nil, ""
}

// ptxEntry finds the kernels in PTX.
var ptxEntry = regexp.MustCompile(`\.entry\s+([A-Za-z_$%][\w$]*)`)

// kernelSymbol is the bit of a cubin's symbol that marks an entry point.
const kernelSymbol = 0x10

// entryPoints lists the kernels of an image, sorted; nothing if it cannot be read.
func entryPoints(image []byte) []string {
	var names []string
	if !bytes.HasPrefix(image, []byte(elf.ELFMAG)) {
		for _, m := range ptxEntry.FindAllSubmatch(image, -1) {
			names = append(names, string(m[1]))
		}
	} else if len(image) > 24 {
		// A cubin's e_version is the toolkit's, which package elf rejects.
		image = slices.Clone(image)
		copy(image[20:24], []byte{byte(elf.EV_CURRENT), 0, 0, 0})
		f, err := elf.NewFile(bytes.NewReader(image))
		if err != nil {
			return nil
		}
		symbols, _ := f.Symbols()
		for _, s := range symbols {
			if elf.ST_TYPE(s.Info) == elf.STT_FUNC && s.Other&kernelSymbol != 0 && s.Section != elf.SHN_UNDEF {
				names = append(names, s.Name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
