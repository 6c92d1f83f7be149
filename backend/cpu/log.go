package cpu

import (
	"regexp"
	"strings"
)

// noise are the lines around diagnostics that say nothing about the source.
var noise = regexp.MustCompile(`^(compilation terminated\.|\d+ (error|warning)s?.* generated\.|In file included from .*|cc1: .*)$`)

// cleanLog keeps the diagnostics of the user's text.
func cleanLog(log string) string {
	var kept []string
	skip := false
	for _, line := range strings.Split(strings.TrimRight(log, "\n"), "\n") {
		switch {
		case noise.MatchString(line):
			continue
		case strings.HasPrefix(line, "dialtone/"):
			skip = true // a note that points into the library, and the excerpt after it
			continue
		case skip && (strings.HasPrefix(line, " ")):
			continue
		}
		skip = false
		kept = append(kept, line)
	}
	if len(kept) == 0 {
		return log
	}
	return strings.Join(kept, "\n")
}
