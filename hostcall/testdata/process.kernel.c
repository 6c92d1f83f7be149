/* The program itself: arguments, environment, exit, abort, assert; clocks, sleep, random bytes; standard input. */

HC_IMPORT(host_ns);

KERNEL(arguments, GLOBAL hc_u32 *checks) {
    HC_RESUMABLE;
    struct { hc_i32 next; } s;
    if (!HC_RESTORE(s)) s.next = 0;
    for (; s.next < hc_argc(); s.next++) {
        HC_CHECKPOINT(s); /* there may be thousands */
        hc_printf("%s\n", hc_argv(s.next));
    }
    EXPECT(hc_argv(hc_argc()) == 0, 1);
    EXPECT(hc_argv(-1) == 0, 1);
}

/* Prints the variables that the arguments name. */
KERNEL(environment) {
    hc_i32 i;
    for (i = 0; i < hc_argc(); i++) hc_printf("%s is %s\n", hc_argv(i), hc_getenv(hc_argv(i)));
    hc_printf("%s %s\n", hc_getenv("LITERAL"), hc_getenv(""));
}

/* The first item exits; what the others do meanwhile: 0 calls, 1 computing until told, 2 reading, 3 sleeping. */
KERNEL(leave, hc_i32 code, hc_u32 others) {
    HC_RESUMABLE;
    if (hc_global_id() == 0u) {
        hc_puts("leaving\n");
        hc_exit(code);
        hc_puts("not reached\n");
        return;
    }
    if (others == 0u) {
        hc_u32 w[1];
        w[0] = 1u;
        while (hc_noop(w) == 0) {}
    } else if (others == 1u) {
        while (!hc_cancelled()) {}
    } else if (others == 2u) {
        char c[1];
        while (hc_read(0, c, 1) >= 0) {}
    } else {
        hc_nanosleep(3600 * (hc_i64)1000000000);
    }
    hc_puts("nor this\n");
}

KERNEL(abort_now) {
    hc_puts("before\n");
    if (hc_global_id() == 1u || hc_group_count() == 1u) hc_abort("out of paper");
    hc_puts("after\n");
}

KERNEL(assert_now, hc_u32 limit) {
    hc_assert(limit > 0u);
    hc_assert(hc_global_id() < limit); /* line 56 */
    hc_puts("fine\n");
}

/* rows of 8: readings of the host's clock and of the kernel's around a sleep. */
KERNEL(clocks, GLOBAL hc_u32 *checks, GLOBAL hc_i64 *rows, hc_i64 sleep) {
    HC_RESUMABLE;
    GLOBAL hc_i64 *row = rows + 8u * hc_global_id();
    hc_timespec wall, mono;
    hc_u32 w[2], i, back = 0u;
    hc_i64 last = 0;
    EXPECT(hc_call_words(host_ns, w, 0u, 2u), 0);
    row[0] = (hc_i64)hc_join(w[0], w[1]);
    row[1] = hc_monotonic_ns();
    EXPECT(hc_call_words(host_ns, w, 0u, 2u), 0);
    row[2] = (hc_i64)hc_join(w[0], w[1]);
    EXPECT(hc_nanosleep(sleep), 0);
    EXPECT(hc_call_words(host_ns, w, 0u, 2u), 0);
    row[3] = (hc_i64)hc_join(w[0], w[1]);
    EXPECT(hc_clock_gettime(HC_CLOCK_MONOTONIC, &mono), 0);
    row[4] = mono.seconds * 1000000000 + mono.nanoseconds;
    EXPECT(hc_call_words(host_ns, w, 0u, 2u), 0);
    row[5] = (hc_i64)hc_join(w[0], w[1]);
    EXPECT(hc_clock_gettime(HC_CLOCK_REALTIME, &wall), 0);
    EXPECT(wall.nanoseconds < 1000000000u, 1);
    row[6] = wall.seconds * 1000000000 + wall.nanoseconds;
    EXPECT(hc_clock_gettime(7, &wall), -HC_EINVAL);
    EXPECT(hc_clock_gettime(-1, &wall), -HC_EINVAL);
    EXPECT(hc_nanosleep(-1), -HC_EINVAL);
    EXPECT(hc_nanosleep((hc_i64)hc_global_id() % 3 - 1), hc_global_id() % 3u == 0u ? -HC_EINVAL : 0);
    EXPECT(hc_nanosleep(0), 0);
    for (i = 0u; i < 200u; i++) {
        const hc_i64 now = hc_monotonic_ns();
        if (now < last) back++;
        last = now;
    }
    row[7] = back;
}

KERNEL(denied, GLOBAL hc_u32 *checks) {
    HC_RESUMABLE;
    hc_timespec t;
    char b[4];
    EXPECT(hc_clock_gettime(HC_CLOCK_REALTIME, &t), -HC_ENOTCAPABLE);
    EXPECT(hc_nanosleep(1), -HC_ENOTCAPABLE);
    EXPECT(hc_random(b, 4), -HC_ENOTCAPABLE);
    EXPECT(hc_open("/x", HC_O_RDONLY, 0), -HC_ENOTCAPABLE);
    EXPECT(hc_argc(), 0);
    EXPECT(hc_getenv("HOME") == 0, 1);
    EXPECT(hc_read(0, b, 4), 0);
    EXPECT(hc_write(1, b, 4), 4);
    EXPECT(hc_write(2, b, 4), 4);
}

/* Each item fills n bytes at a distance of its own. */
KERNEL(chance, GLOBAL hc_u32 *checks, GLOBAL char *to, hc_u32 n, hc_u32 stride) {
    HC_RESUMABLE;
    EXPECT(hc_random(to + hc_global_id() * stride, n), 0);
    EXPECT(hc_random(to, -1), -HC_EINVAL);
}

/* Copies standard input to standard output in pieces. */
KERNEL(copy, GLOBAL hc_u32 *checks, hc_u32 piece) {
    HC_RESUMABLE;
    char b[100];
    hc_i64 n;
    while ((n = hc_read(0, b, piece)) > 0) EXPECT(hc_write(1, b, n), n);
    EXPECT(n, 0);
}

/* The last item waits for input, the others talk: the last, because drivers may run groups in a row. */
KERNEL(one_waits) {
    HC_RESUMABLE;
    char b[8];
    hc_i64 n;
    if (hc_group_id() + 1u != hc_group_count()) {
        hc_printf("group %u\n", hc_group_id());
        return;
    }
    n = hc_read(0, b, 8);
    hc_printf("read %s\n", hc_span(b, n > 0 ? (hc_u32)n : 0u));
}
