/* What the functions of a whole program use: package region.

   A trap ends the work-item where it is, if the device can do that; else VM_PASS behind each call leaves the caller, too.

   end is where memory ends, as far as a function knows. An access to what is inside, as nearly all are, is looked at by 32-bit arithmetic; the emitter takes the far ones,
   which are exact, for offsets with which that would not do. Where accesses have to be aligned, which is on GPUs, it is straight code for whatever address: what is outside
   sets outside and loads from the beginning, and VM_SETTLE traps before a call, at the end and now and then in a loop, so that nobody sees what came of it. There a branch
   in each access, to code that comes back, cost a loop over matrices twice the time: nothing was loaded before the one before had arrived. On a processor's core the branch is free.

   The address of a variable tells how deep the stack is, which grows down, or up on AMD's devices. A function that has loops, one at least of each circle of functions that
   call each other, and a call through a table take a turn of the program's, and a loop after VM_TURNS_AT_ONCE turns of its own. */

#define VM_TURNS_AT_ONCE 1024u
#define VM_END(bytes) ((bytes) > 0xffffffffu ? 0xffffffffu : (hc_u32)(bytes))
#ifdef HC_STOPS_ALONE
#define VM_PASS(result) HC_AFTER_CALL(); /* a call that has become a jump would need no stack and never exhaust it */
#define VM_STOP(state) { vm_over(state); { HC_RECALL(&(state)->item); hc_stop_lane(); } }
#else
#define VM_PASS(result) if (state->trap != VM_NO_TRAP) return result;
#define VM_STOP(state)
#endif
#define VM_ADDRESS(variable) ((hc_u32)(hc_size)&(variable))
#define VM_NEST(result) \
    hc_u32 here; \
    if (VM_ADDRESS(here) - state->stack + VM_STACK_BYTES > 2u * VM_STACK_BYTES) { vm_trapped(state, VM_STACK_EXHAUSTED, function); return result; }
#define VM_TURN(result) if (--state->turns == 0u && (state->turns = vm_look(state)) == 0u) return result;
#define VM_LOOP_TURN(result) if (--left == 0u) { VM_SETTLE(result) left = VM_TURNS_AT_ONCE; VM_TURN(result) }
#define VM_CELL1(p) (*(p))
#define VM_FITS(a, offset, n) ((a) <= end - ((offset) + (n)))
#define VM_FAR_LOAD(n, to, a, offset, result) { to = vm_far_load(state, a, offset, function << 4 | n); VM_PASS(result) }
#define VM_FAR_STORE(n, v, a, offset, result) { vm_far_store(state, a, offset, v, function << 4 | n); VM_PASS(result) }
#ifdef VM_ALIGNED
#define VM_LOAD(n, to, a, offset, result) { \
    const int fits_ = VM_FITS(a, offset, n); \
    outside = fits_ ? outside : 1u; \
    to = vm_take##n(vm->memory, fits_ ? (a) + (offset) : 0u); }
#define VM_STORE(n, v, a, offset, result) { \
    const int fits_ = VM_FITS(a, offset, n); \
    outside = fits_ ? outside : 1u; \
    vm_put##n(vm->memory, (a) + (offset), v, fits_); }
#define VM_SETTLE(result) if (outside != 0u) { vm_trapped(state, VM_BOUNDS, function); return result; }
#define VM_CHECK(result) if (vm->trap != VM_NO_TRAP) { vm_trapped(state, outside != 0u ? VM_BOUNDS : vm->trap, function); return result; }
#else
#define VM_AT(n, a, offset) VM_CELL##n(vm->memory + (hc_u64)(a) + (offset))
#define VM_LOAD(n, to, a, offset, result) \
    if (__builtin_expect(VM_FITS(a, offset, n), 1)) to = VM_AT(n, a, offset); \
    else VM_FAR_LOAD(n, to, a, offset, result)
#define VM_STORE(n, v, a, offset, result) \
    if (__builtin_expect(VM_FITS(a, offset, n), 1)) VM_AT(n, a, offset) = v; \
    else VM_FAR_STORE(n, v, a, offset, result)
#define VM_SETTLE(result) (void)outside;
#define VM_CHECK(result) if (vm->trap != VM_NO_TRAP) { vm_trapped(state, vm->trap, function); return result; }
#endif

#ifdef VM_ALIGNED
DEVICE hc_u32 vm_take1(GLOBAL hc_u8 *memory, hc_u32 at) { return memory[at]; }
DEVICE hc_u32 vm_take2(GLOBAL hc_u8 *memory, hc_u32 at) {
    GLOBAL hc_u8 *const p = memory + (at & ~3u);
    const hc_u32 low = VM_CELL4(p), high = (at & 3u) == 3u ? VM_CELL4(p + 4) : 0u;
    return (hc_u32)(((hc_u64)high << 32 | low) >> (at & 3u) * 8u) & 0xffffu;
}
DEVICE hc_u32 vm_take4(GLOBAL hc_u8 *memory, hc_u32 at) {
    GLOBAL hc_u8 *const p = memory + (at & ~3u);
    const hc_u32 low = VM_CELL4(p), high = VM_ODD(at, 4u) ? VM_CELL4(p + 4) : 0u;
    return (hc_u32)(((hc_u64)high << 32 | low) >> (at & 3u) * 8u);
}
DEVICE hc_u64 vm_take8(GLOBAL hc_u8 *memory, hc_u32 at) {
    GLOBAL hc_u8 *const p = memory + (at & ~7u);
    const hc_u64 low = VM_CELL8(p), high = VM_ODD(at, 8u) ? VM_CELL8(p + 8) : 0u;
    return low >> (at & 7u) * 8u | high << 1 << (63u - (at & 7u) * 8u);
}
DEVICE void vm_put1(GLOBAL hc_u8 *memory, hc_u32 at, hc_u32 v, int fits) {
    if (fits) memory[at] = (hc_u8)v;
}
DEVICE void vm_put2(GLOBAL hc_u8 *memory, hc_u32 at, hc_u32 v, int fits) {
    GLOBAL hc_u8 *const to = memory + at;
    if (fits & !VM_ODD(at, 2u)) VM_CELL2(to) = (unsigned short)v;
    if (fits & VM_ODD(at, 2u)) {
        to[0] = (hc_u8)v;
        to[1] = (hc_u8)(v >> 8);
    }
}
DEVICE void vm_put4(GLOBAL hc_u8 *memory, hc_u32 at, hc_u32 v, int fits) {
    GLOBAL hc_u8 *const to = memory + at;
    if (fits & !VM_ODD(at, 4u)) VM_CELL4(to) = v;
    if (fits & VM_ODD(at, 4u)) {
        to[0] = (hc_u8)v;
        to[1] = (hc_u8)(v >> 8);
        to[2] = (hc_u8)(v >> 16);
        to[3] = (hc_u8)(v >> 24);
    }
}
DEVICE void vm_put8(GLOBAL hc_u8 *memory, hc_u32 at, hc_u64 v, int fits) {
    if (fits & !VM_ODD(at, 8u)) VM_CELL8(memory + at) = v;
    if (fits & VM_ODD(at, 8u)) vm_store_bytes(memory + at, 8u, v);
}
#endif

HC_NOINLINE void vm_trapped(vm_state *state, hc_u32 trap, hc_u32 function) {
    state->trap = trap;
    state->function = function;
    VM_STOP(state)
}

HC_NOINLINE hc_u32 vm_look(vm_state *state) {
    HC_RECALL(&state->item);
    if (!hc_cancelled()) return VM_TURNS;
    state->trap = VM_CANCELLED;
    VM_STOP(state)
    return 0u;
}

/* Accesses that do not fit: which is the function, and below that the bytes. */
HC_NOINLINE hc_u64 vm_far_load(vm_state *state, hc_u32 a, hc_u32 offset, hc_u32 which) {
    const hc_u64 ea = (hc_u64)a + offset;
    if (ea + (which & 15u) <= state->bytes) return vm_load_bytes(state->memory + ea, which & 15u);
    vm_trapped(state, VM_BOUNDS, which >> 4);
    return 0u;
}
HC_NOINLINE void vm_far_store(vm_state *state, hc_u32 a, hc_u32 offset, hc_u64 v, hc_u32 which) {
    const hc_u64 ea = (hc_u64)a + offset;
    if (ea + (which & 15u) <= state->bytes) vm_store_bytes(state->memory + ea, which & 15u, v);
    else vm_trapped(state, VM_BOUNDS, which >> 4);
}

