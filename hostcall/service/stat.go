package service

import (
	"io/fs"

	"github.com/dialtone-gpu/dialtone/hostcall/errno"
)

// Kind is what a name or descriptor stands for.
type Kind uint8

// The numbers are fixed; they are part of the protocol.
const (
	KindUnknown Kind = 0
	KindFile    Kind = 1
	KindDir     Kind = 2
	KindSymlink Kind = 3
	KindChar    Kind = 4 // a terminal, /dev/null
	KindBlock   Kind = 5
	KindFIFO    Kind = 6 // a pipe; also a standard stream that is no file of the host
	KindSocket  Kind = 7
)

// Stat describes a file. What the host does not tell is 0.
type Stat struct {
	Size  int64 // bytes
	Kind  Kind
	Mode  uint32 // permissions, 0o7777
	MTime int64  // of the content; nanoseconds since 1970 in UTC, as all times
	ATime int64  // of the last read
	CTime int64  // of the last change to the description
	Inode uint64 // 0 on Windows
	Dev   uint64 // 0 on Windows
	Nlink uint64 // 1 on Windows
}

func kindOf(m fs.FileMode) Kind {
	switch m.Type() {
	case 0:
		return KindFile
	case fs.ModeDir:
		return KindDir
	case fs.ModeSymlink:
		return KindSymlink
	case fs.ModeDevice | fs.ModeCharDevice:
		return KindChar
	case fs.ModeDevice:
		return KindBlock
	case fs.ModeNamedPipe:
		return KindFIFO
	case fs.ModeSocket:
		return KindSocket
	}
	return KindUnknown
}

func statOf(info fs.FileInfo) Stat {
	m := info.Mode()
	s := Stat{Size: info.Size(), Kind: kindOf(m), Mode: uint32(m.Perm()), MTime: info.ModTime().UnixNano(), Nlink: 1}
	if m&fs.ModeSetuid != 0 {
		s.Mode |= 0o4000
	}
	if m&fs.ModeSetgid != 0 {
		s.Mode |= 0o2000
	}
	if m&fs.ModeSticky != 0 {
		s.Mode |= 0o1000
	}
	fillStat(&s, info.Sys())
	return s
}

// Stat describes what path leads to.
func (f *Files) Stat(path string) (Stat, errno.Errno) { return f.StatAt(AtRoot, path, true) }

// Lstat describes what path names: a symbolic link itself, not where it leads.
func (f *Files) Lstat(path string) (Stat, errno.Errno) { return f.StatAt(AtRoot, path, false) }

// StatAt describes path, which starts at the directory dir; follow says whether a link at its end is followed.
func (f *Files) StatAt(dir int32, path string, follow bool) (Stat, errno.Errno) {
	p, e := f.resolve(dir, path)
	if e != errno.OK {
		return Stat{}, e
	}
	stat := p.root.Lstat
	if follow {
		stat = p.root.Stat
	}
	info, err := stat(p.name)
	if err != nil {
		return Stat{}, errno.From(err)
	}
	return statOf(info), errno.OK
}

// Fstat describes an open descriptor.
func (f *Files) Fstat(fd int32) (Stat, errno.Errno) {
	e := f.get(fd)
	if e == nil {
		return Stat{}, errno.EBADF
	}
	var info fs.FileInfo
	var err error
	switch {
	case e.sharedRoot:
		info, err = e.root.Stat(".")
	case e.class == listening || e.class == connected:
		return Stat{Kind: KindSocket, Mode: 0o600, Nlink: 1}, errno.OK
	case e.file == nil:
		return Stat{Kind: KindFIFO, Mode: 0o600, Nlink: 1}, errno.OK
	default:
		info, err = e.file.Stat()
	}
	if err != nil {
		return Stat{}, errno.From(err)
	}
	return statOf(info), errno.OK
}
