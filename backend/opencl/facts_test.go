package opencl

import (
	"strings"
	"testing"
)

func TestRender(t *testing.T) {
	names := make([]byte, 2*68)
	copy(names[4:], "one")
	copy(names[72:], "two")
	for _, c := range []struct {
		data []byte
		as   form
		want string
	}{
		{[]byte{11, 0, 0, 0}, asNumber, "11"},
		{[]byte{0, 0, 0, 0, 1, 0, 0, 0}, asNumber, "4294967296"},
		{[]byte("PoCL \x00"), asText, "PoCL"},
		{names, asNames, "one two"},
		{names[:70], asNames, "one"},
		{make([]byte, 16), asNumbers, "0 0"},
		{make([]byte, 3), asUUID, ""},
		{nil, asNumber, "0"},
		{nil, asNames, ""},
	} {
		if got := render(c.data, c.as); got != c.want {
			t.Errorf("%v as %d: %q, want %q", c.data, c.as, got, c.want)
		}
	}
}

func TestQuestions(t *testing.T) {
	names, numbers := map[string]bool{}, map[uint32]bool{}
	for _, q := range questions {
		if names[q.name] || numbers[q.parameter] || !strings.HasPrefix(q.name, "CL_") || q.platform != strings.HasPrefix(q.name, "CL_PLATFORM_") {
			t.Errorf("%+v", q)
		}
		names[q.name], numbers[q.parameter] = true, true
	}
}
