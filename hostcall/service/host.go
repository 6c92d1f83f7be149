package service

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dialtone-gpu/dialtone/hostcall/policy"
)

// Host is what a policy opens of the host: directories, standard streams and listeners. Several Files may share one, each with descriptors of
// its own: what is read by one of them from standard input is gone for the others, and no write is mixed with another's.
type Host struct {
	limit     int          // descriptors of each Files
	dirs      []policy.Dir // the policy's
	mounts    []mount      // dirs, most components first
	listeners []*listener
	stdin     *Stdin
	ownStdin  bool
	out, err  *stream // may be one
	outFile   *os.File
	errFile   *os.File
}

// NewHost opens the directories of p. It fails, naming the directory and what to do, if one is missing or is none, and for what
// policy.Policy.Check refuses. Close releases them.
func NewHost(p policy.Policy) (*Host, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	h := &Host{limit: p.MaxOpen, dirs: slices.Clone(p.Dirs), out: &stream{w: p.Stdout}, outFile: fileOf(p.Stdout), errFile: fileOf(p.Stderr)}
	if h.limit == 0 {
		h.limit = policy.DefaultMaxOpen
	}
	h.limit = max(h.limit, 3)
	for _, d := range p.Dirs {
		root, err := os.OpenRoot(d.Host)
		if err != nil {
			h.closeRoots()
			return nil, fmt.Errorf("directory %q: %w", d.Host, err)
		}
		parts := strings.FieldsFunc(d.Guest, func(r rune) bool { return r == '/' })
		h.mounts = append(h.mounts, mount{Dir: d, parts: parts, root: root})
	}
	if err := checkNesting(h.mounts); err != nil {
		h.closeRoots()
		return nil, err
	}
	slices.SortStableFunc(h.mounts, func(a, b mount) int { return len(b.parts) - len(a.parts) })
	for _, l := range p.Listen {
		h.listeners = append(h.listeners, newListener(l))
	}

	if s, ok := p.Stdin.(*Stdin); ok && s != nil {
		h.stdin = s
	} else {
		h.stdin, h.ownStdin = NewStdin(p.Stdin), true
	}
	h.err = h.out
	if !sameWriter(p.Stdout, p.Stderr) {
		h.err = &stream{w: p.Stderr}
	}
	return h, nil
}

// Files makes descriptors of their own. stdout and stderr stand in the place of the policy's writers, which nil leaves: see Stdout.
func (h *Host) Files(stdout, stderr io.Writer) *Files {
	f := &Files{table: newTable(h.limit), host: h}
	out, errOut := h.out, h.err
	if stdout != nil {
		out = &stream{w: stdout}
	}
	if stderr != nil {
		errOut = &stream{w: stderr}
	}
	for fd, e := range []*entry{
		{class: streamIn, flags: ReadOnly, in: h.stdin, file: h.stdin.file},
		{class: streamOut, flags: WriteOnly, out: out, file: h.outFile},
		{class: streamOut, flags: WriteOnly, out: errOut, file: h.errFile},
	} {
		f.slots[fd].Store(e)
		f.used[fd] = true
	}
	f.lowest = 3
	return f
}

// Stdout writes to the policy's Stdout, each Write as one piece.
func (h *Host) Stdout() io.Writer { return h.out }

// Stderr writes to the policy's Stderr, which may be the same as Stdout.
func (h *Host) Stderr() io.Writer { return h.err }

// Close wakes what waits for standard input, and lets go of the directories; Files must be closed before. The policy's readers, writers and
// listeners stay open.
func (h *Host) Close() error {
	var errs []error
	if h.ownStdin {
		errs = append(errs, h.stdin.Close())
	}
	for _, l := range h.listeners {
		l.release()
	}
	h.closeRoots()
	return errors.Join(errs...)
}

func (h *Host) closeRoots() {
	for i := range h.mounts {
		h.mounts[i].root.Close()
	}
}

// checkNesting refuses a read-only directory inside a writable one: it could be changed by its other path.
func checkNesting(mounts []mount) error {
	for _, inner := range mounts {
		if !inner.ReadOnly {
			continue
		}
		real, err := filepath.EvalSymlinks(inner.Host)
		if err == nil {
			real, err = filepath.Abs(real)
		}
		if err != nil {
			return fmt.Errorf("directory %q: %w", inner.Host, err)
		}
		for parent := filepath.Dir(real); ; parent = filepath.Dir(parent) {
			if info, err := os.Stat(parent); err == nil {
				for _, outer := range mounts {
					if o, err := outer.root.Stat("."); err == nil && !outer.ReadOnly && os.SameFile(info, o) {
						return fmt.Errorf("directory %q is read-only but lies inside %q, which is writable, and could be changed as a part of it:"+
							" make both or neither read-only, or name directories that do not contain each other", inner.Host, outer.Host)
					}
				}
			}
			if parent == filepath.Dir(parent) {
				break
			}
		}
	}
	return nil
}
