/* What instructions work on, traps, and integers. */

typedef struct {
    GLOBAL hc_u8 *memory;   /* at a multiple of 16 bytes */
    hc_u64 bytes;           /* that memory has now, a multiple of 8 */
    GLOBAL hc_u64 *globals; /* one each */
    hc_u32 trap;            /* the first one's number, 0 for none */
#ifdef VM_WHOLE             /* a whole program in C: package region */
    hc_u32 function;        /* that trapped */
    hc_u64 limit;           /* that memory may have */
    hc_u32 end;             /* bytes, at most 2^32-1 */
    hc_u32 stack;           /* the address at which it begins */
    hc_u32 turns;           /* of loops and calls until it is looked whether the run is over; not 0 */
    GLOBAL hc_u64 *area;    /* parameters and results of the host's functions */
    GLOBAL hc_u64 *own;     /* what the kernel keeps of the instance */
    HC_KEPT item;           /* the work-item */
#endif
} vm_state;

/* Gives the value of what traps. */
DEVICE hc_u32 vm_trap(vm_state *vm, hc_u32 trap) {
    if (vm->trap == 0u) vm->trap = trap;
    return 0u;
}

DEVICE hc_u32 vm_i32_div_s(vm_state *vm, hc_u32 a, hc_u32 b) {
    if (b == 0u) return vm_trap(vm, VM_DIVISION);
    if (b == 0xffffffffu) return a == 0x80000000u ? vm_trap(vm, VM_OVERFLOW) : 0u - a;
    return (hc_u32)((hc_i32)a / (hc_i32)b);
}
DEVICE hc_u32 vm_i32_div_u(vm_state *vm, hc_u32 a, hc_u32 b) { return b == 0u ? vm_trap(vm, VM_DIVISION) : a / b; }
DEVICE hc_u32 vm_i32_rem_s(vm_state *vm, hc_u32 a, hc_u32 b) {
    if (b == 0u) return vm_trap(vm, VM_DIVISION);
    return b == 0xffffffffu ? 0u : (hc_u32)((hc_i32)a % (hc_i32)b);
}
DEVICE hc_u32 vm_i32_rem_u(vm_state *vm, hc_u32 a, hc_u32 b) { return b == 0u ? vm_trap(vm, VM_DIVISION) : a % b; }

DEVICE hc_u64 vm_i64_div_s(vm_state *vm, hc_u64 a, hc_u64 b) {
    if (b == 0u) return vm_trap(vm, VM_DIVISION);
    if (b == 0xffffffffffffffff) return a == 0x8000000000000000 ? vm_trap(vm, VM_OVERFLOW) : 0u - a;
    return (hc_u64)((hc_i64)a / (hc_i64)b);
}
DEVICE hc_u64 vm_i64_div_u(vm_state *vm, hc_u64 a, hc_u64 b) { return b == 0u ? vm_trap(vm, VM_DIVISION) : a / b; }
DEVICE hc_u64 vm_i64_rem_s(vm_state *vm, hc_u64 a, hc_u64 b) {
    if (b == 0u) return vm_trap(vm, VM_DIVISION);
    return b == 0xffffffffffffffff ? 0u : (hc_u64)((hc_i64)a % (hc_i64)b);
}
DEVICE hc_u64 vm_i64_rem_u(vm_state *vm, hc_u64 a, hc_u64 b) { return b == 0u ? vm_trap(vm, VM_DIVISION) : a % b; }

DEVICE hc_u32 vm_i32_rotl(hc_u32 a, hc_u32 n) { return a << (n & 31u) | a >> (0u - n & 31u); }
DEVICE hc_u64 vm_i64_rotl(hc_u64 a, hc_u64 n) { return a << (n & 63u) | a >> (0u - n & 63u); }

#ifdef HC_CLZ32
DEVICE hc_u32 vm_i32_clz(hc_u32 a) { return a == 0u ? 32u : (hc_u32)HC_CLZ32(a); }
DEVICE hc_u32 vm_i32_popcnt(hc_u32 a) { return (hc_u32)HC_POPCOUNT32(a); }
#else
DEVICE hc_u32 vm_i32_clz(hc_u32 a) {
    hc_u32 n = 32u, step;
    for (step = 16u; step != 0u; step >>= 1)
        if (a >> step != 0u) {
            n -= step;
            a >>= step;
        }
    return n - a;
}
DEVICE hc_u32 vm_i32_popcnt(hc_u32 a) {
    a = a - (a >> 1 & 0x55555555u);
    a = (a & 0x33333333u) + (a >> 2 & 0x33333333u);
    return (a + (a >> 4) & 0x0f0f0f0fu) * 0x01010101u >> 24;
}
#endif
#ifdef HC_CLZ64
DEVICE hc_u64 vm_i64_clz(hc_u64 a) { return a == 0u ? 64u : (hc_u64)HC_CLZ64(a); }
DEVICE hc_u64 vm_i64_popcnt(hc_u64 a) { return (hc_u64)HC_POPCOUNT64(a); }
#else
DEVICE hc_u64 vm_i64_clz(hc_u64 a) { return a >> 32 != 0u ? vm_i32_clz((hc_u32)(a >> 32)) : 32u + vm_i32_clz((hc_u32)a); }
DEVICE hc_u64 vm_i64_popcnt(hc_u64 a) { return vm_i32_popcnt((hc_u32)(a >> 32)) + vm_i32_popcnt((hc_u32)a); }
#endif
DEVICE hc_u32 vm_i32_ctz(hc_u32 a) { return a == 0u ? 32u : 31u - vm_i32_clz(a & (0u - a)); }
DEVICE hc_u64 vm_i64_ctz(hc_u64 a) { return a == 0u ? 64u : 63u - vm_i64_clz(a & (0u - a)); }
