/* Metal Shading Language dialect, which is C++14 with less: one lane per subgroup, since its simdgroup functions take no mask,
   so that lanes which have parted could not take the steps of a call together. Names of the library are qualified:
   "using namespace metal" would take words away from kernels. */
#include <metal_stdlib>

typedef unsigned char hc_u8;
typedef int hc_i32;
typedef unsigned int hc_u32;
typedef long hc_i64;
typedef unsigned long hc_u64;
typedef unsigned long hc_size;

#define GLOBAL device
#define GROUP threadgroup
#define CONSTANT constant
#define SHARED threadgroup
#define HC_GROUP_SPACE threadgroup
#define DEVICE static inline
#define HC_INLINE static inline
#define HC_NOINLINE static __attribute__((noinline))
#define HC_OVERLOAD static inline
#define HC_UNROLL
#define HC_CPLUSPLUS 1
#define HC_NO_LONG_LONG 1
/* Products are not fused with sums, as nowhere. Of floats nothing is promised: they may round towards zero, and subnormals may be zero
   ("Metal Shading Language Specification", section "Numerical Compliance"). */
#pragma clang fp contract(off)
#define HC_CLZ32(x) metal::clz((hc_u32)(x))
#define HC_POPCOUNT32(x) metal::popcount((hc_u32)(x))

/* Ids are attributes of a kernel's parameters, so they are handed on with the rest. */
#define HC device hc_u32 *hc_local_, device hc_u32 *hc_mail_, constant hc_params &hc_params_, \
    metal::uint3 hc_local_id_v_, metal::uint3 hc_group_id_v_, metal::uint3 hc_group_size_v_, metal::uint3 hc_group_count_v_
#define hc hc_local_, hc_mail_, hc_params_, hc_local_id_v_, hc_group_id_v_, hc_group_size_v_, hc_group_count_v_
#define HC_P(field) (hc_params_.field)
#define HC_KERNEL(name) kernel void name
#define HC_KERNEL_PARAMS device hc_u32 *hc_local_ [[buffer(0)]], device hc_u32 *hc_mail_ [[buffer(1)]], constant hc_params &hc_params_ [[buffer(2)]], \
    metal::uint3 hc_local_id_v_ [[thread_position_in_threadgroup]], metal::uint3 hc_group_id_v_ [[threadgroup_position_in_grid]], \
    metal::uint3 hc_group_size_v_ [[threads_per_threadgroup]], metal::uint3 hc_group_count_v_ [[threadgroups_per_grid]]

#define hc_local_id_in(d) (hc_local_id_v_[d])
#define hc_group_id_in(d) (hc_group_id_v_[d])
#define hc_group_size_in(d) (hc_group_size_v_[d])
#define hc_group_count_in(d) (hc_group_count_v_[d])
#define hc_global_id_in(d) (hc_group_id_v_[d] * hc_group_size_v_[d] + hc_local_id_v_[d])
#define hc_barrier() metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup | metal::mem_flags::mem_device)
#define hc_stop_lane() ((void)0) /* nothing ends a thread: its later calls fail at once */
#define hc_pause(turns) ((void)(turns))
#define hc_breathe() ((void)0)

/* All atomics are relaxed; the language orders other memory from 3.2 on, and before only at barriers. Nothing here
   relies on what the host sees meanwhile: Metal promises nothing of it. */
HC_INLINE hc_u32 hc_load(device const hc_u32 *p) { return metal::atomic_load_explicit((device const metal::atomic_uint *)p, metal::memory_order_relaxed); }
HC_INLINE void hc_store(device hc_u32 *p, hc_u32 v) { metal::atomic_store_explicit((device metal::atomic_uint *)p, v, metal::memory_order_relaxed); }
#if __METAL_VERSION__ >= 320
HC_INLINE void hc_fence() { metal::atomic_thread_fence(metal::mem_flags::mem_device, metal::memory_order_seq_cst, metal::thread_scope_device); }
#else
HC_INLINE void hc_fence() {}
#endif
HC_INLINE hc_u32 hc_load_acquire(device const hc_u32 *p) {
    const hc_u32 v = hc_load(p);
    hc_fence();
    return v;
}
HC_INLINE void hc_store_release(device hc_u32 *p, hc_u32 v) {
    hc_fence();
    hc_store(p, v);
}
#define hc_atomic_add(p, v) metal::atomic_fetch_add_explicit((device metal::atomic_uint *)(p), (hc_u32)(v), metal::memory_order_relaxed)
HC_INLINE int hc_lock(device hc_u32 *p, thread hc_u32 *ticket) {
    const hc_u32 old = metal::atomic_fetch_or_explicit((device metal::atomic_uint *)p, 1u, metal::memory_order_relaxed);
    hc_fence();
    *ticket = old >> 1;
    return !(old & 1u);
}
#define hc_unlock(p, v) hc_store_release(p, v)
