package device

import (
	"fmt"
	"slices"
	"strings"
)

// mslBuffers is how many buffers a kernel may have ("Metal Feature Set Tables"); the first three are the library's.
const mslBuffers = 31

// mslHeads defines what the heads of kernels are. Metal wants an attribute for each parameter, and values as
// references to constant memory: HC_BODY_name makes variables of them, as in every other dialect.
func mslHeads(kernels []Kernel) string {
	var b strings.Builder
	for _, k := range kernels {
		head, body := "", ""
		for i, p := range k.Params {
			if p.Pointer {
				head += fmt.Sprintf(", %s %s [[buffer(%d)]]", p.Type, p.Name, 3+i)
			} else {
				head += fmt.Sprintf(", constant %s &hc_v_%s [[buffer(%d)]]", p.Type, p.Name, 3+i)
				body += fmt.Sprintf(" %s %s = hc_v_%s;", p.Type, p.Name, p.Name)
			}
		}
		fmt.Fprintf(&b, "#define HC_HEAD_%s HC_KERNEL(%s)(HC_KERNEL_PARAMS%s)\n#define HC_BODY_%s%s\n", k.Name, k.Name, head, k.Name, body)
	}
	return b.String()
}

// mslBody puts HC_BODY_name behind the brace that opens a kernel with values.
func mslBody(u *Unit) (string, error) {
	list := tokens(u.body)
	var e edits
	next := 0
	for i, t := range list {
		if t.directive != 0 || next == len(u.Kernels) || t.text != fmt.Sprintf("HC_K%02d", len(u.Kernels[next].Params)) {
			continue
		}
		k := u.Kernels[next]
		next++
		if len(k.Params) > mslBuffers-3 {
			return "", fmt.Errorf("%s:%d: KERNEL: %s: %d parameters, at most %d on Metal", u.Name, k.Line, k.Name, len(k.Params), mslBuffers-3)
		}
		if !slices.ContainsFunc(k.Params, func(p Param) bool { return !p.Pointer }) {
			continue
		}
		depth := 0
		for j := i + 1; j < len(list); j++ {
			switch list[j].text {
			case "(":
				depth++
			case ")":
				depth--
			}
			if depth == 0 {
				if j+1 < len(list) && list[j+1].text == "{" {
					e.insert(list[j+1].end, " HC_BODY_"+k.Name)
				}
				break
			}
		}
	}
	return e.apply(u.body), nil
}

// spaceWords say where a pointer points; typeWords are types by themselves, qualifiers stand beside them.
var (
	spaceWords = words("GLOBAL GROUP CONSTANT SHARED HC_SPACE HC_GROUP_SPACE device threadgroup constant thread")
	typeWords  = words("void bool char short int long unsigned signed float half double uchar ushort uint ulong size_t")
	qualifiers = words("const volatile restrict")
	tagWords   = words("struct union enum")
)

func words(list string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(list) {
		m[w] = true
	}
	return m
}

// qualifyPointers writes "thread" before the type of each pointer that does not say where it points. Metal wants
// it said; everywhere else such a pointer points to the work-item's own memory.
func qualifyPointers(text string) string {
	var e edits
	pointers(text, func(at int) { e.insert(at, "thread ") })
	return e.apply(text)
}

// pointers calls missing for each pointer type without an address space, with the place of the type. A type is
// known by its name: built in, a typedef of the text, or behind struct, union and enum.
func pointers(text string, missing func(at int)) {
	list := tokens(text)
	types := typedefs(list)
	star := make([]bool, len(list)) // stars of pointer types
	for i, t := range list {
		if t.text != "*" {
			continue
		}
		j, said := i-1, false
		for j >= 0 && list[j].directive == t.directive && (qualifiers[list[j].text] || spaceWords[list[j].text]) {
			said = said || spaceWords[list[j].text]
			j--
		}
		if j < 0 || list[j].directive != t.directive {
			continue
		}
		if star[j] { // a pointer to a pointer: this one says where the pointer lies
			star[i] = true
			if !said {
				missing(t.at)
			}
			continue
		}
		tagged := j > 0 && tagWords[list[j-1].text] && list[j].word()
		if !tagged && !types[list[j].text] {
			continue
		}
		star[i] = true
		first := j
		for k := j; k >= 0 && list[k].directive == t.directive; k-- {
			w := list[k].text
			if spaceWords[w] {
				said = true
			} else if types[w] || tagWords[w] || tagged && k == j {
				first = k
			} else if !qualifiers[w] {
				break
			}
		}
		if !said {
			missing(list[first].at)
		}
	}
}

// typedefs gives the names of types: those built in and those that typedef declares.
func typedefs(list []token) map[string]bool {
	types := map[string]bool{}
	for w := range typeWords {
		types[w] = true
	}
	for i := 0; i < len(list); i++ {
		if list[i].text != "typedef" {
			continue
		}
		depth, last, directive := 0, "", list[i].directive
		for i++; i < len(list) && (list[i].directive == directive || directive == 0); i++ {
			if list[i].directive != directive { // #if between the members of a struct
				continue
			}
			switch t := list[i]; {
			case t.text == "{" || t.text == "(" || t.text == "[":
				depth++
			case t.text == "}" || t.text == ")" || t.text == "]":
				depth--
			case depth == 0 && (t.text == "," || t.text == ";"):
				types[last] = true
			case depth == 0 && t.word():
				last = t.text
			}
			if depth <= 0 && list[i].text == ";" {
				break
			}
		}
	}
	delete(types, "")
	return types
}

// edits are insertions, by rising place.
type edits struct {
	at   []int
	text []string
}

func (e *edits) insert(at int, text string) {
	e.at, e.text = append(e.at, at), append(e.text, text)
}

func (e *edits) apply(to string) string {
	order := make([]int, len(e.at))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return e.at[a] - e.at[b] })
	var b strings.Builder
	done := 0
	for _, i := range order {
		b.WriteString(to[done:e.at[i]])
		b.WriteString(e.text[i])
		done = e.at[i]
	}
	b.WriteString(to[done:])
	return b.String()
}
