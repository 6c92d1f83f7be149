// Package wasm decodes and validates WebAssembly modules in the binary format.
//
// Accepted is WebAssembly 2.0 without SIMD: the first version with sign extension, saturating conversions, bulk memory, mutable globals
// in imports and exports, multiple values, and reference types. A module that needs another proposal is refused with its name. The
// terms are those of the WebAssembly Core Specification 2.0, and the section and opcode numbers its chapter "Binary Format".
//
// A file is untrusted. Decode returns an *Error for every file that is not a valid module; it does not panic, and neither its time nor
// its memory is out of proportion to the file. A Module is not changed after Decode, so that goroutines can share it, each with a
// Walker of its own.
package wasm

import (
	"bytes"
	"fmt"
)

// The sections by their numbers.
const (
	customSection = iota
	typeSection
	importSection
	functionSection
	tableSection
	memorySection
	globalSection
	exportSection
	startSection
	elementSection
	codeSection
	dataSection
	dataCountSection
)

// sections have their names and their places in the order.
var sections = [...]struct {
	name  string
	order int
}{
	customSection:    {"custom section", 0}, // and anywhere else
	typeSection:      {"type section", 1},
	importSection:    {"import section", 2},
	functionSection:  {"function section", 3},
	tableSection:     {"table section", 4},
	memorySection:    {"memory section", 5},
	globalSection:    {"global section", 6},
	exportSection:    {"export section", 7},
	startSection:     {"start section", 8},
	elementSection:   {"element section", 9},
	dataCountSection: {"data count section", 10},
	codeSection:      {"code section", 11},
	dataSection:      {"data section", 12},
}

// maxPages is the size of the largest memory, 4 GiB.
const maxPages = 1 << 16

// A decoder reads the sections of a module.
type decoder struct {
	reader
	m      *Module
	w      *Walker // for constant expressions
	place  string  // what is read
	order  int     // of the last section
	bodied int     // how many functions are imported or have their body
}

// Decode decodes and validates a module in the binary format. An error is an *Error.
//
// The module keeps slices of the file, which must not change any more. The time that Decode takes and what it allocates are in
// proportion to the file's size, whatever is in it.
func Decode(file []byte) (*Module, error) {
	m := &Module{Start: -1, file: file, dataCount: -1}
	d := &decoder{reader: reader{buf: file}, m: m, w: NewWalker(m)}
	d.module()
	for fn := 0; fn < len(m.Funcs) && d.err == nil; fn++ {
		if m.Funcs[fn].Code != nil {
			d.body(fn)
		}
	}
	if d.err != nil {
		d.err.Place = d.place
		return nil, d.err
	}
	return m, nil
}

func (d *decoder) module() {
	d.place = "header"
	if !bytes.Equal(d.bytes(4), []byte("\x00asm")) {
		d.fail(0, "magic header not detected")
	}
	switch version := d.fixed32(); version {
	case 1:
	case 0x1000d:
		d.refuse(4, componentModel, "unknown binary version %#x", version)
	default:
		d.fail(4, "unknown binary version %#x", version)
	}
	for d.err == nil && d.pos < len(d.buf) {
		d.section()
	}
	if d.err == nil {
		d.place = "module"
	}
	if n := len(d.m.Funcs); d.bodied != n {
		d.fail(d.pos, "function and code section have inconsistent lengths: %d functions lack code", n-d.bodied)
	}
	if n := d.m.dataCount; n >= 0 && n != len(d.m.Datas) {
		d.fail(d.pos, "data count and data section have inconsistent lengths: %d and %d", n, len(d.m.Datas))
	}
}

func (d *decoder) section() {
	d.place = "section header"
	start := d.pos
	id := d.byte()
	if int(id) >= len(sections) {
		d.refuse(start, sectionProposals[id], "malformed section id %d", id)
		return
	}
	s := sections[id]
	d.place = s.name
	if id != customSection {
		if s.order <= d.order {
			d.fail(start, "unexpected content after last section: a second one or the wrong order")
		}
		d.order = s.order
	}
	d.sized(func() { d.content(id) })
}

// sized reads something that comes with its size in bytes, all of which it has to read.
func (d *decoder) sized(read func()) {
	start, whole := d.pos, d.buf
	size := d.u32()
	if left := len(d.buf) - d.pos; uint64(size) > uint64(left) {
		d.fail(start, "length out of bounds: %d bytes are left of %d", left, size)
	}
	if d.err != nil {
		return
	}
	d.buf = d.buf[:d.pos+int(size)]
	read()
	if d.pos != len(d.buf) {
		d.fail(d.pos, "section size mismatch: %d bytes are left over", len(d.buf)-d.pos)
	}
	d.buf = whole
}

func (d *decoder) content(id byte) {
	m, r := d.m, &d.reader
	switch id {
	case customSection:
		d.custom()
	case typeSection:
		m.Types = vector(r, 3, d.funcType)
	case importSection:
		m.Imports = vector(r, 4, d.importEntry)
		d.bodied = len(m.Funcs)
	case functionSection:
		m.Funcs = append(m.Funcs, vector(r, 1, d.function)...)
	case tableSection:
		m.Tables = append(m.Tables, vector(r, 3, d.table)...)
	case memorySection:
		for range d.count(2) {
			d.addMemory(d.memory())
		}
	case globalSection:
		m.Globals = append(m.Globals, vector(r, 3, d.global)...)
	case exportSection:
		d.exports()
	case startSection:
		d.start()
	case elementSection:
		m.Elems = vector(r, 3, d.elem)
	case codeSection:
		d.codes()
	case dataSection:
		m.Datas = vector(r, 2, d.data)
	case dataCountSection:
		m.dataCount = int(d.u32())
	}
}

func (d *decoder) funcType() FuncType {
	start := d.pos
	if form := d.byte(); form != 0x60 {
		d.refuse(start, typeProposals[form], "malformed function type: form %#02x", form)
	}
	return FuncType{Params: d.valTypes("parameters"), Results: d.valTypes("results")}
}

func (d *decoder) valTypes(what string) ValTypes {
	start := d.pos
	types := vector(&d.reader, 1, d.valType)
	if len(types) > maxTypes {
		d.fail(start, "implementation limit: %d %s, more than %d", len(types), what, maxTypes)
	}
	return ValTypes(types)
}

func (d *decoder) importEntry() Import {
	m := d.m
	i := Import{Module: d.name(), Name: d.name()}
	start := d.pos
	switch i.Kind = Kind(d.byte()); i.Kind {
	case KindFunc:
		i.Index = uint32(len(m.Funcs))
		m.Funcs = append(m.Funcs, d.function())
	case KindTable:
		i.Index = uint32(len(m.Tables))
		t := d.table()
		t.Imported = true
		m.Tables = append(m.Tables, t)
	case KindMemory:
		mem := d.memory()
		mem.Imported = true
		d.addMemory(mem)
	case KindGlobal:
		i.Index = uint32(len(m.Globals))
		g := d.globalType()
		g.Imported = true
		m.Globals = append(m.Globals, g)
	default:
		d.refuse(start, kindProposals[i.Kind], "malformed import kind %d", byte(i.Kind))
	}
	return i
}

func (d *decoder) function() Func { return Func{Type: d.index(d.pos, "type", len(d.m.Types))} }

func (d *decoder) table() Table {
	if d.peek() == 0x40 {
		d.refuse(d.pos, typedFuncRefs, "malformed reference type: a table with an initial value")
	}
	return Table{Type: d.refType(), Limits: d.limits()}
}

func (d *decoder) memory() Memory {
	start := d.pos
	l := d.limits()
	if max(l.Min, l.Max) > maxPages {
		d.fail(start, "memory size must be at most %d pages (4GiB)", maxPages)
	}
	return Memory{Limits: l}
}

func (d *decoder) addMemory(mem Memory) {
	if len(d.m.Memories) == 1 {
		d.refuse(d.pos, multiMemory, "a second memory")
		return
	}
	d.m.Memories = append(d.m.Memories, mem)
}

func (d *decoder) limits() Limits {
	start := d.pos
	flags := d.byte()
	if flags > 1 {
		d.refuse(start, limitProposals[flags], "malformed limits flags %#02x", flags)
	}
	l := Limits{Min: d.u32(), HasMax: flags == 1}
	if l.HasMax {
		l.Max = d.u32()
	}
	if l.HasMax && l.Min > l.Max {
		d.fail(start, "size minimum must not be greater than maximum: %d and %d", l.Min, l.Max)
	}
	return l
}

func (d *decoder) globalType() Global {
	t, start := d.valType(), d.pos
	mutable := d.byte()
	if mutable > 1 {
		d.fail(start, "malformed mutability %#02x", mutable)
	}
	return Global{Type: t, Mutable: mutable == 1}
}

func (d *decoder) global() Global {
	g := d.globalType()
	g.Init = d.constant(g.Type)
	return g
}

// constant reads a constant expression.
func (d *decoder) constant(t ValType) Const {
	d.w.begin(d.reader, ValTypes([]ValType{t}))
	d.w.constant = true
	var c Const
	for d.w.Next() {
		switch in := &d.w.Instr; in.Op {
		case End:
		case RefNull:
			c = Const{Op: in.Op}
		case RefFunc, GlobalGet:
			c = Const{Op: in.Op, Value: uint64(in.Index)}
		default:
			c = Const{Op: in.Op, Value: in.Value}
		}
	}
	d.reader = d.w.reader
	return c
}

func (d *decoder) exports() {
	m := d.m
	spaces := [...]int{KindFunc: len(m.Funcs), KindTable: len(m.Tables), KindMemory: len(m.Memories), KindGlobal: len(m.Globals)}
	names := map[string]bool{}
	m.Exports = vector(&d.reader, 3, func() Export {
		start := d.pos
		e := Export{Name: d.name(), Kind: Kind(d.byte())}
		if int(e.Kind) >= len(spaces) {
			d.refuse(d.pos-1, kindProposals[e.Kind], "malformed export kind %d", byte(e.Kind))
			return e
		}
		e.Index = d.index(d.pos, e.Kind.String(), spaces[e.Kind])
		if names[e.Name] {
			d.fail(start, "duplicate export name %.100q", e.Name)
		}
		names[e.Name] = true
		if e.Kind == KindFunc && d.err == nil {
			m.Funcs[e.Index].declared = true
		}
		return e
	})
}

func (d *decoder) start() {
	start := d.pos
	d.m.Start = int(d.funcIndex())
	if d.err != nil {
		return
	}
	if t := d.m.Types[d.m.Funcs[d.m.Start].Type]; t != (FuncType{}) {
		d.fail(start, "start function %d has the type %v", d.m.Start, t)
	}
}

func (d *decoder) funcIndex() uint32 { return d.index(d.pos, "function", len(d.m.Funcs)) }

func (d *decoder) elem() Elem {
	// Bits of the flags.
	const (
		notActive   = 1
		explicit    = 2 // the table is named; without a table: the segment is declarative
		expressions = 4
	)
	start := d.pos
	flags := d.u32()
	if flags > 7 {
		d.fail(start, "malformed element segment kind %d", flags)
	}
	e := Elem{Type: FuncRef}
	switch flags & (notActive | explicit) {
	case notActive:
		e.Mode = Passive
	case notActive | explicit:
		e.Mode = Declarative
	case explicit:
		e.Table = d.u32()
		fallthrough
	default:
		if int64(e.Table) >= int64(len(d.m.Tables)) {
			d.fail(start, "unknown table %d", e.Table)
		}
		e.Offset = d.constant(I32)
	}
	if flags&(notActive|explicit) != 0 {
		if flags&expressions != 0 {
			e.Type = d.refType()
		} else if kind := d.byte(); kind != 0 {
			d.fail(d.pos-1, "malformed element kind %#02x", kind)
		}
	}
	if flags&expressions != 0 {
		e.Init = vector(&d.reader, 2, func() Const { return d.constant(e.Type) })
	} else {
		e.Init = vector(&d.reader, 1, d.funcRef)
	}
	if d.err == nil && e.Mode == Active && d.m.Tables[e.Table].Type != e.Type {
		d.fail(start, "type mismatch: a segment of %v for a table of %v", e.Type, d.m.Tables[e.Table].Type)
	}
	return e
}

func (d *decoder) funcRef() Const {
	i := d.funcIndex()
	if d.err == nil {
		d.m.Funcs[i].declared = true
	}
	return Const{Op: RefFunc, Value: uint64(i)}
}

func (d *decoder) data() Data {
	start := d.pos
	seg := Data{}
	switch kind := d.u32(); kind {
	case 0, 2:
		memory := uint32(0)
		if kind == 2 {
			memory = d.u32()
		}
		if int64(memory) >= int64(len(d.m.Memories)) {
			d.fail(start, "unknown memory %d", memory)
		}
		seg.Offset = d.constant(I32)
	case 1:
		seg.Mode = Passive
	default:
		d.fail(start, "malformed data segment kind %d", kind)
	}
	seg.Init = d.bytes(d.u32())
	return seg
}

func (d *decoder) codes() {
	start := d.pos
	if n := d.count(3); n != len(d.m.Funcs)-d.bodied {
		d.fail(start, "function and code section have inconsistent lengths: %d and %d", len(d.m.Funcs)-d.bodied, n)
	}
	for d.bodied < len(d.m.Funcs) && d.err == nil {
		f := &d.m.Funcs[d.bodied]
		d.sized(func() {
			f.Locals = d.locals(len(d.m.Types[f.Type].Params))
			f.Offset = d.pos
			f.Code = d.bytes(uint32(len(d.buf) - d.pos))
		})
		d.bodied++
	}
}

func (d *decoder) locals(params int) []Locals {
	start, end := d.pos, uint64(0)
	return vector(&d.reader, 2, func() Locals {
		end += uint64(d.u32())
		if end+uint64(params) > maxLocals {
			d.fail(start, "too many locals: %d, and the implementation limit is %d", end+uint64(params), maxLocals)
		}
		return Locals{Type: d.valType(), End: uint32(end)}
	})
}

// body validates the body of a function.
func (d *decoder) body(fn int) {
	d.w.Begin(fn)
	for d.w.Next() {
	}
	if d.w.pos != len(d.w.buf) {
		d.w.fail(d.w.pos, "section size mismatch: %d bytes behind the last end", len(d.w.buf)-d.w.pos)
	}
	if d.err = d.w.err; d.err != nil {
		d.place = fmt.Sprintf("function %d", fn)
		if name := d.m.Funcs[fn].Name; name != "" {
			d.place += fmt.Sprintf(" (%.200q)", name)
		}
	}
}
