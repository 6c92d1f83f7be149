package wasi_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dialtone-gpu/dialtone/hostcall"
	"github.com/dialtone-gpu/dialtone/hostcall/errno"
	"github.com/dialtone-gpu/dialtone/hostcall/policy"
	"github.com/dialtone-gpu/dialtone/program/wasi"
)

// strings reads what args_get or environ_get gives.
func (g *guest) strings(what string) []string {
	g.t.Helper()
	count, size := g.alloc(4), g.alloc(4)
	g.ok(what+"_sizes_get", count, size)
	n, bytes := uint64(g.u32(count)), uint64(g.u32(size))
	list, block := g.alloc(int(4*n)), g.alloc(int(bytes))
	g.ok(what+"_get", list, block)
	var all []string
	for i := range n {
		at := uint64(g.u32(list + 4*i))
		if at < block || at >= block+bytes {
			g.t.Fatalf("string %d at %d is not in the block", i, at)
		}
		s, _, ok := strings.Cut(g.str(at, block+bytes-at), "\x00")
		if !ok {
			g.t.Fatalf("string %d has no end", i)
		}
		all = append(all, s)
	}
	return all
}

func TestArgumentsAndEnvironment(t *testing.T) {
	args := []string{"name", "", "ä b", strings.Repeat("long", 700)}
	p := policy.Policy{Args: args, Env: []string{"A=1", "DIALTONE_INSTANCE=9", "B=x=y"}}
	s := newSystem(t, p, 3)
	for _, room := range []int{64, 4096} {
		for i := range uint32(3) {
			g := newGuest(t, s, i)
			g.room = room
			if got := g.strings("args"); !slices.Equal(got, args) {
				t.Errorf("room %d: arguments %q", room, got)
			}
			if got, want := g.strings("environ"), []string{"A=1", "B=x=y", fmt.Sprint("DIALTONE_INSTANCE=", i), "DIALTONE_INSTANCES=3"}; !slices.Equal(got, want) {
				t.Errorf("room %d: environment %q, want %q", room, got, want)
			}
			g.want(efault, "args_get", memorySize-8, 8)
			g.want(efault, "args_get", 8, memorySize-8)
			g.want(efault, "args_sizes_get", memorySize-3, 8)
			g.want(efault, "environ_sizes_get", 8, memorySize)
			g.want(efault, "environ_get", 0xffffffff, 8)
		}
	}
	g := alone(t, policy.Policy{})
	if got := g.strings("args"); len(got) != 0 {
		t.Errorf("arguments %q of an empty policy", got)
	}
	if got := g.strings("environ"); !slices.Equal(got, []string{"DIALTONE_INSTANCE=0", "DIALTONE_INSTANCES=1"}) {
		t.Errorf("environment %q of an empty policy", got)
	}
	if _, err := wasi.NewSystem(policy.Policy{Args: []string{strings.Repeat("x", 1<<20)}}, 1); err == nil {
		t.Error("arguments of a MiB are taken")
	}
	if _, err := wasi.NewSystem(policy.Policy{}, 0); err == nil {
		t.Error("no instances are taken")
	}
}

func TestClocks(t *testing.T) {
	g := alone(t, policy.Policy{})
	to := g.alloc(8)
	for clock, step := range []uint64{1e9, 1e9} {
		g.ok("clock_res_get", clock, to)
		if r := g.u64(to); r == 0 || r > step {
			t.Errorf("resolution of clock %d: %d ns", clock, r)
		}
	}
	before := uint64(time.Now().UnixNano())
	g.ok("clock_time_get", 0, 0, to)
	if now := g.u64(to); now < before || now > uint64(time.Now().UnixNano()) {
		t.Errorf("the time of day is %d, was %d", now, before)
	}
	g.ok("clock_time_get", 1, uint64(math.MaxUint64), to)
	first := g.u64(to)
	time.Sleep(time.Millisecond)
	g.ok("clock_time_get", 1, 0, to)
	if d := g.u64(to) - first; d < 1e6 || d > 60e9 {
		t.Errorf("a millisecond takes %d ns", d)
	}
	for _, clock := range []uint32{2, 3, 4, 0xffffffff} {
		g.want(einval, "clock_time_get", clock, 0, to)
		g.want(einval, "clock_res_get", clock, to)
	}
	g.want(efault, "clock_time_get", 0, 0, memorySize-7)
	g.want(efault, "clock_res_get", 0, memorySize-7)

	g = alone(t, policy.Policy{NoClocks: true, NoRandom: true})
	g.want(notcapable, "clock_time_get", 0, 0, 8)
	g.want(notcapable, "clock_time_get", 1, 0, 8)
	g.want(notcapable, "clock_res_get", 1, 8)
	g.want(notcapable, "random_get", 8, 8)
	g.ok("sched_yield")
}

const notcapable = enotcapable

func TestRandom(t *testing.T) {
	g := alone(t, policy.Policy{})
	g.room = 64
	const n = 1001
	at := g.alloc(n + 2)
	g.mem[at], g.mem[at+n+1] = 0x5a, 0xa5
	calls := g.calls
	g.ok("random_get", at+1, n)
	if g.calls-calls < n/64 {
		t.Errorf("%d packets for %d bytes", g.calls-calls, n)
	}
	if g.mem[at] != 0x5a || g.mem[at+n+1] != 0xa5 {
		t.Error("bytes beside the buffer have changed")
	}
	for i := range n / 20 { // 20 zeros in a row: once in 2^160
		if b := g.mem[at+1+uint64(20*i):][:20]; bytes.Equal(b, make([]byte, 20)) {
			t.Errorf("zeros from %d on", 20*i)
		}
	}
	g.ok("random_get", at, 0)
	g.want(efault, "random_get", memorySize-7, 8)
	g.want(efault, "random_get", 0xffffffff, 0xffffffff)
}

func TestExit(t *testing.T) {
	var out, errs bytes.Buffer
	s := newSystem(t, policy.Policy{Stdout: &out, Stderr: &errs}, 5)
	var all []*guest
	for i := range uint32(5) {
		all = append(all, newGuest(t, s, i))
	}
	all[0].print(1, "no newline")
	if all[0].do("proc_exit", 7) != ended32 {
		t.Error("proc_exit does not end")
	}
	if out.String() != "no newline\n" {
		t.Errorf("printed %q", out.String())
	}
	// What comes then is not served.
	if all[0].do("fd_write", 1, 8, 0, 8) != ended32 || all[0].do("proc_exit", 8) != ended32 {
		t.Error("calls after the end are served")
	}
	if all[1].do("proc_exit", uint32(0xffffffff)) != ended32 {
		t.Error("proc_exit does not end")
	}
	for _, n := range []uint32{0, 16, 17, 22, 27} {
		all[2].ok("proc_raise", n)
	}
	for _, n := range []uint32{18, 19, 20, 21} {
		all[2].want(enotsup, "proc_raise", n)
	}
	all[2].want(einval, "proc_raise", 31)
	if all[2].do("proc_raise", 6) != ended32 {
		t.Error("SIGABRT does not end")
	}
	trap := wasi.Calls()[slices.IndexFunc(wasi.Calls(), func(c wasi.Call) bool { return c.Own })]
	if _, ended, err := all[3].call(t.Context(), all[3].mem, trap, []uint64{2, 17, 1234}); !ended || err != nil {
		t.Errorf("trap: %v", err)
	}
	want := []wasi.End{{Ended: true, Code: 7}, {Ended: true, Code: -1}, {Ended: true, Code: 134, Signal: 6}, {Ended: true, Trap: 2, Function: 17, At: 1234}, {}}
	if got := s.Ends(); !slices.Equal(got, want) {
		t.Errorf("ends %v, want %v", got, want)
	}
}

// pieces keeps what each Write brought.
type writes struct {
	mu   sync.Mutex
	list []string
}

func (w *writes) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.list = append(w.list, string(p))
	return len(p), nil
}

func TestLines(t *testing.T) {
	var out, errs writes
	s := newSystem(t, policy.Policy{Stdout: &out, Stderr: &errs}, 2)
	a, b := newGuest(t, s, 0), newGuest(t, s, 1)
	a.print(1, "one, ")
	b.print(1, "ONE\n")
	b.print(2, "error")
	a.print(1, "still one\ntwo\nthr")
	a.print(1, "")
	b.print(1, "\n")
	a.print(1, "ee")
	long := strings.Repeat("0123456789abcdef", 6000) // more than a line may have, and than a guest's pieces
	for range 3 {
		at := a.bytes([]byte(long[:40000]))
		a.ok("fd_write", 1, a.vector(span{at, 40000}), 1, 8)
	}
	a.do("proc_exit", 0)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	want := []string{"ONE\n", "one, still one\ntwo\n", "\n", "three" + long[:40000] + long[:40000], long[:40000] + "\n"}
	// The length of what is kept is no promise: only that lines stay whole up to it.
	if got := strings.Join(out.list, "|"); got != strings.Join(want, "|") {
		t.Errorf("written %.200q (%d pieces)", got, len(out.list))
	}
	if !slices.Equal(errs.list, []string{"error\n"}) {
		t.Errorf("standard error: %q", errs.list)
	}

	// One instance's output comes as it is written.
	var direct writes
	g := alone(t, policy.Policy{Stdout: &direct})
	g.print(1, "a")
	g.print(1, "b\nc")
	if !slices.Equal(direct.list, []string{"a", "b\nc"}) {
		t.Errorf("written %q", direct.list)
	}
}

// TestManyInstances: lines of many stay whole, each has its own descriptors, and handles of the host are shared.
func TestManyInstances(t *testing.T) {
	const n = 300
	var out bytes.Buffer
	root := tree(t, "a", "content")
	p := dir(root)
	p.Stdout, p.Stderr = &out, &out
	s := newSystem(t, p, n)
	before := handles(t)
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() {
			g := newGuest(t, s, uint32(i))
			stat := g.alloc(64)
			g.ok("path_filestat_get", 3, 0, "a", stat)
			for k := range 5 {
				g.print(1, fmt.Sprintf("%d: ", i))
				g.print(uint32(1+k%2), fmt.Sprintf("line %d\n", k))
			}
			if i%2 == 0 {
				fd := g.open(3, "a", 0, rightRead, 0)
				if fd != 4 || g.all(fd) != "content" {
					t.Errorf("instance %d: descriptor %d", i, fd)
				}
				g.ok("fd_close", fd)
				g.do("proc_exit", i)
			}
		})
	}
	group.Wait()
	if after := handles(t); after-before > 20 {
		t.Errorf("%d handles more for %d instances", after-before, n)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	seen := map[string]int{}
	for _, l := range lines {
		seen[l]++
	}
	for i := range n {
		// Lines of standard error, of one piece, and of standard output, of up to three.
		for _, want := range []string{fmt.Sprintf("%d: line 0", i), "line 1", fmt.Sprintf("%d: %[1]d: line 2", i), "line 3", fmt.Sprintf("%d: %[1]d: line 4", i)} {
			if seen[want]--; seen[want] < 0 {
				t.Fatalf("instance %d: no line %q", i, want)
			}
		}
	}
	for l, k := range seen {
		if k != 0 {
			t.Errorf("%d times %q", k, l)
		}
	}
	for i, e := range s.Ends() {
		if e.Ended != (i%2 == 0) || e.Ended && int(e.Code) != i {
			t.Errorf("instance %d ends %v", i, e)
		}
	}
}

// TestStdin: the instances share one standard input, and one that waits can be cancelled without a byte being lost.
func TestStdin(t *testing.T) {
	r, w := io.Pipe()
	s := newSystem(t, policy.Policy{Stdin: r}, 2)
	a, b := newGuest(t, s, 0), newGuest(t, s, 1)
	ctx, cancel := context.WithCancel(t.Context())
	a.ctx = ctx
	done := make(chan error)
	go func() {
		c, _ := wasi.Lookup("fd_read")
		_, _, err := a.call(ctx, a.mem, c, []uint64{0, a.vector(span{64, 8}), 1, 128})
		done <- err
	}()
	select {
	case err := <-done:
		t.Fatalf("a read without input ends: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	cancel()
	if err := <-done; errno.From(err) != errno.ECANCELED {
		t.Errorf("a cancelled read gives %v", err)
	}
	go io.WriteString(w, "abc")
	if text, e := b.read(0, 2); text != "ab" || e != 0 {
		t.Errorf("read %q, %d", text, e)
	}
	a.ctx = t.Context()
	if text, e := a.read(0, 2); text != "c" || e != 0 {
		t.Errorf("read %q, %d", text, e)
	}
	w.Close()
	for _, g := range []*guest{a, b} {
		if text, e := g.read(0, 2); text != "" || e != 0 {
			t.Errorf("at the end: read %q, %d", text, e)
		}
	}
}

// TestHostile: what a device sends that the table does not describe is refused, and the System still serves.
func TestHostile(t *testing.T) {
	var out bytes.Buffer
	s := newSystem(t, policy.Policy{Stdout: &out}, 1)
	f := s.Function()
	write, _ := wasi.Lookup("fd_write")
	environ, _ := wasi.Lookup("environ_get")
	n := uint32(write.Number)
	for name, l := range map[string]hostcall.Lane{
		"no words":             {Out: make([]uint32, wasi.ReplyWords)},
		"no function":          {In: []uint32{9999, 0, 0}, Out: make([]uint32, wasi.ReplyWords)},
		"few parameters":       {In: []uint32{n, 0, 0, 1}, Out: make([]uint32, wasi.ReplyWords)},
		"many parameters":      {In: []uint32{n, 0, 0, 1, 2, 3, 4, 5}, Out: make([]uint32, wasi.ReplyWords)},
		"few words of a reply": {In: []uint32{n, 0, 0, 1, 0, 0, 8}, Out: make([]uint32, wasi.ReplyWords-1)},
		"no bytes":             {In: []uint32{n, 0, 0, 1, 4, 1, 8}, Out: make([]uint32, wasi.ReplyWords)},
		"a piece cut":          {In: []uint32{n, 0, 0, 1, 4, 1, 8}, Out: make([]uint32, wasi.ReplyWords), Bytes: []byte{4, 0, 0, 0, 1}},
		"a piece of 4 GiB":     {In: []uint32{n, 0, 0, 1, 4, 1, 8}, Out: make([]uint32, wasi.ReplyWords), Bytes: []byte{255, 255, 255, 255, 1}},
		"bytes too many":       {In: []uint32{n, 0, 0, 1, 4, 1, 8}, Out: make([]uint32, wasi.ReplyWords), Bytes: []byte{1, 0, 0, 0, 1, 0, 0, 0, 9, 9, 9, 9}},
		"the rest of no reply": {In: []uint32{uint32(environ.Number), 0, 64, 8, 8}, Out: make([]uint32, wasi.ReplyWords)},
	} {
		l.Reply = make([]byte, 0, 64)
		if err := f(t.Context(), &l); errno.From(err) != errno.EINVAL {
			t.Errorf("%s: %v", name, err)
		}
	}
	l := hostcall.Lane{In: []uint32{n, 1, 0, 1, 0, 0, 8}, Out: make([]uint32, wasi.ReplyWords)}
	if err := f(t.Context(), &l); err != nil || l.Out[wasi.ReplyState] != einval {
		t.Errorf("an instance that there is not: %v, %v", err, l.Out)
	}
	newGuest(t, s, 0).print(1, "still there\n")
	s.Close()
	if err := f(t.Context(), &hostcall.Lane{In: []uint32{n, 0, 0, 1, 0, 0, 8}, Out: make([]uint32, wasi.ReplyWords)}); err != nil && errno.From(err) != errno.ECANCELED {
		t.Errorf("after the end: %v", err)
	}
	if out.String() != "still there\n" {
		t.Errorf("printed %q", out.String())
	}
}

// FuzzRequest: whatever words and bytes arrive, the answer fits and nothing panics or escapes.
func FuzzRequest(f *testing.F) {
	calls := wasi.Calls()
	for _, c := range calls {
		f.Add(uint32(c.Number), uint32(0), make([]byte, 4*c.Words()), []byte{1, 0, 0, 0, 'a', 0, 0, 0}, uint16(64))
		f.Add(uint32(c.Number), uint32(8), bytes.Repeat([]byte{3, 0, 0, 0}, c.Words()), []byte{3, 0, 0, 0, '.', '.', '/', 0}, uint16(16))
		f.Add(uint32(c.Number), uint32(0), bytes.Repeat([]byte{1, 0, 0, 0}, c.Words()), []byte{1, 0, 0, 0, 'a', 0, 0, 0, 1, 0, 0, 0, 'b', 0, 0, 0}, uint16(128))
	}
	root := f.TempDir()
	f.Fuzz(func(t *testing.T, function, offset uint32, params, sent []byte, room uint16) {
		p := dir(root)
		p.Dirs[0].ReadOnly = true // or the disk fills with what it makes up
		s, err := wasi.NewSystem(p, 2)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		serve := s.Function()
		ctx, stop := context.WithTimeout(t.Context(), 20*time.Millisecond) // it may well ask to sleep
		defer stop()
		words := []uint32{function, uint32(len(sent) % 3), offset}
		for ; len(params) >= 4; params = params[4:] {
			words = append(words, uint32(params[0])|uint32(params[1])<<8|uint32(params[2])<<16|uint32(params[3])<<24)
		}
		for range 2 {
			l := hostcall.Lane{In: words, Out: make([]uint32, wasi.ReplyWords), Bytes: bytes.Clone(sent), Reply: make([]byte, 0, room)}
			err := serve(ctx, &l)
			if err == nil && l.Wait != nil {
				err = l.Wait()
			}
			if err == nil && len(l.Reply) > int(room) {
				t.Fatalf("a reply of %d bytes for a room of %d", len(l.Reply), room)
			}
		}
	})
}
