/* C11 dialect: one lane per subgroup, work-items run by the host's own threads.
   struct dialtone_item and struct dialtone_cpu come from the cpu backend's runtime. */
typedef unsigned char hc_u8;
typedef int hc_i32;
typedef unsigned int hc_u32;
typedef long long hc_i64;
typedef unsigned long long hc_u64;
typedef __SIZE_TYPE__ hc_size;

#define GLOBAL
#define GROUP
#define CONSTANT const
#ifdef __TINYC__
#define SHARED static /* tcc knows no thread-local storage: the backend runs one group at a time */
#else
#define SHARED static __thread
#endif
#define DEVICE static inline
#define HC_INLINE static inline
#define HC_NOINLINE static __attribute__((noinline, unused))
#define HC_OVERLOAD static inline
#define HC_UNROLL
#define HC_GENERIC 1
#define HC_ONE_SPACE 1
#define HC_DOUBLE 1
#define HC_EXACT_FLOAT 1
#define HC_SUBNORMALS 1
#define HC_EXACT_DIVISION 1
#ifndef __TINYC__
/* Labels have addresses that goto takes: the type of a table of them, in the function that has that label. */
#define HC_LABELS(label) static const void *const
#if defined(__x86_64__) || defined(__aarch64__)
/* Makes a type that may lie anywhere, and is accessed by one instruction all the same. */
#define HC_PACKED __attribute__((packed))
#endif
#define HC_SQRT32(x) __builtin_sqrtf(x)
#define HC_SQRT64(x) __builtin_sqrt(x)
#define HC_CLZ32(x) __builtin_clz(x)
#define HC_CLZ64(x) __builtin_clzll(x)
#define HC_POPCOUNT32(x) __builtin_popcount(x)
#define HC_POPCOUNT64(x) __builtin_popcountll(x)
#endif
#define HC_WIDE 1

#define HC const struct dialtone_item *hc_item_, hc_u32 *hc_local_, hc_u32 *hc_mail_, const hc_params *hc_params_
#define hc hc_item_, hc_local_, hc_mail_, hc_params_
#define HC_P(field) (hc_params_->field)
/* hc as a field, for functions that are not given it: HC_KEEP fills it, HC_RECALL declares hc again. */
#define HC_KEPT struct { const struct dialtone_item *item; hc_u32 *local, *mail; const hc_params *params; }
#define HC_KEEP(to) ((to)->item = hc_item_, (to)->local = hc_local_, (to)->mail = hc_mail_, (to)->params = hc_params_)
#define HC_RECALL(from) \
    const struct dialtone_item *const hc_item_ = (from)->item; \
    hc_u32 *const hc_local_ = (from)->local, *const hc_mail_ = (from)->mail; \
    const hc_params *const hc_params_ = (from)->params
#define HC_KERNEL(name) static void name
#define HC_KERNEL_PARAMS HC

#define hc_global_id_in(d) (hc_item_->group_id[d] * hc_item_->group_size[d] + hc_item_->local_id[d])
#define hc_local_id_in(d) (hc_item_->local_id[d])
#define hc_group_id_in(d) (hc_item_->group_id[d])
#define hc_group_size_in(d) (hc_item_->group_size[d])
#define hc_group_count_in(d) (hc_item_->group_count[d])
#define hc_barrier() dialtone_cpu->barrier(hc_item_)
#define hc_stop_lane() dialtone_cpu->leave(hc_item_)
#define HC_STOPS_ALONE 1 /* others of the group go on */
#define HC_AFTER_CALL() __asm__ volatile("")
#define hc_pause(turns) dialtone_cpu->pause(hc_item_, turns)
#define hc_breathe() dialtone_cpu->pause(hc_item_, 0u) /* a long loop lets the group's other items run */

#ifdef __TINYC__
/* tcc has no atomic builtins; x86's own ordering makes plain accesses enough, and the lock
   prefix does the rest. */
#ifndef __x86_64__
#error "tcc is supported on x86-64 only: install gcc or clang"
#endif
static hc_u32 hc_atomic_swap(volatile hc_u32 *p, hc_u32 v) { __asm__ volatile("xchgl %0, %1" : "+r"(v), "+m"(*p) : : "memory"); return v; }
static hc_u32 hc_atomic_add_(volatile hc_u32 *p, hc_u32 v) { __asm__ volatile("lock; xaddl %0, %1" : "+r"(v), "+m"(*p) : : "memory"); return v; }
static hc_u32 hc_load(const volatile hc_u32 *p) { return *p; }
static hc_u32 hc_load_acquire(const volatile hc_u32 *p) { hc_u32 v = *p; __asm__ volatile("" : : : "memory"); return v; }
static void hc_store(volatile hc_u32 *p, hc_u32 v) { *p = v; }
static hc_u64 hc_load64(const volatile hc_u32 *p) { return *(const volatile hc_u64 *)p; }
static void hc_store64(volatile hc_u32 *p, hc_u64 v) { *(volatile hc_u64 *)p = v; }
static void hc_store64_release(volatile hc_u32 *p, hc_u64 v) { __asm__ volatile("" : : : "memory"); *(volatile hc_u64 *)p = v; }
static void hc_store_release(volatile hc_u32 *p, hc_u32 v) { __asm__ volatile("" : : : "memory"); *p = v; }
static void hc_fence(void) { __asm__ volatile("mfence" : : : "memory"); }
#define hc_atomic_add(p, v) hc_atomic_add_((p), (v))
static int hc_lock(volatile hc_u32 *p, hc_u32 *ticket) {
    hc_u32 v = *p, old;
    if (v & 1) return 0;
    old = v;
    __asm__ volatile("lock; cmpxchgl %2, %1" : "+a"(old), "+m"(*p) : "r"(v | 1) : "memory");
    *ticket = v >> 1;
    return old == v;
}
#else
HC_INLINE hc_u32 hc_load(const hc_u32 *p) { return __atomic_load_n(p, __ATOMIC_RELAXED); }
HC_INLINE hc_u32 hc_load_acquire(const hc_u32 *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
HC_INLINE void hc_store(hc_u32 *p, hc_u32 v) { __atomic_store_n(p, v, __ATOMIC_RELAXED); }
HC_INLINE void hc_store_release(hc_u32 *p, hc_u32 v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }
typedef hc_u64 __attribute__((may_alias)) hc_cell_;
HC_INLINE hc_u64 hc_load64(const hc_u32 *p) { return __atomic_load_n((const hc_cell_ *)p, __ATOMIC_RELAXED); }
HC_INLINE void hc_store64(hc_u32 *p, hc_u64 v) { __atomic_store_n((hc_cell_ *)p, v, __ATOMIC_RELAXED); }
HC_INLINE void hc_store64_release(hc_u32 *p, hc_u64 v) { __atomic_store_n((hc_cell_ *)p, v, __ATOMIC_RELEASE); }
HC_INLINE void hc_fence(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
HC_INLINE hc_u32 hc_atomic_add_(hc_u32 *p, hc_u32 v) { return __atomic_fetch_add(p, v, __ATOMIC_RELAXED); }
#define hc_atomic_add(p, v) hc_atomic_add_((p), (v))
HC_INLINE int hc_lock(hc_u32 *p, hc_u32 *ticket) {
    hc_u32 old = __atomic_fetch_or(p, 1u, __ATOMIC_ACQUIRE);
    *ticket = old >> 1;
    return !(old & 1);
}
#endif
HC_INLINE void hc_store_pair(hc_u32 *p, hc_u64 a, hc_u64 b) {
    hc_store64(p + 2, b);
    hc_store64(p, a);
}
HC_INLINE void hc_store_pair_release(hc_u32 *p, hc_u64 a, hc_u64 b) {
    hc_store64(p + 2, b);
    hc_store64_release(p, a);
}
#define hc_unlock(p, v) hc_store_release(p, v)
#define HC_DEVICE_CLOCK_NS() dialtone_cpu->clock()
