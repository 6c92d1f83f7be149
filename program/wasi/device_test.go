package wasi_test

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dialtone-gpu/dialtone/capabilities"
	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/hostcall"
	"github.com/dialtone-gpu/dialtone/hostcall/plan"
	"github.com/dialtone-gpu/dialtone/hostcall/policy"
	"github.com/dialtone-gpu/dialtone/internal/devicetest"
	"github.com/dialtone-gpu/dialtone/program/machine"
	"github.com/dialtone-gpu/dialtone/program/wasi"
)

func TestMain(m *testing.M) {
	devicetest.EmulateWarps()
	devicetest.EmulateHIP()
	devicetest.EmulateMetal()
	devicetest.Main(m)
}

//go:embed testdata/steps.kernel.c
var stepsKernel string

// script are the calls that an instance makes, and the memory that they work on. The parameters are known before: descriptors are the
// lowest free ones.
type script struct {
	g     *guest
	steps [][]uint64 // number and parameters
}

func (s *script) add(name string, args ...any) {
	s.g.t.Helper()
	c := lookup(name)
	words := []uint64{uint64(c.Number)}
	for _, a := range args {
		switch a := a.(type) {
		case string:
			words = append(words, s.g.bytes([]byte(a)), uint64(len(a)))
		case int:
			words = append(words, uint64(a))
		case uint64:
			words = append(words, a)
		}
	}
	if len(words) != len(c.Params)+1 {
		s.g.t.Fatalf("%s: %d parameters", name, len(words)-1)
	}
	s.steps = append(s.steps, words)
}

// write adds a write of those lengths, from and to any alignment.
func (s *script) write(fd int, seed int, lengths ...int) {
	var list []span
	for i, n := range lengths {
		at := s.g.alloc(n+i%4) + uint64(i%4)
		for k := range n {
			s.g.mem[at+uint64(k)] = byte('a' + (seed+i+k)%26)
		}
		list = append(list, span{at, uint64(n)})
	}
	s.add("fd_write", fd, s.g.vector(list...), len(lengths), s.g.alloc(4))
}

// read adds a read into those lengths.
func (s *script) read(fd int, at int, lengths ...int) {
	var list []span
	for i, n := range lengths {
		list = append(list, span{s.g.alloc(n+i%4) + uint64(i%4), uint64(n)})
	}
	s.add("fd_pread", fd, s.g.vector(list...), len(lengths), at, s.g.alloc(4))
}

// fill makes the script of an instance. Those of one subgroup make the same calls with other sizes, and some of them fail.
func (s *script) fill(i int) {
	s.add("args_sizes_get", s.g.alloc(4), s.g.alloc(4))
	s.add("args_get", s.g.alloc(4*len(manyArgs)), s.g.alloc(len(strings.Join(manyArgs, " "))+1))
	s.add("environ_sizes_get", s.g.alloc(4), s.g.alloc(4))
	s.add("environ_get", s.g.alloc(4*4), s.g.alloc(200))
	s.add("path_open", 3, 1, fmt.Sprintf("file%d", i), creat, everyRight, everyRight, 0, s.g.alloc(4)) // descriptor 5
	s.write(5, i, 1, i, 0, 3*i, i%7, 500)
	s.write(5, i)
	lengths := make([]int, i*37%1100)
	for k := range lengths {
		lengths[k] = k % 3
	}
	s.write(5, i, lengths...)
	s.write(5, i, 40_000*(i%3), 100)
	s.read(5, i, 5, i, 0, 1, 400)
	s.read(5, 0, 7, 8)
	s.read(5, 0)
	if i%5 == 3 {
		s.add("fd_write", 5, memorySize-1, 1, 64)
	} else {
		s.add("fd_write", 5, s.g.vector(span{uint64(i), 9}), 1, 64)
	}
	s.add("fd_write", 5, s.g.vector(span{8, 8}, span{uint64(memorySize - 9 + i%2), 9}), 2, 68)
	s.add("fd_seek", 5, -2, 2, s.g.alloc(8))
	s.add("path_open", 4, 0, "a", 0, rightRead, 0, 0, s.g.alloc(4)) // descriptor 6
	s.read(6, i%9, 3, 20, 5)                                        // behind the end
	if i%2 == 0 {                                                   // other calls in one step
		s.add("fd_tell", 6, s.g.alloc(8))
	} else {
		s.add("path_filestat_get", 4, 0, strings.Repeat("./", i)+"link", s.g.alloc(64))
	}
	if i == 1 { // more than travels
		s.add("fd_pwrite", 5, s.g.vector(slices.Repeat([]span{{5, 200_000}}, 10)...), 10, 3, s.g.alloc(4))
	} else {
		s.add("fd_pwrite", 5, s.g.vector(), 0, 3, s.g.alloc(4))
	}
	s.add("path_filestat_get", 4, 1, []string{"a", "none", "../x", "d"}[i%4], s.g.alloc(64))
	s.add("fd_readdir", 4, s.g.alloc(2000), 300+500*(i%4), 0, s.g.alloc(4))
	s.add("path_readlink", 4, "link", s.g.alloc(16), i%16, s.g.alloc(4))
	s.add("path_symlink", "target", 3, fmt.Sprintf("link%d", i))
	s.add("path_rename", 3, fmt.Sprintf("link%d", i), 3, fmt.Sprintf("renamed%d", i/2*2))
	s.add("fd_prestat_dir_name", 4, s.g.alloc(8), 3+i%5)
	s.add("fd_fdstat_get", 5, s.g.alloc(24))
	timers := bytes.Repeat(onClock(uint64(i), 1, 0, false), 1+i%3)
	s.add("poll_oneoff", s.g.bytes(timers), s.g.alloc(32*3), 1+i%3, s.g.alloc(4))
	s.add("sched_yield")
	s.add("path_unlink_file", 3, fmt.Sprintf("none%d", i))
	s.write(1, i, i+1)
	s.add("fd_write", 1, s.g.vector(span{s.g.bytes([]byte("\nmore")), 5}), 1, s.g.alloc(4))
	s.add("fd_close", 5)
	if i%4 != 3 {
		s.add("proc_exit", i)
	} else {
		s.add("fd_close", 5)
	}
}

// manyArgs are more than a packet holds.
var manyArgs = append(slices.Repeat([]string{strings.Repeat("argument ", 100)}, 90), "last")

// outcome is what a run of the scripts leaves.
type outcome struct {
	memory  []byte
	results []uint32
	out     []string
	files   map[string]string
	ends    []wasi.End
}

// files reads a directory.
func files(t testing.TB, root string) map[string]string {
	t.Helper()
	all := map[string]string{}
	list, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range list {
		name := filepath.Join(root, d.Name())
		if to, err := os.Readlink(name); err == nil {
			all[d.Name()] = "-> " + to
		} else if b, err := os.ReadFile(name); err == nil {
			all[d.Name()] = string(b)
		}
	}
	return all
}

// target is a device with a transport.
type target struct {
	*hal.Device
	transport plan.Transport
}

func forEach(t *testing.T, f func(t *testing.T, dev target)) {
	t.Helper()
	devicetest.ForEach(t, func(t *testing.T, dev *hal.Device) {
		for _, transport := range []plan.Transport{plan.Mailbox, plan.Stopping} {
			t.Run(string(transport), func(t *testing.T) {
				if uri := dev.Info().URI; transport == plan.Stopping && (uri == "warp:0" || uri == "hip:1" && dev.Info().Sim) {
					t.Skip("with relaunch every work-item calls alone, whatever the width of a subgroup: cpu:0 and hip:0 have the same text")
				}
				f(t, target{dev, transport})
			})
		}
	})
}

// load compiles the kernel; what it calls goes to the System that is set when it runs.
func load(t *testing.T, dev target) (*hostcall.Program, *atomic.Pointer[wasi.System]) {
	t.Helper()
	var system atomic.Pointer[wasi.System]
	rt, err := hostcall.New(t.Context(), dev.Device, &hostcall.Options{Policy: plan.Policy{Transport: dev.transport}, Warn: func(s string) { t.Errorf("warned: %s", s) }})
	if err != nil {
		t.Fatal(err)
	}
	if dev.transport == plan.Mailbox && !rt.Capabilities().Has(capabilities.CommMailbox) {
		t.Skipf("%s has no mailbox: %s", dev.Info().URI, plan.Make(dev.Info().URI, rt.Capabilities()).Obstacle)
	}
	t.Cleanup(func() { rt.Close() })
	if err := rt.Register(wasi.Import, func(ctx context.Context, l *hostcall.Lane) error { return system.Load().Function()(ctx, l) }); err != nil {
		t.Fatal(err)
	}
	p, err := rt.Load(t.Context(), "steps.kernel.c", machine.Source+wasi.KernelSource+stepsKernel)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p, &system
}

// run runs scripts, one for each instance, on the device.
func run(t *testing.T, dev target, p *hostcall.Program, l hostcall.Launch, memory []byte, list []*script) (after []byte, results []uint32) {
	t.Helper()
	steps := 0
	for _, s := range list {
		steps = max(steps, len(s.steps))
	}
	words := make([]byte, len(list)*steps*80)
	for i, s := range list {
		for k := range steps {
			step := s.steps[min(k, len(s.steps)-1)]
			for w, v := range step {
				binary.LittleEndian.PutUint64(words[((i*steps+k)*10+w)*8:], v)
			}
		}
	}
	out := make([]byte, 4*len(list)*steps)
	for i := range out {
		out[i] = 0xee
	}
	q, err := dev.NewQueue()
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	buffers := map[string]*hal.Buffer{}
	for name, content := range map[string][]byte{"memory": memory, "script": words, "results": out} {
		b, err := dev.Alloc(hal.DeviceMemory, len(content))
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		if err := q.Write(b, 0, content); err != nil {
			t.Fatal(err)
		}
		buffers[name] = b
	}
	if err := q.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.Args = []hal.Arg{hal.Memory(buffers["memory"]), hal.Int64(memorySize), hal.Memory(buffers["script"]), hal.Int32(int32(steps)), hal.Memory(buffers["results"])}
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	if _, err := p.Run(ctx, l); err != nil {
		t.Fatal(err)
	}
	after = make([]byte, len(memory))
	if err := q.Read(after, buffers["memory"], 0); err != nil {
		t.Fatal(err)
	}
	if err := q.Read(out, buffers["results"], 0); err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(out); i += 4 {
		results = append(results, binary.LittleEndian.Uint32(out[i:]))
	}
	return after, results
}

// TestDevice has every device make the same calls as the adapter in Go, and compares memories, results, files and output.
func TestDevice(t *testing.T) {
	const groups, items = 2, 19
	const n = groups * items
	shared := tree(t, "a", "content", "d/", "", "link", "-> a", "longer-name", "", "another-name", "")
	policyOf := func(root string, out *writes) policy.Policy {
		return policy.Policy{Args: manyArgs, Env: []string{"KEY=value"}, Stdout: out, Dirs: []policy.Dir{{Host: root, Guest: "/"}, {Host: shared, Guest: "/ro", ReadOnly: true}}}
	}
	make := func(t *testing.T) (list []*script, memory []byte) {
		for i := range n {
			s := &script{g: &guest{t: t, mem: make([]byte, memorySize), top: 128}}
			s.fill(i)
			list = append(list, s)
			memory = append(memory, s.g.mem...)
		}
		return list, memory
	}
	finish := func(t *testing.T, s *wasi.System, root string, out *writes) (o outcome) {
		o.ends = s.Ends()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		o.files = files(t, root)
		o.out = slices.Sorted(strings.SplitSeq(strings.Join(out.list, ""), "\n"))
		return o
	}

	var want outcome
	{
		root, out := tree(t), &writes{}
		s := newSystem(t, policyOf(root, out), n)
		list, memory := make(t)
		for i, script := range list {
			a := adapter{serve: s.Function(), instance: uint32(i), room: 1024}
			for _, step := range script.steps {
				c := wasi.Calls()[step[0]]
				e, ended, err := a.call(t.Context(), memory[i*memorySize:][:memorySize], c, step[1:])
				if err != nil {
					t.Fatalf("%s: %v", c.Name, err)
				}
				if ended {
					e = 0x80000000
				}
				want.results = append(want.results, e)
			}
		}
		o := finish(t, s, root, out)
		o.memory, o.results = memory, want.results
		want = o
	}
	forEach(t, func(t *testing.T, dev target) {
		p, system := load(t, dev)
		root, out := tree(t), &writes{}
		s := newSystem(t, policyOf(root, out), n)
		system.Store(s)
		list, memory := make(t)
		after, results := run(t, dev, p, hostcall.Launch{Grid: [3]int{groups}, Group: [3]int{items}}, memory, list)
		got := finish(t, s, root, out)
		steps := len(list[0].steps)
		for i, e := range results {
			if e != want.results[i] {
				t.Errorf("instance %d, %s: errno %d, want %d", i/steps, wasi.Calls()[list[i/steps].steps[i%steps][0]].Name, int32(e), int32(want.results[i]))
			}
		}
		if !bytes.Equal(after, want.memory) {
			for i := range after {
				if after[i] != want.memory[i] {
					t.Errorf("instance %d: byte %d of memory is %d, want %d", i/memorySize, i%memorySize, after[i], want.memory[i])
					break
				}
			}
		}
		if !slices.Equal(got.out, want.out) {
			t.Errorf("printed %.300q\nwant %.300q", got.out, want.out)
		}
		if !slices.Equal(got.ends, want.ends) {
			t.Errorf("ends %v\nwant %v", got.ends, want.ends)
		}
		if len(got.files) != len(want.files) {
			t.Errorf("%d files, want %d", len(got.files), len(want.files))
		}
		for name, content := range want.files {
			if strings.HasPrefix(name, "file") && got.files[name] != content {
				t.Errorf("%s has %d bytes, want %d, or others", name, len(got.files[name]), len(content))
			}
		}
	})
}
