package hostcall_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/hostcall"
	"github.com/dialtone-gpu/dialtone/hostcall/policy"
	"github.com/dialtone-gpu/dialtone/hostcall/service"
)

var began = time.Now()

// processProgram loads process.kernel.c with what it imports.
func processProgram(t testing.TB, dev target) *hostcall.Program {
	rt := newRuntime(t, dev, nil)
	err := rt.Register("host_ns", func(_ context.Context, l *hostcall.Lane) error {
		ns := uint64(time.Since(began))
		l.Out[0], l.Out[1] = uint32(ns), uint32(ns>>32)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return load(t, rt, "process")
}

func TestArgumentsAndEnvironment(t *testing.T) {
	forEach(t, func(t *testing.T, dev target) {
		p := processProgram(t, dev)
		var many []string
		for i := range 3000 {
			many = append(many, fmt.Sprint("argument ", i))
		}
		for _, args := range [][]string{nil, {""}, {"one"}, {"prog", "", "-x", "ä€", "", ""}, many, {"prog", string(pattern(100_000)), "after"}} {
			out := checked(t, dev, p, hostcall.Launch{Kernel: "arguments", Policy: policy.Policy{Args: args}})
			want := ""
			for _, a := range args {
				want += a + "\n"
			}
			diffText(t, out, want)
		}
		env := []string{"A=1", "AB=two", "EMPTY=", "EQUALS=a=b=c", "LITERAL=yes", "LONG=" + string(pattern(100_000)), "LAST=l"}
		out := good(t, p, hostcall.Launch{Kernel: "environment", Policy: policy.Policy{
			Args: []string{"A", "AB", "ABC", "B", "EMPTY", "EQUALS", "EQUAL", "LONG", "LAST", ""}, Env: env}})
		diffText(t, out, "A is 1\nAB is two\nABC is (null)\nB is (null)\nEMPTY is \nEQUALS is a=b=c\nEQUAL is (null)\nLONG is "+
			string(pattern(100_000))+"\nLAST is l\n is (null)\nyes (null)\n")
		out = good(t, p, hostcall.Launch{Kernel: "environment", Policy: policy.Policy{Args: []string{"A"}}})
		diffText(t, out, "A is (null)\n(null) (null)\n")

		o := run(t, p, hostcall.Launch{Kernel: "environment", Policy: policy.Policy{Args: []string{strings.Repeat("x", service.MaxBlock)}}})
		if o.cause == nil || !strings.Contains(o.cause.Error(), "larger than") {
			t.Errorf("too long an argument gives %v", o.cause)
		}
		o = run(t, p, hostcall.Launch{Kernel: "environment", Policy: policy.Policy{Env: []string{"novalue"}}})
		if o.cause == nil {
			t.Error("a variable without = is taken")
		}
	})
}

func TestExit(t *testing.T) {
	forEach(t, func(t *testing.T, dev target) {
		p := processProgram(t, dev)
		for _, code := range []int32{0, 1, 3, 255, 256, -1, 1<<31 - 1, -1 << 31} {
			o := run(t, p, hostcall.Launch{Kernel: "leave", Args: []hal.Arg{hal.Int32(code), hal.Int32(0)}})
			if o.cause != nil || o.ExitCode != int(code) || o.out != "leaving\n" {
				t.Errorf("exit(%d) gives %d, %q, %v", code, o.ExitCode, o.out, o.cause)
			}
		}
		for others, what := range []string{"calls", "computing", "reading", "sleeping"} {
			t.Run(what, func(t *testing.T) {
				if what == "computing" {
					mailboxOnly(t, dev, "an exit is served when the launch has ended, and they compute until they hear of it")
				}
				r, w, err := os.Pipe()
				if err != nil {
					t.Fatal(err)
				}
				defer r.Close()
				defer w.Close()
				groups, items := min(dev.Info().Units, 2), 8 // what never ends by itself must not keep the first group from running
				if inStep(dev) {
					items = 1
				}
				o := run(t, p, hostcall.Launch{Kernel: "leave", Grid: grid(groups), Group: grid(items), Policy: policy.Policy{Stdin: r},
					Args: []hal.Arg{hal.Int32(9), hal.Int32(int32(others))}})
				if o.cause != nil || o.ExitCode != 9 || o.out != "leaving\n" {
					t.Errorf("exit code %d, %q, %v", o.ExitCode, o.out, o.cause)
				}
			})
		}
	})
}

func TestAbortAndAssert(t *testing.T) {
	forEach(t, func(t *testing.T, dev target) {
		p := processProgram(t, dev)
		o := run(t, p, hostcall.Launch{Kernel: "abort_now"})
		if want := (service.Abort{Message: "out of paper"}); !errors.Is(o.cause, want) || o.out != "before\n" {
			t.Errorf("abort gives %v, %q", o.cause, o.out)
		}
		if o.cause == nil || !strings.Contains(o.cause.Error(), "kernel abort_now") {
			t.Errorf("%v does not name the kernel", o.cause)
		}
		if got := good(t, p, hostcall.Launch{Kernel: "assert_now", Args: []hal.Arg{hal.Int32(1)}}); got != "fine\n" {
			t.Errorf("an assertion that holds: %q", got)
		}
		o = run(t, p, hostcall.Launch{Kernel: "assert_now", Group: grid(8), Args: []hal.Arg{hal.Int32(5)}})
		want := service.Assert{File: "testdata/process.kernel.c", Line: 56, Expr: "hc_global_id() < limit"}
		var got service.Assert
		if !errors.As(o.cause, &got) || got != want {
			t.Errorf("assert gives %v, want %v", o.cause, want)
		}
	})
}

func TestClocks(t *testing.T) {
	forEach(t, func(t *testing.T, dev target) {
		p := processProgram(t, dev)
		const items = 33
		rows := buffer(t, dev, make([]byte, items*64))
		before := time.Now()
		checked(t, dev, p, hostcall.Launch{Kernel: "clocks", Group: grid(items), Args: []hal.Arg{hal.Memory(rows), hal.Int64(30e6)}})
		after := time.Now()
		got := content(t, dev, rows)
		for i := range items {
			var v [8]int64
			for k := range v {
				v[k] = int64(binary.LittleEndian.Uint64(got[i*64+k*8:]))
			}
			kernel, least, most := v[4]-v[1], v[3]-v[2], v[5]-v[0]
			// Two clocks of the same machine: a tick and 1% apart.
			if slack := 2e6 + most/100; kernel < least-slack || kernel > most+slack {
				t.Errorf("item %d: %d ns passed in the kernel, between %d and %d on the host", i, kernel, least, most)
			}
			if least < 30e6 {
				t.Errorf("item %d: slept %d ns of 30 ms", i, least)
			}
			if wall := time.Unix(0, v[6]); wall.Before(before.Add(-2*time.Second)) || wall.After(after.Add(2*time.Second)) {
				t.Errorf("item %d: it is %v, on the host between %v and %v", i, wall, before, after)
			}
			if v[7] != 0 {
				t.Errorf("item %d: the monotonic clock went back %d times", i, v[7])
			}
		}
	})
}

func TestDefaultPolicy(t *testing.T) {
	forEach(t, func(t *testing.T, dev target) {
		p := processProgram(t, dev)
		var out lines
		checked(t, dev, p, hostcall.Launch{Kernel: "denied", Policy: policy.Policy{NoClocks: true, NoRandom: true, Stdout: &out, Stderr: &out}})
		if len(out.String()) != 8 {
			t.Errorf("written %q", out.String())
		}
		checked(t, dev, p, hostcall.Launch{Kernel: "denied", Policy: policy.Policy{NoClocks: true, NoRandom: true, Stdout: io.Discard, Stderr: io.Discard}})
	})
}

func TestRandom(t *testing.T) {
	forEach(t, func(t *testing.T, dev target) {
		p := processProgram(t, dev)
		for _, n := range []int{0, 1, 3, 17, 4096, 70_001} {
			const items = 3
			stride := n + 5
			b := buffer(t, dev, make([]byte, items*stride))
			checked(t, dev, p, hostcall.Launch{Kernel: "chance", Group: grid(items),
				Args: []hal.Arg{hal.Memory(b), hal.Int32(int32(n)), hal.Int32(int32(stride))}})
			got := content(t, dev, b)
			for i := range items {
				part := got[i*stride:][:stride]
				for k := n; k < stride; k++ {
					if part[k] != 0 {
						t.Fatalf("%d bytes, item %d: byte %d behind them is %d", n, i, k, part[k])
					}
				}
				var seen [256]int
				for _, v := range part[:n] {
					seen[v]++
				}
				for v, c := range seen {
					if n >= 4096 && (c == 0 || c > n/64) {
						t.Errorf("%d bytes, item %d: the byte %d is there %d times", n, i, v, c)
					}
				}
				if i > 0 && n >= 17 && string(part[:n]) == string(got[:n]) {
					t.Errorf("%d bytes: two items got the same", n)
				}
			}
		}
	})
}

func TestStdin(t *testing.T) {
	forEach(t, func(t *testing.T, dev target) {
		p := processProgram(t, dev)
		text := string(pattern(10_000))
		t.Run("sources", func(t *testing.T) {
			file := t.TempDir() + "/in"
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			f, err := os.Open(file)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			slow, w := io.Pipe()
			go func() {
				for i := range len(text) / 100 {
					w.Write([]byte(text[i*100:][:100]))
				}
				w.Close()
			}()
			for _, in := range []io.Reader{nil, strings.NewReader(text), f, slow} {
				want := text
				if in == nil {
					want = ""
				}
				out := checked(t, dev, p, hostcall.Launch{Kernel: "copy", Policy: policy.Policy{Stdin: in}, Args: []hal.Arg{hal.Int32(77)}})
				diffText(t, out, want)
			}
		})
		t.Run("shared", func(t *testing.T) {
			// Every byte reaches exactly one item.
			out := checked(t, dev, p, hostcall.Launch{Kernel: "copy", Grid: grid(2), Group: grid(8), Policy: policy.Policy{Stdin: strings.NewReader(text)},
				Args: []hal.Arg{hal.Int32(7)}})
			var got, want [256]int
			for i := range len(out) {
				got[out[i]]++
			}
			for i := range len(text) {
				want[text[i]]++
			}
			if got != want || len(out) != len(text) {
				t.Errorf("%d bytes came through of %d", len(out), len(text))
			}
		})
		t.Run("late", func(t *testing.T) {
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			out := &lines{wrote: make(chan struct{}, 1)}
			go func() {
				// Input comes only when all others have had their say.
				for strings.Count(out.String(), "group") < 9 {
					<-out.wrote
				}
				w.Write([]byte("late"))
				w.Close()
			}()
			good(t, p, hostcall.Launch{Kernel: "one_waits", Grid: grid(10), Policy: policy.Policy{Stdin: r, Stdout: out}})
			if !strings.HasSuffix(out.String(), "read late\n") {
				t.Errorf("printed %q", out.String())
			}
		})
	})
}
