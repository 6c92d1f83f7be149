package wire

import "encoding/binary"

// Param is one word of the structure that every kernel receives by value.
type Param struct {
	Name string // the C field
	Doc  string
	get  func(*Params) uint32
}

// Params is that structure on the host's side.
type Params struct {
	Layout
	Homes, Spread uint32 // subgroup i looks for a slot from (i mod Homes) * Spread on
	Flags         uint32
	ClockOffset   int64  // added to the device's clock to give the host's monotonic time, ns
	Strings       uint32 // byte offset of the argument and environment block in the local buffer
	Argc, Envc    uint32

	Relaunch // of the relaunch transport
}

// ParamTable lists the words in order; the C structure is generated from it.
var ParamTable = []Param{
	{"slots", "slots of the mailbox", func(p *Params) uint32 { return uint32(p.Slots) }},
	{"homes", "subgroups with slots of their own", func(p *Params) uint32 { return p.Homes }},
	{"spread", "slots of each", func(p *Params) uint32 { return p.Spread }},
	{"bulk", "bulk bytes per slot each way", func(p *Params) uint32 { return uint32(p.Bulk) }},
	{"flags", "HC_FLAG_*", func(p *Params) uint32 { return p.Flags }},
	{"request_header", "byte offsets into the mailbox", func(p *Params) uint32 { return uint32(p.RequestHeader) }},
	{"reply_header", "", func(p *Params) uint32 { return uint32(p.ReplyHeader) }},
	{"request", "short parts", func(p *Params) uint32 { return uint32(p.Request.Short) }},
	{"request_stride", "bytes per slot", func(p *Params) uint32 { return uint32(p.Request.ShortStride) }},
	{"request_long", "", func(p *Params) uint32 { return uint32(p.Request.Long) }},
	{"request_long_stride", "", func(p *Params) uint32 { return uint32(p.Request.LongStride) }},
	{"request_cells", "", func(p *Params) uint32 { return uint32(p.Request.Cells) }},
	{"request_cells_stride", "", func(p *Params) uint32 { return uint32(p.Request.CellsStride) }},
	{"reply", "", func(p *Params) uint32 { return uint32(p.Reply.Short) }},
	{"reply_stride", "", func(p *Params) uint32 { return uint32(p.Reply.ShortStride) }},
	{"reply_long", "", func(p *Params) uint32 { return uint32(p.Reply.Long) }},
	{"reply_long_stride", "", func(p *Params) uint32 { return uint32(p.Reply.LongStride) }},
	{"reply_cells", "", func(p *Params) uint32 { return uint32(p.Reply.Cells) }},
	{"reply_cells_stride", "", func(p *Params) uint32 { return uint32(p.Reply.CellsStride) }},
	{"bulk_in", "", func(p *Params) uint32 { return uint32(p.BulkIn) }},
	{"bulk_out", "", func(p *Params) uint32 { return uint32(p.BulkOut) }},
	{"clock_low", "device clock to host monotonic, ns", func(p *Params) uint32 { return uint32(uint64(p.ClockOffset)) }},
	{"clock_high", "", func(p *Params) uint32 { return uint32(uint64(p.ClockOffset) >> 32) }},
	{"strings", "byte offset of the strings in the local buffer", func(p *Params) uint32 { return p.Strings }},
	{"argc", "", func(p *Params) uint32 { return p.Argc }},
	{"envc", "", func(p *Params) uint32 { return p.Envc }},
	{"launch", "relaunch transport: number of the launch", func(p *Params) uint32 { return p.Launch }},
	{"outbox", "words of the outbox", func(p *Params) uint32 { return p.Outbox }},
	{"posted", "words posted before this launch", func(p *Params) uint32 { return p.Posted }},
	{"inbox", "word offset of the inbox in the mail buffer, 0 without answers", func(p *Params) uint32 { return p.Inbox }},
	{"items", "word offsets in the local buffer: of the work-items' state", func(p *Params) uint32 { return p.Items }},
	{"groups", "of the groups' state", func(p *Params) uint32 { return p.Groups }},
	{"own", "of the work-items' checkpoints", func(p *Params) uint32 { return p.Own }},
	{"own_bytes", "of each", func(p *Params) uint32 { return p.OwnBytes }},
	{"group", "of the groups' checkpoints", func(p *Params) uint32 { return p.Group }},
	{"group_bytes", "of each", func(p *Params) uint32 { return p.GroupBytes }},
}

// Bytes encodes the structure as kernels read it.
func (p *Params) Bytes() []byte {
	b := make([]byte, 0, 4*len(ParamTable))
	for _, f := range ParamTable {
		b = binary.LittleEndian.AppendUint32(b, f.get(p))
	}
	return b
}
