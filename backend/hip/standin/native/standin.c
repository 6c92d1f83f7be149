/* Stands in for AMD's HIP runtime, libamdhip64.so, in tests on machines without one of its GPUs. Every function is compiled against
   AMD's own header, so that a wrong prototype is an error. Kernels run on the host's cores, by the runtime of the cpu device.

   It says nothing about AMD's hardware. It is stricter than a driver need be:
   - what may synchronize (hipFree, hipHostFree, hipStreamDestroy, hipModuleLoadData, hipModuleUnload) waits for all streams of the
     device, or for all streams if it is about host memory, holding the one lock of all calls;
   - so does hipModuleLaunchKernel when 1024 operations wait in the stream;
   - a call for a stream whose device is not the thread's current one fails; after a fault every call gives the fault.

   The variable DIALTONE_STANDIN_FAULTS, or standin_faults(), makes calls fail: "hipMalloc=2,hipStreamQuery=719@5,hipInit=hang,
   hipDeviceGetAttribute:87=1" are a result, a result from the fifth call on, a call that does not return, and a
   result for one value of what the call is about. "=0" only counts, for standin_seen(). */
#define _GNU_SOURCE
#define _XOPEN_SOURCE 700
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>

#define __HIP_PLATFORM_AMD__
#define __HIP_DISABLE_CPP_FUNCTIONS__
#include <hip/hip_runtime_api.h>

#include "../../../cpu/native/abi.h"
#include "../../../cpu/native/runtime.c"

#include "wave.c"

#include "hiprtc.c"

/* Package hip looks for this symbol. */
int dialtone_simulated(void) { return 1; }

/* --- devices --- */

enum { DEVICES = 2, BACKLOG = 1024, LENT_WORKERS = 64 };
static struct gpu {
    const char *arch;
    int lanes;
    hipError_t sticky;
    int running; /* operations under way or waiting */
    size_t stack; /* bytes of a work-item's */
} gpus[DEVICES] = {{"gfx1100", 32, 0, 0, 1024}, {"gfx90a", 64, 0, 0, 1024}};

static pthread_mutex_t api = PTHREAD_MUTEX_INITIALIZER; /* held by every call */
static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER;  /* the streams' states */
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static __thread int current;
static int started;

/* --- faults --- */

static struct fault {
    char call[64];
    long about, code, from, seen; /* about: -1 for anything; code: -1 for one that hangs */
} faults[16];
static int nfaults;
static pthread_mutex_t fault_lock = PTHREAD_MUTEX_INITIALIZER;

void standin_faults(const char *spec) {
    pthread_mutex_lock(&fault_lock);
    nfaults = 0;
    while (spec && *spec && nfaults < (int)(sizeof faults / sizeof *faults)) {
        struct fault f = {"", -1, 0, 1, 0};
        size_t n = strcspn(spec, ":=");
        memcpy(f.call, spec, n < sizeof f.call ? n : sizeof f.call - 1);
        spec += n;
        if (*spec == ':') f.about = strtol(spec + 1, (char **)&spec, 0);
        if (*spec == '=') spec++;
        if (!strncmp(spec, "hang", 4)) f.code = -1, spec += 4;
        else f.code = strtol(spec, (char **)&spec, 0);
        if (*spec == '@') f.from = strtol(spec + 1, (char **)&spec, 0);
        if (*spec == ',') spec++;
        faults[nfaults++] = f;
    }
    pthread_mutex_unlock(&fault_lock);
}
__attribute__((constructor)) static void faults_of_environment(void) { standin_faults(getenv("DIALTONE_STANDIN_FAULTS")); }

/* How often a call was made that is among the faults, since they were set; -1 for another. */
long standin_seen(const char *call) {
    long n = -1;
    int i;
    pthread_mutex_lock(&fault_lock);
    for (i = 0; i < nfaults; i++)
        if (!strcmp(faults[i].call, call)) n = faults[i].seen;
    pthread_mutex_unlock(&fault_lock);
    return n;
}

static hipError_t fault(const char *call, long about) {
    long code = 0;
    int i;
    pthread_mutex_lock(&fault_lock);
    for (i = 0; i < nfaults; i++)
        if (!strcmp(faults[i].call, call) && (faults[i].about == -1 || faults[i].about == about) && ++faults[i].seen >= faults[i].from)
            code = faults[i].code;
    pthread_mutex_unlock(&fault_lock);
    while (code == -1) nap(SLEEPS); /* for ever */
    switch (code) {
    case 0: case hipErrorInvalidValue: case hipErrorOutOfMemory: case hipErrorNotReady: case hipErrorNotSupported: case hipErrorInvalidImage:
    case hipErrorNoBinaryForGpu: case hipErrorNoDevice: case hipErrorInvalidDevice: case hipErrorLaunchOutOfResources: case hipErrorNotFound:
        break; /* the device is as good as before */
    default:
        pthread_mutex_lock(&mu);
        gpus[current].sticky = (hipError_t)code;
        pthread_cond_broadcast(&changed);
        pthread_mutex_unlock(&mu);
    }
    return (hipError_t)code;
}

/* A call: fails as it was told to, then with the device's fault, or does what it does. */
#define ASK(name, about, params, ...)                                \
    hipError_t name params {                                         \
        hipError_t r = fault(#name, about);                          \
        if (r) return r;                                             \
        pthread_mutex_lock(&api);                                    \
        if (!started) r = hipErrorNotInitialized;                    \
        if (!r) do __VA_ARGS__ while (0);                            \
        pthread_mutex_unlock(&api);                                  \
        return r;                                                    \
    }
#define CALL(name, about, params, ...)                               \
    ASK(name, about, params, {                                       \
        if ((r = gpus[current].sticky)) break;                       \
        do __VA_ARGS__ while (0);                                    \
    })

const char *hipGetErrorName(hipError_t r) {
    switch (r) {
#define NAME(x) case x: return #x;
    NAME(hipSuccess) NAME(hipErrorInvalidValue) NAME(hipErrorOutOfMemory) NAME(hipErrorNotInitialized) NAME(hipErrorDeinitialized)
    NAME(hipErrorInvalidConfiguration) NAME(hipErrorNoDevice) NAME(hipErrorInvalidDevice) NAME(hipErrorInvalidImage)
    NAME(hipErrorNoBinaryForGpu) NAME(hipErrorECCNotCorrectable) NAME(hipErrorInvalidKernelFile) NAME(hipErrorInvalidHandle)
    NAME(hipErrorNotFound) NAME(hipErrorNotReady) NAME(hipErrorIllegalAddress) NAME(hipErrorLaunchOutOfResources)
    NAME(hipErrorLaunchTimeOut) NAME(hipErrorContextIsDestroyed) NAME(hipErrorAssert) NAME(hipErrorLaunchFailure) NAME(hipErrorNotSupported)
    default: return "hipErrorUnknown";
    }
}

hipError_t hipInit(unsigned flags) {
    hipError_t r = fault("hipInit", (long)flags);
    pthread_mutex_lock(&api);
    if (!r && !started) started = dialtone_start() == 0;
    pthread_mutex_unlock(&api);
    return r ? r : started ? hipSuccess : hipErrorUnknown;
}
hipError_t hipRuntimeGetVersion(int *v) { return *v = 60443484, hipSuccess; }
ASK(hipGetDeviceCount, -1, (int *n), { *n = DEVICES; })
ASK(hipDeviceGet, n, (hipDevice_t *d, int n), { if (n < 0 || n >= DEVICES) r = hipErrorInvalidDevice; else *d = n; })
ASK(hipSetDevice, n, (int n), { if (n < 0 || n >= DEVICES) r = hipErrorInvalidDevice; else current = n; })
ASK(hipDeviceGetName, d, (char *to, int n, hipDevice_t d), { snprintf(to, (size_t)n, "%d lanes on the host's cores", gpus[d].lanes); })
ASK(hipDeviceGetUuid, d, (hipUUID *u, hipDevice_t d), { memcpy(u->bytes, "000000000000000", 15), u->bytes[15] = (char)('0' + d); })
ASK(hipDeviceGetPCIBusId, d, (char *to, int n, int d), { snprintf(to, (size_t)n, "0000:0%X:00.0", d + 10); })
ASK(hipDeviceTotalMem, d, (size_t *n, hipDevice_t d), { *n = (size_t)1 << 30; })
ASK(hipDeviceGetAttribute, (long)a, (int *v, hipDeviceAttribute_t a, int d), {
    switch ((int)a) {
    case hipDeviceAttributeCanMapHostMemory: case hipDeviceAttributeManagedMemory: case hipDeviceAttributeConcurrentManagedAccess: *v = 1; break;
    case hipDeviceAttributeMaxBlockDimX: case hipDeviceAttributeMaxBlockDimY: case hipDeviceAttributeMaxBlockDimZ: *v = 1024; break;
    case hipDeviceAttributeMaxGridDimX: case hipDeviceAttributeMaxGridDimY: case hipDeviceAttributeMaxGridDimZ: *v = 0x7fffffff; break;
    case hipDeviceAttributeMaxThreadsPerBlock: case hipDeviceAttributeMaxThreadsPerMultiProcessor: *v = 1024; break;
    case hipDeviceAttributeMultiprocessorCount: *v = (int)sysconf(_SC_NPROCESSORS_ONLN); break;
    case hipDeviceAttributeWarpSize: *v = gpus[d].lanes; break;
    case hipDeviceAttributeGcnArchName: strcpy((char *)v, gpus[d].arch); break;
    case hipDeviceAttributeCanUseStreamWaitValue: case hipDeviceAttributeUnifiedAddressing: case hipDeviceAttributeMemoryPoolsSupported: *v = 1; break;
    case 10017: *v = 100000; break; /* hipDeviceAttributeWallClockRate, since HIP 5.3 */
    default: r = hipErrorInvalidValue;
    }
})
static int others(int d, int peer) { return d >= 0 && d < DEVICES && peer >= 0 && peer < DEVICES; }
ASK(hipDeviceCanAccessPeer, peer, (int *can, int d, int peer), {
    if (!others(d, peer)) r = hipErrorInvalidDevice;
    else *can = d != peer; /* their memory is the host's */
})
ASK(hipDeviceGetP2PAttribute, (long)which, (int *v, hipDeviceP2PAttr which, int d, int peer), {
    if (!others(d, peer) || d == peer) r = hipErrorInvalidDevice;
    else *v = which == hipDevP2PAttrAccessSupported || which == hipDevP2PAttrNativeAtomicSupported;
})
/* hipDeviceSetLimit, and 0, hipLimitStackSize, came with HIP 5.3, which this header does not know. What is set is rounded up, and too much is an
   invalid value. */
#define STACK_LIMIT(a) if ((int)(a) != 0) { r = hipErrorUnsupportedLimit; break; }
CALL(hipDeviceGetLimit, (long)which, (size_t *n, enum hipLimit_t which), {
    STACK_LIMIT(which)
    *n = gpus[current].stack;
})
static void drain(int device);
CALL(hipDeviceSetLimit, (long)which, (enum hipLimit_t which, size_t n), {
    STACK_LIMIT(which)
    drain(current);
    if (n > 131056) r = hipErrorInvalidValue;
    else gpus[current].stack = (n + 15) / 16 * 16;
})
/* HIP 6 has a larger struct, which this header does not know: gcnArchName at 1160 of 1472 bytes. */
hipError_t hipGetDevicePropertiesR0600(void *p, int d) {
    hipError_t r = fault("hipGetDevicePropertiesR0600", d);
    if (r) return r;
    memset(p, 0, 1472);
    snprintf((char *)p + 1160, 256, "%s:sramecc+:xnack-", gpus[d].arch);
    return hipSuccess;
}

/* --- streams --- */

static void *signal_memory; /* what streams may wait for: one allocation at a time */

typedef struct function {
    entry_point entry;
    const unsigned *sizes; /* count, then each parameter's */
} function;
typedef struct op {
    struct op *next;
    function *f;
    unsigned shape[6];
    char *values;
    void *to, *from;
    size_t n;
    struct ihipEvent_t *e;
    uint64_t mark;
    uint32_t *word, value, mask;
    int waits; /* for the word, or else writes it */
    hipHostFn_t call;
    void *user;
} op;
struct ihipEvent_t { uint64_t recorded, reached; };
struct ihipStream_t {
    op *head, **tail;
    int device, pending, dead;
    pthread_t thread;
    op *late; /* of STANDIN_CALLS_LATE: comes behind the next one */
};

static hipError_t run_op(op *o) {
    uint64_t what[8];
    struct run *r;
    hipError_t bad;
    if (o->word) {
        if (!o->waits) __atomic_store_n(o->word, o->value, __ATOMIC_RELEASE);
        else while ((__atomic_load_n(o->word, __ATOMIC_ACQUIRE) & o->mask) < o->value) nap(SLEEPS);
        return hipSuccess;
    }
    if (o->call) {
        o->call(o->user);
        return hipSuccess;
    }
    if (o->e || !o->f) {
        if (!o->e) memcpy(o->to, o->from, o->n);
        return hipSuccess;
    }
    r = dialtone_new(o->f->entry, o->shape, (int)sysconf(_SC_NPROCESSORS_ONLN), LENT_WORKERS, gpus[current].stack, (int)o->f->sizes[0], o->f->sizes + 1, o->values);
    if (!r || dialtone_run(r)) return hipErrorOutOfMemory;
    dialtone_fault(r, what);
    dialtone_free(r);
    switch ((int)what[0]) {
    case 0: return hipSuccess;
    case -1: bad = hipErrorOutOfMemory; break;
    case SIGSEGV: case SIGBUS: bad = hipErrorIllegalAddress; break;
    default: bad = hipErrorLaunchFailure;
    }
    return bad;
}
static void *serve(void *p) {
    struct ihipStream_t *s = p;
    struct gpu *g = &gpus[s->device];
    current = s->device;
    pthread_mutex_lock(&mu);
    for (;;) {
        op *o;
        hipError_t bad = hipSuccess;
        while (!s->head && !s->dead) pthread_cond_wait(&changed, &mu);
        if (!(o = s->head)) break;
        if (!g->sticky) {
            pthread_mutex_unlock(&mu);
            bad = run_op(o);
            pthread_mutex_lock(&mu);
        }
        if (bad) g->sticky = bad;
        if (o->e) o->e->reached = o->mark;
        if (!(s->head = o->next)) s->tail = &s->head;
        s->pending--, g->running--;
        free(o->values), free(o);
        pthread_cond_broadcast(&changed);
    }
    pthread_mutex_unlock(&mu);
    return 0;
}
static void push(struct ihipStream_t *s, op *o) {
    struct gpu *g = &gpus[s->device];
    pthread_mutex_lock(&mu);
    while (s->pending >= BACKLOG && !g->sticky) pthread_cond_wait(&changed, &mu);
    *s->tail = o, s->tail = &o->next, s->pending++, g->running++;
    if (s->late) *s->tail = s->late, s->tail = &s->late->next, s->pending++, g->running++, s->late = 0;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mu);
}
static void drain(int device) {
    pthread_mutex_lock(&mu);
    while (gpus[device].running && !gpus[device].sticky) pthread_cond_wait(&changed, &mu);
    pthread_mutex_unlock(&mu);
}

CALL(hipStreamCreateWithFlags, (long)flags, (hipStream_t *s, unsigned flags), {
    sigset_t all, old;
    if (flags != hipStreamNonBlocking) { r = hipErrorInvalidValue; break; }
    *s = calloc(1, sizeof **s);
    (*s)->tail = &(*s)->head, (*s)->device = current;
    sigfillset(&all); /* signals are for the program's own threads */
    pthread_sigmask(SIG_SETMASK, &all, &old);
    if (pthread_create(&(*s)->thread, 0, serve, *s)) r = hipErrorOutOfMemory;
    pthread_sigmask(SIG_SETMASK, &old, 0);
})
#define OF_STREAM(s) if ((s)->device != current) { r = hipErrorInvalidHandle; break; }
hipError_t hipStreamQuery(hipStream_t s) {
    hipError_t r = fault("hipStreamQuery", -1);
    if (r) return r;
    pthread_mutex_lock(&mu);
    do {
        OF_STREAM(s)
        r = gpus[s->device].sticky ? gpus[s->device].sticky : s->pending ? hipErrorNotReady : hipSuccess;
    } while (0);
    pthread_mutex_unlock(&mu);
    return r;
}
static void forget_pool_of(hipStream_t s);
CALL(hipStreamDestroy, -1, (hipStream_t s), {
    OF_STREAM(s)
    drain(s->device);
    forget_pool_of(s);
    pthread_mutex_lock(&mu);
    s->dead = 1;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mu);
    pthread_join(s->thread, 0);
    free(s);
})
CALL(hipEventCreateWithFlags, (long)flags, (hipEvent_t *e, unsigned flags), {
    if (flags != hipEventDisableTiming) { r = hipErrorInvalidValue; break; }
    *e = calloc(1, sizeof **e);
})
CALL(hipEventDestroy, -1, (hipEvent_t e), { free(e); })
CALL(hipEventRecord, -1, (hipEvent_t e, hipStream_t s), {
    op *o = calloc(1, sizeof *o);
    OF_STREAM(s)
    pthread_mutex_lock(&mu);
    o->e = e, o->mark = ++e->recorded;
    pthread_mutex_unlock(&mu);
    push(s, o);
})
hipError_t hipEventQuery(hipEvent_t e) {
    hipError_t r = fault("hipEventQuery", -1);
    if (r) return r;
    pthread_mutex_lock(&mu);
    r = gpus[current].sticky ? gpus[current].sticky : e->reached < e->recorded ? hipErrorNotReady : hipSuccess;
    pthread_mutex_unlock(&mu);
    return r;
}

static void word_op(hipStream_t s, int waits, void *word, uint32_t value, uint32_t mask) {
    op *o = calloc(1, sizeof *o);
    o->word = word, o->value = value, o->mask = mask, o->waits = waits;
    push(s, o);
}
CALL(hipStreamWriteValue32, -1, (hipStream_t s, void *word, uint32_t value, unsigned flags), {
    OF_STREAM(s)
    if (!word || (uintptr_t)word % 4 || flags) r = hipErrorInvalidValue;
    else word_op(s, 0, word, value, 0);
})
CALL(hipStreamWaitValue32, (long)flags, (hipStream_t s, void *word, uint32_t value, unsigned flags, uint32_t mask), {
    OF_STREAM(s)
    if (!word || word != signal_memory || flags != hipStreamWaitValueGte) r = hipErrorInvalidValue;
#ifndef STANDIN_WAITS_FOR_NOTHING
    else word_op(s, 1, word, value, mask);
#else
    (void)value, (void)mask;
#endif
})

CALL(hipLaunchHostFunc, -1, (hipStream_t s, hipHostFn_t call, void *user), {
    op *o = calloc(1, sizeof *o);
    OF_STREAM(s)
    o->call = call, o->user = user;
#ifdef STANDIN_CALLS_LATE
    s->late = o;
#else
    push(s, o);
#endif
})

/* --- memory --- */

CALL(hipMalloc, -1, (void **p, size_t n), {
    if (n > (size_t)1 << 30 || posix_memalign(p, 256, n)) { r = hipErrorOutOfMemory; break; }
    if (n <= 1 << 20) memset(*p, 0xa5, n); /* nobody promises zeros */
})
CALL(hipExtMallocWithFlags, (long)flags, (void **p, size_t n, unsigned flags), {
    if (flags != hipMallocSignalMemory || n != 8) { r = hipErrorInvalidValue; break; }
    if (signal_memory || posix_memalign(p, 64, 64)) { r = hipErrorOutOfMemory; break; }
    signal_memory = *p;
})
CALL(hipFree, -1, (void *p), {
    drain(current);
    if (p == signal_memory) signal_memory = 0;
    free(p);
})
CALL(hipMemGetInfo, -1, (size_t *free, size_t *total), { *free = *total = (size_t)1 << 30; })
CALL(hipMallocManaged, (long)flags, (void **p, size_t n, unsigned flags), {
    if (flags != hipMemAttachGlobal) { r = hipErrorInvalidValue; break; }
    if (n > (size_t)1 << 30 || posix_memalign(p, 4096, n)) r = hipErrorOutOfMemory;
})
CALL(hipHostMalloc, (long)flags, (void **p, size_t n, unsigned flags), {
    if (flags & ~(unsigned)(hipHostMallocPortable | hipHostMallocMapped | hipHostMallocCoherent)) { r = hipErrorInvalidValue; break; }
    if (n > (size_t)1 << 30 || posix_memalign(p, 4096, n)) r = hipErrorOutOfMemory;
})
CALL(hipHostGetDevicePointer, -1, (void **d, void *h, unsigned flags), { if (flags) r = hipErrorInvalidValue; else *d = h; })
CALL(hipHostFree, -1, (void *p), {
    int i;
    for (i = 0; i < DEVICES; i++) drain(i);
    free(p);
})

/* What a stream has freed it may allocate again at once: nobody but what follows in the stream can use it. */
static struct pooled {
    hipStream_t stream;
    char *at;
    size_t n;
    int used;
} pool[64];
CALL(hipMallocAsync, -1, (void **p, size_t n, hipStream_t s), {
    int i;
    OF_STREAM(s)
    if (n > (size_t)1 << 30) { r = hipErrorOutOfMemory; break; }
    for (i = 0; i < 64 && pool[i].at && (pool[i].used || pool[i].stream != s || pool[i].n < n); i++) {}
    if (i == 64) { r = hipErrorOutOfMemory; break; }
    if (!pool[i].at) {
        if (posix_memalign((void **)&pool[i].at, 256, n)) { r = hipErrorOutOfMemory; break; }
        memset(pool[i].at, 0xa5, n);
        pool[i].stream = s, pool[i].n = n;
    }
    pool[i].used = 1;
    *p = pool[i].at;
})
CALL(hipFreeAsync, -1, (void *p, hipStream_t s), {
    int i;
    OF_STREAM(s)
    for (i = 0; i < 64 && pool[i].at != p; i++) {}
    if (!p || i == 64 || !pool[i].used) r = hipErrorInvalidValue;
    else pool[i].used = 0;
})

static void forget_pool_of(hipStream_t s) {
    int i;
    for (i = 0; i < 64; i++)
        if (pool[i].stream == s && pool[i].at) {
            if (pool[i].used) fprintf(stderr, "stand-in: a stream goes with memory that was allocated in it\n"), abort();
            free(pool[i].at), pool[i].at = 0, pool[i].stream = 0;
        }
}

/* HIP 7 has this function, which this header does not know. What it gives is a file of that size, and no DMA-BUF: those only the kernel's
   drivers make. */
#if HIP_VERSION < 70000000
typedef int hipMemRangeHandleType;
#define hipMemRangeHandleTypeDmaBufFd 1
#endif
CALL(hipMemGetHandleForAddressRange, (long)type, (void *handle, hipDeviceptr_t p, size_t n, hipMemRangeHandleType type, unsigned long long flags), {
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    int f;
    if (type != hipMemRangeHandleTypeDmaBufFd || flags || !p || (uintptr_t)p % page || n % page) { r = hipErrorInvalidValue; break; }
    if ((f = memfd_create("standin", MFD_CLOEXEC)) < 0) { r = hipErrorUnknown; break; }
    if (ftruncate(f, (off_t)n)) { close(f), r = hipErrorUnknown; break; }
    *(int *)handle = f;
})

static void copy(hipStream_t s, void *to, void *from, size_t n) {
    op *o = calloc(1, sizeof *o);
#ifdef STANDIN_POOL_FORGETS
    static char nothing[1 << 16];
    int i;
    for (i = 0; i < 64; i++)
        if (pool[i].at && pool[i].at == from && n <= sizeof nothing) from = nothing;
#endif
    o->to = to, o->from = from, o->n = n;
    push(s, o);
}
CALL(hipMemcpyHtoDAsync, -1, (hipDeviceptr_t to, void *from, size_t n, hipStream_t s), { OF_STREAM(s) copy(s, to, from, n); })
CALL(hipMemcpyDtoHAsync, -1, (void *to, hipDeviceptr_t from, size_t n, hipStream_t s), { OF_STREAM(s) copy(s, to, from, n); })

/* --- code --- */

struct ihipModule_t {
    void *object;
    function *functions[64];
    char *names[64];
    int n;
};

CALL(hipModuleLoadData, -1, (hipModule_t *m, const void *image), {
    const Elf64_Ehdr *h = image;
    const char *tmp = getenv("TMPDIR");
    char path[256];
    size_t size;
    void *object, (*bind)(const struct standin_lanes *);
    int f;
    drain(current);
    if (memcmp(image, ELFMAG, SELFMAG) || h->e_type != ET_DYN) { r = hipErrorInvalidImage; break; }
#ifdef __x86_64__
    if (h->e_machine != EM_X86_64) { r = hipErrorNoBinaryForGpu; break; }
#endif
    size = h->e_shoff + (size_t)h->e_shentsize * h->e_shnum; /* where linkers put the end */
    snprintf(path, sizeof path, "%s/dialtone-standin-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    if ((f = mkstemp(path)) < 0) { r = hipErrorOutOfMemory; break; }
    close(f);
    object = save(path, image, size) ? 0 : dlopen(path, RTLD_NOW | RTLD_LOCAL);
    unlink(path);
    if (!object) { r = hipErrorInvalidImage; break; }
    if (!(*(void **)&bind = dlsym(object, "standin_bind"))) { dlclose(object); r = hipErrorInvalidImage; break; }
    bind(&lanes);
    *m = calloc(1, sizeof **m);
    (*m)->object = object;
})
CALL(hipModuleGetFunction, -1, (hipFunction_t *f, hipModule_t m, const char *name), {
    char symbol[300];
    function found;
    const unsigned *(*sizes)(void);
    int i;
    for (i = 0; i < m->n && strcmp(m->names[i], name); i++) {}
    if (i == m->n) {
        snprintf(symbol, sizeof symbol, "standin_sizes_%s", name);
        *(void **)&sizes = dlsym(m->object, symbol);
        snprintf(symbol, sizeof symbol, "dialtone_entry_%s", name);
        *(void **)&found.entry = dlsym(m->object, symbol);
        if (!sizes || !found.entry || m->n == 64) { r = hipErrorNotFound; break; }
        found.sizes = sizes();
        m->functions[i] = malloc(sizeof found), *m->functions[i] = found;
        m->names[m->n++] = strdup(name);
    }
    *f = (hipFunction_t)m->functions[i];
})
CALL(hipFuncGetAttribute, (long)a, (int *v, hipFunction_attribute a, hipFunction_t f), {
    (void)f;
    if (a != HIP_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK) r = hipErrorInvalidValue;
    else *v = 1024;
})
CALL(hipModuleUnload, -1, (hipModule_t m), {
    drain(current);
    while (m->n > 0) free(m->names[--m->n]), free(m->functions[m->n]);
    dlclose(m->object);
    free(m);
})
CALL(hipModuleLaunchKernel, -1, (hipFunction_t hf, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared,
    hipStream_t s, void **params, void **extra), {
    function *f = (function *)hf;
    op *o;
    size_t total = 0;
    unsigned k;
    OF_STREAM(s)
    if (shared || extra || !gx || !gy || !gz || !bx || !by || !bz) { r = hipErrorInvalidValue; break; }
    if ((uint64_t)gx * bx >> 32 || (uint64_t)gy * by >> 32 || (uint64_t)gz * bz >> 32 || (uint64_t)bx * by * bz > 1024) { r = hipErrorInvalidConfiguration; break; }
    for (k = 1; k <= f->sizes[0]; k++) total += f->sizes[k];
    o = calloc(1, sizeof *o);
    o->values = malloc(total + 1);
    for (total = 0, k = 1; k <= f->sizes[0]; total += f->sizes[k++]) memcpy(o->values + total, params[k - 1], f->sizes[k]);
    o->f = f;
    o->shape[0] = gx, o->shape[1] = gy, o->shape[2] = gz, o->shape[3] = bx, o->shape[4] = by, o->shape[5] = bz;
    push(s, o);
})
