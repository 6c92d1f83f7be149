/* What dialtone bench runs. Times are the device's own where it has a clock; otherwise the host
   divides by the number of rounds. */
#ifdef HC_DEVICE_CLOCK
#define NOW() HC_DEVICE_CLOCK_NS()
#else
#define NOW() 0ul
#endif

/* The floor: one word there, one word back, nothing else. */
KERNEL(floor_pingpong, GLOBAL hc_u32 *words, GLOBAL hc_u32 *times, hc_u32 rounds) {
    hc_u32 round;
    if (hc_global_id() != 0u) return;
    for (round = 1u; round <= rounds; round++) {
        const hc_u64 start = NOW();
        hc_u32 turns = 0u;
        hc_store_release(words, round);
        while (hc_load(words + 64) != round)
            if (HC_LANES == 1) hc_pause(turns++);
        hc_load_acquire(words + 64);
        times[round - 1u] = (hc_u32)(NOW() - start);
    }
}

/* Synchronous calls of one subgroup, each timed. */
KERNEL(noop_latency, GLOBAL hc_u32 *times, GLOBAL hc_u32 *wrong, hc_u32 rounds) {
    hc_u32 round;
    for (round = 0u; round < rounds; round++) {
        const hc_u32 sent = round * 64u + hc_local_id();
        hc_u32 w = sent;
        const hc_u64 start = NOW();
        const hc_i32 e = hc_noop(&w);
        if (hc_local_id() == 0u) times[round] = (hc_u32)(NOW() - start);
        if (e != 0 || w != sent) hc_atomic_add(wrong, 1u);
    }
}

/* The same from many, without timing each. */
KERNEL(noop_rate, GLOBAL hc_u32 *wrong, hc_u32 rounds) {
    hc_u32 round, bad = 0u;
    for (round = 0u; round < rounds; round++) {
        const hc_u32 sent = round * 65536u + hc_global_id();
        hc_u32 w = sent;
        const hc_i32 e = hc_noop(&w);
        bad += e != 0 || w != sent;
    }
    if (bad) hc_atomic_add(wrong, bad);
}

/* 64 bytes per lane and call, there and back. */
KERNEL(wide_rate, GLOBAL hc_u32 *wrong, hc_u32 rounds) {
    hc_u32 round, i, bad = 0u, w[HC_MAX_WORDS];
    for (round = 0u; round < rounds; round++) {
        const hc_u32 sent = round * 65536u + hc_global_id();
        hc_i32 e;
        HC_UNROLL for (i = 0u; i < HC_MAX_WORDS; i++) w[i] = sent + i;
        e = -hc_exchange_words(hc, HC_OP_NOOP, w, HC_MAX_WORDS, HC_MAX_WORDS);
        bad += e != 0;
        HC_UNROLL for (i = 0u; i < HC_MAX_WORDS; i++) bad += w[i] != sent + i;
    }
    if (bad) hc_atomic_add(wrong, bad);
}

/* What the bus gives to plain accesses of host memory. */
KERNEL(host_write, GLOBAL hc_u32 *to, hc_u32 words, hc_u32 rounds) {
    hc_u32 round, i;
    const hc_u32 all = hc_group_count() * hc_group_size();
    for (round = 0u; round < rounds; round++)
        for (i = hc_global_id(); i < words; i += all) hc_store(to + i, i + round);
}

KERNEL(host_read, GLOBAL hc_u32 *from, GLOBAL hc_u32 *sum, hc_u32 words, hc_u32 rounds) {
    hc_u32 round, i, s = 0u;
    const hc_u32 all = hc_group_count() * hc_group_size();
    for (round = 0u; round < rounds; round++)
        for (i = hc_global_id(); i + 3u * all < words; i += 4u * all) {
            const hc_u32 a = hc_load(from + i), b = hc_load(from + i + all), c = hc_load(from + i + 2u * all), d = hc_load(from + i + 3u * all);
            s += a + b + c + d;
        }
    if (s == 0xffffffffu) sum[0] = s;
}

#ifdef HC_DEVICE_CLOCK
/* Calls with long silences between them. */
KERNEL(wake_latency, GLOBAL hc_u32 *times, GLOBAL hc_u32 *wrong, hc_u32 rounds, hc_u64 silence) {
    hc_u32 round;
    for (round = 0u; round < rounds; round++) {
        hc_u64 start = NOW();
        hc_u32 w = round;
        while (NOW() - start < silence) hc_pause(1000u);
        start = NOW();
        if (hc_noop(&w) != 0 || w != round) hc_atomic_add(wrong, 1u);
        if (hc_local_id() == 0u) times[round] = (hc_u32)(NOW() - start);
    }
}

KERNEL(clock_cost, GLOBAL hc_u32 *times, hc_u32 rounds) {
    hc_u64 start = NOW();
    hc_i64 sum = 0;
    hc_u32 i;
    for (i = 0u; i < rounds; i++) sum += hc_monotonic_ns();
    times[0] = (hc_u32)(NOW() - start);
    if (sum == 1) times[1] = 1u;
}
#endif

/* A line from every lane. */
KERNEL(print_rate, hc_u32 rounds) {
    hc_u32 round;
    for (round = 0u; round < rounds; round++) hc_printf("line %u of %u\n", round, hc_global_id());
}
