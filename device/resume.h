/* What makes a kernel resumable: docs/kernel-c.md. On the mailbox it is nothing. */
#ifdef HC_RELAUNCH

/* Begins a launch of a work-item: finds its answers. Not 0 if its group has come to its end in an earlier one. */
HC_NOINLINE int hc_begin_(HC) {
    const hc_u32 item = hc_linear_group(hc) * hc_items_of_group(hc) + hc_linear_local(hc);
    GLOBAL hc_u32 *state = hc_item_state(hc, item);
    hc_u32 last, done, taken, log = 0u, cursor = 0u;
    if (!hc_resumable_()) return 0;
    /* Asked for at once: each comes from far. */
    last = hc_load(hc_group_state(hc) + HC_GROUP_CANCELLED);
    done = taken = state[HC_ITEM_DONE] & ~HC_ITEM_SAVED;
    if (HC_P(inbox) != 0u) log = hc_mail_[HC_P(inbox) + item];
    /* Cancelled in the launch before, or in this one already, by a work-item that is faster. */
    if ((HC_P(flags) & HC_FLAG_RESUMED) && last != HC_P(launch) - 1u && last != HC_P(launch)) return 1;
    state[HC_ITEM_BARRIERS] = 0u;
    if (log != 0u) {
        taken = hc_mail_[HC_P(inbox) + log];
        cursor = HC_P(inbox) + log + 1u;
    }
    for (; taken < done; taken++) { /* the checkpoint knows them */
        const hc_u32 head = hc_mail_[cursor];
        if ((head >> HC_ANSWER_KIND_SHIFT & HC_ANSWER_KIND_MASK) != HC_ANSWER_GIVEN) break;
        cursor += head >> HC_ANSWER_SIZE_SHIFT;
    }
    state[HC_ITEM_CURSOR] = cursor;
    state[HC_ITEM_TAKEN] = done;
    return 0;
}

HC_INLINE GLOBAL hc_u32 *hc_own_save(HC, hc_u32 item) { return hc_local_ + HC_P(own) + (hc_size)item * (HC_P(own_bytes) / 4u); }
HC_INLINE GLOBAL hc_u32 *hc_group_save(HC) { return hc_local_ + HC_P(group) + (hc_size)hc_linear_group(hc) * (HC_P(group_bytes) / 4u); }

/* Whether a checkpoint of n bytes has no room. The host makes some before the next launch. */
HC_INLINE int hc_lacks_room(HC, hc_u32 item, hc_u32 which, hc_u32 has, hc_u32 n) {
    if (has >= n) return 0;
    hc_store(hc_mail_ + which, n);
    hc_cancel_item(hc, item);
    return 1;
}

HC_NOINLINE int hc_restore_(HC, hc_room to, hc_u32 n) {
    const hc_u32 item = hc_linear_group(hc) * hc_items_of_group(hc) + hc_linear_local(hc);
    if (!hc_resumable_() || hc_lacks_room(hc, item, HC_OUT_OWN, HC_P(own_bytes), n)) return 0;
    if (!(hc_item_state(hc, item)[HC_ITEM_DONE] & HC_ITEM_SAVED)) return 0;
    hc_copy_to(to, 0, hc_own_save(hc, item), n);
    return 1;
}

HC_NOINLINE int hc_checkpoint_(HC, hc_view from, hc_u32 n) {
    const hc_u32 item = hc_linear_group(hc) * hc_items_of_group(hc) + hc_linear_local(hc);
    GLOBAL hc_u32 *state = hc_item_state(hc, item);
    if (!hc_resumable_()) return 0;
    if (hc_is_cancelled(hc, item) || hc_lacks_room(hc, item, HC_OUT_OWN, HC_P(own_bytes), n)) return 1;
    hc_copy_from(hc_own_save(hc, item), from, 0u, n);
    state[HC_ITEM_DONE] = state[HC_ITEM_TAKEN] | HC_ITEM_SAVED;
    return 0;
}

/* The bytes that this work-item copies for its group, from at on. */
HC_INLINE hc_u32 hc_part_(HC, hc_u32 n, hc_u32 *at) {
    const hc_u32 items = hc_items_of_group(hc), part = ((n + items - 1u) / items + 15u) & ~15u;
    *at = hc_linear_local(hc) * part;
    return *at >= n ? 0u : n - *at < part ? n - *at : part;
}

/* Whether the group has a checkpoint of n bytes. */
HC_INLINE int hc_group_saved_(HC, hc_u32 n) {
    return hc_resumable_() && HC_P(group_bytes) >= n && hc_load(hc_group_state(hc) + HC_GROUP_SAVED) != 0u;
}

/* The group comes here together, and to a barrier behind it. */
HC_NOINLINE void hc_group_restore_(HC, hc_room to, hc_u32 n) {
    const hc_u32 item = hc_linear_group(hc) * hc_items_of_group(hc) + hc_linear_local(hc);
    hc_u32 at, part;
    if (!hc_resumable_() || hc_lacks_room(hc, item, HC_OUT_GROUP, HC_P(group_bytes), n) || !hc_group_saved_(hc, n)) return;
    part = hc_part_(hc, n, &at);
    hc_copy_to(to, at, hc_group_save(hc) + at / 4u, part);
}

/* Between two barriers. */
HC_NOINLINE int hc_group_checkpoint_(HC, hc_view from, hc_u32 n) {
    const hc_u32 item = hc_linear_group(hc) * hc_items_of_group(hc) + hc_linear_local(hc);
    GLOBAL hc_u32 *state = hc_item_state(hc, item);
    hc_u32 at, part;
    if (!hc_resumable_()) return 0;
    if (hc_lacks_room(hc, item, HC_OUT_GROUP, HC_P(group_bytes), n)) return 1;
    if (hc_load(hc_group_state(hc) + HC_GROUP_CANCELLED) == HC_P(launch)) return 1;
    part = hc_part_(hc, n, &at);
    hc_copy_from(hc_group_save(hc) + at / 4u, from, at, part);
    state[HC_ITEM_DONE] = state[HC_ITEM_TAKEN];
    if (hc_linear_local(hc) == 0u) hc_store(hc_group_state(hc) + HC_GROUP_SAVED, 1u);
    return 0;
}

#define HC_RESUMABLE \
    if (hc_begin_(hc)) return
#define HC_RESTORE(s) hc_restore_(hc, hc_to(&(s)), (hc_u32)sizeof(s))
#define HC_CHECKPOINT(s)                                                       \
    do {                                                                       \
        if (hc_checkpoint_(hc, hc_from(&(s)), (hc_u32)sizeof(s))) return;      \
    } while (0)
/* The barrier is there in any case: one under a condition has drivers on host processors compile all that follows once more. Whether
   there is a checkpoint does not change before the barrier of the next. */
#define HC_GROUP_RESTORE(s) (hc_group_restore_(hc, hc_to(&(s)), (hc_u32)sizeof(s)), hc_barrier(), hc_group_saved_(hc, (hc_u32)sizeof(s)))
#define HC_GROUP_CHECKPOINT(s)                                                              \
    do {                                                                                    \
        int hc_over_;                                                                       \
        hc_barrier();                                                                       \
        hc_over_ = hc_group_checkpoint_(hc, hc_from(&(s)), (hc_u32)sizeof(s));              \
        hc_barrier();                                                                       \
        if (hc_over_) return;                                                               \
    } while (0)

#else
#define HC_RESUMABLE ((void)0)
#define HC_RESTORE(s) 0
#define HC_CHECKPOINT(s) ((void)0)
#define HC_GROUP_RESTORE(s) 0
#define HC_GROUP_CHECKPOINT(s) ((void)0)
#endif
