package wire

// The relaunch transport, for devices where a running kernel and the host do not see each other's writes: docs/relaunch.md.
// All offsets are in words.

// Bits of Params.Flags for it.
const (
	FlagResumable = 1 << 1 // the kernel may be started again
	FlagResumed   = 1 << 2 // and this is not its first launch of the run
)

// Words of the head of the outbox, at the start of the mail buffer, which the device writes. Numbers of launches in it
// need not be cleared: an old number says nothing.
const (
	OutPosted    = 0 // words posted so far, in all launches; may be beyond what there was room for
	OutCancelled = 1 // the last launch that left a work-item waiting for an answer, or for room
	OutFull      = 2 // the last launch that found the outbox full
	OutOwn       = 3 // bytes that a work-item's checkpoint needs, if there is no room for them
	OutGroup     = 4 // the same for a group's
	OutHead      = 16
)

// A record of the outbox: a word with size, kind and the low 8 bits of the launch's number, the work-item, then what
// its kind says, in whole words.
const (
	RecordSizeMask    = 0xfffff
	RecordKindShift   = 20
	RecordKindMask    = 0xf
	RecordLaunchShift = 24
	RecordHead        = 2

	RecordBytes    = 1 // size bytes, which belong to the work-item's next call
	RecordCall     = 2 // the call word, the answers that the work-item will not need again, and size words
	RecordEnd      = 3 // nothing follows; without the work-item
	RecordDiverged = 4 // a call that is not the one that was answered: the call word
	RecordRefused  = 5 // a call that needs an answer, of a kernel that cannot be started again: the call word
)

// The inbox, which the host writes: for each work-item the offset of its log in the inbox, 0 if it has none. A log is the
// number of its first answer, then answers: a word with errno, kind and size, the call word, the words and the bytes.
const (
	AnswerKindShift = 8
	AnswerKindMask  = 3
	AnswerSizeShift = 10 // in words, with both head words
	AnswerHead      = 2

	AnswerEnd     = 0 // there is no more: the call is made
	AnswerGiven   = 1
	AnswerPending = 2 // the call was made and has no answer yet; a single word
)

// What the device keeps between launches, in the local buffer, for each work-item and each group.
const (
	ItemCancelled = 0 // the last launch that cancelled it
	ItemCursor    = 1 // where in the mail buffer its next answer is, during a launch
	ItemTaken     = 2 // the number of that answer
	ItemDone      = 3 // answers taken before its checkpoint; ItemSaved if it has one of its own
	ItemBarriers  = 4 // barriers that it has passed in this launch
	ItemWords     = 5
	ItemSaved     = 1 << 31

	GroupCancelled = 0 // the last launch that cancelled one of its work-items
	GroupSaved     = 1 // not 0: it has a checkpoint
	GroupBarrier   = 2 // low 16 bits of that launch, then of the barriers that the first of them had passed
	GroupWords     = 4
)

// Relaunch is what Params has for the relaunch transport.
type Relaunch struct {
	Launch     uint32 // number of this launch, never 0
	Outbox     uint32 // words behind the head
	Posted     uint32 // OutPosted before this launch
	Inbox      uint32 // where it is in the mail buffer, 0 if there are no answers
	Items      uint32 // where the work-items' words are in the local buffer
	Groups     uint32 // and the groups'
	Own        uint32 // and their checkpoints
	OwnBytes   uint32 // of each work-item, a multiple of 16
	Group      uint32
	GroupBytes uint32
}
