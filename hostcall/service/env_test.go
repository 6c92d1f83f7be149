package service

import (
	"slices"
	"strings"
	"testing"

	"github.com/dialtone-gpu/dialtone/hostcall/policy"
)

func TestBlock(t *testing.T) {
	for _, list := range [][]string{nil, {""}, {"", ""}, {"a"}, {"prog", "", "two words", "ü"}} {
		got, err := Unblock(Block(list))
		if err != nil || !slices.Equal(got, list) {
			t.Errorf("%q became %q, %v", list, got, err)
		}
	}
	if string(Block([]string{"a", "", "b"})) != "a\x00\x00b\x00" {
		t.Error("layout")
	}
	if _, err := Unblock([]byte("a\x00b")); err == nil {
		t.Error("a string without an end was accepted")
	}
}

func TestEnv(t *testing.T) {
	e, err := NewEnv(policy.Policy{Args: []string{"prog", "-x"}, Env: []string{"A=1"}})
	if err != nil || e.Argc != 2 || e.Envc != 1 || string(e.Block) != "prog\x00-x\x00A=1\x00" || string(e.Block[e.ArgBytes:]) != "A=1\x00" {
		t.Errorf("%+v, %v", e, err)
	}
	if e, err := NewEnv(policy.Policy{}); err != nil || len(e.Block) != 0 {
		t.Errorf("nothing: %+v, %v", e, err)
	}
	for what, p := range map[string]policy.Policy{
		"NUL byte":  {Args: []string{"a\x00"}},
		`no "="`:    {Env: []string{"A"}},
		"in a file": {Args: []string{strings.Repeat("x", MaxBlock)}},
	} {
		if _, err := NewEnv(p); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("error %v, want one with %q", err, what)
		}
	}
	if _, err := NewEnv(policy.Policy{Args: []string{strings.Repeat("x", MaxBlock-1)}}); err != nil {
		t.Errorf("the largest block: %v", err)
	}
}

func FuzzUnblock(f *testing.F) {
	f.Add([]byte("a\x00b\x00"))
	f.Add([]byte("\x00"))
	f.Add([]byte("a"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if list, err := Unblock(b); err == nil && string(Block(list)) != string(b) {
			t.Fatalf("%q became %q", b, list)
		}
	})
}
