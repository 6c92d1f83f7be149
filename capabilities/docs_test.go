package capabilities

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the tables of docs/capabilities.md anew")

// TestDocs: the tables of docs/capabilities.md are the catalogue and the rules.
func TestDocs(t *testing.T) {
	const path = "../docs/capabilities.md"
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	for name, table := range map[string]string{"catalogue": catalogueDoc(), "rules": rulesDoc()} {
		begin, end := "<!-- "+name+": begin -->\n", "<!-- "+name+": end -->"
		before, rest, ok1 := strings.Cut(text, begin)
		have, after, ok2 := strings.Cut(rest, end)
		if !ok1 || !ok2 {
			t.Fatalf("%s has no part %s", path, name)
		}
		if have != table && !*update {
			t.Errorf("the part %s of %s is not what the code has; go test ./capabilities -update writes it anew", name, path)
		}
		text = before + begin + table + end + after
	}
	if *update {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func catalogueDoc() string {
	var b strings.Builder
	b.WriteString("| capability | meaning | does not imply | proven by | levels |\n|---|---|---|---|---|\n")
	for _, c := range Catalogue {
		proof := c.ProvenBy
		if c.Limit {
			proof += " (a limit: having it is no gain)"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", c.ID, c.Meaning, c.NotMeant, proof, strings.Join(c.Levels, " < "))
	}
	return b.String()
}

func rulesDoc() string {
	var b strings.Builder
	b.WriteString("| rule | what has to hold | why |\n|---|---|---|\n")
	for _, r := range FactRules {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", r.Name, strings.TrimSpace(fmt.Sprintf("`%s` %s `%s`", r.Must.Fact, r.Must.Op, r.Must.Arg)), r.Why)
	}
	for _, r := range StateRules {
		var needs []string
		for _, id := range r.Needs {
			needs = append(needs, "`"+string(id)+"`")
		}
		fmt.Fprintf(&b, "| `%s` | `%s` is proven only where %s can be | %s |\n", r.Name, r.Proven, strings.Join(needs, ", "), r.Why)
	}
	b.WriteString("| `claim-without-proof` | nothing is `broken` | a claim that cannot be kept |\n")
	b.WriteString("| `drivers-agree` | two drivers of one device say the same of its units, architecture, PCI address and memory (to 5 %) | one of them is wrong |\n")
	return strings.ReplaceAll(b.String(), " ``", "")
}
