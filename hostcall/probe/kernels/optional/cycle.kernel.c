/* A counter of cycles, CUDA's. */
#define PROBE_CYCLES() ((hc_u64)clock64())
KERNEL(cycles, GLOBAL hc_u64 *at, GLOBAL hc_u32 *work, hc_u32 n) {
    hc_u32 i;
    if (hc_global_id() != 0u) return;
    at[0] = PROBE_CYCLES();
    for (i = 0u; i < n; i++) hc_store(work, hc_load(work) + i);
    at[1] = PROBE_CYCLES();
}
