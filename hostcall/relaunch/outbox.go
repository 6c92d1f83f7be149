package relaunch

import (
	"encoding/binary"
	"fmt"

	"github.com/dialtone-gpu/dialtone/hostcall/wire"
)

// Head is the head of the outbox as the device left it.
type Head [wire.OutHead]uint32

// HeadBytes is its size.
const HeadBytes = 4 * wire.OutHead

// ReadHead decodes it.
func ReadHead(b []byte) (h Head) {
	for i := range h {
		h[i] = word(b, i)
	}
	return h
}

// Used is how many bytes of an outbox with room for that many words hold records of a launch, before which posted words had
// been posted.
func (h *Head) Used(posted uint32, room int) int {
	return 4 * int(min(uint64(h[wire.OutPosted]-posted), uint64(room)))
}

// Full reports whether a call of that launch found no room.
func (h *Head) Full(launch uint32) bool { return h[wire.OutFull] == launch }

// Cancelled reports whether a work-item of that launch waits for another.
func (h *Head) Cancelled(launch uint32) bool { return h[wire.OutCancelled] == launch }

func word(b []byte, i int) uint32 { return binary.LittleEndian.Uint32(b[4*i:]) }

// request is a call that a work-item made, copied and not yet checked.
type request struct {
	item  uint32
	call  uint32 // the call word
	done  uint32 // answers that the work-item will not need again
	words [wire.MaxWords]uint32
	in    int
	bytes []byte
}

func (r *request) op() wire.Opcode { return wire.Opcode(r.call & wire.OpcodeMask) }
func (r *request) out() int        { return int(r.call >> wire.OutShift & wire.CountMask) }
func (r *request) withBytes() bool { return r.call&wire.WithBytes != 0 }
func (r *request) more() bool      { return r.call&wire.More != 0 }

// malformed reports whether the call makes no sense.
func (r *request) malformed() bool {
	in := int(r.call >> wire.InShift & wire.CountMask)
	return in != r.in || r.out() > wire.MaxWords || r.more() && !r.withBytes() || r.withBytes() && in == 0 ||
		r.call&(wire.TaggedRequest|wire.TaggedReply) != 0 || r.call>>30 != 0
}

// breach is what a kernel did that it must not do.
type breach struct {
	kind uint32 // wire.RecordDiverged or wire.RecordRefused
	item uint32
	op   wire.Opcode
}

// decode reads the records of a launch. It gives the calls that are complete, in their order; bytes of one that found no room in its
// middle are dropped. An error says where the records stop to make sense: what came before it is good.
func decode(records []byte, launch uint32, items int) (calls []*request, breaches []breach, err error) {
	var staged map[uint32][]byte
	var room []request // for the next calls: one allocation serves many
	n := len(records) / 4
	for at := 0; at < n; {
		damaged := func(why string) error {
			return fmt.Errorf("the outbox of launch %d is damaged at word %d of %d: %s", launch, at, n, why)
		}
		head := word(records, at)
		size, kind := int(head&wire.RecordSizeMask), head>>wire.RecordKindShift&wire.RecordKindMask
		if head>>wire.RecordLaunchShift != launch&0xff {
			return calls, breaches, damaged("a record that was not written")
		}
		if kind == wire.RecordEnd {
			return calls, breaches, nil
		}
		words := size // behind the head
		switch kind {
		case wire.RecordBytes:
			words = (size + 3) / 4
		case wire.RecordCall:
			words = size + 2
		case wire.RecordDiverged, wire.RecordRefused:
			words = 1
		default:
			return calls, breaches, damaged(fmt.Sprintf("a record of kind %d", kind))
		}
		if words > n-at-wire.RecordHead {
			return calls, breaches, damaged(fmt.Sprintf("a record of %d words", words))
		}
		item := word(records, at+1)
		if uint64(item) >= uint64(items) {
			return calls, breaches, damaged(fmt.Sprintf("work-item %d of %d", item, items))
		}
		body := records[4*(at+wire.RecordHead):][:4*words]
		switch kind {
		case wire.RecordBytes:
			// Whole words: the next piece continues behind what fills one up. The first piece need not be copied.
			if b := staged[item]; b == nil {
				if staged == nil {
					staged = map[uint32][]byte{}
				}
				staged[item] = body[:len(body):len(body)]
			} else {
				staged[item] = append(b, body...)
			}
		case wire.RecordCall:
			if len(room) == 0 {
				room = make([]request, min((n-at)/(wire.RecordHead+words), 64)+1)
			}
			r := &room[0]
			room = room[1:]
			*r = request{item: item, call: word(body, 0), done: word(body, 1), in: size, bytes: staged[item]}
			delete(staged, item)
			if size <= wire.MaxWords {
				for i := range size {
					r.words[i] = word(body, 2+i)
				}
			}
			calls = append(calls, r)
		default:
			breaches = append(breaches, breach{kind, item, wire.Opcode(word(body, 0) & wire.OpcodeMask)})
		}
		at += wire.RecordHead + words
	}
	return calls, breaches, nil
}
