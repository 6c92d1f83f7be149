/* The types that calls fill in; taken in before bytes.h. */
#define HC_PATH_MAX 4096u

typedef struct {
    hc_i64 size;                         /* bytes */
    hc_i64 mtime_ns, atime_ns, ctime_ns; /* since 1970 */
    hc_u64 inode;
    hc_u32 kind; /* HC_KIND_FILE, HC_KIND_DIR, ... */
    hc_u32 mode; /* permission bits */
} hc_stat_t;

typedef struct {
    hc_u64 cookie; /* 0 starts; each hc_readdir leaves the next one */
    hc_u64 inode;
    hc_u32 kind;
    hc_u32 length;  /* of the name */
    char name[256]; /* terminated */
} hc_dirent;

typedef struct {
    hc_i64 seconds;
    hc_u32 nanoseconds;
} hc_timespec;

HC_INLINE hc_u64 hc_join(hc_u32 low, hc_u32 high) { return (hc_u64)high << 32 | low; }

HC_INLINE void hc_unpack_stat(hc_stat_t *to, const hc_u32 *w) {
    to->size = (hc_i64)hc_join(w[0], w[1]);
    to->mtime_ns = (hc_i64)hc_join(w[2], w[3]);
    to->atime_ns = (hc_i64)hc_join(w[4], w[5]);
    to->ctime_ns = (hc_i64)hc_join(w[6], w[7]);
    to->inode = hc_join(w[8], w[9]);
    to->kind = w[10];
    to->mode = w[11];
}

/* Arguments, then the environment, lie one after the other, each with its NUL. */
HC_INLINE GLOBAL const char *hc_string_at(HC, hc_u32 index) {
    GLOBAL const char *s = (GLOBAL const char *)hc_local_ + HC_P(strings);
    for (; index > 0u; index--) {
        while (*s) s++;
        s++;
    }
    return s;
}
