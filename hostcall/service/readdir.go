package service

import (
	"github.com/dialtone-gpu/dialtone/hostcall/errno"
)

// Dirent is one name in a directory.
type Dirent struct {
	Name  string
	Kind  Kind
	Inode uint64 // 0 where the host does not tell
	Next  uint64 // the cookie with which Readdir goes on behind this name
}

// Readdir puts the names of the directory fd that follow cookie into list and returns how many they are, 0 at the end. Cookie 0 is the start,
// every other one is some Dirent's Next, which stays good until fd is closed; as long as nobody changes the directory, all names come once
// each. "." and ".." are left out. The order is the host's.
func (f *Files) Readdir(fd int32, cookie uint64, list []Dirent) (int, errno.Errno) {
	e := f.get(fd)
	switch {
	case e == nil:
		return 0, errno.EBADF
	case e.class != directory:
		return 0, errno.ENOTDIR
	case len(list) == 0:
		return 0, errno.EINVAL
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, err := e.openLocked(); err != nil {
		return 0, errno.From(err)
	}
	n, err := e.cursor.read(e, cookie, list)
	if n == 0 && e.sharedRoot && e.file != nil { // at the end, or not to be read: who goes on opens it again
		e.cursor.close()
		e.cursor = cursor{}
		e.file.Close()
		e.file = nil
	}
	if n > 0 || err == nil {
		return n, errno.OK
	}
	return 0, errno.From(err)
}
