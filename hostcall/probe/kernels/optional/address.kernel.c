/* Addresses as numbers: some languages refuse them. */
/* The address of an argument. */
KERNEL(whereis, GLOBAL hc_u32 *argument, GLOBAL hc_u64 *at) {
    if (hc_global_id() == 0u) at[0] = (hc_u64)(hc_size)argument;
}

/* Follows an address that lies in memory. */
KERNEL(follow, GLOBAL hc_u64 *at, GLOBAL hc_u32 *out) {
    if (hc_global_id() == 0u) out[0] = *(GLOBAL hc_u32 *)(hc_size)at[0];
}
