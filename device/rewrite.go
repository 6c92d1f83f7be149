package device

import (
	"fmt"
	"strings"
)

// Words of kernel C whose number of arguments varies. Not every compiler has macros for that (NVIDIA's OpenCL and
// plain OpenCL C 1.2 do not), so they become names of macros with a fixed number: the number takes
// the place of the last letters, and every line and column of the file stays where it is.
const (
	kernelWord  = "KERNEL"     // HC_K02: a name and 2 parameters
	printfWord  = "hc_printf"  // hc_print2: a format and 2 arguments
	fprintfWord = "hc_fprintf" // hc_fprint2: the same to a descriptor

	maxParams = 99 // of a kernel
	maxValues = 12 // of a printf, behind the format
)

// rewrite gives those words their numbers, in code and in macros that the file defines. What cannot be counted in
// the text is an error that says so with file and line.
func rewrite(name, text string) (string, error) {
	out := []byte(text)
	list := tokens(text)
	for i, t := range list {
		if t.text != kernelWord && t.text != printfWord && t.text != fprintfWord {
			continue
		}
		fail := func(format string, a ...any) (string, error) {
			return "", fmt.Errorf("%s:%d: %s: %s", name, lineOf(text, t.at), t.text, fmt.Sprintf(format, a...))
		}
		if t.directive != 0 {
			m := macroOf(list, i)
			switch {
			case !m.definition:
				continue // #if, #error: no call
			case m.named:
				return fail("the word is the library's; take another name for the macro")
			case t.text == kernelWord:
				return fail("kernels cannot be declared by a macro; write the head out")
			case m.variadic:
				return fail("how many arguments it has must be seen here; instead of a macro with ..., write one for each number of arguments")
			}
		}
		if t.spliced {
			return fail("the word goes over the end of a line; put it on one")
		}
		if i+1 == len(list) || list[i+1].text != "(" || list[i+1].directive != t.directive {
			return fail("without arguments behind it; write %s(...)", t.text)
		}
		n, why := countArguments(list[i+1:])
		if why != "" {
			return fail("%s", why)
		}
		if t.text == kernelWord {
			if n <= maxParams+1 { // Parse says what is wrong with more
				copy(out[t.at:], fmt.Sprintf("HC_K%02d", n-1))
			}
			continue
		}
		values := n - 1
		if t.text == fprintfWord {
			values--
		}
		empty := list[i+2].text == ")" && !hasLiteral(text[list[i+1].end:list[i+2].at])
		switch {
		case values < 0 || empty:
			return fail("the format is missing")
		case values > maxValues:
			return fail("%d arguments behind the format, at most %d", values, maxValues)
		}
		out[t.end-1] = digits[values]
	}
	return string(out), nil
}

// digits number the macros hc_print0 to hc_printc.
const digits = "0123456789abc"

// macro is what the directive around a token is.
type macro struct {
	definition bool // #define
	named      bool // of the token itself
	variadic   bool
}

func macroOf(list []token, at int) macro {
	first := at
	for first > 0 && list[first-1].directive == list[at].directive {
		first--
	}
	d := list[first:] // "#", "define", name, "("...
	m := macro{definition: len(d) > 2 && d[1].text == "define", named: at == first+2}
	if !m.definition || len(d) < 4 || d[3].text != "(" || d[3].at != d[2].end {
		return m
	}
	for k := 4; k < len(d) && d[k].directive == d[0].directive && d[k].text != ")"; k++ {
		m.variadic = m.variadic || d[k].text == "."
	}
	return m
}

// countArguments counts those of a parenthesis that the list begins with, as the preprocessor does.
func countArguments(list []token) (n int, why string) {
	depth, n := 0, 1
	for _, t := range list {
		switch {
		case t.directive != list[0].directive && list[0].directive == 0:
			return 0, "a preprocessor line among its arguments; choose between whole statements instead"
		case t.directive != list[0].directive:
			return 0, "the parenthesis is not closed in this macro"
		case t.text == "(":
			depth++
		case t.text == ")":
			if depth--; depth == 0 {
				return n, ""
			}
		case t.text == "," && depth == 1:
			n++
		}
	}
	return 0, "the parenthesis is not closed"
}

func hasLiteral(text string) bool {
	for _, c := range classify(text) {
		if c == inLiteral {
			return true
		}
	}
	return false
}

// heads defines the macros that KERNEL became, for the numbers of parameters that occur.
func heads(kernels []Kernel, metal bool) string {
	var b strings.Builder
	seen := map[int]bool{}
	for _, k := range kernels {
		n := len(k.Params)
		if seen[n] {
			continue
		}
		seen[n] = true
		params := ""
		for i := range n {
			params += fmt.Sprintf(", p%d", i)
		}
		head := "HC_KERNEL(name)(HC_KERNEL_PARAMS" + params + ")"
		if metal {
			head = "HC_HEAD_##name"
		}
		fmt.Fprintf(&b, "#define HC_K%02d(name%s) %s\n", n, params, head)
	}
	return b.String()
}
