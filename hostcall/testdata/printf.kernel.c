/* hc_printf: every kind of argument, every address space, lengths from nothing to many packets. */

CONSTANT char fixed[] = "fixed text";

KERNEL(kinds, GLOBAL hc_u32 *checks, GLOBAL const char *text) {
    HC_RESUMABLE;
    SHARED char group[16];
    char own[8] = "own";
    const char *none = 0;
    GLOBAL const char *nowhere = 0;
    const signed char c = -7;
    const unsigned char uc = 200;
    const short s = -300;
    const unsigned short us = 60000;
    group[0] = 'g'; group[1] = 'r'; group[2] = 'p'; group[3] = 0;
    hc_printf("no arguments, 100%%\n");
    hc_printf("%d %i %u %x %X %o %c\n", -1, 2147483647, 4000000000u, 0xbeefu, 0xBEEFu, 8u, 'c');
    hc_printf("%d %u %d %u\n", c, uc, s, us);
    hc_printf("%lld %llu %llx\n", (hc_i64)-9000000000000000000, (hc_u64)18000000000000000000u, (hc_u64)0x123456789abcdefu);
    hc_printf("%ld %lu %zu\n", (long)-5, (unsigned long)5, sizeof(group));
    hc_printf("[%5d|%-5d|%05d|%+d|% d|%#x|%.3d|%*d|%-*d]\n", 42, 42, 42, 42, 42, 42, 7, 6, 1, 6, 2);
    hc_printf("%f %.2f %e %g %G %a\n", 1.5f, 2.25f, 12345.0f, 0.0001f, 1e20f, 1.0f);
#ifdef HC_DOUBLE
    hc_printf("%.17g %.3f\n", (double)0.1, (double)-1e10);
#else
    hc_printf("0.10000000000000001 -10000000000.000\n");
#endif
    hc_printf("%s %s %s %s %s\n", "literal", own, group, text, fixed);
    hc_printf("%s %s [%.2s] [%8s] [%-8s]\n", none, nowhere, "abcdef", own, group);
    hc_printf("%s|%s|%s|\n", hc_span(text, 3), hc_span("ab\0cd", 5), hc_span(own, 0));
    hc_printf("%p %p\n", nowhere, none);
    hc_printf("%d %d %d %d %d %d %d %d %d %d %d %d\n", 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12);
    hc_printf("%s%s%s%s%s%s%s%s%s%s%s%s\n", "a", own, text, "", "c", group, fixed, "f", "g", own, "i", "j");
    EXPECT(hc_printf("%s", "12345\n"), 6);
    EXPECT(hc_printf(""), 0);
    EXPECT(hc_printf("nested %d %d\n", hc_printf("inner %d\n", 7), hc_printf("%s\n", "second")), 11);
    EXPECT(hc_fprintf(77, "nowhere"), -HC_EBADF);
    EXPECT(hc_fprintf(77, ""), -HC_EBADF);
    EXPECT(hc_fprintf(0, "nowhere"), -HC_EBADF);
    hc_printf(text);
    hc_puts("\nputs: ");
    hc_puts(text);
    hc_puts(own);
    hc_puts(group);
    hc_puts(fixed);
    hc_puts("\n");
}

KERNEL(wrong, GLOBAL hc_u32 *checks) {
    HC_RESUMABLE;
    EXPECT(hc_printf("%d %d\n", 1), -HC_EINVAL);
    EXPECT(hc_printf("%s\n", 1), -HC_EINVAL);
    EXPECT(hc_printf("%n\n", 1), -HC_EINVAL);
    EXPECT(hc_printf("%d\n", "text"), -HC_EINVAL);
    EXPECT(hc_printf("ok\n"), 3);
}

/* One lane prints n bytes of text. */
KERNEL(one, GLOBAL hc_u32 *checks, GLOBAL const char *text, hc_u32 n) {
    HC_RESUMABLE;
    if (hc_global_id() == 0u) EXPECT(hc_printf("<%s>\n", hc_span(text, n)), n + 3u);
}

/* Each lane prints another length, in between another argument, with a number of arguments of its own. */
KERNEL(lengths, GLOBAL hc_u32 *checks, GLOBAL const char *text, hc_u32 step) {
    HC_RESUMABLE;
    const hc_u32 i = hc_global_id(), n = i * step;
    EXPECT(hc_printf("%u %s %u %s %d\n", i, hc_span(text, n), n, hc_span(text + i, i % 7u), -(int)i),
           (i > 9u ? 2 : 1) + 1 + n + 1 + (n > 9999u ? 5 : n > 999u ? 4 : n > 99u ? 3 : n > 9u ? 2 : 1) + 1 + i % 7u + 1 + (i == 0u ? 1 : i > 9u ? 3 : 2) + 1);
}

/* Lanes reach different calls of hc_printf, in loops of different length, and some leave early. */
KERNEL(divergent) {
    const hc_u32 i = hc_global_id();
    hc_u32 k;
    if (i % 11u == 10u) return;
    for (k = 0u; k <= i % 4u; k++) {
        switch ((i + k) % 5u) {
        case 0u: hc_printf("%u.%u zero\n", i, k); break;
        case 1u: hc_printf("%u.%u one %s\n", i, k, "text"); break;
        case 2u: hc_printf("%u.%u two %s %lld\n", i, k, "a longer text, to differ", (hc_i64)i << 32); break;
        case 3u:
            if (i % 2u) hc_printf("%u.%u three, odd\n", i, k);
            else hc_printf("%u.%u three, even %u %u\n", i, k, i, k);
            break;
        default: hc_fprintf(2, "%u.%u error\n", i, k);
        }
    }
    if (i % 3u == 0u) return;
    hc_printf("%u end\n", i);
}

/* Text of every address space at once, longer than a lane's share where lanes share. */
KERNEL(spaces, GLOBAL const char *text, hc_u32 n) {
    SHARED char group[1000];
    char own[1000];
    hc_u32 i;
    for (i = 0u; i < 1000u; i++) own[i] = text[i];
    if (hc_local_id() == 0u)
        for (i = 0u; i < 1000u; i++) group[i] = text[i];
    hc_barrier();
    hc_printf("%u %s %s %s\n", hc_global_id(), hc_span(own, n - hc_local_id()), hc_span(group, n), hc_span(text, n - 3u * hc_local_id()));
    hc_write(1, own, n);
    hc_write(1, group + 1, n - 1u);
    hc_write(1, text + 2, n - 2u);
    hc_write(1, "\n", 1);
}
