/* A kernel that waits in vain but politely: see HC_HOST_YIELD in the OpenCL dialect. */
KERNEL(yielding, GLOBAL hc_u32 *out) {
    hc_u32 turns;
    for (turns = 0u; turns < 200u; turns++) hc_pause(turns);
    out[hc_global_id()] = turns;
}
