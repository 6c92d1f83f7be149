package wasi

import (
	"github.com/dialtone-gpu/dialtone/hostcall/errno"
	"github.com/dialtone-gpu/dialtone/hostcall/service"
)

func sockAccept(c *call) errno.Errno {
	if c.u32(1)&^fdNonblock != 0 {
		return errno.EINVAL
	}
	flags := service.OpenFlags(0)
	if c.u32(1) != 0 {
		flags = service.NonBlock
	}
	fd, e := c.files.Accept(c, c.fd(0), flags)
	c.put32(uint32(fd))
	return e
}

func sockRecv(c *call) errno.Errno {
	const peek, waitall, all = 1, 2, 3
	if c.u32(3)&^all != 0 {
		return errno.EINVAL
	}
	n, e := c.files.Receive(c, c.fd(0), c.space(8, c.u64(1)), c.u32(3)&peek != 0, c.u32(3)&waitall != 0)
	c.put32(uint32(n))
	c.put16(0) // nothing is cut off: these are streams
	c.filled(n)
	return e
}

func sockSend(c *call) errno.Errno {
	if c.u32(3) != 0 {
		return errno.EINVAL
	}
	n, e := c.files.Send(c, c.fd(0), c.in[0])
	c.put32(uint32(n))
	return e
}

func sockShutdown(c *call) errno.Errno {
	const rd, wr, both = 1, 2, 3
	if c.u32(1)&^both != 0 {
		return errno.EINVAL
	}
	return c.files.Shutdown(c.fd(0), c.u32(1)&rd != 0, c.u32(1)&wr != 0)
}
