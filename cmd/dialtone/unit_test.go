package main

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestDims(t *testing.T) {
	for _, c := range []struct {
		text string
		want dims
	}{
		{"64", dims{64}}, {"8x8", dims{8, 8}}, {"1X2x3", dims{1, 2, 3}}, {"2147483647", dims{2147483647}},
	} {
		var d dims
		if err := d.Set(c.text); err != nil || d != c.want || d.String() != strings.ToLower(c.text) {
			t.Errorf("%s: %v, %v", c.text, d, err)
		}
	}
	for _, bad := range []string{"", "0", "-1", "x", "8x", "1x2x3x4", "2147483648", "8 x 8", "1e3"} {
		var d dims
		if err := d.Set(bad); err == nil || d != (dims{}) {
			t.Errorf("%q: %v", bad, d)
		}
	}
}

// TestProgress: only what takes long is shown, and nothing of it is left.
func TestProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		p := &progress{w: &out, terminal: true}
		p.stage("quick")
		time.Sleep(progressAfter - time.Millisecond)
		p.stage("slow")
		time.Sleep(progressAfter + time.Millisecond)
		synctest.Wait()
		if out.String() != "slow …" {
			t.Fatalf("shown: %q", &out)
		}
		p.stage(strings.Repeat("long ", 100))
		time.Sleep(time.Hour)
		synctest.Wait()
		p.done()
		p.done()
		lines := strings.Split(out.String(), "\r")
		if len(lines) != 5 || lines[1] != "      " || len([]rune(lines[2])) != 78 || strings.Trim(lines[3], " ") != "" || len(lines[3]) != 78 || lines[4] != "" {
			t.Errorf("shown: %q", lines)
		}
		out.Reset()
		p = &progress{w: &out}
		p.stage("slow")
		time.Sleep(time.Hour)
		p.done()
		if out.Len() > 0 {
			t.Errorf("no terminal, and shown: %q", &out)
		}
	})
}

func TestShorten(t *testing.T) {
	for _, c := range []struct{ text, want string }{{"abc", "abc"}, {"abcde", "abcde"}, {"abcdef", "abcd…"}, {"ääääää", "ääää…"}} {
		if got := shorten(c.text, 5); got != c.want {
			t.Errorf("%s: %s", c.text, got)
		}
	}
}

func TestSize(t *testing.T) {
	for n, want := range map[uint64]string{0: "-", 65536: "64 KiB", 1 << 20: "1.0 MiB", 80 << 30: "80.0 GiB"} {
		if got := size(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}
