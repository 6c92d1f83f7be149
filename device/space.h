/* Taken in once for each address space of the dialect: HC_SPACE is its qualifier, HC_FIELD the
   member of hc_view (and hc_room) that points there, HC_SPACE_ID its number. The rest of the
   library is written once, over views. */

HC_OVERLOAD hc_view hc_from(HC_SPACE const void *p) {
    hc_view v = HC_ZERO;
    v.space = HC_SPACE_ID;
    v.HC_FIELD = (HC_SPACE const hc_u8 *)p;
    return v;
}

#ifndef HC_SPACE_CONSTANT
HC_OVERLOAD hc_room hc_to(HC_SPACE void *p) {
    hc_room r = HC_ZERO;
    r.space = HC_SPACE_ID;
    r.HC_FIELD = (HC_SPACE hc_u8 *)p;
    return r;
}
#endif

/* Copies n bytes into bulk memory; to is 4-byte aligned, what is left of its last word becomes 0. */
HC_OVERLOAD void hc_copy_in(GLOBAL hc_u32 *to, HC_SPACE const hc_u8 *from, hc_u32 n) {
    hc_u32 i = 0u;
#ifdef HC_WORD_COPIES
    if (((hc_size)from & 3u) == 0u) {
        if ((((hc_size)from | (hc_size)to) & 15u) == 0u)
            for (; i + 16u <= n; i += 16u) hc_store_16(to + i / 4u, from + i);
        for (; i + 4u <= n; i += 4u) hc_store(to + i / 4u, *(HC_SPACE const hc_u32 *)(from + i));
    }
#endif
    for (; i + 4u <= n; i += 4u)
        hc_store(to + i / 4u, (hc_u32)from[i] | (hc_u32)from[i + 1u] << 8 | (hc_u32)from[i + 2u] << 16 | (hc_u32)from[i + 3u] << 24);
    if (i < n) {
        hc_u32 last = 0u, k = 0u;
        for (; i + k < n; k++) last |= (hc_u32)from[i + k] << (k * 8u);
        hc_store(to + i / 4u, last);
    }
}

#ifndef HC_SPACE_CONSTANT
/* Copies n bytes out of bulk memory; from is 4-byte aligned. */
HC_OVERLOAD void hc_copy_out(HC_SPACE hc_u8 *to, GLOBAL const hc_u32 *from, hc_u32 n) {
    hc_u32 i = 0u;
#ifdef HC_WORD_COPIES
    if (((hc_size)to & 3u) == 0u) {
        if ((((hc_size)from | (hc_size)to) & 15u) == 0u)
            for (; i + 64u <= n; i += 64u) hc_load_64(to + i, from + i / 4u);
        for (; i + 4u <= n; i += 4u) *(HC_SPACE hc_u32 *)(to + i) = hc_load(from + i / 4u);
    }
#endif
    for (; i + 4u <= n; i += 4u) {
        hc_u32 v = hc_load(from + i / 4u);
        to[i] = (hc_u8)v;
        to[i + 1u] = (hc_u8)(v >> 8);
        to[i + 2u] = (hc_u8)(v >> 16);
        to[i + 3u] = (hc_u8)(v >> 24);
    }
    if (i < n) {
        hc_u32 v = hc_load(from + i / 4u);
        for (; i < n; i++, v >>= 8) to[i] = (hc_u8)v;
    }
}
#endif

/* Text with its length, for %s of bytes that have no terminator or contain NULs. */
HC_OVERLOAD hc_value hc_span(HC_SPACE const void *text, hc_u32 n) {
    hc_value v = HC_ZERO;
    v.kind = HC_PRINT_STRING;
    v.bits = n;
    v.text = hc_from(text);
    return v;
}

HC_OVERLOAD hc_value HC_ARG(string)(HC_SPACE const char *s) {
    hc_value v = HC_ZERO;
    v.kind = HC_PRINT_NULL;
    if (s != 0) {
        v.kind = HC_PRINT_STRING;
        while (s[v.bits] != 0 && v.bits < 0x7fffffffu) v.bits++;
        v.text = hc_from((HC_SPACE const void *)s);
    }
    return v;
}

HC_OVERLOAD hc_value HC_ARG(pointer)(HC_SPACE const void *p) {
    hc_value v = HC_ZERO;
    v.kind = HC_PRINT_POINTER;
    v.bits = (hc_u64)(hc_size)p;
    return v;
}
