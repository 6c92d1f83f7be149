/* OpenCL C 1.2 dialect: one lane per subgroup, since 1.2 has no portable subgroups. */
typedef uchar hc_u8;
typedef int hc_i32;
typedef uint hc_u32;
typedef long hc_i64;
typedef ulong hc_u64;
typedef size_t hc_size;

#define GLOBAL __global
#define GROUP __local
#define CONSTANT __constant
#define SHARED __local
#define HC_GROUP_SPACE __local
/* Always inline: PoCL (3.1) crashes over a function that is left and whose pointer to SHARED memory was found to be always the same. */
#define DEVICE static inline __attribute__((always_inline))
#define HC_INLINE static inline
/* PoCL inlines what it may: without the attribute a kernel with 50 calls takes 20 s to compile, with it 3. */
#define HC_NOINLINE static __attribute__((noinline))
#define HC_OVERLOAD static inline __attribute__((overloadable))
#define HC_UNROLL
/* Clang that compiles for the host's processor, as PoCL's does: see c11.h. The type of a label is in no address space that has a name. */
#if defined(__x86_64__) && defined(__clang__)
#define HC_PACKED __attribute__((packed))
#define HC_LABELS(label) const __typeof__(&&label)
/* Keeps clang from making a vector of values that are stored beside each other. */
#define HC_SCALAR_BITS(v) __asm__("" : "+m"(v))
#endif
#ifdef cl_khr_fp64
#pragma OPENCL EXTENSION cl_khr_fp64 : enable
#define HC_DOUBLE 1
#define HC_SQRT64(x) sqrt((double)(x))
#endif
/* Products are not fused with sums, as nowhere; what else a float is, the host asks the device and defines: see package opencl. */
#pragma OPENCL FP_CONTRACT OFF
#ifdef HC_EXACT_DIVISION
#define HC_SQRT32(x) sqrt((float)(x))
#endif
#define HC_CLZ32(x) clz((uint)(x))
#define HC_CLZ64(x) clz((ulong)(x))
#define HC_POPCOUNT32(x) popcount((uint)(x))
#define HC_POPCOUNT64(x) popcount((ulong)(x))

#define HC __global hc_u32 *hc_local_, __global hc_u32 *hc_mail_, const hc_params hc_params_
#define hc hc_local_, hc_mail_, hc_params_
#define HC_P(field) (hc_params_.field)
#define HC_KERNEL(name) __kernel void name
#define HC_KERNEL_PARAMS HC

#define hc_global_id_in(d) ((hc_u32)get_global_id(d))
#define hc_local_id_in(d) ((hc_u32)get_local_id(d))
#define hc_group_id_in(d) ((hc_u32)get_group_id(d))
#define hc_group_size_in(d) ((hc_u32)get_local_size(d))
#define hc_group_count_in(d) ((hc_u32)get_num_groups(d))
#define hc_barrier() barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE)
#define hc_stop_lane() ((void)0) /* 1.2 cannot end a work-item: its later calls fail at once */

/* A waiting work-item gives its core away where the device is a host processor; the plan
   defines HC_HOST_YIELD only after a kernel has called the system there. */
#if defined(HC_HOST_YIELD) && defined(__x86_64__)
/* A call without arguments of x86-64 Linux. */
HC_INLINE long hc_system_(long number) {
    __asm__ volatile("syscall" : "+a"(number) : : "rcx", "r11", "memory");
    return number;
}
HC_INLINE void hc_pause_(hc_u32 turns) {
    if (turns > 64u) hc_system_(24); /* sched_yield(2) */
}
#else
HC_INLINE void hc_pause_(hc_u32 turns) {}
#endif
#define hc_pause(turns) hc_pause_(turns)
#define hc_breathe() ((void)0)

HC_INLINE hc_u32 hc_load(volatile __global const hc_u32 *p) { return *p; }
HC_INLINE hc_u32 hc_load_acquire(volatile __global const hc_u32 *p) { hc_u32 v = *p; mem_fence(CLK_GLOBAL_MEM_FENCE); return v; }
HC_INLINE void hc_store(volatile __global hc_u32 *p, hc_u32 v) { *p = v; }
HC_INLINE void hc_store_release(volatile __global hc_u32 *p, hc_u32 v) { mem_fence(CLK_GLOBAL_MEM_FENCE); *p = v; }
HC_INLINE void hc_fence(void) { mem_fence(CLK_GLOBAL_MEM_FENCE); }
#define hc_atomic_add(p, v) atomic_add((volatile __global hc_u32 *)(p), (v))
HC_INLINE int hc_lock(volatile __global hc_u32 *p, hc_u32 *ticket) {
    hc_u32 old = atomic_or(p, 1u);
    mem_fence(CLK_GLOBAL_MEM_FENCE);
    *ticket = old >> 1;
    return !(old & 1u);
}
/* An exchange, since 1.2 does not say that a plain store and another item's atomic_or come one after the other: Oclgrind loses such a store. */
HC_INLINE void hc_unlock(volatile __global hc_u32 *p, hc_u32 v) { mem_fence(CLK_GLOBAL_MEM_FENCE); atomic_xchg(p, v); }
