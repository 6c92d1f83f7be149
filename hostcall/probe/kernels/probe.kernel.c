/* Kernels that do what a capability claims. Each ends by itself: what never arrives is waited for a
   bounded number of turns. */

/* words: 0 to the host, 64 from the host, as counters of rounds; cells: the same as 64-bit values
   whose halves must match; seen: what the kernel found. */
KERNEL(pingpong, GLOBAL hc_u32 *words, GLOBAL hc_u32 *seen, hc_u32 rounds, hc_u32 patience) {
    hc_u32 round, turns;
    if (hc_global_id() != 0u) return;
    for (round = 1u; round <= rounds; round++) {
#ifdef HC_WIDE
        hc_store64(words + 16, (hc_u64)round << 32 | (round ^ 0x5a5a5a5au));
#endif
        hc_store_release(words, round);
        for (turns = 0u; hc_load_acquire(words + 64) != round; turns++) {
            if (turns == patience) {
                seen[0] = round;
                return;
            }
            hc_pause(turns);
        }
#ifdef HC_WIDE
        {
            const hc_u64 cell = hc_load64(words + 80);
            if (((hc_u32)cell ^ 0x5a5a5a5au) != (hc_u32)(cell >> 32)) seen[1]++;
        }
#endif
    }
    seen[0] = rounds + 1u;
}

KERNEL(guarded, GLOBAL hc_u32 *out, hc_u32 n) {
    const hc_u32 i = hc_global_id();
    if (i < n) out[i + 16u] = i * 2654435761u ^ 0xd1a17011u;
}

#ifdef HC_DEVICE_CLOCK_NS
/* rows of 4 words for each reading: a ticket drawn between two readings of the clock, and both. */
KERNEL(clocks, GLOBAL hc_u32 *ticket, GLOBAL hc_u64 *rows, hc_u32 readings) {
    hc_u32 i;
    for (i = 0u; i < readings; i++) {
        const hc_u64 before = HC_DEVICE_CLOCK_NS();
        hc_u32 t;
        hc_fence();
        t = hc_atomic_add(ticket, 1u);
        hc_fence();
        rows[2u * t] = before;
        rows[2u * t + 1u] = HC_DEVICE_CLOCK_NS();
    }
}

/* Two meetings with the host, at least ns of the device's clock apart. */
KERNEL(rate, GLOBAL hc_u32 *words, GLOBAL hc_u64 *at, hc_u64 ns, hc_u32 patience) {
    hc_u32 meeting, turns;
    hc_u64 start, least = ~(hc_u64)0;
    if (hc_global_id() != 0u) return;
    for (meeting = 1u; meeting <= 2u; meeting++) {
        at[meeting - 1u] = HC_DEVICE_CLOCK_NS();
        hc_store_release(words, meeting);
        for (turns = 0u; hc_load_acquire(words + 64) != meeting; turns++) {
            if (turns == patience) return;
            hc_pause(turns);
        }
        at[meeting + 2u] = HC_DEVICE_CLOCK_NS(); /* the host read its clock between this and the other reading */
        if (meeting == 1u) {
            start = HC_DEVICE_CLOCK_NS();
            for (turns = 0u; turns < 200000000u; turns++) {
                const hc_u64 a = HC_DEVICE_CLOCK_NS(), b = HC_DEVICE_CLOCK_NS();
                if (b > a && b - a < least) least = b - a;
                if (b - start >= ns) break;
            }
            at[2] = least;
        }
    }
}
#endif
