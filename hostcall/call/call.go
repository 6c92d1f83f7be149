// Package call is one hostcall as services see it: what the active lanes of a subgroup ask for at
// once, and what they get. Which transport carried it does not show.
package call

import (
	"context"
	"math/bits"

	"github.com/dialtone-gpu/dialtone/hostcall/errno"
	"github.com/dialtone-gpu/dialtone/hostcall/wire"
)

// Stop as a lane's errno ends that lane: the run is over.
const Stop errno.Errno = wire.ErrnoStop

// Call is a decoded request and its answer. A transport fills it in, a [Handler] answers it; it is
// reused afterwards, so a handler keeps nothing of it.
type Call struct {
	Op   wire.Opcode
	Mask uint64 // the active lanes
	In   int    // words each lane sent
	Out  int    // words each lane wants

	// HasBytes says that the call carries bytes both ways.
	HasBytes bool

	Context context.Context // ends when the run does

	begun   uint64 // the lanes that PerLane has come to
	settled bool

	stride int                                   // lanes of the device: the distance of two words of a lane
	words  [wire.MaxWords * wire.MaxLanes]uint32 // word-major, as in the packet
	errnos [wire.MaxLanes]errno.Errno
	bytes  [wire.MaxLanes][]byte
	rooms  [wire.MaxLanes][]byte

	// Scratch is for handlers: it survives from call to call, so that they need not allocate.
	Scratch Scratch
}

// Scratch is memory that handlers may use while they serve a call.
type Scratch struct {
	Text  []byte
	Copy  []byte
	Parts [][]byte
	Ends  [wire.MaxLanes]int
}

// Handler serves a call: it looks at each active lane and sets result words, or an errno.
type Handler func(*Call)

// PerLane makes a handler of a function for one lane. If that panics, the handler can be called again for the lanes that are
// left: see [Call.Panicked].
func PerLane(serve func(c *Call, lane int) errno.Errno) Handler {
	return func(c *Call) {
		for m := c.Mask &^ c.begun; m != 0; m &= m - 1 {
			lane := bits.TrailingZeros64(m)
			c.begun |= 1 << lane
			if c.errnos[lane] == 0 { // else the transport refused the lane
				c.errnos[lane] = serve(c, lane)
			}
		}
	}
}

// Word is word i that the lane sent, or the result set before.
func (c *Call) Word(lane, i int) uint32 { return c.words[i*c.stride+lane] }

// SetWord sets word i of the lane's result.
func (c *Call) SetWord(lane, i int, v uint32) { c.words[i*c.stride+lane] = v }

// Uint64 joins words i and i+1, the low half first.
func (c *Call) Uint64(lane, i int) uint64 {
	return uint64(c.Word(lane, i)) | uint64(c.Word(lane, i+1))<<32
}

// SetUint64 sets words i and i+1.
func (c *Call) SetUint64(lane, i int, v uint64) {
	c.SetWord(lane, i, uint32(v))
	c.SetWord(lane, i+1, uint32(v>>32))
}

// Bytes are what the lane sent. They may be memory that the device still writes: copy before
// deciding anything on them.
func (c *Call) Bytes(lane int) []byte {
	if !c.HasBytes {
		return nil
	}
	return c.bytes[lane]
}

// SetBytes is for transports.
func (c *Call) SetBytes(lane int, b []byte) { c.bytes[lane] = b }

// Room is where bytes for the lane go; how many is said by a result word.
func (c *Call) Room(lane int) []byte {
	if !c.HasBytes {
		return nil
	}
	return c.rooms[lane]
}

// SetRoom is for transports.
func (c *Call) SetRoom(lane int, b []byte) { c.rooms[lane] = b }

// Errno is the lane's outcome.
func (c *Call) Errno(lane int) errno.Errno { return c.errnos[lane] }

// Fail sets the lane's outcome.
func (c *Call) Fail(lane int, e errno.Errno) { c.errnos[lane] = e }

// FailAll sets the outcome of every active lane.
func (c *Call) FailAll(e errno.Errno) {
	for m := c.Mask; m != 0; m &= m - 1 {
		c.errnos[bits.TrailingZeros64(m)] = e
	}
}

// Begin is for transports, before a handler is called: no lane has been served.
func (c *Call) Begin() { c.begun, c.settled = 0, false }

// Settle says that all lanes have their outcome although the handler does not return: [Call.Panicked] then fails none.
func (c *Call) Settle() { c.settled = true }

// Panicked is for transports, after a handler did not return. The lane that it was serving fails with EFAULT, or all lanes if it
// serves them at once; again reports whether others are left, for which it is to be called once more.
func (c *Call) Panicked() (again bool) {
	if c.settled {
		return false
	}
	if c.begun == 0 {
		c.FailAll(errno.EFAULT)
		return false
	}
	c.Fail(bits.Len64(c.begun)-1, errno.EFAULT)
	return c.begun != c.Mask
}

// Words are the first n words of all lanes of a device with that many, word-major, for transports.
func (c *Call) Words(n, lanes int) []uint32 {
	c.stride = lanes
	return c.words[:n*lanes]
}

// Errnos is the outcome of all lanes, for transports.
func (c *Call) Errnos() *[wire.MaxLanes]errno.Errno { return &c.errnos }
