// Package region compiles the loops of a module that compute: each becomes a function of portable kernel C, from the same expressions as the interpreter's,
// which the interpreter calls in place of its instructions.
//
// A region is a loop that calls nobody but functions of the module that do not come back to themselves, neither grows memory nor
// touches tables. What it works on is where the interpreter has it: see [Region].
package region

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/dialtone-gpu/dialtone/program/wasm"
)

// A Region is a loop that is a function in C,
//
//	hc_u32 vm_region_N(vm_state *state, GLOBAL hc_u64 *fp, hc_u32 *fuel)
//
// where N is its place among the regions. fp is the function's frame: parameters and locals, then operands, in a slot each. The function reads locals and the
// loop's parameters there; when it returns, the locals are there, and the operands of the label where it goes, at their heights. The operands below the loop stay as they are.
// It returns the number of an exit. If state->trap is set, that means nothing, nor do the slots.
//
// Fuel, which is below 2^31, is counted down by one for each turn of a loop, to 0. With none left, the region's loop stops before its next turn, at the exit
// [Again]: it goes on if the same function is called again, with more. A turn of it is not interrupted, whatever it contains; of one that contains more than
// 2^31 turns of others, a part may go uncounted.
type Region struct {
	Func       int    // the function
	Name       string // its name, if it has one
	Start, End int    // in its code: from the loop instruction to behind its end
	Exits      []int  // by number: Again, or the labels to leave behind the loop, that many. 0 goes on behind it, 1 is br 0 there
	Size       int    // instructions, with those of functions that it calls
	Depth      int    // how deep loops are nested
	Calls      []int  // functions that it calls, also indirectly
}

// Again is the exit of a loop that has not ended.
const Again = -1

// exit gives the number of an exit.
func (r *Region) exit(to int) int {
	n := slices.Index(r.Exits, to)
	if n < 0 {
		n = len(r.Exits)
		r.Exits = append(r.Exits, to)
	}
	return n
}

// String describes a region in a line.
func (r *Region) String() string {
	s := fmt.Sprintf("function %d", r.Func)
	if r.Name != "" {
		s += fmt.Sprintf(" (%q)", r.Name)
	}
	s += fmt.Sprintf(" at %#x: %d instructions, loops %d deep", r.Start, r.Size, r.Depth)
	if n := len(r.Calls); n > 0 {
		s += fmt.Sprintf(", with %d functions", n)
	}
	return s
}

// Options limit what is compiled, since compilers for devices take about a second for 2000 instructions.
type Options struct {
	Each int // most instructions of a region, with the functions that it calls; 0 is 2000
	All  int // most instructions of all; 0 is 6000
}

// Select chooses loops: of each function the outermost ones that can be regions and are not too large, of those first the ones in which loops are nested
// deepest, then smaller ones, as long as there is room. Their order is that in the file.
func Select(m *wasm.Module, o Options) []Region {
	o.Each, o.All = cmp.Or(o.Each, 2000), cmp.Or(o.All, 6000)
	u := newUnit(m, o.Each)
	var found []Region
	for fn := range m.Funcs {
		if u.s.imported(fn) {
			continue
		}
		end := 0
		for _, c := range u.s.body(fn)[1:] {
			if c.op != wasm.Loop || !c.targeted || c.start < end {
				continue
			}
			var r reach
			if u.follow(&r, &c); r.unfit != "" || r.size > o.Each {
				continue
			}
			end = c.end
			found = append(found, Region{Func: fn, Name: m.Funcs[fn].Name, Start: c.start, End: c.end, Size: r.size, Depth: r.depth, Calls: r.functions})
		}
	}
	slices.SortStableFunc(found, func(a, b Region) int { return cmp.Or(b.Depth-a.Depth, a.Size-b.Size) })
	room := o.All
	found = slices.DeleteFunc(found, func(r Region) bool {
		if r.Size > room {
			return true
		}
		room -= r.Size
		return false
	})
	slices.SortFunc(found, func(a, b Region) int { return cmp.Or(a.Func-b.Func, a.Start-b.Start) })
	source(u, found) // which finds the exits
	return found
}

// Source returns the C of regions, which Select has chosen, with the functions that they call. It goes behind the text of package machine.
func Source(m *wasm.Module, regions []Region) string {
	return source(newUnit(m, math.MaxInt), slices.Clone(regions))
}

func source(u *unit, regions []Region) string {
	u.fuel = true
	var called []int
	for i := range regions {
		for _, fn := range regions[i].Calls {
			if !slices.Contains(called, fn) {
				called = append(called, fn)
			}
		}
	}
	var b strings.Builder
	b.WriteString(check)
	for _, fn := range called {
		u.function(&b, fn)
	}
	for i := range regions {
		u.loop(&b, &regions[i], i)
	}
	return b.String()
}

// check returns if there was a trap. state is the caller's, vm a copy that no pointer leads to, so that it can be in registers.
// What a local leaves in its slot behind a loop must not make a vector of it and its neighbour in the loop, as clang would.
const check = `#define VM_CHECK(result) if (vm->trap != VM_NO_TRAP) { state->trap = vm->trap; return result; }
#ifdef HC_SCALAR_BITS
#define VM_LEAVE(slot, v) { hc_u64 bits = (v); HC_SCALAR_BITS(bits); slot = bits; }
#else
#define VM_LEAVE(slot, v) slot = (v);
#endif

`
