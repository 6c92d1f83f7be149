/* Bytes between views, rooms and a port's share of the bulk memory. */

HC_INLINE hc_u8 hc_byte_at(hc_view v, hc_u32 i) {
#ifdef HC_ONE_SPACE
    return v.any[i];
#else
    return v.space == 0u ? v.in_own[i] : v.space == 1u ? v.in_global[i] : v.space == 2u ? v.in_group[i] : v.in_fixed[i];
#endif
}

/* Length of the C string in v, at most most + 1. */
HC_INLINE hc_u32 hc_length(hc_view v, hc_u32 most) {
    hc_u32 n = 0u;
    while (n <= most && hc_byte_at(v, n) != 0u) n++;
    return n;
}

/* n bytes of a view, from offset on, to memory of words. */
HC_INLINE void hc_copy_from(GLOBAL hc_u32 *to, hc_view v, hc_u32 offset, hc_u32 n) {
#ifdef HC_ONE_SPACE
    hc_copy_in(to, v.any + offset, n);
#else
    if (v.space == 0u) hc_copy_in(to, v.in_own + offset, n);
    else if (v.space == 1u) hc_copy_in(to, v.in_global + offset, n);
    else if (v.space == 2u) hc_copy_in(to, v.in_group + offset, n);
    else hc_copy_in(to, v.in_fixed + offset, n);
#endif
}

/* n bytes to a room, from offset on. */
HC_INLINE void hc_copy_to(hc_room r, hc_i64 offset, GLOBAL const hc_u32 *from, hc_u32 n) {
#ifdef HC_ONE_SPACE
    hc_copy_out(r.any + offset, from, n);
#else
    if (r.space == 0u) hc_copy_out(r.in_own + offset, from, n);
    else if (r.space == 1u) hc_copy_out(r.in_global + offset, from, n);
    else hc_copy_out(r.in_group + offset, from, n);
#endif
}

/* Stages at most n bytes from offset of v, as many as fit. */
HC_INLINE hc_u32 hc_stage(HC, hc_port *p, hc_view v, hc_u32 offset, hc_u32 n) {
    GLOBAL hc_u32 *to;
    if (n > p->share - p->staged) n = p->share - p->staged;
    to = hc_bulk_in(hc, p, n);
    if (hc_sends(to)) hc_copy_from(to, v, offset, n);
    p->staged += n;
    return n;
}

/* Stages all n bytes, sending full shares ahead as long as any lane has more than fits; then fills
   up to a word. Lanes of a port take part together, also those with nothing to send. */
HC_NOINLINE void hc_put(HC, hc_port *p, hc_u32 call, hc_view v, hc_u32 n) {
    hc_u32 done = 0u;
    for (;;) {
        if (done < n) done += hc_stage(hc, p, v, done, n - done);
        if (!hc_any(p->mask, done < n)) break;
        if (done == n) p->staged = (p->staged + 3u) & ~3u; /* others go on: this lane's end is in this packet */
        hc_flush(hc, p, call);
    }
    p->staged = (p->staged + 3u) & ~3u;
}

/* Appends up to three words; n may be 0 for lanes that only take part. */
HC_INLINE void hc_put_words(HC, hc_port *p, hc_u32 call, hc_u32 n, hc_u32 a, hc_u32 b, hc_u32 c) {
    GLOBAL hc_u32 *to;
    if (hc_any(p->mask, p->staged + 4u * n > p->share)) hc_flush(hc, p, call);
    to = hc_bulk_in(hc, p, 4u * n);
    if (hc_sends(to)) {
        if (n > 0u) hc_store(to, a);
        if (n > 1u) hc_store(to + 1, b);
        if (n > 2u) hc_store(to + 2, c);
    }
    p->staged += 4u * n;
}

/* Stores n received bytes. */
HC_INLINE void hc_get(HC, const hc_port *p, hc_room r, hc_i64 offset, hc_u32 n) { hc_copy_to(r, offset, hc_bulk_out(hc, p), n); }
