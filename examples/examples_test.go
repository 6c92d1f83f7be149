// Package examples_test runs the kernels of the examples on every device of this machine.
package examples_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/hostcall"
	"github.com/dialtone-gpu/dialtone/hostcall/plan"
	"github.com/dialtone-gpu/dialtone/hostcall/policy"
	"github.com/dialtone-gpu/dialtone/internal/devicetest"
)

func TestMain(m *testing.M) {
	devicetest.EmulateHIP()
	devicetest.EmulateMetal()
	devicetest.Main(m)
}

// load compiles an example for a device.
func load(t *testing.T, dev *hal.Device, path string) *hostcall.Program {
	t.Helper()
	return loadOver(t, dev, path, "")
}

// loadOver has its calls take a transport.
func loadOver(t *testing.T, dev *hal.Device, path string, transport plan.Transport) *hostcall.Program {
	t.Helper()
	rt, err := hostcall.New(t.Context(), dev, &hostcall.Options{Policy: plan.Policy{Transport: transport}, Warn: func(s string) { t.Errorf("warned: %s", s) }})
	if err != nil {
		t.Fatal(err)
	}
	if err := rt.Plan().NeedsHost(); err != nil {
		t.Skipf("no hostcalls on this device: %v", err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	p, err := rt.Load(t.Context(), path, string(text))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(p.Close(), rt.Close()); err != nil {
			t.Error(err)
		}
	})
	return p
}

// ran is what a program did.
type ran struct {
	stdout, stderr string
	code           int
}

func run(t *testing.T, p *hostcall.Program, grid, group int, allowed policy.Policy) ran {
	t.Helper()
	var stdout, stderr bytes.Buffer
	allowed.Stdout, allowed.Stderr = &stdout, &stderr
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second) // drivers on host processors compile in it
	defer cancel()
	res, err := p.Run(ctx, hostcall.Launch{Grid: [3]int{grid}, Group: [3]int{group}, Policy: allowed})
	if err != nil {
		t.Fatalf("%.60q, %d groups of %d: %v\n%s%d bytes printed", allowed.Args, grid, group, err, stderr.String(), stdout.Len())
	}
	return ran{stdout.String(), stderr.String(), res.ExitCode}
}

func grep(t *testing.T, p *hostcall.Program, grid, group int, dir, pattern string, roots ...string) ran {
	t.Helper()
	return run(t, p, grid, group, policy.Policy{
		Args: append([]string{"grep", pattern}, roots...),
		Dirs: []policy.Dir{{Host: dir, Guest: "/", ReadOnly: true}},
	})
}

// sorted has the lines in the order of their bytes.
func sorted(text string) string {
	lines := strings.SplitAfter(text, "\n")
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// same reports what differs between two outputs, in any order of their lines.
func same(t *testing.T, what, got, want string) {
	t.Helper()
	if len(got) == len(want) && sorted(got) == sorted(want) {
		return
	}
	count := map[string]int{}
	for _, l := range strings.SplitAfter(got, "\n") {
		count[l]++
	}
	for _, l := range strings.SplitAfter(want, "\n") {
		count[l]--
	}
	var diff []string
	for l, n := range count {
		if n != 0 {
			if len(l) > 120 {
				l = fmt.Sprintf("%s... (%d bytes)", l[:120], len(l))
			}
			diff = append(diff, fmt.Sprintf("%+d %q", n, l))
		}
	}
	slices.Sort(diff)
	t.Errorf("%s: %d lines differ; + is too many, - is missing:\n%s", what, len(diff), strings.Join(diff[:min(len(diff), 10)], "\n"))
}

// reference does in Go what grep -rnF --text PATTERN does in dir, with the paths that a guest sees.
func reference(t *testing.T, dir, pattern string) (string, int) {
	t.Helper()
	var out strings.Builder
	alternatives := strings.Split(pattern, "\n")
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name := filepath.ToSlash(strings.TrimPrefix(path, dir))
		for i, line := range strings.Split(strings.TrimSuffix(string(text), "\n"), "\n") {
			if len(text) == 0 || !slices.ContainsFunc(alternatives, func(a string) bool { return strings.Contains(line, a) }) {
				continue
			}
			fmt.Fprintf(&out, "%s:%d:%s\n", name, i+1, line)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if out.Len() == 0 {
		return "", 1
	}
	return out.String(), 0
}

var gnuGrep = func() bool {
	out, err := exec.Command("grep", "--version").Output()
	return err == nil && bytes.Contains(out, []byte("GNU grep"))
}()

// expected is what GNU grep prints, where there is one, which the reference must agree with.
func expected(t *testing.T, dir, pattern string) (string, int) {
	t.Helper()
	want, code := reference(t, dir, pattern)
	if !gnuGrep {
		return want, code
	}
	cmd := exec.Command("grep", "-rnF", "--text", "-e", pattern, ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	out, err := cmd.Output()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	// grep says ./name where a guest says /name. A line of a file never starts that way in these trees.
	text := regexp.MustCompile(`(?m)^\./`).ReplaceAllString(string(out), "/")
	same(t, fmt.Sprintf("the reference for %.40q", pattern), want, text)
	if code != cmd.ProcessState.ExitCode() {
		t.Errorf("the reference's exit code for %.40q is %d, grep's %d", pattern, code, cmd.ProcessState.ExitCode())
	}
	return text, code
}

// shapes are launches: sizes that are no power of two first, as the one for everything; one work-item, which has a GPU search with a single
// lane; more groups and work-items than take part.
var shapes = [][2]int{{3, 33}, {1, 1}, {300, 33}, {2, 200}}

// shapesFor leaves out what takes long on a device and says little more there than elsewhere.
func shapesFor(dev *hal.Device) [][2]int {
	switch i := dev.Info(); {
	case i.Backend == "opencl" && i.HostCPU: // a kernel is compiled anew, for some seconds, for each size of its groups
		return shapes[:3]
	case standsInForHIP(dev): // one wave of 32 lanes and one of 1, or a part of one of 64; several waves
		return [][2]int{shapes[0], shapes[3]}
	}
	return shapes
}

// standsInForHIP reports that lanes are fibers that meet at each step of their wave, which takes two to three times as long as on cpu.
func standsInForHIP(dev *hal.Device) bool { return dev.Info().Backend == "hip" && dev.Info().Sim }

func TestGrepOfGo(t *testing.T) {
	dir := filepath.Join(runtime.GOROOT(), "src", "net")
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("needs Go's own source: %v", err)
	}
	type answer struct {
		text string
		code int
	}
	want := map[string]answer{}
	for _, pattern := range []string{"func", "TODO", "zzz-not-there", "e"} {
		text, code := expected(t, dir, pattern)
		want[pattern] = answer{text, code}
	}
	devicetest.ForEach(t, func(t *testing.T, dev *hal.Device) {
		skipLong(t, dev)
		p := load(t, dev, "grep/grep.kernel.c")
		for _, shape := range shapesFor(dev) {
			for pattern, w := range want {
				if pattern != "func" && (shape[0] > 100 || shape != shapes[0] && standsInForHIP(dev)) {
					continue // every group walks the tree
				}
				got := grep(t, p, shape[0], shape[1], dir, pattern, "/")
				same(t, fmt.Sprintf("%q with %v", pattern, shape), got.stdout, w.text)
				if got.code != w.code || got.stderr != "" {
					t.Errorf("%q with %v: exit code %d, want %d; stderr %q", pattern, shape, got.code, w.code, got.stderr)
				}
			}
		}
	})
}

// text is the size of the kernel's read buffer: what happens at its edges is what may go wrong.
const text = 16384

// tree makes a directory tree of everything that is hard to search.
func tree(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	put := func(name, content string) {
		t.Helper()
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	put("empty", "")
	put("newline", "\n")
	put("newlines", strings.Repeat("\n", 3*text))
	put("no newline", "needle without a newline")
	put("ends well", "first\nneedle\n")
	put("ends badly", "first\nneedle\nlast needle")
	put("nul", "a\x00needle\x00b\nneedle\x00\n\x00\n\x00\x00needle")
	put("crlf", "needle\r\nno\r\n\r\nneedle again\r\n")
	put("bytes", "\xff\xfeneedle\xff\n\xc3\n\x80needle\n")
	put("often", "needle needle needle\nneedleneedle\nneeneedle\nneedl\n")
	put("colon:1:needle", "needle\n")
	put("sp ace/in the/name ", " needle \n")
	put(strings.Repeat("n", 255), "needle in a long name\n")
	put(strings.Repeat("m", 255)+"/"+strings.Repeat("k", 255), "needle\n")
	if runtime.GOOS != "windows" {
		put("new\nline", "needle\n")
	}
	put(strings.Repeat("d/", 60)+"leaf", "needle at depth 60\n")
	put(strings.Repeat(strings.Repeat("l", 250)+"/", 14)+"leaf", "needle on a long path\n")
	for i := range 20 { // what comes before and after a subdirectory, at every depth
		at := strings.Repeat("chain/", i)
		put(fmt.Sprintf("%sa%d", at, i), "needle before\n")
		put(fmt.Sprintf("%sside/x", at), "needle aside\n")
		put(fmt.Sprintf("%schainz/x", at), "needle aside\n")
		put(fmt.Sprintf("%sz%d", at, i), "needle behind\n")
	}
	for i := range 20 {
		put(fmt.Sprintf("many/%d", i), strings.Repeat("hay\n", i)+"needle\n")
	}
	// The pattern at every place around the buffer's edge, and around those of the pieces that lanes read.
	for _, i := range []int{-7, -6, -5, -1, 0, 1} {
		for _, edge := range []int{512, text, 2 * text} {
			put(fmt.Sprintf("edge/short%d%+d", edge, i), strings.Repeat("x", 50)+"\n"+strings.Repeat(strings.Repeat("y", 15)+"\n", edge/16)[:edge-51+i]+"needle\nrest\n")
			put(fmt.Sprintf("edge/long%d%+d", edge, i), strings.Repeat("x", edge+i)+"needle"+strings.Repeat("y", 30)+"\nrest\n")
			put(fmt.Sprintf("edge/last%d%+d", edge, i), strings.Repeat("x", edge+i)+"needle")
			put(fmt.Sprintf("edge/none%d%+d", edge, i), strings.Repeat("x", edge+i)+"needl\nneedle\n")
			put(fmt.Sprintf("edge/line%d%+d", edge, i), "needle\n"+strings.Repeat("x", edge+i)+"\nneedle\n"+strings.Repeat("z", edge+i)+"\n")
		}
	}
	put("long/1", strings.Repeat("x", 5*text)+"needle"+strings.Repeat("y", 5*text)+"\nneedle\n"+strings.Repeat("needle", text)+"\nend")
	put("long/2", strings.Repeat("needl", 7*text)+"e")
	put("long/3", strings.Repeat("needl", 7*text))
	put("long/4", "short\n"+strings.Repeat(strings.Repeat("z", text+1)+"\n", 4)+"needle\n")
	put("long/5", strings.Repeat("ba", text/2)+"AbabA"+strings.Repeat("ab", text)+"cab")
	put("long/6", strings.Repeat("a", 3*text)+"b")
	put("long/7", "short\n"+strings.Repeat("z", text-100)+"\x00needle\n"+strings.Repeat("y", 5000)+"\x00needle\nneedle\n")
	put("varied", func() string {
		var b strings.Builder
		for i := range 3000 {
			b.WriteString(strings.Repeat("w", i*7%200))
			if i%3 == 0 {
				b.WriteString("needle")
			}
			b.WriteString(strings.Repeat("v", i*11%100) + "\n")
		}
		return b.String()
	}())
	for name, target := range map[string]string{"link to file": "ends well", "link to dir": "chain", "dangling": "nowhere", "loop": "."} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Logf("no symbolic links here: %v", err)
			break
		}
	}
	return dir
}

func TestGrepOfWhatIsHard(t *testing.T) {
	dir := tree(t)
	patterns := []string{
		"needle", "", "needle\nhay", "\r", "\xff", "xneedley",
		"A" + strings.Repeat("ab", text) + "c", // longer than the buffer
		"A" + strings.Repeat("ab", text) + "d", // nearly there
		strings.Repeat("a", 300) + "b",         // nearly there at many places
	}
	type answer struct {
		text string
		code int
	}
	want := make([]answer, len(patterns))
	for i, pattern := range patterns {
		want[i].text, want[i].code = expected(t, dir, pattern)
	}
	devicetest.ForEach(t, func(t *testing.T, dev *hal.Device) {
		skipLong(t, dev)
		p := load(t, dev, "grep/grep.kernel.c")
		for _, shape := range shapesFor(dev) {
			for i, pattern := range patterns {
				if shape != shapes[0] && (i > 1 || i > 0 && standsInForHIP(dev)) {
					continue
				}
				got := grep(t, p, shape[0], shape[1], dir, pattern, "/")
				what := fmt.Sprintf("%.40q with %v", pattern, shape)
				same(t, what, got.stdout, want[i].text)
				if got.code != want[i].code || got.stderr != "" {
					t.Errorf("%s: exit code %d, want %d; stderr %q", what, got.code, want[i].code, got.stderr)
				}
			}
		}
	})
}

// One group prints a file's lines in their order.
func TestGrepKeepsOrder(t *testing.T) {
	dir := t.TempDir()
	var want strings.Builder
	var lines strings.Builder
	for i := range 20000 {
		fmt.Fprintf(&lines, "line %d\n", i+1)
		fmt.Fprintf(&want, "/f:%d:line %d\n", i+1, i+1)
	}
	if err := os.WriteFile(filepath.Join(dir, "f"), []byte(lines.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	devicetest.ForEach(t, func(t *testing.T, dev *hal.Device) {
		p := load(t, dev, "grep/grep.kernel.c")
		for _, shape := range shapesFor(dev) {
			if got := grep(t, p, 2, shape[1], dir, "line", "/"); got.stdout != want.String() {
				t.Errorf("groups of %d: the lines are not those of the file in their order", shape[1])
			}
		}
	})
}

func TestGrepExitCode(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"d/yes": "needle\n", "d/no": "hay\n", "e/no": "hay\n"} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		os.MkdirAll(filepath.Dir(path), 0o755)
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "none"), 0o755); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		args   []string
		code   int
		stdout string
		stderr string
	}{
		{"match", []string{"needle", "/"}, 0, "/d/yes:1:needle\n", ""},
		{"no match", []string{"needle", "/e"}, 1, "", ""},
		{"no file", []string{"needle", "/none"}, 1, "", ""},
		{"a file", []string{"needle", "/d/yes"}, 0, "/d/yes:1:needle\n", ""},
		{"a slash at the end", []string{"needle", "/d/"}, 0, "/d/yes:1:needle\n", ""},
		{"several", []string{"needle", "/e", "/d", "/d/yes"}, 0, "/d/yes:1:needle\n/d/yes:1:needle\n", ""},
		{"missing", []string{"needle", "/missing"}, 2, "", "grep: /missing: error 2\n"},
		{"match and missing", []string{"needle", "/missing", "/d"}, 2, "/d/yes:1:needle\n", "grep: /missing: error 2\n"},
		{"no match and missing", []string{"needle", "/e", "/missing"}, 2, "", "grep: /missing: error 2\n"},
		{"no arguments", nil, 2, "", "usage: grep PATTERN PATH...\n"},
		{"no path", []string{"needle"}, 2, "", "usage: grep PATTERN PATH...\n"},
		{"long path", []string{"needle", "/" + strings.Repeat("x", 5000)}, 2, "", "grep: /" + strings.Repeat("x", 4094) + ": error 36\n"},
	}
	if os.Getuid() > 0 { // root may read everything
		locked := filepath.Join(dir, "e", "locked")
		if err := os.WriteFile(locked, []byte("needle\n"), 0); err == nil {
			tests = append(tests, tests[0])
			tests[1].code, tests[1].stderr = 2, "grep: /e/locked: error 13\n"
		}
	}
	devicetest.ForEach(t, func(t *testing.T, dev *hal.Device) {
		p := load(t, dev, "grep/grep.kernel.c")
		for _, tt := range tests {
			for _, grid := range []int{1, 2, 7, 300} {
				got := run(t, p, grid, 1, policy.Policy{Args: append([]string{"grep"}, tt.args...), Dirs: []policy.Dir{{Host: dir, Guest: "/"}}})
				if got.code != tt.code || got.stderr != tt.stderr || sorted(got.stdout) != tt.stdout {
					t.Errorf("%s, %d groups: got %d, %q, %q; want %d, %q, %q", tt.name, grid, got.code, got.stdout, got.stderr, tt.code, tt.stdout, tt.stderr)
				}
			}
		}
	})
}

// full is a standard output that takes a little.
type full struct{ room int }

func (f *full) Write(p []byte) (int, error) {
	if f.room -= len(p); f.room < 0 {
		return 0, io.ErrClosedPipe
	}
	return len(p), nil
}

func TestGrepStopsWhenItCannotPrint(t *testing.T) {
	dir := t.TempDir()
	for i := range 20 {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), []byte(strings.Repeat("line\n", 5000)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	forEach(t, func(t *testing.T, dev *hal.Device, transport plan.Transport) {
		p := loadOver(t, dev, "grep/grep.kernel.c", transport)
		var stderr bytes.Buffer
		items := 1
		if transport != "" {
			items = shapes[0][1]
		}
		res, err := p.Run(t.Context(), hostcall.Launch{Grid: [3]int{3}, Group: [3]int{items}, Policy: policy.Policy{
			Args: []string{"grep", "line", "/"}, Stdout: &full{50000}, Stderr: &stderr, Dirs: []policy.Dir{{Host: dir, Guest: "/"}},
		}})
		if err != nil || res.ExitCode != 2 || !strings.HasPrefix(stderr.String(), "grep: write error: error 32\n") {
			t.Errorf("got %+v, %v, %q", res, err, stderr.String())
		}
	})
}

// forEach runs a subtest on every device with each transport that it can have.
func forEach(t *testing.T, f func(t *testing.T, dev *hal.Device, transport plan.Transport)) {
	devicetest.ForEach(t, func(t *testing.T, dev *hal.Device) {
		for _, transport := range []plan.Transport{"", plan.Stopping} {
			t.Run("transport "+string(transport), func(t *testing.T) { f(t, dev, transport) })
		}
	})
}

// slowToLaunch reports that launches on a device take so long that what has thousands of them takes minutes: the stand-in for Metal
// starts threads and copies all memory for each.
func slowToLaunch(dev *hal.Device) bool { return dev.Info().Backend == "metal" && dev.Info().Sim }

func skipLong(t *testing.T, dev *hal.Device) {
	t.Helper()
	if slowToLaunch(dev) {
		t.Skip("thousands of launches, and each takes long on the stand-in for Metal")
	}
}

// TestGrepRelaunched searches without a mailbox.
func TestGrepRelaunched(t *testing.T) {
	const alone = "with relaunch every work-item calls alone, whatever the width of a subgroup: "
	devicetest.ForEach(t, func(t *testing.T, dev *hal.Device) {
		if standsInForHIP(dev) && dev.Info().Subgroup == 64 {
			t.Skip(alone + "hip:0 has the same text")
		}
		p := loadOver(t, dev, "grep/grep.kernel.c", plan.Stopping)
		net := filepath.Join(runtime.GOROOT(), "src", "net", "http")
		if _, err := os.Stat(net); err != nil {
			t.Skipf("needs Go's own source: %v", err)
		}
		hard := tree(t)
		for _, c := range []struct {
			dir, pattern string
			grid         int
		}{{net, "TODO", 3}, {net, "func", 7}, {net, "zzz-not-there", 3}, {hard, "needle", 3}, {hard, "needle\nhay", 1}} {
			t.Run(fmt.Sprintf("%q with %d groups", c.pattern, c.grid), func(t *testing.T) {
				if c.dir == net || c.grid == 1 {
					skipLong(t, dev)
				}
				if c.dir == hard && standsInForHIP(dev) {
					t.Skip(alone + "cpu:0 has the same text, and searches this tree in less time")
				}
				want, code := expected(t, c.dir, c.pattern)
				got := grep(t, p, c.grid, shapes[0][1], c.dir, c.pattern, "/")
				same(t, "what it prints", got.stdout, want)
				if got.code != code || got.stderr != "" {
					t.Errorf("exit code %d, want %d; stderr %q", got.code, code, got.stderr)
				}
			})
		}
	})
}

// ending is a standard output that ends the run.
type ending struct{ cancel func() }

func (e ending) Write(p []byte) (int, error) {
	e.cancel()
	return len(p), nil
}

func TestGrepIsCancelled(t *testing.T) {
	dir := t.TempDir()
	for i := range 50 {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), []byte(strings.Repeat("line\n", 20000)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	forEach(t, func(t *testing.T, dev *hal.Device, transport plan.Transport) {
		p := loadOver(t, dev, "grep/grep.kernel.c", transport)
		shapes := shapesFor(dev)
		if transport != "" {
			shapes = shapes[:1]
		}
		for _, shape := range shapes {
			ctx, cancel := context.WithCancel(t.Context())
			start := time.Now()
			_, err := p.Run(ctx, hostcall.Launch{Grid: [3]int{shape[0]}, Group: [3]int{shape[1]}, Grace: 20 * time.Second, Policy: policy.Policy{
				Args: []string{"grep", "line", "/"}, Stdout: ending{cancel}, Dirs: []policy.Dir{{Host: dir, Guest: "/"}},
			}})
			// It may have to be stopped on the way, which takes a tenth of the grace period.
			if !errors.Is(err, context.Canceled) || errors.Is(err, hostcall.ErrStillRunning) || time.Since(start) > 15*time.Second {
				t.Errorf("%v: got %v after %v", shape, err, time.Since(start))
			}
		}
	})
}

func TestHello(t *testing.T) {
	forEach(t, func(t *testing.T, dev *hal.Device, transport plan.Transport) {
		p := loadOver(t, dev, "hello/hello.kernel.c", transport)
		for _, tt := range []struct {
			name, stdin, want string
			noDir             bool
			code              int
		}{
			{name: "a name", stdin: "Ada\n", want: "Nice to meet you, Ada.\n/hello.txt says: This file was written by a kernel for Ada.\n"},
			{name: "no newline", stdin: "Ada", want: "Nice to meet you, Ada.\n/hello.txt says: This file was written by a kernel for Ada.\n"},
			{name: "nobody", want: "Nice to meet you, stranger.\n/hello.txt says: This file was written by a kernel for stranger.\n"},
			{name: "an empty line", stdin: "\r\n", want: "Nice to meet you, stranger.\n/hello.txt says: This file was written by a kernel for stranger.\n"},
			{name: "no directory", stdin: "Ada\n", noDir: true, code: 1, want: "Nice to meet you, Ada.\ncannot write /hello.txt: error 200 (is there a --dir?)\n"},
		} {
			allowed := policy.Policy{Stdin: strings.NewReader(tt.stdin)}
			dir := t.TempDir()
			if !tt.noDir {
				allowed.Dirs = []policy.Dir{{Host: dir, Guest: "/"}}
			}
			before := time.Now().Unix()
			got := run(t, p, 1, 1, allowed)
			var seconds, thousandths int64
			head, tail, _ := strings.Cut(got.stdout, "What is your name? ")
			if _, err := fmt.Sscanf(head, "Hello from group 0 of 1!\nIt is %d.%d seconds past 1970.\n", &seconds, &thousandths); err != nil ||
				seconds < before || seconds > time.Now().Unix() {
				t.Errorf("%s: it starts with %q", tt.name, head)
			}
			if tail != tt.want || got.code != tt.code || got.stderr != "" {
				t.Errorf("%s: got %d, %q, %q; want %d, %q", tt.name, got.code, tail, got.stderr, tt.code, tt.want)
			}
			if text, err := os.ReadFile(filepath.Join(dir, "hello.txt")); !tt.noDir && (err != nil || !strings.Contains(tt.want, string(text))) {
				t.Errorf("%s: hello.txt has %q, %v", tt.name, text, err)
			}
		}
		if got := run(t, p, 5, 3, policy.Policy{Dirs: []policy.Dir{{Host: t.TempDir(), Guest: "/"}}}); strings.Count(got.stdout, "Hello from group ") != 15 {
			t.Errorf("5 groups of 3 said %q", got.stdout)
		}
	})
}

var documented = regexp.MustCompile("(?ms)^```c((?: \\w+=\\d+)*)\n(.*?)^```$.*?^```text\n(.*?)^```$")

// The examples of docs/kernel-c.md print what stands below them, in any order.
func TestKernelC(t *testing.T) {
	doc, err := os.ReadFile("../docs/kernel-c.md")
	if err != nil {
		t.Fatal(err)
	}
	examples := documented.FindAllStringSubmatch(string(doc), -1)
	if len(examples) < 6 {
		t.Errorf("only %d examples were found", len(examples))
	}
	dir := t.TempDir()
	for name, content := range map[string]string{"a": "hello", "b": "hello again\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	forEach(t, func(t *testing.T, dev *hal.Device, transport plan.Transport) {
		rt, err := hostcall.New(t.Context(), dev, &hostcall.Options{Policy: plan.Policy{Transport: transport}})
		if err != nil {
			t.Fatal(err)
		}
		defer rt.Close()
		if err := rt.Plan().NeedsHost(); err != nil {
			t.Skipf("no hostcalls on this device: %v", err)
		}
		for _, e := range examples {
			if rt.Plan().Transport == plan.Stopping && !strings.Contains(e[2], "HC_RESUMABLE") {
				continue // they read, or expect what is printed to have a length
			}
			shape := map[string]int{"grid": 1, "block": 1}
			for _, f := range strings.Fields(e[1]) {
				name, n, _ := strings.Cut(f, "=")
				shape[name], _ = strconv.Atoi(n)
			}
			p, err := rt.Load(t.Context(), "kernel-c.md", e[2])
			if err != nil {
				t.Errorf("%v\n%s", err, e[2])
				continue
			}
			got := run(t, p, shape["grid"], shape["block"], policy.Policy{
				Args: []string{"it", "one", "two"}, Env: []string{"LANG=C"}, Stdin: strings.NewReader("a\nb\nc\n"), Dirs: []policy.Dir{{Host: dir, Guest: "/"}},
			})
			if sorted(got.stdout) != sorted(e[3]) || got.stderr != "" || got.code != 0 {
				t.Errorf("got %d, %q, %q, want %q of\n%s", got.code, got.stdout, got.stderr, e[3], e[2])
			}
			if err := p.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}
