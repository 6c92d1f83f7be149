package service

import (
	"net"
	"os"
	"sync"
	"sync/atomic"

	"github.com/dialtone-gpu/dialtone/hostcall/errno"
)

// class is how an open descriptor is served.
type class uint8

const (
	streamIn  class = iota // standard input
	streamOut              // standard output and error
	regular                // a file on a disk: has a position, never waits
	directory
	special   // a pipe, terminal or other device in an opened directory
	listening // a listener of the policy
	connected // a connection that it accepted
)

// entry is an open descriptor. Its fields are set before it enters the table; mu guards what the position of the file is for regular files
// and the cursor for directories.
//
// An entry is never used again after Close, and package os lets a file be closed while it is read, so a call that found the entry just before
// its Close ends well or with EBADF, whatever has taken its number since.
type entry struct {
	class    class
	flags    OpenFlags
	readOnly bool // lies in a read-only directory

	file       *os.File // nil for streams that are no files, which os.File's methods must not meet, and while a directory is not listed
	in         *Stdin   // streamIn; special that can be read; connected
	out        *stream  // streamOut; connected
	root       *os.Root // directory; nil if its own names may not be looked up
	sharedRoot bool     // root belongs to the Host
	listener   *listener
	conn       net.Conn

	status atomic.Uint32 // Append and NonBlock as they are now

	mu     sync.Mutex
	cursor cursor
	closed bool // directory
}

// isStream says that there is no position.
func (e *entry) isStream() bool {
	switch e.class {
	case streamIn, streamOut, listening, connected:
		return true
	}
	return false
}

// appends says that every write goes to the end.
func (e *entry) appends() bool { return OpenFlags(e.status.Load())&Append != 0 }

// open gives the file of a directory whose root is shared, which is opened when it is needed; else the entry's.
func (e *entry) open() (*os.File, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.openLocked()
}

func (e *entry) openLocked() (*os.File, error) {
	if e.file == nil && e.sharedRoot {
		if e.closed {
			return nil, errno.EBADF
		}
		file, err := e.root.OpenFile(".", os.O_RDONLY|openAlways|openDirectory, 0)
		if err != nil {
			return nil, err
		}
		e.file = file
	}
	return e.file, nil
}

// close releases what the entry owns. Standard streams belong to the host.
func (e *entry) close() error {
	switch e.class {
	case streamIn, streamOut:
		return nil
	case directory:
		e.mu.Lock()
		defer e.mu.Unlock()
		e.closed = true
		e.cursor.close()
		if e.root != nil && !e.sharedRoot {
			e.root.Close()
		}
		if e.file == nil {
			return nil
		}
	case listening:
		return nil
	case connected:
		e.in.Close()
		return e.conn.Close()
	case special:
		if e.in != nil {
			e.in.Close()
		}
	}
	return e.file.Close()
}

// table maps descriptors to entries. Looking one up takes no lock.
type table struct {
	slots []atomic.Pointer[entry]

	mu     sync.Mutex
	used   []bool // also the numbers that are reserved but not yet filled
	lowest int    // all numbers below are used
	closed bool
}

func newTable(limit int) table {
	return table{slots: make([]atomic.Pointer[entry], limit), used: make([]bool, limit)}
}

func (t *table) get(fd int32) *entry {
	if fd < 0 || int(fd) >= len(t.slots) {
		return nil
	}
	return t.slots[fd].Load()
}

// reserve takes the lowest free number, so that an open that cannot succeed is refused before it creates a file.
func (t *table) reserve() (int32, errno.Errno) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return -1, errno.EBADF
	}
	for fd := t.lowest; fd < len(t.used); fd++ {
		if !t.used[fd] {
			t.used[fd] = true
			t.lowest = fd + 1
			return int32(fd), errno.OK
		}
	}
	t.lowest = len(t.used)
	return -1, errno.EMFILE
}

// fill gives a reserved number its entry. It fails when the table has been closed meanwhile.
func (t *table) fill(fd int32, e *entry) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return false
	}
	t.slots[fd].Store(e)
	return true
}

// free gives back a number that was reserved and not filled.
func (t *table) free(fd int32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.release(fd)
}

func (t *table) release(fd int32) {
	t.used[fd] = false
	t.lowest = min(t.lowest, int(fd))
}

// take empties fd and returns what it held, nil if nothing.
func (t *table) take(fd int32) *entry {
	if fd < 0 || int(fd) >= len(t.slots) {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.slots[fd].Load()
	if e != nil {
		t.slots[fd].Store(nil)
		t.release(fd)
	}
	return e
}

// move makes to stand for what from stood for, and from for nothing. It returns what to held.
func (t *table) move(from, to int32) (old *entry, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e, old := t.get(from), t.get(to)
	if e == nil || old == nil {
		return nil, false
	}
	if from == to {
		return nil, true
	}
	t.slots[to].Store(e)
	t.slots[from].Store(nil)
	t.release(from)
	return old, true
}

// shut empties the table for good and returns what it held.
func (t *table) shut() []*entry {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	var all []*entry
	for i := range t.slots {
		if e := t.slots[i].Swap(nil); e != nil {
			all = append(all, e)
		}
	}
	return all
}
