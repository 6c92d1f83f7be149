/* The words in which package bytecode says what its instructions do. head is the lower half of an instruction's first word, with op, flags and slot d;
   the upper half is slot a. low and high are the halves of the second word. */
#define VM_SLOT_D fp[VM_D]
#define VM_SLOT_C fp[low]
#define VM_D (head >> VM_D_SHIFT)
#define VM_D_SIGNED (hc_u32)((hc_i32)head >> VM_D_SHIFT)
#define VM_A slot_a
#define VM_NOT (head >> VM_NOT_SHIFT & 1u)
#define VM_INDEX(v) ((hc_u32)(v) << (head >> VM_SHIFT_SHIFT & VM_SHIFT_MASK))
#define VM_TABLE(i) (state + image[VM_IMAGE_TABLES] + (hc_u64)(i) * VM_TABLE_WORDS)
#define VM_LOAD_ADDRESS ((hc_u64)((hc_u32)x + ((head & VM_FLAG_IMM) != 0u ? high : VM_INDEX(y))) + low)
#define VM_STORE_ADDRESS ((hc_u64)((hc_u32)x + ((head & VM_FLAG_INDEX) != 0u ? VM_INDEX(VM_SLOT_D) : VM_D_SIGNED)) + low)
#define VM_STORED ((head & VM_FLAG_IMM) != 0u ? (hc_u64)(hc_i64)(hc_i32)high : y)
/* Target i of those behind the instruction. */
#define VM_TARGET(i) vm_target(code + 2u * (hc_size)at, i)
#define VM_JUMP(target)                                 \
    do {                                                \
        at = (target);                                  \
        VM_FETCH();                                     \
        if (--fuel == 0u) {                             \
            vm->trap = VM_STOP_FUEL;                    \
            VM_STOP;                                    \
        }                                               \
    } while (0)
/* To a target relative to the next instruction, in place of slot d. */
#define VM_JUMP_NEAR() VM_JUMP(at + VM_D_SIGNED)
/* A call with its arguments from slot d on, where the frame of the callee begins. */
#define VM_CALL(d, entry, frame)                                                                   \
    do {                                                                                           \
        const hc_u32 base_ = (d);                                                                  \
        if (depth == most_calls || (hc_size)(frames_end - fp) < (hc_size)base_ + (frame)) {        \
            vm->trap = VM_STACK_EXHAUSTED;                                                         \
            VM_STOP;                                                                               \
        } else {                                                                                   \
            calls[VM_OPAQUE(depth)] = (hc_u64)base_ << 32 | at;                                    \
            depth++;                                                                               \
            fp += base_;                                                                           \
            VM_JUMP(entry);                                                                        \
        }                                                                                          \
    } while (0)
#define VM_RETURN                                       \
    do {                                                \
        const hc_u64 link_ = calls[depth = VM_OPAQUE(depth) - 1u]; \
        fp -= link_ >> 32;                              \
        at = (hc_u32)link_;                             \
        VM_FETCH();                                     \
    } while (0)
#ifdef VM_COUNT_STEPS
#define VM_STEP() steps++
#else
#define VM_STEP() ((void)0)
#endif
/* Takes the next instruction, which is there already, and has its operands loaded, and the one behind it. */
#define VM_DECODE()                                        \
    do {                                                   \
        head = VM_TAKE((hc_u32)n0);                        \
        slot_a = VM_TAKE((hc_u32)(n0 >> 32));              \
        low = VM_TAKE((hc_u32)n1);                         \
        high = VM_TAKE((hc_u32)(n1 >> 32));                \
        x = fp[slot_a];                                    \
        y = (hc_u64)high << 32 | low;                      \
        if ((head & VM_FLAG_IMM) == 0u) y = fp[high];      \
        VM_TAKEN();                                        \
        VM_READY();                                        \
        at++;                                              \
        VM_FETCH();                                        \
        VM_STEP();                                         \
    } while (0)

/* A switch, or what becomes one, in a loop that goes on until vm->trap is set. Behind VM_CASE are the statements of an instruction, and behind them where it goes
   on: VM_STORE stores r first. How much programs use an instruction says what that may cost; VM_STOP_IF_TRAPPED is there if it may have set vm->trap.

   NVIDIA's compiler makes a tree of comparisons of a switch, but its assembler a table of jumps of comparisons that follow each other, with nothing between
   them, and what they jump to elsewhere. So here they are unlikely, and empty assembly keeps the optimizer from making a switch of them and from moving
   parts of the cases between them. Everything goes on at next, where there is the decoding of the next instruction, so that there is one way back only: with
   several the assembler takes them for loops in each other. The first comparison would be no part of the table if anything stood in front of it. */
#if defined(__CUDA_ARCH__) && !defined(__HIP__)
HC_INLINE hc_u32 vm_opaque(hc_u32 v) {
    asm volatile("" : "+r"(v));
    return v;
}
#define VM_OPAQUE(v) vm_opaque(v)
#define VM_FETCH()                                                            \
    do {                                                                      \
        const ulonglong2 both_ = __ldg((const ulonglong2 *)code + at);        \
        n0 = both_.x;                                                         \
        n1 = both_.y;                                                         \
    } while (0)
#define VM_BEGIN()                                        \
    const hc_u32 none = (hc_u32)state[VM_STATE_TRAP];     \
    hc_u32 op_;                                           \
    hc_u64 to_;                                           \
    code = (const hc_u64 *)((hc_u64)code ^ none)
#define VM_TAKE(v) vm_opaque((v) ^ none)
#define VM_TAKEN() asm volatile("" : "+r"(head), "+r"(slot_a), "+r"(low), "+r"(high), "+l"(x), "+l"(y))
#define VM_READY()                                         \
    do {                                                   \
        op_ = vm_opaque(head & VM_OP_MASK);                \
        to_ = __cvta_generic_to_global(&VM_SLOT_D);        \
        asm volatile("" : "+l"(to_));                      \
    } while (0)
#define VM_LOOP VM_DECODE(); for (;;)
#define VM_LOOP_END stopped:
#define VM_SWITCH
#define VM_PUT(v) asm volatile("st.global.b64 [%0], %1;" : : "l"(to_), "l"(v) : "memory")
#define VM_CASE(n) if (__builtin_expect(op_ == (n), 0)) { vm_op_##n: VM_TAKEN();
#define VM_CASE_END } asm volatile("" : "+r"(op_));
/* With a table of its own an instruction needs no way back to the common one: two jumps less, and no wait for other lanes. Each costs the assembler half a second. */
#define VM_GO_MAIN VM_DECODE(); @DISPATCH@ goto others; VM_CASE_END
#define VM_GO_COMMON goto next; VM_CASE_END
#define VM_GO_SELDOM VM_GO_COMMON
#define VM_NEXT(use) VM_GO_##use
#define VM_STORE(use) VM_PUT(r); VM_GO_##use
#define VM_STOP goto stopped
#define VM_STOP_IF_TRAPPED if (vm->trap != 0u) VM_STOP;
/* A load or store that is aligned and within bounds, as nearly all are, goes on at once: only the others come to the test of traps. */
#define VM_LOAD_THAT_FITS(n, v) if (VM_MISFIT(vm, ea, n)) {} else { r = (v); VM_PUT(r); goto next; }
#define VM_STORE_THAT_FITS(n, statement) if (VM_MISFIT(vm, ea, n)) {} else { statement; goto next; }
#define VM_OTHERS others: vm->trap = VM_STOP_INVALID; VM_STOP; next: VM_DECODE();
#elif defined(HC_LABELS)
#define VM_OPAQUE(v) (v)
/* Empty assembly keeps clang from loading both as a vector, whose parts take longer to get at. */
#define VM_FETCH()                               \
    do {                                         \
        n0 = code[2u * (hc_size)at];             \
        __asm__("" : "+r"(n0));                  \
        n1 = code[2u * (hc_size)at + 1u];        \
    } while (0)
#define VM_BEGIN() ((void)0)
#define VM_TAKE(v) (v)
#define VM_TAKEN() ((void)0)
#define VM_READY() ((void)0)
#define VM_LOOP VM_DECODE(); for (;;)
#define VM_LOOP_END stopped:
#define VM_SWITCH VM_GO
#define VM_PUT(v) ((void)(VM_SLOT_D = (v)))
#define VM_CASE(n) vm_op_##n:
/* Empty assembly keeps clang from making one dispatch of all. */
#define VM_GO                                                      \
    {                                                              \
        __typeof__(labels[0]) label_ = labels[head & VM_OP_MASK];  \
        __asm__ volatile("" : : "r"(label_));                      \
        goto *label_;                                              \
    }
#define VM_GO_MAIN VM_DECODE(); VM_GO
#define VM_GO_COMMON VM_DECODE(); VM_GO
#ifdef __clang__ /* each goto takes it as long as there are labels */
#define VM_GO_SELDOM VM_DECODE(); continue;
#else
#define VM_GO_SELDOM VM_GO_COMMON
#endif
#define VM_NEXT(use) VM_GO_##use
#define VM_STORE(use) VM_PUT(r); VM_GO_##use
#define VM_STOP goto stopped
#define VM_STOP_IF_TRAPPED if (vm->trap != 0u) VM_STOP;
#define VM_LOAD_THAT_FITS(n, v)
#define VM_STORE_THAT_FITS(n, statement)
#define VM_OTHERS vm_op_others: vm->trap = VM_STOP_INVALID; VM_STOP;
#else
#define VM_OPAQUE(v) (v)
#define VM_FETCH() ((void)(n0 = code[2u * (hc_size)at], n1 = code[2u * (hc_size)at + 1u]))
#define VM_BEGIN() ((void)0)
#define VM_TAKE(v) (v)
#define VM_TAKEN() ((void)0)
#define VM_READY() ((void)0)
#define VM_LOOP do
#define VM_LOOP_END while (vm->trap == 0u)
#define VM_PUT(v) ((void)(VM_SLOT_D = (v)))
#define VM_SWITCH VM_DECODE(); switch (head & VM_OP_MASK) {
#define VM_CASE(n) case n:
#define VM_NEXT(use) continue;
#define VM_STORE(use) break;
#define VM_STOP ((void)0)
#define VM_STOP_IF_TRAPPED
#define VM_LOAD_THAT_FITS(n, v)
#define VM_STORE_THAT_FITS(n, statement)
#define VM_OTHERS default: vm->trap = VM_STOP_INVALID; continue; } VM_PUT(r);
#endif

DEVICE hc_u32 vm_target(GLOBAL const hc_u64 *table, hc_u32 i) { return (hc_u32)(table[i >> 1] >> ((i & 1u) * 32u)); }

/* Runs an instance until it calls the host, comes to its end, traps, or has used its fuel: a unit for each branch taken and each call. The next
   instruction is loaded before this one is looked at, and the operands before it is known what is done with them. */
DEVICE void vm_interpret(GLOBAL const hc_u64 *code, GLOBAL const hc_u64 *image, GLOBAL hc_u64 *state, vm_state *instance, hc_u32 fuel) {
    vm_state own = *instance;
    vm_state *vm = &own;
    hc_u32 at = (hc_u32)state[VM_STATE_PC]; /* the next instruction */
    GLOBAL hc_u64 *const frames = state + image[VM_IMAGE_FRAMES], *const frames_end = state + image[VM_IMAGE_FRAMES_END];
    GLOBAL hc_u64 *const calls = state + image[VM_IMAGE_CALLS], *fp = frames + state[VM_STATE_FP];
    const hc_u32 most_calls = (hc_u32)(image[VM_IMAGE_CALLS_END] - image[VM_IMAGE_CALLS]);
    hc_u32 depth = (hc_u32)state[VM_STATE_DEPTH];
    hc_u64 n0, n1, x, y, r;
    hc_u32 head, slot_a, low, high, i;
#ifdef VM_COUNT_STEPS
    hc_u64 steps = state[VM_STATE_STEPS];
#endif
#ifdef HC_LABELS
    HC_LABELS(vm_op_others) labels[] = {@LABELS@};
#endif
    VM_BEGIN();
    own.trap = 0u;
    VM_FETCH();
    VM_LOOP {
        VM_SWITCH
@CASES@
        VM_OTHERS
    } VM_LOOP_END;
    state[VM_STATE_PC] = at;
    state[VM_STATE_FP] = (hc_u64)(fp - frames);
    state[VM_STATE_DEPTH] = depth;
    state[VM_STATE_BYTES] = vm->bytes;
#ifdef VM_COUNT_STEPS
    state[VM_STATE_STEPS] = steps;
#endif
    *instance = own;
}
