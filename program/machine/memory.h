/* Memory. What the program stores as one type it may load as another, which compilers of OpenCL C otherwise take for
   unrelated: a union says so without an attribute. */
#ifdef HC_PACKED
#define VM_ODD(ea, n) 0
#else
#define HC_PACKED
#define VM_ALIGNED 1 /* accesses have to be */
#define VM_ODD(ea, n) (((hc_u32)(ea) & ((n) - 1u)) != 0u)
#endif
typedef union HC_PACKED { unsigned short value; hc_u8 bytes[2]; } vm_cell2;
typedef union HC_PACKED { hc_u32 value; hc_u8 bytes[4]; } vm_cell4;
typedef union HC_PACKED { hc_u64 value; hc_u8 bytes[8]; } vm_cell8;
#define VM_CELL2(p) (((GLOBAL vm_cell2 *)(p))->value)
#define VM_CELL4(p) (((GLOBAL vm_cell4 *)(p))->value)
#define VM_CELL8(p) (((GLOBAL vm_cell8 *)(p))->value)

/* At most eight bytes from anywhere: the hint of an instruction about alignment is only that. */
HC_NOINLINE hc_u64 vm_load_bytes(GLOBAL hc_u8 *from, hc_u32 n) {
    hc_u64 v = 0u;
    while (n != 0u) v = v << 8 | from[--n];
    return v;
}
HC_NOINLINE void vm_store_bytes(GLOBAL hc_u8 *to, hc_u32 n, hc_u64 v) {
    hc_u32 i;
    for (i = 0u; i < n; i++, v >>= 8) to[i] = (hc_u8)v;
}

/* n bytes that are out of bounds, or unaligned where that matters: both are seldom, and asked for at once. */
#define VM_MISFIT(vm, ea, n) (((ea) + (n) > (vm)->bytes) | VM_ODD(ea, n))
DEVICE hc_u32 vm_load1(vm_state *vm, hc_u64 ea) { return ea >= vm->bytes ? vm_trap(vm, VM_BOUNDS) : vm->memory[ea]; }
DEVICE hc_u32 vm_load2(vm_state *vm, hc_u64 ea) {
    if (VM_MISFIT(vm, ea, 2u)) return ea + 2u > vm->bytes ? vm_trap(vm, VM_BOUNDS) : (hc_u32)vm_load_bytes(vm->memory + ea, 2u);
    return VM_CELL2(vm->memory + ea);
}
DEVICE hc_u32 vm_load4(vm_state *vm, hc_u64 ea) {
    if (VM_MISFIT(vm, ea, 4u)) return ea + 4u > vm->bytes ? vm_trap(vm, VM_BOUNDS) : (hc_u32)vm_load_bytes(vm->memory + ea, 4u);
    return VM_CELL4(vm->memory + ea);
}
DEVICE hc_u64 vm_load8(vm_state *vm, hc_u64 ea) {
    if (VM_MISFIT(vm, ea, 8u)) return ea + 8u > vm->bytes ? vm_trap(vm, VM_BOUNDS) : vm_load_bytes(vm->memory + ea, 8u);
    return VM_CELL8(vm->memory + ea);
}

DEVICE void vm_store1(vm_state *vm, hc_u64 ea, hc_u32 v) {
    if (ea >= vm->bytes) vm_trap(vm, VM_BOUNDS);
    else vm->memory[ea] = (hc_u8)v;
}
DEVICE void vm_store2(vm_state *vm, hc_u64 ea, hc_u32 v) {
    if (VM_MISFIT(vm, ea, 2u)) {
        if (ea + 2u > vm->bytes) vm_trap(vm, VM_BOUNDS);
        else vm_store_bytes(vm->memory + ea, 2u, v);
    } else VM_CELL2(vm->memory + ea) = (unsigned short)v;
}
DEVICE void vm_store4(vm_state *vm, hc_u64 ea, hc_u32 v) {
    if (VM_MISFIT(vm, ea, 4u)) {
        if (ea + 4u > vm->bytes) vm_trap(vm, VM_BOUNDS);
        else vm_store_bytes(vm->memory + ea, 4u, v);
    } else VM_CELL4(vm->memory + ea) = v;
}
DEVICE void vm_store8(vm_state *vm, hc_u64 ea, hc_u64 v) {
    if (VM_MISFIT(vm, ea, 8u)) {
        if (ea + 8u > vm->bytes) vm_trap(vm, VM_BOUNDS);
        else vm_store_bytes(vm->memory + ea, 8u, v);
    } else VM_CELL8(vm->memory + ea) = v;
}

/* Copies n bytes upwards, by words of the destination: what a word needs comes from two of the source, where they do not lie alike.
   Of both, whole words around the bytes are there to be read. The two may be the same memory with to <= from. */
HC_NOINLINE void vm_copy_up(GLOBAL hc_u8 *memory, hc_u64 to, GLOBAL hc_u8 *source, hc_u64 from, hc_u64 n) {
    hc_u32 shift;
    hc_u64 word, next;
    for (; n != 0u && (to & 7u) != 0u; n--) memory[to++] = source[from++];
    shift = (hc_u32)(from & 7u) * 8u;
    if (shift == 0u) {
        for (; n >= 8u; n -= 8u, to += 8u, from += 8u) VM_CELL8(memory + to) = VM_CELL8(source + from);
    } else if (n >= 8u) {
        word = VM_CELL8(source + from - shift / 8u);
        for (; n >= 8u; n -= 8u, to += 8u, from += 8u) {
            next = VM_CELL8(source + from - shift / 8u + 8u);
            VM_CELL8(memory + to) = word >> shift | next << (64u - shift);
            word = next;
        }
    }
    for (; n != 0u; n--) memory[to++] = source[from++];
}

/* The same downwards, within one memory with to >= from. */
HC_NOINLINE void vm_copy_down(GLOBAL hc_u8 *memory, hc_u64 to, hc_u64 from, hc_u64 n) {
    hc_u32 shift;
    hc_u64 word, next;
    to += n;
    from += n;
    for (; n != 0u && (to & 7u) != 0u; n--) memory[--to] = memory[--from];
    shift = (hc_u32)(from & 7u) * 8u;
    if (shift == 0u) {
        for (; n >= 8u; n -= 8u) VM_CELL8(memory + (to -= 8u)) = VM_CELL8(memory + (from -= 8u));
    } else if (n >= 8u) {
        word = VM_CELL8(memory + from - shift / 8u);
        for (; n >= 8u; n -= 8u) {
            next = VM_CELL8(memory + (from -= 8u) - shift / 8u);
            VM_CELL8(memory + (to -= 8u)) = next >> shift | word << (64u - shift);
            word = next;
        }
    }
    for (; n != 0u; n--) memory[--to] = memory[--from];
}

/* Sets n bytes; for memory.grow, to 0. */
HC_NOINLINE void vm_set(GLOBAL hc_u8 *memory, hc_u64 to, hc_u32 value, hc_u64 n) {
    const hc_u64 word = (hc_u64)(value & 0xffu) * 0x0101010101010101;
    for (; n != 0u && (to & 7u) != 0u; n--) memory[to++] = (hc_u8)value;
    for (; n >= 8u; n -= 8u, to += 8u) VM_CELL8(memory + to) = word;
    for (; n != 0u; n--) memory[to++] = (hc_u8)value;
}

DEVICE void vm_memory_copy(vm_state *vm, hc_u32 to, hc_u32 from, hc_u32 n) {
    if ((hc_u64)to + n > vm->bytes || (hc_u64)from + n > vm->bytes) vm_trap(vm, VM_BOUNDS);
    else if (to > from && to - from < n) vm_copy_down(vm->memory, to, from, n);
    else vm_copy_up(vm->memory, to, vm->memory, from, n);
}
DEVICE void vm_memory_fill(vm_state *vm, hc_u32 to, hc_u32 value, hc_u32 n) {
    if ((hc_u64)to + n > vm->bytes) vm_trap(vm, VM_BOUNDS);
    else vm_set(vm->memory, to, value, n);
}
/* The segment has size bytes at data + at, 0 once it is dropped; data is at a multiple of 8 bytes and has whole words. */
DEVICE void vm_memory_init(vm_state *vm, GLOBAL hc_u8 *data, hc_u64 at, hc_u32 size, hc_u32 to, hc_u32 from, hc_u32 n) {
    if ((hc_u64)to + n > vm->bytes || (hc_u64)from + n > size) vm_trap(vm, VM_BOUNDS);
    else vm_copy_up(vm->memory, to, data, at + from, n);
}

/* More pages, all zero; gives how many there were, or 2^32-1. */
HC_NOINLINE hc_u32 vm_grown(GLOBAL hc_u8 *memory, hc_u64 bytes, hc_u64 limit, hc_u32 pages) {
    GLOBAL hc_u64 *to = (GLOBAL hc_u64 *)(memory + bytes);
    const hc_u64 more = (hc_u64)pages << 16;
    hc_u64 i;
    if (more > limit - bytes) return 0xffffffffu;
    for (i = 0u; i < more / 8u; i++) to[i] = 0u;
    return (hc_u32)(bytes >> 16);
}
DEVICE hc_u32 vm_grow(vm_state *vm, hc_u64 limit, hc_u32 pages) {
    const hc_u32 before = vm_grown(vm->memory, vm->bytes, limit, pages);
    if (before != 0xffffffffu) vm->bytes += (hc_u64)pages << 16;
    return before;
}
