/* Fills orders from a warehouse that is a Go map in the host program. Each work-item fills one. */

HC_IMPORT(reserve); /* words: quantity -> what is left; bytes: item -> shelf */
HC_IMPORT(book);    /* words: order, errno -> orders booked so far */

typedef struct {
    char item[24]; /* terminated */
    hc_u32 quantity;
} order;

DEVICE hc_u32 length_of(GLOBAL const char *s) {
    hc_u32 n = 0u;
    while (s[n] != 0) n++;
    return n;
}

KERNEL(fill, GLOBAL const order *orders, int count) {
    const hc_u32 i = hc_global_id();
    char shelf[16];
    hc_u32 w[2];
    hc_i64 n;
    if (i >= (hc_u32)count) return;

    w[0] = orders[i].quantity;
    n = hc_call(reserve, w, 1, 1, orders[i].item, length_of(orders[i].item), shelf, sizeof(shelf));
    if (n >= 0)
        hc_printf("order %u: %u x %s from shelf %s, %u left\n", i, orders[i].quantity, orders[i].item, hc_span(shelf, (hc_u32)n), w[0]);
    else
        hc_printf("order %u: %u x %s: %s\n", i, orders[i].quantity, orders[i].item,
            n == -HC_ENOENT ? "no such item" : n == -HC_ENOSPC ? "not enough of it" : "error");

    w[0] = i;
    w[1] = n < 0 ? (hc_u32)-n : 0u;
    hc_assert(hc_call_words(book, w, 2, 1) == 0);
}
