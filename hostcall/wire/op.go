package wire

// Opcode names a call.
type Opcode uint16

// Call describes one opcode: what a lane sends and gets. In and Out count words; a call
// WithBytes has the byte count as word 0 of In; a path among the bytes is a word with its length,
// its bytes and zeros up to a whole word. Out words of 64-bit values come low half first.
type Call struct {
	Op    Opcode
	Name  string // C constant HC_OP_<Name>
	In    int
	Out   int
	Bytes bool
	Doc   string
}

// The calls. Opcodes are never reused for another meaning.
const (
	OpNoop Opcode = 1

	OpWrite  Opcode = 16
	OpRead   Opcode = 17
	OpPrintf Opcode = 18

	OpOpen     Opcode = 32
	OpClose    Opcode = 33
	OpPread    Opcode = 34
	OpPwrite   Opcode = 35
	OpSeek     Opcode = 36
	OpStat     Opcode = 37
	OpFstat    Opcode = 38
	OpMkdir    Opcode = 39
	OpUnlink   Opcode = 40
	OpRmdir    Opcode = 41
	OpRename   Opcode = 42
	OpReaddir  Opcode = 43
	OpTruncate Opcode = 44
	OpFsync    Opcode = 45

	OpClock Opcode = 64
	OpSleep Opcode = 65

	OpRandom Opcode = 80

	OpExit   Opcode = 96
	OpAbort  Opcode = 97
	OpAssert Opcode = 98
)

// Calls is the table of all calls that dialtone itself serves.
var Calls = []Call{
	{OpNoop, "NOOP", 1, 1, false, "gives the word back"},

	{OpWrite, "WRITE", 4, 1, true, "bytes, fd -> bytes written"},
	{OpRead, "READ", 5, 1, true, "0, fd, bytes wanted -> bytes read"},
	{OpPrintf, "PRINTF", 2, 1, true, "format and arguments, fd -> bytes printed"},

	{OpOpen, "OPEN", 3, 1, true, "path, flags, mode -> fd"},
	{OpClose, "CLOSE", 1, 0, false, "fd"},
	{OpPread, "PREAD", 5, 1, true, "0, fd, bytes wanted, offset -> bytes read"},
	{OpPwrite, "PWRITE", 4, 1, true, "bytes, fd, offset -> bytes written"},
	{OpSeek, "SEEK", 4, 2, false, "fd, whence, offset -> position"},
	{OpStat, "STAT", 2, 12, true, "path -> size, mtime, atime, ctime, inode (64-bit ns each), kind, mode"},
	{OpFstat, "FSTAT", 1, 12, false, "fd -> as STAT"},
	{OpMkdir, "MKDIR", 2, 0, true, "path, mode"},
	{OpUnlink, "UNLINK", 2, 0, true, "path of a file"},
	{OpRmdir, "RMDIR", 2, 0, true, "path of an empty directory"},
	{OpRename, "RENAME", 1, 0, true, "old path, new path"},
	{OpReaddir, "READDIR", 4, 6, true, "0, fd, cookie -> next cookie, inode, kind, length of the name, 0 at the end; the name as bytes"},
	{OpTruncate, "TRUNCATE", 3, 0, false, "fd, size"},
	{OpFsync, "FSYNC", 1, 0, false, "fd"},

	{OpClock, "CLOCK", 1, 3, false, "clock (0 wall, 1 monotonic) -> seconds (64-bit), nanoseconds"},
	{OpSleep, "SLEEP", 2, 0, false, "nanoseconds (64-bit)"},

	{OpRandom, "RANDOM", 5, 1, true, "0, 0, bytes wanted -> bytes given"},

	{OpExit, "EXIT", 1, 0, false, "exit code of the program"},
	{OpAbort, "ABORT", 2, 0, true, "message, line"},
	{OpAssert, "ASSERT", 2, 0, true, "file, NUL, condition; line"},
}

// BytesBack gives the word of an answer that counts the bytes which come back with it, if any do.
func BytesBack(op Opcode) (word int, ok bool) {
	switch {
	case op == OpRead, op == OpPread, op == OpRandom, op >= FirstUserOpcode:
		return 0, true
	case op == OpReaddir:
		return 5, true
	}
	return 0, false
}
