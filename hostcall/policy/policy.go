// Package policy says what a kernel or a WASI program may reach of the host.
//
// The zero Policy opens the standard streams, the clocks and random bytes, and nothing else: no file, no variable, no argument. A policy
// is a plain value that is read once, when the services are made from it; changing it later changes nothing.
//
// # Directories
//
// A Dir gives a directory of the host a name in the guest, where paths are slash-separated on every operating system. Of several
// Dirs the one whose Guest is the longest prefix of a path, by whole components, serves the path; what lies under none does not exist for
// the guest and gives ENOTCAPABLE. Dirs are worlds of their own: neither ".." nor a symbolic link leads from one into another, and a file
// cannot be renamed from one to another (EXDEV).
//
// A read-only Dir must therefore not lie inside a writable one on the host, where the guest could write to it by its other path; the
// services refuse such a policy. A writable one inside a read-only one is fine, and so is the same directory given twice, where one name
// can be written and the other cannot.
package policy

import (
	"errors"
	"fmt"
	"io"
	"net"
	"path"
	"runtime"
	"strings"
)

// Policy is what one run may reach. The zero value is the default of a run: standard streams (empty and discarded while they are nil),
// clocks and random bytes.
type Policy struct {
	Stdin  io.Reader // nil is at its end from the start; a *service.Stdin may be shared by several runs
	Stdout io.Writer // nil discards
	Stderr io.Writer // nil discards; may be the same as Stdout

	Args []string // the program's name first, as C has it
	Env  []string // "KEY=VALUE"
	Dirs []Dir

	// Listen are open sockets at which a WASI program may accept connections; kernels have no call for that. They stay the caller's to close.
	// Nothing else is given to a program of the network.
	Listen []net.Listener

	NoClocks bool // no clocks and no sleeping
	NoRandom bool // no random bytes

	MaxOpen int // descriptors open at a time, the three streams included; 0 is DefaultMaxOpen
}

// DefaultMaxOpen is the number of descriptors a run may have open unless Policy.MaxOpen says otherwise.
const DefaultMaxOpen = 1024

// Dir opens one directory of the host.
type Dir struct {
	Host     string // path on the host; may be relative to the working directory
	Guest    string // absolute, clean, slash-separated path in the guest
	ReadOnly bool   // changes nothing on the host: EROFS
}

// String is the form that ParseDir reads.
func (d Dir) String() string {
	s := d.Host + ":" + d.Guest
	if d.ReadOnly {
		s += ":ro"
	}
	return s
}

// Check reports what makes the policy impossible whatever is on the disk: an argument or variable that C strings cannot carry, a variable
// without "=", a guest path that is not absolute and clean or is given twice, a negative limit.
func (p Policy) Check() error {
	for i, a := range p.Args {
		if strings.IndexByte(a, 0) >= 0 {
			return fmt.Errorf("argument %d (%q) has a NUL byte in it, which no C string can have", i, a)
		}
	}
	for _, v := range p.Env {
		if err := checkEnv(v); err != nil {
			return err
		}
	}
	seen := map[string]string{}
	for _, d := range p.Dirs {
		if d.Host == "" {
			return fmt.Errorf("directory %q: the path on the host is missing", d)
		}
		if err := checkGuest(d.Guest); err != nil {
			return fmt.Errorf("directory %q: %w", d, err)
		}
		if clean := path.Clean(d.Guest); clean != d.Guest {
			return fmt.Errorf("directory %q: the guest path is not clean: write %s", d, clean)
		}
		if other, ok := seen[d.Guest]; ok {
			return fmt.Errorf("two directories, %q and %q, want the guest path %s: give one of them another", other, d.Host, d.Guest)
		}
		seen[d.Guest] = d.Host
	}
	for i, l := range p.Listen {
		if l == nil {
			return fmt.Errorf("listener %d is nil", i)
		}
	}
	if p.MaxOpen < 0 {
		return fmt.Errorf("MaxOpen is %d: it must not be negative", p.MaxOpen)
	}
	return nil
}

// ParseDir reads "HOST[:GUEST][:ro]".
//
// GUEST must be absolute. Without it the guest sees the directory under the path that was written, as wasmtime and wazero have it: "." is
// "/", "data" and "./data" are "/data", "/srv/data" is "/srv/data", so that a program finds its files under the names that its user
// typed. A HOST without such a name (".." or a drive) needs a GUEST. HOST may have colons in it where GUEST is given, GUEST may not. On
// Windows the colon after a drive's letter belongs to HOST.
func ParseDir(s string) (Dir, error) { return parseDir(s, runtime.GOOS == "windows") }

func parseDir(s string, windows bool) (Dir, error) {
	fail := func(format string, args ...any) (Dir, error) {
		return Dir{}, fmt.Errorf("directory %q: %s; the form is HOST[:GUEST][:ro], as in data:/data:ro", s, fmt.Sprintf(format, args...))
	}
	if strings.IndexByte(s, 0) >= 0 {
		return fail("it has a NUL byte in it")
	}
	drive := 0
	if windows && len(s) >= 2 && s[1] == ':' && isLetter(s[0]) {
		drive = 2
	}
	host, readOnly := strings.CutSuffix(s[drive:], ":ro")
	guest := ""
	if i := strings.LastIndexByte(host, ':'); i >= 0 {
		host, guest = host[:i], host[i+1:]
		switch {
		case guest == "":
			return fail("there is nothing after the colon")
		case guest == "rw":
			return fail(`"rw" is no option: a directory is writable unless it is :ro`)
		}
		if err := checkGuest(guest); err != nil {
			return fail("%v", err)
		}
		guest = path.Clean(guest)
	}
	host = s[:drive] + host
	if host == "" {
		return fail("the path on the host is missing")
	}
	if guest == "" {
		name := host
		if windows {
			name = strings.ReplaceAll(name, `\`, "/")
		}
		clean := path.Clean(name)
		if drive > 0 || clean == ".." || strings.HasPrefix(clean, "../") || strings.HasPrefix(clean, "//") {
			return fail("%q says no name for the guest: write one, as in %s:/", host, host)
		}
		guest = path.Join("/", clean)
	}
	return Dir{Host: host, Guest: guest, ReadOnly: readOnly}, nil
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

func checkGuest(guest string) error {
	switch {
	case !strings.HasPrefix(guest, "/"):
		return fmt.Errorf("the guest path %q does not start with /: write /%s", guest, guest)
	case strings.IndexByte(guest, 0) >= 0:
		return errors.New("the guest path has a NUL byte in it")
	}
	return nil
}

// ParseEnv reads "KEY=VALUE"; the value may be empty and have "=" in it.
func ParseEnv(s string) (string, error) {
	if err := checkEnv(s); err != nil {
		return "", err
	}
	return s, nil
}

func checkEnv(s string) error {
	key, _, ok := strings.Cut(s, "=")
	switch {
	case strings.IndexByte(s, 0) >= 0:
		return fmt.Errorf("variable %q has a NUL byte in it, which no C string can have", s)
	case !ok && s == "":
		return errors.New(`variable "" is empty: the form is KEY=VALUE`)
	case !ok:
		return fmt.Errorf(`variable %q has no "=": write %s=VALUE`, s, s)
	case key == "":
		return fmt.Errorf(`variable %q has no name before the "=": the form is KEY=VALUE`, s)
	}
	return nil
}
