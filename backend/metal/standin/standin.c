/* A stand-in for Apple's Objective-C runtime and Metal, for tests on machines without either. It has what
   backend/metal uses, and is stricter than the real ones:

    - a message to a freed object, an unknown selector, an object that is autoreleased without a pool, a pool that is popped
      on another thread, and calls in the wrong order end the process with a message;
    - objects that are alive are counted (standin_live);
    - kernels work on copies of their buffers: what they write reaches the host's memory when the command buffer has ended, and
      they see nothing that the host writes meanwhile. Metal promises no more;
    - faults can be ordered (standin_fault).

   Metal Shading Language is compiled by clang, over include/metal_stdlib, see translate.c; threadgroups run on threads and their
   threads as fibers, by the cpu backend's runtime. It says nothing about real devices. */
#include "../../cpu/native/abi.h"
#include "../../cpu/native/runtime.c"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/wait.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#define PUBLIC __attribute__((visibility("default")))

typedef const char *SEL;
typedef struct class *Class;
typedef struct object { Class isa; long refs; } *id;
struct method { const char *name; void *imp; int since; /* version of macOS; 0: always there */ SEL sel; };
struct class {
    Class isa; /* its metaclass, which holds the class's own methods */
    const char *name;
    struct method *methods;
    size_t size;
    void (*dealloc)(id);
    long live;
};
typedef struct { size_t w, h, d; } MTLSize;

static void __attribute__((noreturn, format(printf, 1, 2))) die(const char *format, ...) {
    va_list a;
    fputs("*** stand-in for Metal: ", stderr);
    va_start(a, format);
    vfprintf(stderr, format, a);
    va_end(a);
    fputs("\n", stderr);
    abort();
}

/* --- faults --- */

static struct { const char *name; int times; } faults[] = {
    {"no device"}, {"old system"}, {"macOS 13"}, {"allocate"}, {"queue"}, {"command buffer"}, {"encoder"}, {"pipeline"}, {"compile hangs"},
    {"launch fails"}, {"out of memory"}, {"lost"}, {"launch hangs"},
    {"file queue"}, {"file"}, {"load fails"}, {"load is cancelled"}, {"load lies"}, {"load hangs"},
};
static pthread_mutex_t fault_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t fault_change = PTHREAD_COND_INITIALIZER;

/* Orders a fault for so many times, -1 for ever; 0 takes it back, and lets go what hangs. */
PUBLIC void standin_fault(const char *name, int times) {
    size_t i;
    pthread_mutex_lock(&fault_lock);
    for (i = 0; i < sizeof faults / sizeof *faults && strcmp(faults[i].name, name); i++) {}
    if (i == sizeof faults / sizeof *faults) die("no fault is named %s", name);
    faults[i].times = times;
    pthread_cond_broadcast(&fault_change);
    pthread_mutex_unlock(&fault_lock);
}

static int fault(const char *name) {
    size_t i;
    int now = 0;
    pthread_mutex_lock(&fault_lock);
    for (i = 0; i < sizeof faults / sizeof *faults; i++)
        if (!strcmp(faults[i].name, name) && faults[i].times) {
            now = 1;
            if (faults[i].times > 0) faults[i].times--;
        }
    pthread_mutex_unlock(&fault_lock);
    return now;
}

/* Waits as long as the fault is ordered for ever. */
static void hang(const char *name) {
    size_t i;
    for (i = 0; strcmp(faults[i].name, name); i++) {}
    pthread_mutex_lock(&fault_lock);
    while (faults[i].times < 0) pthread_cond_wait(&fault_change, &fault_lock);
    pthread_mutex_unlock(&fault_lock);
}

/* --- the Objective-C runtime --- */

static struct { char *names[512]; int count; } selectors;
static pthread_mutex_t selector_lock = PTHREAD_MUTEX_INITIALIZER;

PUBLIC SEL sel_registerName(const char *name) {
    SEL s = 0;
    int i;
    pthread_mutex_lock(&selector_lock);
    for (i = 0; i < selectors.count && !s; i++)
        if (!strcmp(selectors.names[i], name)) s = selectors.names[i];
    if (!s) {
        if (selectors.count == 512) die("too many selectors");
        s = selectors.names[selectors.count++] = strdup(name);
    }
    pthread_mutex_unlock(&selector_lock);
    return s;
}

static struct class zombie = {.name = "a freed object"};
static struct method root_methods[];

static struct method *find(Class c, SEL sel) {
    struct method *lists[2] = {c->methods, c == &zombie || !c->size ? 0 : root_methods}, *m;
    int i;
    for (i = 0; i < 2; i++)
        for (m = lists[i]; m && m->name; m++) {
            if (!m->sel) m->sel = sel_registerName(m->name); /* the same value from every thread */
            if (m->sel == sel && !(m->since && fault("old system")) && !(m->since > 13 && fault("macOS 13"))) return m;
        }
    return 0;
}

static size_t nothing(void) { return 0; }

/* What objc_msgSend jumps to. */
void *standin_lookup(id self, SEL sel) __attribute__((visibility("hidden")));
void *standin_lookup(id self, SEL sel) {
    struct method *m;
    if (!self) return (void *)nothing; /* messages to nil give 0 */
    if (self->isa == &zombie) die("message %s to a freed object", sel);
    if ((m = find(self->isa, sel))) return m->imp;
    die("-[%s %s]: unrecognized selector sent to instance", self->isa->name, sel);
}

/* "objc_msgSend", "objc_msgSend_stret" (x86-64 only): all arguments stay where they are, and the method is jumped to. */
#ifdef __APPLE__
#define GLOBAL_NAME(n) "_" #n
#else
#define GLOBAL_NAME(n) #n
#endif
#if defined(__x86_64__)
#define SEND(name, shift)                                                                                               \
    __asm__(".text\n.globl " GLOBAL_NAME(name) "\n" GLOBAL_NAME(name) ":\n"                                             \
            "  pushq %rbp\n  movq %rsp, %rbp\n  subq $192, %rsp\n"                                                      \
            "  movq %rdi, (%rsp)\n  movq %rsi, 8(%rsp)\n  movq %rdx, 16(%rsp)\n  movq %rcx, 24(%rsp)\n"                 \
            "  movq %r8, 32(%rsp)\n  movq %r9, 40(%rsp)\n  movq %rax, 48(%rsp)\n"                                       \
            "  movaps %xmm0, 64(%rsp)\n  movaps %xmm1, 80(%rsp)\n  movaps %xmm2, 96(%rsp)\n  movaps %xmm3, 112(%rsp)\n" \
            shift "  call " GLOBAL_NAME(standin_lookup) "\n  movq %rax, %r11\n"                                         \
            "  movq (%rsp), %rdi\n  movq 8(%rsp), %rsi\n  movq 16(%rsp), %rdx\n  movq 24(%rsp), %rcx\n"                 \
            "  movq 32(%rsp), %r8\n  movq 40(%rsp), %r9\n  movq 48(%rsp), %rax\n"                                       \
            "  movaps 64(%rsp), %xmm0\n  movaps 80(%rsp), %xmm1\n  movaps 96(%rsp), %xmm2\n  movaps 112(%rsp), %xmm3\n" \
            "  leave\n  jmp *%r11\n")
SEND(objc_msgSend, "");
SEND(objc_msgSend_stret, "  movq %rsi, %rdi\n  movq %rdx, %rsi\n");
#elif defined(__aarch64__)
__asm__(".text\n.globl " GLOBAL_NAME(objc_msgSend) "\n.p2align 2\n" GLOBAL_NAME(objc_msgSend) ":\n"
        "  stp x29, x30, [sp, #-160]!\n  mov x29, sp\n"
        "  stp x0, x1, [sp, #16]\n  stp x2, x3, [sp, #32]\n  stp x4, x5, [sp, #48]\n  stp x6, x7, [sp, #64]\n  str x8, [sp, #80]\n"
        "  stp q0, q1, [sp, #96]\n  stp q2, q3, [sp, #128]\n"
        "  bl " GLOBAL_NAME(standin_lookup) "\n  mov x16, x0\n"
        "  ldp x0, x1, [sp, #16]\n  ldp x2, x3, [sp, #32]\n  ldp x4, x5, [sp, #48]\n  ldp x6, x7, [sp, #64]\n  ldr x8, [sp, #80]\n"
        "  ldp q0, q1, [sp, #96]\n  ldp q2, q3, [sp, #128]\n"
        "  ldp x29, x30, [sp], #160\n  br x16\n");
#else
#error "the stand-in is for x86-64 and arm64"
#endif

static id make(Class c) {
    id o = calloc(1, c->size);
    o->isa = c;
    o->refs = 1;
    __atomic_add_fetch(&c->live, 1, __ATOMIC_SEQ_CST);
    return o;
}

static id retain(id o) {
    if (o && o->isa == &zombie) die("retain of a freed object");
    if (o) __atomic_add_fetch(&o->refs, 1, __ATOMIC_SEQ_CST);
    return o;
}

static void release(id o) {
    if (!o) return;
    if (o->isa == &zombie) die("release of a freed object");
    if (__atomic_sub_fetch(&o->refs, 1, __ATOMIC_SEQ_CST) == 0) {
        Class c = o->isa;
        if (c->dealloc) c->dealloc(o);
        __atomic_sub_fetch(&c->live, 1, __ATOMIC_SEQ_CST);
        o->isa = &zombie; /* and its memory stays, so that later messages are found out */
    }
}

static __thread struct { id objects[4096]; int count, pools; } pool;

/* Clang's "Automatic Reference Counting", "Runtime support". */
#ifndef STANDIN_INCOMPLETE
PUBLIC void *objc_autoreleasePoolPush(void) {
    pool.pools++;
    return (void *)((size_t)pool.count + 1);
}
#endif
PUBLIC void objc_autoreleasePoolPop(void *p) {
    if (!pool.pools-- || (size_t)p - 1 > (size_t)pool.count) die("objc_autoreleasePoolPop of a pool of another thread");
    while (pool.count > (int)((size_t)p - 1)) release(pool.objects[--pool.count]);
}

static id autorelease(id o) {
    if (!o) return o;
    if (!pool.pools) die("%s autoreleased with no pool in place", o->isa->name);
    if (pool.count == 4096) die("too many objects in a pool");
    return pool.objects[pool.count++] = o;
}

static id m_retain(id self, SEL s) { return retain(self); }
static void m_release(id self, SEL s) { release(self); }
static id m_autorelease(id self, SEL s) { return autorelease(self); }
static signed char m_responds(id self, SEL s, SEL which) { return find(self->isa, which) != 0; }
static struct method root_methods[] = {
    {"retain", (void *)m_retain}, {"release", (void *)m_release}, {"autorelease", (void *)m_autorelease}, {"respondsToSelector:", (void *)m_responds}, {0},
};

#define CLASS(name_, type, methods_, class_methods, dealloc_)            \
    static struct class meta_##name_ = {.name = #name_, .methods = class_methods}; \
    static struct class name_ = {&meta_##name_, #name_, methods_, sizeof(struct type), dealloc_, 0}

PUBLIC void *_NSConcreteGlobalBlock[32];

/* --- Foundation --- */

struct string { struct object o; char *text; };
static void string_dealloc(id o) { free(((struct string *)o)->text); }
static const char *string_text(id self, SEL s) { return ((struct string *)self)->text; }
static id string_with(id self, SEL s, const char *text);
static struct method string_methods[] = {{"UTF8String", (void *)string_text}, {0}};
static struct method string_class[] = {{"stringWithUTF8String:", (void *)string_with}, {0}};
CLASS(NSString, string, string_methods, string_class, string_dealloc);
static id string(const char *text) {
    id o = make(&NSString);
    ((struct string *)o)->text = strdup(text);
    return o;
}
static id string_with(id self, SEL s, const char *text) { return autorelease(string(text)); }

struct array { struct object o; size_t count; id *at; };
static void array_dealloc(id o) {
    struct array *a = (struct array *)o;
    size_t i;
    for (i = 0; i < a->count; i++) release(a->at[i]);
    free(a->at);
}
static size_t array_count(id self, SEL s) { return ((struct array *)self)->count; }
static id array_at(id self, SEL s, size_t i) {
    struct array *a = (struct array *)self;
    if (i >= a->count) die("-[NSArray objectAtIndex:]: %zu beyond bounds", i);
    return a->at[i];
}
static struct method array_methods[] = {{"count", (void *)array_count}, {"objectAtIndex:", (void *)array_at}, {0}};
CLASS(NSArray, array, array_methods, 0, array_dealloc);
static id array(size_t count) {
    struct array *a = (struct array *)make(&NSArray);
    a->count = count;
    a->at = calloc(count + 1, sizeof *a->at);
    return &a->o;
}

struct error { struct object o; long code; id domain, text; };
static void error_dealloc(id o) {
    release(((struct error *)o)->domain);
    release(((struct error *)o)->text);
}
static long error_code(id self, SEL s) { return ((struct error *)self)->code; }
static id error_domain(id self, SEL s) { return ((struct error *)self)->domain; }
static id error_text(id self, SEL s) { return ((struct error *)self)->text; }
static struct method error_methods[] = {{"code", (void *)error_code}, {"domain", (void *)error_domain}, {"localizedDescription", (void *)error_text}, {0}};
CLASS(NSError, error, error_methods, 0, error_dealloc);
static id error(const char *domain, long code, const char *text) {
    struct error *e = (struct error *)make(&NSError);
    e->code = code;
    e->domain = string(domain);
    e->text = string(text);
    return &e->o;
}

struct url { struct object o; char *path; };
static void url_dealloc(id o) { free(((struct url *)o)->path); }
static id url_file(id self, SEL s, id path);
static struct method none[] = {{0}};
static struct method url_class[] = {{"fileURLWithPath:", (void *)url_file}, {0}};
CLASS(NSURL, url, none, url_class, url_dealloc);
static id url_file(id self, SEL s, id path) {
    struct url *u;
    if (path->isa != &NSString) die("fileURLWithPath: of %s", path->isa->name);
    u = (struct url *)make(&NSURL);
    u->path = strdup(((struct string *)path)->text);
    return autorelease(&u->o);
}

struct plain { struct object o; };
static id info_version(id self, SEL s) { return autorelease(string("Version 0.0 (stand-in)")); }
static id info_shared(id self, SEL s) { return autorelease(make((Class)self)); }
static struct method info_methods[] = {{"operatingSystemVersionString", (void *)info_version}, {0}};
static struct method info_class[] = {{"processInfo", (void *)info_shared}, {0}};
CLASS(NSProcessInfo, plain, info_methods, info_class, 0);

/* --- Metal --- */

static char clang[1024], include[1024], folder[1024]; /* see standin_setup */

#include "translate.c"

struct library { struct object o; void *handle; struct kernels kernels; };
struct function { struct object o; struct library *library; struct kernel *kernel; };
struct pipeline { struct object o; struct function *function; };
struct buffer { struct object o; size_t size; char *contents; };
struct binding { struct buffer *buffer; size_t offset, bytes; char *value; };
struct dispatch { struct dispatch *next; struct pipeline *pipeline; struct binding at[MAX_BUFFERS]; unsigned int shape[6]; };
struct block { void *isa; int flags, reserved; void (*invoke)(struct block *, id); };
struct queue { /* what outlives its object: it is never freed */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct commands *head, *tail;
    size_t limit, made; /* command buffers that have not ended */
    int over;
};
struct commands {
    struct object o;
    struct commands *next;
    struct queue *queue;
    struct dispatch *dispatches;
    struct block *handler;
    int encoding, status;
    id error;
};
struct encoder { struct object o; struct commands *commands; struct dispatch *next; };

enum { NOT_ENQUEUED, COMMITTED = 2, COMPLETED = 4, FAILED = 5 };

static void library_dealloc(id o) {
    struct library *l = (struct library *)o;
    if (l->handle) dlclose(l->handle);
    free(l->kernels.list);
}
static id library_names(id self, SEL s) {
    struct library *l = (struct library *)self;
    struct array *a = (struct array *)array((size_t)l->kernels.count);
    int i;
    for (i = 0; i < l->kernels.count; i++) a->at[i] = string(l->kernels.list[i].name);
    return autorelease(&a->o);
}
static id library_function(id self, SEL s, id name);
static struct method library_methods[] = {{"functionNames", (void *)library_names}, {"newFunctionWithName:", (void *)library_function}, {0}};
CLASS(MTLLibrary, library, library_methods, 0, library_dealloc);

static void function_dealloc(id o) { release(&((struct function *)o)->library->o); }
CLASS(MTLFunction, function, none, 0, function_dealloc);
static id library_function(id self, SEL s, id name) {
    struct library *l = (struct library *)self;
    int i;
    for (i = 0; i < l->kernels.count; i++)
        if (!strcmp(l->kernels.list[i].name, ((struct string *)name)->text)) {
            struct function *f = (struct function *)make(&MTLFunction);
            f->library = (struct library *)retain(self);
            f->kernel = &l->kernels.list[i];
            return &f->o;
        }
    return 0;
}

static void pipeline_dealloc(id o) { release(&((struct pipeline *)o)->function->o); }
static size_t pipeline_most(id self, SEL s) { return 512; }
static size_t pipeline_width(id self, SEL s) { return 32; }
static struct method pipeline_methods[] = {{"maxTotalThreadsPerThreadgroup", (void *)pipeline_most}, {"threadExecutionWidth", (void *)pipeline_width}, {0}};
CLASS(MTLComputePipelineState, pipeline, pipeline_methods, 0, pipeline_dealloc);

static void buffer_dealloc(id o) {
    memset(((struct buffer *)o)->contents, 0xdd, ((struct buffer *)o)->size);
    free(((struct buffer *)o)->contents);
}
static void *buffer_contents(id self, SEL s) { return ((struct buffer *)self)->contents; }
static size_t buffer_length(id self, SEL s) { return ((struct buffer *)self)->size; }
static struct method buffer_methods[] = {{"contents", (void *)buffer_contents}, {"length", (void *)buffer_length}, {0}};
CLASS(MTLBuffer, buffer, buffer_methods, 0, buffer_dealloc);

static void free_dispatch(struct dispatch *d) {
    int i;
    if (!d) return;
    if (d->pipeline) release(&d->pipeline->o);
    for (i = 0; i < MAX_BUFFERS; i++) {
        if (d->at[i].buffer) release(&d->at[i].buffer->o);
        free(d->at[i].value);
    }
    free(d);
}

static struct dispatch *current(id self) {
    struct encoder *e = (struct encoder *)self;
    if (!e->commands) die("a message to an encoder that has ended");
    if (!e->next) e->next = calloc(1, sizeof *e->next);
    return e->next;
}
static void encoder_pipeline(id self, SEL s, id pipeline) {
    struct dispatch *d = current(self);
    if (d->pipeline) release(&d->pipeline->o);
    d->pipeline = (struct pipeline *)retain(pipeline);
}
static struct binding *slot(id self, size_t index) {
    struct binding *b;
    if (index >= MAX_BUFFERS) die("buffer index %zu, at most %d", index, MAX_BUFFERS - 1);
    b = &current(self)->at[index];
    if (b->buffer) release(&b->buffer->o);
    free(b->value);
    memset(b, 0, sizeof *b);
    return b;
}
static void encoder_buffer(id self, SEL s, id buffer, size_t offset, size_t index) {
    struct binding *b = slot(self, index);
    if (buffer->isa != &MTLBuffer) die("setBuffer: of %s", buffer->isa->name);
    b->buffer = (struct buffer *)retain(buffer);
    b->offset = offset;
}
static void encoder_bytes(id self, SEL s, const void *bytes, size_t length, size_t index) {
    struct binding *b = slot(self, index);
    if (length > 4096) die("setBytes: of %zu bytes, at most 4096", length);
    b->value = memcpy(malloc(length + 1), bytes, length);
    b->bytes = length;
}
static void encoder_dispatch(id self, SEL s, MTLSize grid, MTLSize group) {
    struct encoder *e = (struct encoder *)self;
    struct dispatch *d = current(self), **at = &e->commands->dispatches;
    const unsigned int shape[6] = {(unsigned)grid.w, (unsigned)grid.h, (unsigned)grid.d, (unsigned)group.w, (unsigned)group.h, (unsigned)group.d};
    if (!d->pipeline) die("dispatch without a pipeline");
    if (!grid.w || !grid.h || !grid.d || !group.w || !group.h || !group.d || group.w * group.h * group.d > 512)
        die("dispatch of %zu %zu %zu groups of %zu %zu %zu threads", grid.w, grid.h, grid.d, group.w, group.h, group.d);
    memcpy(d->shape, shape, sizeof shape);
    while (*at) at = &(*at)->next;
    *at = d;
    e->next = 0;
}
static void encoder_end(id self, SEL s) {
    struct encoder *e = (struct encoder *)self;
    if (!e->commands) die("endEncoding twice");
    e->commands->encoding = 0;
    release(&e->commands->o);
    e->commands = 0;
}
static void encoder_dealloc(id o) {
    struct encoder *e = (struct encoder *)o;
    if (e->commands) die("an encoder freed before endEncoding");
    free_dispatch(e->next);
}
static struct method encoder_methods[] = {
    {"setComputePipelineState:", (void *)encoder_pipeline}, {"setBuffer:offset:atIndex:", (void *)encoder_buffer},
    {"setBytes:length:atIndex:", (void *)encoder_bytes}, {"dispatchThreadgroups:threadsPerThreadgroup:", (void *)encoder_dispatch},
    {"endEncoding", (void *)encoder_end}, {0},
};
CLASS(MTLComputeCommandEncoder, encoder, encoder_methods, 0, encoder_dealloc);

static void commands_dealloc(id o) {
    struct commands *c = (struct commands *)o;
    struct dispatch *d, *next;
    if (c->status == NOT_ENQUEUED) __atomic_sub_fetch(&c->queue->made, 1, __ATOMIC_SEQ_CST);
    for (d = c->dispatches; d; d = next) {
        next = d->next;
        free_dispatch(d);
    }
    release(c->error);
}
static id commands_encoder(id self, SEL s) {
    struct commands *c = (struct commands *)self;
    struct encoder *e;
    if (c->encoding || c->status != NOT_ENQUEUED) die("computeCommandEncoder of a command buffer that is encoding or committed");
    if (fault("encoder")) return 0;
    e = (struct encoder *)make(&MTLComputeCommandEncoder);
    e->commands = (struct commands *)retain(self);
    c->encoding = 1;
    return autorelease(&e->o);
}
static void commands_handler(id self, SEL s, struct block *b) {
    struct commands *c = (struct commands *)self;
    if (c->status != NOT_ENQUEUED) die("addCompletedHandler: after commit");
    if (b->isa != _NSConcreteGlobalBlock || !(b->flags & 1 << 28)) die("addCompletedHandler: of a block that is not global");
    c->handler = b;
}
static void commands_commit(id self, SEL s) {
    struct commands *c = (struct commands *)self;
    struct queue *q = c->queue;
    if (c->encoding) die("commit before endEncoding");
    if (c->status != NOT_ENQUEUED) die("commit twice");
    retain(self);
    pthread_mutex_lock(&q->lock);
    c->status = COMMITTED;
    if (q->tail) q->tail->next = c;
    else q->head = c;
    q->tail = c;
    pthread_cond_signal(&q->more);
    pthread_mutex_unlock(&q->lock);
}
static size_t commands_status(id self, SEL s) { return (size_t)__atomic_load_n(&((struct commands *)self)->status, __ATOMIC_ACQUIRE); }
static id commands_error(id self, SEL s) { return ((struct commands *)self)->error; }
static struct method commands_methods[] = {
    {"computeCommandEncoder", (void *)commands_encoder}, {"addCompletedHandler:", (void *)commands_handler}, {"commit", (void *)commands_commit},
    {"status", (void *)commands_status}, {"error", (void *)commands_error}, {0},
};
CLASS(MTLCommandBuffer, commands, commands_methods, 0, commands_dealloc);

static long started;
/* How many launches have taken the copies that they work on. */
PUBLIC long standin_started(void) { return __atomic_load_n(&started, __ATOMIC_SEQ_CST); }

/* A buffer's memory as kernels of one dispatch see it. */
struct shadow { struct buffer *buffer; char *memory, *before; };

static struct shadow *shadow_of(struct shadow *list, struct buffer *b) {
    while (list->buffer && list->buffer != b) list++;
    if (!list->buffer) {
        list->buffer = b;
        if (posix_memalign((void **)&list->memory, 4096, b->size + 64)) die("no memory for a copy of %zu bytes", b->size);
        list->before = malloc(b->size + 1);
        memcpy(list->memory, b->contents, b->size);
        memcpy(list->before, list->memory, b->size);
    }
    return list;
}

/* What the kernel changed reaches the host. */
static void bring_back(struct shadow *s) {
    size_t i, k, n;
    for (i = 0; i < s->buffer->size; i += n) {
        n = s->buffer->size - i < 64 ? s->buffer->size - i : 64;
        if (!memcmp(s->memory + i, s->before + i, n)) continue;
        for (k = i; k < i + n; k++)
            if (s->memory[k] != s->before[k]) s->buffer->contents[k] = s->memory[k];
    }
}

static id run_dispatch(struct dispatch *d) {
    struct kernel *k = d->pipeline->function->kernel;
    struct shadow shadows[MAX_BUFFERS + 1];
    unsigned int sizes[MAX_BUFFERS];
    char *values = 0, text[300];
    size_t total = 0;
    uint64_t why[8];
    struct run *r;
    id e = 0;
    int i, most = 0;
    memset(shadows, 0, sizeof shadows);
    for (i = 0; i < MAX_BUFFERS; i++) {
        struct binding *b = &d->at[i];
        char *p = 0;
        if (!e && (k->used >> i & 1) && !b->buffer && !b->value) {
            snprintf(text, sizeof text, "kernel %s: nothing is bound to buffer %d", k->name, i);
            e = error("MTLCommandBufferErrorDomain", 9, text);
        }
        if (b->buffer) p = shadow_of(shadows, b->buffer)->memory + b->offset;
        sizes[i] = b->buffer ? sizeof p : (unsigned)b->bytes;
        values = realloc(values, total + sizes[i] + 1);
        memcpy(values + total, b->buffer ? (char *)&p : b->value ? b->value : "", sizes[i]);
        total += sizes[i];
        most = i + 1;
    }
    if (!e) {
        long cores = sysconf(_SC_NPROCESSORS_ONLN);
        __atomic_add_fetch(&started, 1, __ATOMIC_SEQ_CST);
        r = dialtone_new((entry_point)k->entry, d->shape, cores > 0 ? (int)cores : 1, 0, 0, most, sizes, values);
        if (!r || dialtone_run(r) != 0) die("a launch could not be started");
        dialtone_fault(r, why);
        if (why[0]) {
            snprintf(text, sizeof text, "Caused GPU Address Fault Error (signal %d at 0x%llx)", (int)(int64_t)why[0], (unsigned long long)why[1]);
            e = error("MTLCommandBufferErrorDomain", 3, text);
        }
        dialtone_free(r);
    }
    for (i = 0; shadows[i].buffer; i++) {
        if (!e) bring_back(&shadows[i]);
        free(shadows[i].memory);
        free(shadows[i].before);
    }
    free(values);
    return e;
}

static void *queue_main(void *p) {
    struct queue *q = p;
    for (;;) {
        struct commands *c;
        struct dispatch *d;
        pthread_mutex_lock(&q->lock);
        while (!q->head && !q->over) pthread_cond_wait(&q->more, &q->lock);
        c = q->head;
        if (c && !(q->head = c->next)) q->tail = 0;
        pthread_mutex_unlock(&q->lock);
        if (!c) break;
        hang("launch hangs");
        if (fault("launch fails")) c->error = error("MTLCommandBufferErrorDomain", 1, "Internal Error (stand-in)");
        else if (fault("out of memory")) c->error = error("MTLCommandBufferErrorDomain", 8, "Insufficient Memory (stand-in)");
        else if (fault("lost")) c->error = error("MTLCommandBufferErrorDomain", 11, "Device Removed (stand-in)");
        for (d = c->dispatches; d && !c->error; d = d->next) c->error = run_dispatch(d);
        __atomic_store_n(&c->status, c->error ? FAILED : COMPLETED, __ATOMIC_RELEASE);
        __atomic_sub_fetch(&q->made, 1, __ATOMIC_SEQ_CST);
        if (c->handler) c->handler->invoke(c->handler, &c->o);
        if (pool.pools) die("a completion handler left a pool behind");
        release(&c->o);
    }
    return 0;
}

struct queue_object { struct object o; struct queue *q; };
static void start_thread(pthread_t *t, void *(*f)(void *), void *p) {
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old); /* the program's signals are not for it */
    if (pthread_create(t, 0, f, p)) die("no thread");
    pthread_detach(*t);
    pthread_sigmask(SIG_SETMASK, &old, 0);
}
static void queue_dealloc(id o) {
    struct queue *q = ((struct queue_object *)o)->q;
    pthread_mutex_lock(&q->lock);
    q->over = 1;
    pthread_cond_signal(&q->more);
    pthread_mutex_unlock(&q->lock);
}
static id queue_commands(id self, SEL s) {
    struct queue *q = ((struct queue_object *)self)->q;
    struct commands *c;
    if (fault("command buffer")) return 0;
    if (__atomic_add_fetch(&q->made, 1, __ATOMIC_SEQ_CST) > q->limit) die("commandBuffer would block: %zu have not ended", q->limit);
    c = (struct commands *)make(&MTLCommandBuffer);
    c->queue = q;
    return autorelease(&c->o);
}
static struct method queue_methods[] = {{"commandBuffer", (void *)queue_commands}, {0}};
CLASS(MTLCommandQueue, queue_object, queue_methods, 0, queue_dealloc);

static id new_plain(id self, SEL s) { return make((Class)self); }
static void options_math(id self, SEL s, signed char on) {}
static struct method options_methods[] = {{"setFastMathEnabled:", (void *)options_math}, {0}};
static struct method options_class[] = {{"new", (void *)new_plain}, {0}};
CLASS(MTLCompileOptions, plain, options_methods, options_class, 0);

/* "MTLIOCommandQueue": files that are loaded into buffers, by a thread for each command buffer. */
enum { MAX_LOADS = 16, PENDING = 0, CANCELLED, LOAD_ERROR, LOADED };
struct file { struct object o; int descriptor; };
struct load { struct buffer *buffer; struct file *file; size_t offset, size, from; };
struct loads { struct object o; struct load at[MAX_LOADS]; int count, committed, status; id error; };

static void file_dealloc(id o) { close(((struct file *)o)->descriptor); }
CLASS(MTLIOFileHandle, file, none, 0, file_dealloc);

static void loads_dealloc(id o) {
    struct loads *l = (struct loads *)o;
    int i;
    for (i = 0; i < l->count; i++) {
        release(&l->at[i].buffer->o);
        release(&l->at[i].file->o);
    }
    release(l->error);
}
static void *loads_main(void *p) {
    struct loads *l = p;
    int i, status = LOADED;
    hang("load hangs");
    if (fault("load is cancelled")) status = CANCELLED;
    else if (fault("load fails")) status = LOAD_ERROR;
    for (i = 0; i < l->count && status == LOADED; i++) {
        struct load *one = &l->at[i];
        size_t done = 0;
        while (done < one->size) {
            const ssize_t n = pread(one->file->descriptor, one->buffer->contents + one->offset + done, one->size - done, (off_t)(one->from + done));
            if (n < 0 && errno == EINTR) continue;
            if (n <= 0) break;
            done += (size_t)n;
        }
        if (done < one->size) status = LOAD_ERROR;
        else if (fault("load lies")) one->buffer->contents[one->offset + one->size - 1] ^= 1;
    }
    if (status == LOAD_ERROR) l->error = error("MTLIOErrorDomain", 2, "Internal Error (stand-in)");
    __atomic_store_n(&l->status, status, __ATOMIC_RELEASE);
    release(&l->o);
    return 0;
}
static void loads_buffer(id self, SEL s, id buffer, size_t offset, size_t size, id file, size_t from) {
    struct loads *l = (struct loads *)self;
    struct load *one = &l->at[l->count];
    if (l->committed) die("loadBuffer: after commit");
    if (buffer->isa != &MTLBuffer) die("loadBuffer: of %s", buffer->isa->name);
    if (file->isa != &MTLIOFileHandle) die("loadBuffer: from %s", file->isa->name);
    if (offset > ((struct buffer *)buffer)->size || size > ((struct buffer *)buffer)->size - offset)
        die("loadBuffer: of %zu bytes at %zu of a buffer of %zu", size, offset, ((struct buffer *)buffer)->size);
    if (l->count++ == MAX_LOADS) die("too many loads");
    one->buffer = (struct buffer *)retain(buffer);
    one->file = (struct file *)retain(file);
    one->offset = offset, one->size = size, one->from = from;
}
static void loads_commit(id self, SEL s) {
    struct loads *l = (struct loads *)self;
    pthread_t thread;
    if (l->committed) die("commit twice");
    l->committed = 1;
    start_thread(&thread, loads_main, retain(self));
}
static size_t loads_status(id self, SEL s) { return (size_t)__atomic_load_n(&((struct loads *)self)->status, __ATOMIC_ACQUIRE); }
static id loads_error(id self, SEL s) { return ((struct loads *)self)->error; }
static struct method loads_methods[] = {
    {"loadBuffer:offset:size:sourceHandle:sourceHandleOffset:", (void *)loads_buffer}, {"commit", (void *)loads_commit},
    {"status", (void *)loads_status}, {"error", (void *)loads_error}, {0},
};
CLASS(MTLIOCommandBuffer, loads, loads_methods, 0, loads_dealloc);

static struct method loader_class[] = {{"new", (void *)new_plain}, {0}};
CLASS(MTLIOCommandQueueDescriptor, plain, none, loader_class, 0);
static id loader_commands(id self, SEL s) { return autorelease(make(&MTLIOCommandBuffer)); }
static struct method loader_methods[] = {{"commandBuffer", (void *)loader_commands}, {0}};
CLASS(MTLIOCommandQueue, plain, loader_methods, 0, 0);

static id device_loader(id self, SEL s, id descriptor, id *why) {
    *why = 0;
    if (descriptor->isa != &MTLIOCommandQueueDescriptor) die("newIOCommandQueueWithDescriptor: of %s", descriptor->isa->name);
    if (!fault("file queue")) return make(&MTLIOCommandQueue);
    *why = autorelease(error("MTLIOErrorDomain", 2, "Internal Error (stand-in)"));
    return 0;
}
static id device_file(id self, SEL s, id url, id *why) {
    struct file *f;
    int descriptor;
    *why = 0;
    if (url->isa != &NSURL) die("newIOFileHandleWithURL: of %s", url->isa->name);
    descriptor = fault("file") ? -1 : open(((struct url *)url)->path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) {
        *why = autorelease(error("MTLIOErrorDomain", 1, "Invalid URL (stand-in)"));
        return 0;
    }
    f = (struct file *)make(&MTLIOFileHandle);
    f->descriptor = descriptor;
    return &f->o;
}

static id architecture_name(id self, SEL s) { return autorelease(string("stand-in")); }
static struct method architecture_methods[] = {{"name", (void *)architecture_name}, {0}};
CLASS(MTLArchitecture, plain, architecture_methods, 0, 0);

static id device_name(id self, SEL s) { return autorelease(string("Stand-in GPU")); }
static id device_architecture(id self, SEL s) { return autorelease(make(&MTLArchitecture)); }
static uint64_t device_registry(id self, SEL s) { return 0x1234; }
static signed char device_yes(id self, SEL s) { return 1; }
static signed char device_no(id self, SEL s) { return 0; }
static signed char device_sampling(id self, SEL s, size_t point) { return 0; }
static size_t device_zero(id self, SEL s) { return 0; }
static size_t device_nowhere(id self, SEL s) { return (size_t)-1; } /* MTLDeviceLocationUnspecified */
static size_t device_shared(id self, SEL s) { return 32 << 10; }
static id device_counters(id self, SEL s) { return autorelease(array(0)); }
static void device_timestamps(id self, SEL s, uint64_t *cpu, uint64_t *gpu) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    *cpu = *gpu = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}
static signed char device_family(id self, SEL s, long family) { return (family >= 1001 && family <= 1008) || family == 2002 || family == 5001; }
static uint64_t device_memory(id self, SEL s) { return 1ull << 32; }
static size_t device_longest(id self, SEL s) { return (size_t)1 << 28; }
static MTLSize device_threads(id self, SEL s) {
    MTLSize m = {1024, 1024, 1024};
    return m;
}
static id device_queue(id self, SEL s, size_t limit) {
    struct queue_object *o;
    if (fault("queue")) return 0;
    o = (struct queue_object *)make(&MTLCommandQueue);
    o->q = calloc(1, sizeof *o->q);
    o->q->limit = limit;
    pthread_mutex_init(&o->q->lock, 0);
    pthread_cond_init(&o->q->more, 0);
    start_thread(&o->q->thread, queue_main, o->q);
    return &o->o;
}
static id device_buffer(id self, SEL s, size_t size, size_t options) {
    struct buffer *b;
    if (options != 0) die("newBufferWithLength:options: with options %zx: the stand-in has shared storage only", options);
    if (!size || size > device_longest(self, s) || fault("allocate")) return 0;
    b = (struct buffer *)make(&MTLBuffer);
    b->size = size;
    if (posix_memalign((void **)&b->contents, 4096, size)) die("no memory");
    return &b->o;
}
static id device_library(id self, SEL s, id source, id options, id *why) {
    struct library *l = (struct library *)make(&MTLLibrary);
    char *log;
    *why = 0;
    hang("compile hangs");
    l->handle = translate(((struct string *)source)->text, &l->kernels, &log);
    if (!l->handle) {
        *why = autorelease(error("MTLLibraryErrorDomain", 3, log));
        release(&l->o);
        l = 0;
    }
    free(log);
    return l ? &l->o : 0;
}
static id device_pipeline(id self, SEL s, id function, id *why) {
    struct pipeline *p;
    *why = 0;
    if (fault("pipeline")) {
        *why = autorelease(error("AGXMetal", 2, "Compute function exceeds available temporary registers (stand-in)"));
        return 0;
    }
    p = (struct pipeline *)make(&MTLComputePipelineState);
    p->function = (struct function *)retain(function);
    return &p->o;
}
static struct method device_methods[] = {
    {"name", (void *)device_name}, {"registryID", (void *)device_registry, 10}, {"hasUnifiedMemory", (void *)device_yes, 10},
    {"architecture", (void *)device_architecture, 14}, {"location", (void *)device_nowhere, 10}, {"locationNumber", (void *)device_zero, 10},
    {"maxTransferRate", (void *)device_zero, 10}, {"isLowPower", (void *)device_no}, {"isHeadless", (void *)device_yes}, {"isRemovable", (void *)device_no, 10},
    {"peerGroupID", (void *)device_zero, 10}, {"argumentBuffersSupport", (void *)device_zero, 10},
    {"maxThreadgroupMemoryLength", (void *)device_shared, 10}, {"counterSets", (void *)device_counters, 10},
    {"supportsCounterSampling:", (void *)device_sampling, 11}, {"sampleTimestamps:gpuTimestamp:", (void *)device_timestamps, 10},
    {"newIOCommandQueueWithDescriptor:error:", (void *)device_loader, 13}, {"newIOHandleWithURL:error:", (void *)device_file, 13},
    {"newIOFileHandleWithURL:error:", (void *)device_file, 14},
    {"supportsFamily:", (void *)device_family, 10}, {"recommendedMaxWorkingSetSize", (void *)device_memory, 10},
    {"maxBufferLength", (void *)device_longest, 10}, {"maxThreadsPerThreadgroup", (void *)device_threads},
    {"newCommandQueueWithMaxCommandBufferCount:", (void *)device_queue}, {"newBufferWithLength:options:", (void *)device_buffer},
    {"newLibraryWithSource:options:error:", (void *)device_library}, {"newComputePipelineStateWithFunction:error:", (void *)device_pipeline}, {0},
};
CLASS(MTLDevice, plain, device_methods, 0, 0);

PUBLIC id MTLCopyAllDevices(void) {
    struct array *a;
    if (fault("no device")) return array(0);
    a = (struct array *)array(1);
    a->at[0] = make(&MTLDevice);
    return &a->o;
}

static Class classes[] = {&NSString, &NSArray, &NSError, &NSProcessInfo, &NSURL, &MTLDevice, &MTLArchitecture, &MTLCompileOptions, &MTLLibrary,
    &MTLFunction, &MTLComputePipelineState, &MTLBuffer, &MTLCommandQueue, &MTLCommandBuffer, &MTLComputeCommandEncoder,
    &MTLIOCommandQueueDescriptor, &MTLIOCommandQueue, &MTLIOCommandBuffer, &MTLIOFileHandle};
enum { CLASSES = sizeof classes / sizeof *classes };

PUBLIC Class objc_getClass(const char *name) {
    int i;
    for (i = 0; i < CLASSES; i++)
        if (!strcmp(classes[i]->name, name)) return classes[i];
    return 0;
}

/* How many objects are alive; text gets their classes. */
PUBLIC long standin_live(char *text, size_t size) {
    long sum = 0;
    size_t n = 0;
    int i;
    text[0] = 0;
    for (i = 0; i < CLASSES; i++) {
        const long live = __atomic_load_n(&classes[i]->live, __ATOMIC_SEQ_CST);
        sum += live;
        if (live && n < size) n += (size_t)snprintf(text + n, size - n, "%ld %s ", live, classes[i]->name);
    }
    return sum;
}

/* Says where clang, include/metal_stdlib and a folder for what is made are. */
PUBLIC void standin_setup(const char *clang_, const char *include_, const char *folder_) {
    snprintf(clang, sizeof clang, "%s", clang_);
    snprintf(include, sizeof include, "%s", include_);
    snprintf(folder, sizeof folder, "%s", folder_);
#ifdef __GLIBC__
    mallopt(M_MMAP_THRESHOLD, 32 << 20); /* copies of buffers use memory again, which the system need not clear for each launch */
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
#endif
    if (dialtone_start() != 0) die("no signal handlers");
}
