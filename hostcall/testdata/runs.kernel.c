/* Kernels that are ended from outside, that fault, and that run beside others. */

HC_IMPORT(block);

/* Says that it is there, then waits: 0 for input, 1 asleep, 2 in a call, 3 computing until told,
   4 calling until told, 5 calling without looking, 6 for ever. */
KERNEL(wait, hc_u32 how) {
    HC_RESUMABLE;
    SHARED hc_u32 spins[1];
    volatile hc_u32 turns = 0u;
    hc_u32 w[1];
    char c[1];
    if (hc_local_id() == 0u) hc_puts("here\n");
    if (how == 6u) hc_barrier(); /* where items take turns, what computes for ever lets no other come to its call */
    w[0] = 0u;
    spins[0] = 0u;
    switch (how) {
    case 0u: while (hc_read(0, c, 1) >= 0) {} break;
    case 1u: hc_nanosleep(3600 * (hc_i64)1000000000); break;
    case 2u: hc_call_words(block, w, 1u, 1u); break;
    case 3u: while (!hc_cancelled()) turns++; break;
    case 4u: while (hc_noop(w) == 0) {} break;
    case 5u: for (;;) hc_noop(w);
    default: for (;;) ((volatile GROUP hc_u32 *)spins)[0]++; /* rusticl leaves out a loop over memory of the work-item's own */
    }
    hc_puts("woken\n");
}

/* Prints, then the last item of the last group faults. */
KERNEL(fault, GLOBAL hc_u32 *where) {
    hc_printf("before %u\n", hc_global_id());
    if (hc_global_id() + 1u == hc_group_count() * hc_group_size()) where[(hc_size)1 << 44] = 1u;
    hc_printf("after %u\n", hc_global_id());
}

/* Prints its number and checks that answers are its own. */
KERNEL(mark, GLOBAL hc_u32 *checks, hc_u32 number, hc_u32 rounds) {
    HC_RESUMABLE;
    hc_u32 i, w[2];
    for (i = 0u; i < rounds; i++) {
        w[0] = number + i;
        EXPECT(hc_noop(w), 0);
        EXPECT(w[0], number + i);
        EXPECT(hc_printf("%08u %4u %4u\n", number, i, hc_global_id()), 19);
    }
}
