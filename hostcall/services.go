package hostcall

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dialtone-gpu/dialtone/hostcall/call"
	"github.com/dialtone-gpu/dialtone/hostcall/cformat"
	"github.com/dialtone-gpu/dialtone/hostcall/errno"
	"github.com/dialtone-gpu/dialtone/hostcall/service"
	"github.com/dialtone-gpu/dialtone/hostcall/wire"
)

// ending is how a run was ended by the kernel itself; the first word counts.
type ending struct {
	set    atomic.Bool
	mutex  sync.Mutex
	cause  error
	signal chan struct{} // closed when set
}

func (e *ending) put(cause error) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	if e.cause == nil {
		e.cause = cause
		e.set.Store(true)
		close(e.signal)
	}
}

func (e *ending) get() error {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	return e.cause
}

// maxPath is what a path may have, in bytes, as on Linux with its terminator.
const maxPath = 4096

// table binds the services to the run's descriptors and policy. What each call carries is in wire.Calls.
func (r *run) table() *call.Table {
	t := r.program.functions.Clone()
	for op, h := range r.own {
		t.Set(op, h, false)
	}
	f := r.files
	clock, random := service.NewClock(r.launch.Policy), service.NewRandom(r.launch.Policy)
	lanes := func(op wire.Opcode, serve func(c *call.Call, lane int) errno.Errno) {
		t.Set(op, call.PerLane(serve), false)
	}
	t.Set(wire.OpNoop, func(*call.Call) {}, true)

	t.Set(wire.OpPrintf, r.printf, false)
	t.Set(wire.OpWrite, r.write, false)
	lanes(wire.OpRead, func(c *call.Call, lane int) errno.Errno {
		n, e := f.Read(c.Context, int32(c.Word(lane, 1)), wanted(c, lane))
		c.SetWord(lane, 0, uint32(n))
		return e
	})
	lanes(wire.OpPread, func(c *call.Call, lane int) errno.Errno {
		n, e := f.Pread(int32(c.Word(lane, 1)), wanted(c, lane), int64(c.Uint64(lane, 3)))
		c.SetWord(lane, 0, uint32(n))
		return e
	})
	lanes(wire.OpPwrite, func(c *call.Call, lane int) errno.Errno {
		n, e := f.Pwrite(int32(c.Word(lane, 1)), c.Bytes(lane), int64(c.Uint64(lane, 2)))
		c.SetWord(lane, 0, uint32(n))
		return e
	})
	path := func(op wire.Opcode, serve func(c *call.Call, lane int, path string) errno.Errno) {
		lanes(op, func(c *call.Call, lane int) errno.Errno {
			p, e := pathOf(c.Bytes(lane))
			if e != 0 {
				return e
			}
			return serve(c, lane, p)
		})
	}
	path(wire.OpOpen, func(c *call.Call, lane int, path string) errno.Errno {
		fd, e := f.Open(path, service.OpenFlags(c.Word(lane, 1)), c.Word(lane, 2))
		c.SetWord(lane, 0, uint32(fd))
		return e
	})
	path(wire.OpStat, func(c *call.Call, lane int, path string) errno.Errno {
		st, e := f.Stat(path)
		setStat(c, lane, st)
		return e
	})
	path(wire.OpMkdir, func(c *call.Call, lane int, path string) errno.Errno { return f.Mkdir(path, c.Word(lane, 1)) })
	path(wire.OpUnlink, func(_ *call.Call, _ int, path string) errno.Errno { return f.Unlink(path) })
	path(wire.OpRmdir, func(_ *call.Call, _ int, path string) errno.Errno { return f.Rmdir(path) })
	lanes(wire.OpRename, func(c *call.Call, lane int) errno.Errno {
		b := c.Bytes(lane)
		from, e := pathOf(b)
		if e != 0 {
			return e
		}
		to, e := pathOf(b[min(len(b), 4+(len(from)+3)&^3):])
		if e != 0 {
			return e
		}
		return f.Rename(from, to)
	})
	lanes(wire.OpFstat, func(c *call.Call, lane int) errno.Errno {
		st, e := f.Fstat(int32(c.Word(lane, 0)))
		setStat(c, lane, st)
		return e
	})
	lanes(wire.OpClose, func(c *call.Call, lane int) errno.Errno { return f.CloseFD(int32(c.Word(lane, 0))) })
	lanes(wire.OpFsync, func(c *call.Call, lane int) errno.Errno { return f.Fsync(int32(c.Word(lane, 0))) })
	lanes(wire.OpTruncate, func(c *call.Call, lane int) errno.Errno {
		return f.Truncate(int32(c.Word(lane, 0)), int64(c.Uint64(lane, 1)))
	})
	lanes(wire.OpSeek, func(c *call.Call, lane int) errno.Errno {
		at, e := f.Seek(int32(c.Word(lane, 0)), int64(c.Uint64(lane, 2)), int(int32(c.Word(lane, 1))))
		c.SetUint64(lane, 0, uint64(at))
		return e
	})
	lanes(wire.OpReaddir, r.readdir)

	t.Set(wire.OpClock, call.PerLane(func(c *call.Call, lane int) errno.Errno {
		var sec int64
		var nsec uint32
		var e errno.Errno
		switch c.Word(lane, 0) {
		case 0:
			sec, nsec, e = clock.Wall()
		case 1:
			var ns uint64
			ns, e = clock.Monotonic()
			sec, nsec = int64(ns/1e9), uint32(ns%1e9)
		default:
			return errno.EINVAL
		}
		c.SetUint64(lane, 0, uint64(sec))
		c.SetWord(lane, 2, nsec)
		return e
	}), true)
	t.Set(wire.OpSleep, func(c *call.Call) { r.sleep(c, clock) }, false)
	lanes(wire.OpRandom, func(c *call.Call, lane int) errno.Errno {
		p := wanted(c, lane)
		c.SetWord(lane, 0, uint32(len(p)))
		return random.Fill(p)
	})

	t.Set(wire.OpExit, r.ends(func(c *call.Call, lane int) error { return service.Exit{Code: int32(c.Word(lane, 0))} }), false)
	t.Set(wire.OpAbort, r.ends(func(c *call.Call, lane int) error {
		return service.Abort{Message: string(bytes.TrimRight(bytes.Clone(c.Bytes(lane)), "\x00"))}
	}), false)
	t.Set(wire.OpAssert, r.ends(func(c *call.Call, lane int) error {
		file, expr, _ := bytes.Cut(bytes.TrimRight(bytes.Clone(c.Bytes(lane)), "\x00"), []byte{0})
		return service.Assert{File: string(file), Line: c.Word(lane, 1), Expr: string(expr)}
	}), false)
	return t
}

// ends makes a handler that ends the run with what the first lane says. The run is over before the
// answer: where a lane cannot be ended, its next call already fails.
func (r *run) ends(cause func(c *call.Call, lane int) error) call.Handler {
	return func(c *call.Call) {
		r.end.put(cause(c, bits.TrailingZeros64(c.Mask)))
		c.FailAll(call.Stop)
		r.transport.abort()
	}
}

// wanted is the room for the bytes that a lane asks for.
func wanted(c *call.Call, lane int) []byte {
	room := c.Room(lane)
	return room[:min(len(room), int(c.Word(lane, 2)))]
}

// counted copies bytes that are a word with their length, themselves, and what fills up a word.
func counted(b []byte) ([]byte, errno.Errno) {
	if len(b) < 4 {
		return nil, errno.EINVAL
	}
	n := binary.LittleEndian.Uint32(b)
	if uint64(n) > uint64(len(b)-4) {
		return nil, errno.EINVAL
	}
	return bytes.Clone(b[4 : 4+n]), 0
}

func pathOf(b []byte) (string, errno.Errno) {
	p, e := counted(b)
	if e == 0 && len(p) >= maxPath {
		e = errno.ENAMETOOLONG
	}
	return string(p), e
}

func setStat(c *call.Call, lane int, st service.Stat) {
	c.SetUint64(lane, 0, uint64(st.Size))
	c.SetUint64(lane, 2, uint64(st.MTime))
	c.SetUint64(lane, 4, uint64(st.ATime))
	c.SetUint64(lane, 6, uint64(st.CTime))
	c.SetUint64(lane, 8, st.Inode)
	c.SetWord(lane, 10, uint32(st.Kind))
	c.SetWord(lane, 11, st.Mode)
}

// readdir gives one name: its bytes may not fit into the lane's share, which is ERANGE.
func (r *run) readdir(c *call.Call, lane int) errno.Errno {
	var list [1]service.Dirent
	n, e := r.files.Readdir(int32(c.Word(lane, 1)), c.Uint64(lane, 2), list[:])
	if e != 0 {
		return e
	}
	d := service.Dirent{Next: c.Uint64(lane, 2)} // the end stays the end
	if n > 0 {
		d = list[0]
	}
	if len(d.Name) > len(c.Room(lane)) {
		return errno.ERANGE
	}
	c.SetUint64(lane, 0, d.Next)
	c.SetUint64(lane, 2, d.Inode)
	c.SetWord(lane, 4, uint32(d.Kind))
	c.SetWord(lane, 5, uint32(copy(c.Room(lane), d.Name)))
	return 0
}

// write joins the writes of lanes that go to one descriptor: their bytes stay together, in the
// order of the lanes.
func (r *run) write(c *call.Call) {
	c.Scratch.Parts = c.Scratch.Parts[:0]
	for m := c.Mask; m != 0; m &= m - 1 {
		lane := bits.TrailingZeros64(m)
		if c.Errno(lane) == 0 {
			c.Scratch.Parts = append(c.Scratch.Parts, c.Bytes(lane))
		}
	}
	r.gather(c, 1, func(lane int) int { return len(c.Bytes(lane)) })
}

// gather writes the scratch parts, one for each lane without an errno, to the descriptor in word
// w, and gives each lane what became of its part.
func (r *run) gather(c *call.Call, w int, size func(lane int) int) {
	parts := c.Scratch.Parts
	for m := c.Mask; m != 0; {
		// The lanes of one descriptor in a row: nearly always all of them.
		first := bits.TrailingZeros64(m)
		fd := c.Word(first, w)
		group, n := uint64(0), 0
		for ; m != 0; m &= m - 1 {
			lane := bits.TrailingZeros64(m)
			if c.Errno(lane) != 0 {
				continue
			}
			if c.Word(lane, w) != fd {
				break
			}
			group |= 1 << lane
			n++
		}
		if n == 0 {
			if m == 0 {
				return
			}
			continue
		}
		var done int
		var e errno.Errno
		if n == 1 {
			done, e = r.files.Write(int32(fd), parts[0])
		} else {
			done, e = r.files.WriteAll(int32(fd), parts[:n])
		}
		parts = parts[n:]
		nothing := done == 0 // an empty write to a bad descriptor fails, too
		for ; group != 0; group &= group - 1 {
			lane := bits.TrailingZeros64(group)
			k := min(done, size(lane))
			done -= k
			if k == 0 && e != 0 && (size(lane) > 0 || nothing) {
				c.Fail(lane, e)
			}
			c.SetWord(lane, 0, uint32(k))
		}
		if n := len(parts); n == 0 && m == 0 {
			return
		}
	}
}

// printf renders every lane's line, then writes them together.
func (r *run) printf(c *call.Call) {
	s := &c.Scratch
	s.Text = s.Text[:0]
	var args [64]cformat.Arg
	for m := c.Mask; m != 0; m &= m - 1 {
		lane := bits.TrailingZeros64(m)
		if c.Errno(lane) != 0 {
			continue
		}
		// Copied before it is read: formats and lengths decide what happens.
		at := len(s.Text)
		wireForm := append(s.Copy[:0], c.Bytes(lane)...)
		s.Copy = wireForm
		list, err := cformat.DecodeArgs(args[:0], wireForm)
		if err == nil && (len(list) == 0 || list[0].Kind != cformat.String) {
			err = errno.EINVAL
		}
		if err == nil {
			s.Text, err = cformat.Append(s.Text, list[0].Str, list[1:])
		}
		if err != nil {
			s.Text = s.Text[:at]
			c.Fail(lane, errno.EINVAL)
			r.program.runtime.warnFormat(err)
			continue
		}
		s.Ends[lane] = len(s.Text)
	}
	s.Parts = s.Parts[:0]
	from := 0
	for m := c.Mask; m != 0; m &= m - 1 {
		lane := bits.TrailingZeros64(m)
		if c.Errno(lane) != 0 {
			continue
		}
		s.Parts = append(s.Parts, s.Text[from:s.Ends[lane]])
		s.Ends[lane], from = s.Ends[lane]-from, s.Ends[lane]
	}
	r.gather(c, 1, func(lane int) int { return s.Ends[lane] })
	if cap(s.Text) > 1<<20 {
		s.Text = nil // one huge line must not stay for ever
	}
}

// sleep waits once, for the longest of the lanes: they wait together anyhow.
func (r *run) sleep(c *call.Call, clock service.Clock) {
	longest := time.Duration(-1)
	for m := c.Mask; m != 0; m &= m - 1 {
		longest = max(longest, time.Duration(c.Uint64(bits.TrailingZeros64(m), 0)))
	}
	e := clock.Sleep(c.Context, longest)
	for m := c.Mask; m != 0; m &= m - 1 {
		lane := bits.TrailingZeros64(m)
		if time.Duration(c.Uint64(lane, 0)) < 0 && e == 0 {
			c.Fail(lane, errno.EINVAL)
		} else {
			c.Fail(lane, e)
		}
	}
}
