// Command gotest runs go test with the arguments that it is given, and ends as it does.
//
// It prints what go test prints without -v: the output of what failed, and a line for each package. Behind that come
// the tests that were skipped, each with its reason, since a green run on a machine without a GPU says nothing of GPUs.
//
//	go run .ci/gotest.go -race ./hal
//
// The folder's name hides it from ./..., so it is run as a file.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"sort"
	"strings"
)

// event is a line of go test -json; go doc test2json describes it.
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
}

type key struct{ pkg, test string }

type summary struct {
	out     io.Writer
	pending map[key]*strings.Builder // output of tests that have not ended
	passed  int
	failed  int
	skips   map[string][]string // reason to tests
}

func main() {
	cmd := exec.Command("go", append([]string{"test", "-json"}, os.Args[1:]...)...)
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "gotest:", err)
		os.Exit(1)
	}
	s := &summary{out: os.Stdout, pending: map[key]*strings.Builder{}, skips: map[string][]string{}}
	s.read(stdout)
	err = cmd.Wait()
	s.finish()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && exit.ExitCode() > 0:
		os.Exit(exit.ExitCode())
	case err != nil:
		fmt.Fprintln(os.Stderr, "gotest:", err)
		os.Exit(1)
	}
}

func (s *summary) read(r io.Reader) {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadString('\n')
		var e event
		if json.Unmarshal([]byte(line), &e) == nil {
			s.add(e)
		} else if line != "" {
			fmt.Fprint(s.out, line) // what go test itself says
		}
		if err != nil {
			return
		}
	}
}

// framing are the lines that -v adds.
var framing = regexp.MustCompile(`^\s*(=== (RUN|PAUSE|CONT|NAME|ATTR)\b|--- PASS:|--- SKIP:|PASS\s*$)`)

func (s *summary) add(e event) {
	k := key{e.Package, e.Test}
	switch e.Action {
	case "output":
		if e.Test == "" {
			if !framing.MatchString(e.Output) && strings.TrimSpace(e.Output) != "" {
				fmt.Fprint(s.out, e.Output)
			}
			return
		}
		b := s.pending[k]
		if b == nil {
			b = new(strings.Builder)
			s.pending[k] = b
		}
		b.WriteString(e.Output)
	case "build-output":
		fmt.Fprint(s.out, e.Output)
	case "pass", "fail", "skip":
		if e.Test == "" {
			s.rest(e.Package) // of tests that a crash left without an end
			return
		}
		text := ""
		if b := s.pending[k]; b != nil {
			text = b.String()
			delete(s.pending, k)
		}
		switch e.Action {
		case "pass":
			s.passed++
		case "fail":
			s.failed++
			s.show(text)
		case "skip":
			why := reason(text)
			s.skips[why] = append(s.skips[why], short(e.Package)+"."+e.Test)
		}
	}
}

// show prints a test's output without the framing.
func (s *summary) show(text string) {
	for line := range strings.Lines(text) {
		if !framing.MatchString(line) {
			fmt.Fprint(s.out, line)
		}
	}
}

func (s *summary) rest(pkg string) {
	for k, b := range s.pending {
		if k.pkg == pkg {
			s.show(b.String())
			delete(s.pending, k)
		}
	}
}

// place begins a line of t.Log, t.Skip and their like.
var place = regexp.MustCompile(`^\s*\S+\.go:\d+: `)

// reason is what the test said when it was skipped: its last message, which may have several lines.
func reason(text string) string {
	var last []string
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		switch {
		case framing.MatchString(line) || strings.TrimSpace(line) == "":
		case place.MatchString(line):
			last = []string{place.ReplaceAllString(line, "")}
		case last != nil:
			last = append(last, strings.TrimSpace(line))
		}
	}
	if last == nil {
		return "no reason given"
	}
	return last[0]
}

func short(pkg string) string {
	_, rest, ok := strings.Cut(pkg, "/dialtone/")
	if !ok {
		return pkg
	}
	return rest
}

func (s *summary) finish() {
	for k := range s.pending {
		s.rest(k.pkg)
	}
	skipped := 0
	var reasons []string
	for why, tests := range s.skips {
		skipped += len(tests)
		reasons = append(reasons, why)
	}
	sort.Slice(reasons, func(i, j int) bool {
		if a, b := len(s.skips[reasons[i]]), len(s.skips[reasons[j]]); a != b {
			return a > b
		}
		return reasons[i] < reasons[j]
	})
	fmt.Fprintf(s.out, "passed: %d, failed: %d, skipped: %d\n", s.passed, s.failed, skipped)
	for _, why := range reasons {
		const most = 160
		if len(why) > most {
			fmt.Fprintf(s.out, "skipped because: %s...\n", why[:most])
		} else {
			fmt.Fprintf(s.out, "skipped because: %s\n", why)
		}
		fmt.Fprintf(s.out, "    %s\n", strings.Join(s.skips[why], "\n    "))
	}
}
