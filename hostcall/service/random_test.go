package service

import (
	"bytes"
	"testing"

	"github.com/dialtone-gpu/dialtone/hostcall/errno"
	"github.com/dialtone-gpu/dialtone/hostcall/policy"
)

func TestRandom(t *testing.T) {
	r := NewRandom(policy.Policy{})
	a, b := make([]byte, 1<<16), make([]byte, 1<<16)
	want(t, "fill", r.Fill(a), errno.OK)
	want(t, "fill", r.Fill(b), errno.OK)
	want(t, "fill nothing", r.Fill(nil), errno.OK)
	if bytes.Equal(a, b) {
		t.Error("the same bytes twice")
	}
	for v := range 256 { // each is expected 256 times, with a standard deviation of 16
		if n := bytes.Count(a, []byte{byte(v)}); n < 96 || n > 416 {
			t.Errorf("%d of %d bytes are %d", n, len(a), v)
		}
	}
	denied := make([]byte, 8)
	want(t, "denied", NewRandom(policy.Policy{NoRandom: true}).Fill(denied), errno.ENOTCAPABLE)
	if !bytes.Equal(denied, make([]byte, 8)) {
		t.Error("bytes were given all the same")
	}
}
