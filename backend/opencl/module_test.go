package opencl_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dialtone-gpu/dialtone/hal"
)

const prelude = `#define KERNEL __kernel
int secret_of_the_prelude(int a) { return a; }
#line 1 "user.kernel.c"
`

func TestCompileError(t *testing.T) {
	d := open(t, usual)
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"syntax", "KERNEL void k(__global int *p) {\n\tp[0] = ;\n}\n", []string{"user.kernel.c:2:9: error: expected expression"}},
		{"two", "KERNEL void k(__global int *p) {\n\tp[0] = nope;\n\n\tp[1] = missing;\n}\n",
			[]string{"user.kernel.c:2:9: error: ", "'nope'", "user.kernel.c:4:9: error: ", "'missing'"}},
		{"types", "KERNEL void k(__global int *p) {\n\t__global float *q = 3.0f;\n}\n", []string{"user.kernel.c:2:"}},
		{"directive", "\n#error it is so\n", []string{"user.kernel.c:2:2: error: ", "it is so"}},
		{"the end is missing", "KERNEL void k(__global int *p) {\n", []string{"user.kernel.c:1:", "expected '}'"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := d.Compile(t.Context(), hal.Source{Name: "user.kernel.c", Text: prelude + c.text})
			var e *hal.CompileError
			if !errors.As(err, &e) {
				t.Fatalf("%v is no *hal.CompileError", err)
			}
			if e.Source != "user.kernel.c" || e.Device != d.Info().URI {
				t.Errorf("source %q, device %q", e.Source, e.Device)
			}
			for _, w := range c.want {
				if !strings.Contains(e.Log, w) {
					t.Errorf("the log lacks %q:\n%s", w, e.Log)
				}
			}
			for _, w := range []string{"secret", "generated", "failed to build", "/tmp"} {
				if strings.Contains(e.Log, w) {
					t.Errorf("the log has %q:\n%s", w, e.Log)
				}
			}
		})
	}
}

// TestCompileEnds closes a device, and opens it again, while the driver still compiles for it.
func TestCompileEnds(t *testing.T) {
	d := open(t, usual)
	var big strings.Builder
	big.WriteString(prelude)
	for i := range 300 {
		fmt.Fprintf(&big, "KERNEL void k%d(__global float *p) { for (int i = 0; i < %d; i++) p[i] = sin(p[i] * %d.0f); }\n", i, i, time.Now().Nanosecond())
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	start := time.Now()
	if _, err := d.Compile(ctx, hal.Source{Name: "big.kernel.c", Text: big.String()}); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "big.kernel.c") {
		t.Errorf("got %v", err)
	}
	must(t, d.Close())
	took := time.Since(start)
	other := open(t, usual)
	compile(t, other, prelude+"KERNEL void small(__global int *p) { p[0] = 1; }\n", "small")
	if whole := time.Since(start); took > time.Second && took > whole/2 {
		t.Errorf("it took %v to end; what followed, %v", took, whole)
	}
}

func TestKernelByName(t *testing.T) {
	d := open(t, usual)
	m, err := d.Compile(t.Context(), hal.Source{Name: "user.kernel.c",
		Text: prelude + "KERNEL void one(__global int *p) { p[0] = 1; }\nKERNEL void another(__global int *p) { p[0] = 2; }\n"})
	must(t, err)
	defer m.Close()
	for _, name := range []string{"one", "another", "one"} {
		k, err := m.Kernel(name)
		must(t, err)
		if k.Name() != name || k.MaxGroup() < 1 || k.MaxGroup() > d.Info().MaxGroup {
			t.Errorf("kernel %s is called %s and takes groups of %d", name, k.Name(), k.MaxGroup())
		}
	}
	for _, name := range []string{"missing", "", "one;another", "secret_of_the_prelude"} {
		_, err := m.Kernel(name)
		if !errors.Is(err, hal.ErrInvalid) || !strings.Contains(err.Error(), "another, one") {
			t.Errorf("kernel %q: %v", name, err)
		}
	}

	// The headers of PoCL make step _cl_step; other compilers may refuse such a kernel.
	if m, err := d.Compile(t.Context(), hal.Source{Name: "user.kernel.c", Text: "__kernel void step(__global int *p) { p[0] = 1; }"}); err == nil {
		defer m.Close()
		k, err := m.Kernel("step")
		must(t, err)
		if k.Name() != "step" {
			t.Errorf("kernel step is called %s", k.Name())
		}
	} else {
		t.Log(err)
	}

	empty, err := d.Compile(t.Context(), hal.Source{Name: "user.kernel.c", Text: prelude})
	must(t, err)
	defer empty.Close()
	if _, err := empty.Kernel("one"); !errors.Is(err, hal.ErrInvalid) || !strings.Contains(err.Error(), "no kernels") {
		t.Errorf("kernel of an empty module: %v", err)
	}
}

func TestCompileCancelled(t *testing.T) {
	d := open(t, usual)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.Compile(ctx, hal.Source{Name: "user.kernel.c", Text: addSource}); !errors.Is(err, context.Canceled) {
		t.Errorf("compile with a cancelled context: %v", err)
	}
}

// TestCompileWhileRunning needs a compiler that does not wait for a kernel.
func TestCompileWhileRunning(t *testing.T) {
	d := open(t, usual)
	q := queue(t, d)
	running, release := hold(t, d, q)
	eventually(t, "the kernel runs", running)
	compile(t, d, addSource+"\n", "add")
	if done, err := q.Done(); done || err != nil {
		t.Errorf("the kernel has ended: %v", err)
	}
	release()
}

// TestTooMuchShared: a kernel that wants more shared memory than there is has an error, at the latest when it is asked for. Its launch would end PoCL's process.
func TestTooMuchShared(t *testing.T) {
	d := open(t, usual)
	has := ""
	for f := range d.Facts(t.Context()) {
		if f.Name == "CL_DEVICE_LOCAL_MEM_SIZE" {
			has = f.Value
		}
	}
	m, err := d.Compile(t.Context(), hal.Source{Name: "user.kernel.c",
		Text: prelude + "KERNEL void big(__global int *p) { __local char a[" + has + " + 64]; a[get_local_id(0)] = 1; barrier(CLK_LOCAL_MEM_FENCE); p[0] = a[0]; }\n"})
	if err != nil {
		if has == "" || !strings.Contains(err.Error(), "user.kernel.c") {
			t.Errorf("with %q bytes: %v", has, err)
		}
		return
	}
	defer m.Close()
	if _, err := m.Kernel("big"); !errors.Is(err, hal.ErrInvalid) || !strings.Contains(err.Error(), "shared memory") {
		t.Errorf("with %s bytes: %v", has, err)
	}
}
