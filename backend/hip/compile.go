package hip

import (
	"bytes"
	"cmp"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unsafe"

	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/internal/cache"
	"github.com/dialtone-gpu/dialtone/internal/dl"
)

// options are given to every compilation. Results shall be those of the other devices, so nothing is fused, and memory may be
// looked at as words, as it is everywhere else. No warnings: much of a source is a prelude of functions that
// this kernel does not use, and there is nobody to show them to when compiling succeeds.
var options = []string{"-std=c++17", "-O3", "-ffp-contract=off", "-fno-strict-aliasing", "-w"}

// format is part of every cache key: raise it when the meaning of an entry changes.
const format = "1"

// compiling is held by the one compilation that may run: hiprtc does not promise to be
// safe for concurrent use in all of its versions.
var compiling = make(chan struct{}, 1)

// options are those for this device: its lanes and its clock are what the kernel library has to be told.
func (d *device) options() []string {
	o := append([]string{"--offload-arch=" + d.Info().Arch}, options...)
	o = append(o, fmt.Sprintf("-DHC_LANES=%d", d.Info().Subgroup))
	if d.clock > 0 {
		o = append(o, fmt.Sprintf("-DHC_CLOCK_KHZ=%du", d.clock))
	}
	return o
}

// build compiles for an architecture without looking at the cache, to a code object of AMD's, which is an ELF file. late gets it when the
// context has ended before the compiler, which cannot be interrupted.
func (c *compiler) build(ctx context.Context, uri string, src hal.Source, arch string, options []string, late func(image []byte)) ([]byte, error) {
	if err := c.version.compiles(arch); err != nil {
		return nil, fmt.Errorf("%s: compile %s: %w", uri, src.Name, err)
	}
	select {
	case compiling <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	image, err := dl.Within(ctx, uri+": compile "+src.Name, late, func() ([]byte, error) {
		defer func() { <-compiling }()
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		return c.translate(src, options)
	})
	var ce *hal.CompileError
	if errors.As(err, &ce) {
		ce.Device = uri
	}
	return image, err
}

// compilation is HIPRTC_ERROR_COMPILATION of hiprtc.h: the source is at fault.
const compilation result = 6

// translate compiles: "HIP RTC", hiprtcCompileProgram.
func (c *compiler) translate(src hal.Source, options []string) ([]byte, error) {
	// hiprtc compiles a temporary file, whose name nobody knows.
	text, file := dl.CString(fmt.Sprintf("#line 1 %q\n%s", src.Name, src.Text)), dl.CString(src.Name)
	var program uintptr
	r := code(c.CreateProgram.Call(uintptr(unsafe.Pointer(&program)), uintptr(unsafe.Pointer(&text[0])), uintptr(unsafe.Pointer(&file[0])), 0, 0, 0))
	if r != success {
		return nil, c.fail("hiprtcCreateProgram", r, nil)
	}
	defer func() { c.DestroyProgram.Call(uintptr(unsafe.Pointer(&program))) }()
	var argv []*byte
	for _, o := range options {
		argv = append(argv, &dl.CString(o)[0])
	}
	r = code(c.CompileProgram.Call(program, uintptr(len(argv)), uintptr(unsafe.Pointer(&argv[0]))))
	if r != success {
		log, _ := c.output(c.GetProgramLogSize, c.GetProgramLog, program)
		if text := tidy(string(log)); text != "" && r == compilation {
			return nil, &hal.CompileError{Source: src.Name, Log: text}
		}
		return nil, c.fail("hiprtcCompileProgram", r, errors.New(cmp.Or(tidy(string(log)), "no log")))
	}
	image, err := c.output(c.GetCodeSize, c.GetCode, program)
	if err == nil && len(image) == 0 {
		err = fmt.Errorf("hiprtc %v: no code came of %s", c.version, src.Name)
	}
	return image, err
}

// output fetches one result of a compilation: a pair of functions of hiprtc gives size and bytes.
func (c *compiler) output(size, get dl.Func, program uintptr) ([]byte, error) {
	var n uintptr
	if r := code(size.Call(program, uintptr(unsafe.Pointer(&n)))); r != success {
		return nil, c.fail("size of hiprtc's output", r, nil)
	}
	if n == 0 {
		return nil, nil
	}
	b := make([]byte, n)
	if r := code(get.Call(program, uintptr(unsafe.Pointer(&b[0])))); r != success {
		return nil, c.fail("hiprtc's output", r, nil)
	}
	return b, nil
}

// chatter are the lines of a log that say nothing about the source.
var chatter = regexp.MustCompile(`^(\d+ errors? generated.*|Error: Failed to compile .*|)$`)

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

// entry is the name of a compiled source in the cache.
func (d *device) entry(src hal.Source, c *compiler) string {
	made := c.version.String()
	if d.Info().Sim { // its code is for a stand-in, and changes with it
		made += " " + d.api.path
	}
	return "hip-" + cache.Key(append([]string{format, made, src.Name, src.Text}, d.options()...)...)
}

// fetch gives the code for a source, from the cache unless fresh is set. key names the
// entry it came from, "" if it was compiled now.
func (d *device) fetch(ctx context.Context, src hal.Source, fresh bool) (image []byte, key string, err error) {
	c, err := d.api.compile()
	if err != nil {
		return nil, "", fmt.Errorf("%s: compile %s: %w", d.Info().URI, src.Name, err)
	}
	entry := d.entry(src, c)
	if image, ok := cache.Get(entry); ok && !fresh {
		return image, entry, nil
	}
	keep := func(image []byte) { _ = cache.Put(entry, image) } // compiling again is all that is lost
	if image, err = c.build(ctx, d.Info().URI, src, d.Info().Arch, d.options(), keep); err != nil {
		return nil, "", err
	}
	keep(image)
	return image, "", nil
}

// descriptor is how the symbol of a kernel's descriptor ends: "User Guide for AMDGPU Backend", section "Code Object", "Symbols".
const descriptor = ".kd"

// entryPoints lists the kernels of a code object, sorted; nothing if it cannot be read.
func entryPoints(image []byte) []string {
	f, err := elf.NewFile(bytes.NewReader(image))
	if err != nil {
		return nil
	}
	symbols, _ := f.DynamicSymbols()
	var names []string
	for _, s := range symbols {
		if name, ok := strings.CutSuffix(s.Name, descriptor); ok && s.Section != elf.SHN_UNDEF {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
