package device

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// diagnostic is an error, a warning or a note of a compiler with the lines of explanation below it.
type diagnostic struct {
	place, file   string // "file:line:column"
	kind, message string
	below         []string
}

var (
	// header is how gcc, clang and tcc begin one.
	header = regexp.MustCompile(`^(?:((\S.*?):\d+(?::\d+)?): )?((?:fatal |catastrophic )?error|warning|note|remark): (.*)$`)
	// bracketed is how NVRTC writes a place; a number of the message may follow the kind.
	bracketed = regexp.MustCompile(`^(\S.*?)\((\d+)\): ((?:catastrophic )?error|warning|note|remark)(?: #[\w-]+)?: `)
	// around are lines between diagnostics that say nothing about the source.
	around = regexp.MustCompile(`^(compilation terminated\.|\d+ (error|warning)s?.* generated\.|In file included from .*|cc1: .*|.*: (In function|At top level).*)$`)
	// libraryMacro is gcc's note below an error in the arguments of a call, which are at the same place.
	libraryMacro = regexp.MustCompile(`^in (expansion|definition) of macro '(hc_|HC_|KERNEL)`)
	// numbered are the words that rewrite has given their numbers. They are as long as those of the file.
	numbered = regexp.MustCompile(`\bhc_f?print[0-9a-c]\b|\bHC_K\d\d\b`)
)

// Diagnose puts a compiler's log about the assembled unit into the terms of the file: its errors as "file:line:column: error: message", at
// places and in words that its author has written. An error in the kernel library moves to where the file uses the macro; one behind the
// file, where something in it was not closed, to its end. A log in which no error is found stays as it is.
func (u *Unit) Diagnose(log string) string {
	var all []diagnostic
	for line := range strings.Lines(log) {
		line = numbered.ReplaceAllStringFunc(strings.TrimRight(line, " \r\n"), written)
		line = bracketed.ReplaceAllString(line, "$1:$2: $3: ")
		m := header.FindStringSubmatch(line)
		switch {
		case m != nil:
			all = append(all, diagnostic{place: m[1], file: m[2], kind: m[3], message: m[4]})
		case len(all) > 0 && line != "" && !around.MatchString(line):
			d := &all[len(all)-1]
			d.below = append(d.below, line)
		}
	}
	var kept []string
	for len(all) > 0 {
		head := all[0]
		notes := all[1:]
		if n := slices.IndexFunc(notes, func(d diagnostic) bool { return !d.aside() }); n >= 0 {
			notes = notes[:n]
		}
		all = all[1+len(notes):]
		if head.aside() || head.kind == "warning" {
			continue
		}
		mine := slices.DeleteFunc(slices.Clone(notes), func(d diagnostic) bool { return d.file == "" || d.ours() })
		switch {
		case head.file != "" && !head.ours():
			mine = slices.DeleteFunc(mine, func(d diagnostic) bool { return libraryMacro.MatchString(d.message) })
		case len(mine) > 0:
			head.place, head.below, mine = mine[0].place, mine[0].below, nil
		default:
			head.place, head.below = u.end(), nil
		}
		kept = append(kept, head.lines()...)
		for _, n := range mine {
			kept = append(kept, n.lines()...)
		}
	}
	if len(kept) == 0 {
		return log
	}
	return strings.Join(kept, "\n")
}

// written is the word of the file that rewrite has changed.
func written(word string) string {
	if strings.HasPrefix(word, "HC_K") {
		return kernelWord
	}
	return word[:len(word)-1] + "f"
}

// ours reports a place in the kernel library, which the user has not written.
func (d diagnostic) ours() bool { return strings.HasPrefix(d.file, "dialtone/") }

// aside reports what explains the error or the warning before it.
func (d diagnostic) aside() bool { return d.kind == "note" || d.kind == "remark" }

func (d diagnostic) lines() []string {
	return append([]string{fmt.Sprintf("%s: %s: %s", d.place, d.kind, d.message)}, d.below...)
}

// end is the last place of the file.
func (u *Unit) end() string {
	return fmt.Sprintf("%s:%d", u.Name, 1+strings.Count(strings.TrimRight(u.Text, "\n"), "\n"))
}
