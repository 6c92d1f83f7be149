//go:build !windows

package cpu_test

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/internal/devicetest"
)

func kernel(t testing.TB, d *hal.Device, body string) *hal.Kernel {
	t.Helper()
	m, err := d.Compile(context.Background(), hal.Source{Name: "t.c", Text: "#line 1 \"t.c\"\nvoid dialtone_entry_k(const struct dialtone_item *i, void **a) {\n" + body + "\n}\n"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	k, err := m.Kernel("k")
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func newQueue(t testing.TB, d *hal.Device) *hal.Queue {
	t.Helper()
	q, err := d.NewQueue()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	})
	return q
}

func memory(t testing.TB, d *hal.Device, words int) *hal.Buffer {
	t.Helper()
	b, err := d.Alloc(hal.HostCoherent, 4*words)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	clear(b.Bytes())
	return b
}

func wait(t testing.TB, q *hal.Queue) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	return q.Wait(ctx)
}

// TestShapes runs every item of three-dimensional launches once, with the right numbers.
func TestShapes(t *testing.T) {
	d := open(t)
	k := kernel(t, d, `
  unsigned *out = *(unsigned **)a[0], x[3], n[3], at;
  for (int d = 0; d < 3; d++) {
    x[d] = i->group_id[d] * i->group_size[d] + i->local_id[d];
    n[d] = i->group_count[d] * i->group_size[d];
  }
  at = (x[2] * n[1] + x[1]) * n[0] + x[0];
  __atomic_fetch_add(&out[at], 1u + at, __ATOMIC_RELAXED);`)
	q := newQueue(t, d)
	for _, c := range []struct{ grid, group [3]int }{
		{[3]int{1, 1, 1}, [3]int{1024, 1, 1}}, {[3]int{3, 4, 5}, [3]int{2, 3, 4}}, {[3]int{1, 1, 70}, [3]int{1, 64, 1}}, {[3]int{5000}, [3]int{1}}, {[3]int{2}, [3]int{8, 8, 16}},
	} {
		n := 1
		for i := range 3 {
			n *= max(c.grid[i], 1) * max(c.group[i], 1)
		}
		out := memory(t, d, n)
		if err := q.Launch(k, c.grid, c.group, hal.Memory(out)); err != nil {
			t.Fatal(err)
		}
		if err := wait(t, q); err != nil {
			t.Fatal(err)
		}
		for i := range n {
			if v := binary.LittleEndian.Uint32(out.Bytes()[4*i:]); v != uint32(1+i) {
				t.Fatalf("%v of %v: item %d has %d", c.grid, c.group, i, v)
			}
		}
	}
}

// TestItemsThatLeaveAreNotAwaited: a barrier holds for the others.
func TestItemsThatLeaveAreNotAwaited(t *testing.T) {
	d := open(t)
	k := kernel(t, d, `
  unsigned *out = *(unsigned **)a[0], l = i->local_id[0];
  for (unsigned round = 0; round < 64; round++) {
    if (l == round) dialtone_cpu->leave(i);
    if (l % 7 == 3 && round == l / 2) return;
    dialtone_cpu->barrier(i);
    out[l]++;
    dialtone_cpu->pause(i, round % 3);
  }`)
	q, out := newQueue(t, d), memory(t, d, 64)
	if err := q.Launch(k, [3]int{1}, [3]int{64}, hal.Memory(out)); err != nil {
		t.Fatal(err)
	}
	if err := wait(t, q); err != nil {
		t.Fatal(err)
	}
	for l := range 64 {
		want := l
		if l%7 == 3 {
			want = l / 2
		}
		if v := binary.LittleEndian.Uint32(out.Bytes()[4*l:]); v != uint32(want) {
			t.Errorf("item %d: %d rounds, want %d", l, v, want)
		}
	}
}

// TestQueueKeepsOrder gives a queue many launches and transfers at once.
func TestQueueKeepsOrder(t *testing.T) {
	d := open(t)
	k := kernel(t, d, `
  unsigned *out = *(unsigned **)a[0], n = *(unsigned *)a[1];
  if (out[i->group_id[0]] == n) out[i->group_id[0]] = n + 1;`)
	var group sync.WaitGroup
	for range 4 {
		q, out := newQueue(t, d), memory(t, d, 16)
		group.Go(func() {
			for n := range 50 {
				if err := q.Launch(k, [3]int{16}, [3]int{1}, hal.Memory(out), hal.Int32(int32(n))); err != nil {
					t.Error(err)
				}
			}
			got := make([]byte, 64)
			if err := q.Read(got, out, 0); err != nil {
				t.Error(err)
			}
			for i := range 16 {
				if v := binary.LittleEndian.Uint32(got[4*i:]); v != 50 {
					t.Errorf("word %d is %d", i, v)
				}
			}
			if err := q.Write(out, 4, got[:4]); err != nil {
				t.Error(err)
			}
			if err := wait(t, q); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
}

// TestMarks: a mark comes when what was launched before it has ended, also by a fault, and at once on an idle queue.
func TestMarks(t *testing.T) {
	d := open(t)
	waiter := kernel(t, d, `
  volatile unsigned *w = *(unsigned **)a[0];
  w[0] = 1;
  while (!w[1]) dialtone_cpu->pause(i, 100);
  if (w[1] == 2) *(volatile unsigned *)8 = 1;`)
	for _, how := range []uint32{1, 2} {
		q, w, marks := newQueue(t, d), memory(t, d, 2), memory(t, d, 2)
		word := func(b *hal.Buffer, i int) *atomic.Uint32 { return (*atomic.Uint32)(unsafe.Pointer(&b.Bytes()[4*i])) }
		await := func(u *atomic.Uint32, v uint32) {
			t.Helper()
			for end := time.Now().Add(10 * time.Second); u.Load() != v; time.Sleep(time.Millisecond) {
				if time.Now().After(end) {
					t.Fatalf("the word is %d, want %d", u.Load(), v)
				}
			}
		}
		if err := q.Launch(waiter, [3]int{}, [3]int{}, hal.Memory(w)); err != nil {
			t.Fatal(err)
		}
		await(word(w, 0), 1)
		for i, v := range []uint32{7, 8} {
			if err := q.Mark(marks, 4*i, v); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(20 * time.Millisecond)
		if v := word(marks, 0).Load(); v != 0 {
			t.Fatalf("the mark is %d while the kernel runs", v)
		}
		word(w, 1).Store(how)
		await(word(marks, 0), 7)
		await(word(marks, 1), 8)
		if done, err := q.Done(); !done || (err != nil) != (how == 2) {
			t.Errorf("behind the mark: %v, %v", done, err)
		}
		if err := q.Mark(marks, 0, 9); err != nil || word(marks, 0).Load() != 9 {
			t.Errorf("an idle queue: %v, mark %d", err, word(marks, 0).Load())
		}
	}
}

// TestStopHammer stops launches at every moment of their life: while threads and stacks are made, while
// items run, wait, fault and end.
func TestStopHammer(t *testing.T) {
	d := open(t)
	bodies := []string{
		`for (;;) __asm__ volatile("");`,
		`for (;;) dialtone_cpu->barrier(i);`,
		`for (unsigned n = 0;; n++) dialtone_cpu->pause(i, n);`,
		`if (i->local_id[0] == 77) *(volatile int *)16 = 1; for (;;) dialtone_cpu->barrier(i);`,
		`dialtone_cpu->barrier(i);`,
	}
	rounds := 60
	if testing.Short() {
		rounds = 10
	}
	for _, body := range bodies {
		k, q := kernel(t, d, body), newQueue(t, d)
		for round := range rounds {
			for range 2 {
				if err := q.Launch(k, [3]int{20}, [3]int{100}); err != nil {
					t.Fatal(err)
				}
			}
			if round%10 != 0 {
				until := time.Now().Add(time.Duration(round) * 20 * time.Microsecond)
				for time.Now().Before(until) {
				}
			}
			if err := q.Stop(); err != nil {
				t.Fatal(err)
			}
			if err := wait(t, q); errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("%s does not stop", body)
			}
		}
	}
	if err := launch(t, d, "void dialtone_entry_k(const struct dialtone_item *i, void **a) {}", 8, 4, 10*time.Second); err != nil {
		t.Error(err)
	}
}

func TestNothingIsLeftBehind(t *testing.T) {
	d := open(t)
	for name, body := range map[string]string{"ends": "dialtone_cpu->barrier(i);", "faults": "*(volatile int *)16 = 1;", "runs": "for (;;) dialtone_cpu->barrier(i);"} {
		t.Run(name, func(t *testing.T) {
			k := kernel(t, d, body)
			devicetest.Leaks(t, func() {
				q, err := d.NewQueue()
				if err != nil {
					t.Fatal(err)
				}
				if err := q.Launch(k, [3]int{8}, [3]int{64}); err != nil {
					t.Fatal(err)
				}
				if name != "runs" {
					err := wait(t, q)
					if (err != nil) != (name == "faults") {
						t.Error(err)
					}
				}
				if err := errors.Join(q.Close(), q.Close()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestGoKeepsItsSignals: the runtime's handlers leave other threads' signals to those who had them.
func TestGoKeepsItsSignals(t *testing.T) {
	d := open(t)
	if err := launch(t, d, "void dialtone_entry_k(const struct dialtone_item *i, void **a) { *(volatile int *)16 = 1; }", 1, 1, 10*time.Second); err == nil {
		t.Fatal("no fault")
	}
	func() {
		defer func() {
			if err, ok := recover().(error); !ok || !strings.Contains(err.Error(), "nil pointer") {
				t.Errorf("a nil pointer in Go gives %v", err)
			}
		}()
		var p *[4]int
		p[2]++
	}()
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGUSR1)
	defer signal.Stop(c)
	if err := syscall.Kill(os.Getpid(), syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	select {
	case <-c:
	case <-time.After(10 * time.Second):
		t.Error("SIGUSR1 does not arrive")
	}
}

// TestSignalsFromOutside reach Go also while kernels run.
func TestSignalsFromOutside(t *testing.T) {
	d := open(t)
	k, q := kernel(t, d, `for (;;) __asm__ volatile("");`), newQueue(t, d)
	if err := q.Launch(k, [3]int{64}, [3]int{1}); err != nil {
		t.Fatal(err)
	}
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(c)
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		if err := syscall.Kill(os.Getpid(), s); err != nil {
			t.Fatal(err)
		}
		select {
		case got := <-c:
			if got != s {
				t.Errorf("%v arrives for %v", got, s)
			}
		case <-time.After(10 * time.Second):
			t.Errorf("%v does not arrive", s)
		}
	}
}

// TestOtherCompilers runs this package's tests with each C compiler of the machine.
func TestOtherCompilers(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it runs all the tests again")
	}
	for _, cc := range []string{"clang", "clang-15", "tcc"} {
		t.Run(cc, func(t *testing.T) {
			path, err := exec.LookPath(cc)
			if err != nil {
				t.Skipf("this compiler is not installed: %v", err)
			}
			skip := "^TestOtherCompilers$"
			if cc == "tcc" {
				skip += "|^TestEveryItem|^TestFaults/trap|^TestShapes" // these use what it lacks
			}
			cmd := exec.Command(os.Args[0], "-test.run=^Test", "-test.skip="+skip, "-test.short", "-test.timeout=2m")
			cmd.Env = append(os.Environ(), "CC="+path)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

func TestNoCompiler(t *testing.T) {
	t.Setenv("CC", "no-such-compiler-here")
	_, err := hal.Open(t.Context(), "cpu:0")
	if !errors.Is(err, hal.ErrUnavailable) || !strings.Contains(err.Error(), "no-such-compiler-here") || !strings.Contains(err.Error(), "install") {
		t.Errorf("got %v", err)
	}
	if _, err := hal.Open(t.Context(), "cpu:1"); !errors.Is(err, hal.ErrNoDevice) {
		t.Errorf("cpu:1 gives %v", err)
	}
}

// TestStack has work-items need the stack that their module says they do, and more than any may have.
func TestStack(t *testing.T) {
	d := open(t)
	const text = "#line 1 \"t.c\"\nstatic __attribute__((noinline)) unsigned deep(unsigned n) { volatile char b[1000]; b[n % 1000] = 1; return n == 0 ? 0 : deep(n - 1) + b[n % 1000]; }\n" +
		"void dialtone_entry_k(const struct dialtone_item *i, void **a) { (*(unsigned **)a[0])[i->group_id[0]] = deep(*(int *)a[1]); }\n"
	run := func(stack, depth int) ([]byte, error) {
		m, err := d.Compile(t.Context(), hal.Source{Name: "t.c", Text: text, Stack: stack})
		if err != nil {
			return nil, err
		}
		defer m.Close()
		k, err := m.Kernel("k")
		if err != nil {
			return nil, err
		}
		q, b := newQueue(t, d), memory(t, d, 8)
		if err := q.Launch(k, [3]int{8}, [3]int{}, hal.Memory(b), hal.Int32(int32(depth))); err != nil {
			return nil, err
		}
		return b.Bytes(), wait(t, q)
	}
	out, err := run(8<<20, 6000)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 8 {
		if v := binary.LittleEndian.Uint32(out[4*i:]); v != 6000 {
			t.Errorf("work-item %d: %d calls", i, v)
		}
	}
	if _, err := run(0, 6000); err == nil || !strings.Contains(err.Error(), "invalid address") {
		t.Errorf("without stack: %v", err)
	}
	if _, err := run(1<<30, 1); !errors.Is(err, hal.ErrUnsupported) || !strings.Contains(err.Error(), "1073741824 bytes of stack") {
		t.Errorf("a GiB: %v", err)
	}
}
