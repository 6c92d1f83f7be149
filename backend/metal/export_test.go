package metal

import (
	"time"
	"unsafe"
)

// OpenError loads a library as all three.
func OpenError(path string) error {
	_, err := openLibrary([]string{path}, []string{path}, []string{path}, true)
	return err
}

// Misuses do what the stand-in has to end the process for.
var Misuses = map[string]func(l *library){
	"message release to a freed object": func(l *library) {
		o := id(l.send(l.class("MTLCompileOptions"), l.sel.New))
		l.release(o)
		l.release(o)
	},
	"message name to a freed object": func(l *library) {
		o := id(l.send(l.class("MTLCompileOptions"), l.sel.New))
		l.release(o)
		l.send(o, l.sel.Name)
	},
	"autoreleased with no pool in place":                                  func(l *library) { l.nsString("x") },
	"-[MTLCompileOptions commit]: unrecognized selector sent to instance": func(l *library) { l.send(id(l.send(l.class("MTLCompileOptions"), l.sel.New)), l.sel.Commit) },
	"commit before endEncoding": func(l *library) {
		l.withCommands(func(commands id) {
			l.send(commands, l.sel.Encoder)
			l.send(commands, l.sel.Commit)
		})
	},
	"dispatch without a pipeline": func(l *library) {
		l.withCommands(func(commands id) {
			one := &mtlSize{1, 1, 1}
			l.dispatch(new(frame), id(l.send(commands, l.sel.Encoder)), one, one)
		})
	},
	"addCompletedHandler: of a block that is not global": func(l *library) {
		l.withCommands(func(commands id) { l.send(commands, l.sel.AddCompleted, uintptr(unsafe.Pointer(new(block)))) })
	},
	"loadBuffer: of 16 bytes at 1 of a buffer of 16": func(l *library) {
		l.each(func(_ int, gpu id) {
			q := id(l.send(gpu, l.sel.NewFileQueue, uintptr(id(l.send(l.class("MTLIOCommandQueueDescriptor"), l.sel.New))), uintptr(unsafe.Pointer(new(id)))))
			file := id(l.send(gpu, l.sel.NewFile, uintptr(id(l.send(l.class("NSURL"), l.sel.FileURL, uintptr(l.nsString("/dev/null"))))), uintptr(unsafe.Pointer(new(id)))))
			l.send(id(l.send(q, l.sel.CommandBuffer)), l.sel.LoadBuffer, uintptr(id(l.send(gpu, l.sel.NewBuffer, 16, 0))), 1, 16, uintptr(file), 0)
		})
	},
	"commandBuffer would block: 64 have not ended": func(l *library) {
		l.each(func(_ int, gpu id) {
			q := id(l.send(gpu, l.sel.NewQueue, 64))
			for range 65 {
				l.send(q, l.sel.CommandBuffer)
			}
		})
	},
}

func (l *library) withCommands(f func(commands id)) {
	l.each(func(_ int, gpu id) { f(id(l.send(id(l.send(gpu, l.sel.NewQueue, 64)), l.sel.CommandBuffer))) })
}

// Loaded gives what the backend uses.
func Loaded() (*library, error) { return load() }

// Sizes are those of structs of the C ABI, and offsets in them.
var Sizes = [][2]uintptr{
	{unsafe.Sizeof(mtlSize{}), 24}, {unsafe.Offsetof(mtlSize{}.depth), 16},
	{unsafe.Sizeof(block{}), 32}, {unsafe.Offsetof(block{}.flags), 8}, {unsafe.Offsetof(block{}.invoke), 16}, {unsafe.Offsetof(block{}.descriptor), 24},
	{unsafe.Sizeof(blockDescriptor{}), 16},
}

// SetLoadLimit sets how long loading a file may take, until restore.
func SetLoadLimit(d time.Duration) (restore func()) {
	was := loadLimit
	loadLimit = d
	return func() { loadLimit = was }
}
