package opencl

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// diagnostics keeps what a build log says about the source and gives it the usual form,
// "file:line:column: error: message". Drivers add lines of their own, PoCL puts the
// severity first, and NVIDIA and Oclgrind ignore #line directives: their places are looked
// up in the source, so that messages name the file and line that the kernel's author knows.
func diagnostics(log, source string) string {
	var (
		noise    = regexp.MustCompile(`^(Device .* failed to build.*|(\d+ (warning|error)s?( and )?)+ generated\.?)$`)
		severity = regexp.MustCompile(`^((?:fatal )?error|warning|note|remark): (\S.*?:\d+(?::\d+)?): (.*)$`)
		spelling = regexp.MustCompile(`^(.*?: )(\S.*?:\d+:\d+) <Spelling=(.*?:\d+:\d+)>: `)
		place    = regexp.MustCompile(`^(.*?):(\d+)(:.*)$`)
	)
	unmapped := []string{"<kernel>", "input.cl"} // NVIDIA's and Oclgrind's name for any source
	files := places(source)
	var kept []string
	for line := range strings.Lines(log) {
		line = strings.TrimRight(line, " \t\r\n")
		if noise.MatchString(line) {
			continue
		}
		// In the arguments of a macro PoCL gives the place of its use, then what is written there or in the macro.
		if m := spelling.FindStringSubmatch(line); m != nil {
			where := m[3]
			if strings.HasPrefix(where, "dialtone/") {
				where = m[2]
			}
			line = m[1] + where + ": " + line[len(m[0]):]
		}
		line = severity.ReplaceAllString(line, "$2: $1: $3")
		if m := place.FindStringSubmatch(line); m != nil && slices.Contains(unmapped, m[1]) {
			if n, err := strconv.Atoi(m[2]); err == nil && n >= 1 && n <= len(files) && files[n-1].file != "" {
				line = files[n-1].file + ":" + strconv.Itoa(files[n-1].line) + m[3]
			}
		}
		kept = append(kept, line)
	}
	if !slices.ContainsFunc(kept, func(l string) bool { return l != "" }) {
		return log
	}
	return strings.Trim(strings.Join(kept, "\n"), "\n")
}

// position is where #line directives say that a line of the source is.
type position struct {
	file string // "" before the first directive
	line int
}

// places follows the #line directives of a source; the index is the line's number less one.
func places(source string) []position {
	directive := regexp.MustCompile(`^\s*#\s*line\s+(\d+)(?:\s+"(.*)")?`)
	var all []position
	next := position{line: 1}
	for line := range strings.Lines(source) {
		all = append(all, next)
		next.line++
		if m := directive.FindStringSubmatch(line); m != nil {
			next.line, _ = strconv.Atoi(m[1])
			if m[2] != "" {
				next.file = m[2]
			}
		}
	}
	return all
}
