package cpu_test

import (
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"time"

	_ "github.com/dialtone-gpu/dialtone/backend/cpu"
	"github.com/dialtone-gpu/dialtone/hal"
)

func open(t *testing.T) *hal.Device {
	t.Helper()
	d, err := hal.Open(context.Background(), "cpu:0")
	if errors.Is(err, hal.ErrUnavailable) {
		t.Skipf("no cpu device: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// launch runs one kernel of the text and gives the error of the run.
func launch(t *testing.T, d *hal.Device, text string, grid, group int, timeout time.Duration, args ...hal.Arg) error {
	t.Helper()
	m, err := d.Compile(context.Background(), hal.Source{Name: "t.c", Text: "#line 1 \"t.c\"\n" + text})
	if err != nil {
		t.Fatal(err)
	}
	k, err := m.Kernel("k")
	if err != nil {
		t.Fatal(err)
	}
	q, err := d.NewQueue()
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	if err := q.Launch(k, [3]int{grid}, [3]int{group}, args...); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	err = q.Wait(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		if e := q.Stop(); e != nil {
			t.Fatal(e)
		}
		return errors.Join(err, q.Wait(context.Background()))
	}
	return err
}

func TestEveryItemRunsOnceAndBarriersHold(t *testing.T) {
	d := open(t)
	const groups, size = 37, 64
	b, err := d.Alloc(hal.DeviceMemory, 4*groups*size)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	clear(b.Bytes())
	// Each item adds its left neighbour's value of before the barrier.
	err = launch(t, d, `
void dialtone_entry_k(const struct dialtone_item *i, void **a) {
  static __thread unsigned shared[64];
  unsigned *out = *(unsigned **)a[0], l = i->local_id[0];
  for (int round = 0; round < 5; round++) {
    shared[l] = l + round;
    dialtone_cpu->barrier(i);
    out[i->group_id[0] * 64 + l] += shared[(l + 63) % 64];
    dialtone_cpu->barrier(i);
  }
}`, groups, size, 10*time.Second, hal.Memory(b))
	if err != nil {
		t.Fatal(err)
	}
	for i := range groups * size {
		want := uint32(0)
		for round := range 5 {
			want += uint32((i%size+size-1)%size + round)
		}
		if got := binary.LittleEndian.Uint32(b.Bytes()[4*i:]); got != want {
			t.Fatalf("item %d: %d, want %d", i, got, want)
		}
	}
}

func TestFaults(t *testing.T) {
	d := open(t)
	for _, c := range []struct{ name, body, want string }{
		{"null", `*(volatile int *)8 = 1;`, "SIGSEGV"},
		{"trap", `__builtin_trap();`, "trap"},
		{"divide", `volatile int n = 7, z = 0; n = n / z;`, "SIGFPE"},
		{"abort", `extern void abort(void); abort();`, "SIGABRT"},
		{"stack", `extern int deep(volatile int *); volatile int n = 0; deep(&n);`, "SIGSEGV"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := launch(t, d, "int deep(volatile int *n) { volatile int m = *n + 1; return deep(&m) + m; }\nvoid dialtone_entry_k(const struct dialtone_item *i, void **a) {\n if (i->group_id[0] == 3) {"+c.body+"}\n}", 8, 4, 10*time.Second)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "kernel k") || !strings.Contains(err.Error(), "group 3,0,0") {
				t.Fatalf("got %v, want it to say %s, kernel k and group 3", err, c.want)
			}
		})
	}
	// The process and the device are as good as before.
	if err := launch(t, d, "void dialtone_entry_k(const struct dialtone_item *i, void **a) {}", 8, 4, 10*time.Second); err != nil {
		t.Fatal(err)
	}
}

func TestFaultEndsEveryGroup(t *testing.T) {
	d := open(t)
	start := time.Now()
	err := launch(t, d, `void dialtone_entry_k(const struct dialtone_item *i, void **a) {
  if (i->group_id[0] == 0) *(volatile int *)8 = 1;
  for (;;) __asm__ volatile("");
}`, 16, 1, 10*time.Second)
	if err == nil || !strings.Contains(err.Error(), "SIGSEGV") || errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("after %v: %v", time.Since(start), err)
	}
}

func TestEndlessKernelStops(t *testing.T) {
	d := open(t)
	start := time.Now()
	err := launch(t, d, "void dialtone_entry_k(const struct dialtone_item *i, void **a) { for (;;) __asm__ volatile(\"\"); }", 100, 1, 100*time.Millisecond)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "stopped") {
		t.Fatalf("got %v", err)
	}
	if time.Since(start) > 5*time.Second {
		t.Fatalf("took %v", time.Since(start))
	}
}

func TestCompileErrorHasTheUsersLines(t *testing.T) {
	d := open(t)
	_, err := d.Compile(context.Background(), hal.Source{Name: "mine.c", Text: "#line 1 \"mine.c\"\n\nint f(void) {\n  return nothing;\n}\n"})
	var ce *hal.CompileError
	if !errors.As(err, &ce) {
		t.Fatalf("got %v", err)
	}
	if !strings.Contains(ce.Log, "mine.c:3") || strings.Contains(ce.Log, "dialtone/") {
		t.Fatalf("log:\n%s", ce.Log)
	}
}
