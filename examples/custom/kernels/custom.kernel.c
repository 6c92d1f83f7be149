/* Lanes that look words up in a table of the host program: see main.go. */
HC_IMPORT(lookup);
HC_IMPORT(count);

KERNEL(custom) {
    const hc_u32 id = hc_global_id();
    char answer[32], key[8] = "item-0";
    hc_u32 w[2];
    hc_i64 n;

    HC_RESUMABLE; /* where calls cannot be answered while a kernel runs, it is started again with the answers */

    /* Words there and back: ids go out, a running total comes back. */
    w[0] = id;
    w[1] = 0u;
    hc_assert(hc_call_words(count, w, 1u, 2u) == 0);

    /* Bytes there and back: a key goes out, its value comes back; the words carry its length as well. */
    key[5] = (char)('0' + id % 10u);
    n = hc_call(lookup, w, 0u, 1u, key, 6, answer, (hc_i64)sizeof(answer));
    if (n >= 0)
        hc_printf("lane %u: %s is %s (%u bytes)\n", id, key, hc_span(answer, (hc_u32)n), w[0]);
    else
        hc_printf("lane %u: %s is not there (error %d)\n", id, key, (int)-n); /* the Go function's own error */
}
