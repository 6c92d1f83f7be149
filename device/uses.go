package device

import (
	"iter"
	"slices"
	"strings"
)

// Waiting lists the calls that give an answer, so that a kernel that makes one has to wait for the host, or to be started
// again. Posted lists those that need none.
var (
	Waiting = []string{"hc_read", "hc_pread", "hc_pwrite", "hc_open", "hc_close", "hc_lseek", "hc_ftruncate", "hc_fsync", "hc_stat", "hc_fstat",
		"hc_readdir", "hc_mkdir", "hc_unlink", "hc_rmdir", "hc_rename", "hc_clock_gettime", "hc_monotonic_ns", "hc_nanosleep", "hc_random",
		"hc_call_words", "hc_call", "hc_noop", "hc_exchange_words", "hc_simple_call"}
	Posted = []string{"hc_write", "hc_puts", "hc_printf", "hc_fprintf", "hc_exit", "hc_abort", "hc_assert"}
)

// resumable is the word with which a kernel says that it may be started again.
const resumable = "HC_RESUMABLE"

// Resumable reports whether a kernel says that it may be started again.
func (u *Unit) Resumable(kernel string) bool { return slices.Contains(u.words(kernel), resumable) }

// Waits gives the calls with an answer that a kernel may come to, in the order of [Waiting]. It follows the functions and macros
// of the file by name, and takes for used what the preprocessor may leave out.
func (u *Unit) Waits(kernel string) []string {
	words := u.words(kernel)
	var calls []string
	for _, c := range Waiting {
		if slices.Contains(words, c) {
			calls = append(calls, c)
		}
	}
	return calls
}

// words gives the identifiers in a kernel's body, in the functions and macros that it names, and so on.
func (u *Unit) words(kernel string) []string {
	u.once.Do(func() {
		u.bodies = map[string]string{}
		for name, body := range definitions(withDirectives(u.Text)) {
			u.bodies[name] += body + "\n"
		}
		u.kernels = functions(blank(u.Text), u.bodies)
	})
	var found []string
	seen := map[string]bool{}
	for next := []string{u.kernels[kernel]}; len(next) > 0; {
		text := next[0]
		next = next[1:]
		for w := range identifiers(text) {
			if !seen[w] {
				seen[w] = true
				found = append(found, w)
				if body, ok := u.bodies[w]; ok {
					next = append(next, body)
				}
			}
		}
	}
	return found
}

// definitions gives the macros of a file: their names, and what stands behind these, over all lines that go on.
func definitions(text string) iter.Seq2[string, string] {
	return func(yield func(name, body string) bool) {
		for len(text) > 0 {
			end := 0 // of the line, with those that it goes on in
			for {
				n := strings.IndexByte(text[end:], '\n')
				if n < 0 {
					end = len(text)
					break
				}
				end += n + 1
				if !strings.HasSuffix(strings.TrimSuffix(text[:end-1], "\r"), "\\") {
					break
				}
			}
			line := text[:end]
			text = text[end:]
			line, directive := strings.CutPrefix(strings.TrimLeft(line, " \t"), "#")
			line, defines := strings.CutPrefix(strings.TrimLeft(line, " \t"), "define")
			behind := strings.TrimLeft(line, " \t")
			if !directive || !defines || behind == line {
				continue
			}
			n := 0
			for n < len(behind) && isWord(behind[n]) {
				n++
			}
			if n > 0 && !yield(behind[:n], strings.TrimRight(behind[n:], "\r\n")) {
				return
			}
		}
	}
}

// identifiers gives those of code, without the parts of numbers.
func identifiers(code string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := 0; i < len(code); i++ {
			if !isWord(code[i]) {
				continue
			}
			from := i
			for i < len(code) && isWord(code[i]) {
				i++
			}
			if w := code[from:i]; (w[0] < '0' || w[0] > '9') && !yield(w) {
				return
			}
		}
	}
}

// functions adds what is between the braces of each function, and gives that of each kernel.
func functions(code string, bodies map[string]string) (kernels map[string]string) {
	kernels = map[string]string{}
	depth, from := 0, 0
	name, first := "", "" // of the parenthesis before the brace: what stands before it, and its first word
	for i := 0; i < len(code); i++ {
		switch code[i] {
		case '(':
			if depth > 0 {
				continue
			}
			before := slices.Collect(identifiers(code[from:i]))
			list, ok := argumentList(code[i+1:])
			if !ok {
				return kernels // it is not closed
			}
			if len(before) == 0 {
				continue
			}
			name, first = before[len(before)-1], ""
			for first = range identifiers(list[0]) {
				break
			}
			for _, p := range list {
				i += len(p) + 1
			}
		case '{':
			if depth == 0 {
				from = i
			}
			depth++
		case ';':
			if depth == 0 {
				from, name = i, ""
			}
		case '}':
			if depth == 0 {
				continue
			}
			if depth--; depth > 0 {
				continue
			}
			if name == "KERNEL" {
				kernels[first] += code[from:i]
			} else if name != "" {
				bodies[name] += code[from:i] + "\n"
			}
			from, name = i, ""
		}
	}
	return kernels
}

// withDirectives replaces comments and literals by spaces; preprocessor lines stay.
func withDirectives(text string) string {
	out := []byte(text)
	for i, c := range classify(text) {
		if (c == inLiteral || c == inComment) && out[i] != '\n' {
			out[i] = ' '
		}
	}
	return string(out)
}
