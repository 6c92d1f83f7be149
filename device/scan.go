package device

import "strings"

// class says what a byte of a file belongs to.
type class byte

const (
	inCode      class = iota
	inDirective       // a preprocessor line, with its continuations
	inLiteral         // a string or character, in code or in a directive
	inComment         // likewise
)

// classify tells for every byte what it belongs to, without the preprocessor: what #if leaves out counts like
// everything else. A newline that ends a directive is code.
func classify(text string) []class {
	out := make([]class, len(text))
	line, fresh := inCode, true // of which class the line is, and whether only blanks were on it so far
	for i := 0; i < len(text); {
		n, c := 1, line
		blank := false
		switch {
		case strings.HasPrefix(text[i:], "/*"):
			n, c, blank = len(text)-i, inComment, true
			if end := strings.Index(text[i+2:], "*/"); end >= 0 {
				n = end + 4
			}
		case strings.HasPrefix(text[i:], "//"):
			c, blank = inComment, true
			for n = 2; i+n < len(text) && text[i+n] != '\n'; n += max(1, splice(text[i+n:])) {
			}
		case text[i] == '"' || text[i] == '\'':
			n, c = literalLength(text[i:]), inLiteral
		case splice(text[i:]) > 0:
			n, blank = splice(text[i:]), true
		case text[i] == '\n':
			line, c, fresh, blank = inCode, inCode, true, true
		case text[i] == '#' && fresh && line == inCode:
			line, c = inDirective, inDirective
		case text[i] == ' ' || text[i] == '\t' || text[i] == '\r' || text[i] == '\f' || text[i] == '\v':
			blank = true
		}
		n = min(n, len(text)-i)
		for k := range n {
			out[i+k] = c
		}
		i += n
		fresh = fresh && blank
	}
	return out
}

// splice is the length of a backslash with the end of its line, 0 if there is none.
func splice(s string) int {
	switch {
	case strings.HasPrefix(s, "\\\n"):
		return 2
	case strings.HasPrefix(s, "\\\r\n"):
		return 3
	}
	return 0
}

// literalLength is the length of the literal that s begins with. One that is not closed ends with its line.
func literalLength(s string) int {
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '\n':
			return i
		case s[i] == s[0]:
			return i + 1
		case s[i] == '\\':
			i += max(1, splice(s[i:])-1)
		}
	}
	return len(s)
}

// blank replaces comments, literals and preprocessor lines by spaces; lines and places stay.
func blank(text string) string { return blankBut(text, false) }

// blankBut may leave preprocessor lines.
func blankBut(text string, directives bool) string {
	out := []byte(text)
	for i, c := range classify(text) {
		if c != inCode && !(directives && c == inDirective) && out[i] != '\n' {
			out[i] = ' '
		}
	}
	return string(out)
}

// token is an identifier, a number or one character of code or of a directive. Blanks, comments and literals
// are no tokens.
type token struct {
	text      string // without splices
	at, end   int
	directive int // in which directive, counted from 1, 0 in code
	spliced   bool
}

func isWord(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// word reports whether the token is an identifier.
func (t token) word() bool { return isWord(t.text[0]) && (t.text[0] < '0' || t.text[0] > '9') }

// tokens takes a text apart.
func tokens(text string) []token {
	var list []token
	classes := classify(text)
	directives, within := 0, false
	for i := 0; i < len(text); {
		c := classes[i]
		switch {
		case c == inCode:
			within = false
		case c == inDirective && !within:
			directives, within = directives+1, true
		}
		if c == inComment || c == inLiteral || text[i] <= ' ' {
			i++
			continue
		}
		if n := splice(text[i:]); n > 0 {
			i += n
			continue
		}
		t := token{at: i, end: i + 1}
		if within {
			t.directive = directives
		}
		if isWord(text[i]) {
			for t.end < len(text) {
				n := 0 // of the splices before the next character
				for splice(text[t.end+n:]) > 0 {
					n += splice(text[t.end+n:])
				}
				if t.end+n == len(text) || !isWord(text[t.end+n]) {
					break
				}
				t.spliced = t.spliced || n > 0
				t.end += n + 1
			}
		}
		t.text = text[t.at:t.end]
		if t.spliced {
			t.text = strings.NewReplacer("\\\n", "", "\\\r\n", "").Replace(t.text)
		}
		list = append(list, t)
		i = t.end
	}
	return list
}

// lineOf is the line of a place.
func lineOf(text string, at int) int { return 1 + strings.Count(text[:at], "\n") }
