/* The calls as kernels write them; each macro hands on the context named hc.
   Results are values, or a negative HC_E* number. */

/* --- the program --- */
#define hc_argc() ((hc_i32)HC_P(argc))
/* Argument i, terminated; 0 is the program's name. A null pointer past the last. */
#define hc_argv(i) ((hc_u32)(i) < HC_P(argc) ? hc_string_at(hc, (hc_u32)(i)) : (GLOBAL const char *)0)
/* Not 0 once the run is over: leave long loops. */
#define hc_cancelled() (hc_breathe(), (hc_i32)hc_load(hc_mail_ + HC_CONTROL_ABORT))

/* The value of an environment variable, 0 if there is none; served by the device. */
HC_NOINLINE GLOBAL const char *hc_getenv_(HC, hc_view name) {
    GLOBAL const char *s = hc_string_at(hc, HC_P(argc));
    hc_u32 i, k;
    for (i = 0u; i < HC_P(envc); i++) {
        for (k = 0u; hc_byte_at(name, k) != 0u && (hc_u8)s[k] == hc_byte_at(name, k); k++) {}
        if (hc_byte_at(name, k) == 0u && s[k] == '=') return s + k + 1;
        while (*s) s++;
        s++;
    }
    return 0;
}
#define hc_getenv(name) hc_getenv_(hc, hc_from(name))

HC_NOINLINE void hc_exit_(HC, hc_i32 code) {
    hc_u32 w[1];
    w[0] = (hc_u32)code;
    hc_simple_call(hc, HC_OP_EXIT, 1u, 0u, w);
}
#define hc_exit(code) hc_exit_(hc, code)

HC_NOINLINE void hc_fail_(HC, hc_u32 call, hc_u32 line, hc_view text, hc_u32 n) {
    for (;;) {
        hc_port p;
        hc_u32 w[2];
        if (!hc_open_bulk_port(hc, &p, call)) continue;
        hc_put(hc, &p, call, text, n);
        w[0] = n <= p.share ? n : p.staged;
        w[1] = line;
        hc_finish(hc, &p, hc_transact(hc, &p, call | HC_WITH_BYTES, 2u, 0u, w));
        return;
    }
}
#define hc_abort(message) hc_fail_(hc, HC_OP_ABORT, __LINE__, hc_from(message), (hc_u32)sizeof(message) - 1u)
#define hc_assert(condition) \
    ((condition) ? (void)0 : hc_fail_(hc, HC_OP_ASSERT, __LINE__, hc_from(__FILE__ "\0" #condition), (hc_u32)sizeof(__FILE__ "\0" #condition) - 1u))

/* --- streams and files --- */

/* One write of at most a share; at < 0 writes at the descriptor's position. */
HC_NOINLINE hc_i64 hc_write_some(HC, hc_i32 fd, hc_view from, hc_u32 offset, hc_u32 n, hc_i64 at) {
    const hc_u32 call = at < 0 ? HC_OP_WRITE : HC_OP_PWRITE;
    for (;;) {
        hc_port p;
        hc_u32 w[4];
        hc_i32 e;
        if (!hc_open_bulk_port(hc, &p, call)) continue;
        hc_stage(hc, &p, from, offset, n);
        w[0] = p.staged;
        w[1] = (hc_u32)fd;
        w[2] = (hc_u32)(hc_u64)at;
        w[3] = (hc_u32)((hc_u64)at >> 32);
        e = hc_finish(hc, &p, hc_transact(hc, &p, call | HC_WITH_BYTES, 4u, 1u, w));
        return e ? -(hc_i64)e : (hc_i64)w[0];
    }
}

HC_NOINLINE hc_i64 hc_write_(HC, hc_i32 fd, hc_view from, hc_i64 n, hc_i64 at) {
    hc_i64 done = 0;
    if (n < 0 || n > 0x7fffffff || at < -1) return -HC_EINVAL;
    do {
        const hc_i64 k = hc_write_some(hc, fd, from, (hc_u32)done, (hc_u32)(n - done), at < 0 ? at : at + done);
        if (k < 0) return done > 0 ? done : k;
        if (k == 0) break;
        done += k;
    } while (done < n);
    return done;
}
/* Writes n bytes, in pieces if they do not fit into one packet, and gives the number written: fewer
   than n only where the host wrote less or an error came after the first piece. */
#define hc_write(fd, from, n) hc_write_(hc, fd, hc_from(from), n, -1)
/* The same at an offset; the descriptor's position stays. */
#define hc_pwrite(fd, from, n, at) ((at) < 0 ? -HC_EINVAL : hc_write_(hc, fd, hc_from(from), n, at))

HC_INLINE hc_i64 hc_puts_(HC, hc_view s) { return hc_write_(hc, 1, s, (hc_i64)hc_length(s, 0x7ffffffeu), -1); }
/* Prints a C string on standard output as it is. */
#define hc_puts(text) hc_puts_(hc, hc_from(text))

HC_NOINLINE hc_i64 hc_read_(HC, hc_u32 call, hc_i32 fd, hc_room to, hc_i64 offset, hc_i64 n, hc_i64 at) {
    if (n < 0 || at < 0) return -HC_EINVAL;
    for (;;) {
        hc_port p;
        hc_u32 w[5], want;
        hc_i32 e;
        if (!hc_open_bulk_port(hc, &p, call)) continue;
        want = n > (hc_i64)p.share ? p.share : (hc_u32)n;
        w[0] = 0u;
        w[1] = (hc_u32)fd;
        w[2] = want;
        w[3] = (hc_u32)(hc_u64)at;
        w[4] = (hc_u32)((hc_u64)at >> 32);
        e = (hc_i32)hc_transact(hc, &p, call | HC_WITH_BYTES, 5u, 1u, w);
        if (e == 0) {
            if (w[0] > want) w[0] = want;
            hc_get(hc, &p, to, offset, w[0]);
        }
        e = hc_finish(hc, &p, (hc_u32)e);
        return e ? -(hc_i64)e : (hc_i64)w[0];
    }
}
/* Reads at most n bytes and gives their number, 0 at the end; short as read(2) may be. */
#define hc_read(fd, to, n) hc_read_(hc, HC_OP_READ, fd, hc_to(to), 0, n, 0)
/* The same at an offset; the descriptor's position stays. */
#define hc_pread(fd, to, n, at) hc_read_(hc, HC_OP_PREAD, fd, hc_to(to), 0, n, at)

/* Calls whose bytes are one path. */
HC_NOINLINE hc_i32 hc_path_call(HC, hc_u32 call, hc_view path, hc_u32 a, hc_u32 b, hc_u32 in, hc_u32 out, hc_u32 *w) {
    const hc_u32 n = hc_length(path, HC_PATH_MAX); /* one too long goes out as well: the host refuses it */
    for (;;) {
        hc_port p;
        if (!hc_open_bulk_port(hc, &p, call | in << HC_IN_SHIFT | out << HC_OUT_SHIFT)) continue;
        hc_put_words(hc, &p, call, 1u, n, 0u, 0u);
        hc_put(hc, &p, call, path, n);
        w[0] = p.staged;
        w[1] = a;
        w[2] = b;
        return hc_finish(hc, &p, hc_transact(hc, &p, call | HC_WITH_BYTES, in, out, w));
    }
}

HC_INLINE hc_i32 hc_open_(HC, hc_view path, hc_u32 flags, hc_u32 mode) {
    hc_u32 w[3];
    const hc_i32 e = hc_path_call(hc, HC_OP_OPEN, path, flags, mode, 3u, 1u, w);
    return e ? -e : (hc_i32)w[0];
}
/* Opens a file: HC_O_* flags, permissions of a new file. Gives a descriptor. */
#define hc_open(path, flags, mode) hc_open_(hc, hc_from(path), flags, mode)

HC_INLINE hc_i32 hc_path_only(HC, hc_u32 call, hc_view path, hc_u32 mode) {
    hc_u32 w[3];
    return -hc_path_call(hc, call, path, mode, 0u, 2u, 0u, w);
}
#define hc_mkdir(path, mode) hc_path_only(hc, HC_OP_MKDIR, hc_from(path), mode)
#define hc_unlink(path) hc_path_only(hc, HC_OP_UNLINK, hc_from(path), 0u)
#define hc_rmdir(path) hc_path_only(hc, HC_OP_RMDIR, hc_from(path), 0u)

HC_INLINE hc_i32 hc_stat_(HC, hc_view path, hc_stat_t *to) {
    hc_u32 w[12];
    const hc_i32 e = hc_path_call(hc, HC_OP_STAT, path, 0u, 0u, 2u, 12u, w);
    if (!e) hc_unpack_stat(to, w);
    return -e;
}
#define hc_stat(path, to) hc_stat_(hc, hc_from(path), to)

HC_NOINLINE hc_i32 hc_rename_(HC, hc_view from, hc_view to) {
    const hc_u32 n = hc_length(from, HC_PATH_MAX), m = hc_length(to, HC_PATH_MAX);
    for (;;) {
        hc_port p;
        hc_u32 w[1];
        if (!hc_open_bulk_port(hc, &p, HC_OP_RENAME)) continue;
        hc_put_words(hc, &p, HC_OP_RENAME, 1u, n, 0u, 0u);
        hc_put(hc, &p, HC_OP_RENAME, from, n);
        hc_put_words(hc, &p, HC_OP_RENAME, 1u, m, 0u, 0u);
        hc_put(hc, &p, HC_OP_RENAME, to, m);
        w[0] = p.staged;
        return -hc_finish(hc, &p, hc_transact(hc, &p, HC_OP_RENAME | HC_WITH_BYTES, 1u, 0u, w));
    }
}
#define hc_rename(from, to) hc_rename_(hc, hc_from(from), hc_from(to))

HC_NOINLINE hc_i32 hc_fd_call(HC, hc_u32 call, hc_i32 fd) {
    hc_u32 w[1];
    w[0] = (hc_u32)fd;
    return -hc_simple_call(hc, call, 1u, 0u, w);
}
#define hc_close(fd) hc_fd_call(hc, HC_OP_CLOSE, fd)
#define hc_fsync(fd) hc_fd_call(hc, HC_OP_FSYNC, fd)

HC_NOINLINE hc_i64 hc_lseek_(HC, hc_i32 fd, hc_i64 offset, hc_i32 whence) {
    hc_u32 w[4];
    hc_i32 e;
    w[0] = (hc_u32)fd;
    w[1] = (hc_u32)whence;
    w[2] = (hc_u32)(hc_u64)offset;
    w[3] = (hc_u32)((hc_u64)offset >> 32);
    e = hc_simple_call(hc, HC_OP_SEEK, 4u, 2u, w);
    return e ? -(hc_i64)e : (hc_i64)hc_join(w[0], w[1]);
}
/* Moves the position: whence is HC_SEEK_SET, HC_SEEK_CUR or HC_SEEK_END. Gives the new one. */
#define hc_lseek(fd, offset, whence) hc_lseek_(hc, fd, offset, whence)

HC_NOINLINE hc_i32 hc_ftruncate_(HC, hc_i32 fd, hc_i64 size) {
    hc_u32 w[3];
    w[0] = (hc_u32)fd;
    w[1] = (hc_u32)(hc_u64)size;
    w[2] = (hc_u32)((hc_u64)size >> 32);
    return -hc_simple_call(hc, HC_OP_TRUNCATE, 3u, 0u, w);
}
#define hc_ftruncate(fd, size) hc_ftruncate_(hc, fd, size)

HC_NOINLINE hc_i32 hc_fstat_(HC, hc_i32 fd, hc_stat_t *to) {
    hc_u32 w[12];
    hc_i32 e;
    w[0] = (hc_u32)fd;
    e = hc_simple_call(hc, HC_OP_FSTAT, 1u, 12u, w);
    if (!e) hc_unpack_stat(to, w);
    return -e;
}
#define hc_fstat(fd, to) hc_fstat_(hc, fd, to)

HC_NOINLINE hc_i32 hc_readdir_(HC, hc_i32 fd, hc_dirent *entry) {
    for (;;) {
        hc_port p;
        hc_u32 w[6], i;
        hc_i32 e;
        if (!hc_open_bulk_port(hc, &p, HC_OP_READDIR)) continue;
        w[0] = 0u;
        w[1] = (hc_u32)fd;
        w[2] = (hc_u32)entry->cookie;
        w[3] = (hc_u32)(entry->cookie >> 32);
        e = (hc_i32)hc_transact(hc, &p, HC_OP_READDIR | HC_WITH_BYTES, 4u, 6u, w);
        if (e == 0) {
            GLOBAL const hc_u32 *from = hc_bulk_out(hc, &p);
            entry->cookie = hc_join(w[0], w[1]);
            entry->inode = hc_join(w[2], w[3]);
            entry->kind = w[4];
            entry->length = w[5] > 255u ? 255u : w[5];
            for (i = 0u; i < entry->length; i++) entry->name[i] = (char)(hc_load(from + i / 4u) >> (i % 4u * 8u));
            entry->name[entry->length] = 0;
        }
        e = hc_finish(hc, &p, (hc_u32)e);
        return e ? -e : entry->length != 0u;
    }
}
/* Reads one entry of an open directory, from entry->cookie on. Gives 1, or 0 at the end. */
#define hc_readdir(fd, entry) hc_readdir_(hc, fd, entry)

/* --- time and chance --- */
#define HC_CLOCK_REALTIME 0
#define HC_CLOCK_MONOTONIC 1

HC_NOINLINE hc_i32 hc_host_clock(HC, hc_u32 clock, hc_timespec *to) {
    hc_u32 w[3];
    hc_i32 e;
    w[0] = clock;
    e = hc_simple_call(hc, HC_OP_CLOCK, 1u, 3u, w);
    if (!e) {
        to->seconds = (hc_i64)hc_join(w[0], w[1]);
        to->nanoseconds = w[2];
    }
    return -e;
}

HC_INLINE hc_i64 hc_monotonic_ns_(HC) {
#ifdef HC_DEVICE_CLOCK
    return (hc_i64)(HC_DEVICE_CLOCK_NS() + hc_join(HC_P(clock_low), HC_P(clock_high)));
#else
    hc_timespec t;
    const hc_i32 e = hc_host_clock(hc, HC_CLOCK_MONOTONIC, &t);
    return e ? (hc_i64)e : t.seconds * 1000000000 + (hc_i64)t.nanoseconds;
#endif
}
/* Nanoseconds of a clock that never goes back; the device's own where the plan says so. */
#define hc_monotonic_ns() hc_monotonic_ns_(hc)

HC_INLINE hc_i32 hc_clock_gettime_(HC, hc_i32 clock, hc_timespec *to) {
#ifdef HC_DEVICE_CLOCK
    if (clock == HC_CLOCK_MONOTONIC) {
        const hc_i64 ns = hc_monotonic_ns_(hc);
        to->seconds = ns / 1000000000;
        to->nanoseconds = (hc_u32)(ns % 1000000000);
        return 0;
    }
#endif
    return hc_host_clock(hc, (hc_u32)clock, to);
}
#define hc_clock_gettime(clock, to) hc_clock_gettime_(hc, clock, to)

HC_NOINLINE hc_i32 hc_nanosleep_(HC, hc_i64 ns) {
    hc_u32 w[2];
    w[0] = (hc_u32)(hc_u64)ns;
    w[1] = (hc_u32)((hc_u64)ns >> 32);
    return -hc_simple_call(hc, HC_OP_SLEEP, 2u, 0u, w);
}
#define hc_nanosleep(ns) hc_nanosleep_(hc, ns)

HC_NOINLINE hc_i32 hc_random_(HC, hc_room to, hc_i64 n) {
    hc_i64 done = 0;
    if (n < 0) return -HC_EINVAL;
    while (done < n) {
        const hc_i64 k = hc_read_(hc, HC_OP_RANDOM, 0, to, done, n - done, 0);
        if (k < 0) return (hc_i32)k;
        done += k;
    }
    return 0;
}
/* Fills n bytes with random ones; gives 0 or a negative errno. */
#define hc_random(to, n) hc_random_(hc, hc_to(to), n)

/* --- the program's own calls --- */

/* Names a Go function of the host program. Loading fails if it is not registered. */
#define HC_IMPORT(name) enum { HC_IMPORTED_##name = HC_CALL_##name }

HC_INLINE hc_i32 hc_exchange_words(HC, hc_u32 call, hc_u32 *w, hc_u32 in, hc_u32 out) {
    if (in > HC_MAX_WORDS || out > HC_MAX_WORDS) return HC_EINVAL;
    for (;;) {
        hc_port p;
        if (!hc_open_port(hc, &p, call | in << HC_IN_SHIFT | out << HC_OUT_SHIFT)) continue;
        return hc_finish(hc, &p, hc_exchange(hc, p, call, in, out, w));
    }
}
/* Calls it with w[0..in) and gets w[0..out) back, at most HC_MAX_WORDS each way; gives 0 or a
   negative errno. */
#define hc_call_words(name, w, in, out) (-hc_exchange_words(hc, HC_CALL_##name, w, in, out))
/* The empty call: a word there and back, for measuring. */
#define hc_noop(w) (-hc_exchange_words(hc, HC_OP_NOOP, w, 1u, 1u))

HC_NOINLINE hc_i64 hc_call_(HC, hc_u32 call, hc_u32 *w, hc_u32 in, hc_u32 out, hc_view from, hc_i64 n, hc_room to, hc_i64 most) {
    if (n < 0 || n > 0x7fffffff || most < 0 || in >= HC_MAX_WORDS || out >= HC_MAX_WORDS) return -HC_EINVAL;
    for (;;) {
        hc_u32 x[HC_MAX_WORDS], i, got;
        hc_i32 e;
        hc_port p;
        if (!hc_open_bulk_port(hc, &p, call | in << HC_IN_SHIFT | out << HC_OUT_SHIFT)) continue;
        hc_put_words(hc, &p, call, 1u, (hc_u32)n, 0u, 0u);
        hc_put(hc, &p, call, from, (hc_u32)n);
        x[0] = p.staged;
        for (i = 0u; i < in; i++) x[i + 1u] = w[i];
        e = (hc_i32)hc_transact(hc, &p, call | HC_WITH_BYTES, in + 1u, out + 1u, x);
        got = x[0];
        if (e == 0) {
            for (i = 0u; i < out; i++) w[i] = x[i + 1u];
            if (got > p.share) got = p.share;
            hc_get(hc, &p, to, 0, (hc_i64)got > most ? (hc_u32)most : got);
        }
        e = hc_finish(hc, &p, (hc_u32)e);
        return e ? -(hc_i64)e : (hc_i64)got;
    }
}
/* The same with n bytes sent and up to most received, at most HC_MAX_WORDS - 1 words each way; gives
   the number of bytes that came back, of which at most `most` were stored, or a negative errno. */
#define hc_call(name, w, in, out, from, n, to, most) \
    hc_call_(hc, HC_CALL_##name, w, in, out, hc_from(from), n, hc_to(to), most)

/* --- printf: the host renders the line as C's printf does --- */

#define HC_SCALAR_ARG(type, name, what, value)   \
    HC_OVERLOAD hc_value HC_ARG(name)(type x) {  \
        hc_value v = HC_ZERO;                    \
        v.kind = what;                           \
        v.bits = value;                          \
        return v;                                \
    }
HC_INLINE hc_u32 hc_float_bits(float f) {
    union { float f; hc_u32 u; } x;
    x.f = f;
    return x.u;
}
HC_SCALAR_ARG(int, i32, HC_PRINT_INT32, (hc_u32)x)
HC_SCALAR_ARG(unsigned int, u32, HC_PRINT_UINT32, x)
HC_SCALAR_ARG(long, long, sizeof(long) == 8 ? HC_PRINT_INT64 : HC_PRINT_INT32, (hc_u64)x)
HC_SCALAR_ARG(unsigned long, ulong, sizeof(long) == 8 ? HC_PRINT_UINT64 : HC_PRINT_UINT32, x)
#if (defined(HC_GENERIC) || defined(HC_CPLUSPLUS)) && !defined(HC_NO_LONG_LONG)
HC_SCALAR_ARG(long long, i64, HC_PRINT_INT64, (hc_u64)x)
HC_SCALAR_ARG(unsigned long long, u64, HC_PRINT_UINT64, x)
#endif
HC_SCALAR_ARG(float, f32, HC_PRINT_FLOAT32, hc_float_bits(x))
#ifdef HC_DOUBLE
HC_INLINE hc_u64 hc_double_bits(double f) {
    union { double f; hc_u64 u; } x;
    x.f = f;
    return x.u;
}
HC_SCALAR_ARG(double, f64, HC_PRINT_FLOAT64, hc_double_bits(x))
#endif
HC_OVERLOAD hc_value HC_ARG(value)(hc_value v) { return v; } /* an hc_span */

#ifdef HC_GENERIC
#define HC_V(x) _Generic((x), char: hc_arg_i32, signed char: hc_arg_i32, unsigned char: hc_arg_i32, \
    short: hc_arg_i32, unsigned short: hc_arg_i32, _Bool: hc_arg_i32, int: hc_arg_i32, unsigned int: hc_arg_u32, \
    long: hc_arg_long, unsigned long: hc_arg_ulong, long long: hc_arg_i64, unsigned long long: hc_arg_u64, \
    float: hc_arg_f32, double: hc_arg_f64, char *: hc_arg_string, const char *: hc_arg_string, \
    hc_value: hc_arg_value, default: hc_arg_pointer)(x)
#else
#define HC_V(x) hc_arg(x)
#endif

/* Format first, then the arguments: the kind in a word, then the value in one or two, or a text's
   length and bytes. Lanes of one port may differ in all of it and still take the same steps. */
HC_NOINLINE hc_i32 hc_print(HC, hc_i32 fd, hc_u32 n, const hc_values v) {
    for (;;) {
        hc_port p;
        hc_u32 w[2], i;
        hc_i32 e;
        if (!hc_open_bulk_port(hc, &p, HC_OP_PRINTF)) continue;
        for (i = 0u; hc_any(p.mask, i < n); i++) {
            const hc_u32 kind = i < n ? v.at[i].kind : 0u;
            const hc_u64 bits = i < n ? v.at[i].bits : 0u;
            const int wide = kind == HC_PRINT_INT64 || kind == HC_PRINT_UINT64 || kind == HC_PRINT_FLOAT64 || kind == HC_PRINT_POINTER;
            const hc_u32 words = kind == 0u ? 0u : wide ? 3u : 2u;
            hc_put_words(hc, &p, HC_OP_PRINTF, words, kind, (hc_u32)bits, (hc_u32)(bits >> 32));
            if (hc_any(p.mask, kind == HC_PRINT_STRING))
                hc_put(hc, &p, HC_OP_PRINTF, v.at[i < n ? i : 0u].text, kind == HC_PRINT_STRING ? (hc_u32)bits : 0u);
        }
        w[0] = p.staged;
        w[1] = (hc_u32)fd;
        e = hc_finish(hc, &p, hc_transact(hc, &p, HC_OP_PRINTF | HC_WITH_BYTES, 2u, 1u, w));
        return e ? -e : (hc_i32)w[0];
    }
}

/* hc_printf(format, ...) and hc_fprintf(fd, format, ...): up to 12 arguments; %s takes text that ends
   with NUL, or hc_span(text, n). They give the number of bytes printed, or a negative errno. Before a
   file is compiled, its hc_printf and hc_fprintf become these, by the number of arguments. */
#define hc_fprint0(fd, a) hc_print(hc, fd, 1u, HC_VALUES HC_V(a) HC_VALUES_END)
#define hc_fprint1(fd, a, b) hc_print(hc, fd, 2u, HC_VALUES HC_V(a), HC_V(b) HC_VALUES_END)
#define hc_fprint2(fd, a, b, c) hc_print(hc, fd, 3u, HC_VALUES HC_V(a), HC_V(b), HC_V(c) HC_VALUES_END)
#define hc_fprint3(fd, a, b, c, d) hc_print(hc, fd, 4u, HC_VALUES HC_V(a), HC_V(b), HC_V(c), HC_V(d) HC_VALUES_END)
#define hc_fprint4(fd, a, b, c, d, e) hc_print(hc, fd, 5u, HC_VALUES HC_V(a), HC_V(b), HC_V(c), HC_V(d), HC_V(e) HC_VALUES_END)
#define hc_fprint5(fd, a, b, c, d, e, f) hc_print(hc, fd, 6u, HC_VALUES HC_V(a), HC_V(b), HC_V(c), HC_V(d), HC_V(e), HC_V(f) HC_VALUES_END)
#define hc_fprint6(fd, a, b, c, d, e, f, g) hc_print(hc, fd, 7u, HC_VALUES HC_V(a), HC_V(b), HC_V(c), HC_V(d), HC_V(e), HC_V(f), HC_V(g) HC_VALUES_END)
#define hc_fprint7(fd, a, b, c, d, e, f, g, h) hc_print(hc, fd, 8u, HC_VALUES HC_V(a), HC_V(b), HC_V(c), HC_V(d), HC_V(e), HC_V(f), HC_V(g), HC_V(h) HC_VALUES_END)
#define hc_fprint8(fd, a, b, c, d, e, f, g, h, i) hc_print(hc, fd, 9u, HC_VALUES HC_V(a), HC_V(b), HC_V(c), HC_V(d), HC_V(e), HC_V(f), HC_V(g), HC_V(h), HC_V(i) HC_VALUES_END)
#define hc_fprint9(fd, a, b, c, d, e, f, g, h, i, j) hc_print(hc, fd, 10u, HC_VALUES HC_V(a), HC_V(b), HC_V(c), HC_V(d), HC_V(e), HC_V(f), HC_V(g), HC_V(h), HC_V(i), HC_V(j) HC_VALUES_END)
#define hc_fprinta(fd, a, b, c, d, e, f, g, h, i, j, k) hc_print(hc, fd, 11u, HC_VALUES HC_V(a), HC_V(b), HC_V(c), HC_V(d), HC_V(e), HC_V(f), HC_V(g), HC_V(h), HC_V(i), HC_V(j), HC_V(k) HC_VALUES_END)
#define hc_fprintb(fd, a, b, c, d, e, f, g, h, i, j, k, l) hc_print(hc, fd, 12u, HC_VALUES HC_V(a), HC_V(b), HC_V(c), HC_V(d), HC_V(e), HC_V(f), HC_V(g), HC_V(h), HC_V(i), HC_V(j), HC_V(k), HC_V(l) HC_VALUES_END)
#define hc_fprintc(fd, a, b, c, d, e, f, g, h, i, j, k, l, m) hc_print(hc, fd, 13u, HC_VALUES HC_V(a), HC_V(b), HC_V(c), HC_V(d), HC_V(e), HC_V(f), HC_V(g), HC_V(h), HC_V(i), HC_V(j), HC_V(k), HC_V(l), HC_V(m) HC_VALUES_END)
#define hc_print0(a) hc_fprint0(1, a)
#define hc_print1(a, b) hc_fprint1(1, a, b)
#define hc_print2(a, b, c) hc_fprint2(1, a, b, c)
#define hc_print3(a, b, c, d) hc_fprint3(1, a, b, c, d)
#define hc_print4(a, b, c, d, e) hc_fprint4(1, a, b, c, d, e)
#define hc_print5(a, b, c, d, e, f) hc_fprint5(1, a, b, c, d, e, f)
#define hc_print6(a, b, c, d, e, f, g) hc_fprint6(1, a, b, c, d, e, f, g)
#define hc_print7(a, b, c, d, e, f, g, h) hc_fprint7(1, a, b, c, d, e, f, g, h)
#define hc_print8(a, b, c, d, e, f, g, h, i) hc_fprint8(1, a, b, c, d, e, f, g, h, i)
#define hc_print9(a, b, c, d, e, f, g, h, i, j) hc_fprint9(1, a, b, c, d, e, f, g, h, i, j)
#define hc_printa(a, b, c, d, e, f, g, h, i, j, k) hc_fprinta(1, a, b, c, d, e, f, g, h, i, j, k)
#define hc_printb(a, b, c, d, e, f, g, h, i, j, k, l) hc_fprintb(1, a, b, c, d, e, f, g, h, i, j, k, l)
#define hc_printc(a, b, c, d, e, f, g, h, i, j, k, l, m) hc_fprintc(1, a, b, c, d, e, f, g, h, i, j, k, l, m)
