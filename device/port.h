/* The client of the mailbox: docs/protocol.md says what each step is for. */

/* Ids in the first dimension, which most kernels need. */
#define hc_global_id() hc_global_id_in(0)
#define hc_local_id() hc_local_id_in(0)
#define hc_group_id() hc_group_id_in(0)
#define hc_group_size() hc_group_size_in(0)
#define hc_group_count() hc_group_count_in(0)

/* A claimed slot. The mask is that of the claim: exactly these lanes take every step together, and no step waits for another lane. */
typedef struct {
    hc_u32 slot;
    hc_u32 ticket; /* of the open packet; its low 24 bits are the sequence number */
    hc_mask mask;
    hc_u32 share;  /* bulk bytes of each lane, each way */
    hc_u32 bulk;   /* byte offset of this lane's share in the slot */
    hc_u32 staged; /* bytes of it that are filled */
} hc_port;

HC_INLINE GLOBAL hc_u32 *hc_mail_at(HC, hc_u32 part, hc_u32 slot, hc_u32 stride) {
    return hc_mail_ + (hc_size)(part / 4u) + (hc_size)slot * (stride / 4u);
}

/* A ticket whose sequence number is 0 starts a new lap of the 24 bits: old cells of the same
   numbers must go before they can be mistaken for new ones. */
HC_INLINE hc_u32 hc_next_ticket(HC, hc_u32 slot, hc_u32 ticket, hc_mask mask) {
    ticket++;
    if ((ticket & HC_SEQ_MASK) == 0u) {
        GLOBAL hc_u32 *cells = hc_mail_at(hc, HC_P(request_cells), slot, HC_P(request_cells_stride));
        hc_u32 i;
        for (i = hc_rank(mask); i < HC_P(request_cells_stride) / 4u; i += hc_count(mask)) hc_store(cells + i, 0u);
        hc_fence();
        hc_sync(mask);
        ticket++;
    }
    return ticket;
}

/* Claims a slot for the lanes that are here with the first one's key, the call with its counts: a compiler may have joined the
   paths of several calls. It gives 0 to the others, which try again at once, in the loop around the whole call. So lanes that have
   left a call together hold nothing, and of lanes that run in step only one call's are in it. */
HC_INLINE int hc_open_port(HC, hc_port *p, hc_u32 key) {
    const hc_mask here = hc_active_mask();
    const hc_u32 first = hc_broadcast(here, key);
    const int mine = key == first;
    hc_u32 slot = 0u, ticket = 0u;
    p->mask = hc_ballot(here, mine);
    if (!mine) return 0;
    if (hc_is_leader(p->mask)) {
        hc_u32 turns = 0u;
        slot = hc_subgroup_index();
        if (slot >= HC_P(homes)) slot %= HC_P(homes);
        slot *= HC_P(spread);
        while (!hc_lock(hc_local_ + (hc_size)slot * HC_LOCK_STRIDE, &ticket)) {
            slot = slot + 1u == HC_P(slots) ? 0u : slot + 1u;
            /* Holders wait for the host alone. */
            if (++turns >= HC_P(slots)) hc_pause(turns - HC_P(slots));
        }
    }
    p->slot = hc_broadcast(p->mask, slot);
    p->ticket = hc_next_ticket(hc, p->slot, hc_broadcast(p->mask, ticket), p->mask);
    p->share = p->bulk = p->staged = 0u;
    return 1;
}

/* Claims a slot for a call with bytes. */
HC_INLINE int hc_open_bulk_port(HC, hc_port *p, hc_u32 key) {
    if (!hc_open_port(hc, p, key)) return 0;
    p->share = HC_P(bulk) / hc_count(p->mask) & ~15u;
    p->bulk = p->slot * HC_P(bulk) + hc_rank(p->mask) * p->share;
    return 1;
}

HC_INLINE void hc_close_port(HC, const hc_port p) {
    hc_sync(p.mask);
    if (hc_is_leader(p.mask)) hc_unlock(hc_local_ + (hc_size)p.slot * HC_LOCK_STRIDE, p.ticket << 1);
}

/* Word i of this lane in the parts named request and request_long, or reply and reply_long. */
#define HC_WORD_AT(part, i) ((i) < HC_SHORT_WORDS ? part + (i) * HC_LANES + lane : part##_long + ((i) - HC_SHORT_WORDS) * HC_LANES + lane)

/* One packet there and back. w holds the words to send and then those received; the counts
   should be constants where this is inlined. Gives the lane's errno. */
HC_INLINE hc_u32 hc_exchange(HC, hc_port p, hc_u32 call, hc_u32 in, hc_u32 out, hc_u32 *w) {
    const hc_u32 seq = p.ticket & HC_SEQ_MASK;
    GLOBAL hc_u32 *head = hc_mail_at(hc, HC_P(request_header), p.slot, HC_REQUEST_HEADER_BYTES);
    GLOBAL hc_u32 *request = hc_mail_at(hc, HC_P(request), p.slot, HC_P(request_stride));
    GLOBAL hc_u32 *request_long = hc_mail_at(hc, HC_P(request_long), p.slot, HC_P(request_long_stride));
    GLOBAL const hc_u32 *reply = hc_mail_at(hc, HC_P(reply), p.slot, HC_P(reply_stride));
    GLOBAL const hc_u32 *reply_long = hc_mail_at(hc, HC_P(reply_long), p.slot, HC_P(reply_long_stride));
    GLOBAL const hc_u32 *ready = hc_mail_at(hc, HC_P(reply_header), p.slot, HC_REPLY_HEADER_BYTES);
    const hc_u32 lane = hc_lane();
    hc_u32 i, turns = 0u, code;

    call |= in << HC_IN_SHIFT | out << HC_OUT_SHIFT;
#ifdef HC_WIDE
    {
        const hc_u64 tag = (hc_u64)(seq << 8) << 32;
        /* Bytes have to be read after an acquire, so their calls await the reply header. */
        const int tagged = (HC_P(flags) & HC_FLAG_TAGGED) && !(call & HC_WITH_BYTES);
        const int tagged_reply = tagged && out >= 1u && out <= 2u;
        if (tagged_reply) call |= HC_TAGGED_REPLY;
        if (tagged && in <= 2u) {
            GLOBAL hc_u32 *cells = hc_mail_at(hc, HC_P(request_cells), p.slot, HC_P(request_cells_stride));
            call |= HC_TAGGED_REQUEST;
            HC_UNROLL for (i = 0u; i < 2u; i++)
                if (i < in) hc_store64(cells + (i * HC_LANES + lane) * 2u, tag | w[i]);
            if (hc_is_leader(p.mask)) {
                hc_store_pair(head, tag | call, tag | hc_mask_low(p.mask));
                if (HC_LANES > 32) hc_store64(head + 4, tag | hc_mask_high(p.mask));
            }
        } else {
            HC_UNROLL for (i = 0u; i < HC_MAX_WORDS; i++)
                if (i < in) hc_store(HC_WORD_AT(request, i), w[i]);
            hc_sync(p.mask);
            if (hc_is_leader(p.mask)) {
                if (HC_LANES > 32) hc_store64(head + 4, tag | hc_mask_high(p.mask));
                hc_store_pair_release(head, tag | call, tag | hc_mask_low(p.mask));
            }
        }
        if (tagged_reply) {
            GLOBAL const hc_u32 *cells = hc_mail_at(hc, HC_P(reply_cells), p.slot, HC_P(reply_cells_stride));
            hc_u64 a, b = 0u;
            for (;;) {
                a = hc_load64(cells + lane * 2u);
                if (out == 2u) b = hc_load64(cells + (HC_LANES + lane) * 2u);
                if ((hc_u32)(a >> 40) == seq && (out == 1u || (hc_u32)(b >> 40) == seq)) break;
                hc_pause(turns);
                turns++;
            }
            w[0] = (hc_u32)a;
            if (out == 2u) w[1] = (hc_u32)b;
            return (hc_u32)(a >> 32) & 0xffu;
        }
    }
#else
    for (i = 0u; i < in; i++) hc_store(HC_WORD_AT(request, i), w[i]);
    hc_store(head, call);
    hc_store(head + 2, hc_mask_low(p.mask));
    hc_store(head + 3, seq << 8);
    hc_store_release(head + 1, seq << 8);
#endif
    for (;;) {
        /* The tag of the reply header; its own word says whether a row of errnos follows. */
        code = hc_load_acquire(ready + 1);
        if (code >> 8 == seq) break;
        hc_pause(turns);
        turns++;
    }
    HC_UNROLL for (i = 0u; i < HC_MAX_WORDS; i++)
        if (i < out) w[i] = hc_load(HC_WORD_AT(reply, i));
    code &= 0xffu;
    if (code != 0u) code = hc_load(HC_WORD_AT(reply, out));
    return code;
}

/* The general form, once per module. */
HC_NOINLINE hc_u32 hc_transact(HC, hc_port *p, hc_u32 call, hc_u32 in, hc_u32 out, hc_u32 *w) {
    return hc_exchange(hc, *p, call, in, out, w);
}

/* Ends a call: frees the slot, and the lane if the run is over. Gives e. */
HC_INLINE hc_i32 hc_finish(HC, hc_port *p, hc_u32 e) {
    hc_close_port(hc, *p);
    if (e == HC_ERRNO_STOP) {
        hc_stop_lane();
        return HC_ECANCELED;
    }
    return (hc_i32)e;
}

/* A call without bytes. */
HC_NOINLINE hc_i32 hc_simple_call(HC, hc_u32 call, hc_u32 in, hc_u32 out, hc_u32 *w) {
    for (;;) {
        hc_port p;
        if (!hc_open_port(hc, &p, call)) continue;
        return hc_finish(hc, &p, hc_exchange(hc, p, call, in, out, w));
    }
}

/* Sends what is staged and makes room for more bytes of the same call. */
HC_NOINLINE void hc_flush(HC, hc_port *p, hc_u32 call) {
    hc_u32 w[1];
    w[0] = p->staged;
    hc_exchange(hc, *p, call | HC_WITH_BYTES | HC_MORE, 1u, 0u, w);
    p->ticket = hc_next_ticket(hc, p->slot, p->ticket, p->mask);
    p->staged = 0u;
}
