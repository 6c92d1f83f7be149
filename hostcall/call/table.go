package call

import (
	"fmt"
	"slices"

	"github.com/dialtone-gpu/dialtone/hostcall/wire"
)

// Table says who serves which opcode, for every transport.
type Table struct {
	own  [128]Entry // dialtone's calls
	user []Entry    // those from wire.FirstUserOpcode on
}

// Entry is who serves an opcode; without a Handler nobody does.
type Entry struct {
	Handler Handler
	Inline  bool // it neither blocks nor takes long, nor allocates
	in      int  // words that a request must have at least
	bytes   bool // it must carry bytes
}

// Fits reports whether a request of that many words, with bytes or without, has what the handler looks at.
func (e *Entry) Fits(in int, bytes bool) bool { return in >= e.in && (!e.bytes || bytes) }

// Clone gives a table of its own with the same entries.
func (t *Table) Clone() *Table {
	c := *t
	c.user = slices.Clone(t.user)
	return &c
}

// Set makes h serve op. An inline handler runs wherever the transport decodes requests: it must neither block nor take
// long, nor allocate.
func (t *Table) Set(op wire.Opcode, h Handler, inline bool) {
	e := Entry{Handler: h, Inline: inline}
	for _, c := range wire.Calls {
		if c.Op == op {
			e.in, e.bytes = c.In, c.Bytes
		}
	}
	switch {
	case int(op) < len(t.own):
		t.own[op] = e
	case op >= wire.FirstUserOpcode:
		i := int(op - wire.FirstUserOpcode)
		for len(t.user) <= i {
			t.user = append(t.user, Entry{})
		}
		t.user[i] = e
	default:
		panic(fmt.Sprintf("BUG: opcode %d belongs to no range", op))
	}
}

// Find gives who serves op, never nil.
func (t *Table) Find(op wire.Opcode) *Entry {
	if int(op) < len(t.own) {
		return &t.own[op]
	}
	if i := int(op) - wire.FirstUserOpcode; i >= 0 && i < len(t.user) {
		return &t.user[i]
	}
	return &nobody
}

var nobody Entry
