/* Stands in for single.h at the end of the C11 dialect: 32 work-items are a subgroup, as on a GPU whose lanes are
   scheduled independently. Items of a group are fibers of one thread, so nothing here needs an atomic.

   What a GPU leaves open is drawn at random: which of the lanes that could have met at hc_active_mask()
   did meet, and who goes first. What it demands is awaited: all lanes of a mask take part in each step with
   that mask; if one does not, the kernel hangs. */
#define HC_LANES 32

typedef hc_u32 hc_mask;

struct hc_warp_ {
    hc_u32 waiting, arrived, released; /* lanes */
    hc_u32 given[32], value[32], seen[32][32];
};
static __thread struct hc_warp_ hc_warps_[32];
static __thread hc_u32 hc_dice_;

HC_INLINE hc_u32 hc_throw_(void) {
    if (hc_dice_ == 0u) hc_dice_ = (hc_u32)dialtone_cpu->clock() | 1u;
    hc_dice_ = hc_dice_ * 1664525u + 1013904223u;
    return hc_dice_ >> 16;
}
HC_INLINE hc_u32 hc_local_linear_(const struct dialtone_item *i) {
    return (i->local_id[2] * i->group_size[1] + i->local_id[1]) * i->group_size[0] + i->local_id[0];
}
HC_INLINE struct hc_warp_ *hc_my_warp_(const struct dialtone_item *i) { return &hc_warps_[hc_local_linear_(i) / 32u]; }
HC_INLINE hc_u32 hc_lane_(const struct dialtone_item *i) { return hc_local_linear_(i) % 32u; }

HC_NOINLINE hc_u32 hc_active_mask_(const struct dialtone_item *i) {
    struct hc_warp_ *w = hc_my_warp_(i);
    const hc_u32 lane = hc_lane_(i), me = 1u << lane, luck = hc_throw_() % 16u;
    /* Mostly long enough for every lane that is about to come. */
    const hc_u32 patience = luck == 0u ? 0u : luck < 4u ? hc_throw_() % 8u : 100u;
    const hc_u32 items = i->group_size[0] * i->group_size[1] * i->group_size[2] - hc_local_linear_(i) / 32u * 32u;
    const hc_u32 all = items < 32u ? (1u << items) - 1u : ~0u;
    hc_u32 turns, k, m;
    w->given[lane] = 0u;
    w->waiting |= me;
    for (turns = 0u; w->given[lane] == 0u; turns++) {
        if (turns < patience && w->waiting != all) {
            dialtone_cpu->pause(i, 1u);
            continue;
        }
        m = w->waiting;
        if (hc_throw_() % 4u == 0u) m &= (hc_throw_() << 16 | hc_throw_()) | me;
        w->waiting &= ~m;
        for (k = 0u; k < 32u; k++)
            if (m >> k & 1u) w->given[k] = m;
    }
    return w->given[lane];
}

/* All lanes of m give a value and see those of all. */
HC_NOINLINE const hc_u32 *hc_meet_(const struct dialtone_item *i, hc_u32 m, hc_u32 v) {
    struct hc_warp_ *w = hc_my_warp_(i);
    const hc_u32 lane = hc_lane_(i), me = 1u << lane;
    hc_u32 k, j;
    if (!(m & me)) __builtin_trap(); /* a lane takes part for which the mask does not stand */
    w->value[lane] = v;
    w->arrived |= me;
    if ((w->arrived & m) == m) {
        for (k = 0u; k < 32u; k++)
            if (m >> k & 1u)
                for (j = 0u; j < 32u; j++) w->seen[k][j] = w->value[j];
        w->arrived &= ~m;
        w->released |= m;
    }
    while (!(w->released & me)) dialtone_cpu->pause(i, 1u);
    w->released &= ~me;
    if (hc_throw_() % 4u == 0u) dialtone_cpu->pause(i, 1u);
    return w->seen[lane];
}

HC_INLINE hc_u32 hc_ballot_(const struct dialtone_item *i, hc_u32 m, int x) {
    const hc_u32 *seen = hc_meet_(i, m, x != 0);
    hc_u32 k, yes = 0u;
    for (k = 0u; k < 32u; k++)
        if (m >> k & 1u && seen[k]) yes |= 1u << k;
    return yes;
}
HC_INLINE hc_u32 hc_broadcast_(const struct dialtone_item *i, hc_u32 m, hc_u32 v) { return hc_meet_(i, m, v)[__builtin_ctz(m)]; }

#define hc_active_mask() hc_active_mask_(hc_item_)
#define hc_mask_low(m) (m)
#define hc_mask_high(m) 0u
#define hc_lane() hc_lane_(hc_item_)
#define hc_is_leader(m) (((m) & ((1u << hc_lane()) - 1u)) == 0u)
#define hc_rank(m) ((hc_u32)__builtin_popcount((m) & ((1u << hc_lane()) - 1u)))
#define hc_count(m) ((hc_u32)__builtin_popcount(m))
#define hc_broadcast(m, v) hc_broadcast_(hc_item_, m, v)
#define hc_ballot(m, x) hc_ballot_(hc_item_, m, x)
#define hc_any(m, x) (hc_ballot(m, x) != 0u)
#define hc_sync(m) ((void)hc_meet_(hc_item_, m, 0u))
#define hc_subgroup_index() hc_subgroup_index_(hc_item_)
HC_INLINE hc_u32 hc_subgroup_index_(const struct dialtone_item *i) {
    const hc_u32 g = (i->group_id[2] * i->group_count[1] + i->group_id[1]) * i->group_count[0] + i->group_id[0];
    return g * ((i->group_size[0] * i->group_size[1] * i->group_size[2] + 31u) / 32u) + hc_local_linear_(i) / 32u;
}
