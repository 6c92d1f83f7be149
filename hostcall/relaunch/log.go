package relaunch

import (
	"encoding/binary"
	"iter"

	"github.com/dialtone-gpu/dialtone/hostcall/errno"
	"github.com/dialtone-gpu/dialtone/hostcall/wire"
)

// logs are those of a run's work-items, by their numbers, in pages: a launch asks for most of them, one after the other.
type logs struct {
	pages []*[logPage]itemLog
	count int
}

// logPage is how many have one memory.
const logPage = 64

func newLogs(items int) logs {
	return logs{pages: make([]*[logPage]itemLog, (items+logPage-1)/logPage)}
}

// of gives a work-item's log, which it begins if there is none.
func (l *logs) of(item uint32) *itemLog {
	page := &l.pages[item/logPage]
	if *page == nil {
		*page = new([logPage]itemLog)
	}
	log := &(*page)[item%logPage]
	if !log.begun {
		log.begun = true
		l.count++
	}
	return log
}

// drop ends a log.
func (l *logs) drop(log *itemLog) {
	*log = itemLog{}
	l.count--
}

// all goes through the logs in the order of their work-items.
func (l *logs) all() iter.Seq2[uint32, *itemLog] {
	return func(yield func(uint32, *itemLog) bool) {
		for i, page := range l.pages {
			if page == nil {
				continue
			}
			for j := range page {
				if page[j].begun && !yield(uint32(i*logPage+j), &page[j]) {
					return
				}
			}
		}
	}
}

// itemLog is what the host knows of a work-item: the answers that a replay takes, as the inbox has them.
type itemLog struct {
	begun   bool   // the work-item has one
	first   uint32 // number of the first answer that is kept
	answers []uint32
	pending bool   // a handler has its call
	waits   bool   // and had it when the last inbox was written, so that the launch after it cancels the work-item
	partial []byte // bytes of packets before the last
	over    bool   // there were too many of them
}

// forget drops the answers before number done, and gives how many words that were.
func (l *itemLog) forget(done uint32) (words int) {
	for l.first < done && words < len(l.answers) {
		words += int(l.answers[words] >> wire.AnswerSizeShift)
		l.first++
	}
	if words > 0 {
		l.answers = append(l.answers[:0], l.answers[words:]...)
	}
	return words
}

// give appends an answer and gives its size in words.
func (l *itemLog) give(call uint32, e errno.Errno, words []uint32, bytes []byte) int {
	size := wire.AnswerHead + len(words) + (len(bytes)+3)/4
	l.answers = append(l.answers, uint32(e)|wire.AnswerGiven<<wire.AnswerKindShift|uint32(size)<<wire.AnswerSizeShift, call)
	l.answers = append(l.answers, words...)
	for ; len(bytes) >= 4; bytes = bytes[4:] {
		l.answers = append(l.answers, binary.LittleEndian.Uint32(bytes))
	}
	if len(bytes) > 0 {
		var last [4]byte
		copy(last[:], bytes)
		l.answers = append(l.answers, binary.LittleEndian.Uint32(last[:]))
	}
	return size
}

// appendTo writes the log for the inbox.
func (l *itemLog) appendTo(b []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, l.first)
	for _, w := range l.answers {
		b = binary.LittleEndian.AppendUint32(b, w)
	}
	end := uint32(wire.AnswerEnd)
	if l.pending {
		end = wire.AnswerPending
	}
	return binary.LittleEndian.AppendUint32(b, end<<wire.AnswerKindShift|1<<wire.AnswerSizeShift)
}
