package hostcall

import (
	"encoding/binary"
	"reflect"
	"unsafe"

	"github.com/dialtone-gpu/dialtone/hostcall/wire"
)

// PresetTickets makes the next run of such a launch go on as if every slot had sent that many packets, and
// had left answers with the numbers of the packets to come a lap ago.
func PresetTickets(rt *Runtime, grid, group [3]int, ticket uint32) error {
	l := Launch{Grid: grid, Group: group}
	subgroups, items, err := l.count(rt.device.Info())
	if err != nil {
		return err
	}
	s, err := rt.session(place(rt.device.Info(), subgroups, items).shape)
	if err != nil {
		return err
	}
	locks := make([]byte, s.locks())
	for at := 0; at < len(locks); at += wire.LockStride * 4 {
		binary.LittleEndian.PutUint32(locks[at:], ticket<<1)
	}
	if err := s.queue.Write(s.local, 0, locks); err != nil {
		return err
	}
	seq := ticket & wire.SeqMask
	field := reflect.ValueOf(s.slots).Elem().FieldByName("expected")
	expected := *(*[]uint32)(unsafe.Pointer(field.UnsafeAddr()))
	for i := range expected {
		expected[i] = wire.Tag(wire.NextSeq(seq), 0)
	}
	mail := s.mail.Bytes()
	clear(mail[s.slots.RequestHeader:]) // the numbers that an earlier run used come again
	stale := uint32(1)
	put := func(at int) {
		if seq == wire.SeqMask {
			return // the answer to the last packet has emptied the cells
		}
		if seq == wire.SeqMask {
			return // the answer to the last number has emptied them
		}
		binary.LittleEndian.PutUint64(mail[at:], wire.Cell(0xbad00000+stale, wire.Tag(stale, 0)))
		stale = stale%16 + 1
	}
	for slot := range s.slots.Slots {
		put(s.slots.ReplyHeader + slot*wire.ReplyHeaderBytes)
		for _, p := range []wire.Payload{s.slots.Layout.Request, s.slots.Layout.Reply} {
			for at := 0; at < p.CellsStride; at += 8 {
				put(p.Cells + slot*p.CellsStride + at)
			}
		}
	}
	return rt.release(s)
}

// SetTagged forces how short requests of later runs travel.
func SetTagged(rt *Runtime, on bool) { rt.opts.Tagged = &on }
