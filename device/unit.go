package device

import (
	"fmt"
	"iter"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// Unit is a kernel file: its text and what a look at it found.
type Unit struct {
	Name    string
	Text    string
	Kernels []Kernel
	Imports []string // names of HC_IMPORT, sorted, each once

	body string // Text as it is compiled: see rewrite

	once    sync.Once         // for what words needs
	bodies  map[string]string // of functions and macros
	kernels map[string]string // their bodies
}

// Kernel is a declaration KERNEL(name, parameters...).
type Kernel struct {
	Name   string
	Params []Param
	Line   int
}

// Param is a parameter of a kernel.
type Param struct {
	Type    string // "GLOBAL const char *"
	Name    string
	Pointer bool // takes a buffer; otherwise a value
}

var (
	identifier = regexp.MustCompile(`^[A-Za-z_]\w*$`)
	lastWord   = regexp.MustCompile(`^(.*[\s*])([A-Za-z_]\w*)$`)
)

// Parse looks for the kernels and imports of a file. It is no C parser: imports made by macros of the
// file itself stay unseen, and kernels made by them are an error.
func Parse(name, text string) (*Unit, error) {
	u := &Unit{Name: name, Text: text}
	var err error
	if u.body, err = rewrite(name, text); err != nil {
		return nil, err
	}
	code := blank(text)
	for at, behind := range uses(code, "KERNEL") {
		line := lineOf(code, at)
		fail := func(format string, a ...any) error {
			return fmt.Errorf("%s:%d: KERNEL: %s", name, line, fmt.Sprintf(format, a...))
		}
		list, ok := argumentList(code[behind:])
		if !ok {
			return nil, fail("the parenthesis is not closed")
		}
		k := Kernel{Name: strings.TrimSpace(list[0]), Line: line}
		if !identifier.MatchString(k.Name) {
			return nil, fail("want KERNEL(name, parameters...), got the name %q", k.Name)
		}
		for _, p := range list[1:] {
			m := lastWord.FindStringSubmatch(strings.Join(strings.Fields(p), " "))
			if m == nil {
				return nil, fail("%s: want TYPE NAME for a parameter, got %q", k.Name, strings.TrimSpace(p))
			}
			typ := strings.TrimSpace(m[1])
			pointer := strings.HasSuffix(typ, "*")
			if pointer && !strings.Contains(typ, "GLOBAL") {
				return nil, fail("%s: the pointer %s must be GLOBAL", k.Name, m[2])
			}
			k.Params = append(k.Params, Param{Type: typ, Name: m[2], Pointer: pointer})
		}
		if len(k.Params) > maxParams {
			return nil, fail("%s: %d parameters, at most %d", k.Name, len(k.Params), maxParams)
		}
		if slices.ContainsFunc(u.Kernels, func(o Kernel) bool { return o.Name == k.Name }) {
			return nil, fail("%s is declared twice", k.Name)
		}
		u.Kernels = append(u.Kernels, k)
	}
	for _, behind := range uses(code, "HC_IMPORT") {
		if list, ok := argumentList(code[behind:]); ok && len(list) == 1 && identifier.MatchString(strings.TrimSpace(list[0])) {
			u.Imports = append(u.Imports, strings.TrimSpace(list[0]))
		}
	}
	slices.Sort(u.Imports)
	u.Imports = slices.Compact(u.Imports)
	return u, nil
}

// uses finds a name with an opening parenthesis: where the name is, and what is behind the parenthesis.
func uses(code, name string) iter.Seq2[int, int] {
	return func(yield func(at, behind int) bool) {
		for from := 0; ; {
			at := strings.Index(code[from:], name)
			if at < 0 {
				return
			}
			at += from
			from = at + len(name)
			rest := strings.TrimLeft(code[from:], " \t\n\v\f\r")
			if at > 0 && isWord(code[at-1]) || !strings.HasPrefix(rest, "(") {
				continue
			}
			if !yield(at, len(code)-len(rest)+1) {
				return
			}
		}
	}
}

// Kernel finds the kernel of that name; the empty name means the only one.
func (u *Unit) Kernel(name string) (Kernel, error) {
	var names []string
	for _, k := range u.Kernels {
		if k.Name == name || name == "" && len(u.Kernels) == 1 {
			return k, nil
		}
		names = append(names, k.Name)
	}
	switch {
	case len(names) == 0:
		return Kernel{}, fmt.Errorf("%s has no kernel: declare one with KERNEL(name) { ... }", u.Name)
	case name == "":
		return Kernel{}, fmt.Errorf("%s has several kernels, say which: %s", u.Name, strings.Join(names, ", "))
	}
	return Kernel{}, fmt.Errorf("%s has no kernel %q; it has %s", u.Name, name, strings.Join(names, ", "))
}

// argumentList splits what follows an opening parenthesis at its commas, up to the closing one, as the
// preprocessor does: only parentheses keep a comma together.
func argumentList(s string) ([]string, bool) {
	var list []string
	depth, from := 0, 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '(':
			depth++
		case ',':
			if depth == 0 {
				list, from = append(list, s[from:i]), i+1
			}
		case ')':
			if depth == 0 {
				return append(list, s[from:i]), true
			}
			depth--
		}
	}
	return nil, false
}
