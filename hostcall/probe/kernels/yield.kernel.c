/* A kernel that waits in vain but politely, and asks the system who it is: see HC_HOST_YIELD in the OpenCL dialect. */
KERNEL(yielding, GLOBAL hc_u32 *out) {
    hc_u32 turns;
    for (turns = 0u; turns < 200u; turns++) hc_pause(turns);
    out[0] = turns;
#ifdef HC_HOST_YIELD
    out[1] = (hc_u32)hc_system_(39); /* getpid(2) */
#endif
}
