package hostcall_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/hostcall"
)

func sortStrings(l []string) { slices.Sort(l) }

const kindsWant = `no arguments, 100%
-1 2147483647 4000000000 beef BEEF 10 c
-7 200 -300 60000
-9000000000000000000 18000000000000000000 123456789abcdef
-5 5 16
[   42|42   |00042|+42| 42|0x2a|007|     1|2     ]
1.500000 2.25 1.234500e+04 0.0001 1E+20 0x1p+0
0.10000000000000001 -10000000000.000
literal own grp text fixed text
(null) (null) [ab] [     own] [grp     ]
tex|ab||
(nil) (nil)
1 2 3 4 5 6 7 8 9 10 11 12
aowntextcgrpfixed textfgownij
12345
inner 7
second
nested 8 7
text
puts: textowngrpfixed text
`

func TestPrintf(t *testing.T) {
	forEach(t, func(t *testing.T, dev target) {
		rt := newRuntime(t, dev, nil)
		p := load(t, rt, "printf")
		t.Run("kinds", func(t *testing.T) {
			slowToCompile(t, dev)
			got := checked(t, dev, p, hostcall.Launch{Kernel: "kinds", Args: []hal.Arg{hal.Memory(buffer(t, dev, []byte("text\x00")))}})
			diffText(t, got, kindsWant)
		})
		text := pattern(128 << 10)
		memory := buffer(t, dev, text)
		t.Run("one", func(t *testing.T) {
			for _, n := range []int{0, 1, 3, 4, 5, 4076, 4080, 4096, 4097, 65515, 65516, 65517, 65536, 100_000, 128 << 10} {
				got := checked(t, dev, p, hostcall.Launch{Kernel: "one", Group: grid(33), Args: []hal.Arg{hal.Memory(memory), hal.Int32(int32(n))}})
				diffText(t, got, "<"+string(text[:n])+">\n")
			}
		})
		t.Run("lengths", func(t *testing.T) {
			for _, step := range []int{0, 1, 3, 5, 97, 1023} {
				got := checked(t, dev, p, hostcall.Launch{Kernel: "lengths", Grid: grid(3), Group: grid(32), Args: []hal.Arg{hal.Memory(memory), hal.Int32(int32(step))}})
				var want []string
				for i := range 96 {
					want = append(want, fmt.Sprintf("%d %s %d %s %d", i, text[:i*step], i*step, text[i:i+i%7], -i))
				}
				diffLines(t, sortedLines(got), want)
			}
		})
		t.Run("divergent", func(t *testing.T) {
			o := run(t, p, hostcall.Launch{Kernel: "divergent", Grid: grid(2), Group: grid(64)})
			if o.cause != nil {
				t.Fatal(o.cause)
			}
			var out, errs []string
			for i := range 128 {
				if i%11 == 10 {
					continue
				}
				for k := range i%4 + 1 {
					switch (i + k) % 5 {
					case 0:
						out = append(out, fmt.Sprintf("%d.%d zero", i, k))
					case 1:
						out = append(out, fmt.Sprintf("%d.%d one text", i, k))
					case 2:
						out = append(out, fmt.Sprintf("%d.%d two a longer text, to differ %d", i, k, i<<32))
					case 3:
						if i%2 == 1 {
							out = append(out, fmt.Sprintf("%d.%d three, odd", i, k))
						} else {
							out = append(out, fmt.Sprintf("%d.%d three, even %d %d", i, k, i, k))
						}
					default:
						errs = append(errs, fmt.Sprintf("%d.%d error", i, k))
					}
				}
				if i%3 != 0 {
					out = append(out, fmt.Sprintf("%d end", i))
				}
			}
			diffLines(t, sortedLines(o.out), out)
			diffLines(t, sortedLines(o.err), errs)
		})
		t.Run("spaces", func(t *testing.T) {
			for _, n := range []int{100, 401, 1000} {
				got := good(t, p, hostcall.Launch{Kernel: "spaces", Group: grid(8), Args: []hal.Arg{hal.Memory(memory), hal.Int32(int32(n))}})
				whole := string(text[:n]) + string(text[1:n]) + string(text[2:n])
				var want []string
				for i := range 8 {
					want = append(want, fmt.Sprintf("%d %s %s %s", i, text[:n-i], text[:n], text[:n-3*i]))
				}
				// The writes of the items interleave in any order, whole pieces each.
				rest := got
				for _, w := range want {
					if strings.Count(rest, w+"\n") != 1 {
						t.Fatalf("n %d: %.100q is not there once", n, w)
					}
					rest = strings.Replace(rest, w+"\n", "", 1)
				}
				if len(rest) != 8*(len(whole)+1) || strings.Count(rest, "\n") != 8 {
					t.Fatalf("n %d: the writes give %d bytes, want %d", n, len(rest), 8*(len(whole)+1))
				}
			}
		})
	})
}

func TestPrintfWithTheWrongArguments(t *testing.T) {
	forEach(t, func(t *testing.T, dev target) {
		var mutex sync.Mutex
		var warned []string
		rt := newRuntime(t, dev, func(s string) {
			mutex.Lock()
			warned = append(warned, s)
			mutex.Unlock()
		})
		if got := checked(t, dev, load(t, rt, "printf"), hostcall.Launch{Kernel: "wrong"}); got != "ok\n" {
			t.Errorf("printed %q", got)
		}
		mutex.Lock()
		defer mutex.Unlock()
		if len(warned) != 4 || !strings.Contains(strings.Join(warned, "\n"), "conversion") {
			t.Errorf("warned %d times: %q", len(warned), warned)
		}
	})
}

func diffText(t testing.TB, got, want string) {
	t.Helper()
	if got == want {
		return
	}
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(g), len(w)) {
		a, b := "(nothing)", "(nothing)"
		if i < len(g) {
			a = g[i]
		}
		if i < len(w) {
			b = w[i]
		}
		if a != b {
			t.Fatalf("line %d:\ngot  %.300q (%d bytes)\nwant %.300q (%d bytes)", i+1, a, len(a), b, len(b))
		}
	}
}
