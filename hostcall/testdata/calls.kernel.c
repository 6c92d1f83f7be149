/* The host program's own calls. */

HC_IMPORT(sum);
HC_IMPORT(echo);
HC_IMPORT(digest);
HC_IMPORT(fail);
HC_IMPORT(panics);
HC_IMPORT(even);
HC_IMPORT(odd);
HC_IMPORT(count);
HC_IMPORT(tags);
HC_IMPORT(meet);

/* Every number of words both ways: word i of the answer is the sum of those sent, plus i. */
KERNEL(words, GLOBAL hc_u32 *checks) {
    HC_RESUMABLE;
    const hc_u32 item = hc_global_id();
    hc_u32 in, out, i, w[18];
    for (in = 0u; in <= 16u; in++)
        for (out = 0u; out <= 16u; out += in % 3u + 1u) {
            hc_u32 sum = 0u;
            for (i = 0u; i < 18u; i++) w[i] = i * 1000003u + item;
            for (i = 0u; i < in; i++) sum += w[i];
            EXPECT(hc_call_words(sum, w, in, out), 0);
            for (i = 0u; i < 18u; i++) EXPECT(w[i], i < out ? sum + i : i * 1000003u + item);
        }
    EXPECT(hc_call_words(sum, w, 17u, 0u), -HC_EINVAL);
    EXPECT(hc_call_words(sum, w, 0u, 17u), -HC_EINVAL);
}

/* The counts as constants: short calls have a way of their own. */
KERNEL(short_words, GLOBAL hc_u32 *checks) {
    HC_RESUMABLE;
    const hc_u32 item = hc_global_id();
    hc_u32 w[3];
    w[0] = item; w[1] = 7u; w[2] = 9u;
    EXPECT(hc_call_words(sum, w, 1u, 1u), 0);
    EXPECT(w[0], item);
    w[0] = item;
    EXPECT(hc_call_words(sum, w, 2u, 1u), 0);
    EXPECT(w[0], item + 7u);
    w[0] = item;
    EXPECT(hc_call_words(sum, w, 2u, 2u), 0);
    EXPECT(w[0], item + 7u);
    EXPECT(w[1], item + 8u);
    EXPECT(hc_call_words(sum, w, 0u, 2u), 0);
    EXPECT(w[0], 0);
    EXPECT(w[1], 1);
    EXPECT(hc_call_words(sum, w, 2u, 0u), 0);
    EXPECT(hc_call_words(sum, w, 0u, 0u), 0);
    EXPECT(w[2], 9);
    w[0] = item;
    EXPECT(hc_noop(w), 0);
    EXPECT(w[0], item);
}

/* n bytes there, through the host, and back; the word is their number. */
KERNEL(bytes, GLOBAL hc_u32 *checks, GLOBAL const char *text, GLOBAL char *back, hc_u32 n, hc_i32 most, hc_i32 want) {
    HC_RESUMABLE;
    const hc_u32 item = hc_global_id();
    GLOBAL char *to = back + item * (n + 3u);
    hc_u32 w[1];
    w[0] = n;
    EXPECT(hc_call(echo, w, 1u, 1u, text + item, n, to, most), want);
    if (want >= 0) EXPECT(w[0], n + 1u);
}

/* Each item sends bytes of a length and place of its own, up to many packets. */
KERNEL(large, GLOBAL hc_u32 *checks, GLOBAL const char *text, GLOBAL hc_u32 *sums, hc_u32 step) {
    HC_RESUMABLE;
    const hc_u32 item = hc_global_id();
    char none[1];
    hc_u32 w[15], i;
    for (i = 0u; i < 15u; i++) w[i] = i;
    EXPECT(hc_call(digest, w, 15u, 15u, text + item, item * step, none, 0), 0);
    sums[item] = w[0];
    for (i = 1u; i < 15u; i++) EXPECT(w[i], i + 1u);
    EXPECT(hc_call(digest, w, 16u, 0u, text, 1, none, 0), -HC_EINVAL);
    EXPECT(hc_call(digest, w, 0u, 0u, text, -1, none, 0), -HC_EINVAL);
    EXPECT(hc_call(digest, w, 0u, 0u, text, 1, none, -1), -HC_EINVAL);
}

KERNEL(errors, GLOBAL hc_u32 *checks) {
    HC_RESUMABLE;
    hc_u32 w[1], which[6], want[6], i;
    char c[1];
    want[0] = 0u; want[1] = HC_ENOENT; want[2] = HC_ENOENT; want[3] = HC_EACCES; want[4] = HC_EIO; want[5] = HC_EMSGSIZE;
    for (i = 0u; i < 6u; i++) {
        which[i] = (i + hc_global_id()) % 6u;
        w[0] = which[i];
        EXPECT(hc_call(fail, w, 1u, 0u, c, 0, c, 1), which[i] == 0u ? 0 : -(hc_i32)want[which[i]]);
        w[0] = which[i] == 5u ? 0u : which[i];
        EXPECT(hc_call_words(fail, w, 1u, 1u), which[i] == 5u ? 0 : -(hc_i32)want[which[i]]);
    }
}

KERNEL(panicking, GLOBAL hc_u32 *checks) {
    HC_RESUMABLE;
    hc_u32 w[1];
    w[0] = 1u;
    EXPECT(hc_call_words(panics, w, 1u, 1u), -HC_EFAULT);
    w[0] = 0u;
    EXPECT(hc_call_words(panics, w, 1u, 1u), 0);
    EXPECT(hc_printf("still here\n"), 11);
}

/* A call that waits until all items make it; then one that panics for the odd ones while it waits. */
KERNEL(meeting, GLOBAL hc_u32 *checks, hc_u32 n) {
    HC_RESUMABLE;
    const hc_u32 odd = hc_global_id() % 2u;
    hc_u32 w[1];
    w[0] = n;
    EXPECT(hc_call_words(meet, w, 1u, 1u), 0);
    EXPECT(w[0], n);
    w[0] = odd ? 0u : 1u;
    EXPECT(hc_call_words(meet, w, 1u, 1u), odd ? -HC_EFAULT : 0);
    EXPECT(w[0], odd ? 0u : 1u);
}

/* Odd and even items make distinct calls, in loops of distinct length; some leave early. */
KERNEL(diverge, GLOBAL hc_u32 *checks) {
    HC_RESUMABLE;
    const hc_u32 item = hc_global_id();
    hc_u32 w[2], i;
    if (item % 7u == 6u) return;
    for (i = 0u; i < item % 5u + 1u; i++) {
        w[0] = item;
        w[1] = i;
        if (item % 2u) {
            EXPECT(hc_call_words(odd, w, 1u, 1u), 0);
            EXPECT(w[0], item * 3u);
        } else {
            EXPECT(hc_call_words(even, w, 2u, 2u), 0);
            EXPECT(w[0], item + i);
            EXPECT(w[1], item - i);
        }
        if (item % 9u == 8u && i == 2u) return;
    }
    w[0] = item;
    hc_printf("%u %d %u\n", item, hc_call_words(even, w, 1u, 0u), item % 2u ? (hc_u32)-hc_call_words(fail, w, 1u, 0u) % 2u : (hc_u32)hc_printf("x%u\n", item));
}

/* Every item of every group calls, around barriers when told to. */
KERNEL(crowd, GLOBAL hc_u32 *checks, hc_u32 rounds, hc_u32 barriers) {
    HC_RESUMABLE;
    SHARED hc_u32 group[64];
    const hc_u32 l = hc_local_id(), n = hc_group_size();
    hc_u32 w[2], i;
    for (i = 0u; i < rounds; i++) {
        w[0] = hc_group_id();
        w[1] = l;
        EXPECT(hc_call_words(count, w, 2u, 1u), 0);
        if (barriers) {
            group[l] = w[0] + i;
            hc_barrier();
            EXPECT(group[(l + 1u) % n], hc_group_id() * 1000u + (l + 1u) % n + i);
            hc_barrier();
        } else {
            EXPECT(w[0], hc_group_id() * 1000u + l);
        }
    }
}

KERNEL(cube, GLOBAL hc_u32 *checks, GLOBAL hc_u32 *seen) {
    HC_RESUMABLE;
    hc_u32 w[2], at = (hc_global_id_in(2) * hc_group_count_in(1) * hc_group_size_in(1) + hc_global_id_in(1)) * hc_group_count_in(0) * hc_group_size_in(0) + hc_global_id_in(0);
    w[0] = hc_group_id_in(0) + 10u * hc_group_id_in(1) + 100u * hc_group_id_in(2);
    w[1] = hc_local_id_in(0) + 10u * hc_local_id_in(1) + 100u * hc_local_id_in(2);
    EXPECT(hc_call_words(even, w, 2u, 2u), 0);
    seen[at] = w[0];
}

KERNEL(parameters, GLOBAL hc_u32 *checks, GLOBAL const char *bytes, hc_i32 a, GLOBAL hc_i64 *out, hc_i64 b, float f, hc_u32 c) {
    HC_RESUMABLE;
    EXPECT(bytes[1], 'b');
    EXPECT(a, -5);
    EXPECT(b, -5000000000);
    EXPECT(f == 1.25f, 1);
    EXPECT(c, 4000000000u);
    out[hc_global_id()] = b + c;
}

/* Answers that look like the tags of the answers to come. */
KERNEL(lookalike, GLOBAL hc_u32 *checks) {
    HC_RESUMABLE;
    hc_u32 k, w[4];
    for (k = 0u; k < 20u; k++) {
        w[0] = k;
        EXPECT(hc_call_words(tags, w, 3u, 4u), 0);
        EXPECT(w[0], (2u * k + 2u) << 8);
        w[0] = hc_global_id() + k;
        EXPECT(hc_noop(w), 0);
        EXPECT(w[0], hc_global_id() + k);
    }
}
