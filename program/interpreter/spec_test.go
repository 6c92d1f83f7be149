package interpreter_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/dialtone-gpu/dialtone/hostcall/plan"
	"github.com/dialtone-gpu/dialtone/program/bytecode"
	"github.com/dialtone-gpu/dialtone/program/interpreter"
	"github.com/dialtone-gpu/dialtone/program/machine"
	"github.com/dialtone-gpu/dialtone/program/wasm"
)

// specDir is the WebAssembly specification's test suite as binaries, in the source of wazero; without that, the test is skipped.
func specDir(t testing.TB) string {
	t.Helper()
	dir, err := wazeroDir()
	if err != nil {
		t.Skipf("no source of wazero in the module cache: %v", err)
	}
	dir = filepath.Join(dir, "internal", "integration_test", "spectest", "v2", "testdata")
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("this version of wazero lacks the test suite: %v", err)
	}
	return dir
}

var wazeroDir = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/tetratelabs/wazero").Output()
	if dir := strings.TrimSpace(string(out)); err != nil || dir != "" {
		return dir, err
	}
	return "", errors.New("it is not downloaded")
})

// A command of the test suite, as wast2json writes them.
type command struct {
	Type     string
	Line     int
	Filename string
	Name     string
	Text     string
	Action   struct {
		Type, Module, Field string
		Args                []constant
	}
	Expected []constant
}

type constant struct {
	Type  string
	Value any
}

// bits are those of an argument.
func (c constant) bits() uint64 {
	s, _ := c.Value.(string)
	if s == "null" {
		return 0
	}
	v, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		panic(fmt.Sprintf("%v: %v", c, err))
	}
	if c.Type == "externref" {
		v++ // references of the host are not null
	}
	return v
}

// matches compares a result.
func (c constant) matches(v uint64) bool {
	s, _ := c.Value.(string)
	switch {
	case c.Type == "funcref" && s != "null":
		return v != 0
	case !strings.HasPrefix(s, "nan:"):
		return v == c.bits()
	case c.Type == "f32":
		return v>>32 == 0 && math.IsNaN(float64(math.Float32frombits(uint32(v)))) && v&(1<<22) != 0
	}
	return math.IsNaN(math.Float64frombits(v)) && v&(1<<51) != 0
}

// A specModule is a module of the test suite with what is asked of it.
type specModule struct {
	name     string
	image    *bytecode.Image
	commands []command
}

// specModules reads all that can be lowered, and counts the others.
func specModules(t testing.TB) (modules []specModule, unbound int) {
	dir := specDir(t)
	scripts, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, path := range scripts {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var script struct{ Commands []command }
		if err := json.Unmarshal(text, &script); err != nil {
			t.Fatal(err)
		}
		var current *specModule
		for _, c := range script.Commands {
			switch c.Type {
			case "module":
				current = nil
				file, err := os.ReadFile(filepath.Join(dir, c.Filename))
				if err != nil {
					t.Fatal(err)
				}
				m, err := wasm.Decode(file)
				var refused *wasm.Error
				if errors.As(err, &refused) && refused.Proposal != "" {
					continue
				}
				if err != nil {
					t.Fatalf("%s: %v", c.Filename, err)
				}
				image, err := bytecode.Lower(m, bytecode.Options{})
				if err != nil {
					unbound++
					continue
				}
				modules = append(modules, specModule{name: c.Filename, image: image})
				current = &modules[len(modules)-1]
			case "action", "assert_return", "assert_trap", "assert_exhaustion":
				if current != nil && c.Action.Type == "invoke" && c.Action.Module == "" {
					current.commands = append(current.commands, c)
				}
			}
		}
	}
	return modules, unbound
}

func (m *specModule) export(name string) (index int, t wasm.FuncType) {
	w := m.image.Module()
	for _, e := range w.Exports {
		if e.Name == name && e.Kind == wasm.KindFunc {
			return int(e.Index), w.Types[w.Funcs[e.Index].Type]
		}
	}
	panic("no export " + name)
}

// TestSpec executes the test suite: all of it on the cpu device, elsewhere some of the modules whose functions change nothing.
func TestSpec(t *testing.T) {
	modules, unbound := specModules(t)
	t.Logf("%d modules, %d cannot be bound", len(modules), unbound)
	forEach(t, func(t *testing.T, dev target) {
		p := program(t, dev, interpreter.Parts{})
		all := dev.Info().Backend == "cpu" && dev.transport == plan.Mailbox
		n := 0
		for i, m := range modules {
			switch {
			case len(m.commands) == 0 || !all && i%16 != 0:
			case !m.changes():
				n += m.runApart(t, dev, p, all)
			case all:
				n += m.runInTurn(t, dev, p)
			}
		}
		t.Logf("%d commands", n)
		if all && n < 20_000 {
			t.Error("too few commands")
		}
	})
}

// changes reports that a function may change what another, or the same once more, finds.
func (m *specModule) changes() bool {
	module := m.image.Module()
	w := wasm.NewWalker(module)
	for fn := range module.Funcs {
		if module.Funcs[fn].Code == nil {
			continue
		}
		for w.Begin(fn); w.Next(); {
			switch info := w.Op.Info(); {
			case info.Width > 0 && info.Out == "":
				return true
			case w.Op >= wasm.MemoryInit && w.Op != wasm.TableSize, w.Op == wasm.GlobalSet, w.Op == wasm.TableSet, w.Op == wasm.MemoryGrow:
				return true
			}
		}
	}
	return false
}

func (c command) args() (args []uint64) {
	for _, a := range c.Action.Args {
		args = append(args, a.bits())
	}
	return args
}

// runInTurn executes the commands of a module one after the other on one instance.
func (m *specModule) runInTurn(t *testing.T, dev target, p *loaded) int {
	in := p.instances(t, m.image, interpreter.Options{Slots: 32 << 10, Calls: 1 << 10, Pages: max(1024, int(m.image.Memory.Min))})
	defer in.Close()
	for _, c := range m.commands {
		index, ft := m.export(c.Action.Field)
		s, results := p.invoke(t, in, 0, index, ft, c.args()...)
		m.check(t, c, s, results)
	}
	return len(m.commands)
}

// runApart executes each command on an instance of its own, all at once.
func (m *specModule) runApart(t *testing.T, dev target, p *loaded, all bool) int {
	commands := m.commands
	if !all {
		commands = nil
		for i := 0; i < len(m.commands); i += max(1, len(m.commands)/20) {
			commands = append(commands, m.commands[i])
		}
	}
	in := p.instances(t, m.image, interpreter.Options{Instances: len(commands), Slots: 8 << 10, Calls: 1 << 10, Pages: int(m.image.Memory.Min)})
	defer in.Close()
	for i, c := range commands {
		index, _ := m.export(c.Action.Field)
		if err := in.Enter(i, index, c.args()...); err != nil {
			t.Fatal(err)
		}
	}
	p.run(t, in, 1)
	for i, c := range commands {
		_, ft := m.export(c.Action.Field)
		s, results := p.outcome(t, in, i, ft)
		m.check(t, c, s, results)
	}
	return len(commands)
}

func (m *specModule) check(t *testing.T, c command, s interpreter.State, results []uint64) {
	t.Helper()
	fail := func(format string, a ...any) {
		t.Helper()
		t.Errorf("%s, line %d, %s: %s", m.name, c.Line, c.Action.Field, fmt.Sprintf(format, a...))
	}
	switch c.Type {
	case "assert_trap", "assert_exhaustion":
		if s.Trap == machine.None || !strings.HasPrefix(trapText(c.Text), s.Trap.String()) {
			fail("%v (ended %v, %x), not %s", s.Trap, s.Ended, results, c.Text)
		}
		return
	}
	if !s.Ended {
		fail("%v", s.Trap)
		return
	}
	for i, want := range c.Expected {
		if !want.matches(results[i]) {
			fail("result %d is %#x, not %v", i, results[i], want)
		}
	}
}

// trapText is the text of the trap that a test expects: null is undefined to us.
func trapText(text string) string {
	if strings.HasPrefix(text, "uninitialized element") {
		return machine.Undefined.String()
	}
	return text
}
