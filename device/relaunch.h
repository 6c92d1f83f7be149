/* The client of the relaunch transport, in place of port.h: docs/relaunch.md says what each step is for. A running kernel and the
   host do not see each other's writes, so a call that needs an answer takes it from the log of an earlier launch, or posts its request
   and cancels the work-item for this launch. */

/* Ids in the first dimension, which most kernels need. */
#define hc_global_id() hc_global_id_in(0)
#define hc_local_id() hc_local_id_in(0)
#define hc_group_id() hc_group_id_in(0)
#define hc_group_size() hc_group_size_in(0)
#define hc_group_count() hc_group_count_in(0)

/* Every work-item calls alone, whatever the width of a subgroup. */
#undef HC_LANES
#undef hc_any
#undef hc_count
#define HC_LANES 1 /* of a call */
#define hc_any(m, x) (x)
#define hc_count(m) 1u

typedef struct {
    hc_u32 item;   /* that calls */
    hc_u32 mask;   /* not used: every work-item calls alone */
    hc_u32 live;   /* what it stages goes out; 0 where the answer is there already, or will not be looked at */
    hc_u32 share;  /* bulk bytes of a call, each way */
    hc_u32 staged; /* bytes of it that are filled */
    hc_u32 answer; /* where in the mail buffer the answer's bytes are */
} hc_port;

HC_INLINE hc_u32 hc_linear_group(HC) {
    return (hc_group_id_in(2) * hc_group_count_in(1) + hc_group_id_in(1)) * hc_group_count_in(0) + hc_group_id_in(0);
}
HC_INLINE hc_u32 hc_linear_local(HC) {
    return (hc_local_id_in(2) * hc_group_size_in(1) + hc_local_id_in(1)) * hc_group_size_in(0) + hc_local_id_in(0);
}
HC_INLINE hc_u32 hc_items_of_group(HC) { return hc_group_size_in(0) * hc_group_size_in(1) * hc_group_size_in(2); }

#define hc_resumable_() ((HC_P(flags) & HC_FLAG_RESUMABLE) != 0u)
/* A replay has to read what was read before, which the device's clock does not give. */
#define hc_own_clock() (!hc_resumable_())

/* Its own words and its log are the work-item's alone during a launch: plain accesses, which a cache may serve. */
HC_INLINE GLOBAL hc_u32 *hc_item_state(HC, hc_u32 item) { return hc_local_ + HC_P(items) + (hc_size)item * HC_ITEM_WORDS; }
HC_INLINE GLOBAL hc_u32 *hc_group_state(HC) { return hc_local_ + HC_P(groups) + (hc_size)hc_linear_group(hc) * HC_GROUP_WORDS; }

HC_INLINE int hc_is_cancelled(HC, hc_u32 item) { return hc_item_state(hc, item)[HC_ITEM_CANCELLED] == HC_P(launch); }
HC_INLINE int hc_cancelled_(HC) { return hc_is_cancelled(hc, hc_linear_group(hc) * hc_items_of_group(hc) + hc_linear_local(hc)); }
#define hc_cancelled() (hc_breathe(), hc_cancelled_(hc))

/* From now on the calls of the work-item fail at once; it and its group are started again. Those that are first cancelled in a group
   have passed the same barriers; later ones see that they are not the first. */
HC_INLINE void hc_cancel_item(HC, hc_u32 item) {
    GLOBAL hc_u32 *state = hc_item_state(hc, item), *group = hc_group_state(hc);
    state[HC_ITEM_CANCELLED] = HC_P(launch);
    if (hc_load(group + HC_GROUP_CANCELLED) != HC_P(launch)) {
        hc_store(group + HC_GROUP_BARRIER, HC_P(launch) << 16 | (state[HC_ITEM_BARRIERS] & 0xffffu));
        hc_store(group + HC_GROUP_CANCELLED, HC_P(launch));
    }
    hc_store(hc_mail_ + HC_OUT_CANCELLED, HC_P(launch));
}

/* Behind a barrier, what others of the group did before it may come from one that was cancelled there: then so is this one, before it makes a
   call with that. What others are cancelled at behind the same barrier does not count. */
HC_NOINLINE void hc_after_barrier(HC) {
    const hc_u32 item = hc_linear_group(hc) * hc_items_of_group(hc) + hc_linear_local(hc);
    GLOBAL hc_u32 *state = hc_item_state(hc, item);
    hc_u32 passed, first;
    if (!hc_resumable_()) return;
    passed = state[HC_ITEM_BARRIERS] + 1u;
    state[HC_ITEM_BARRIERS] = passed;
    if (hc_load(hc_group_state(hc) + HC_GROUP_CANCELLED) != HC_P(launch)) return;
    first = hc_load(hc_group_state(hc) + HC_GROUP_BARRIER);
    /* What is not of this launch yet is being written behind this barrier. */
    if (first >> 16 == (HC_P(launch) & 0xffffu) && (first & 0xffffu) != (passed & 0xffffu)) state[HC_ITEM_CANCELLED] = HC_P(launch);
}

DEVICE void hc_plain_barrier(HC) { hc_barrier(); }
#undef hc_barrier
#define hc_barrier() (hc_plain_barrier(hc), hc_after_barrier(hc))

/* Room in the outbox for a record with that many words behind its head, which is written; 0 if it is full, and the
   work-item then cancelled. */
HC_NOINLINE GLOBAL hc_u32 *hc_post(HC, hc_u32 item, hc_u32 kind, hc_u32 size, hc_u32 words) {
    const hc_u32 room = HC_P(outbox), n = words + HC_RECORD_HEAD, mark = HC_P(launch) << HC_RECORD_LAUNCH_SHIFT;
    GLOBAL hc_u32 *records = hc_mail_ + HC_OUT_HEAD;
    /* Looked at first: the count must not come round because many find it full. */
    hc_u32 at = hc_load(hc_mail_ + HC_OUT_POSTED) - HC_P(posted);
    if (at < room) {
        at = hc_atomic_add(hc_mail_ + HC_OUT_POSTED, n) - HC_P(posted);
        if (at < room && n <= room - at) {
            hc_store(records + at + 1u, item);
            hc_store(records + at, size | kind << HC_RECORD_KIND_SHIFT | mark);
            return records + at + HC_RECORD_HEAD;
        }
        if (at < room) hc_store(records + at, HC_RECORD_END << HC_RECORD_KIND_SHIFT | mark);
    }
    hc_store(hc_mail_ + HC_OUT_FULL, HC_P(launch));
    hc_cancel_item(hc, item);
    return 0;
}

/* Whether a call made now would be posted. */
HC_INLINE int hc_is_live(HC, hc_u32 item) {
    GLOBAL hc_u32 *state = hc_item_state(hc, item);
    hc_u32 cursor;
    if (state[HC_ITEM_CANCELLED] == HC_P(launch)) return 0;
    if (!hc_resumable_()) return 1;
    cursor = state[HC_ITEM_CURSOR];
    return cursor == 0u || (hc_mail_[cursor] >> HC_ANSWER_KIND_SHIFT & HC_ANSWER_KIND_MASK) == HC_ANSWER_END;
}

/* There is room for every work-item: nobody waits, and nobody has to try again. */
HC_INLINE int hc_open_port(HC, hc_port *p, hc_u32 key) {
    p->item = hc_linear_group(hc) * hc_items_of_group(hc) + hc_linear_local(hc);
    p->share = p->staged = p->live = p->answer = 0u;
    p->mask = 1u;
    return 1;
}

HC_INLINE int hc_open_bulk_port(HC, hc_port *p, hc_u32 key) {
    hc_open_port(hc, p, key);
    p->share = HC_P(bulk);
    p->live = (hc_u32)hc_is_live(hc, p->item);
    return 1;
}

/* The calls that need no answer: where a kernel cannot be started again they are served when it has ended. */
HC_INLINE int hc_is_last(hc_u32 op) { return op == HC_OP_EXIT || op == HC_OP_ABORT || op == HC_OP_ASSERT; }
HC_INLINE int hc_is_posted(hc_u32 op) { return op == HC_OP_WRITE || op == HC_OP_PRINTF || hc_is_last(op); }

/* One call. w holds the words to send and then those received. Gives an errno; a call of a cancelled work-item gives ECANCELED. */
HC_NOINLINE hc_u32 hc_transact(HC, hc_port *p, hc_u32 call, hc_u32 in, hc_u32 out, hc_u32 *w) {
    const hc_u32 op = call & HC_OPCODE_MASK;
    GLOBAL hc_u32 *state = hc_item_state(hc, p->item);
    GLOBAL hc_u32 *to;
    hc_u32 i, note = 0u;
    call |= in << HC_IN_SHIFT | out << HC_OUT_SHIFT;
    if (hc_is_cancelled(hc, p->item)) return HC_ECANCELED;
    if (hc_resumable_()) {
        const hc_u32 cursor = state[HC_ITEM_CURSOR], head = cursor ? hc_mail_[cursor] : 0u;
        const hc_u32 kind = head >> HC_ANSWER_KIND_SHIFT & HC_ANSWER_KIND_MASK;
        if (kind == HC_ANSWER_GIVEN && hc_mail_[cursor + 1u] == call) {
            GLOBAL hc_u32 *from = hc_mail_ + cursor + HC_ANSWER_HEAD;
            for (i = 0u; i < out; i++) w[i] = from[i];
            p->answer = cursor + HC_ANSWER_HEAD + out;
            state[HC_ITEM_CURSOR] = cursor + (head >> HC_ANSWER_SIZE_SHIFT);
            state[HC_ITEM_TAKEN] = state[HC_ITEM_TAKEN] + 1u;
            return head & 0xffu;
        }
        if (kind == HC_ANSWER_PENDING) {
            hc_cancel_item(hc, p->item);
            return HC_ECANCELED;
        }
        if (kind == HC_ANSWER_GIVEN) note = HC_RECORD_DIVERGED;
    } else if (!hc_is_posted(op)) {
        note = HC_RECORD_REFUSED;
    }
    if (note != 0u) {
        to = hc_post(hc, p->item, note, 0u, 1u);
        if (to != 0) hc_store(to, call);
        hc_cancel_item(hc, p->item);
        return HC_ECANCELED;
    }
    to = hc_post(hc, p->item, HC_RECORD_CALL, in, in + 2u);
    if (to == 0) return HC_ECANCELED;
    hc_store(to, call);
    hc_store(to + 1, state[HC_ITEM_DONE] & ~HC_ITEM_SAVED);
    for (i = 0u; i < in; i++) hc_store(to + 2u + i, w[i]);
    if (hc_resumable_() || hc_is_last(op)) {
        hc_cancel_item(hc, p->item);
        return HC_ECANCELED;
    }
    if (op == HC_OP_PRINTF) w[0] = 0u; /* what is written is taken for written, what is printed has no length yet */
    return 0u;
}

HC_INLINE hc_u32 hc_exchange(HC, hc_port p, hc_u32 call, hc_u32 in, hc_u32 out, hc_u32 *w) {
    return hc_transact(hc, &p, call, in, out, w);
}

/* Ends a call. A cancelled work-item goes on: others of its group may wait for it at a barrier. */
HC_INLINE hc_i32 hc_finish(HC, hc_port *p, hc_u32 e) { return (hc_i32)e; }

HC_NOINLINE hc_i32 hc_simple_call(HC, hc_u32 call, hc_u32 in, hc_u32 out, hc_u32 *w) {
    hc_port p;
    hc_open_port(hc, &p, call);
    return (hc_i32)hc_transact(hc, &p, call, in, out, w);
}

/* Sends what is staged and makes room for more bytes of the same call. */
HC_NOINLINE void hc_flush(HC, hc_port *p, hc_u32 call) {
    hc_u32 w[1];
    w[0] = p->staged;
    hc_transact(hc, p, call | HC_WITH_BYTES | HC_MORE, 1u, 0u, w);
    p->live = (hc_u32)hc_is_live(hc, p->item);
    p->staged = 0u;
}

/* Where the next n bytes go. If nothing goes out there is no such place, which hc_sends tells. */
HC_INLINE GLOBAL hc_u32 *hc_bulk_in(HC, hc_port *p, hc_u32 n) {
    GLOBAL hc_u32 *to = 0;
    if (p->live && n > 0u) {
        to = hc_post(hc, p->item, HC_RECORD_BYTES, n, (n + 3u) / 4u);
        if (to == 0) p->live = 0u;
    }
    return to;
}
#define hc_sends(to) ((to) != 0)
HC_INLINE GLOBAL const hc_u32 *hc_bulk_out(HC, const hc_port *p) { return hc_mail_ + p->answer; }
