/* A double of the CUDA driver library for tests on machines without a GPU: two devices whose
 * kernels are the C functions below, one thread per stream. It is stricter than a driver:
 *
 *  - every call that synchronizes by itself (cuMemFree, cuMemFreeHost, cuModuleLoadDataEx, cuFuncLoad,
 *    cuModuleUnload, cuDevicePrimaryCtxRelease) waits for all streams of the device, or for all streams if it is
 *    about host or managed memory, holding the one lock of all calls;
 *  - so does cuCtxSetLimit, of its device;
 *  - so does cuLaunchKernel when 1024 operations wait in the stream;
 *  - a call without a current context fails; after a fault every call gives the fault;
 *  - a context that is released with objects left in it, without a fault, ends the process.
 *
 * DOUBLE_SLOW=cuModuleLoadDataEx:1500 has that call take so many milliseconds more, with the lock held. double_order("cuMemAllocAsync:801")
 * has that call give that result; "late:1" calls a function of the host behind the operation that it comes before, "forgets:1" loses
 * what was written to memory of a stream.
 *
 * It says nothing about real devices. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

typedef int R;
enum { OK, INVALID = 1, OOM = 2, NO_DEV = 101, BAD_IMAGE = 200, BAD_CTX = 201, UNSUPPORTED_LIMIT = 215, BAD_PTX = 218, NOT_FOUND = 500, NOT_READY = 600 };

static pthread_mutex_t api = PTHREAD_MUTEX_INITIALIZER; /* held by every call */
static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER;  /* the streams' states */
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
typedef struct { int sticky, retained, objects, running; size_t deep; } ctx;
static ctx contexts[2];
static __thread ctx *current;
static __thread ctx *faulting; /* the context of the kernel that this thread runs */

/* ---- kernels ---- */
typedef struct { unsigned x, y, z, w, h; } at;
typedef void body(at *, char **);
#define A(i, type) (*(type *)a[i])

/* Takes the time that DOUBLE_SLOW wants of a call. */
static void slow(const char *call) {
	const char *s = getenv("DOUBLE_SLOW");
	size_t n = strlen(call);
	if (!s || strncmp(s, call, n) || s[n] != ':') return;
	long ms = atol(s + n + 1);
	nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, 0);
}
static char order[100];
void double_order(const char *s) { snprintf(order, sizeof order, "%s", s); }
/* What was ordered of a call, or 0. */
static int ordered(const char *what) {
	size_t n = strlen(what);
	return !strncmp(order, what, n) && order[n] == ':' ? atoi(order + n + 1) : 0;
}
static uint64_t now(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}
static uint32_t load(uint32_t *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
static void store(uint32_t *p, uint32_t v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }

static void k_add(at *i, char **a) {
	if ((int)i->x < A(3, int)) A(2, float *)[i->x] = A(0, float *)[i->x] + A(1, float *)[i->x];
}
static void k_ids(at *i, char **a) { A(0, uint32_t *)[(i->z * i->h + i->y) * i->w + i->x] = i->x | i->y << 8 | i->z << 16; }
struct mixed { char c; short s; int i; double d; };
static void k_args(at *i, char **a) {
	char *out = A(0, char *);
	struct mixed *m = (struct mixed *)a[5];
	*(int *)out = A(1, int);
	*(int64_t *)(out + 8) = A(2, int64_t);
	*(float *)(out + 16) = A(3, float);
	out[20] = A(4, char);
	out[21] = m->c, *(short *)(out + 22) = m->s, *(int *)(out + 24) = m->i, *(double *)(out + 32) = m->d;
	*A(6, int *) = 77;
}
static void k_increment(at *i, char **a) { ++*A(0, uint32_t *); }
static void k_mailbox(at *at, char **a) {
	uint32_t *w = A(0, uint32_t *);
	uint64_t end = now() + A(2, uint64_t);
	for (uint32_t i = 1; i <= A(1, uint32_t); i++) {
		store(w, i);
		while (load(w + 1) != i * 3) {
			if (now() > end) { store(w + 2, i); return; }
			sched_yield();
		}
	}
	store(w + 2, 0xffffffffu);
}
static void k_waiter(at *at, char **a) {
	uint32_t *w = A(0, uint32_t *);
	uint64_t end = now() + A(1, uint64_t);
	store(w, 1);
	while (!load(w + 1)) {
		if (now() > end) { store(w + 2, 2); return; }
		sched_yield();
	}
	store(w + 2, 1);
}
static void k_nothing(at *i, char **a) {}
static void k_trap(at *i, char **a) { store(A(0, uint32_t *), 0x600d), faulting->sticky = 719; }
static void k_address(at *i, char **a) { store(A(0, uint32_t *), 0x600d), faulting->sticky = 700; }
static void k_misaligned(at *i, char **a) { store(A(0, uint32_t *), 0x600d), faulting->sticky = 716; }

static struct kernel { const char *name; body *f; int n, size[8]; } kernels[] = {
	{"add", k_add, 4, {8, 8, 8, 4}}, {"another", k_nothing, 1, {8}}, {"fresh", k_nothing, 1, {8}},
	{"ids", k_ids, 1, {8}}, {"args", k_args, 7, {8, 4, 8, 4, 1, 16, 8}}, {"increment", k_increment, 1, {8}},
	{"mailbox", k_mailbox, 3, {8, 4, 8}}, {"waiter", k_waiter, 2, {8, 8}}, {"deep", k_nothing, 2, {8, 4}},
	{"fault_trap", k_trap, 1, {8}}, {"fault_address", k_address, 2, {8, 8}}, {"fault_misaligned", k_misaligned, 1, {8}},
};

/* ---- streams ---- */
typedef struct event { uint64_t recorded, reached; } event;
typedef struct op {
	struct op *next;
	struct kernel *k;
	unsigned grid[3], group[3];
	char *args[8], values[8][16];
	void *to, *from;
	size_t n;
	event *e;
	uint64_t mark;
	uint32_t *word, value;
	void (*call)(void *), *user;
} op;
typedef struct { op *head, **tail, *late; ctx *c; int pending, dead; } stream;

static void run(op *o) {
	if (o->e) {
		o->e->reached = o->mark;
	} else if (o->word) {
		store(o->word, o->value);
	} else if (o->call) {
		o->call(o->user);
	} else if (!o->k) {
		memcpy(o->to, o->from, o->n);
	} else {
		unsigned n[3];
		for (int i = 0; i < 3; i++) n[i] = o->grid[i] * o->group[i];
		at i = {.w = n[0], .h = n[1]};
		for (i.z = 0; i.z < n[2]; i.z++)
			for (i.y = 0; i.y < n[1]; i.y++)
				for (i.x = 0; i.x < n[0]; i.x++) o->k->f(&i, o->args);
	}
}
static void *worker(void *p) {
	stream *s = p;
	faulting = s->c;
	pthread_mutex_lock(&mu);
	for (;;) {
		while (!s->head && !s->dead) pthread_cond_wait(&changed, &mu);
		if (!s->head) break;
		op *o = s->head;
		if (!s->c->sticky) {
			pthread_mutex_unlock(&mu);
			run(o);
			pthread_mutex_lock(&mu);
		}
		if (!(s->head = o->next)) s->tail = &s->head;
		s->pending--, s->c->running--;
		free(o);
		pthread_cond_broadcast(&changed);
	}
	pthread_mutex_unlock(&mu);
	free(s);
	return 0;
}
static void push(stream *s, op *o) {
	pthread_mutex_lock(&mu);
	while (s->pending >= 1024 && !s->c->sticky) pthread_cond_wait(&changed, &mu);
	*s->tail = o, s->tail = &o->next, s->pending++, s->c->running++;
	if (s->late) *s->tail = s->late, s->tail = &s->late->next, s->pending++, s->c->running++, s->late = 0;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&mu);
}
static void drain(ctx *c) {
	pthread_mutex_lock(&mu);
	while (c->running && !c->sticky) pthread_cond_wait(&changed, &mu);
	pthread_mutex_unlock(&mu);
}

/* ---- calls ---- */
#define CALL(name, params, ...)                       \
	R name params {                                   \
		pthread_mutex_lock(&api);                     \
		slow(#name);                                  \
		R r = !current ? BAD_CTX : current->sticky;   \
		if (!r) r = ordered(#name);                   \
		if (!r) do __VA_ARGS__ while (0);             \
		pthread_mutex_unlock(&api);                   \
		return r;                                     \
	}

R cuInit(unsigned f) { return OK; }
R cuDriverGetVersion(int *v) { return *v = 13000, OK; }
R cuGetErrorName(R r, const char **s) {
	static const struct { R r; const char *s; } t[] = {{2, "CUDA_ERROR_OUT_OF_MEMORY"}, {101, "CUDA_ERROR_INVALID_DEVICE"},
		{700, "CUDA_ERROR_ILLEGAL_ADDRESS"}, {701, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES"}, {710, "CUDA_ERROR_ASSERT"},
		{716, "CUDA_ERROR_MISALIGNED_ADDRESS"}, {719, "CUDA_ERROR_LAUNCH_FAILED"}, {803, "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH"}};
	for (unsigned i = 0; i < sizeof t / sizeof *t; i++)
		if (t[i].r == r) return *s = t[i].s, OK;
	return *s = 0, INVALID;
}
R cuDeviceGetCount(int *n) { return *n = 2, OK; }
R cuDeviceGet(int *d, int n) { return n < 0 || n > 1 ? NO_DEV : (*d = n, OK); }
R cuDeviceGetName(char *s, int n, int d) { return snprintf(s, n, "Double of a GPU"), OK; }
R cuDeviceGetPCIBusId(char *s, int n, int d) { return snprintf(s, n, "0000:3%c:00.0", 'B' + d), OK; }
R cuDeviceGetUuid_v2(char *u, int d) {
	for (int i = 0; i < 16; i++) u[i] = i * 17 + d;
	return OK;
}
R cuDeviceTotalMem_v2(size_t *n, int d) { return *n = 1ull << 30, OK; }
R cuDeviceGetAttribute(int *v, int a, int d) {
	static const int t[][2] = {{1, 1024}, {2, 1024}, {3, 1024}, {4, 64}, {5, 0x7fffffff}, {6, 65535}, {7, 65535}, {10, 32}, {16, 2},
		{18, 0}, {19, 1}, {39, 2048}, {75, 9}, {76, 0}, {83, 1}, {89, 1}, {150, 7}};
	for (unsigned i = 0; i < sizeof t / sizeof *t; i++)
		if (t[i][0] == a) return *v = t[i][1], OK;
	return INVALID;
}
R cuDevicePrimaryCtxRetain(void **c, int d) {
	pthread_mutex_lock(&api);
	contexts[d].retained++, *c = &contexts[d];
	pthread_mutex_unlock(&api);
	return OK;
}
R cuDevicePrimaryCtxRelease_v2(int d) {
	ctx *c = &contexts[d];
	pthread_mutex_lock(&api);
	drain(c);
	R r = c->sticky;
	if (--c->retained == 0) {
		if (c->objects && !r) {
			fprintf(stderr, "double: context released with %d objects left\n", c->objects);
			abort();
		}
		if (r) drain(&contexts[!d]); /* host memory is left, which both see */
		c->objects = c->sticky = c->deep = 0;
	}
	pthread_mutex_unlock(&api);
	return r;
}
R cuCtxSetCurrent(ctx *c) { return current = c, c->retained ? OK : BAD_CTX; }

/* As much stack as a thread may have, and as the memory is there for. What is set is rounded up. */
CALL(cuCtxGetLimit, (size_t *n, int which), {
	if (which) { r = UNSUPPORTED_LIMIT; break; }
	*n = current->deep ? current->deep : 1024;
})
CALL(cuCtxSetLimit, (int which, size_t n), {
	drain(current);
	if (which) { r = UNSUPPORTED_LIMIT; break; }
	if (n > 512 << 10) { r = INVALID; break; }
	if (n > 256 << 10) { r = OOM; break; }
	current->deep = (n + 15) / 16 * 16;
})

CALL(cuMemGetInfo_v2, (size_t *f, size_t *t), { *f = *t = 1ull << 30; })
CALL(cuMemAlloc_v2, (void **p, size_t n), {
	if (n > 1ull << 30 || !(*p = malloc(n))) { r = OOM; break; }
	current->objects++;
})
R cuMemHostAlloc(void **p, size_t n, unsigned f) { return f == 3 ? cuMemAlloc_v2(p, n) : INVALID; }
CALL(cuMemHostGetDevicePointer_v2, (void **d, void *h, unsigned f), { *d = h; })
CALL(cuMemFreeHost, (void *p), { drain(&contexts[0]), drain(&contexts[1]); free(p); current->objects--; })
static void *managed[1000];
static int nmanaged;
CALL(cuMemFree_v2, (void *p), {
	drain(current);
	for (int i = 0; i < nmanaged; i++)
		if (managed[i] == p) drain(&contexts[0]), drain(&contexts[1]), managed[i] = 0;
	free(p);
	current->objects--;
})
R cuMemAllocManaged(void **p, size_t n, unsigned f) {
	R r = cuMemAlloc_v2(p, n);
	if (!r && nmanaged < 1000) managed[nmanaged++] = *p;
	return r;
}

CALL(cuStreamCreate, (stream **s, unsigned f), {
	pthread_t t;
	if (f != 1) { r = INVALID; break; }
	*s = calloc(1, sizeof **s);
	(*s)->tail = &(*s)->head, (*s)->c = current;
	pthread_create(&t, 0, worker, *s);
	pthread_detach(t);
	current->objects++;
})
R cuStreamQuery(stream *s) {
	if (current != s->c) return BAD_CTX;
	pthread_mutex_lock(&mu);
	R r = s->c->sticky ? s->c->sticky : s->pending ? NOT_READY : OK;
	pthread_mutex_unlock(&mu);
	return r;
}
CALL(cuStreamDestroy_v2, (stream *s), {
	pthread_mutex_lock(&mu);
	s->dead = 1;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&mu);
	current->objects--;
})
CALL(cuStreamWriteValue32_v2, (stream *s, uint32_t *word, uint32_t v, unsigned f), {
	if (f) { r = INVALID; break; }
	op *o = calloc(1, sizeof *o);
	o->word = word, o->value = v;
	push(s, o);
})
CALL(cuLaunchHostFunc, (stream *s, void (*call)(void *), void *user), {
	op *o = calloc(1, sizeof *o);
	o->call = call, o->user = user;
	if (ordered("late")) s->late = o;
	else push(s, o);
})

/* What a stream has freed it may allocate again at once: nobody but what follows in the stream can use it. */
static struct { stream *s; char *at; size_t n; int used; } pool[64];
CALL(cuMemAllocAsync, (void **p, size_t n, stream *s), {
	int i;
	for (i = 0; i < 64 && pool[i].at && (pool[i].used || pool[i].s != s || pool[i].n < n); i++) {}
	if (i == 64 || !pool[i].at && !(pool[i].at = calloc(1, n))) { r = OOM; break; }
	if (!pool[i].s) pool[i].s = s, pool[i].n = n;
	pool[i].used = 1, current->objects++;
	*p = pool[i].at;
})
CALL(cuMemFreeAsync, (void *p, stream *s), {
	int i;
	for (i = 0; i < 64 && pool[i].at != p; i++) {}
	if (!p || i == 64 || !pool[i].used) { r = INVALID; break; }
	pool[i].used = 0, current->objects--;
})
/* What it gives is a file of that size, and no DMA-BUF: those only the kernel's drivers make. */
CALL(cuMemGetHandleForAddressRange, (void *handle, void *p, size_t n, int type, unsigned long long flags), {
	uintptr_t page = sysconf(_SC_PAGESIZE);
	int f;
	if (type != 1 || flags || !p || (uintptr_t)p % page || n % page) { r = INVALID; break; }
	if ((f = memfd_create("double", MFD_CLOEXEC)) < 0 || ftruncate(f, n)) { r = OOM; break; }
	*(int *)handle = f;
})
CALL(cuEventCreate, (event **e, unsigned f), { *e = calloc(1, sizeof **e); current->objects++; })
CALL(cuEventDestroy_v2, (event *e), { free(e); current->objects--; })
CALL(cuEventRecord, (event *e, stream *s), {
	op *o = calloc(1, sizeof *o);
	o->e = e, o->mark = ++e->recorded;
	push(s, o);
})
R cuEventQuery(event *e) {
	if (!current) return BAD_CTX;
	pthread_mutex_lock(&mu);
	R r = current->sticky ? current->sticky : e->reached < e->recorded ? NOT_READY : OK;
	pthread_mutex_unlock(&mu);
	return r;
}
CALL(cuMemcpyHtoDAsync_v2, (void *to, void *from, size_t n, stream *s), {
	static char nothing[1 << 16];
	op *o = calloc(1, sizeof *o);
	for (int i = 0; i < 64 && ordered("forgets"); i++)
		if (pool[i].at && pool[i].at == from && n <= sizeof nothing) from = nothing;
	o->to = to, o->from = from, o->n = n;
	push(s, o);
})
R cuMemcpyDtoHAsync_v2(void *to, void *from, size_t n, stream *s) { return cuMemcpyHtoDAsync_v2(to, from, n, s); }

CALL(cuModuleLoadDataEx, (void **m, const unsigned char *image, unsigned n, int *keys, void **values), {
	drain(current);
	if (!memcmp(image, "\177ELF", 4)) {
		if (image[18] != 190) { r = BAD_IMAGE; break; }
	} else if (!strstr((const char *)image, ".entry") || strstr((const char *)image, "nonsense")) {
		for (unsigned i = 0; i < n; i++)
			if (keys[i] == 5) strcpy(values[i], "ptxas application ptx input, line 1; error   : not like this");
		r = BAD_PTX;
		break;
	}
	*m = malloc(1);
	current->objects++;
})
CALL(cuModuleUnload, (void *m), { drain(current); free(m); current->objects--; })
CALL(cuModuleGetFunction, (struct kernel **k, void *m, const char *name), {
	r = NOT_FOUND;
	for (unsigned i = 0; i < sizeof kernels / sizeof *kernels; i++)
		if (!strcmp(kernels[i].name, name)) *k = &kernels[i], r = OK;
})
CALL(cuFuncLoad, (struct kernel *k), { drain(current); })
CALL(cuFuncGetAttribute, (int *v, int a, struct kernel *k), { *v = 1024; })
CALL(cuFuncGetParamInfo, (struct kernel *k, size_t i, size_t *o, size_t *n), {
	if ((int)i >= k->n) { r = INVALID; break; }
	*n = k->size[i];
})
CALL(cuLaunchKernel, (struct kernel *k, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared,
	stream *s, void **params, void **extra), {
	op *o = calloc(1, sizeof *o);
	o->k = k;
	o->grid[0] = gx, o->grid[1] = gy, o->grid[2] = gz, o->group[0] = bx, o->group[1] = by, o->group[2] = bz;
	for (int i = 0; i < k->n; i++) memcpy(o->args[i] = o->values[i], params[i], k->size[i]);
	push(s, o);
})
