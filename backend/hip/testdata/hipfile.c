/* A double of libhipfile for what stands in for the runtime, whose device memory is the host's. Where AMD's header is installed it is compiled
   against that; Debian has none, so that else these declarations are those of AMD's documentation. It moves bytes through a mapping, as a
   driver does without read(2) and write(2), and fails where HIPFILE_DOUBLE says: "step:code". */
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

#if defined(__has_include)
#if __has_include(<hipfile.h>)
#define __HIP_PLATFORM_AMD__
#include <hipfile.h>
#define AMDS_HEADER
#endif
#endif
#ifndef AMDS_HEADER
typedef enum { hipFileSuccess = 0, hipFileInvalidValue = 5022, hipFileInternalError = 5030 } hipFileOpError_t;
typedef int hipError_t;
typedef struct { hipFileOpError_t err; hipError_t hip_drv_err; } hipFileError_t;
typedef off_t hoff_t;
typedef enum { hipFileHandleTypeOpaqueFD = 1 } hipFileFileHandleType_t;
typedef struct { hipFileFileHandleType_t type; union { int fd; void *hFile; } handle; const void *fs_ops; } hipFileDescr_t;
typedef void *hipFileHandle_t;
#endif
#if !defined(AMDS_HEADER) || HIP_VERSION < 60000000
typedef int hipDriverProcAddressQueryResult;
#endif
_Static_assert(sizeof(hipFileError_t) == 8 && sizeof(hipFileDescr_t) == 24 && hipFileHandleTypeOpaqueFD == 1, "layout");

static int opened, registered;
static const void *memory;

static int told(const char *step) {
    const char *s = getenv("HIPFILE_DOUBLE");
    size_t n = strlen(step);
    return s && !strncmp(s, step, n) && s[n] == ':' ? atoi(s + n + 1) : 0;
}
static hipFileError_t status(int code) {
    hipFileError_t e;
    memset(&e, 0, sizeof e);
    e.err = (hipFileOpError_t)code;
    return e;
}
hipFileError_t hipFileGetVersion(unsigned *major, unsigned *minor, unsigned *patch) {
    *major = 0, *minor = 3, *patch = 7;
    return status(told("version"));
}
hipFileError_t hipFileDriverOpen(void) { return opened++, status(told("open")); }
hipFileError_t hipFileDriverClose(void) {
    if (registered || memory) fprintf(stderr, "hipfile double: closed with something registered\n"), abort();
    return opened--, status(0);
}
hipFileError_t hipFileHandleRegister(hipFileHandle_t *h, hipFileDescr_t *d) {
    int e = told("handle");
    if (!opened || d->type != hipFileHandleTypeOpaqueFD) e = hipFileInvalidValue;
    if (!e) registered++, *h = (void *)(intptr_t)(d->handle.fd + 1000);
    return status(e);
}
void hipFileHandleDeregister(hipFileHandle_t h) { (void)h, registered--; }
hipFileError_t hipFileBufRegister(const void *p, size_t n, int flags) {
    int e = told("buffer");
    if (!n || flags) e = hipFileInvalidValue;
    if (!e) memory = p;
    return status(e);
}
hipFileError_t hipFileBufDeregister(const void *p) { return (void)p, memory = 0, status(0); }

static ssize_t move(int writes, hipFileHandle_t h, char *p, size_t n, hoff_t at, hoff_t off) {
    int fd = (int)(intptr_t)h - 1000, e = told("move");
    char *map, path[64];
    FILE *f;
    if (e) return -e;
    if ((e = told("errno"))) return errno = e, -1;
    if (p != memory) return -hipFileInvalidValue;
    if (told("nothing")) return (ssize_t)n;
    if (told("copy")) { /* as the fallback does; the memory is not aligned for O_DIRECT: another way to the same file */
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        if (!(f = fopen(path, writes ? "r+" : "r")) || fseek(f, at, SEEK_SET)) return -1;
        n = writes ? fwrite(p + off, 1, n, f) : fread(p + off, 1, n, f);
        return fclose(f), (ssize_t)n;
    }
    map = mmap(0, n, PROT_READ | PROT_WRITE, MAP_SHARED, fd, at);
    if (map == MAP_FAILED) return -1;
    if (writes) memcpy(map, p + off, n);
    else memcpy(p + off, map, n);
    if (told("lie")) (writes ? map : p + off)[777] ^= 1;
    munmap(map, n);
    return (ssize_t)n;
}
ssize_t hipFileRead(hipFileHandle_t h, void *p, size_t n, hoff_t at, hoff_t off) { return move(0, h, p, n, at, off); }
ssize_t hipFileWrite(hipFileHandle_t h, const void *p, size_t n, hoff_t at, hoff_t off) { return move(1, h, (char *)p, n, at, off); }

/* Not of libhipfile, but of the runtime since HIP 6. */
hipError_t hipGetProcAddress(const char *symbol, void **address, int version, uint64_t flags, hipDriverProcAddressQueryResult *found) {
    int there = !strcmp(symbol, "hipAmdFileRead") || !strcmp(symbol, "hipAmdFileWrite");
    if (version < 60000000 || flags) return (hipError_t)1;
    if (getenv("HIPFILE_NO_RUNTIME")) there = 0;
    *found = (hipDriverProcAddressQueryResult)!there;
    *address = there ? (void *)hipFileRead : 0;
    return (hipError_t)!there;
}
