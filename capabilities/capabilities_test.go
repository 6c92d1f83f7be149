package capabilities

import (
	"cmp"
	"encoding/json"
	"slices"
	"testing"
)

func TestCatalogue(t *testing.T) {
	if !slices.IsSortedFunc(Catalogue, func(a, b Capability) int { return cmp.Compare(a.ID, b.ID) }) {
		t.Error("the catalogue is not sorted")
	}
	seen := map[ID]bool{}
	for _, c := range Catalogue {
		if seen[c.ID] || c.ID == "" || c.Meaning == "" || c.NotMeant == "" || c.ProvenBy == "" || !idForm.MatchString(string(c.ID)) {
			t.Errorf("%+v is there twice or says too little", c)
		}
		seen[c.ID] = true
	}
}

func TestStates(t *testing.T) {
	for _, c := range []struct {
		state State
		name  string
		has   bool
	}{
		{Unknown, "unknown", false}, {No, "no", false}, {Broken, "broken", false},
		{Claimed, "claimed", false}, {Proven, "proven", true}, {Forced, "forced", true},
	} {
		s := Set{ExecBasic: {ID: ExecBasic, State: c.state}}
		if s.Has(ExecBasic) != c.has || s.Has(CommMailbox) || c.state.String() != c.name {
			t.Errorf("%s: Has gives %v", c.state, s.Has(ExecBasic))
		}
		b, err := json.Marshal(s[ExecBasic])
		var back struct{ State string }
		if err != nil || json.Unmarshal(b, &back) != nil || back.State != c.name {
			t.Errorf("%s in JSON: %s, %v", c.state, b, err)
		}
		var again Finding
		if err := json.Unmarshal(b, &again); err != nil || again.State != c.state {
			t.Errorf("%s from JSON: %v, %v", b, again.State, err)
		}
	}
}

func TestList(t *testing.T) {
	s := Set{}
	for _, id := range []ID{TimerGlobal, Access64, ExecBasic} {
		s[id] = Finding{ID: id}
	}
	var got []ID
	for _, f := range s.List() {
		got = append(got, f.ID)
	}
	if want := []ID{Access64, ExecBasic, TimerGlobal}; !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
	if list := (Set)(nil).List(); list != nil {
		t.Errorf("nothing gives %v", list)
	}
}
