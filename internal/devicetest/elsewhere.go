package devicetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
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
)

// Platforms of OpenCL that tests go to besides the one that this machine lists first.
const (
	Oclgrind = "Oclgrind" // an interpreter that looks at every access
	Rusticl  = "rusticl"  // Mesa's, here on llvmpipe: code for the processor's vectors, eight lanes in step
)

// platformVariable tells a child process which platform it has, alone.
const platformVariable = "DIALTONE_TEST_PLATFORM"

// elsewhereLimit is how long a child process has for all of its tests.
const elsewhereLimit = 100 * time.Second

// Elsewhere runs the tests of this package whose names match the pattern on another OpenCL, in one child process with additional
// environment, and reports each as a subtest. What that driver does to its process is an error of the test that was running. Where the
// platform is not installed the calling test, which is to be called TestOclgrind or TestRusticl, is skipped with what is missing.
func Elsewhere(t *testing.T, platform, pattern string, env ...string) {
	t.Helper()
	switch wanted := os.Getenv(Variable); {
	case os.Getenv(platformVariable) != "" || os.Getenv(childVariable) != "":
		t.Skip("a child process goes nowhere else")
	case wanted != "" && !strings.Contains(wanted, "opencl"):
		t.Skipf("%s narrows the devices to %s", Variable, wanted)
	case underRace && wanted == "":
		t.Skip("not under the race detector, which sees nothing of kernels, unless OpenCL is named")
	}
	p, err := find(platform)
	if err != nil {
		t.Skipf("no %s: %v", platform, err)
	}
	// A folder, since that is what every loader takes.
	vendors := t.TempDir()
	if err := os.WriteFile(filepath.Join(vendors, "only.icd"), []byte(p.library+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), elsewhereLimit+10*time.Second)
	defer cancel()
	command := append(p.wrap, os.Args[0], "-test.run="+pattern, "-test.skip=^Test(Oclgrind|Rusticl)", "-test.v", "-test.count=1", "-test.timeout="+elsewhereLimit.String())
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = append(append(append(os.Environ(), p.env...), env...),
		"OCL_ICD_VENDORS="+vendors, platformVariable+"="+platform, Variable+"=opencl:0", "DIALTONE_CACHE="+t.TempDir())
	cmd.WaitDelay = time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	start := time.Now()
	ended := cmd.Run()
	if cmd.ProcessState != nil && cmd.ProcessState.ExitCode() == tooOld {
		t.Skipf("%s: %s", platform, strings.TrimSpace(out.String()))
	}
	reports := parse(out.String())
	for _, r := range reports {
		t.Run(r.name, func(t *testing.T) {
			for _, c := range complaints(r.text) {
				t.Errorf("%s says:\n%s", platform, c)
			}
			switch r.verdict {
			case "FAIL":
				t.Errorf("on %s:\n%s", platform, r.text)
			case "SKIP":
				t.Skip(r.reason())
			case "":
				t.Errorf("on %s the process ended (%v) before this test had:\n%s", platform, ended, ends(r.text))
			}
		})
	}
	switch exit := (*exec.ExitError)(nil); {
	case ended != nil && !errors.As(ended, &exit):
		t.Fatalf("%s: %v", command, ended)
	case len(reports) == 0:
		t.Errorf("no test ran on %s (%v):\n%s", platform, ended, ends(out.String()))
	case ended != nil && !t.Failed():
		t.Errorf("on %s the process ended with %v:\n%s", platform, ended, ends(out.String()))
	}
	t.Logf("%d tests on %s in %v", len(reports), platform, time.Since(start).Round(time.Millisecond))
}

// tooOld is the exit code of a child process whose platform is not worth its tests.
const tooOld = 77

// onlyPlatform ends a child process that has another platform than it was made for, or more than that, or a version of it that is
// known not to work.
func onlyPlatform() {
	want := os.Getenv(platformVariable)
	if want == "" || os.Getenv(childVariable) != "" { // children of its tests have what these give them
		return
	}
	infos, err := hal.DevicesOf(context.Background(), "opencl")
	if err != nil || len(infos) != 1 || infos[0].Platform != want {
		fmt.Printf("%s was to be the only platform; there are %+v (%v)\n", want, infos, err)
		os.Exit(1)
	}
	// Mesa 22.3, Debian 12's, warns of wrong results and gives them.
	version, _, _ := strings.Cut(infos[0].Driver, ".")
	if major, err := strconv.Atoi(version); want == Rusticl && err == nil && major < 24 {
		fmt.Printf("Mesa %s is too old, at least 24 is needed\n", infos[0].Driver)
		os.Exit(tooOld)
	}
}

// place is where an OpenCL is, and how to come there.
type place struct {
	library string // as the loader is to open it
	env     []string
	wrap    []string // a command in front of the one to run
}

func find(platform string) (place, error) {
	if runtime.GOOS != "linux" {
		return place{}, fmt.Errorf("it is looked for on Linux, this is %s", runtime.GOOS)
	}
	switch platform {
	case Oclgrind:
		return findOclgrind()
	case Rusticl:
		return findRusticl()
	}
	return place{}, errors.New("BUG: nobody knows where it would be")
}

// findOclgrind looks beside its command.
func findOclgrind() (place, error) {
	command, err := exec.LookPath("oclgrind")
	if err != nil {
		return place{}, fmt.Errorf("%w (Debian, Ubuntu: apt-get install oclgrind)", err)
	}
	prefix := filepath.Dir(filepath.Dir(command))
	var tried []string
	for _, folder := range []string{"lib/oclgrind", "lib64/oclgrind", "lib", "lib64"} {
		library := filepath.Join(prefix, folder, "liboclgrind-rt-icd.so")
		if _, err := os.Stat(library); err == nil {
			return place{library: library, env: []string{"OCLGRIND_MAX_ERRORS=1000000"}}, nil
		}
		tried = append(tried, library)
	}
	return place{}, fmt.Errorf("%s is there, its library is not: tried %s", command, strings.Join(tried, ", "))
}

// rusticlFolder names a folder with the part /usr of a newer system that has rusticl; .ci/deps unpacks one.
const rusticlFolder = "DIALTONE_TEST_RUSTICL"

// findRusticl looks for an unpacked one, then in this system. The former takes the place of /usr for the child process alone, in a mount
// namespace: Mesa looks for some of its parts by their full names.
func findRusticl() (place, error) {
	const icd, library = "etc/OpenCL/vendors/rusticl.icd", "libRusticlOpenCL.so.1"
	p := place{library: library, env: []string{"RUSTICL_ENABLE=llvmpipe"}}
	root := os.Getenv(rusticlFolder)
	if base, err := os.UserCacheDir(); root == "" && err == nil {
		root = filepath.Join(base, "dialtone-test", "rusticl")
	}
	if _, err := os.Stat(filepath.Join(root, icd)); err != nil {
		if _, err := os.Stat("/" + icd); err == nil {
			return p, nil
		}
		return place{}, fmt.Errorf("this system has none (Debian 13: apt-get install mesa-opencl-icd), and .ci/deps has unpacked none: %w", err)
	}
	folder, err := os.Getwd()
	if err != nil {
		return place{}, err
	}
	for _, path := range []string{folder, os.Args[0]} {
		if strings.HasPrefix(path, "/usr/") {
			return place{}, fmt.Errorf("the one of .ci/deps takes the place of /usr, which has %s", path)
		}
	}
	p.wrap = []string{"unshare", "--mount"}
	if os.Getuid() != 0 {
		p.wrap = append(p.wrap, "--user", "--map-root-user")
	}
	p.wrap = append(p.wrap, "sh", "-c", `mount --bind "$0/usr" /usr && exec "$@"`, root)
	if out, err := exec.Command(p.wrap[0], append(p.wrap[1:], os.Args[0], "-test.list=^$")...).CombinedOutput(); err != nil {
		return place{}, fmt.Errorf("no namespace with the one of .ci/deps: %v %s", err, strings.TrimSpace(string(out)))
	}
	return p, nil
}

// report is what a child process said of a test that has no subtests.
type report struct {
	name    string
	verdict string // PASS, FAIL or SKIP; "" if the process ended before
	text    string // what was printed while it ran
}

// said are the lines of go test -v between what tests print.
var said = regexp.MustCompile(`^\s*(?:=== (RUN|CONT|NAME|PAUSE)|--- (PASS|FAIL|SKIP):)\s+(\S+)`)

// parse takes apart the output of -test.v.
func parse(output string) []report {
	var order []string
	by := map[string]*report{}
	current := ""
	for line := range strings.Lines(output) {
		m := said.FindStringSubmatch(line)
		if m == nil {
			if r := by[current]; r != nil {
				r.text += line
			}
			continue
		}
		name := m[3]
		if by[name] == nil {
			by[name] = &report{name: name}
			order = append(order, name)
		}
		if m[2] != "" {
			by[name].verdict = m[2]
		} else {
			current = name
		}
	}
	var all []report
	for _, name := range order {
		r, parent := by[name], false
		for _, other := range order {
			parent = parent || strings.HasPrefix(other, name+"/")
		}
		// What a test does after its subtests is its own.
		if !parent || strings.TrimSpace(r.text) != "" && r.verdict == "FAIL" {
			all = append(all, *r)
		}
	}
	return all
}

// logged is a line of t.Log or t.Skip.
var logged = regexp.MustCompile(`(?m)^\s*\S+\.go:\d+: (.+)$`)

// reason is what a skipped test said last. What a process of its own said is in it.
func (r report) reason() string {
	all := logged.FindAllStringSubmatch(r.text, -1)
	if all == nil {
		return "for no reason:\n" + r.text
	}
	return all[len(all)-1][1]
}

// ends are the first and the last lines of a long text: a process that dies says why first, and where everybody was after that.
func ends(text string) string {
	const head, tail = 30, 30
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if len(lines) > head+tail {
		lines = slices.Concat(lines[:head], []string{fmt.Sprintf("... %d lines ...", len(lines)-head-tail)}, lines[len(lines)-tail:])
	}
	return strings.Join(lines, "\n")
}

// volatile marks the accesses that kernels make at the same time on purpose: OpenCL C 1.2 has no other word for loads and stores of
// one word.
var volatile = regexp.MustCompile(`(load|store) volatile i(32|64)\b|@_Z\d+atom(ic)?_`)

// complaints are what Oclgrind found wrong: paragraphs that name a kernel, or a function of OpenCL. A race is none where both sides
// are volatile accesses or atomics.
func complaints(text string) []string {
	var all []string
	for _, paragraph := range regexp.MustCompile(`\n(?:[A-Z][^\n]*\n)(?:\t[^\n]*\n)+`).FindAllString("\n"+text, -1) {
		switch {
		case strings.Contains(paragraph, "CL_BUILD_PROGRAM_FAILURE"): // an answer, which a test may want
			continue
		case strings.Contains(paragraph, "\tFunction: "), strings.Contains(paragraph, "\tKernel: ") && !strings.Contains(paragraph, "data race"):
		case strings.Contains(paragraph, "data race") && len(volatile.FindAllString(paragraph, -1)) < 2:
		default:
			continue
		}
		all = append(all, strings.TrimSpace(paragraph))
	}
	return all
}
