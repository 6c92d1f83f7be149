/* Readings of the counter of cycles, with some work between them. */
KERNEL(cycles, GLOBAL hc_u64 *at, GLOBAL hc_u32 *work, hc_u32 readings, hc_u32 steps) {
    hc_u32 i, j;
    if (hc_global_id() != 0u) return;
    for (i = 0u; i < readings; i++) {
        at[i] = HC_CYCLES();
        for (j = 0u; j < steps; j++) hc_store(work, hc_load(work) + j);
    }
}
