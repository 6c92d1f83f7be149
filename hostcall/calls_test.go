package hostcall_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/hostcall"
	"github.com/dialtone-gpu/dialtone/hostcall/errno"
	"github.com/dialtone-gpu/dialtone/hostcall/plan"
	"github.com/dialtone-gpu/dialtone/hostcall/wire"
	"github.com/dialtone-gpu/dialtone/internal/devicetest"
)

// counted is how often the call "count" was made.
type counter struct{ n atomic.Int64 }

// callsRuntime registers what calls.kernel.c imports.
func callsRuntime(t testing.TB, dev target, warn func(string)) (*hostcall.Runtime, *counter) {
	t.Helper()
	rt, c := newRuntime(t, dev, warn), &counter{}
	lanes := dev.Info().Subgroup
	for name, f := range map[string]hostcall.Function{
		"sum": func(_ context.Context, l *hostcall.Lane) error {
			var sum uint32
			for _, v := range l.In {
				sum += v
			}
			for i := range l.Out {
				l.Out[i] = sum + uint32(i)
			}
			if l.Index < 0 || l.Index >= lanes {
				return errno.ERANGE
			}
			return nil
		},
		"echo": func(_ context.Context, l *hostcall.Lane) error {
			if int(l.In[0]) != len(l.Bytes) {
				return errno.EILSEQ
			}
			l.Reply = append(l.Reply, l.Bytes...)
			l.Out[0] = l.In[0] + 1
			return nil
		},
		"digest": func(_ context.Context, l *hostcall.Lane) error {
			if len(l.In) == 0 {
				return nil
			}
			l.Out[0] = crc32.ChecksumIEEE(l.Bytes)
			for i := 1; i < len(l.Out); i++ {
				l.Out[i] = l.In[i] + 1
			}
			return nil
		},
		"fail": func(_ context.Context, l *hostcall.Lane) error {
			switch l.In[0] {
			case 1:
				return errno.ENOENT
			case 2:
				return fmt.Errorf("wrapped: %w", fs.ErrNotExist)
			case 3:
				return &fs.PathError{Op: "open", Path: "x", Err: fs.ErrPermission}
			case 4:
				return errors.New("of no known kind")
			case 5:
				l.Reply = append(l.Reply, make([]byte, 1<<20)...)
			}
			return nil
		},
		"panics": func(_ context.Context, l *hostcall.Lane) error {
			if l.In[0] == 1 {
				panic("as it was told")
			}
			return nil
		},
		"even": func(_ context.Context, l *hostcall.Lane) error {
			if len(l.Out) == 2 {
				l.Out[0], l.Out[1] = l.In[0]+l.In[1], l.In[0]-l.In[1]
			}
			return nil
		},
		"odd": func(_ context.Context, l *hostcall.Lane) error {
			l.Out[0] = 3 * l.In[0]
			return nil
		},
		"tags": func(_ context.Context, l *hostcall.Lane) error {
			for i := range l.Out {
				l.Out[i] = wire.Tag(2*l.In[0]+2, 0)
			}
			return nil
		},
		"count": func(_ context.Context, l *hostcall.Lane) error {
			c.n.Add(1)
			l.Out[0] = l.In[0]*1000 + l.In[1]
			return nil
		},
	} {
		if err := rt.Register(name, f); err != nil {
			t.Fatal(err)
		}
	}
	return rt, c
}

func TestCalls(t *testing.T) {
	forEach(t, func(t *testing.T, dev target) {
		rt, _ := callsRuntime(t, dev, nil)
		p := load(t, rt, "calls")
		text := pattern(200_000)
		memory := buffer(t, dev, text)
		t.Run("words", func(t *testing.T) {
			checked(t, dev, p, hostcall.Launch{Kernel: "words", Group: grid(33)})
			checked(t, dev, p, hostcall.Launch{Kernel: "short_words", Grid: grid(3), Group: grid(33)})
		})
		t.Run("bytes", func(t *testing.T) {
			const items = 5
			for _, c := range []struct{ n, most, want int }{
				{0, 0, 0}, {0, 9, 0}, {1, 9, 1}, {2, 2, 2}, {3, 3, 3}, {4, 4, 4}, {5, 4, 5}, {6, 0, 6}, {7, 3, 7}, {15, 15, 15}, {16, 15, 16},
				{17, 17, 17}, {63, 63, 63}, {64, 64, 64}, {65, 70, 65}, {1000, 1000, 1000}, {1021, 1019, 1021},
				{100_000, 100_000, -int(errno.EMSGSIZE)}, {65537, 1, -int(errno.EMSGSIZE)},
			} {
				back := buffer(t, dev, make([]byte, items*(c.n+3)))
				checked(t, dev, p, hostcall.Launch{Kernel: "bytes", Group: grid(items), Args: []hal.Arg{hal.Memory(memory), hal.Memory(back),
					hal.Int32(int32(c.n)), hal.Int32(int32(c.most)), hal.Int32(int32(c.want))}})
				got := content(t, dev, back)
				for i := range items {
					stored := min(c.n, c.most)
					if c.want < 0 {
						stored = 0
					}
					part := got[i*(c.n+3):][:c.n+3]
					want := append(append([]byte{}, text[i:][:stored]...), make([]byte, c.n+3-stored)...)
					if string(part) != string(want) {
						t.Fatalf("%+v, item %d: %.100q\nwant %.100q", c, i, part, want)
					}
				}
			}
		})
		t.Run("large", func(t *testing.T) {
			for _, step := range []int{0, 1, 61, 3001} {
				const items = 33
				sums := buffer(t, dev, make([]byte, 4*items))
				checked(t, dev, p, hostcall.Launch{Kernel: "large", Group: grid(items),
					Args: []hal.Arg{hal.Memory(memory), hal.Memory(sums), hal.Int32(int32(step))}})
				got := content(t, dev, sums)
				for i := range items {
					if g, w := binary.LittleEndian.Uint32(got[4*i:]), crc32.ChecksumIEEE(text[i:][:i*step]); g != w {
						t.Errorf("item %d of step %d: checksum %#x, want %#x", i, step, g, w)
					}
				}
			}
		})
		t.Run("errors", func(t *testing.T) {
			checked(t, dev, p, hostcall.Launch{Kernel: "errors", Group: grid(33)})
		})
		t.Run("diverge", func(t *testing.T) {
			out := checked(t, dev, p, hostcall.Launch{Kernel: "diverge", Grid: grid(2), Group: grid(64)})
			var want []string
			for i := range 128 {
				if i%7 == 6 || i%9 == 8 && i%5 >= 2 {
					continue
				}
				third := 0
				if i%2 == 0 {
					line := fmt.Sprintf("x%d", i)
					third = len(line) + 1
					want = append(want, line)
				} else if e := map[int]int{1: 2, 2: 2, 3: 13, 4: 5}[i]; i < 5 {
					third = e % 2
				} else if i == 5 {
					third = int(errno.OK) // without bytes there is no reply that could be too large
				}
				want = append(want, fmt.Sprintf("%d 0 %d", i, third))
			}
			diffLines(t, sortedLines(out), want)
		})
		t.Run("cube", func(t *testing.T) {
			g, b := [3]int{3, 2, 4}, [3]int{2, 3, 5}
			n := g[0] * g[1] * g[2] * b[0] * b[1] * b[2]
			seen := buffer(t, dev, make([]byte, 4*n))
			checked(t, dev, p, hostcall.Launch{Kernel: "cube", Grid: g, Group: b, Args: []hal.Arg{hal.Memory(seen)}})
			got := content(t, dev, seen)
			for i := range n {
				x, y, z := i%(g[0]*b[0]), i/(g[0]*b[0])%(g[1]*b[1]), i/(g[0]*b[0]*g[1]*b[1])
				want := x/b[0] + 10*(y/b[1]) + 100*(z/b[2]) + x%b[0] + 10*(y%b[1]) + 100*(z%b[2])
				if v := binary.LittleEndian.Uint32(got[4*i:]); v != uint32(want) {
					t.Fatalf("item %d,%d,%d: %d, want %d", x, y, z, v, want)
				}
			}
		})
		t.Run("parameters", func(t *testing.T) {
			out := buffer(t, dev, make([]byte, 8*4))
			args := []hal.Arg{hal.Memory(buffer(t, dev, []byte("abc"))), hal.Int32(-5), hal.Memory(out), hal.Int64(-5e9), hal.Float32(1.25), hal.Int32(-294967296)}
			checked(t, dev, p, hostcall.Launch{Kernel: "parameters", Grid: grid(2), Group: grid(2), Args: args})
			got := content(t, dev, out)
			for i := range 4 {
				if v := int64(binary.LittleEndian.Uint64(got[8*i:])); v != -1e9 {
					t.Errorf("item %d: %d", i, v)
				}
			}
			for _, bad := range [][]hal.Arg{nil, args, append(args[:3:3], args...)} {
				o := run(t, p, hostcall.Launch{Kernel: "parameters", Args: bad})
				if o.cause == nil || !strings.Contains(o.cause.Error(), "takes 7 arguments, got") {
					t.Errorf("%d arguments give %v", len(bad), o.cause)
				}
			}
		})
	})
}

func TestPanickingCall(t *testing.T) {
	forEach(t, func(t *testing.T, dev target) {
		var mutex sync.Mutex
		var warned []string
		rt, _ := callsRuntime(t, dev, func(s string) {
			mutex.Lock()
			defer mutex.Unlock()
			warned = append(warned, s)
		})
		out := checked(t, dev, load(t, rt, "calls"), hostcall.Launch{Kernel: "panicking", Group: grid(8)})
		if out != strings.Repeat("still here\n", 8) {
			t.Errorf("printed %q", out)
		}
		mutex.Lock()
		defer mutex.Unlock()
		if len(warned) == 0 || !strings.Contains(warned[0], "call panics panicked: as it was told") || !strings.Contains(warned[0], "calls_test.go") {
			t.Errorf("warned %.500q", warned)
		}
	})
}

// TestAnswersThatLookLikeTags has plain answers whose words are the tags that the next answers carry.
func TestAnswersThatLookLikeTags(t *testing.T) {
	forEach(t, func(t *testing.T, dev target) {
		mailboxOnly(t, dev, "its answers have no tags")
		rt, _ := callsRuntime(t, dev, nil)
		checked(t, dev, load(t, rt, "calls"), hostcall.Launch{Kernel: "lookalike", Group: grid(dev.Info().Subgroup)})
	})
}

func TestCrowds(t *testing.T) {
	forEach(t, func(t *testing.T, dev target) {
		var env string
		switch dev.Info().Backend {
		case "cpu":
			env = "DIALTONE_CPU_THREADS"
		case "opencl":
			env = "POCL_MAX_PTHREAD_COUNT"
		}
		crowd := func(t *testing.T) {
			rt, count := callsRuntime(t, dev, nil)
			p := load(t, rt, "calls")
			for _, c := range []struct{ groups, items, rounds, barriers int }{
				{1, 1, 3, 0}, {5000, 1, 1, 0}, {200, 64, 1, 0}, {1, 64, 20, 1}, {60, 64, 2, 1}, {2000, 1, 1, 1},
			} {
				if testing.Short() {
					c.groups = (c.groups + 9) / 10
				}
				before := count.n.Load()
				checked(t, dev, p, hostcall.Launch{Kernel: "crowd", Grid: grid(c.groups), Group: grid(c.items),
					Args: []hal.Arg{hal.Int32(int32(c.rounds)), hal.Int32(int32(c.barriers))}})
				if n := count.n.Load() - before; n != int64(c.groups*c.items*c.rounds) {
					t.Errorf("%+v: called %d times", c, n)
				}
			}
		}
		t.Run("as it is", crowd)
		if env == "" || dev.transport == plan.Stopping { // with which no work-item waits for another
			return
		}
		for _, threads := range []string{"1", "2", "5"} {
			t.Run(threads, func(t *testing.T) {
				devicetest.Isolated(t, []string{env + "=" + threads, devicetest.Variable + "=" + dev.Info().URI}, crowd)
			})
		}
	})
}

func TestLoadErrors(t *testing.T) {
	forEach(t, func(t *testing.T, dev target) {
		rt := newRuntime(t, dev, nil)
		f := func(context.Context, *hostcall.Lane) error { return nil }
		for _, name := range []string{"", "1", "a b", "a-b", "ä"} {
			if err := rt.Register(name, f); err == nil {
				t.Errorf("the name %q is taken", name)
			}
		}
		if err := rt.Register("nothing", nil); err == nil {
			t.Error("a function that is nil is taken")
		}
		if err := rt.Register("twice", f); err != nil {
			t.Error(err)
		}
		if err := rt.Register("twice", f); err == nil {
			t.Error("a name is taken twice")
		}
		_, err := rt.Load(t.Context(), "mine.kernel.c", "HC_IMPORT(twice);\nHC_IMPORT(lookup_name);\nKERNEL(k) {}\n")
		if err == nil || !strings.Contains(err.Error(), `"lookup_name"`) || !strings.Contains(err.Error(), "mine.kernel.c") {
			t.Errorf("a call that nobody registered: %v", err)
		}
		_, err = rt.Load(t.Context(), "mine.kernel.c", "KERNEL(k) {\n    hc_puts(\"x\");\n    nonsense here;\n}\n")
		var ce *hal.CompileError
		if !errors.As(err, &ce) || !strings.Contains(ce.Log, "mine.kernel.c") || !strings.Contains(ce.Log, "3") {
			t.Errorf("a mistake in line 3: %v", err)
		}
		_, err = rt.Load(t.Context(), "mine.kernel.c", "KERNEL(k) { hc_printf(\"%d\", 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13); }\n")
		if err == nil || !strings.Contains(err.Error(), "mine.kernel.c:1: hc_printf: 13 arguments behind the format, at most 12") {
			t.Errorf("13 arguments for hc_printf: %v", err)
		}
		p := loadText(t, rt, "two.kernel.c", "KERNEL(a) {}\nKERNEL(b) {}\n")
		for _, c := range []struct {
			launch hostcall.Launch
			want   string
		}{
			{hostcall.Launch{}, "say which: a, b"},
			{hostcall.Launch{Kernel: "c"}, "it has a, b"},
			{hostcall.Launch{Kernel: "a", Group: grid(1 << 19)}, "work-items"},
			{hostcall.Launch{Kernel: "a", Group: grid(1<<20, 1<<20, 1<<20)}, "too large"},
			{hostcall.Launch{Kernel: "a", Grid: grid(1<<40, 1<<40, 1<<40)}, "too large"},
			{hostcall.Launch{Kernel: "a", Grid: grid(1<<62, 4)}, "too large"},
		} {
			o := run(t, p, c.launch)
			if o.cause == nil || !strings.Contains(o.cause.Error(), c.want) {
				t.Errorf("%+v gives %v, want %q", c.launch, o.cause, c.want)
			}
		}
		if o := run(t, p, hostcall.Launch{Kernel: "b", Grid: grid(-1, 0, 1)}); o.cause != nil {
			t.Error(o.cause)
		}
		loadText(t, rt, "none.kernel.c", "DEVICE int f(void) { return 1; }\n") // a file without kernels
	})
}

// TestFunctionsOfLaunch has launches of one program at once, each with a function of its own.
func TestFunctionsOfLaunch(t *testing.T) {
	forEach(t, func(t *testing.T, dev target) {
		rt := newRuntime(t, dev, nil)
		gives := func(v uint32) hostcall.Function {
			return func(_ context.Context, l *hostcall.Lane) error {
				l.Out[0] = v
				return nil
			}
		}
		if err := rt.Register("which", gives(100)); err != nil {
			t.Fatal(err)
		}
		p := loadText(t, rt, "which.kernel.c", `HC_IMPORT(which);
KERNEL(k) {
    HC_RESUMABLE;
    hc_u32 w[1];
    if (hc_call_words(which, w, 0, 1) == 0) hc_printf("%u\n", w[0]);
}
`)
		var all sync.WaitGroup
		for v := range uint32(3) {
			all.Go(func() {
				l := hostcall.Launch{}
				want := uint32(100)
				if v > 0 {
					want, l.Functions = v, map[string]hostcall.Function{"which": gives(v)}
				}
				var out strings.Builder
				l.Policy.Stdout = &out
				if _, err := p.Run(t.Context(), l); err != nil {
					t.Error(err)
				}
				if got := out.String(); got != fmt.Sprintf("%d\n", want) {
					t.Errorf("got %q, want %d", got, want)
				}
			})
		}
		all.Wait()
		for name, f := range map[string]hostcall.Function{"what": gives(1), "which": nil} {
			if _, err := p.Run(t.Context(), hostcall.Launch{Functions: map[string]hostcall.Function{name: f}}); !errors.Is(err, hal.ErrInvalid) {
				t.Errorf("the function %s: %v", name, err)
			}
		}
	})
}
