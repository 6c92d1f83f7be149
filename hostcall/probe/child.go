package probe

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/dialtone-gpu/dialtone/capabilities"
	"github.com/dialtone-gpu/dialtone/hal"
)

// variable tells a process that it is a child of a survey, and what to do.
const variable = "DIALTONE_PROBE"

// order is what a child is to do: list the devices of a backend, or probe one device.
type order struct {
	Backend string   `json:"backend,omitempty"`
	Device  string   `json:"device,omitempty"`
	Facts   bool     `json:"facts,omitempty"`
	Probes  []string `json:"probes,omitempty"` // by name, in their order
	// Proven are what probes in other children need not prove again.
	Proven  []capabilities.ID `json:"proven,omitempty"`
	Storage string            `json:"storage,omitempty"`
	env     []string          // beside what every child has
}

// word of a child to its parent. Each is a line that begins with the mark: drivers print what they like to the same stream.
type message struct {
	Devices  []capabilities.Description `json:"devices,omitempty"`
	Missing  string                     `json:"missing,omitempty"`
	Opened   bool                       `json:"opened,omitempty"`
	Trials   []trialOf                  `json:"trials,omitempty"`
	Facts    []capabilities.Fact        `json:"facts,omitempty"`
	Begin    string                     `json:"begin,omitempty"` // the step that the child is at
	Findings []capabilities.Finding     `json:"findings,omitempty"`
	Error    string                     `json:"error,omitempty"` // of opening the device
	Tainted  string                     `json:"tainted,omitempty"`
	Done     bool                       `json:"done,omitempty"`
}

type trialOf struct {
	Capability string   `json:"capability"`
	Level      string   `json:"level,omitempty"`
	Risky      bool     `json:"risky"`
	Env        []string `json:"env,omitempty"`
}

// mark begins a message: the character that starts a text of a JSON sequence (RFC 7464).
const mark = '\x1e'

// Child does what a survey in another process wants of this one, and then ends the process. In any other process it
// returns at once. A program that calls [Survey] calls it first thing in main.
func Child() {
	text, ok := os.LookupEnv(variable)
	if !ok {
		return
	}
	os.Unsetenv(variable)
	var o order
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", variable, err)
		os.Exit(2)
	}
	c := &child{out: os.Stdout}
	ctx := context.Background()
	if o.Backend != "" {
		c.list(ctx, o.Backend)
	} else {
		c.probe(ctx, o)
	}
	c.say(message{Done: true})
	// No destructors of drivers, no kernels that are still running: the process just ends.
	os.Exit(0)
}

type child struct{ out *os.File }

func (c *child) say(m message) {
	var line bytes.Buffer
	line.WriteByte(mark)
	if err := json.NewEncoder(&line).Encode(m); err != nil {
		panic("BUG: " + err.Error())
	}
	if _, err := c.out.Write(line.Bytes()); err != nil {
		os.Exit(1) // nobody listens any more
	}
}

func (c *child) list(ctx context.Context, backend string) {
	infos, err := hal.DevicesOf(ctx, backend)
	m := message{}
	for _, i := range infos {
		m.Devices = append(m.Devices, capabilities.Describe(i))
	}
	if err != nil {
		m.Missing = err.Error()
	}
	c.say(m)
}

func (c *child) probe(ctx context.Context, o order) {
	c.say(message{Begin: "open"})
	dev, err := hal.Open(ctx, o.Device)
	if err != nil {
		c.say(message{Error: err.Error()})
		return
	}
	trials := dev.Trials()
	m := message{Opened: true}
	for _, t := range trials {
		m.Trials = append(m.Trials, trialOf{t.Capability, t.Level, t.Risky, t.Env})
	}
	c.say(m)
	if o.Facts {
		c.say(message{Begin: "facts"})
		for f := range dev.Facts(ctx) {
			c.say(message{Facts: []capabilities.Fact{f}})
		}
	}
	p := &prober{device: dev, set: capabilities.Set{}, storage: o.Storage}
	for _, id := range o.Proven {
		p.set[id] = capabilities.Finding{ID: id, State: capabilities.Proven}
	}
	all := slices.Concat(planned, extras)
	for _, t := range trials {
		all = append(all, trial(t))
	}
	for _, name := range o.Probes {
		i := slices.IndexFunc(all, func(p probe) bool { return p.name == name })
		if i < 0 {
			continue
		}
		one := all[i]
		c.say(message{Begin: name})
		for _, id := range one.gives {
			delete(p.set, id)
		}
		err := c.prepare(ctx, p, one)
		if err == nil {
			err = p.do(ctx, one)
		}
		if err != nil {
			p.open(one, err)
		}
		m := message{}
		for _, id := range one.gives {
			if f, ok := p.set[id]; ok {
				m.Findings = append(m.Findings, f)
			}
		}
		if errors.Is(err, hal.ErrDeviceLost) {
			m.Tainted = fmt.Sprintf("the device was lost: %v", err)
		} else if p.stuck != "" {
			m.Tainted = fmt.Sprintf("the kernel %s did not end", p.stuck)
		}
		c.say(m)
		if m.Tainted != "" {
			return
		}
	}
}

// prepare compiles the first file of kernels where another process ran the probe that does it.
func (c *child) prepare(ctx context.Context, p *prober, one probe) error {
	if p.module != nil || one.name == "basic" || !slices.Contains(one.needs, capabilities.ExecBasic) || !p.set.Has(capabilities.ExecBasic) {
		return nil
	}
	m, err := p.compile(ctx, "probe", text)
	p.module = m
	return err
}
