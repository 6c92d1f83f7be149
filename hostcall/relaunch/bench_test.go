package relaunch

import (
	"testing"

	"github.com/dialtone-gpu/dialtone/hostcall/wire"
)

// BenchmarkRound is what the host does for a launch in which each of 32 work-items made an empty call: decode, answer, and write the inbox.
func BenchmarkRound(b *testing.B) {
	const items = 32
	s, _ := server(b, Options{Items: items, Group: items, Resumable: true})
	p := &pen{}
	var inbox []byte
	done := uint32(0)
	b.ReportAllocs()
	for b.Loop() {
		p.b, p.launch = p.b[:0], p.launch+1
		for item := range uint32(items) {
			p.call(item, callWord(wire.OpNoop, 1, 1, 0), done, item)
		}
		if n, err := s.Take(p.b, p.launch, true); n != items || err != nil {
			b.Fatal(n, err)
		}
		done++
		inbox = s.Inbox(inbox[:0])
	}
	if _, list, _ := answers(b, inbox, items-1); len(list) != 1 {
		b.Fatalf("the last inbox has %d answers of an item", len(list))
	}
}
