package devicetest

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	const output = `=== RUN   TestA
    a_test.go:1: one
=== RUN   TestB
=== RUN   TestB/x
    b_test.go:2: two
=== RUN   TestB/y
    b_test.go:3: needs a GPU
--- PASS: TestA (0.00s)
=== RUN   TestD
    child.go:4: skipped in the child process:
        === RUN   TestD
            d_test.go:5: no such device
        --- SKIP: TestD (0.00s)
        PASS
--- SKIP: TestD (0.00s)
--- FAIL: TestB (0.00s)
    --- FAIL: TestB/x (0.00s)
    --- SKIP: TestB/y (0.00s)
=== RUN   TestC
SIGSEGV: segmentation violation
`
	got := parse(output)
	want := []report{
		{"TestA", "PASS", "    a_test.go:1: one\n"},
		{"TestB/x", "FAIL", "    b_test.go:2: two\n"},
		{"TestB/y", "SKIP", "    b_test.go:3: needs a GPU\n"},
		{"TestD", "SKIP", "    child.go:4: skipped in the child process:\n            d_test.go:5: no such device\n        PASS\n"},
		{"TestC", "", "SIGSEGV: segmentation violation\n"},
	}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(report{})); d != "" {
		t.Error(d)
	}
	for i, want := range map[int]string{2: "needs a GPU", 3: "no such device"} {
		if why := got[i].reason(); why != want {
			t.Errorf("%s is skipped because %q, want %q", got[i].name, why, want)
		}
	}
	if got := parse("nothing of the kind\n"); got != nil {
		t.Errorf("%+v", got)
	}
}

func TestComplaints(t *testing.T) {
	const (
		invalid = "\nInvalid write of size 4 at global memory address 0x6400000000000\n\tKernel: fault\n\tEntity: Global(11,0,0) Local(3,0,0) Group(2,0,0)\n" +
			"\t  store i32 1, i32 addrspace(1)* %arrayidx, align 4\n\t\n"
		api = "\nOclgrind - OpenCL runtime error detected\n\tFunction: clSetKernelArg\n\tError:    CL_INVALID_ARG_SIZE\n\n"
	)
	race := func(first, second string) string {
		return "\nRead-write data race at global memory address 0x5000000000000\n\tKernel: k\n\t\n\tFirst entity:  Global(1,0,0) Local(1,0,0) Group(0,0,0)\n\t  " + first +
			"\n\tAt line 53 (column 70) of a.h:\n\t  text\n\t\n\tSecond entity: Global(0,0,0) Local(0,0,0) Group(0,0,0)\n\t  " + second + "\n\tAt line 87 of b.h:\n\t  text\n\t\n"
	}
	const (
		load   = "%1 = load volatile i32, i32 addrspace(1)* %0, align 4, !dbg !94"
		store  = "store volatile i32 %0, i32 addrspace(1)* %1, align 4, !dbg !93"
		add    = "%call3 = call spir_func i32 @_Z10atomic_addPU3AS1Vjj(i32 addrspace(1)* noundef %a, i32 noundef %9) #7, !dbg !114"
		wide   = "%c = call spir_func i64 @_Z8atom_addPU3AS1Vmm(i64 addrspace(1)* noundef %a, i64 noundef %9) #7"
		plain  = "store i32 %0, i32 addrspace(1)* %1, align 4, !dbg !93"
		memory = "    a_test.go:1: some text\n"
	)
	for _, c := range []struct {
		name, text string
		want       []string // how each begins
	}{
		{"nothing", memory, nil},
		{"out of bounds", memory + invalid + memory, []string{"Invalid write"}},
		{"a refused source", strings.Replace(api, "CL_INVALID_ARG_SIZE", "CL_BUILD_PROGRAM_FAILURE", 1), nil},
		{"a wrong call", memory + api, []string{"Oclgrind - OpenCL"}},
		{"on purpose", race(load, store) + race(add, load) + race(wide, wide), nil},
		{"one side is plain", race(load, plain) + race(load, load), []string{"Read-write data race"}},
		{"both are", race(plain, plain), []string{"Read-write data race"}},
		{"several", invalid + invalid + api, []string{"Invalid write", "Invalid write", "Oclgrind"}},
		{"a log of Go's", "Something of the test\n\twith an indented line\n", nil},
	} {
		got := complaints(c.text)
		ok := len(got) == len(c.want)
		for i := range min(len(got), len(c.want)) {
			ok = ok && strings.HasPrefix(got[i], c.want[i])
		}
		if !ok {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
