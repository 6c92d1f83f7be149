package wasi

import "github.com/dialtone-gpu/dialtone/hostcall/service"

// Rights are what may be done with a descriptor, the type rights of WASI preview 1.
//
// What can be done follows from what a descriptor stands for and how it was opened; that is what fd_fdstat_get says. A program can give
// rights away with fd_fdstat_set_rights, and not get them back. Of the rights that path_open is asked for only those to read and to
// write count, which decide how the file is opened: programs ask for rights by habit (wasi-libc for all, Go for those of a file), and
// what they do not ask for they use all the same, as other hosts let them.
type Rights uint64

const (
	RightDatasync Rights = 1 << iota
	RightRead
	RightSeek
	RightFdstatSetFlags
	RightSync
	RightTell
	RightWrite
	RightAdvise
	RightAllocate
	RightPathCreateDirectory
	RightPathCreateFile
	RightPathLinkSource
	RightPathLinkTarget
	RightPathOpen
	RightReaddir
	RightPathReadlink
	RightPathRenameSource
	RightPathRenameTarget
	RightPathFilestatGet
	RightPathFilestatSetSize
	RightPathFilestatSetTimes
	RightFilestatGet
	RightFilestatSetSize
	RightFilestatSetTimes
	RightPathSymlink
	RightPathRemoveDirectory
	RightPathUnlinkFile
	RightPoll
	RightSockShutdown
	RightSockAccept

	allRights = RightSockAccept<<1 - 1
)

const (
	readRights   = RightRead
	writeRights  = RightWrite | RightDatasync | RightAllocate | RightFilestatSetSize
	commonRights = RightFdstatSetFlags | RightFilestatGet | RightPoll
	// What a terminal lacks is how wasi-libc's isatty knows it: seek and tell.
	fileRights = commonRights | RightSeek | RightTell | RightSync | RightAdvise | RightFilestatSetTimes

	lookRights   = RightPathOpen | RightReaddir | RightPathReadlink | RightPathFilestatGet | RightSync
	changeRights = RightPathCreateDirectory | RightPathCreateFile | RightPathLinkSource | RightPathLinkTarget | RightPathRenameSource |
		RightPathRenameTarget | RightPathFilestatSetSize | RightPathFilestatSetTimes | RightPathSymlink | RightPathRemoveDirectory |
		RightPathUnlinkFile | RightFilestatSetTimes | RightDatasync
)

// rights are what can be done with a descriptor and with what is opened from it.
func rights(kind service.Kind, flags service.OpenFlags, readOnly bool) (base, inheriting Rights) {
	switch kind {
	case service.KindDir:
		base, inheriting = commonRights|lookRights|changeRights, fileRights|readRights|writeRights|commonRights|lookRights|changeRights
		if readOnly {
			base &^= changeRights
			inheriting &^= changeRights | writeRights
		}
		return base, inheriting
	case service.KindFile:
		base = fileRights
	case service.KindSocket:
		base = commonRights | RightSockShutdown | RightSockAccept
	default:
		base = commonRights
	}
	switch flags & 3 {
	case service.ReadOnly:
		base |= readRights
	case service.WriteOnly:
		base |= writeRights
	default:
		base |= readRights | writeRights
	}
	if kind != service.KindFile {
		base &^= RightDatasync | RightAllocate | RightFilestatSetSize
	}
	return base, 0
}
