/* The words in which package bytecode says what its instructions do. */
#define VM_D ((hc_u32)w0 >> VM_D_SHIFT & VM_SLOT_MASK)
#define VM_A ((hc_u32)(w0 >> VM_A_SHIFT) & VM_SLOT_MASK)
#define VM_B ((hc_u32)(w0 >> VM_B_SHIFT))
#define VM_C (VM_LOW & VM_SLOT_MASK)
#define VM_LOW VM_OPAQUE((hc_u32)w1)
#define VM_HIGH VM_OPAQUE((hc_u32)(w1 >> 32))
#define VM_NOT ((hc_u32)w0 >> VM_NOT_SHIFT & 1u)
#define VM_TABLE_1 ((hc_u32)(w1 >> VM_SLOT_BITS) & VM_INDEX_MASK)
#define VM_TABLE_2 ((hc_u32)(w1 >> (VM_SLOT_BITS + VM_INDEX_BITS)) & VM_INDEX_MASK)
#define VM_TABLE(i) (state + image[VM_IMAGE_TABLES] + (hc_u64)(i) * VM_TABLE_WORDS)
#define VM_LOAD_ADDRESS (((hc_u64)((hc_u32)x + (((hc_u32)w0 & VM_FLAG_IMM) != 0u ? (hc_u32)(w1 >> 32) : (hc_u32)y << ((hc_u32)(w1 >> 32) & 31u)))) + (hc_u32)w1)
#define VM_STORE_ADDRESS                                                                                                           \
    (((hc_u64)((hc_u32)x + (((hc_u32)w0 & VM_FLAG_IMM) != 0u ? 0u                                                                          \
                            : ((hc_u32)w0 & VM_FLAG_INDEX) != 0u ? (hc_u32)fp[VM_D] << ((hc_u32)(w1 >> 32) & 31u) : (hc_u32)(w1 >> 32)))) + \
     (hc_u32)w1)
#define VM_STORED (((hc_u32)w0 & VM_FLAG_IMM) != 0u ? (hc_u64)((hc_i64)w1 >> 32) : y)
/* Target i of those behind the instruction. */
#define VM_TARGET(i) vm_target(code + at, i)
#define VM_JUMP_TO(word)                                \
    do {                                                \
        at = (word);                                    \
        VM_FETCH();                                     \
        if (--fuel == 0u) vm->trap = VM_STOP_FUEL;      \
    } while (0)
#define VM_JUMP(target) VM_JUMP_TO(2u * (target))
/* To a target relative to the next instruction, in place of slot d. */
#define VM_JUMP_NEAR() VM_JUMP_TO(at + 2u * (hc_u32)((hc_i32)((hc_u32)w0 >> VM_D_SHIFT << (32u - VM_SLOT_BITS)) >> (32u - VM_SLOT_BITS)))
/* A call with its arguments from slot d on, where the frame of the callee begins. */
#define VM_CALL(d, entry, frame)                                                                      \
    do {                                                                                              \
        const hc_u32 base_ = (d);                                                                     \
        if (depth == most_calls || (hc_size)(frames_end - fp) < (hc_size)base_ + (frame)) {            \
            vm->trap = VM_STACK_EXHAUSTED;                                                            \
        } else {                                                                                      \
            calls[depth++] = (hc_u64)base_ << 32 | at >> 1;                                                    \
            fp += base_;                                                                              \
            VM_JUMP(entry);                                                                           \
        }                                                                                             \
    } while (0)
#define VM_RETURN                                       \
    do {                                                \
        const hc_u64 link_ = calls[--depth];                  \
        fp -= link_ >> 32;                              \
        at = 2u * (hc_u32)link_;                        \
        VM_FETCH();                                     \
    } while (0)
#ifdef VM_COUNT_STEPS
#define VM_STEP() steps++
#else
#define VM_STEP() ((void)0)
#endif

/* A switch, or what becomes one. NVIDIA's compiler makes a tree of comparisons of a switch, but its assembler a table of jumps of comparisons that
   follow each other, with nothing between them, and what they jump to elsewhere. So here they are unlikely, and empty assembly keeps the optimizer from
   making a switch of them and from moving parts of the cases between them. */
#if defined(__CUDA_ARCH__) && !defined(__HIP__)
HC_INLINE hc_u32 vm_opaque(hc_u32 v) {
    asm volatile("" : "+r"(v));
    return v;
}
#define VM_OPAQUE(v) vm_opaque(v)
#define VM_FETCH()                                                            \
    do {                                                                      \
        const ulonglong2 both_ = __ldg((const ulonglong2 *)(code + at));      \
        n0 = both_.x;                                                         \
        n1 = both_.y;                                                         \
    } while (0)
#define VM_LOADED(v) asm volatile("" : "+l"(v))
#define VM_BEGIN() const hc_u64 none = state[VM_STATE_TRAP]; code = (const hc_u64 *)((hc_u64)code ^ none)
#define VM_TAKE(v) ((v) ^ none)
#define VM_SWITCH(op) hc_u32 op_ = (op);
#define VM_CASE(n) if (__builtin_expect(op_ == (n), 0)) { asm volatile("");
#define VM_STORE fp[VM_D] = r; continue; } asm volatile("" : "+r"(op_));
#define VM_NEXT continue; } asm volatile("" : "+r"(op_));
#define VM_OTHERS { vm->trap = VM_STOP_INVALID; continue; }
#elif defined(HC_LABELS)
#define VM_OPAQUE(v) (v)
#define VM_FETCH() ((void)(n0 = code[at], n1 = code[at + 1u]))
#define VM_LOADED(v) ((void)0)
#define VM_BEGIN() ((void)0)
#define VM_TAKE(v) (v)
#define VM_SWITCH(op) VM_GO(op)
#define VM_CASE(n) vm_op_##n: if (vm->trap != 0u) __builtin_unreachable();
/* Empty assembly keeps clang from making one dispatch of all. */
#define VM_GO(op)                                   \
    {                                               \
        __typeof__(labels[0]) label_ = labels[op];  \
        __asm__ volatile("" : : "r"(label_));       \
        goto *label_;                               \
    }
#define VM_AGAIN                                                       \
        if (vm->trap != 0u) break;                                      \
        w0 = n0;                                                          \
        w1 = n1;                                                         \
        x = fp[VM_A];                                                   \
        y = fp[VM_B];                                                   \
        y = ((hc_u32)w0 & VM_FLAG_IMM) != 0u ? w1 : y; \
        at += 2u;                                                              \
        VM_FETCH();                                                            \
        VM_STEP();                                                             \
        VM_GO((hc_u32)w0 & VM_OP_MASK)
#define VM_STORE fp[VM_D] = r; VM_AGAIN
#define VM_NEXT VM_AGAIN
#ifdef __clang__ /* each goto takes it as long as there are labels */
#define VM_SELDOM_STORE fp[VM_D] = r; continue;
#define VM_SELDOM_NEXT continue;
#endif
#define VM_OTHERS vm_op_others: vm->trap = VM_STOP_INVALID; break;
#else
#define VM_OPAQUE(v) (v)
#define VM_FETCH() ((void)(n0 = code[at], n1 = code[at + 1u]))
#define VM_LOADED(v) ((void)0)
#define VM_BEGIN() ((void)0)
#define VM_TAKE(v) (v)
#define VM_SWITCH(op) switch (op) {
#define VM_CASE(n) case n:
#define VM_STORE break;
#define VM_NEXT continue;
#define VM_OTHERS default: vm->trap = VM_STOP_INVALID; continue; }
#endif

#ifndef VM_SELDOM_STORE
#define VM_SELDOM_STORE VM_STORE
#define VM_SELDOM_NEXT VM_NEXT
#endif

DEVICE hc_u32 vm_target(GLOBAL const hc_u64 *table, hc_u32 i) { return (hc_u32)(table[i >> 1] >> ((i & 1u) * 32u)); }

/* Runs an instance until it calls the host, comes to its end, traps, or has used its fuel: a unit for each branch taken and each call. The next
   instruction is loaded before this one is looked at, and the operands before it is known what is done with them. */
DEVICE void vm_interpret(GLOBAL const hc_u64 *code, GLOBAL const hc_u64 *image, GLOBAL hc_u64 *state, vm_state *instance, hc_u32 fuel) {
    vm_state own = *instance;
    vm_state *vm = &own;
    hc_u32 at = 2u * (hc_u32)state[VM_STATE_PC]; /* the word of code that the next instruction begins with */
    GLOBAL hc_u64 *const frames = state + image[VM_IMAGE_FRAMES], *const frames_end = state + image[VM_IMAGE_FRAMES_END];
    GLOBAL hc_u64 *const calls = state + image[VM_IMAGE_CALLS], *fp = frames + state[VM_STATE_FP];
    const hc_u32 most_calls = (hc_u32)(image[VM_IMAGE_CALLS_END] - image[VM_IMAGE_CALLS]);
    hc_u32 depth = (hc_u32)state[VM_STATE_DEPTH];
    hc_u64 n0, n1;
    hc_u32 i;
#ifdef VM_COUNT_STEPS
    hc_u64 steps = state[VM_STATE_STEPS];
#endif
#ifdef HC_LABELS
    HC_LABELS(vm_op_others) labels[] = {@LABELS@};
#endif
    VM_BEGIN();
    own.trap = 0u;
    VM_FETCH();
    do {
        hc_u64 w0 = VM_TAKE(n0), w1 = VM_TAKE(n1);
        hc_u64 x = fp[VM_A], y = ((hc_u32)w0 & VM_FLAG_IMM) != 0u ? w1 : fp[VM_B], r;
        at += 2u;
        VM_FETCH();
        VM_LOADED(x);
        VM_LOADED(y);
        VM_STEP();
        VM_SWITCH((hc_u32)w0 & VM_OP_MASK)
@CASES@
        VM_OTHERS
        fp[VM_D] = r;
    } while (vm->trap == 0u);
    state[VM_STATE_PC] = at >> 1;
    state[VM_STATE_FP] = (hc_u64)(fp - frames);
    state[VM_STATE_DEPTH] = depth;
    state[VM_STATE_BYTES] = vm->bytes;
#ifdef VM_COUNT_STEPS
    state[VM_STATE_STEPS] = steps;
#endif
    *instance = own;
}
