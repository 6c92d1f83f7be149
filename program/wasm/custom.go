package wasm

// custom reads a custom section. Only its own name can make the module wrong: what is malformed in the others is left out.
func (d *decoder) custom() {
	name := d.name()
	r := d.reader
	switch name {
	case "name":
		d.m.readNames(&r)
	case "producers":
		d.m.readProducers(&r)
	}
	d.pos = len(d.buf)
}

// readNames reads the name section (WebAssembly Core Specification 2.0, appendix "Custom Sections") without the names of locals.
func (m *Module) readNames(r *reader) {
	const (
		moduleName    = 0
		functionNames = 1
	)
	for r.err == nil && r.pos < len(r.buf) {
		id := r.byte()
		content := reader{buf: r.bytes(r.u32())}
		switch id {
		case moduleName:
			m.Name = content.name()
		case functionNames:
			for range content.count(2) {
				fn, name := content.u32(), content.name()
				if content.err == nil && uint64(fn) < uint64(len(m.Funcs)) {
					m.Funcs[fn].Name = name
				}
			}
		}
	}
}

// readProducers reads the producers section (WebAssembly tool conventions, "Producers Section").
func (m *Module) readProducers(r *reader) {
	for range r.count(2) {
		field := r.name()
		for range r.count(2) {
			p := Producer{Field: field, Name: r.name(), Version: r.name()}
			if r.err != nil {
				return
			}
			m.Producers = append(m.Producers, p)
		}
	}
}
