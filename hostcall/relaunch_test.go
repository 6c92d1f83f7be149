package hostcall_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dialtone-gpu/dialtone/capabilities"
	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/hostcall"
	"github.com/dialtone-gpu/dialtone/hostcall/plan"
	"github.com/dialtone-gpu/dialtone/hostcall/policy"
	"github.com/dialtone-gpu/dialtone/hostcall/relaunch"
)

// next gives each caller numbers that go up, and knows what the numbers of each work-item come to.
type next struct {
	mutex   sync.Mutex
	given   uint32
	garbage int // words of work-items that had no answer
	seen    map[[2]uint32]bool
	sums    map[uint32]uint32
}

func (n *next) serve(_ context.Context, l *hostcall.Lane) error {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	n.given++
	l.Out[0] = n.given
	if len(l.In) == 2 {
		if l.In[1] == 0xdead {
			n.garbage++
		}
		if n.seen[[2]uint32(l.In)] {
			return errors.New("this call was made before")
		}
		n.seen[[2]uint32(l.In)] = true
		n.sums[l.In[0]] += n.given
	}
	return nil
}

func relaunchProgram(t testing.TB, dev target) (*hostcall.Program, *hostcall.Runtime, *next) {
	t.Helper()
	n := &next{}
	rt := newRuntime(t, dev, nil)
	if err := rt.Register("next", n.serve); err != nil {
		t.Fatal(err)
	}
	return load(t, rt, "relaunch"), rt, n
}

func (n *next) reset() { n.given, n.seen, n.sums = 0, map[[2]uint32]bool{}, map[uint32]uint32{} }

func onlyRelaunch(t testing.TB, dev target) {
	t.Helper()
	if dev.transport != plan.Stopping {
		t.Skip("about the transport relaunch")
	}
}

// TestCheckpoints: every call is answered once, whatever is replayed.
func TestCheckpoints(t *testing.T) {
	forEach(t, func(t *testing.T, dev target) {
		p, _, n := relaunchProgram(t, dev)
		for _, c := range []struct {
			kernel               string
			groups, items, round int
			more                 []hal.Arg
		}{
			{"rounds", 3, 5, 12, []hal.Arg{hal.Int32(0)}}, {"rounds", 3, 5, 200, []hal.Arg{hal.Int32(1)}}, {"groups", 3, 5, 60, nil}, {"groups", 2, 40, 80, nil},
		} {
			n.reset()
			sums := buffer(t, dev, make([]byte, 4*c.groups*c.items))
			checked(t, dev, p, hostcall.Launch{Kernel: c.kernel, Grid: grid(c.groups), Group: grid(c.items),
				Args: append([]hal.Arg{hal.Memory(sums), hal.Int32(int32(c.round))}, c.more...)})
			got := content(t, dev, sums)
			var all, want uint32
			for i := range c.groups * c.items {
				v := binary.LittleEndian.Uint32(got[4*i:])
				if all, want = all+v, want+n.sums[uint32(i)]; c.kernel == "rounds" && v != n.sums[uint32(i)] {
					t.Errorf("%+v: item %d has %d, want %d", c, i, v, n.sums[uint32(i)])
				}
			}
			if all != want {
				t.Errorf("%+v: all items have %d, want %d", c, all, want)
			}
		}
	})
}

// TestNobodyFollowsTheCancelled: what a work-item without an answer gives to others of its group reaches no call.
func TestNobodyFollowsTheCancelled(t *testing.T) {
	forEach(t, func(t *testing.T, dev target) {
		p, _, n := relaunchProgram(t, dev)
		n.reset()
		checked(t, dev, p, hostcall.Launch{Kernel: "follows", Grid: grid(3), Group: grid(16), Args: []hal.Arg{hal.Int32(5)}})
		if n.garbage > 0 || len(n.seen) != 3*16*5 {
			t.Errorf("%d calls with garbage, %d calls", n.garbage, len(n.seen))
		}
	})
}

// TestPosted has kernels that cannot be started again.
func TestPosted(t *testing.T) {
	forEach(t, func(t *testing.T, dev target) {
		onlyRelaunch(t, dev)
		p, rt, _ := relaunchProgram(t, dev)
		text := pattern(3000)
		memory := buffer(t, dev, text)
		posts := func(t *testing.T, items, n, lines int) (outcome, []string) {
			t.Helper()
			notes := buffer(t, dev, make([]byte, 1024))
			o := run(t, p, hostcall.Launch{Kernel: "posts", Group: grid(items), Args: []hal.Arg{hal.Memory(notes), hal.Memory(memory), hal.Int32(int32(n)), hal.Int32(int32(lines))}})
			if k := binary.LittleEndian.Uint32(content(t, dev, notes)); k > 0 && o.cause == nil {
				t.Errorf("%d expectations failed", k)
			}
			var want []string
			for i := range items {
				for k := range lines {
					want = append(want, fmt.Sprintf("%d.%d %s", i, k, text[:n]), "x")
				}
			}
			return o, want
		}
		t.Run("all", func(t *testing.T) {
			for _, n := range []int{0, 1, 3, 1000} {
				o, want := posts(t, 33, n, 20)
				if o.cause != nil || o.Calls != 33*20*3 {
					t.Errorf("%v after %d calls", o.cause, o.Calls)
				}
				diffLines(t, sortedLines(o.out), want)
				if o.err != strings.Repeat(string(text[:n]), 33*20) {
					t.Errorf("%d bytes each: %d bytes written", n, len(o.err))
				}
				for i := range 33 { // each item's own in their order
					at := 0
					for k := range 20 {
						line := fmt.Sprintf("%d.%d %s\n", i, k, text[:n])
						next := strings.Index("\n"+o.out[at:], "\n"+line)
						if next < 0 {
							t.Fatalf("%q is not behind the line before it", line)
						}
						at += next + len(line)
					}
				}
			}
		})
		t.Run("too much", func(t *testing.T) {
			hostcall.SetOutbox(rt, 16<<10)
			defer hostcall.SetOutbox(rt, 0)
			o, want := posts(t, 4, 100, 500)
			if o.cause == nil || !strings.Contains(o.cause.Error(), "kernel posts") || !strings.Contains(o.cause.Error(), "more than there is room for") {
				t.Errorf("got %v", o.cause)
			}
			if len(o.out) < 4<<10 {
				t.Errorf("only %d bytes were delivered", len(o.out))
			}
			whole := map[string]bool{}
			for _, l := range want {
				whole[l] = true
			}
			for _, l := range sortedLines(o.out) {
				if !whole[l] {
					t.Fatalf("a line that nobody printed: %.100q", l)
				}
			}
		})
		t.Run("nowhere", func(t *testing.T) {
			for leaves := range 2 {
				o := run(t, p, hostcall.Launch{Kernel: "posts_nowhere", Args: []hal.Arg{hal.Int32(int32(leaves))}})
				if o.out != "before\nafter\n" || o.cause == nil || !strings.Contains(o.cause.Error(), "descriptor 77") || !strings.Contains(o.cause.Error(), "PRINTF") {
					t.Errorf("%q, %v", o.out, o.cause)
				}
			}
		})
		t.Run("exit", func(t *testing.T) {
			o := run(t, p, hostcall.Launch{Kernel: "leaves", Group: grid(4)})
			if o.cause != nil || o.ExitCode != 5 || o.out != strings.Repeat("leaving\n", 4) {
				t.Errorf("%d, %q, %v", o.ExitCode, o.out, o.cause)
			}
		})
	})
}

// TestBackPressure: what finds no room waits for it, and nothing is lost.
func TestBackPressure(t *testing.T) {
	forEach(t, func(t *testing.T, dev target) {
		onlyRelaunch(t, dev)
		p, rt, _ := relaunchProgram(t, dev)
		text := pattern(70_000)
		memory := buffer(t, dev, text)
		for _, c := range []struct{ outbox, items, n, lines int }{{4 << 10, 33, 400, 3}, {4 << 10, 5, 4000, 1}, {1 << 10, 40, 10, 2}, {64, 3, 500, 2}, {64 << 10, 3, 70_000, 1}} {
			hostcall.SetOutbox(rt, c.outbox)
			got := checked(t, dev, p, hostcall.Launch{Kernel: "prints", Group: grid(c.items), Args: []hal.Arg{hal.Memory(memory), hal.Int32(int32(c.n)), hal.Int32(int32(c.lines))}})
			var want []string
			for i := range c.items {
				for k := range c.lines {
					want = append(want, fmt.Sprintf("%03d.%03d %s", i, k, text[:c.n]))
				}
			}
			diffLines(t, sortedLines(got), want)
		}
	})
}

// TestBrokenPromise has a kernel that is not what it says.
func TestBrokenPromise(t *testing.T) {
	forEach(t, func(t *testing.T, dev target) {
		onlyRelaunch(t, dev)
		p, _, _ := relaunchProgram(t, dev)
		o := run(t, p, hostcall.Launch{Kernel: "diverges", Args: []hal.Arg{hal.Memory(buffer(t, dev, make([]byte, 4)))}})
		if !errors.Is(o.cause, relaunch.ErrDiverged) || !strings.Contains(o.cause.Error(), "call next") {
			t.Errorf("got %v", o.cause)
		}
	})
}

// TestSilentInput holds up only who reads it.
func TestSilentInput(t *testing.T) {
	forEach(t, func(t *testing.T, dev target) {
		onlyRelaunch(t, dev)
		p, _, _ := relaunchProgram(t, dev)
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		out := &lines{wrote: make(chan struct{}, 1)}
		go func() {
			for strings.Count(out.String(), "\n") < 7*3 {
				<-out.wrote
			}
			time.Sleep(20 * time.Millisecond) // in which nobody may spin
			io.WriteString(w, "late")
			w.Close()
		}()
		done := buffer(t, dev, make([]byte, 4*8))
		o := run(t, p, hostcall.Launch{Kernel: "one_reads", Grid: grid(2), Group: grid(4), Policy: policy.Policy{Stdin: r, Stdout: out}, Args: []hal.Arg{hal.Memory(done)}})
		if o.cause != nil || !strings.HasSuffix(out.String(), "read 4\n") {
			t.Errorf("%v, printed %q", o.cause, out.String())
		}
		for i, b := range content(t, dev, done) {
			if i%4 == 0 && b != 1 {
				t.Errorf("item %d did not come to its end", i/4)
			}
		}
	})
}

// TestSilentInputOfGroups has one group for each unit of the device, and some more, that read what does not come; the others go on.
func TestSilentInputOfGroups(t *testing.T) {
	forEach(t, func(t *testing.T, dev target) {
		i := dev.Info()
		if dev.transport == plan.Mailbox && i.Subgroup == 1 && i.Backend != "cpu" {
			t.Skipf("on %s a thread may have several groups in turn: those behind one that waits wait as well", i.URI)
		}
		p, err := newRuntime(t, dev, nil).Load(t.Context(), "silent.kernel.c", `KERNEL(some_read, hc_u32 readers) {
    char c[8];
    HC_RESUMABLE;
    if (hc_group_id() < readers) {
        const hc_i64 n = hc_read(0, c, 8);
        hc_printf("read %d\n", (int)n);
    } else {
        hc_puts("other\n");
    }
}`)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		const others = 5
		readers := min(i.Units+2, 200)
		out := &lines{wrote: make(chan struct{}, 1)}
		go func() {
			for strings.Count(out.String(), "\n") < others {
				<-out.wrote
			}
			w.Close()
		}()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if _, err := p.Run(ctx, hostcall.Launch{Kernel: "some_read", Grid: grid(readers + others), Group: grid(1), Policy: policy.Policy{Stdin: r, Stdout: out},
			Args: []hal.Arg{hal.Int32(int32(readers))}}); err != nil {
			t.Error(err)
		}
		if want := strings.Repeat("other\n", others) + strings.Repeat("read 0\n", readers); out.String() != want {
			t.Errorf("printed %q", out.String())
		}
	})
}

// TestUnanswerable has files that cannot work without a mailbox.
func TestUnanswerable(t *testing.T) {
	forEach(t, func(t *testing.T, dev target) {
		rt := newRuntime(t, dev, nil)
		for _, c := range []struct {
			text string
			want []string
		}{
			{"KERNEL(fine) { hc_puts(\"x\"); hc_printf(\"%d\", 1); hc_assert(1); }", nil},
			{"KERNEL(fine) { HC_RESUMABLE; hc_random((char *)0, 0); }", nil},
			{"\nKERNEL(asks) { char c[1]; hc_read(0, c, 1); }", []string{"f.kernel.c:2", "kernel asks", "hc_read"}},
			{"DEVICE int f(HC) { return hc_fsync(1); }\nKERNEL(fine) {}\nKERNEL(asks) { f(hc); }", []string{"f.kernel.c:3", "kernel asks", "hc_fsync"}},
		} {
			p, err := rt.Load(t.Context(), "f.kernel.c", c.text)
			if err == nil {
				p.Close()
			}
			if dev.transport == plan.Mailbox || c.want == nil {
				if err != nil {
					t.Errorf("%s: %v", c.text, err)
				}
				continue
			}
			for _, w := range append(c.want, string(capabilities.CommMailbox), "HC_RESUMABLE") {
				if err == nil || !strings.Contains(err.Error(), w) {
					t.Errorf("%s: %v does not say %s", c.text, err, w)
				}
			}
		}
		onlyRelaunch(t, dev)
		// What the look at the text does not find is refused when it happens.
		p := loadText(t, rt, "f.kernel.c", "#define JOIN_(a, b) a##b\n#define JOIN(a, b) JOIN_(a, b)\nKERNEL(asks) { hc_puts(\"before\\n\"); if (JOIN(hc_, fsync)(1) == -HC_ECANCELED) hc_puts(\"after\\n\"); }")
		if o := run(t, p, hostcall.Launch{}); !errors.Is(o.cause, relaunch.ErrRefused) || !strings.Contains(o.cause.Error(), "FSYNC") || o.out != "before\n" {
			t.Errorf("%q, %v", o.out, o.cause)
		}
	})
}
