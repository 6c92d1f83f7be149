/* The cpu backend's runtime: runs the work-groups of a launch on real threads.

   A worker thread takes one group at a time. Its work-items are fibers of that thread, started in
   order; one that waits (a barrier, or an answer of the host) lets the next run, so items of a group
   never run at the same time, and group memory can be thread-local. Groups on distinct threads do.
   There are as many workers as cores; for one whose items have all been waiting for the host for a
   while another one is started, so that groups that have not begun do not wait with it.

   A worker that faults, or is told to stop, leaves its group by siglongjmp from the signal handler;
   the handler passes the signals of all other threads on to whoever had them before. */
#define _GNU_SOURCE
#define _XOPEN_SOURCE 700
#define _DARWIN_C_SOURCE
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#if (defined(__x86_64__) || defined(__aarch64__)) && !defined(__TINYC__)
#define NATIVE_SWITCH 1
#else
#include <ucontext.h>
#endif
#ifndef MAP_ANONYMOUS
#define MAP_ANONYMOUS MAP_ANON
#endif
#ifndef MAP_NORESERVE
#define MAP_NORESERVE 0
#endif
#ifdef SIGRTMIN
#define STOP_SIGNAL (SIGRTMIN + 9)
#else
#define STOP_SIGNAL SIGUSR2
#endif

enum { STACK_BYTES = 256 * 1024, /* at least */ GUARD_BYTES = 1024 * 1024, ALT_STACK_BYTES = 64 * 1024 };
/* Work-items of all lent workers: each has two mappings, of which Linux gives a process 65530. */
enum { LENT_ITEMS = 16384 };

typedef void (*entry_point)(const struct dialtone_item *, void **);

enum state { FREE, READY, AT_BARRIER, FINISHED };

struct fiber {
    struct dialtone_item item; /* first: kernels get its address */
    struct worker *worker;
    enum state state;
    char *stack;
#ifdef NATIVE_SWITCH
    void *sp;
#else
    ucontext_t context;
#endif
};

struct run {
    entry_point entry;
    void **args;
    unsigned int grid[3], group[3];
    uint64_t groups, items;
    uint64_t next_group; /* atomic */
    int stop;            /* atomic */
    size_t stack; /* bytes of each work-item's */
    int threads;         /* workers that are to get on at once */
    int most;            /* workers, those included that wait */
    int started;
    pthread_cond_t ended; /* a worker has */
    struct worker *workers;
    pthread_mutex_t mutex; /* the fault below, and the workers' threads while they live */
    int fault_signal;
    uintptr_t fault_address;
    unsigned int fault_group[3], fault_item[3];
};

struct worker {
    struct run *run;
    pthread_t thread;
    int alive;
    int faulted;
    struct fiber **fibers;
    uint64_t made;
    struct fiber *current;
    uint64_t live;      /* items of the group that have begun and not ended */
    uint64_t unstarted; /* items that have not begun */
    unsigned int idle; /* pauses in a row in which nobody got on */
    int asleep;        /* atomic: there were so many that it sleeps between them */
    sigjmp_buf recover;
    char *alt_stack;
#ifdef NATIVE_SWITCH
    void *sp;
#else
    ucontext_t context;
#endif
};

static pthread_key_t worker_key;

#ifdef __TINYC__
static uint64_t take_group(struct run *r) {
    uint64_t g;
    pthread_mutex_lock(&r->mutex);
    g = r->next_group++;
    pthread_mutex_unlock(&r->mutex);
    return g;
}
static int stopped(struct run *r) { return *(volatile int *)&r->stop; }
static void set_stop(struct run *r) { *(volatile int *)&r->stop = 1; }
static int asleep(struct worker *w) { return *(volatile int *)&w->asleep; }
static void set_asleep(struct worker *w, int yes) { *(volatile int *)&w->asleep = yes; }
static uint64_t taken(struct run *r) { return *(volatile uint64_t *)&r->next_group; }
#else
static uint64_t take_group(struct run *r) { return __atomic_fetch_add(&r->next_group, 1, __ATOMIC_RELAXED); }
static int stopped(struct run *r) { return __atomic_load_n(&r->stop, __ATOMIC_RELAXED); }
static void set_stop(struct run *r) { __atomic_store_n(&r->stop, 1, __ATOMIC_RELAXED); }
static int asleep(struct worker *w) { return __atomic_load_n(&w->asleep, __ATOMIC_RELAXED); }
static void set_asleep(struct worker *w, int yes) { __atomic_store_n(&w->asleep, yes, __ATOMIC_RELAXED); }
static uint64_t taken(struct run *r) { return __atomic_load_n(&r->next_group, __ATOMIC_RELAXED); }
#endif

/* --- fibers --- */

static void fiber_main(struct fiber *f);

#ifdef NATIVE_SWITCH
void dialtone_switch(void **save, void *load) __attribute__((visibility("hidden")));
void dialtone_first(void) __attribute__((visibility("hidden")));
void dialtone_fiber_main(struct fiber *f) { fiber_main(f); }
#ifdef __APPLE__
#define SYMBOL(n) "_" #n
#define HIDDEN(n) ".private_extern _" #n "\n"
#else
#define SYMBOL(n) #n
#define HIDDEN(n) ".hidden " #n "\n"
#endif
#if defined(__x86_64__)
/* System V AMD64 ABI: rbx, rbp, r12-r15 belong to the caller. A new fiber finds itself in r12. */
__asm__(".text\n.globl " SYMBOL(dialtone_switch) "\n" HIDDEN(dialtone_switch) SYMBOL(dialtone_switch) ":\n"
        "  pushq %rbp\n  pushq %rbx\n  pushq %r12\n  pushq %r13\n  pushq %r14\n  pushq %r15\n"
        "  movq %rsp, (%rdi)\n  movq %rsi, %rsp\n"
        "  popq %r15\n  popq %r14\n  popq %r13\n  popq %r12\n  popq %rbx\n  popq %rbp\n  ret\n"
        ".globl " SYMBOL(dialtone_first) "\n" HIDDEN(dialtone_first) SYMBOL(dialtone_first) ":\n"
        "  movq %r12, %rdi\n  call *%r13\n  hlt\n");
static void prepare(struct fiber *f) {
    void **sp = (void **)(f->stack + f->worker->run->stack - 64); /* a multiple of 16, as dialtone_first's call needs it */
    *--sp = (void *)dialtone_first;
    *--sp = 0;                           /* rbp */
    *--sp = 0;                           /* rbx */
    *--sp = f;                           /* r12 */
    *--sp = (void *)dialtone_fiber_main; /* r13 */
    *--sp = 0;                           /* r14 */
    *--sp = 0;                           /* r15 */
    f->sp = sp;
}
#else
/* Procedure Call Standard for the Arm 64-bit Architecture: x19-x30 and d8-d15 are the caller's. */
__asm__(".text\n.globl " SYMBOL(dialtone_switch) "\n" HIDDEN(dialtone_switch) ".p2align 2\n" SYMBOL(dialtone_switch) ":\n"
        "  sub sp, sp, #160\n"
        "  stp x19, x20, [sp]\n  stp x21, x22, [sp, #16]\n  stp x23, x24, [sp, #32]\n  stp x25, x26, [sp, #48]\n"
        "  stp x27, x28, [sp, #64]\n  stp x29, x30, [sp, #80]\n  stp d8, d9, [sp, #96]\n  stp d10, d11, [sp, #112]\n"
        "  stp d12, d13, [sp, #128]\n  stp d14, d15, [sp, #144]\n"
        "  mov x9, sp\n  str x9, [x0]\n  mov sp, x1\n"
        "  ldp x19, x20, [sp]\n  ldp x21, x22, [sp, #16]\n  ldp x23, x24, [sp, #32]\n  ldp x25, x26, [sp, #48]\n"
        "  ldp x27, x28, [sp, #64]\n  ldp x29, x30, [sp, #80]\n  ldp d8, d9, [sp, #96]\n  ldp d10, d11, [sp, #112]\n"
        "  ldp d12, d13, [sp, #128]\n  ldp d14, d15, [sp, #144]\n  add sp, sp, #160\n  ret\n"
        ".globl " SYMBOL(dialtone_first) "\n" HIDDEN(dialtone_first) ".p2align 2\n" SYMBOL(dialtone_first) ":\n"
        "  mov x0, x19\n  blr x20\n  brk #0\n");
static void prepare(struct fiber *f) {
    void **sp = (void **)(f->stack + f->worker->run->stack - 64) - 20;
    memset(sp, 0, 160);
    sp[0] = f;                           /* x19 */
    sp[1] = (void *)dialtone_fiber_main; /* x20 */
    sp[11] = (void *)dialtone_first;     /* x30 */
    f->sp = sp;
}
#endif
static void enter(struct worker *w, struct fiber *f) { dialtone_switch(&w->sp, f->sp); }
static void yield(struct fiber *f) { dialtone_switch(&f->sp, f->worker->sp); }
#else
static void fiber_start(unsigned int low, unsigned int high) {
    fiber_main((struct fiber *)((uintptr_t)low | (uintptr_t)((uint64_t)high << 32)));
}
static void prepare(struct fiber *f) {
    getcontext(&f->context);
    f->context.uc_stack.ss_sp = f->stack;
    f->context.uc_stack.ss_size = f->worker->run->stack;
    f->context.uc_link = 0;
    makecontext(&f->context, (void (*)(void))fiber_start, 2, (unsigned int)(uintptr_t)f, (unsigned int)((uint64_t)(uintptr_t)f >> 32));
}
static void enter(struct worker *w, struct fiber *f) { swapcontext(&w->context, &f->context); }
static void yield(struct fiber *f) { swapcontext(&f->context, &f->worker->context); }
#endif

static void fiber_main(struct fiber *f) {
    f->worker->run->entry(&f->item, f->worker->run->args);
    f->state = FINISHED;
    yield(f);
    abort(); /* BUG: a finished fiber was entered again */
}

static void item_leave(const struct dialtone_item *i) {
    struct fiber *f = (struct fiber *)i;
    f->state = FINISHED;
    yield(f);
    abort();
}

static void item_barrier(const struct dialtone_item *i) {
    struct fiber *f = (struct fiber *)i;
    if (f->worker->run->items == 1) return;
    f->state = AT_BARRIER;
    yield(f);
}

enum { SLEEPS = 1024 }; /* from so many pauses on a wait sleeps between them */

/* idle counts the pauses of a wait: what takes longer may be noticed later. */
static void nap(unsigned int idle) {
    struct timespec t = {0, 50000};
    if (idle < 64) return;
    if (idle < SLEEPS) {
        sched_yield();
        return;
    }
    if (idle > 4 * SLEEPS) t.tv_nsec = 1000000;
    if (idle > 8 * SLEEPS) t.tv_nsec = 5000000;
    nanosleep(&t, 0);
}

static void pause_worker(struct worker *w, unsigned int idle) {
    if (idle >= SLEEPS) set_asleep(w, 1);
    nap(idle);
}

static void got_on(struct worker *w) {
    if (w->idle >= SLEEPS) set_asleep(w, 0);
    w->idle = 0;
}

/* The first pause of a wait says that its item got on since the last one. */
static void item_pause(const struct dialtone_item *i, unsigned int turns) {
    struct fiber *f = (struct fiber *)i;
    struct worker *w = f->worker;
    if (turns == 0) got_on(w);
    else if (w->idle < 1u << 30) w->idle++;
    if (w->live + w->unstarted > 1) {
        if (w->idle % w->live == 0) pause_worker(w, (unsigned int)(w->idle / w->live));
        yield(f);
    } else {
        pause_worker(w, w->idle);
    }
}

static unsigned long long clock_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (unsigned long long)t.tv_sec * 1000000000ull + (unsigned long long)t.tv_nsec;
}

static const struct dialtone_cpu functions = {item_barrier, item_leave, item_pause, clock_ns};

const struct dialtone_cpu *dialtone_functions(void) { return &functions; }

/* 1 if the compiler gave kernels no thread-local group memory, so that groups must take turns. */
int dialtone_single(void) {
#ifdef __TINYC__
    return 1;
#else
    return 0;
#endif
}

/* --- groups --- */

static struct fiber *new_fiber(struct worker *w) {
    struct fiber *f = calloc(1, sizeof *f);
    char *m;
    if (!f) return 0;
    m = mmap(0, GUARD_BYTES + w->run->stack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (m == MAP_FAILED) {
        free(f);
        return 0;
    }
    mprotect(m, GUARD_BYTES, PROT_NONE);
    f->stack = m + GUARD_BYTES;
    f->worker = w;
    return f;
}

/* From current on, a stop takes the thread away from here at once; before, it may hold a lock of malloc
   and is left alone, so the flag has to be looked at. */
static void resume(struct worker *w, struct fiber *f) {
    *(struct fiber *volatile *)&w->current = f;
    __asm__ volatile("" : : : "memory");
    if (stopped(w->run)) siglongjmp(w->recover, 1);
    enter(w, f);
    *(struct fiber *volatile *)&w->current = 0;
    if (f->state == FINISHED) {
        f->state = FREE;
        w->live--;
        got_on(w);
    }
}

static int run_group(struct worker *w, uint64_t g) {
    struct run *r = w->run;
    uint64_t next = 0, i, used = 0;
    unsigned int id[3];
    id[0] = (unsigned int)(g % r->grid[0]);
    id[1] = (unsigned int)(g / r->grid[0] % r->grid[1]);
    id[2] = (unsigned int)(g / r->grid[0] / r->grid[1]);
    w->live = 0;
    got_on(w);
    for (;;) {
        int ready = 0;
        /* Start every item once; one that ends at once leaves its stack to the next. */
        while (next < r->items) {
            struct fiber *f;
            for (i = used; i > 0 && w->fibers[i - 1]->state != FREE; i--) {}
            if (i > 0) {
                f = w->fibers[i - 1];
            } else {
                if (used == w->made) {
                    if (!(w->fibers[used] = new_fiber(w))) return -1;
                    w->made++;
                }
                f = w->fibers[used++];
            }
            memcpy(f->item.group_id, id, sizeof id);
            memcpy(f->item.group_count, r->grid, sizeof r->grid);
            memcpy(f->item.group_size, r->group, sizeof r->group);
            f->item.local_id[0] = (unsigned int)(next % r->group[0]);
            f->item.local_id[1] = (unsigned int)(next / r->group[0] % r->group[1]);
            f->item.local_id[2] = (unsigned int)(next / r->group[0] / r->group[1]);
            next++;
            w->unstarted = r->items - next;
            w->live++;
            got_on(w);
            f->state = READY;
            prepare(f);
            resume(w, f);
            if (f->state == READY) break; /* it waits for the host: look after those that waited before */
        }
        for (i = 0; i < used; i++)
            if (w->fibers[i]->state == READY) {
                ready = 1;
                resume(w, w->fibers[i]);
            }
        if (next < r->items) continue;
        if (w->live == 0) return 0;
        if (!ready)
            for (i = 0; i < used; i++)
                if (w->fibers[i]->state == AT_BARRIER) w->fibers[i]->state = READY;
    }
}

void dialtone_stop(struct run *r);

static void *worker_main(void *p) {
    struct worker *w = p;
    struct run *r = w->run;
    sigset_t mine;
    stack_t alt;
    memset(&alt, 0, sizeof alt);
    alt.ss_sp = w->alt_stack;
    alt.ss_size = ALT_STACK_BYTES;
    sigaltstack(&alt, 0);
    pthread_setspecific(worker_key, w);
    if (sigsetjmp(w->recover, 1) == 0) {
        sigemptyset(&mine);
        sigaddset(&mine, SIGSEGV);
        sigaddset(&mine, SIGBUS);
        sigaddset(&mine, SIGFPE);
        sigaddset(&mine, SIGILL);
        sigaddset(&mine, SIGTRAP);
        sigaddset(&mine, SIGABRT);
        sigaddset(&mine, STOP_SIGNAL);
        pthread_sigmask(SIG_UNBLOCK, &mine, 0);
        while (!stopped(r)) {
            uint64_t g = take_group(r);
            if (g >= r->groups) break;
            if (run_group(w, g) != 0) {
                pthread_mutex_lock(&r->mutex);
                if (!r->fault_signal) r->fault_signal = -1; /* no memory for stacks */
                pthread_mutex_unlock(&r->mutex);
                w->faulted = 1;
                set_stop(r);
            }
        }
    }
    /* From here on the thread takes no signal at all. */
    sigfillset(&mine);
    pthread_sigmask(SIG_SETMASK, &mine, 0);
    pthread_setspecific(worker_key, 0);
    if (w->faulted) dialtone_stop(r); /* groups of the others may go on for ever */
    pthread_mutex_lock(&r->mutex);
    w->alive = 0;
    pthread_cond_signal(&r->ended);
    pthread_mutex_unlock(&r->mutex);
    return 0;
}

/* --- signals --- */

static const int fault_signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT};
enum { FAULT_SIGNALS = sizeof fault_signals / sizeof *fault_signals };
static struct sigaction before[FAULT_SIGNALS + 1];

static void on_signal(int signal, siginfo_t *info, void *context) {
    struct worker *w = pthread_getspecific(worker_key);
    int i;
    if (w) {
        struct run *r = w->run;
        if (signal != STOP_SIGNAL) w->faulted = 1;
        if (signal != STOP_SIGNAL && !r->fault_signal) {
            /* No lock in a handler: two workers that fault at once may mix their places. */
            r->fault_signal = signal;
            r->fault_address = (uintptr_t)info->si_addr;
            if (w->current) {
                memcpy(r->fault_group, w->current->item.group_id, sizeof r->fault_group);
                memcpy(r->fault_item, w->current->item.local_id, sizeof r->fault_item);
            }
        }
        set_stop(r);
        if (signal == STOP_SIGNAL && !w->current) return;
        siglongjmp(w->recover, 1);
    }
    for (i = 0; i < FAULT_SIGNALS && fault_signals[i] != signal; i++) {}
    if (before[i].sa_flags & SA_SIGINFO) {
        before[i].sa_sigaction(signal, info, context);
    } else if (before[i].sa_handler == SIG_DFL) {
        struct sigaction plain;
        memset(&plain, 0, sizeof plain);
        plain.sa_handler = SIG_DFL;
        sigaction(signal, &plain, 0);
        raise(signal);
    } else if (before[i].sa_handler != SIG_IGN) {
        before[i].sa_handler(signal);
    }
}

/* Called once, before anything else. */
int dialtone_start(void) {
    struct sigaction a;
    int i;
    if (pthread_key_create(&worker_key, 0) != 0) return -1;
    memset(&a, 0, sizeof a);
    a.sa_sigaction = on_signal;
    a.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigfillset(&a.sa_mask);
    for (i = 0; i < FAULT_SIGNALS; i++)
        if (sigaction(fault_signals[i], &a, &before[i]) != 0) return -1;
    return sigaction(STOP_SIGNAL, &a, &before[FAULT_SIGNALS]);
}

/* --- launches --- */

void dialtone_free(struct run *r);

/* Conditions with a time to wait: no change of the wall clock may lengthen it. macOS has no such clock for them, and another function. */
#ifdef __APPLE__
static void new_condition(pthread_cond_t *c) { pthread_cond_init(c, 0); }
static int wait_for(pthread_cond_t *c, pthread_mutex_t *m, long ns) {
    struct timespec t = {0, ns};
    return pthread_cond_timedwait_relative_np(c, m, &t) != 0;
}
#else
static void new_condition(pthread_cond_t *c) {
    pthread_condattr_t a;
    pthread_condattr_init(&a);
    pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
    pthread_cond_init(c, &a);
    pthread_condattr_destroy(&a);
}
static int wait_for(pthread_cond_t *c, pthread_mutex_t *m, long ns) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_nsec += ns;
    t.tv_sec += t.tv_nsec / 1000000000;
    t.tv_nsec %= 1000000000;
    return pthread_cond_timedwait(c, m, &t) != 0;
}
#endif

/* Gives a worker what it needs; dialtone_free takes it back. */
static int equip(struct run *r, struct worker *w) {
    w->run = r;
    w->fibers = calloc(r->items, sizeof *w->fibers);
    w->alt_stack = malloc(ALT_STACK_BYTES);
    if (w->fibers && w->alt_stack) return 1;
    free(w->fibers);
    free(w->alt_stack);
    memset(w, 0, sizeof *w);
    return 0;
}

/* Copies everything it is given: values are the arguments one after the other, sizes their lengths. stack is how many bytes a work-item
   needs of it, if more than usual. threads is how many groups are to get on at once, lent how many more workers there may be while others wait. */
struct run *dialtone_new(entry_point entry, const unsigned int *shape, int threads, int lent, uint64_t stack, int count, const unsigned int *sizes, const char *values) {
    struct run *r = calloc(1, sizeof *r);
    int k;
    if (!r) return 0;
    pthread_mutex_init(&r->mutex, 0);
    new_condition(&r->ended);
    r->entry = entry;
    memcpy(r->grid, shape, sizeof r->grid);
    memcpy(r->group, shape + 3, sizeof r->group);
    r->groups = (uint64_t)r->grid[0] * r->grid[1] * r->grid[2];
    r->items = (uint64_t)r->group[0] * r->group[1] * r->group[2];
    r->stack = stack > STACK_BYTES ? ((size_t)stack + 65535) / 65536 * 65536 : STACK_BYTES; /* whole pages of any size */
    r->threads = (uint64_t)threads < r->groups ? threads : (int)r->groups;
    if ((uint64_t)lent > LENT_ITEMS / r->items) lent = (int)(LENT_ITEMS / r->items);
    r->most = (uint64_t)r->threads + (uint64_t)lent < r->groups ? r->threads + lent : (int)r->groups;
    r->args = calloc((size_t)count + 1, sizeof *r->args);
    r->workers = calloc((size_t)r->most, sizeof *r->workers);
    if (!r->args || !r->workers) goto fail;
    for (k = 0; k < count; k++) {
        if (!(r->args[k] = calloc(1, (size_t)sizes[k] + 16))) goto fail;
        memcpy(r->args[k], values, sizes[k]);
        values += sizes[k];
    }
    for (k = 0; k < r->threads; k++)
        if (!equip(r, &r->workers[k])) goto fail;
    return r;
fail:
    dialtone_free(r);
    return 0;
}

/* Starts the next worker; the mutex is held. Gives an error number. */
static int start(struct run *r) {
    struct worker *w = &r->workers[r->started];
    sigset_t all, old;
    int e;
    /* A new thread inherits the mask: it must not take the program's signals. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    e = pthread_create(&w->thread, 0, worker_main, w);
    pthread_sigmask(SIG_SETMASK, &old, 0);
    if (e != 0) return e;
    w->alive = 1;
    r->started++;
    return 0;
}

/* Starts workers for those that sleep, as long as there are groups to begin; the mutex is held. Gives whether there was a need. */
static int lend(struct run *r) {
    int k, busy = 0;
    for (k = 0; k < r->started; k++) busy += r->workers[k].alive && !asleep(&r->workers[k]);
    if (busy >= r->threads) return 0;
    for (; busy < r->threads && r->started < r->most && taken(r) < r->groups && !stopped(r); busy++)
        if (!equip(r, &r->workers[r->started]) || start(r) != 0) r->most = r->started; /* then they wait, as they would have */
    return 1;
}

enum { LOOK_FIRST_NS = 1000000, LOOK_LAST_NS = 16000000 };

/* Runs the launch to its end; gives 0, or an error number if no thread could be started. */
int dialtone_run(struct run *r) {
    long look = LOOK_FIRST_NS;
    int k, e = 0;
    pthread_mutex_lock(&r->mutex);
    while (r->started < r->threads && e == 0 && !stopped(r)) e = start(r);
    if (e != 0) r->most = r->started;
    /* A worker ends when there are no more groups, or the launch is to stop. */
    while (r->started < r->most && taken(r) < r->groups && !stopped(r))
        if (wait_for(&r->ended, &r->mutex, look)) look = lend(r) ? LOOK_FIRST_NS : look < LOOK_LAST_NS ? 2 * look : LOOK_LAST_NS;
    pthread_mutex_unlock(&r->mutex);
    for (k = 0; k < r->started; k++) pthread_join(r->workers[k].thread, 0);
    return r->started > 0 || stopped(r) ? 0 : e;
}

/* Ends a launch from another thread; dialtone_run returns soon after. */
void dialtone_stop(struct run *r) {
    int k;
    set_stop(r);
    pthread_mutex_lock(&r->mutex);
    for (k = 0; k < r->started; k++)
        if (r->workers[k].alive) pthread_kill(r->workers[k].thread, STOP_SIGNAL);
    pthread_mutex_unlock(&r->mutex);
}

/* What went wrong: signal, address, group and item of the first fault; the signal is 0 if nothing did. */
void dialtone_fault(struct run *r, uint64_t *out) {
    int k;
    out[0] = (uint64_t)(int64_t)r->fault_signal;
    out[1] = r->fault_address;
    for (k = 0; k < 3; k++) {
        out[2 + k] = r->fault_group[k];
        out[5 + k] = r->fault_item[k];
    }
}

void dialtone_free(struct run *r) {
    uint64_t i;
    int k;
    if (r->workers)
        for (k = 0; k < r->most; k++) {
            struct worker *w = &r->workers[k];
            for (i = 0; w->fibers && i < w->made; i++) {
                munmap(w->fibers[i]->stack - GUARD_BYTES, GUARD_BYTES + r->stack);
                free(w->fibers[i]);
            }
            free(w->fibers);
            free(w->alt_stack);
        }
    if (r->args)
        for (k = 0; r->args[k]; k++) free(r->args[k]);
    free(r->args);
    free(r->workers);
    pthread_cond_destroy(&r->ended);
    pthread_mutex_destroy(&r->mutex);
    free(r);
}
