/* What dialtone bench runs with the relaunch transport. */

KERNEL(empty) {}

/* Calls with an answer, each of which takes a launch. */
KERNEL(asks, GLOBAL hc_u32 *wrong, hc_u32 rounds) {
    HC_RESUMABLE;
    struct { hc_u32 round; } s;
    hc_u32 w;
    if (!HC_RESTORE(s)) s.round = 0u;
    for (; s.round < rounds; s.round++) {
        HC_CHECKPOINT(s);
        w = s.round;
        if ((hc_noop(&w) != 0 || w != s.round) && !hc_cancelled()) wrong[0] = 1u;
    }
}

/* Lines that are posted. */
KERNEL(prints, hc_u32 rounds) {
    hc_u32 round;
    for (round = 0u; round < rounds; round++) hc_printf("line %u of %u\n", round, hc_global_id());
}
