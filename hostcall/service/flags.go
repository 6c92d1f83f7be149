package service

// OpenFlags are the flags of Open. The numbers are those of Linux on x86, on every host.
type OpenFlags uint32

// One of the first three says what the descriptor is for; the others may be added to it.
const (
	ReadOnly  OpenFlags = 0
	WriteOnly OpenFlags = 1
	ReadWrite OpenFlags = 2

	Create    OpenFlags = 0o100     // make a file that does not exist
	Exclusive OpenFlags = 0o200     // with Create: EEXIST if it does
	Truncate  OpenFlags = 0o1000    // cut to nothing; needs the right to write
	Append    OpenFlags = 0o2000    // every write goes to the end
	NonBlock  OpenFlags = 0o4000    // EAGAIN where a call would wait
	Directory OpenFlags = 0o200000  // ENOTDIR unless it is a directory
	NoFollow  OpenFlags = 0o400000  // ELOOP if the last component is a symbolic link
	Sync      OpenFlags = 0o4010000 // a write returns when the device has it

	accessMask OpenFlags = 3
	knownFlags           = accessMask | Create | Exclusive | Truncate | Append | NonBlock | Directory | NoFollow | Sync
)

// What Seek counts from. The numbers are those of POSIX, WASI and package io.
const (
	SeekSet = 0 // the start
	SeekCur = 1 // the current position
	SeekEnd = 2 // the end
)

// Constant is a number that kernels and the host agree on.
type Constant struct {
	Name  string // as in POSIX, for a generated header to put a prefix before
	Value uint32
}

// Constants lists the flags, kinds and origins.
func Constants() []Constant {
	return []Constant{
		{"O_RDONLY", uint32(ReadOnly)}, {"O_WRONLY", uint32(WriteOnly)}, {"O_RDWR", uint32(ReadWrite)},
		{"O_CREAT", uint32(Create)}, {"O_EXCL", uint32(Exclusive)}, {"O_TRUNC", uint32(Truncate)}, {"O_APPEND", uint32(Append)},
		{"O_DIRECTORY", uint32(Directory)}, {"O_NOFOLLOW", uint32(NoFollow)}, {"O_SYNC", uint32(Sync)},
		{"SEEK_SET", SeekSet}, {"SEEK_CUR", SeekCur}, {"SEEK_END", SeekEnd},
		{"KIND_UNKNOWN", uint32(KindUnknown)}, {"KIND_FILE", uint32(KindFile)}, {"KIND_DIR", uint32(KindDir)},
		{"KIND_SYMLINK", uint32(KindSymlink)}, {"KIND_CHAR", uint32(KindChar)}, {"KIND_BLOCK", uint32(KindBlock)},
		{"KIND_FIFO", uint32(KindFIFO)}, {"KIND_SOCKET", uint32(KindSocket)},
	}
}

func (f OpenFlags) readable() bool { return f&accessMask != WriteOnly }
func (f OpenFlags) writable() bool { return f&accessMask != ReadOnly }
