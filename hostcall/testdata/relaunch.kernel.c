/* What is particular to the relaunch transport: kernels that are started again, with checkpoints and without, and kernels that only post. */

HC_IMPORT(next);

/* Rounds of calls, each with a number that nobody gets twice, added up; with a checkpoint after each if told to. */
KERNEL(rounds, GLOBAL hc_u32 *checks, GLOBAL hc_u32 *sums, hc_u32 rounds, hc_u32 saving) {
    HC_RESUMABLE;
    struct { hc_u32 round, sum, last; } s;
    hc_u32 w[2];
    if (!HC_RESTORE(s)) s.round = s.sum = s.last = 0u;
    while (s.round < rounds) {
        if (saving) HC_CHECKPOINT(s);
        w[0] = hc_global_id();
        w[1] = s.round;
        EXPECT(hc_call_words(next, w, 2u, 1u), 0);
        EXPECT(w[0] > s.last, 1);
        s.last = w[0];
        s.sum += w[0];
        s.round++;
    }
    sums[hc_global_id()] = s.sum;
}

typedef struct {
    hc_u32 round, over;
    hc_u32 sum[40];
} shared_state;

/* The same for groups that meet at barriers, with a state that they share. Item i calls in every i-th round. */
KERNEL(groups, GLOBAL hc_u32 *checks, GLOBAL hc_u32 *sums, hc_u32 rounds) {
    HC_RESUMABLE;
    SHARED shared_state s;
    const hc_u32 me = hc_local_id(), n = hc_group_size();
    hc_u32 w[2];
    int go_on;
    if (!HC_GROUP_RESTORE(s)) {
        s.sum[me] = 0u;
        if (me == 0u) s.round = s.over = 0u;
    }
    do {
        HC_GROUP_CHECKPOINT(s);
        if (s.round % (me + 1u) == 0u) {
            w[0] = hc_global_id();
            w[1] = s.round;
            EXPECT(hc_call_words(next, w, 2u, 1u), 0);
            s.sum[(me + s.round) % n] += w[0]; /* each round another's: nobody else touches it in this round */
        }
        if (hc_cancelled()) s.over = 1u;
        hc_barrier();
        if (me == 0u) s.round++;
        hc_barrier();
        go_on = s.round < rounds && !s.over;
        hc_barrier();
    } while (go_on);
    sums[hc_global_id()] = s.sum[me];
}

/* The first item asks for all of its group: what it has before it got an answer must reach no call of the others. */
KERNEL(follows, GLOBAL hc_u32 *checks, hc_u32 rounds) {
    HC_RESUMABLE;
    SHARED hc_u32 shared[1];
    hc_u32 i, w[2];
    for (i = 0u; i < rounds; i++) {
        if (hc_local_id() == 0u) {
            w[0] = 0xdeadu;
            hc_call_words(next, w, 1u, 1u);
            shared[0] = w[0];
        }
        hc_barrier();
        w[0] = hc_global_id();
        w[1] = shared[0];
        EXPECT(hc_call_words(next, w, 2u, 1u), 0);
        EXPECT(w[0] > shared[0], 1);
        hc_barrier();
    }
}

/* What it prints and writes is posted; n bytes of text each. */
KERNEL(posts, GLOBAL hc_u32 *checks, GLOBAL const char *text, hc_u32 n, hc_u32 lines) {
    hc_u32 i;
    for (i = 0u; i < lines; i++) {
        EXPECT(hc_printf("%u.%u %s\n", hc_global_id(), i, hc_span(text, n)), 0);
        EXPECT(hc_write(2, text, n), n);
        EXPECT(hc_puts("x\n"), 2);
    }
}

/* The same, and it may wait for room. */
KERNEL(prints, GLOBAL hc_u32 *checks, GLOBAL const char *text, hc_u32 n, hc_u32 lines) {
    HC_RESUMABLE;
    hc_u32 i, id = hc_global_id();
    for (i = 0u; i < lines; i++)
        EXPECT(hc_printf("%03u.%03u %s\n", id, i, hc_span(text, n)), 9u + n);
}

/* Prints to a descriptor that is not there, and goes on. */
KERNEL(posts_nowhere, hc_u32 leaves) {
    hc_puts("before\n");
    hc_fprintf(77, "lost\n");
    hc_puts("after\n");
    if (leaves) hc_exit(3);
}

KERNEL(leaves) {
    hc_puts("leaving\n");
    if (hc_global_id() == 0u) hc_exit(5);
    if (hc_global_id() == 0u) hc_puts("not reached\n");
}

/* Breaks its promise: in each launch the first call is another. */
KERNEL(diverges, GLOBAL hc_u32 *count) {
    HC_RESUMABLE;
    hc_u32 w[2];
    const hc_u32 before = hc_atomic_add(count, 1u);
    w[0] = w[1] = 0u;
    hc_call_words(next, w, 1u + before % 2u, 1u);
    hc_call_words(next, w, 1u, 1u);
}

/* All items but the first are done long before it. */
KERNEL(one_reads, GLOBAL hc_u32 *done) {
    HC_RESUMABLE;
    char c[8];
    hc_i64 n;
    if (hc_global_id() == 0u) {
        n = hc_read(0, c, 8);
        hc_printf("read %lld\n", n);
    } else {
        hc_u32 i;
        for (i = 0u; i < 3u; i++) hc_printf("%u.%u\n", hc_global_id(), i);
    }
    done[hc_global_id()] = 1u;
}
