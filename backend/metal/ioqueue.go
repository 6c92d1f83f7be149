package metal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"time"
	"unsafe"

	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/internal/filesystem"
)

// Trials are what Metal can do and the portable API has no call for.
func (d *device) Trials() []hal.Trial {
	return []hal.Trial{{Capability: "io.file.read.direct", Risky: true, Run: d.readFile}}
}

// loadSize is how many bytes of a file are loaded.
const loadSize = 1 << 20

// loadLimit is how long that may take; a variable for tests.
var loadLimit = 10 * time.Second

// readFile has Metal load a file into a buffer, a kernel read the buffer, and compares. "MTLIOCommandQueue": such queues load from the
// file system directly into resources. What Metal does for that is not said, and no mode refuses a copy of the system's own; the bytes do not pass
// memory of this process but the buffer.
func (d *device) readFile(ctx context.Context, storage string) (detail string, err error) {
	if err := d.usable(); err != nil {
		return "", err
	}
	if !d.responds(d.handle, d.sel.NewFileQueue) {
		return "", fail("load a file", d.info.URI, fmt.Errorf("%w: the device does not respond to newIOCommandQueueWithDescriptor:error:, which came with macOS 13", hal.ErrUnsupported))
	}
	want := make([]byte, loadSize)
	rand.NewChaCha8([32]byte{}).Read(want) // it never fails
	path, err := store(storage, want)
	if err != nil {
		return "", fmt.Errorf("a file to load: %w", err)
	}
	defer func() { err = errors.Join(err, os.Remove(path)) }()
	memory, err := d.Alloc(hal.DeviceMemory, loadSize)
	if err != nil {
		return "", err
	}
	defer memory.Free()
	if err := d.load(ctx, memory.(*buffer), path); err != nil {
		return "", err
	}
	got, err := d.seen(ctx, memory)
	if err != nil {
		return "", err
	}
	if !bytes.Equal(got, want) {
		return "", fail("load a file", d.info.URI, fmt.Errorf("%w: a kernel saw other bytes than the file has", hal.ErrUnsupported))
	}
	return fmt.Sprintf("%d bytes of a file on %s went to a buffer, where a kernel saw them byte for byte", loadSize, filesystem.Name(path)), nil
}

// store makes a file that is on the storage when it returns.
func store(folder string, content []byte) (path string, err error) {
	f, err := os.CreateTemp(folder, "dialtone-load-*")
	if err != nil {
		return "", err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		os.Remove(f.Name())
		return "", err
	}
	return f.Name(), nil
}

// MTLIOStatus.
const (
	loadPending  = 0
	loadComplete = 3
)

// load fills a buffer from a file. It looks at the status in turns, since nothing could end a wait within Metal; a load that does not
// end keeps what it uses: only commandBufferWithUnretainedReferences would not.
func (d *device) load(ctx context.Context, b *buffer, path string) (err error) {
	d.pooled(func() {
		why := new(id)
		descriptor := id(d.send(d.class("MTLIOCommandQueueDescriptor"), d.sel.New))
		defer d.release(descriptor)
		queue := id(d.send(d.handle, d.sel.NewFileQueue, uintptr(descriptor), uintptr(unsafe.Pointer(why))))
		defer d.release(queue)
		if queue == 0 {
			err = d.loadError("newIOCommandQueueWithDescriptor:error:", *why)
			return
		}
		op, open := "newIOFileHandleWithURL:error:", d.sel.NewFile
		if !d.responds(d.handle, open) {
			op, open = "newIOHandleWithURL:error:", d.sel.NewFileOf13
		}
		url := id(d.send(d.class("NSURL"), d.sel.FileURL, uintptr(d.nsString(path))))
		file := id(d.send(d.handle, open, uintptr(url), uintptr(unsafe.Pointer(why))))
		defer d.release(file)
		if file == 0 {
			err = d.loadError(op, *why)
			return
		}
		commands := id(d.send(queue, d.sel.CommandBuffer))
		d.send(commands, d.sel.LoadBuffer, uintptr(b.handle), 0, uintptr(b.size), uintptr(file), 0)
		d.send(commands, d.sel.Commit)
		for limit := time.Now().Add(loadLimit); ; time.Sleep(50 * time.Microsecond) {
			switch d.send(commands, d.sel.Status) {
			case loadComplete:
				return
			case loadPending:
				if err = ctx.Err(); err == nil && time.Now().After(limit) {
					err = fmt.Errorf("it did not end within %v", loadLimit)
				}
				if err != nil {
					err = fail("load a file", d.info.URI, err)
					return
				}
			default:
				err = d.loadError("loadBuffer:offset:size:sourceHandle:sourceHandleOffset:", id(d.send(commands, d.sel.Error)))
				return
			}
		}
	})
	return err
}

// loadError is why loading failed. "MTLIOError.Code" tells a bad URL from anything else: nothing in it says that loading is not possible.
func (d *device) loadError(op string, why id) error {
	domain, code, text := d.nsError(why)
	e := fail(op, d.info.URI, errors.New(text))
	e.Name, e.Code = domain, code
	return e
}

// seenWords is how many words each thread of the kernel seen copies.
const seenWords = 64

const seenText = `#include <metal_stdlib>
kernel void seen(device const unsigned int *from [[buffer(0)]], device unsigned int *to [[buffer(1)]], constant unsigned int &words [[buffer(2)]],
    metal::uint3 group [[threadgroup_position_in_grid]], metal::uint3 thread_ [[thread_position_in_threadgroup]], metal::uint3 size [[threads_per_threadgroup]]) {
    const unsigned int first = (group.x * size.x + thread_.x) * words;
    for (unsigned int i = 0; i < words; i++) to[first + i] = from[first + i];
}
`

// seen gives a buffer of loadSize bytes as a kernel sees it.
func (d *device) seen(ctx context.Context, from hal.DriverBuffer) ([]byte, error) {
	m, err := d.Compile(ctx, hal.Source{Name: "seen.metal", Text: seenText})
	if err != nil {
		return nil, err
	}
	defer m.Close()
	k, err := m.Kernel("seen")
	if err != nil {
		return nil, err
	}
	to, err := d.Alloc(hal.DeviceMemory, loadSize)
	if err != nil {
		return nil, err
	}
	defer to.Free()
	q, err := d.NewQueue()
	if err != nil {
		return nil, err
	}
	defer q.Close()
	const group = 32
	args := []hal.DriverArg{{Buffer: from}, {Buffer: to}, {Value: []byte{seenWords, 0, 0, 0}}}
	if err := q.Launch(k, [3]int{loadSize / 4 / seenWords / group, 1, 1}, [3]int{group, 1, 1}, args); err != nil {
		return nil, err
	}
	got := make([]byte, loadSize)
	return got, q.Read(got, to, 0)
}
