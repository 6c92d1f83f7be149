// Package wasi is WASI preview 1 for programs that run on a device: one table of calls, from which the device gathers and stores the
// operands of a call in linear memory (KernelSource), and which the host serves (System).
//
// The host sees what a call sent, never the device's memory, and believes none of it: numbers, sizes, paths. What a program may reach is a
// policy.Policy; everything else is denied.
//
// # Instances
//
// A System has any number of instances of a program, numbered from 0. Each is a process of its own: descriptors, arguments, environment and
// end. They share the standard streams and the handles of the directories. The environment has two variables more than the policy's:
// DIALTONE_INSTANCE, the number, and DIALTONE_INSTANCES, how many there are.
//
// Descriptors 0, 1 and 2 are the standard streams, then come the policy's directories and then its listeners, in the policy's order.
//
// With more than one instance standard output and standard error are cut into lines: an instance's line is written when it is complete, so
// that no two instances share one, and what is left at the end of an instance is made a line. A line of more than 64 KiB comes in pieces.
//
// # Results
//
// Errors are WASI's numbers. What the policy keeps closed is ENOTCAPABLE, as is a path that leads out of its directory, by "..", as an
// absolute path or through a symbolic link. Memory operands that do not lie in linear memory are EFAULT, before anything is done.
package wasi

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/dialtone-gpu/dialtone/hostcall"
	"github.com/dialtone-gpu/dialtone/hostcall/errno"
	"github.com/dialtone-gpu/dialtone/hostcall/policy"
	"github.com/dialtone-gpu/dialtone/hostcall/service"
)

// System serves the calls of all instances of a run.
type System struct {
	policy policy.Policy
	host   *service.Host
	clock  service.Clock
	random service.Random
	args   []byte // packed

	over context.Context // ends with Close
	stop context.CancelFunc

	mu        sync.Mutex
	processes []*process // made by an instance's first call
	ends      []End
	lost      error // of lines that could not be written when an instance ended
	closed    bool
}

// End is how an instance ended.
type End struct {
	Ended    bool
	Code     int32  // of proc_exit; 128 and the signal's number after proc_raise
	Signal   uint8  // of proc_raise, as WASI numbers signals
	Trap     uint32 // trap number of package machine, 0 if it did not trap
	Function uint32 // that trapped, by its index in the module
	At       uint32 // offset of the instruction there
}

// NewSystem opens what the policy gives, for that many instances. Close releases it.
func NewSystem(p policy.Policy, instances int) (*System, error) {
	if instances < 1 {
		return nil, fmt.Errorf("%d instances: at least one", instances)
	}
	if _, err := service.NewEnv(p); err != nil {
		return nil, err
	}
	host, err := service.NewHost(p)
	if err != nil {
		return nil, err
	}
	s := &System{policy: p, host: host, clock: service.NewClock(p), random: service.NewRandom(p), args: service.Block(p.Args),
		processes: make([]*process, instances), ends: make([]End, instances)}
	s.over, s.stop = context.WithCancel(context.Background())
	return s, nil
}

// Ends is how each instance ended, or that it has not.
func (s *System) Ends() []End {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]End(nil), s.ends...)
}

// Close writes what is left of unfinished lines, closes all descriptors, and lets go of the directories. Calls that wait fail with
// ECANCELED. The error is that of writing lines, of which no program was told.
func (s *System) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	all, errs := s.processes, []error{s.lost}
	s.mu.Unlock()
	s.stop()
	for _, p := range all {
		if p != nil {
			errs = append(errs, p.close())
		}
	}
	return errors.Join(append(errs, s.host.Close())...)
}

// process finds that of an instance, which it makes if this is its first call.
func (s *System) process(instance uint32) (*process, errno.Errno) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case uint64(instance) >= uint64(len(s.processes)):
		return nil, errno.EINVAL
	case s.closed:
		return nil, errno.ECANCELED
	case s.processes[instance] != nil:
		return s.processes[instance], errno.OK
	}
	p, e := s.newProcess(int(instance))
	if e == errno.OK {
		s.processes[instance] = p
	}
	return p, e
}

// end notes how an instance ended; the first word counts.
func (s *System) end(instance int, e End) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ends[instance].Ended {
		e.Ended = true
		s.ends[instance] = e
	}
}

// lose keeps an error for Close.
func (s *System) lose(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost = errors.Join(s.lost, err)
}

// Function serves what kernels import as [Import].
func (s *System) Function() hostcall.Function {
	return func(ctx context.Context, l *hostcall.Lane) error {
		if len(l.Out) < replyWords {
			return errno.EINVAL
		}
		r, err := decode(l.In, l.Bytes)
		if err != nil {
			return err
		}
		p, e := s.process(r.instance)
		if e != errno.OK {
			if e == errno.ECANCELED {
				return e // nobody is there any more to hear of it
			}
			l.Out[replyState] = wasiErrno(e)
			return nil
		}
		if r.call.waits && r.offset == 0 {
			l.Wait = func() error { return p.call(ctx, r, l) }
			return nil
		}
		return p.call(ctx, r, l)
	}
}

// request is a call as the device sent it, checked against the table.
type request struct {
	call     *Call
	instance uint32
	offset   uint32
	params   [mostParams]uint64 // a vector's pointer is the number of its bytes instead
	in       [2][][]byte        // the operands of In, in pieces; one piece for those that are no vectors
}

// decode takes apart what a device sent.
func decode(words []uint32, sent []byte) (*request, error) {
	if len(words) < requestParams || words[requestFunction] >= uint32(len(calls)) {
		return nil, errno.EINVAL
	}
	r := &request{call: &calls[words[requestFunction]], instance: words[requestInstance], offset: words[requestOffset]}
	rest := words[requestParams:]
	if len(rest) != r.call.words() {
		return nil, errno.EINVAL
	}
	for i := range len(r.call.Params) {
		r.params[i] = uint64(rest[0])
		rest = rest[1:]
		if r.call.isWide(i) {
			r.params[i] |= uint64(rest[0]) << 32
			rest = rest[1:]
		}
	}
	if r.offset > 0 {
		return r, nil // the call was made; only the rest of its reply is wanted
	}
	for k, o := range r.call.In {
		pieces := uint64(1)
		if o.Kind == Vector {
			pieces = min(r.params[o.Length], mostPieces)
		}
		for range pieces {
			if len(sent) < 4 {
				return nil, errno.EINVAL
			}
			n := uint64(binary.LittleEndian.Uint32(sent))
			sent = sent[4:]
			padded := (n + 3) &^ 3
			if padded > uint64(len(sent)) {
				return nil, errno.EINVAL
			}
			if o.Kind == Bytes && n != min(r.params[o.Length]*uint64(o.Size), uint64(o.Most)) {
				return nil, errno.EINVAL
			}
			r.in[k] = append(r.in[k], sent[:n:n])
			sent = sent[padded:]
		}
	}
	if len(sent) > 0 {
		return nil, errno.EINVAL
	}
	return r, nil
}
