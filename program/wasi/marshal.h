/* The calls of WASI, marshalled by the table: operands are gathered from linear memory into the request, and stored from the reply. What
   the program hands over is not trusted: every operand is looked at before anything is sent. */

HC_IMPORT(wasi);

/* The words of an operand. */
#define VM_WASI_KIND(o) ((o) & 15u)
#define VM_WASI_PARAM(o) ((o) >> 4 & 15u)
#define VM_WASI_COUNT(o) ((o) >> 8 & 15u)
#define VM_WASI_SIZE(o) ((o) >> 12 & 255u)
#define VM_WASI_MOST(o) (1u << ((o) >> 20 & 31u))
#define VM_WASI_IS_OUT(o) ((o) >> 31 != 0u)

#define VM_WASI_LIMIT 0x7fffffffu /* bytes of an operand that take part */

typedef struct {
    GLOBAL hc_u8 *memory;
    hc_u64 bytes;
    GLOBAL const hc_u64 *args;
    hc_u32 row; /* of the call, in the table */
} vm_wasi_call;

HC_INLINE hc_u32 vm_wasi_word(GLOBAL const hc_u8 *p) {
    return (hc_u32)p[0] | (hc_u32)p[1] << 8 | (hc_u32)p[2] << 16 | (hc_u32)p[3] << 24;
}

HC_INLINE hc_u32 vm_wasi_operand(const vm_wasi_call *c, hc_u32 k) { return vm_wasi_calls[c->row + 1u + k]; }

HC_INLINE int vm_wasi_inside(const vm_wasi_call *c, hc_u64 at, hc_u64 n) { return at + n <= c->bytes; }

/* How many pieces an operand has. */
HC_INLINE hc_u32 vm_wasi_pieces(const vm_wasi_call *c, hc_u32 o) {
    hc_u32 n = 1u;
    if (VM_WASI_KIND(o) == VM_WASI_VECTOR) {
        n = (hc_u32)c->args[VM_WASI_COUNT(o)];
        if (n > VM_WASI_MOST_PIECES) n = VM_WASI_MOST_PIECES;
    }
    return n;
}

/* Where piece i is and how long, at most most bytes. That of an operand whose size the host says has none. */
HC_INLINE hc_u32 vm_wasi_piece(const vm_wasi_call *c, hc_u32 o, hc_u32 i, hc_u32 most, hc_u32 *at) {
    hc_u64 n = 0u;
    *at = (hc_u32)c->args[VM_WASI_PARAM(o)];
    if (VM_WASI_KIND(o) == VM_WASI_VECTOR) {
        GLOBAL const hc_u8 *pair = c->memory + (hc_u64)*at + 8u * i;
        *at = vm_wasi_word(pair);
        n = vm_wasi_word(pair + 4);
    } else if (VM_WASI_KIND(o) == VM_WASI_FIXED) {
        n = VM_WASI_SIZE(o);
    } else if (VM_WASI_KIND(o) == VM_WASI_BYTES) {
        n = (hc_u64)(hc_u32)c->args[VM_WASI_COUNT(o)] * VM_WASI_SIZE(o);
    }
    return n > most ? most : (hc_u32)n;
}

/* Looks at all operands: not 0 if one is outside of the memory. *sends are the bytes that the request will have, totals those of each
   vector. */
HC_INLINE int vm_wasi_check(const vm_wasi_call *c, hc_u32 *sends, hc_u32 *totals) {
    hc_u32 k, i;
    *sends = 0u;
    for (k = 0u; k < VM_WASI_OPERANDS; k++) {
        const hc_u32 o = vm_wasi_operand(c, k), pieces = vm_wasi_pieces(c, o);
        hc_u32 left = VM_WASI_IS_OUT(o) ? VM_WASI_LIMIT : VM_WASI_MOST(o);
        totals[k] = 0u;
        if (o == 0u) continue;
        if (VM_WASI_KIND(o) == VM_WASI_VECTOR && !vm_wasi_inside(c, (hc_u32)c->args[VM_WASI_PARAM(o)], 8u * (hc_u64)pieces)) return 1;
        for (i = 0u; i < pieces; i++) {
            hc_u32 at, n = vm_wasi_piece(c, o, i, 0xffffffffu, &at);
            if (!vm_wasi_inside(c, at, n)) return 1;
            if (n > left) n = left;
            left -= n;
            totals[k] += n;
            if (!VM_WASI_IS_OUT(o)) *sends += 4u + ((n + 3u) & ~3u);
        }
    }
    return 0;
}

/* Appends what the call sends, each piece behind its length. Lanes of a port come here together: those with sends == 0 only take part. */
HC_INLINE void vm_wasi_gather(HC, hc_port *p, const vm_wasi_call *c, hc_u32 sends) {
    hc_u32 k, i;
    hc_put_words(hc, p, HC_CALL_wasi, 1u, sends, 0u, 0u);
    for (k = 0u; k < VM_WASI_OPERANDS; k++) {
        const hc_u32 o = vm_wasi_operand(c, k), pieces = sends > 0u ? vm_wasi_pieces(c, o) : 0u;
        hc_u32 left = VM_WASI_MOST(o);
        if (o == 0u || VM_WASI_IS_OUT(o)) continue; /* the same for all: they make the same call */
        for (i = 0u; hc_any(p->mask, i < pieces); i++) {
            hc_u32 at = 0u, n = 0u;
            if (i < pieces) n = vm_wasi_piece(c, o, i, left, &at);
            left -= n;
            hc_put_words(hc, p, HC_CALL_wasi, i < pieces ? 1u : 0u, n, 0u, 0u);
            hc_put(hc, p, HC_CALL_wasi, hc_from(c->memory + at), n);
        }
    }
}

/* Where the bytes of a reply are: those of a brief one in its words. */
typedef struct {
    GLOBAL const hc_u32 *bytes;
    hc_u32 brief, words[VM_WASI_BRIEF_BYTES / 4u];
} vm_wasi_reply;

/* Stores what of the reply's bytes [got, got + n) belongs to the piece of that many bytes at `at` that begins at byte `from` of the reply. */
HC_INLINE void vm_wasi_store(const vm_wasi_call *c, const vm_wasi_reply *reply, hc_u32 got, hc_u32 n, hc_u32 from, hc_u32 at, hc_u32 piece) {
    hc_u32 skip, i;
    if (from >= got + n || from + piece <= got) return;
    skip = from < got ? got - from : 0u;
    at += skip;
    from += skip - got; /* now in what is here */
    piece -= skip;
    if (piece > n - from) piece = n - from;
    if (reply->brief) {
        for (i = 0u; i < piece; i++, from++) c->memory[at + i] = (hc_u8)(reply->words[from / 4u] >> (from % 4u * 8u));
    } else if ((from & 3u) == 0u) {
        hc_copy_to(hc_to(c->memory + at), 0, reply->bytes + from / 4u, piece);
    } else {
        for (i = 0u; i < piece; i++, from++) c->memory[at + i] = (hc_u8)(hc_load(reply->bytes + from / 4u) >> (from % 4u * 8u));
    }
}

/* Stores n bytes of the reply, from its byte got on. Not 0 if an operand whose size the host says is outside of the memory. */
HC_INLINE int vm_wasi_scatter(const vm_wasi_call *c, const vm_wasi_reply *reply, hc_u32 got, hc_u32 n, const hc_u32 *lengths) {
    hc_u32 k, i, from = 0u, said = 0u;
    for (k = 0u; k < VM_WASI_OPERANDS; k++) {
        const hc_u32 o = vm_wasi_operand(c, k);
        hc_u32 length, pieces, done = 0u;
        if (!VM_WASI_IS_OUT(o)) continue;
        length = VM_WASI_KIND(o) == VM_WASI_FIXED ? VM_WASI_SIZE(o) : lengths[said++];
        if (VM_WASI_KIND(o) == VM_WASI_OPEN) {
            const hc_u32 at = (hc_u32)c->args[VM_WASI_PARAM(o)];
            if (!vm_wasi_inside(c, at, length)) return 1;
            vm_wasi_store(c, reply, got, n, from, at, length);
        } else {
            pieces = vm_wasi_pieces(c, o);
            for (i = 0u; i < pieces && done < length; i++) {
                hc_u32 at;
                const hc_u32 piece = vm_wasi_piece(c, o, i, length - done, &at);
                /* A reply that is stored over its own vector makes other pieces of it. */
                if (!vm_wasi_inside(c, at, piece)) return 1;
                vm_wasi_store(c, reply, got, n, from + done, at, piece);
                done += piece;
            }
        }
        from += (length + 3u) & ~3u;
    }
    return 0;
}

/* The call as a function of its own, which knows nothing of the caller's vm_state: that can stay in registers. */
HC_NOINLINE hc_u32 vm_wasi_call_(HC, GLOBAL hc_u8 *memory, hc_u64 bytes, hc_u32 function, hc_u32 instance, GLOBAL const hc_u64 *args, hc_u32 *got, hc_u32 *result) {
    vm_wasi_call c;
    hc_u32 x[HC_MAX_WORDS], totals[VM_WASI_OPERANDS], head, i, words, sends;
    hc_u64 now = 0u; /* of the device's clock, where programs get that */
    hc_i32 e;
    *result = 0u;
    if (function >= VM_WASI_CALLS) {
        *result = VM_WASI_ENOSYS;
        return 0u;
    }
    if (function == VM_WASI_CALL_SCHED_YIELD) {
        hc_breathe();
        return 0u;
    }
    c.memory = memory;
    c.bytes = bytes;
    c.args = args;
    c.row = function * VM_WASI_ROW;
    if (vm_wasi_check(&c, &sends, totals)) {
        *result = VM_WASI_EFAULT;
        return 0u;
    }
    if (function == VM_WASI_CALL_CLOCK_TIME_GET && ((hc_u32)args[0] == (hc_u32)HC_CLOCK_REALTIME || (hc_u32)args[0] == (hc_u32)HC_CLOCK_MONOTONIC)) {
        /* As a kernel reads it: on the device, or from a poller, which is there sooner than a worker. What cannot be read is asked for once more, for its errno. */
        GLOBAL hc_u8 *to = memory + (hc_u32)args[2];
        hc_timespec t;
        hc_u64 ns;
        e = hc_clock_gettime_(hc, (hc_i32)(hc_u32)args[0], &t);
        if (e == -HC_ECANCELED) return 2u;
        if (e == 0) {
            ns = (hc_u64)t.seconds * 1000000000u + t.nanoseconds;
            for (i = 0u; i < 8u; i++) to[i] = (hc_u8)(ns >> (8u * i));
            return 0u;
        }
    }
#ifdef HC_DEVICE_CLOCK
    if (function == VM_WASI_CALL_POLL_ONEOFF && hc_own_clock()) now = (hc_u64)hc_monotonic_ns_(hc);
#endif
    if (*got > 0u) sends = 0u; /* the call was made: its reply goes on */
    head = vm_wasi_calls[c.row];
    words = 1u + VM_WASI_REQUEST_PARAMS + (head >> 16);
    for (;;) {
        hc_port p;
        hc_u32 state, n = 0u, fault = 0u, k;
        if (!hc_open_bulk_port(hc, &p, HC_CALL_wasi | function << 16)) continue;
        vm_wasi_gather(hc, &p, &c, sends);
        x[0] = p.staged;
        x[1] = function;
        x[2] = instance;
        x[3] = *got;
        for (i = 0u, k = 1u + VM_WASI_REQUEST_PARAMS; i < (head & 15u); i++) {
            hc_u64 v = args[i];
            hc_u32 operand;
            /* The host cannot use where a vector is, but how much there is. */
            for (operand = 0u; operand < VM_WASI_OPERANDS; operand++) {
                const hc_u32 o = vm_wasi_operand(&c, operand);
                if (VM_WASI_KIND(o) == VM_WASI_VECTOR && VM_WASI_PARAM(o) == i) v = totals[operand];
            }
            /* Nor can it use where the events are, but the clock to which a program's times belong. */
            if (function == VM_WASI_CALL_POLL_ONEOFF && i < 2u) v = i == 0u ? now : now >> 32;
            x[k++] = (hc_u32)v;
            if (head >> 4 >> i & 1u) x[k++] = (hc_u32)(v >> 32);
        }
        e = (hc_i32)hc_transact(hc, &p, HC_CALL_wasi | HC_WITH_BYTES, words, 1u + VM_WASI_REPLY_WORDS, x);
        state = x[1];
        if (e == 0 && state == 0u) {
            vm_wasi_reply reply;
            reply.bytes = hc_bulk_out(hc, &p);
            n = x[0] < p.share ? x[0] : p.share;
            reply.brief = x[1u + VM_WASI_REPLY_TOTAL] <= VM_WASI_BRIEF_BYTES;
            if (reply.brief) {
                n = x[1u + VM_WASI_REPLY_TOTAL];
                for (i = 0u; i < VM_WASI_BRIEF_BYTES / 4u; i++) reply.words[i] = x[1u + VM_WASI_REPLY_BRIEF + i];
            }
            fault = (hc_u32)vm_wasi_scatter(&c, &reply, *got, n, x + 1u + VM_WASI_REPLY_LENGTH);
        }
        e = hc_finish(hc, &p, (hc_u32)e);
        if (e == HC_ECANCELED) return 2u;
        if (e != 0) {
            *result = VM_WASI_EIO;
            return 0u;
        }
        if (state == VM_WASI_ENDED) return 3u;
        *result = fault ? VM_WASI_EFAULT : state;
        if (*result != 0u) return 0u;
        *got += n;
        if (*got >= x[1 + VM_WASI_REPLY_TOTAL]) return 0u;
        if (n == 0u) {
            *result = VM_WASI_EIO;
            return 0u;
        }
        return 1u;
    }
}

/* A step of call number `function` of the table by that instance. args are the parameters, in slots of a frame, which stay as they are until the
   call is done. *got is 0 at first and belongs to the caller's checkpoint: how much of a long reply is there.

   0: done, *result is the errno for the program. 1: take a checkpoint, then call again. 2: leave the kernel; nothing has changed. The
   answer comes with the next launch, or the run is over. 3: the instance is over (proc_exit, trap, a signal). */
DEVICE hc_u32 vm_wasi_step(HC, vm_state *vm, hc_u32 function, hc_u32 instance, GLOBAL hc_u64 *args, hc_u32 *got, hc_u32 *result) {
    return vm_wasi_call_(hc, vm->memory, vm->bytes, function, instance, args, got, result);
}
