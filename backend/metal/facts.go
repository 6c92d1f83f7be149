package metal

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unsafe"

	"github.com/dialtone-gpu/dialtone/hal"
)

// form is what a message gives.
type form uint8

const (
	asNumber form = iota // NSUInteger, uint64_t and enumerations
	asBool               // BOOL, which has one byte
	asText               // NSString
	asSize               // MTLSize
	asName               // an object with a name
	asNames              // an NSArray of such objects
)

// questions are messages without arguments, by the names of Apple's documentation of MTLDevice: what a GPU is, where it is, and how
// much it takes. Each came with some version of macOS, and some are deprecated.
var questions = []struct {
	name string
	form form
}{
	{"name", asText},
	{"architecture", asName}, // macOS 14
	{"registryID", asNumber}, // 10.13
	{"location", asNumber},   // 10.15
	{"locationNumber", asNumber},
	{"maxTransferRate", asNumber}, // 10.15, bytes per second
	{"isLowPower", asBool},
	{"isHeadless", asBool},
	{"isRemovable", asBool},   // 10.13
	{"peerGroupID", asNumber}, // 10.15
	{"hasUnifiedMemory", asBool},
	{"recommendedMaxWorkingSetSize", asNumber}, // 10.12, bytes
	{"maxBufferLength", asNumber},              // 10.14, bytes
	{"maxThreadgroupMemoryLength", asNumber},   // 10.13, bytes
	{"maxThreadsPerThreadgroup", asSize},
	{"argumentBuffersSupport", asNumber}, // 10.13, MTLArgumentBuffersTier less 1
	{"counterSets", asNames},             // 10.15
}

// answers are MTLGPUFamily values (apple, mac, common, metal) and MTLCounterSamplingPoint values (stage, draw, dispatch, tile
// dispatch, blit), which are asked by number.
var (
	askedFamilies = []uintptr{1001, 1002, 1003, 1004, 1005, 1006, 1007, 1008, 1009, 1010, 2002, 3001, 3002, 3003, 5001, 5002}
	askedPoints   = []uintptr{0, 1, 2, 3, 4}
)

// makers are messages that make something: whether a GPU knows them says whether its system has such things. Nothing is made.
var makers = []string{
	"newBufferWithBytesNoCopy:length:options:deallocator:",
	"newSharedEvent", // 10.14
	"newIOCommandQueueWithDescriptor:error:",
}

var _ hal.Teller = (*device)(nil)

// Facts asks the GPU. A message that it does not know is a fact with an error, but for makers, where the answer to
// respondsToSelector: is all that is asked.
func (d *device) Facts(ctx context.Context, tell func(hal.Fact)) {
	if d.closed.Load() {
		return
	}
	d.pooled(func() {
		tell(hal.Fact{Name: "operatingSystemVersionString", Source: "NSProcessInfo operatingSystemVersionString", Value: d.systemVersion()})
		ask := func(name, message, argument string, answer func(selector) string) {
			if ctx.Err() != nil {
				return
			}
			f := hal.Fact{Name: name, Source: "MTLDevice " + message + argument}
			s := d.selector(message)
			start := time.Now()
			if d.responds(d.handle, s) {
				f.Value = answer(s)
			} else {
				f.Error = "the device does not respond to " + message
			}
			f.Took = time.Since(start)
			tell(f)
		}
		for _, q := range questions {
			ask(q.name, q.name, "", func(s selector) string { return d.answer(s, q.form) })
		}
		for _, n := range askedFamilies {
			ask(fmt.Sprintf("supportsFamily(%d)", n), "supportsFamily:", fmt.Sprint(n), func(s selector) string { return truth(d.send(d.handle, s, n)) })
		}
		for _, n := range askedPoints {
			ask(fmt.Sprintf("supportsCounterSampling(%d)", n), "supportsCounterSampling:", fmt.Sprint(n), func(s selector) string { return truth(d.send(d.handle, s, n)) })
		}
		ask("sampleTimestamps", "sampleTimestamps:gpuTimestamp:", "", func(s selector) string {
			at := new([2]uint64) // MTLTimestamp, of the host and of the GPU
			d.send(d.handle, s, uintptr(unsafe.Pointer(&at[0])), uintptr(unsafe.Pointer(&at[1])))
			return fmt.Sprint(at[0], " ", at[1])
		})
		for _, m := range makers {
			start := time.Now()
			there := d.send(d.handle, d.sel.RespondsToSelector, uintptr(d.selector(m)))
			tell(hal.Fact{Name: m, Source: "MTLDevice respondsToSelector:" + m, Value: truth(there), Took: time.Since(start)})
		}
	})
}

// answer sends a message without arguments and renders what comes back.
func (d *device) answer(s selector, as form) string {
	switch as {
	case asBool:
		return truth(d.send(d.handle, s))
	case asText:
		return d.goString(id(d.send(d.handle, s)))
	case asSize:
		size := d.sendSize(d.handle, s)
		return fmt.Sprint(size.width, " ", size.height, " ", size.depth)
	case asName:
		return d.nameOf(id(d.send(d.handle, s)))
	case asNames:
		list := id(d.send(d.handle, s))
		var names []string
		for i := range int(d.send(list, d.sel.Count)) {
			names = append(names, d.nameOf(id(d.send(list, d.sel.ObjectAtIndex, uintptr(i)))))
		}
		return strings.Join(names, " ")
	}
	return fmt.Sprint(d.send(d.handle, s))
}

func (l *library) nameOf(o id) string { return l.goString(id(l.send(o, l.sel.Name))) }

// truth renders a BOOL.
func truth(b uintptr) string {
	if byte(b) != 0 {
		return "1"
	}
	return "0"
}
