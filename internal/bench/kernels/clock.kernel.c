/* What dialtone bench programs compares a program's calls with. */

/* The host's time, as often as the program asks for it. */
KERNEL(asks_time, GLOBAL hc_u32 *wrong, hc_u32 rounds) {
    HC_RESUMABLE;
    struct { hc_u32 round; } s;
    hc_timespec t;
    if (!HC_RESTORE(s)) s.round = 0u;
    for (; s.round < rounds; s.round++) {
        HC_CHECKPOINT(s);
        if ((hc_clock_gettime(HC_CLOCK_REALTIME, &t) != 0 || t.seconds <= 0) && !hc_cancelled()) wrong[0] = 1u;
    }
}
