package wasi

import (
	"bytes"

	"github.com/dialtone-gpu/dialtone/hostcall/errno"
)

// The program: arguments, environment, its end, random bytes.

func argsGet(c *call) errno.Errno         { return c.strings(c.system.args) }
func argsSizesGet(c *call) errno.Errno    { return c.sizes(c.system.args) }
func environGet(c *call) errno.Errno      { return c.strings(c.env) }
func environSizesGet(c *call) errno.Errno { return c.sizes(c.env) }

// strings gives packed strings: pointers to them in linear memory, then themselves, at the two pointers that are the parameters.
func (c *call) strings(packed []byte) errno.Errno {
	pointers, at := 0, uint32(0)
	for at < uint32(len(packed)) {
		c.put32(c.u32(1) + at)
		pointers++
		at += uint32(bytes.IndexByte(packed[at:], 0)) + 1
	}
	c.length(4 * pointers)
	c.putBytes(packed)
	return errno.OK
}

// sizes gives how many packed strings there are, and their bytes.
func (c *call) sizes(packed []byte) errno.Errno {
	c.put32(uint32(bytes.Count(packed, []byte{0})))
	c.put32(uint32(len(packed)))
	return errno.OK
}

func procExit(c *call) errno.Errno {
	c.end(End{Code: int32(c.u32(0))})
	return errno.OK
}

// procRaise does what the signal does to a program that has no handler for it, since WASI programs have none: it ends them, or nothing
// happens. Nothing could go on with a stopped one.
func procRaise(c *call) errno.Errno {
	const chld, cont, stop, ttou, urg, winch, last = 16, 17, 18, 21, 22, 27, 30
	switch n := c.u32(0); {
	case n > last:
		return errno.EINVAL
	case n == 0 || n == chld || n == cont || n == urg || n == winch:
		return errno.OK
	case n >= stop && n <= ttou:
		return errno.ENOTSUP
	default:
		c.end(End{Code: 128 + int32(n), Signal: uint8(n)})
		return errno.OK
	}
}

// trap is how the machine says that the instance trapped.
func trap(c *call) errno.Errno {
	c.end(End{Trap: c.u32(0), Function: c.u32(1), At: c.u32(2)})
	return errno.OK
}

// randomGet makes its reply in parts, as any bytes will do: none are kept for the next part.
func randomGet(c *call) errno.Errno {
	total := uint64(c.u32(1))
	if uint64(c.offset) > total {
		return errno.EINVAL
	}
	p := c.space(0, total-uint64(c.offset))
	if e := c.system.random.Fill(p); e != errno.OK {
		return e
	}
	c.reply = append(c.reply[:len(p)], make([]byte, -len(p)&3)...)
	c.total = int((total + 3) &^ 3)
	c.lengths[0] = uint32(total)
	return errno.OK
}
