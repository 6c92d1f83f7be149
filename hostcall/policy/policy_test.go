package policy

import (
	"strings"
	"testing"
)

func TestParseDir(t *testing.T) {
	for _, c := range []struct {
		in      string
		windows bool
		want    Dir
		fails   string // part of the error
	}{
		{in: ".:/", want: Dir{".", "/", false}},
		{in: ".", want: Dir{".", "/", false}},
		{in: "data", want: Dir{"data", "/data", false}},
		{in: "./data/", want: Dir{"./data/", "/data", false}},
		{in: "a/../b", want: Dir{"a/../b", "/b", false}},
		{in: "/srv/x", want: Dir{"/srv/x", "/srv/x", false}},
		{in: "/", want: Dir{"/", "/", false}},
		{in: "data:ro", want: Dir{"data", "/data", true}},
		{in: "data:/in:ro", want: Dir{"data", "/in", true}},
		{in: "data:/in/../out//x/", want: Dir{"data", "/out/x", false}},
		{in: "data:/../..", want: Dir{"data", "/", false}},
		{in: "a:b:/c", want: Dir{"a:b", "/c", false}},
		{in: "..:/up", want: Dir{"..", "/up", false}},
		{in: `a\b:/c`, want: Dir{`a\b`, "/c", false}},

		{in: "", fails: "host is missing"},
		{in: ":/x", fails: "host is missing"},
		{in: "x:", fails: "nothing after the colon"},
		{in: "x::ro", fails: "nothing after the colon"},
		{in: "x:y", fails: `does not start with /: write /y`},
		{in: "x:/y:rw", fails: `"rw" is no option`},
		{in: "x:/y:RO", fails: `"RO" does not start with /`},
		{in: "..", fails: `".." says no name for the guest: write one, as in ..:/`},
		{in: "../x:ro", fails: `as in ../x:/`},
		{in: "x\x00y", fails: "NUL"},

		{in: `C:\data:/in:ro`, windows: true, want: Dir{`C:\data`, "/in", true}},
		{in: `c:/data:/in`, windows: true, want: Dir{`c:/data`, "/in", false}},
		{in: `C::/c`, windows: true, want: Dir{`C:`, "/c", false}},
		{in: `data\x`, windows: true, want: Dir{`data\x`, "/data/x", false}},
		{in: `.\data:ro`, windows: true, want: Dir{`.\data`, "/data", true}},
		{in: `\\server\share\d:/d`, windows: true, want: Dir{`\\server\share\d`, "/d", false}},
		{in: `C:\data`, windows: true, fails: `as in C:\data:/`},
		{in: `C:\data:ro`, windows: true, fails: `as in C:\data:/`},
		{in: `..\x`, windows: true, fails: `says no name`},
		{in: `C:/x`, want: Dir{"C", "/x", false}},
	} {
		got, err := parseDir(c.in, c.windows)
		switch {
		case c.fails == "" && (err != nil || got != c.want):
			t.Errorf("%q: %+v, %v; want %+v", c.in, got, err, c.want)
		case c.fails != "" && (err == nil || !strings.Contains(err.Error(), c.fails)):
			t.Errorf("%q: %+v, error %v; want one with %q", c.in, got, err, c.fails)
		}
	}
}

func FuzzParseDir(f *testing.F) {
	for _, s := range []string{".", "a:/b:ro", "a:b:/c", `C:\x:/y`, "..", "a:/../b"} {
		f.Add(s, false)
		f.Add(s, true)
	}
	f.Fuzz(func(t *testing.T, s string, windows bool) {
		d, err := parseDir(s, windows)
		if err != nil {
			return
		}
		if err := (Policy{Dirs: []Dir{d}}).Check(); err != nil {
			t.Fatalf("%q was read as %+v, which Check refuses: %v", s, d, err)
		}
		if windows && len(d.Host) == 1 {
			return // one letter before a colon is a drive; .\x:/x says the directory
		}
		if again, err := parseDir(d.String(), windows); err != nil || again != d {
			t.Fatalf("%q was read as %+v, which is written %q and read as %+v, %v", s, d, d, again, err)
		}
	})
}

func TestParseEnv(t *testing.T) {
	for in, fails := range map[string]string{
		"K=V":    "",
		"K=":     "",
		"K=a=b":  "",
		"K= v ":  "",
		"":       "empty",
		"K":      `write K=VALUE`,
		"=V":     "no name",
		"K=\x00": "NUL",
	} {
		got, err := ParseEnv(in)
		if (err == nil) != (fails == "") || err == nil && got != in || err != nil && !strings.Contains(err.Error(), fails) {
			t.Errorf("%q: %q, %v; want an error with %q", in, got, err, fails)
		}
	}
}

func TestCheck(t *testing.T) {
	for name, c := range map[string]struct {
		p     Policy
		fails string
	}{
		"zero":         {Policy{}, ""},
		"all":          {Policy{Args: []string{"prog", ""}, Env: []string{"A=1"}, Dirs: []Dir{{".", "/", false}, {".", "/x", true}}}, ""},
		"argument":     {Policy{Args: []string{"a", "b\x00"}}, "argument 1"},
		"variable":     {Policy{Env: []string{"A"}}, `no "="`},
		"no host":      {Policy{Dirs: []Dir{{"", "/", false}}}, "host is missing"},
		"relative":     {Policy{Dirs: []Dir{{".", "x", false}}}, "write /x"},
		"empty guest":  {Policy{Dirs: []Dir{{Host: "."}}}, "does not start with /"},
		"unclean":      {Policy{Dirs: []Dir{{".", "/x/../y/", false}}}, "write /y"},
		"twice":        {Policy{Dirs: []Dir{{"a", "/x", false}, {"b", "/x", true}}}, `"a" and "b", want the guest path /x`},
		"NUL in guest": {Policy{Dirs: []Dir{{".", "/x\x00", false}}}, "NUL"},
		"limit":        {Policy{MaxOpen: -1}, "MaxOpen"},
	} {
		err := c.p.Check()
		if (err == nil) != (c.fails == "") || err != nil && !strings.Contains(err.Error(), c.fails) {
			t.Errorf("%s: %v, want an error with %q", name, err, c.fails)
		}
	}
}
