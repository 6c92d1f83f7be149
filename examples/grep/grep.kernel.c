/* Searches directory trees for a plain string, and prints the lines that have it as
   grep -rnF --text does:

       dialtone run --grid 16 --block 32 --dir src:/ examples/grep/grep.kernel.c PATTERN /

   Groups share out the files: each walks all of the tree, in the host's order, and takes every n-th
   file. In a group, the first work-item is the leader: it walks, opens, prints and says what comes
   next; all of them read and search. The exit code is grep's: 0 if a line was found, 1 if none was, 2
   after trouble. */

enum {
    TEXT = 16384,  /* bytes of a file in the group's memory at a time */
    OUT = 3072,    /* bytes of output that wait to be printed */
    HITS = 512,    /* lines found that wait to be printed */
    WORKERS = 128, /* work-items of a group that search; more would only wait */
    READERS = 64,  /* work-items of a group that read, at most */
    SHARERS = 32,  /* groups that take part; more would only walk */
    STEPS = 16,    /* of the walk, between which a launch that is started again need not go through them again */
    KEEP = 16,     /* directories that a group keeps open: all groups together stay below the 1024 descriptors of a run */
    PATH = 4096
};

enum { NEXT, READ, SCAN, DONE };        /* steps */
enum { MEETING, SEARCHING, ONLY_LEFT }; /* phases */

#define UNFINISHED 0xffffffffu

/* What the groups know of each other is the position of this descriptor: see meet and finish. */
#define COMMON 3

typedef struct {
    hc_u64 text[TEXT / 8 + 1];  /* with room for a newline */
    hc_u32 hits[HITS];          /* where in text a line starts | its number in the stripe << 16 */
    hc_u32 found[WORKERS];      /* hits of a stripe that wait */
    hc_u32 lines[WORKERS];      /* lines that start in a stripe, once all are searched */
    hc_u32 place[WORKERS];      /* where a worker goes on, */
    hc_u32 passed[WORKERS];     /* and the lines of its stripe before that */
    hc_i64 got[READERS];        /* what each reader got */
    char out[OUT + PATH + 24];  /* with room for a path and a number */
    char path[PATH];            /* of the file */

    hc_u32 step;                /* what comes next */
    hc_u32 phase;
    hc_u32 over;                /* the run has been ended */
    hc_u32 workers, readers;
    hc_u32 first;               /* worker whose hits are printed next */
    hc_u32 fresh;               /* text is new: stripes start at their beginnings */
    hc_u32 have, end;           /* bytes of text that are filled; those that are searched: whole lines */
    hc_u32 filled, nuls;        /* bytes of out; there are NULs among them */

    hc_i32 fd;                  /* the file */
    hc_i64 at;                  /* where in it text begins */
    hc_u64 number;              /* lines before text */
    hc_u32 ended;               /* nothing follows text */
    hc_u32 in_long, long_found; /* text begins in a line that is longer than TEXT; it has the pattern */
    hc_i64 long_from;           /* where that line starts */

    hc_i32 depth;               /* of the directory that is read, -1 if none is open */
    hc_u32 length, root_length; /* of its path, and of its root's */
    hc_u32 root;                /* argument that is walked next */
    hc_u32 index;               /* of the next file in the walk */
    hc_i32 dir[KEEP];           /* descriptor of the directory at a depth % KEEP, -1 if closed */
    hc_u64 cookie[KEEP];        /* where to go on in it */
    hc_u32 look_for;            /* if not 0, where in path the name is that has to come first */

    hc_u32 group, sharers;      /* this group takes the files with index % sharers == group */
    hc_u32 alone;               /* no other group prints any more */
    hc_u32 match, trouble;
    hc_u32 left;                /* lines were found that have to wait until this group is alone */
    hc_i32 broken;              /* nothing can be printed any more: an error that is not told yet, or 1 */

    hc_u32 every, list;         /* the pattern matches every line; it has several alternatives */
    hc_u32 overlap;             /* bytes at the end of a piece of a long line that are looked at with the next piece; 0: they are read on their own */
} state;

/* Device compilers put the code of a call where it is made, so the big ones are made in as few places as is easy. */

/* --- output --- */

/* Prints what waits, and n bytes more, in one piece: hc_printf does so with text of any length, but ends at a NUL. With NULs it takes
   hc_write, and no other group that could print in between. */
DEVICE void flush(HC, GROUP state *s, GROUP const char *more, hc_u32 n) {
    const hc_i64 want = (hc_i64)s->filled + n;
    if (want > 0 && s->broken == 0) {
        hc_i64 done;
        if (s->nuls) {
            done = s->filled > 0u ? hc_write(1, s->out, s->filled) : 0;
            if (n > 0u && done == (hc_i64)s->filled) done += hc_write(1, more, n);
        } else {
            done = hc_printf("%s%s", hc_span(s->out, s->filled), hc_span(more, n));
        }
        if (done < want) s->broken = done < 0 ? (hc_i32)done : -HC_EIO;
    }
    s->filled = s->nuls = 0u;
}

DEVICE void put_prefix(GROUP state *s, hc_u64 number) {
    char digits[20];
    hc_u32 count = 0u, i = 0u;
    GROUP char *to = s->out + s->filled;
    do {
        digits[count++] = (char)('0' + (hc_u32)(number % 10u));
        number /= 10u;
    } while (number > 0u);
    while (s->path[i] != 0) *to++ = s->path[i++];
    *to++ = ':';
    while (count > 0u) *to++ = digits[--count];
    *to++ = ':';
    s->filled = (hc_u32)(to - s->out);
}

/* Prints the line at start of text, sooner or later. One with NULs has to wait until there are no other groups. */
DEVICE void print_line(HC, GROUP state *s, hc_u64 number, hc_u32 start) {
    GROUP const char *line = (GROUP const char *)s->text + start;
    hc_u32 length = 0u, nul = 0u, i;
    while (line[length++] != '\n')
        if (line[length - 1u] == 0) nul = 1u;
    if (nul && !s->alone) s->left = 1u;
    if (nul ? !s->alone : s->phase == ONLY_LEFT) return;
    s->nuls |= nul;
    put_prefix(s, number);
    if (s->filled + length > OUT) {
        flush(hc, s, line, length);
    } else {
        for (i = 0u; i < length; i++) s->out[s->filled + i] = line[i];
        s->filled += length;
    }
}

/* Prints the bytes of the file from the start of a line to its end, where the line is longer than text: when there are no other groups.
   Gives an error of reading. */
DEVICE hc_i32 print_long_line(HC, GROUP state *s, hc_i64 to) {
    hc_i64 at = s->long_from, n = 0;
    s->match = 1u;
    if (!s->alone) {
        s->left = 1u;
        return 0;
    }
    put_prefix(s, s->number + 1u);
    for (; at < to && s->broken == 0; at += n) {
        n = hc_pread(s->fd, (GROUP char *)s->text, to - at < TEXT ? to - at : TEXT, at);
        if (n <= 0) break;
        s->nuls = 1u; /* perhaps */
        flush(hc, s, (GROUP const char *)s->text, (hc_u32)n);
    }
    s->out[s->filled++] = '\n';
    return n < 0 ? (hc_i32)n : 0;
}

/* --- the walk --- */

DEVICE void start_walk(GROUP state *s) {
    hc_u32 i;
    for (i = 0u; i < KEEP; i++) s->dir[i] = -1;
    s->depth = -1;
    s->root = 2u;
    s->index = 0u;
    s->look_for = 0u;
}

DEVICE void close_dir(HC, GROUP state *s, hc_u32 slot) {
    if (s->dir[slot] >= 0) hc_close(s->dir[slot]);
    s->dir[slot] = -1;
}

/* Makes the directory at path the one that is read. The one KEEP levels above has to make room. */
DEVICE void enter(HC, GROUP state *s, hc_u32 length) {
    const hc_u32 slot = (hc_u32)++s->depth % KEEP;
    close_dir(hc, s, slot);
    s->cookie[slot] = 0u;
    s->length = length;
}

/* Goes back to the directory above. A place in it is good only as long as it is open: if that had to be closed, the name of the one
   below says where to go on. */
DEVICE void leave(HC, GROUP state *s) {
    close_dir(hc, s, (hc_u32)s->depth % KEEP);
    s->look_for = 0u;
    if (--s->depth < 0) return;
    if (s->depth == 0) s->length = s->root_length;
    else
        while (s->path[--s->length] != '/') {}
    if (s->dir[s->depth % KEEP] < 0) {
        s->look_for = s->path[s->length] == '/' ? s->length + 1u : s->length;
        s->cookie[s->depth % KEEP] = 0u;
    }
}

/* Opens the directory that is read, whose path may have a name behind it. */
DEVICE hc_i32 open_dir(HC, GROUP state *s) {
    const char behind = s->path[s->length];
    hc_i32 fd;
    s->path[s->length] = 0;
    fd = hc_open(s->path, HC_O_RDONLY | HC_O_DIRECTORY, 0);
    s->dir[s->depth % KEEP] = fd;
    if (fd >= 0) s->path[s->length] = behind;
    return fd < 0 ? fd : 0;
}

/* Puts a name behind the directory's path; gives the length, 0 if it does not fit. */
DEVICE hc_u32 append(GROUP state *s, const hc_dirent *entry) {
    hc_u32 n = s->length, i;
    if (s->path[n - 1u] != '/' && n < PATH - 1) s->path[n++] = '/';
    for (i = 0u; i < entry->length && n < PATH - 1; i++) s->path[n++] = entry->name[i];
    s->path[n] = 0;
    return i == entry->length ? n : 0u;
}

enum { NOTHING, A_FILE, NO_MORE };

/* Takes one step of the walk, to a file at best. Gives an error that concerns what is at path. */
DEVICE hc_i32 walk(HC, GROUP state *s) {
    hc_u32 kind, n = 0u;
    if (s->depth < 0) {
        GLOBAL const char *root = hc_argv(s->root);
        hc_stat_t st;
        hc_i32 e;
        if (root == 0) return NO_MORE;
        s->root++;
        for (; root[n] != 0 && n < PATH - 1; n++) s->path[n] = root[n];
        s->path[n] = 0;
        e = hc_stat(root, &st);
        if (e < 0) return e;
        s->root_length = n;
        kind = st.kind == HC_KIND_DIR ? HC_KIND_DIR : HC_KIND_FILE;
    } else {
        const hc_u32 slot = (hc_u32)s->depth % KEEP;
        hc_dirent entry;
        hc_i32 e;
        if (s->dir[slot] < 0) {
            e = open_dir(hc, s);
            if (e == 0) return NOTHING;
        } else {
            entry.cookie = s->cookie[slot];
            e = hc_readdir(s->dir[slot], &entry);
            if (e == 0 && s->look_for) e = -HC_ENOENT; /* somebody removed it meanwhile */
        }
        if (e <= 0) {
            s->path[s->length] = 0;
            leave(hc, s);
            return e;
        }
        s->cookie[slot] = entry.cookie;
        if (s->look_for) {
            for (n = 0u; entry.name[n] != 0 && entry.name[n] == s->path[s->look_for + n]; n++) {}
            if (entry.name[n] == s->path[s->look_for + n]) s->look_for = 0u;
            return NOTHING;
        }
        kind = entry.kind;
        if (kind != HC_KIND_FILE && kind != HC_KIND_DIR) return NOTHING; /* grep -r leaves out links and devices, too */
        n = append(s, &entry);
        if (n == 0u) return -HC_ENAMETOOLONG;
    }
    if (kind == HC_KIND_FILE) return A_FILE;
    enter(hc, s, n);
    return NOTHING;
}

/* --- all groups together --- */

/* Gives the groups something in common. Kernels run from the command line share no memory, but they share descriptors, of which
   hc_open gives the lowest free one: the group that gets number 3 for the first file of the walk keeps it, and its
   position is a counter that all groups can add to. Until then nobody opens any other file, so a 3 that is a file is the one; directories
   are open for a while only, by groups that run, so this ends. fd is that file. */
DEVICE void meet(HC, GROUP state *s, hc_i32 fd) {
    hc_u32 i;
    for (i = 0u; i < KEEP; i++) close_dir(hc, s, i);
    while (fd != COMMON && fd >= 0) {
        hc_stat_t st;
        hc_close(fd);
        if (hc_fstat(COMMON, &st) == 0 && st.kind == HC_KIND_FILE) return;
        fd = hc_open(s->path, HC_O_RDONLY, 0);
    }
}

/* The group has no more files. The last one to come here knows what all of them found. Gives an error. */
DEVICE hc_i32 finish(HC, GROUP state *s) {
    if (s->phase == MEETING) { /* and there is no file that can be opened: one group says why */
        start_walk(s);
        s->phase = SEARCHING;
        s->alone = s->sharers = 1u;
        s->step = s->group == 0u ? NEXT : DONE;
        return 0;
    }
    flush(hc, s, s->out, 0u);
    if (s->broken < 0) return 0; /* to be told first */
    s->step = DONE;
    if (!s->alone) {
        const hc_i64 all = hc_lseek(COMMON, (hc_i64)(1u | s->match << 8 | s->trouble << 16) | (hc_i64)s->left << 24, HC_SEEK_CUR);
        if (all < 0) return (hc_i32)all;
        if ((all & 255) != s->sharers) return 0;
        s->match = (all >> 8 & 255) != 0;
        s->trouble = (all >> 16 & 255) != 0;
        if (all >> 24 != 0 && s->broken == 0) {
            start_walk(s);
            s->phase = ONLY_LEFT;
            s->alone = s->sharers = 1u;
            s->group = 0u;
            s->step = NEXT;
            return 0;
        }
    }
    hc_exit(s->trouble ? 2 : s->match ? 0 : 1);
    return 0;
}

/* Goes on towards the group's next file. Gives an error that this group has to tell. */
DEVICE hc_i32 next(HC, GROUP state *s) {
    hc_i32 e = s->broken != 0 ? NO_MORE : walk(hc, s); /* the path of what is broken is gone */
    hc_u32 ours = e != NOTHING;
    if (e == A_FILE && s->phase != MEETING) ours = s->index++ % s->sharers == s->group;
    if (e < 0) ours = s->group == 0u; /* all groups meet it, one tells */
    if (e == A_FILE && ours) {
        s->fd = e = hc_open(s->path, HC_O_RDONLY, 0);
        if (e >= 0 && s->phase == MEETING) {
            meet(hc, s, e);
            start_walk(s);
            s->phase = SEARCHING;
        } else if (e >= 0) {
            s->at = 0;
            s->number = 0u;
            s->have = s->ended = s->in_long = 0u;
            s->step = READ;
        }
        if (e >= 0) return 0;
    }
    if (e < 0 && s->phase == SEARCHING) s->trouble = 1u;
    if (e == NO_MORE || e == -HC_ECANCELED || s->broken != 0) return finish(hc, s);
    return e < 0 && ours && s->phase == SEARCHING ? e : 0;
}

DEVICE void begin(HC, GROUP state *s, hc_u32 group, hc_u32 groups, hc_u32 items, GLOBAL const char *pattern) {
    hc_u32 i;
    s->step = DONE;
    s->over = 0u;
    if (hc_argc() < 3) {
        if (group == 0u) {
            hc_fprintf(2, "usage: grep PATTERN PATH...\n");
            hc_exit(2);
        }
        return;
    }
    if (group >= SHARERS) return;
    s->step = NEXT;
    s->group = group;
    s->sharers = groups < SHARERS ? groups : SHARERS;
    s->alone = groups == 1u;
    s->phase = s->alone ? SEARCHING : MEETING;
    start_walk(s);
    s->workers = items < WORKERS ? items : WORKERS;
    /* The lanes of one subgroup read side by side; where lanes are alone, one read is best. */
    s->readers = items < HC_LANES ? items : HC_LANES;
    s->filled = s->nuls = s->match = s->trouble = s->left = 0u;
    s->broken = 0;
    /* Each line of a pattern is an alternative; an empty one matches everything. */
    s->list = 0u;
    s->every = pattern[0] == 0 || pattern[0] == '\n';
    s->overlap = 0u;
    for (i = 0u; pattern[i] != 0; i++)
        if (pattern[i] == '\n') {
            s->list = 1u;
            if (pattern[i + 1u] == '\n' || pattern[i + 1u] == 0) s->every = 1u;
        }
    if (i > 0u && i <= TEXT / 2) s->overlap = i - 1u;
}

/* --- search --- */

/* Whether the pattern is at text, which is in a line that ends with a newline: no alternative has one. */
DEVICE int is_at(GROUP const char *text, GLOBAL const char *pattern) {
    for (;;) {
        hc_u32 k = 0u;
        while (pattern[k] != 0 && pattern[k] != '\n' && text[k] == pattern[k]) k++;
        if (pattern[k] == 0 || pattern[k] == '\n') return 1;
        while (pattern[k] != 0 && pattern[k] != '\n') k++;
        if (pattern[k] == 0) return 0;
        pattern += k + 1u;
    }
}

/* A worker searches the lines that start in its stripe of text, until they end or its hits are full. */
DEVICE void scan(GROUP state *s, GLOBAL const char *pattern, hc_u32 worker) {
    GROUP const char *text = (GROUP const char *)s->text;
    /* An odd number of words: the workers' places are in different banks of the memory. */
    const hc_u32 stripe = (((s->end + s->workers - 1u) / s->workers + 3u) / 4u | 1u) * 4u;
    const hc_u32 from = worker * stripe, to = from + stripe < s->end ? from + stripe : s->end;
    const hc_u32 most = HITS / s->workers, every = s->every, list = s->list;
    GROUP hc_u32 *hits = s->hits + worker * most;
    const char first = pattern[0];
    hc_u32 p, line = 0u, n = 0u;
    if (worker >= s->workers) return;
    if (s->fresh) {
        p = from;
        if (from > 0u && from < s->end) { /* the first line that starts here */
            p--;
            while (text[p++] != '\n') {}
        }
    } else {
        if (s->found[worker] != 0u || s->lines[worker] != UNFINISHED) return;
        p = s->place[worker];
        line = s->passed[worker];
    }
    while (p < to && n < most) {
        const hc_u32 start = p;
        hc_u32 hit = every;
        char c = text[p];
        while (!hit && c != '\n') {
            if ((c == first || list) && is_at(text + p, pattern)) hit = 1u;
            else c = text[++p];
        }
        if (hit) hits[n++] = start | line << 16;
        while (text[p++] != '\n') {}
        line++;
    }
    s->found[worker] = n;
    s->place[worker] = p;
    s->passed[worker] = line;
    s->lines[worker] = p < to ? UNFINISHED : line;
}

/* The leader prints the hits in the order of the file, up to the first stripe that is not finished. */
DEVICE void take_hits(HC, GROUP state *s) {
    const hc_u32 most = HITS / s->workers;
    hc_u32 k;
    s->fresh = 0u;
    for (; s->first < s->workers; s->first++) {
        const hc_u32 w = s->first, found = s->found[w];
        if (found > 0u) s->match = 1u;
        for (k = 0u; k < found; k++)
            print_line(hc, s, s->number + 1u + (s->hits[w * most + k] >> 16), s->hits[w * most + k] & 0xffffu);
        s->found[w] = 0u;
        if (s->lines[w] == UNFINISHED) return;
        s->number += s->lines[w];
    }
    s->at += s->end;
    s->have = 0u;
    s->step = READ;
}

/* The same as is_at for a line that may go on in the file behind text. */
DEVICE int is_at_edge(HC, GROUP state *s, GLOBAL const char *pattern, hc_u32 p, hc_u32 end, int more) {
    GROUP const char *text = (GROUP const char *)s->text;
    char next[64];
    hc_i64 from = 0, count = 0;
    for (;;) {
        hc_u32 k = 0u;
        for (; pattern[k] != 0 && pattern[k] != '\n'; k++) {
            const hc_i64 at = s->at + p + k;
            if (p + k < end) {
                if (text[p + k] != pattern[k]) break;
                continue;
            }
            if (!more) break;
            if (at < from || at >= from + count) {
                from = at;
                count = hc_pread(s->fd, next, sizeof(next), at);
                if (count <= 0) break;
            }
            if (next[at - from] != pattern[k]) break;
        }
        if (pattern[k] == 0 || pattern[k] == '\n') return 1;
        while (pattern[k] != 0 && pattern[k] != '\n') k++;
        if (pattern[k] == 0) return 0;
        pattern += k + 1u;
    }
}

/* Looks at the places before to in a piece of a long line, which is text up to end. */
DEVICE void scan_long(HC, GROUP state *s, GLOBAL const char *pattern, hc_u32 to, hc_u32 end, int more) {
    GROUP const char *text = (GROUP const char *)s->text;
    hc_u32 p;
    if (s->every) s->long_found = 1u;
    for (p = 0u; p < to && !s->long_found; p++)
        if ((text[p] == pattern[0] || s->list) && is_at_edge(hc, s, pattern, p, end, more)) s->long_found = 1u;
}

/* Text begins inside a long line: looks for its end. Gives an error of reading. */
DEVICE hc_i32 go_on_in_long_line(HC, GROUP state *s, GLOBAL const char *pattern) {
    GROUP const char *text = (GROUP const char *)s->text;
    hc_u32 end = 0u, to;
    hc_i32 e = 0;
    int more;
    while (end < s->have && text[end] != '\n') end++;
    more = end == s->have && !s->ended;
    to = more ? end - s->overlap : end;
    scan_long(hc, s, pattern, to, end, more);
    s->at += to;
    if (!more) {
        if (s->long_found) e = print_long_line(hc, s, s->at);
        s->in_long = 0u;
        s->number++;
        if (end < s->have) {
            s->at++;
            s->ended = 0u; /* what follows is read once more */
        }
    }
    s->have = 0u;
    return e;
}

/* Text is as full as it gets. */
DEVICE hc_i32 take_text(HC, GROUP state *s, GLOBAL const char *pattern) {
    GROUP char *text = (GROUP char *)s->text;
    hc_u32 i;
    if (s->have == 0u && !s->in_long) return 0;
    if (s->ended && !s->in_long && text[s->have - 1u] != '\n') text[s->have++] = '\n';
    s->end = s->have;
    while (s->end > 0u && text[s->end - 1u] != '\n') s->end--;
    if (s->end == 0u && !s->in_long) {
        s->in_long = 1u;
        s->long_found = 0u;
        s->long_from = s->at;
    }
    if (s->in_long) return go_on_in_long_line(hc, s, pattern);
    for (i = 0u; i < s->workers; i++) s->found[i] = 0u;
    s->fresh = 1u;
    s->first = 0u;
    s->step = SCAN;
    return 0;
}

/* --- reading --- */

/* The bytes that a reader reads at a time: all of them together what is missing of text. */
DEVICE hc_u32 piece_of(GROUP const state *s) { return ((TEXT - s->have + s->readers - 1u) / s->readers + 63u) & ~63u; }

DEVICE void fetch(HC, GROUP state *s, hc_u32 reader) {
    const hc_u32 piece = piece_of(s), from = s->have + reader * piece;
    if (reader >= s->readers) return;
    s->got[reader] = from >= TEXT ? 0 : hc_pread(s->fd, (GROUP char *)s->text + from, TEXT - from < piece ? TEXT - from : piece, s->at + from);
}

/* What the readers got is good up to the first that got less than it wanted. Gives an error of reading. */
DEVICE hc_i32 take_pieces(HC, GROUP state *s, GLOBAL const char *pattern) {
    const hc_u32 piece = piece_of(s), before = s->have;
    hc_u32 i;
    hc_i32 e = 0;
    for (i = 0u; i < s->readers && s->got[i] > 0; i++) {
        s->have += (hc_u32)s->got[i];
        if (s->got[i] < piece) break;
    }
    if (s->have == before) {
        s->ended = 1u;
        if (s->got[0] < 0) e = (hc_i32)s->got[0];
    }
    if (e == 0 && (s->ended || s->have == TEXT)) e = take_text(hc, s, pattern);
    if (e < 0) s->trouble = 1u;
    if (e < 0 || s->step == READ && s->ended && s->have == 0u) {
        hc_close(s->fd);
        s->step = NEXT;
    }
    return e;
}

/* The leader makes something of what the others did, and says what they do next. */
DEVICE void lead(HC, GROUP state *s, GLOBAL const char *pattern) {
    hc_i32 e = 0;
    hc_u32 steps;
    if (s->step == READ) e = take_pieces(hc, s, pattern);
    else if (s->step == SCAN) take_hits(hc, s);
    for (steps = 0u;; steps++) {
        if (s->broken < 0) { /* told once, as every error */
            hc_u32 i;
            for (i = 0u; i < sizeof("write error"); i++) s->path[i] = "write error"[i];
            e = s->broken;
            s->broken = 1;
            s->trouble = 1u;
        }
        if (e < 0) hc_fprintf(2, "grep: %s: error %d\n", s->path, -e);
        if (s->step != NEXT || steps == STEPS) break;
        e = next(hc, s);
    }
}

KERNEL(grep) {
    SHARED state s;
    const hc_u32 me = (hc_local_id_in(2) * hc_group_size_in(1) + hc_local_id_in(1)) * hc_group_size_in(0) + hc_local_id_in(0);
    GLOBAL const char *pattern = hc_argv(1);
    int go_on;
    HC_RESUMABLE;
    if (!HC_GROUP_RESTORE(s) && me == 0u)
        begin(hc, &s, (hc_group_id_in(2) * hc_group_count_in(1) + hc_group_id_in(1)) * hc_group_count_in(0) + hc_group_id_in(0),
            hc_group_count_in(0) * hc_group_count_in(1) * hc_group_count_in(2),
            hc_group_size_in(0) * hc_group_size_in(1) * hc_group_size_in(2), pattern);
    do {
        HC_GROUP_CHECKPOINT(s);
        if (me == 0u) lead(hc, &s, pattern);
        hc_barrier();
        go_on = s.step != DONE;
        if (s.step == READ) fetch(hc, &s, me);
        if (s.step == SCAN) scan(&s, pattern, me);
        if (hc_cancelled()) s.over = 1u; /* a call may have ended the leader: the others must not wait for it */
        hc_barrier();
    } while (go_on && !s.over);
}
