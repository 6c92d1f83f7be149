package wasi

import (
	"encoding/binary"

	"github.com/dialtone-gpu/dialtone/hostcall/service"
)

// Sizes of the structures that calls read and fill, and their numbers, as WASI preview 1 defines them ("snapshot/docs.md").
const (
	subscriptionSize = 48
	eventSize        = 32
	direntSize       = 24
)

// filetype is the type of that name.
func filetype(k service.Kind) byte {
	switch k {
	case service.KindBlock:
		return 1
	case service.KindChar:
		return 2
	case service.KindDir:
		return 3
	case service.KindFile:
		return 4
	case service.KindSocket:
		return 6 // socket_stream: the listeners of a policy are of no other kind
	case service.KindSymlink:
		return 7
	}
	return 0 // unknown: a pipe, a standard stream that is no file
}

// fdflags, the type of that name.
const (
	fdAppend   = 1 << 0
	fdDsync    = 1 << 1
	fdNonblock = 1 << 2
	fdRsync    = 1 << 3
	fdSyncing  = 1 << 4
	fdFlags    = 1<<5 - 1
)

// flagsOf are the fdflags of an open descriptor.
func flagsOf(f service.OpenFlags) (w uint16) {
	if f&service.Append != 0 {
		w |= fdAppend
	}
	if f&service.NonBlock != 0 {
		w |= fdNonblock
	}
	if f&service.Sync == service.Sync {
		w |= fdSyncing
	}
	return w
}

// openFlags is the inverse of flagsOf; one kind of synchronisation stands for all.
func openFlags(w uint32) (f service.OpenFlags) {
	if w&fdAppend != 0 {
		f |= service.Append
	}
	if w&fdNonblock != 0 {
		f |= service.NonBlock
	}
	if w&(fdDsync|fdRsync|fdSyncing) != 0 {
		f |= service.Sync
	}
	return f
}

// putFilestat is the structure filestat.
func (c *call) putFilestat(s service.Stat) {
	c.put64(s.Dev)
	c.put64(s.Inode)
	c.put64(uint64(filetype(s.Kind)))
	c.put64(s.Nlink)
	c.put64(uint64(s.Size))
	c.put64(uint64(s.ATime))
	c.put64(uint64(s.MTime))
	c.put64(uint64(s.CTime))
}

// appendDirent is the structure dirent with the name behind it.
func appendDirent(b []byte, next, inode uint64, kind service.Kind, name string) []byte {
	b = binary.LittleEndian.AppendUint64(b, next)
	b = binary.LittleEndian.AppendUint64(b, inode)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(name)))
	b = append(b, filetype(kind), 0, 0, 0)
	return append(b, name...)
}

// event is the structure of that name.
type event struct {
	userdata uint64
	error    uint32
	kind     byte
	bytes    uint64
	hangup   bool
}

func (c *call) putEvents(list []event) {
	b := make([]byte, 0, eventSize*len(list))
	for _, e := range list {
		b = binary.LittleEndian.AppendUint64(b, e.userdata)
		b = binary.LittleEndian.AppendUint16(b, uint16(e.error))
		b = append(b, e.kind, 0, 0, 0, 0, 0)
		b = binary.LittleEndian.AppendUint64(b, e.bytes)
		flags := uint64(0)
		if e.hangup {
			flags = 1
		}
		b = binary.LittleEndian.AppendUint64(b, flags)
	}
	c.putBytes(b)
}
