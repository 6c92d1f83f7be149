/* A sum that 32 bits cannot hold. */
#ifndef HC_DOUBLE
#error "no double"
#endif
KERNEL(doubles, GLOBAL hc_u64 *out, hc_u64 n) {
    double sum = 1.0;
    hc_u64 i;
    if (hc_global_id() != 0u) return;
    for (i = 0u; i < n; i++) sum += 0.000000000931322574615478515625; /* 2 to the power of -30 */
    out[0] = (hc_u64)((sum - 1.0) * 1073741824.0);
}
