package cpu

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

// header is how gcc, clang and tcc begin one.
var header = regexp.MustCompile(`^(?:((\S.*?):\d+(?::\d+)?): )?((?:fatal )?error|warning|note): (.*)$`)

// around are lines between diagnostics that say nothing about the source.
var around = regexp.MustCompile(`^(compilation terminated\.|\d+ (error|warning)s?.* generated\.|In file included from .*|cc1: .*|.*: (In function|At top level).*)$`)

// ours reports a place in the kernel library, which the user has not written.
func (d diagnostic) ours() bool { return strings.HasPrefix(d.file, "dialtone/") }

func (d diagnostic) lines() []string {
	return append([]string{fmt.Sprintf("%s: %s: %s", d.place, d.kind, d.message)}, d.below...)
}

// cleanLog keeps the errors, at places of the user's text. One in the kernel library moves to where the text uses the macro; one behind
// the text, where something in it was not closed, to its end.
func cleanLog(log, end string) string {
	var all []diagnostic
	for line := range strings.Lines(log) {
		line = strings.TrimRight(line, " \r\n")
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
		if n := slices.IndexFunc(notes, func(d diagnostic) bool { return d.kind != "note" }); n >= 0 {
			notes = notes[:n]
		}
		all = all[1+len(notes):]
		if head.kind == "warning" || head.kind == "note" {
			continue
		}
		mine := slices.DeleteFunc(slices.Clone(notes), func(d diagnostic) bool { return d.file == "" || d.ours() })
		switch {
		case head.file != "" && !head.ours():
			mine = slices.DeleteFunc(mine, func(d diagnostic) bool { return libraryMacro.MatchString(d.message) })
		case len(mine) > 0:
			head.place, head.below, mine = mine[0].place, mine[0].below, nil
		default:
			head.place, head.below = end, nil
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

// libraryMacro is gcc's note below an error in the arguments of a call, which are at the same place.
var libraryMacro = regexp.MustCompile(`^in (expansion|definition) of macro '(hc_|HC_|KERNEL)`)

// endOf gives the last place of the program in an assembled text.
func endOf(name, text string) string {
	begin := fmt.Sprintf("#line 1 %q\n", name)
	if i := strings.LastIndex(text, begin); i >= 0 {
		text = text[i+len(begin):]
	}
	text, _, _ = strings.Cut(text, "#line 1 \"dialtone/entries\"")
	return fmt.Sprintf("%s:%d", name, 1+strings.Count(strings.TrimRight(text, "\n"), "\n"))
}

// unresolved is how loaders say that a function or variable does not exist: glibc, musl, Darwin.
var unresolved = regexp.MustCompile(`undefined symbol: \w+|\w+: symbol not found|symbol not found in flat namespace '\w+'`)
