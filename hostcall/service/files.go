package service

import (
	"context"
	"errors"
	"io"
	"math"
	"os"
	"time"

	"github.com/dialtone-gpu/dialtone/hostcall/errno"
	"github.com/dialtone-gpu/dialtone/hostcall/policy"
)

// Files is the descriptors of one run or program, over the directories, streams and listeners of a [Host]. Descriptors 0, 1 and 2 are the
// standard streams from the start; Open gives the lowest free number, as in POSIX.
type Files struct {
	table
	host    *Host
	ownHost bool
}

// NewFiles is [NewHost] and [Host.Files] for a run that shares nothing. Close releases all of it.
func NewFiles(p policy.Policy) (*Files, error) {
	h, err := NewHost(p)
	if err != nil {
		return nil, err
	}
	f := h.Files(nil, nil)
	f.ownHost = true
	return f, nil
}

// Close closes every descriptor, wakes what waits in Read, and lets go of the directories unless they are shared. Every later call gives
// EBADF or the like.
func (f *Files) Close() error {
	var errs []error
	for _, e := range f.shut() {
		errs = append(errs, e.close())
	}
	if f.ownHost {
		errs = append(errs, f.host.Close())
	}
	return errors.Join(errs...)
}

// Preopen is a directory that a WASI program finds open when it starts.
type Preopen struct {
	FD    int32
	Guest string
}

// Preopens opens a descriptor for every directory of the policy, in the policy's order: 3, 4, 5 and so on where nothing else is open. They
// take no handle of the host's own until they are listed.
func (f *Files) Preopens() ([]Preopen, errno.Errno) {
	var all []Preopen
	for _, d := range f.host.dirs {
		for i := range f.host.mounts {
			if m := &f.host.mounts[i]; m.Guest == d.Guest {
				fd, e := f.add(&entry{class: directory, readOnly: m.ReadOnly, root: m.root, sharedRoot: true})
				if e != errno.OK {
					return all, e
				}
				all = append(all, Preopen{fd, d.Guest})
			}
		}
	}
	return all, errno.OK
}

// add gives an entry the lowest free number. If there is none, the entry is closed.
func (f *Files) add(e *entry) (int32, errno.Errno) {
	fd, num := f.reserve()
	if num == errno.OK && !f.fill(fd, e) {
		num = errno.EBADF
	}
	if num != errno.OK {
		e.close()
		return -1, num
	}
	return fd, errno.OK
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
	e := &entry{flags: flags &^ (Create | Exclusive | Truncate | NoFollow | Directory | NonBlock), readOnly: p.readOnly, file: file}
	e.status.Store(uint32(flags & (Append | NonBlock)))
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
// stream until something can be read, and gives ECANCELED when ctx ends first; with NonBlock it gives EAGAIN instead.
func (f *Files) Read(ctx context.Context, fd int32, p []byte) (int, errno.Errno) {
	e := f.get(fd)
	switch {
	case e == nil:
		return 0, errno.EBADF
	case e.class == directory:
		return 0, errno.EISDIR
	case !e.flags.readable():
		return 0, errno.EBADF
	case e.class == listening:
		return 0, errno.ENOTCONN
	case len(p) == 0:
		return 0, errno.OK
	case e.in != nil:
		if num := e.patience(ctx, e.in.Ready); num != errno.OK {
			return 0, num
		}
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
	case e.class == listening:
		return e.listener.ready(ctx)
	case e.in != nil:
		return e.in.Ready(ctx)
	}
	return errno.OK
}

// glance is how long a call on a NonBlock descriptor looks whether there is something: a reader that only a goroutine can ask needs a
// moment to answer.
const glance = time.Millisecond

// patience says whether a call that may wait can go on: OK without NonBlock, else whether ready says so at once.
func (e *entry) patience(ctx context.Context, ready func(context.Context) errno.Errno) errno.Errno {
	if OpenFlags(e.status.Load())&NonBlock == 0 {
		return errno.OK
	}
	soon, stop := context.WithTimeout(ctx, glance)
	defer stop()
	num := ready(soon)
	if num == errno.ECANCELED && ctx.Err() == nil {
		return errno.EAGAIN
	}
	return num
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

// WriteAllContext is WriteAll, but for a connection gives up when ctx ends: its other side may not read.
func (f *Files) WriteAllContext(ctx context.Context, fd int32, bufs [][]byte) (int, errno.Errno) {
	if e := f.get(fd); e != nil && e.class == connected {
		return e.send(ctx, bufs)
	}
	return f.WriteAll(fd, bufs)
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
	if e.appends() && e.flags&Append == 0 { // the host does not know of it
		if _, err := e.file.Seek(0, io.SeekEnd); err != nil {
			return 0, errno.From(err)
		}
	}
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
	case e.isStream():
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
	case e.isStream():
		return 0, errno.ESPIPE
	case off < 0:
		return 0, errno.EINVAL
	case len(p) == 0:
		return 0, errno.OK
	case e.appends():
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
	n, num := e.put(p)
	if _, back := e.file.Seek(at, io.SeekStart); num == errno.OK {
		num = errno.From(back)
	}
	if n > 0 {
		return n, errno.OK
	}
	return 0, num
}

// Seek moves the position by off bytes from where whence says (SeekSet, SeekCur, SeekEnd) and returns the new one. Streams give ESPIPE.
func (f *Files) Seek(fd int32, off int64, whence int) (int64, errno.Errno) {
	e := f.get(fd)
	switch {
	case e == nil:
		return 0, errno.EBADF
	case e.isStream():
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

// Flags returns the access, Append, NonBlock and Sync flags of fd, as fcntl's F_GETFL does.
func (f *Files) Flags(fd int32) (OpenFlags, errno.Errno) {
	e := f.get(fd)
	if e == nil {
		return 0, errno.EBADF
	}
	return e.flags | OpenFlags(e.status.Load()), errno.OK
}

// SetFlags sets Append and NonBlock of fd as fcntl's F_SETFL does; what else is in flags must be as it is. Taking Append from a file that was
// opened with it is ENOTSUP, as package os has no way to. Append that is set here is a step to the end and a write: others who
// write to the file at the same moment may come in between.
func (f *Files) SetFlags(fd int32, flags OpenFlags) errno.Errno {
	const settable = Append | NonBlock
	e := f.get(fd)
	switch {
	case e == nil:
		return errno.EBADF
	case (flags^e.flags)&^settable != 0:
		return errno.ENOTSUP
	case e.flags&^flags&Append != 0:
		return errno.ENOTSUP
	}
	e.status.Store(uint32(flags & settable))
	return errno.OK
}

// Allocate makes the file at least off+size bytes long, as posix_fallocate does. Linux also keeps room for them; elsewhere the file grows
// without. It gives EINVAL for a size that is not positive.
func (f *Files) Allocate(fd int32, off, size int64) errno.Errno {
	e, num := f.writable(fd)
	switch {
	case num != errno.OK:
		return num
	case e.isStream():
		return errno.ESPIPE
	case e.class != regular:
		return errno.ENODEV
	case off < 0 || size <= 0:
		return errno.EINVAL
	case off > math.MaxInt64-size:
		return errno.EFBIG
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return errno.From(allocate(e.file, off, size))
}

// SetTimesFD sets when the file that fd stands for was last read and changed, as SetTimes does.
func (f *Files) SetTimesFD(fd int32, atime, mtime int64) errno.Errno {
	e := f.get(fd)
	switch {
	case e == nil:
		return errno.EBADF
	case e.readOnly:
		return errno.EROFS
	case e.class == directory && e.root != nil:
		return errno.From(e.root.Chtimes(".", hostTime(atime), hostTime(mtime)))
	case e.class != regular:
		return errno.EINVAL
	}
	return errno.From(setTimes(e.file, atime, mtime))
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
	file, err := e.open()
	if err == nil {
		err = file.Sync()
	}
	return errno.From(err)
}

// ReadOnly says whether fd lies in a read-only directory of the policy.
func (f *Files) ReadOnly(fd int32) (bool, errno.Errno) {
	e := f.get(fd)
	if e == nil {
		return false, errno.EBADF
	}
	return e.readOnly, errno.OK
}
