/* A double of libcufile for the double of the driver, whose device memory is the host's. It fails where CUFILE_DOUBLE says, with that code. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct { int err, cu; } error;
typedef struct { int kind; union { int fd; void *handle; } file; const void *ops; } descr;
_Static_assert(sizeof(error) == 8 && sizeof(descr) == 24, "layout");

static int opened, registered;
static void *memory;

static int fails(const char *step) {
    const char *s = getenv("CUFILE_DOUBLE");
    size_t n = strlen(step);
    return s && !strncmp(s, step, n) && s[n] == ':' ? atoi(s + n + 1) : 0;
}
error cuFileDriverOpen(void) { return opened = 1, (error){fails("open"), 0}; }
error cuFileDriverClose_v2(void) {
    if (registered || memory) fprintf(stderr, "cufile double: closed with something registered\n"), abort();
    return (error){0, 0};
}
error cuFileHandleRegister(void **h, const descr *d) {
    int e = fails("handle");
    if (!opened || d->kind != 1 || d->ops) e = 5022;
    if (!e) registered++, *h = (void *)(intptr_t)(d->file.fd + 1000);
    return (error){e, 0};
}
void cuFileHandleDeregister(void *h) { registered--; }
error cuFileBufRegister(const void *p, size_t n, int flags) {
    int e = fails("buffer");
    if (!e) memory = (void *)p;
    return (error){e, 0};
}
error cuFileBufDeregister(const void *p) { return memory = 0, (error){0, 0}; }
static ssize_t all(int writes, void *h, char *p, size_t n, off_t at, off_t off) {
    int fd = (int)(intptr_t)h - 1000, e = fails("move");
    char path[64];
    FILE *f;
    if (e) return -e;
    if (p != memory) return -5030;
    if (fails("nothing")) return (ssize_t)n;
    /* The memory is not aligned for O_DIRECT: another way to the same file. */
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (!(f = fopen(path, writes ? "r+" : "r"))) return -1;
    fseek(f, at, SEEK_SET);
    n = writes ? fwrite(p + off, 1, n, f) : fread(p + off, 1, n, f);
    if (fails("lie") == 1) p[off + 777] ^= 1;
    fclose(f);
    return (ssize_t)n;
}
ssize_t cuFileRead(void *h, void *p, size_t n, off_t at, off_t off) { return all(0, h, p, n, at, off); }
ssize_t cuFileWrite(void *h, const void *p, size_t n, off_t at, off_t off) { return all(1, h, (void *)p, n, at, off); }
