/* What dialtone bench programs compares a program's calls with. */

/* The host's time. */
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

/* No bytes to standard output. */
KERNEL(writes_nothing, GLOBAL hc_u32 *wrong, hc_u32 rounds) {
    HC_RESUMABLE;
    struct { hc_u32 round; } s;
    if (!HC_RESTORE(s)) s.round = 0u;
    for (; s.round < rounds; s.round++) {
        HC_CHECKPOINT(s);
        if (hc_write(1, "", 0u) != 0 && !hc_cancelled()) wrong[0] = 1u;
    }
}
