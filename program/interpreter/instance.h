/* What instructions do to tables and segments. */

/* Bytes of a segment, of which length are left, at a word of the image. */
DEVICE void vm_init(vm_state *vm, GLOBAL const hc_u64 *image, hc_u64 length, hc_u64 at, hc_u32 to, hc_u32 from, hc_u32 n) {
    hc_u32 i;
    if ((hc_u64)from + n > length || (hc_u64)to + n > vm->bytes) vm_trap(vm, VM_BOUNDS);
    else
        for (i = 0u; i < n; i++) vm->memory[(hc_u64)to + i] = (hc_u8)(image[at + (from + (hc_u64)i) / 8u] >> ((from + i) % 8u * 8u));
}

DEVICE hc_u64 vm_table_get(vm_state *vm, GLOBAL const hc_u64 *state, GLOBAL const hc_u64 *table, hc_u32 i) {
    return i < table[VM_TABLE_SIZE] ? state[table[VM_TABLE_AT] + i] : vm_trap(vm, VM_TABLE_BOUNDS);
}
DEVICE void vm_table_fill(vm_state *vm, GLOBAL hc_u64 *state, GLOBAL const hc_u64 *table, hc_u32 at, hc_u64 ref, hc_u32 n) {
    hc_u32 i;
    if ((hc_u64)at + n > table[VM_TABLE_SIZE]) vm_trap(vm, VM_TABLE_BOUNDS);
    else
        for (i = 0u; i < n; i++) state[table[VM_TABLE_AT] + at + i] = ref;
}
/* n elements more; gives how many there were, or 2^32-1. */
DEVICE hc_u32 vm_table_grow(vm_state *vm, GLOBAL hc_u64 *state, GLOBAL hc_u64 *table, hc_u64 ref, hc_u32 n) {
    const hc_u32 size = (hc_u32)table[VM_TABLE_SIZE];
    if (n > table[VM_TABLE_MOST] - size) return 0xffffffffu;
    table[VM_TABLE_SIZE] = (hc_u64)size + n;
    vm_table_fill(vm, state, table, size, ref, n);
    return size;
}
DEVICE void vm_table_copy(vm_state *vm, GLOBAL hc_u64 *state, GLOBAL const hc_u64 *a, GLOBAL const hc_u64 *b, hc_u32 to, hc_u32 from, hc_u32 n) {
    const hc_u64 dst = a[VM_TABLE_AT] + to, src = b[VM_TABLE_AT] + from;
    hc_u32 i;
    if ((hc_u64)to + n > a[VM_TABLE_SIZE] || (hc_u64)from + n > b[VM_TABLE_SIZE]) vm_trap(vm, VM_TABLE_BOUNDS);
    else if (dst <= src)
        for (i = 0u; i < n; i++) state[dst + i] = state[src + i];
    else
        while (n-- != 0u) state[dst + n] = state[src + n];
}
DEVICE void vm_table_init(vm_state *vm, GLOBAL hc_u64 *state, GLOBAL const hc_u64 *table, GLOBAL const hc_u64 *refs, hc_u64 length, hc_u32 to, hc_u32 from, hc_u32 n) {
    hc_u32 i;
    if ((hc_u64)from + n > length || (hc_u64)to + n > table[VM_TABLE_SIZE]) vm_trap(vm, VM_TABLE_BOUNDS);
    else
        for (i = 0u; i < n; i++) state[table[VM_TABLE_AT] + to + i] = refs[from + (hc_u64)i];
}
