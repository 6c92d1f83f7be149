/* Kernels that do what a capability claims, beyond what every start asks about. Each ends by itself: what
   never arrives is waited for a bounded number of turns. */

#if defined(__CUDACC__)
/* PTX ISA, "atom": scope .sys includes the host. */
HC_INLINE hc_u32 probe_add_system_(hc_u32 *p, hc_u32 v) { hc_u32 r; asm volatile("atom.relaxed.sys.global.add.u32 %0, [%1], %2;" : "=r"(r) : "l"(p), "r"(v) : "memory"); return r; }
#define PROBE_ADD_SYSTEM(p, v) probe_add_system_((p), (v))
#else
#define PROBE_ADD_SYSTEM(p, v) hc_atomic_add((p), (v))
#endif

/* words: n values in, n values out. */
KERNEL(touch, GLOBAL hc_u32 *words, hc_u32 n) {
    const hc_u32 i = hc_global_id();
    if (i < n) words[n + i] = words[i] * 2654435761u + 1u;
}

/* Contended additions in device memory. */
KERNEL(adding, GLOBAL hc_u32 *sum, hc_u32 times) {
    hc_u32 i;
    for (i = 0u; i < times; i++) hc_atomic_add(sum, 1u);
}

/* The same in memory of the host, while the host adds too. state: 0 is set when the kernel is there, 16 when the host is,
   32 when the kernel gave up waiting for it, 48 when the kernel has added. */
KERNEL(adding_with_host, GLOBAL hc_u32 *sum, GLOBAL hc_u32 *state, hc_u32 times, hc_u32 patience) {
    hc_u32 i, turns;
    if (hc_global_id() != 0u) return;
    hc_store_release(state, 1u);
    for (turns = 0u; hc_load_acquire(state + 16) == 0u; turns++) {
        if (turns == patience) { /* the host is late: what follows would prove nothing */
            hc_store_release(state + 32, 1u);
            return;
        }
        hc_pause(turns);
    }
    for (i = 0u; i < times; i++) PROBE_ADD_SYSTEM(sum, 1u);
    hc_store_release(state + 48, 1u);
}

/* Messages of several words each, on lines of their own, and flags behind a fence. seen: incomplete ones that arrived. */
KERNEL(messages, GLOBAL hc_u32 *to_host, GLOBAL hc_u32 *from_host, GLOBAL hc_u32 *seen, hc_u32 rounds, hc_u32 patience) {
    hc_u32 round, turns, i;
    if (hc_global_id() != 0u) return;
    for (round = 1u; round <= rounds; round++) {
        for (i = 1u; i <= 4u; i++) hc_store(to_host + i * 32u, round * i);
        hc_fence();
        hc_store(to_host, round);
        for (turns = 0u; hc_load(from_host) != round; turns++) {
            if (turns == patience) {
                seen[0] = round;
                return;
            }
            hc_pause(turns);
        }
        hc_fence();
        for (i = 1u; i <= 4u; i++)
            if (hc_load(from_host + i * 32u) != round * i) seen[1]++;
    }
    seen[0] = rounds + 1u;
}

/* Every group arrives and waits for all; met: how many saw all. */
KERNEL(meeting, GLOBAL hc_u32 *arrived, GLOBAL hc_u32 *met, hc_u32 groups, hc_u32 patience) {
    hc_u32 turns;
    if (hc_local_id() != 0u) return;
    hc_atomic_add(arrived, 1u);
    for (turns = 0u; hc_load_acquire(arrived) < groups; turns++) {
        if (turns == patience) return;
        hc_pause(turns);
    }
    hc_atomic_add(met, 1u);
}

/* Two items of a group ask and answer in turn: whichever a device runs first, it does not come through without the other one. */
KERNEL(waiting, GLOBAL hc_u32 *words, GLOBAL hc_u32 *met, hc_u32 other, hc_u32 patience) {
    const hc_u32 i = hc_local_id();
    GLOBAL hc_u32 *question = words, *answer = words + 16;
    hc_u32 round, turns;
    for (round = 1u; round <= 4u; round++) {
        if (i == 0u) {
            hc_store_release(question, round);
            for (turns = 0u; hc_load_acquire(answer) != round; turns++) {
                if (turns == patience) return;
                hc_pause(turns);
            }
        } else if (i == other) {
            for (turns = 0u; hc_load_acquire(question) != round; turns++) {
                if (turns == patience) return;
                hc_pause(turns);
            }
            hc_store_release(answer, round);
        }
    }
    if (i == 0u) met[0] = 1u;
}

/* Lanes count themselves: how many are active with this one, and which of them it is. */
KERNEL(lanes, GLOBAL hc_u32 *rows) {
    const hc_mask m = hc_active_mask();
    rows[2u * hc_global_id()] = hc_count(m);
    rows[2u * hc_global_id() + 1u] = hc_rank(m);
}
