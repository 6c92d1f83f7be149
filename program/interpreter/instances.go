package interpreter

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/hostcall"
	"github.com/dialtone-gpu/dialtone/program/bytecode"
	"github.com/dialtone-gpu/dialtone/program/machine"
)

// Options are sizes of instances; 0 chooses.
type Options struct {
	Instances int // 1
	Entry     int // the function that they run unless Enter says otherwise; it takes no parameters
	Pages     int // that the memory of one may have: what the module wants in the beginning, and 256 more
	Slots     int // of all frames of one: 128 Ki, of 8 bytes each
	Calls     int // that may be nested: 16 Ki
	Elements  int // that a table may have which grows: what it has in the beginning, and 1024 more
	// Fuel is how many branches and calls an instance may take before its kernel looks whether the run is over, or, where kernels are
	// launched again, leaves the device to others: 256 Ki.
	Fuel uint32
}

const (
	morePages    = 256
	moreElements = 1024
	defaultSlots = 128 << 10
	defaultCalls = 16 << 10
	defaultFuel  = 256 << 10
)

// Loaded is an image whose code is on a device, for any number of Instances: they only read it.
type Loaded struct {
	image  *bytecode.Image
	device *hal.Device
	code   *hal.Buffer
	chunks []uint64 // of what memory begins with, those that are not zero
	places []uint64 // for each chunk the word of chunks where it is, and 1; 0 if it is zero
}

// Load sends an image's code to a device.
func Load(dev *hal.Device, im *bytecode.Image) (*Loaded, error) {
	l := &Loaded{image: im, device: dev}
	l.split(im.Memory)
	queue, err := dev.NewQueue()
	if err != nil {
		return nil, err
	}
	code := append(slices.Clone(im.Code), make([]uint64, bytecode.Words)...) // the last instruction has one behind it, too
	l.code, err = send(dev, queue, "code", code)
	if err := errors.Join(err, queue.Wait(context.Background()), queue.Close()); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// Close frees the memory. No instance may use it any more.
func (l *Loaded) Close() error {
	if l.code == nil {
		return nil
	}
	return l.code.Close()
}

// send makes a buffer of words.
func send(dev *hal.Device, queue *hal.Queue, what string, words []uint64) (*hal.Buffer, error) {
	b, err := dev.Alloc(hal.DeviceMemory, 8*len(words))
	if err != nil {
		return nil, fmt.Errorf("room for %s: %w", what, err)
	}
	if err := queue.Write(b, 0, bytesOf(words)); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

// Instances of an image are in the memory of a device, each with a memory and a state of its own. A kernel made from Source runs them.
type Instances struct {
	loaded  *Loaded
	own     bool // and nobody else's
	image   *bytecode.Image
	options Options
	layout  []uint64 // the image's words
	device  *hal.Device
	queue   *hal.Queue
	shared  *hal.Buffer // the image's words on the device
	state   *hal.Buffer
	memory  *hal.Buffer
}

// New loads an image and makes room for instances of it.
func New(dev *hal.Device, im *bytecode.Image, opts Options) (*Instances, error) {
	l, err := Load(dev, im)
	if err != nil {
		return nil, err
	}
	n, err := l.New(opts)
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	n.own = true
	return n, nil
}

// New makes room for instances. They begin when Prepare has run.
func (l *Loaded) New(opts Options) (*Instances, error) {
	opts.Instances = max(opts.Instances, 1)
	if opts.Fuel == 0 {
		opts.Fuel = defaultFuel
	}
	if opts.Slots == 0 {
		opts.Slots = defaultSlots
	}
	if opts.Calls == 0 {
		opts.Calls = defaultCalls
	}
	n := &Instances{loaded: l, image: l.image, device: l.device, options: opts}
	if err := n.lay(); err != nil {
		return nil, err
	}
	if err := n.allocate(); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

// lay decides what is where.
func (n *Instances) lay() error {
	im, o := n.image, n.options
	pages := o.Pages
	if pages == 0 {
		pages = int(im.Memory.Min) + morePages
	}
	pages = min(pages, int(im.Memory.Max))
	if pages < int(im.Memory.Min) {
		return fmt.Errorf("the module begins with %d pages of memory, and may have %d", im.Memory.Min, pages)
	}
	words := make([]uint64, imageWords) // those with names first
	state := make([]uint64, stateWords)
	state[statePC] = bytecode.Boot
	state[stateBytes] = uint64(im.Memory.Min) * bytecode.PageBytes
	state[stateLimit] = uint64(pages) * bytecode.PageBytes
	if o.Entry < len(im.Entries) && o.Entry >= 0 {
		state[stateEntry] = uint64(im.Entries[o.Entry])
	} else if len(im.Entries) > 0 || o.Entry != 0 {
		return fmt.Errorf("function %d of %d: %w", o.Entry, len(im.Entries), hal.ErrInvalid)
	} else {
		state[stateTrap] = stopEnd
	}
	place := func(words []uint64) uint64 {
		at := uint64(len(state))
		state = append(state, words...)
		return at
	}
	words[imageGlobals] = place(im.Globals)
	words[imageDataLengths] = place(lengths(im.Datas))
	words[imageElemLengths] = place(lengths(im.Elems))
	words[imageTables] = place(make([]uint64, len(im.Tables)*tableWords))
	for i, t := range im.Tables {
		most := uint64(len(t.Elements) + moreElements)
		if o.Elements > 0 {
			most = uint64(max(o.Elements, len(t.Elements)))
		}
		most = min(most, uint64(t.Max))
		d := words[imageTables] + uint64(i*tableWords)
		at := place(t.Elements)
		place(make([]uint64, most-uint64(len(t.Elements))))
		state[d+tableAt], state[d+tableSize], state[d+tableMost] = at, uint64(len(t.Elements)), most
	}
	words[imageCalls] = uint64(len(state))
	words[imageCallsEnd] = words[imageCalls] + uint64(o.Calls)
	words[imageFrames] = words[imageCallsEnd]
	words[imageFramesEnd] = words[imageFrames] + uint64(max(o.Slots, im.BootFrame))
	words[imageStateWords] = words[imageFramesEnd]
	words[imageMemoryBytes] = state[stateLimit]
	words[imageInstances] = uint64(o.Instances)

	words[imageTemplate], words[imageTemplateWords] = uint64(len(words)), uint64(len(state))
	words = append(words, state...)
	words[imageEntries], words[imageFunctions] = uint64(len(words)), uint64(len(im.Entries))
	for _, e := range im.Entries {
		words = append(words, uint64(e))
	}
	words = segments(words, imageDatas, im.Datas, wordsOf)
	words = segments(words, imageElems, im.Elems, func(refs []uint64) []uint64 { return refs })
	words[imageChunkCount] = uint64(len(n.loaded.places))
	first := uint64(len(words))
	words = append(words, n.loaded.chunks...)
	words[imageChunks] = uint64(len(words))
	for _, place := range n.loaded.places {
		if place != 0 {
			place += first - 1
		}
		words = append(words, place)
	}
	n.layout = words
	return nil
}

// lengths of segments.
func lengths[T any](all [][]T) []uint64 {
	var l []uint64
	for _, s := range all {
		l = append(l, uint64(len(s)))
	}
	return l
}

// segments appends the contents of some, and where they are.
func segments[T any](words []uint64, field int, all [][]T, content func([]T) []uint64) []uint64 {
	var at []uint64
	for _, s := range all {
		at = append(at, uint64(len(words)))
		words = append(words, content(s)...)
	}
	words[field] = uint64(len(words))
	return append(words, at...)
}

// wordsOf packs bytes, the first one lowest.
func wordsOf(b []byte) []uint64 {
	words := make([]uint64, (len(b)+7)/8)
	for i := range words {
		var w [8]byte
		copy(w[:], b[8*i:])
		words[i] = binary.LittleEndian.Uint64(w[:])
	}
	return words
}

// split cuts what memory begins with into chunks.
func (l *Loaded) split(m bytecode.Memory) {
	content := map[int][]byte{}
	for _, s := range m.Segments {
		for at, rest := int(s.Address), s.Bytes; len(rest) > 0; {
			chunk := at / chunkBytes
			if content[chunk] == nil {
				content[chunk] = make([]byte, chunkBytes)
			}
			n := copy(content[chunk][at%chunkBytes:], rest)
			at, rest = at+n, rest[n:]
		}
	}
	l.places = make([]uint64, int(m.Min)*bytecode.PageBytes/chunkBytes)
	for i := range l.places {
		if c := content[i]; slices.ContainsFunc(c, func(b byte) bool { return b != 0 }) {
			l.places[i] = uint64(len(l.chunks)) + 1
			l.chunks = append(l.chunks, wordsOf(c)...)
		}
	}
}

// allocate reserves memory on the device and sends what these instances share.
func (n *Instances) allocate() (err error) {
	if n.queue, err = n.device.NewQueue(); err != nil {
		return err
	}
	count := n.options.Instances
	state, memory := n.layout[imageStateWords], n.layout[imageMemoryBytes]
	if limit := uint64(1) << 46 / uint64(count); state*8 > limit || memory > limit {
		return fmt.Errorf("%d instances of %d bytes: %w", count, memory+state*8, hal.ErrInvalid)
	}
	if n.shared, err = send(n.device, n.queue, "the image", n.layout); err != nil {
		return err
	}
	for _, b := range []struct {
		buffer **hal.Buffer
		what   string
		size   int
	}{
		{&n.state, "states", count * int(state) * 8},
		{&n.memory, "memories", max(16, count*int(memory))},
	} {
		if *b.buffer, err = n.device.Alloc(hal.DeviceMemory, b.size); err != nil {
			return fmt.Errorf("room for %s of %d instances: %w", b.what, count, err)
		}
	}
	return nil
}

func bytesOf(words []uint64) []byte {
	b := make([]byte, 0, 8*len(words))
	for _, w := range words {
		b = binary.LittleEndian.AppendUint64(b, w)
	}
	return b
}

// Close frees the memory. No kernel may use it any more.
func (n *Instances) Close() error {
	var errs []error
	if n.queue != nil {
		errs = append(errs, n.queue.Wait(context.Background()))
	}
	for _, b := range []*hal.Buffer{n.shared, n.state, n.memory} {
		if b != nil {
			errs = append(errs, b.Close())
		}
	}
	if n.queue != nil {
		errs = append(errs, n.queue.Close())
	}
	if n.own {
		errs = append(errs, n.loaded.Close())
	}
	return errors.Join(errs...)
}

// Prepare gives all instances their initial memory and state. The program is made from Source.
func (n *Instances) Prepare(ctx context.Context, p *hostcall.Program) error {
	info := n.device.Info()
	units := n.options.Instances * (int(n.layout[imageChunkCount]) + 1)
	l := hostcall.Launch{Kernel: "vm_prepare", Grid: [3]int{min(units, 4*info.Units)}, Group: [3]int{1},
		Args: []hal.Arg{hal.Memory(n.shared), hal.Memory(n.state), hal.Memory(n.memory)}}
	if !info.HostCPU {
		l.Grid, l.Group = [3]int{min(units, 16*info.Units)}, [3]int{min(128, info.MaxGroup)}
	}
	if err := n.queue.Wait(ctx); err != nil { // for what was sent: kernels run in other queues
		return err
	}
	_, err := p.Run(ctx, l)
	return err
}

// Launch is what runs the instances: one in each group, or so many. It waits until they have all that they were given.
func (n *Instances) Launch(ctx context.Context, group int) (hostcall.Launch, error) {
	if err := n.queue.Wait(ctx); err != nil {
		return hostcall.Launch{}, err
	}
	return hostcall.Launch{Kernel: "vm_run", Grid: [3]int{(n.options.Instances + group - 1) / group}, Group: [3]int{group},
		Args: []hal.Arg{hal.Memory(n.loaded.code), hal.Memory(n.shared), hal.Memory(n.state), hal.Memory(n.memory), hal.Int32(int32(n.options.Fuel))}}, nil
}

// Enter has an instance run a function, with the bits of its arguments: after Prepare, or once it has ended or trapped. What it did to its
// memory, globals and tables before stays, and the module's start function is not run again.
func (n *Instances) Enter(instance, function int, args ...uint64) error {
	if function < 0 || function >= len(n.image.Entries) || len(args) > n.image.BootFrame {
		return fmt.Errorf("function %d with %d arguments: %w", function, len(args), hal.ErrInvalid)
	}
	w, err := n.read(instance, 0, stateWords)
	if err != nil {
		return err
	}
	if w[stateTrap] != 0 {
		w[statePC], w[stateFP], w[stateDepth], w[stateTrap] = uint64(n.image.Invoke), 0, 0, 0
	}
	w[stateEntry] = uint64(n.image.Entries[function])
	if err := n.write(instance, 0, w); err != nil {
		return err
	}
	return n.write(instance, int(n.layout[imageFrames]), args)
}

func (n *Instances) write(instance, word int, words []uint64) error {
	return n.queue.Write(n.state, 8*(instance*int(n.layout[imageStateWords])+word), bytesOf(words))
}

func (n *Instances) read(instance, word, count int) ([]uint64, error) {
	b := make([]byte, 8*count)
	if err := n.queue.Read(b, n.state, 8*(instance*int(n.layout[imageStateWords])+word)); err != nil {
		return nil, err
	}
	return wordsOf(b), nil
}

// State is how an instance is.
type State struct {
	Ended    bool         // it came to its end
	Trap     machine.Trap // or trapped
	Function int          // where it is, or trapped: the index of the function, -1 outside of all
	Bytes    uint64       // of memory
	Steps    uint64       // instructions executed, with Parts.CountSteps
}

// State reads it. The device may have written anything there: it is an error if it makes no sense.
func (n *Instances) State(instance int) (State, error) {
	w, err := n.read(instance, 0, stateWords)
	if err != nil {
		return State{}, err
	}
	s := State{Function: -1, Bytes: w[stateBytes], Steps: w[stateSteps]}
	switch trap := w[stateTrap]; {
	case trap == stopEnd:
		s.Ended = true
		return s, nil
	case trap <= uint64(machine.TableBounds):
		s.Trap = machine.Trap(trap)
	default:
		return s, fmt.Errorf("BUG: instance %d stopped because of %#x, before instruction %d", instance, trap, w[statePC])
	}
	if pc := w[statePC]; pc > 0 && pc <= uint64(len(n.image.Code)/bytecode.Words) {
		s.Function = n.image.Function(uint32(pc - 1))
	}
	return s, nil
}

// Results reads the first slots of an instance: the results of the function that it ran.
func (n *Instances) Results(instance, count int) ([]uint64, error) {
	return n.read(instance, int(n.layout[imageFrames]), count)
}

// Globals reads those of an instance.
func (n *Instances) Globals(instance int) ([]uint64, error) {
	return n.read(instance, int(n.layout[imageGlobals]), len(n.image.Globals))
}

// Memory reads bytes of an instance's memory from an address on; State.Bytes is how many there are.
func (n *Instances) Memory(instance int, at uint64, to []byte) error {
	size := n.layout[imageMemoryBytes]
	if at > size || uint64(len(to)) > size-at {
		return fmt.Errorf("%d bytes at %d of a memory of at most %d: %w", len(to), at, size, hal.ErrInvalid)
	}
	return n.queue.Read(to, n.memory, instance*int(size)+int(at))
}
