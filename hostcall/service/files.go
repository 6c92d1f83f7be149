package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dialtone-gpu/dialtone/hostcall/errno"
	"github.com/dialtone-gpu/dialtone/hostcall/policy"
)

// Files is the descriptors and directories of one run. Descriptors 0, 1 and 2 are the standard streams from the start; Open gives the
// lowest free number, as in POSIX.
type Files struct {
	table
	dirs     []policy.Dir
	mounts   []mount // dirs, most components first
	stdin    *Stdin
	ownStdin bool
}

// NewFiles opens the directories of p. It fails, naming the directory and what to do, if one is missing or is none, and for what
// policy.Policy.Check refuses. Close releases them.
func NewFiles(p policy.Policy) (*Files, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	limit := p.MaxOpen
	if limit == 0 {
		limit = policy.DefaultMaxOpen
	}
	f := &Files{table: newTable(max(limit, 3)), dirs: slices.Clone(p.Dirs)}
	for _, d := range p.Dirs {
		root, err := os.OpenRoot(d.Host)
		if err != nil {
			f.closeRoots()
			return nil, fmt.Errorf("directory %q: %w", d.Host, err)
		}
		parts := strings.FieldsFunc(d.Guest, func(r rune) bool { return r == '/' })
		f.mounts = append(f.mounts, mount{Dir: d, parts: parts, root: root})
	}
	if err := checkNesting(f.mounts); err != nil {
		f.closeRoots()
		return nil, err
	}
	slices.SortStableFunc(f.mounts, func(a, b mount) int { return len(b.parts) - len(a.parts) })

	if s, ok := p.Stdin.(*Stdin); ok && s != nil {
		f.stdin = s
	} else {
		f.stdin, f.ownStdin = NewStdin(p.Stdin), true
	}
	out := &stream{w: p.Stdout}
	errOut := out
	if !sameWriter(p.Stdout, p.Stderr) {
		errOut = &stream{w: p.Stderr}
	}
	for fd, e := range []*entry{
		{class: streamIn, flags: ReadOnly, in: f.stdin, file: f.stdin.file},
		{class: streamOut, flags: WriteOnly, out: out, file: fileOf(p.Stdout)},
		{class: streamOut, flags: WriteOnly, out: errOut, file: fileOf(p.Stderr)},
	} {
		f.slots[fd].Store(e)
		f.used[fd] = true
	}
	f.lowest = 3
	return f, nil
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

func (f *Files) closeRoots() {
	for i := range f.mounts {
		f.mounts[i].root.Close()
	}
}

// Close closes every descriptor, wakes what waits in Read, and lets go of the directories. Every later call gives EBADF or the like.
func (f *Files) Close() error {
	var errs []error
	for _, e := range f.shut() {
		errs = append(errs, e.close())
	}
	if f.ownStdin {
		f.stdin.Close()
	}
	f.closeRoots()
	return errors.Join(errs...)
}

// Preopen is a directory that a WASI program finds open when it starts.
type Preopen struct {
	FD    int32
	Guest string
}

// Preopens opens a descriptor for every directory of the policy, in the policy's order: 3, 4, 5 and so on where nothing else is open.
func (f *Files) Preopens() ([]Preopen, errno.Errno) {
	var all []Preopen
	for _, d := range f.dirs {
		fd, e := f.Open(d.Guest, ReadOnly|Directory, 0)
		if e != errno.OK {
			return all, e
		}
		all = append(all, Preopen{fd, d.Guest})
	}
	return all, errno.OK
}

// Open opens path. mode has the permissions of a file that Create makes, before the host's umask; only its low nine bits count.
//
// Opening a pipe or device never waits: a FIFO without a writer opens for reading at once, and (on Linux) the first Read waits for the writer in
// place of the open; one without a reader gives ENXIO for writing.
func (f *Files) Open(path string, flags OpenFlags, mode uint32) (int32, errno.Errno) {
	return f.OpenAt(AtRoot, path, flags, mode)
}

// OpenAt opens path, which starts at the directory dir.
func (f *Files) OpenAt(dir int32, path string, flags OpenFlags, mode uint32) (int32, errno.Errno) {
	if e := flags.check(); e != errno.OK {
		return -1, e
	}
	p, e := f.resolve(dir, path)
	if e != errno.OK {
		return -1, e
	}
	fd, e := f.reserve()
	if e != errno.OK {
		return -1, e
	}
	opened, e := openEntry(p, flags, mode)
	if e != errno.OK {
		f.free(fd)
		return -1, e
	}
	if !f.fill(fd, opened) {
		opened.close()
		return -1, errno.EBADF
	}
	return fd, errno.OK
}

func (f OpenFlags) check() errno.Errno {
	switch {
	case f&^knownFlags != 0, f&accessMask == accessMask:
		return errno.EINVAL
	case f&Truncate != 0 && !f.writable(): // POSIX leaves it open; Linux would truncate
		return errno.EINVAL
	case f&Exclusive != 0 && f&Create == 0:
		return errno.EINVAL
	case f&Directory != 0 && f&Create != 0:
		return errno.EINVAL
	case f&Directory != 0 && f.writable():
		return errno.EISDIR
	}
	return errno.OK
}

// openEntry opens what is at p.
func openEntry(p place, flags OpenFlags, mode uint32) (*entry, errno.Errno) {
	if p.readOnly {
		if flags.writable() {
			return nil, p.refuse()
		}
		if flags&Create != 0 {
			// As on a read-only file system, the flag does no harm where the file exists.
			if _, err := p.root.Lstat(p.name); errno.From(err) == errno.ENOENT {
				return nil, errno.EROFS
			} else if err == nil && flags&Exclusive != 0 {
				return nil, errno.EEXIST
			}
			flags &^= Create | Exclusive
		}
	}
	file, num := p.open(flags, os.FileMode(mode&0o777))
	if num != errno.OK {
		return nil, num
	}
	e, num := newEntry(p, file, flags)
	if num != errno.OK {
		file.Close()
		return nil, num
	}
	return e, errno.OK
}

// open opens the file at p. os.Root follows links, so that NoFollow means looking whether what was opened is what the name itself stands for.
func (p place) open(flags OpenFlags, mode os.FileMode) (*os.File, errno.Errno) {
	if flags&NoFollow == 0 {
		file, err := p.root.OpenFile(p.name, flags.host(), mode)
		return file, errno.From(err)
	}
	for range 16 {
		before, err := p.root.Lstat(p.name)
		if err == nil && kindOf(before.Mode()) == KindSymlink {
			return nil, errno.ELOOP
		}
		file, openErr := p.root.OpenFile(p.name, (flags &^ Truncate).host(), mode)
		if openErr != nil {
			return nil, errno.From(openErr)
		}
		opened, err := file.Stat()
		if err != nil {
			file.Close()
			return nil, errno.From(err)
		}
		if before == nil { // just made
			before, err = p.root.Lstat(p.name)
		}
		if err == nil && os.SameFile(before, opened) {
			if flags&Truncate != 0 && opened.Mode().IsRegular() {
				err = file.Truncate(0)
			}
			if err != nil {
				file.Close()
				return nil, errno.From(err)
			}
			return file, errno.OK
		}
		file.Close() // somebody changes the name all the time
	}
	return nil, errno.ELOOP
}

// host returns the flags as package os has them.
func (f OpenFlags) host() int {
	h := openAlways
	switch f & accessMask {
	case ReadOnly:
		h |= os.O_RDONLY
	case WriteOnly:
		h |= os.O_WRONLY
	case ReadWrite:
		h |= os.O_RDWR
	}
	for _, pair := range [...]struct {
		flag OpenFlags
		host int
	}{
		{Create, os.O_CREATE}, {Exclusive, os.O_EXCL}, {Truncate, os.O_TRUNC}, {Append, os.O_APPEND}, {Sync, os.O_SYNC},
		{Directory, openDirectory},
	} {
		if f&pair.flag != 0 {
			h |= pair.host
		}
	}
	return h
}

// newEntry finds out what was opened. On failure the caller closes file.
func newEntry(p place, file *os.File, flags OpenFlags) (*entry, errno.Errno) {
	info, err := file.Stat()
	if err != nil {
		return nil, errno.From(err)
	}
	e := &entry{flags: flags &^ (Create | Exclusive | Truncate | NoFollow | Directory), readOnly: p.readOnly, file: file}
	switch kind := kindOf(info.Mode()); {
	case kind == KindFile && flags&Directory == 0:
		e.class = regular
	case kind == KindDir:
		e.class = directory
		e.openRoot(p)
	case flags&Directory != 0:
		return nil, errno.ENOTDIR
	default:
		e.class = special
		if flags.readable() {
			e.in = NewStdin(file)
		}
	}
	return e, errno.OK
}

// openRoot makes the directory a root of its own, for paths that start at it. The name may meanwhile stand for another directory, so the file
// is opened again from the root: the two must be the same directory. Without the right to look up names the directory can still be listed.
func (e *entry) openRoot(p place) {
	root, err := p.root.OpenRoot(p.name)
	if err != nil {
		return
	}
	file, err := root.OpenFile(".", os.O_RDONLY|openAlways|openDirectory, 0)
	if err != nil {
		root.Close()
		return
	}
	e.file.Close()
	e.root, e.file = root, file
}

// Read reads up to len(p) bytes at the descriptor's position and moves it. It waits where the descriptor is a pipe, terminal or other
// stream until something can be read, and gives ECANCELED when ctx ends first.
func (f *Files) Read(ctx context.Context, fd int32, p []byte) (int, errno.Errno) {
	e := f.get(fd)
	switch {
	case e == nil:
		return 0, errno.EBADF
	case e.class == directory:
		return 0, errno.EISDIR
	case !e.flags.readable():
		return 0, errno.EBADF
	case len(p) == 0:
		return 0, errno.OK
	case e.in != nil:
		return e.in.ReadContext(ctx, p)
	}
	e.mu.Lock()
	n, err := e.file.Read(p)
	e.mu.Unlock()
	return count(n, err)
}

// Ready waits until a Read of fd would not wait, and gives ECANCELED when ctx ends first. What can always be read is ready.
func (f *Files) Ready(ctx context.Context, fd int32) errno.Errno {
	e := f.get(fd)
	switch {
	case e == nil || !e.flags.readable():
		return errno.EBADF
	case e.in != nil:
		return e.in.Ready(ctx)
	}
	return errno.OK
}

// count makes a result of what package os returned: the end of a file is a count of 0, and bytes that were moved go before an error.
func count(n int, err error) (int, errno.Errno) {
	if n > 0 || err == nil || err == io.EOF {
		return max(n, 0), errno.OK
	}
	return 0, errno.From(err)
}

// writable returns the entry of fd if it can be written.
func (f *Files) writable(fd int32) (*entry, errno.Errno) {
	e := f.get(fd)
	if e == nil || !e.flags.writable() {
		return nil, errno.EBADF
	}
	return e, errno.OK
}

// Write writes p at the descriptor's position and moves it. A write to a stream is not mixed with others. Fewer bytes than len(p) with OK
// means that something then went wrong, which the next Write says.
func (f *Files) Write(fd int32, p []byte) (int, errno.Errno) {
	e, num := f.writable(fd)
	if num != errno.OK {
		return 0, num
	}
	n := 0
	if e.out != nil {
		n, num = e.out.write(p)
	} else {
		n, num = e.write(p)
	}
	if n > 0 {
		return n, errno.OK
	}
	return 0, num
}

// WriteAll writes bufs one after the other as if they were one piece: what else is written to fd comes before all or after all of them. It
// returns how many bytes were written and, if that is not all, why.
func (f *Files) WriteAll(fd int32, bufs [][]byte) (int, errno.Errno) {
	e, num := f.writable(fd)
	if num != errno.OK {
		return 0, num
	}
	if e.out != nil {
		return e.out.writeAll(bufs)
	}
	if e.class == regular {
		e.mu.Lock()
		defer e.mu.Unlock()
	}
	return gather(bufs, e.put)
}

// write writes to a file.
func (e *entry) write(p []byte) (int, errno.Errno) {
	if e.class == regular {
		e.mu.Lock()
		defer e.mu.Unlock()
	}
	return e.put(p)
}

// put writes to a file; the lock is held where there is a position to guard.
func (e *entry) put(p []byte) (int, errno.Errno) {
	n, err := e.file.Write(p)
	return written(n, len(p), err)
}

// Pread reads up to len(p) bytes at off and leaves the position alone. Streams give ESPIPE.
func (f *Files) Pread(fd int32, p []byte, off int64) (int, errno.Errno) {
	e := f.get(fd)
	switch {
	case e == nil:
		return 0, errno.EBADF
	case e.class == directory:
		return 0, errno.EISDIR
	case !e.flags.readable():
		return 0, errno.EBADF
	case e.class == streamIn:
		return 0, errno.ESPIPE
	case off < 0:
		return 0, errno.EINVAL
	case len(p) == 0:
		return 0, errno.OK
	}
	return count(e.file.ReadAt(p, off))
}

// Pwrite writes p at off and leaves the position alone. Streams give ESPIPE. On a descriptor opened with Append it writes at the end, as
// on Linux.
func (f *Files) Pwrite(fd int32, p []byte, off int64) (int, errno.Errno) {
	e, num := f.writable(fd)
	switch {
	case num != errno.OK:
		return 0, num
	case e.class == streamOut:
		return 0, errno.ESPIPE
	case off < 0:
		return 0, errno.EINVAL
	case len(p) == 0:
		return 0, errno.OK
	case e.flags&Append != 0:
		return e.appendKeepingPosition(p)
	}
	n, err := e.file.WriteAt(p, off)
	return count(n, err)
}

func (e *entry) appendKeepingPosition(p []byte) (int, errno.Errno) {
	e.mu.Lock()
	defer e.mu.Unlock()
	at, err := e.file.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0, errno.From(err)
	}
	n, err := e.file.Write(p)
	if _, back := e.file.Seek(at, io.SeekStart); err == nil {
		err = back
	}
	return count(n, err)
}

// Seek moves the position by off bytes from where whence says (SeekSet, SeekCur, SeekEnd) and returns the new one. Streams give ESPIPE.
func (f *Files) Seek(fd int32, off int64, whence int) (int64, errno.Errno) {
	e := f.get(fd)
	switch {
	case e == nil:
		return 0, errno.EBADF
	case e.class == streamIn || e.class == streamOut:
		return 0, errno.ESPIPE
	case e.class == directory:
		return 0, errno.EISDIR
	case whence < SeekSet || whence > SeekEnd:
		return 0, errno.EINVAL
	}
	e.mu.Lock()
	at, err := e.file.Seek(off, whence)
	e.mu.Unlock()
	if err != nil {
		return 0, errno.From(err)
	}
	return at, errno.OK
}

// CloseFD closes fd; a call that is under way on it ends as if it had come first, or with EBADF. The number is free at once. Closing a
// standard stream takes it from the guest only.
func (f *Files) CloseFD(fd int32) errno.Errno {
	e := f.take(fd)
	if e == nil {
		return errno.EBADF
	}
	return errno.From(e.close())
}

// Renumber gives the descriptor from the number to, which must be open and is closed; from is free then. It is WASI's fd_renumber.
func (f *Files) Renumber(from, to int32) errno.Errno {
	old, ok := f.move(from, to)
	if !ok {
		return errno.EBADF
	}
	if old != nil {
		return errno.From(old.close())
	}
	return errno.OK
}

// Flags returns the access and Append flags of fd, as fcntl's F_GETFL does.
func (f *Files) Flags(fd int32) (OpenFlags, errno.Errno) {
	e := f.get(fd)
	if e == nil {
		return 0, errno.EBADF
	}
	return e.flags, errno.OK
}

// Truncate makes the file size bytes long; what is new reads as 0. It gives EINVAL for a negative size and for what is not a file open for
// writing, EROFS in a read-only directory.
func (f *Files) Truncate(fd int32, size int64) errno.Errno {
	e := f.get(fd)
	switch {
	case e == nil:
		return errno.EBADF
	case e.readOnly:
		return errno.EROFS
	case size < 0 || e.class != regular || !e.flags.writable():
		return errno.EINVAL
	}
	return errno.From(e.file.Truncate(size))
}

// Fsync returns when the device has what was written to fd. What cannot be synced gives EINVAL.
func (f *Files) Fsync(fd int32) errno.Errno {
	e := f.get(fd)
	switch {
	case e == nil:
		return errno.EBADF
	case e.class != regular && e.class != directory:
		return errno.EINVAL
	}
	return errno.From(e.file.Sync())
}
