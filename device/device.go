// Package device is the kernel-side library: portable kernel C in which kernels call the
// operating system, and the preludes that make one text mean the same in C11, OpenCL C 1.2,
// CUDA C++, HIP C++ and Metal Shading Language. It is text: [Unit.Assemble] puts it in front of a program.
//
// The reference for kernel authors is docs/kernel-c.md.
package device

import (
	"embed"
	"fmt"
	"slices"
	"strings"

	"github.com/samber/lo"
)

//go:generate go run ./gen

//go:embed *.h dialect/*.h
var files embed.FS

// space is an address space of a dialect, for which space.h is taken in once.
type space struct {
	qualifier, field string
	id               int
	constant         bool
}

// dialect says how a language's prelude is put together.
type dialect struct {
	files  []string
	spaces []space
	// entries generates what makes kernels callable, if their heads alone do not.
	entries func([]Kernel) string
	// metal: heads, bodies and pointers are written as Metal wants them.
	metal bool
}

// single ends the dialects in which every work-item calls alone.
const single = "dialect/single.h"

var oneSpace = []space{{field: "any"}}

var dialects = map[string]dialect{
	"c11":      {files: []string{"dialect/c11.h", single}, spaces: oneSpace, entries: c11Entries},
	"cuda-c++": {files: []string{"dialect/cplusplus.h", "dialect/cuda.h"}, spaces: oneSpace},
	"hip-c++":  {files: []string{"dialect/cplusplus.h", "dialect/hip.h"}, spaces: oneSpace},
	"opencl-c-1.2": {files: []string{"dialect/opencl.h", single}, spaces: []space{
		{field: "in_own", id: 0},
		{qualifier: "__global", field: "in_global", id: 1},
		{qualifier: "__local", field: "in_group", id: 2},
		{qualifier: "__constant", field: "in_fixed", id: 3, constant: true},
	}},
	"msl": {files: []string{"dialect/msl.h", single}, metal: true, spaces: []space{
		{qualifier: "thread", field: "in_own", id: 0},
		{qualifier: "device", field: "in_global", id: 1},
		{qualifier: "threadgroup", field: "in_group", id: 2},
		{qualifier: "constant", field: "in_fixed", id: 3, constant: true},
	}},
}

// Dialects lists the languages, sorted.
func Dialects() []string {
	names := lo.Keys(dialects)
	slices.Sort(names)
	return names
}

// Relaunch is the define that selects the client of the relaunch transport in place of the mailbox's.
const Relaunch = "HC_RELAUNCH"

// Options is what the plan and the program decide about the text.
type Options struct {
	// Defines are macros to set, "NAME" or "NAME=VALUE".
	Defines []string
	// Calls are the opcodes of the program's own calls, by name.
	Calls map[string]uint16
}

// Assemble gives the complete text for a dialect. The line numbers of the program's own part are
// its own. An imported call without an opcode is an error that names it.
func (u *Unit) Assemble(language string, opts Options) (string, error) {
	d, ok := dialects[language]
	if !ok {
		return "", fmt.Errorf("no kernel dialect %q; there are %s", language, strings.Join(Dialects(), ", "))
	}
	var b strings.Builder
	for _, def := range opts.Defines {
		name, value, _ := strings.Cut(def, "=")
		fmt.Fprintf(&b, "#define %s %s\n", name, value)
	}
	for _, name := range u.Imports {
		op, ok := opts.Calls[name]
		if !ok {
			return "", fmt.Errorf("%s imports the call %q, which the host program does not register", u.Name, name)
		}
		fmt.Fprintf(&b, "#define HC_CALL_%s %du\n", name, op)
	}
	include := func(name string) {
		text, err := files.ReadFile(name)
		if err != nil {
			panic("BUG: the kernel library lacks " + name)
		}
		fmt.Fprintf(&b, "#line 1 \"dialtone/%s\"\n%s", name, text)
	}
	for _, file := range d.files {
		include(file)
	}
	include("wire.h")
	include("views.h")
	include("services.h")
	if slices.Contains(opts.Defines, Relaunch) {
		include("relaunch.h")
	} else {
		include("port.h")
	}
	for _, s := range d.spaces {
		fmt.Fprintf(&b, "#define HC_SPACE %s\n#define HC_FIELD %s\n#define HC_SPACE_ID %du\n", s.qualifier, s.field, s.id)
		if s.constant {
			b.WriteString("#define HC_SPACE_CONSTANT 1\n")
		}
		include("space.h")
		b.WriteString("#undef HC_SPACE\n#undef HC_FIELD\n#undef HC_SPACE_ID\n#undef HC_SPACE_CONSTANT\n")
	}
	include("transfer.h")
	include("resume.h")
	include("calls.h")
	head, body := heads(u.Kernels, d.metal), u.body
	if d.metal {
		head += mslHeads(u.Kernels)
		var err error
		if body, err = mslBody(u); err != nil {
			return "", err
		}
	}
	fmt.Fprintf(&b, "#line 1 \"dialtone/heads\"\n%s#line 1 %q\n%s\n", head, u.Name, body)
	if d.entries != nil {
		fmt.Fprintf(&b, "#line 1 \"dialtone/entries\"\n%s", d.entries(u.Kernels))
	}
	if d.metal {
		return qualifyPointers(b.String()), nil
	}
	return b.String(), nil
}

// c11Entries generates a function of one type for each kernel: arguments come as pointers to
// their values, the mailbox's three first.
func c11Entries(kernels []Kernel) string {
	var b strings.Builder
	for _, k := range kernels {
		fmt.Fprintf(&b, "void dialtone_entry_%s(const struct dialtone_item *hc_item_, void **hc_args_) {\n"+
			"    %s(hc_item_, *(hc_u32 **)hc_args_[0], *(hc_u32 **)hc_args_[1], (const hc_params *)hc_args_[2]", k.Name, k.Name)
		for i, p := range k.Params {
			fmt.Fprintf(&b, ", *(%s *)hc_args_[%d]", p.Type, i+3)
		}
		b.WriteString(");\n}\n")
	}
	return b.String()
}
