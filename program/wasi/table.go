package wasi

import (
	"slices"

	"github.com/dialtone-gpu/dialtone/hostcall/errno"
	"github.com/dialtone-gpu/dialtone/program/wasm"
)

// Module is the name of the module that programs import the calls from.
const Module = "wasi_snapshot_preview1"

// Call is a function of WASI preview 1, as its definition has it (WebAssembly/WASI, "snapshot/docs.md" of preview 1): parameters, and where
// in linear memory its operands lie. The device gathers In before the call and stores Out behind it, from this table; the host serves the
// call from the same.
type Call struct {
	Name   string
	Number int           // in this table
	Params wasm.ValTypes // i32 and i64; pointers and lengths are i32
	Result bool          // it gives an errno; proc_exit does not return
	In     []Operand     // gathered, in this order
	Out    []Operand     // stored if the errno is 0: first those of a fixed size
	Own    bool          // made by the machine, not by the program: no import

	right Rights                    // needed on the descriptor that the first parameter names
	waits bool                      // it may wait for what is outside of the host
	serve func(c *call) errno.Errno // nil for what the device answers by itself
}

// Type is the type that an import of the call must have.
func (c Call) Type() wasm.FuncType {
	t := wasm.FuncType{Params: c.Params}
	if c.Result {
		t.Results = wasm.ValTypes([]wasm.ValType{wasm.I32})
	}
	return t
}

// wide says which parameters have 64 bits.
func (c *Call) wide() []bool {
	w := make([]bool, len(c.Params))
	for i := range w {
		w[i] = c.isWide(i)
	}
	return w
}

func (c *Call) isWide(param int) bool { return wasm.ValType(c.Params[param]) == wasm.I64 }

// words is how many 32-bit words the parameters take in a request.
func (c *Call) words() int {
	n := len(c.Params)
	for i := range len(c.Params) {
		if c.isWide(i) {
			n++
		}
	}
	return n
}

// Kind is how an operand lies in linear memory.
type Kind uint8

const (
	Bytes  Kind = 1 // at the pointer in Param; Length counts elements of Size bytes
	Vector Kind = 2 // pieces: Param points to pairs of pointer and length, 32 bits each, and Length counts them
	Fixed  Kind = 3 // Size bytes at the pointer in Param
	Open   Kind = 4 // at the pointer in Param; the host knows how many bytes
)

// Operand is memory that a call reads or fills.
type Operand struct {
	Kind   Kind
	Param  int // the parameter that points to it
	Length int // the parameter that counts
	Size   int // bytes
	Most   int // In: bytes that travel, a power of two; what is behind them stays
}

const (
	// mostPieces of a vector take part in a call, as POSIX has it with IOV_MAX. A call that moves fewer bytes than it could is right.
	mostPieces = 1024
	// mostOperands a call may have, In and Out together.
	mostOperands = 4
	// mostParams a call may have.
	mostParams = 9
)

// What travels to the host: a path that is too long by one byte tells the host so.
const (
	mostPath          = 4096
	mostWrite         = 1 << 20
	mostSubscriptions = 64 << 10
)

// sig makes parameter types: "i" is i32, "l" i64.
func sig(letters string) wasm.ValTypes {
	var b []wasm.ValType
	for _, l := range letters {
		if l == 'l' {
			b = append(b, wasm.I64)
		} else {
			b = append(b, wasm.I32)
		}
	}
	return wasm.ValTypes(b)
}

func pathAt(param int) Operand {
	return Operand{Kind: Bytes, Param: param, Length: param + 1, Size: 1, Most: mostPath}
}
func bytesAt(param int) Operand {
	return Operand{Kind: Bytes, Param: param, Length: param + 1, Size: 1}
}
func vectorAt(param int) Operand { return Operand{Kind: Vector, Param: param, Length: param + 1} }
func sentAt(param int) Operand {
	return Operand{Kind: Vector, Param: param, Length: param + 1, Most: mostWrite}
}
func fixed(param, size int) Operand { return Operand{Kind: Fixed, Param: param, Size: size} }
func open(param int) Operand        { return Operand{Kind: Open, Param: param} }

// calls is the table. The order is the numbering between device and host, and has no other meaning.
var calls = []Call{
	// The end of an instance that trapped: trap number, function index, offset of the instruction.
	{Name: "trap", Params: sig("iii"), Own: true, serve: trap},

	{Name: "args_get", Params: sig("ii"), Out: []Operand{open(0), open(1)}, serve: argsGet},
	{Name: "args_sizes_get", Params: sig("ii"), Out: []Operand{fixed(0, 4), fixed(1, 4)}, serve: argsSizesGet},
	{Name: "environ_get", Params: sig("ii"), Out: []Operand{open(0), open(1)}, serve: environGet},
	{Name: "environ_sizes_get", Params: sig("ii"), Out: []Operand{fixed(0, 4), fixed(1, 4)}, serve: environSizesGet},

	{Name: "clock_res_get", Params: sig("ii"), Out: []Operand{fixed(1, 8)}, serve: clockResGet},
	{Name: "clock_time_get", Params: sig("ili"), Out: []Operand{fixed(2, 8)}, serve: clockTimeGet},

	{Name: "fd_advise", Params: sig("illi"), right: RightAdvise, serve: fdAdvise},
	{Name: "fd_allocate", Params: sig("ill"), right: RightAllocate, serve: fdAllocate},
	{Name: "fd_close", Params: sig("i"), serve: fdClose},
	{Name: "fd_datasync", Params: sig("i"), right: RightDatasync, serve: fdSync},
	{Name: "fd_fdstat_get", Params: sig("ii"), Out: []Operand{fixed(1, 24)}, serve: fdFdstatGet},
	{Name: "fd_fdstat_set_flags", Params: sig("ii"), right: RightFdstatSetFlags, serve: fdFdstatSetFlags},
	{Name: "fd_fdstat_set_rights", Params: sig("ill"), serve: fdFdstatSetRights},
	{Name: "fd_filestat_get", Params: sig("ii"), Out: []Operand{fixed(1, 64)}, right: RightFilestatGet, serve: fdFilestatGet},
	{Name: "fd_filestat_set_size", Params: sig("il"), right: RightFilestatSetSize, serve: fdFilestatSetSize},
	{Name: "fd_filestat_set_times", Params: sig("illi"), right: RightFilestatSetTimes, serve: fdFilestatSetTimes},
	{Name: "fd_pread", Params: sig("iiili"), Out: []Operand{fixed(4, 4), vectorAt(1)}, right: RightRead | RightSeek, serve: fdPread},
	{Name: "fd_prestat_get", Params: sig("ii"), Out: []Operand{fixed(1, 8)}, serve: fdPrestatGet},
	{Name: "fd_prestat_dir_name", Params: sig("iii"), Out: []Operand{bytesAt(1)}, serve: fdPrestatDirName},
	{Name: "fd_pwrite", Params: sig("iiili"), In: []Operand{sentAt(1)}, Out: []Operand{fixed(4, 4)},
		right: RightWrite | RightSeek, serve: fdPwrite},
	{Name: "fd_read", Params: sig("iiii"), Out: []Operand{fixed(3, 4), vectorAt(1)}, right: RightRead, waits: true, serve: fdRead},
	{Name: "fd_readdir", Params: sig("iiili"), Out: []Operand{fixed(4, 4), bytesAt(1)}, right: RightReaddir, serve: fdReaddir},
	{Name: "fd_renumber", Params: sig("ii"), serve: fdRenumber},
	{Name: "fd_seek", Params: sig("ilii"), Out: []Operand{fixed(3, 8)}, right: RightSeek, serve: fdSeek},
	{Name: "fd_sync", Params: sig("i"), right: RightSync, serve: fdSync},
	{Name: "fd_tell", Params: sig("ii"), Out: []Operand{fixed(1, 8)}, right: RightTell, serve: fdTell},
	{Name: "fd_write", Params: sig("iiii"), In: []Operand{sentAt(1)}, Out: []Operand{fixed(3, 4)},
		right: RightWrite, serve: fdWrite},

	{Name: "path_create_directory", Params: sig("iii"), In: []Operand{pathAt(1)}, right: RightPathCreateDirectory, serve: pathCreateDirectory},
	{Name: "path_filestat_get", Params: sig("iiiii"), In: []Operand{pathAt(2)}, Out: []Operand{fixed(4, 64)}, right: RightPathFilestatGet, serve: pathFilestatGet},
	{Name: "path_filestat_set_times", Params: sig("iiiilli"), In: []Operand{pathAt(2)}, right: RightPathFilestatSetTimes, serve: pathFilestatSetTimes},
	{Name: "path_link", Params: sig("iiiiiii"), In: []Operand{pathAt(2), pathAt(5)}, right: RightPathLinkSource, serve: pathLink},
	{Name: "path_open", Params: sig("iiiiillii"), In: []Operand{pathAt(2)}, Out: []Operand{fixed(8, 4)}, right: RightPathOpen, serve: pathOpen},
	{Name: "path_readlink", Params: sig("iiiiii"), In: []Operand{pathAt(1)}, Out: []Operand{fixed(5, 4), bytesAt(3)},
		right: RightPathReadlink, serve: pathReadlink},
	{Name: "path_remove_directory", Params: sig("iii"), In: []Operand{pathAt(1)}, right: RightPathRemoveDirectory, serve: pathRemoveDirectory},
	{Name: "path_rename", Params: sig("iiiiii"), In: []Operand{pathAt(1), pathAt(4)}, right: RightPathRenameSource, serve: pathRename},
	{Name: "path_symlink", Params: sig("iiiii"), In: []Operand{pathAt(0), pathAt(3)}, serve: pathSymlink}, // its first parameter is no descriptor
	{Name: "path_unlink_file", Params: sig("iii"), In: []Operand{pathAt(1)}, right: RightPathUnlinkFile, serve: pathUnlinkFile},

	// In place of its two pointers the device sends the time of its own clock, low half first, or 0 if programs read the host's.
	{Name: "poll_oneoff", Params: sig("iiii"), In: []Operand{{Kind: Bytes, Param: 0, Length: 2, Size: subscriptionSize, Most: mostSubscriptions}},
		Out: []Operand{fixed(3, 4), {Kind: Bytes, Param: 1, Length: 2, Size: eventSize}}, waits: true, serve: pollOneoff},
	{Name: "proc_exit", Params: sig("i"), serve: procExit},
	{Name: "proc_raise", Params: sig("i"), serve: procRaise},
	{Name: "random_get", Params: sig("ii"), Out: []Operand{bytesAt(0)}, serve: randomGet},
	{Name: "sched_yield"},

	{Name: "sock_accept", Params: sig("iii"), Out: []Operand{fixed(2, 4)}, right: RightSockAccept, waits: true, serve: sockAccept},
	{Name: "sock_recv", Params: sig("iiiiii"), Out: []Operand{fixed(4, 4), fixed(5, 2), vectorAt(1)}, right: RightRead, waits: true, serve: sockRecv},
	{Name: "sock_send", Params: sig("iiiii"), In: []Operand{sentAt(1)}, Out: []Operand{fixed(4, 4)},
		right: RightWrite, serve: sockSend},
	{Name: "sock_shutdown", Params: sig("ii"), right: RightSockShutdown, serve: sockShutdown},
}

func init() {
	for i := range calls {
		calls[i].Number = i
		calls[i].Result = calls[i].Name != "proc_exit" && !calls[i].Own
	}
}

// Lookup finds the call that a program imports from [Module].
func Lookup(name string) (Call, bool) {
	i := slices.IndexFunc(calls, func(c Call) bool { return c.Name == name && !c.Own })
	if i < 0 {
		return Call{}, false
	}
	return calls[i], true
}

// Calls lists the table, by number.
func Calls() []Call { return slices.Clone(calls) }

// number is that of a call of the table.
func number(name string) int {
	return slices.IndexFunc(calls, func(c Call) bool { return c.Name == name })
}

var numberRandomGet = number("random_get")
