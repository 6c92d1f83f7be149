/* CUDA C++ dialect, sm_70 and later: a warp is a subgroup. Accesses to the mailbox are PTX with
   explicit order and scope (PTX ISA, "Memory Consistency Model"); nothing here needs a header. */
#define HC_LANES 32

#define HC_SQRT32(x) __fsqrt_rn(x)
#define HC_SQRT64(x) __dsqrt_rn(x)
#define HC_CLZ32(x) __clz((int)(x))
#define HC_CLZ64(x) __clzll((long long)(x))
#define HC_POPCOUNT32(x) __popc(x)
#define HC_POPCOUNT64(x) __popcll(x)

#define HC_DIM_(v, d) ((d) == 0 ? v.x : (d) == 1 ? v.y : v.z)
#define hc_global_id_in(d) (HC_DIM_(blockIdx, d) * HC_DIM_(blockDim, d) + HC_DIM_(threadIdx, d))
#define hc_local_id_in(d) HC_DIM_(threadIdx, d)
#define hc_group_id_in(d) HC_DIM_(blockIdx, d)
#define hc_group_size_in(d) HC_DIM_(blockDim, d)
#define hc_group_count_in(d) HC_DIM_(gridDim, d)
#define hc_barrier() __syncthreads()
HC_INLINE void hc_stop_lane() { asm volatile("exit;"); }
#define HC_STOPS_ALONE 1 /* others of the wave go on */
#define HC_AFTER_CALL() asm volatile("") /* the call before it is not the last thing that its function does */

/* A wait looks back to back at first, then at distances that double: with many waiting, whoever looks too
   often takes the bus from the others and the line from the host that is about to write it. */
#define HC_PAUSE_FREE 6u
#define HC_PAUSE_MOST 15u
HC_INLINE void hc_pause_(hc_u32 turns) {
    if (turns >= HC_PAUSE_FREE) /* ns; the hardware sleeps up to twice as long */
        asm volatile("nanosleep.u32 %0;" ::"r"(1u << (turns < HC_PAUSE_MOST ? turns : HC_PAUSE_MOST)));
}
#define hc_pause(turns) hc_pause_(turns)
#define hc_breathe() ((void)0)

HC_INLINE hc_u32 hc_load(const hc_u32 *p) { hc_u32 v; asm volatile("ld.relaxed.sys.global.u32 %0, [%1];" : "=r"(v) : "l"(p) : "memory"); return v; }
HC_INLINE hc_u32 hc_load_acquire(const hc_u32 *p) { hc_u32 v; asm volatile("ld.acquire.sys.global.u32 %0, [%1];" : "=r"(v) : "l"(p) : "memory"); return v; }
HC_INLINE hc_u64 hc_load64(const hc_u32 *p) { hc_u64 v; asm volatile("ld.relaxed.sys.global.u64 %0, [%1];" : "=l"(v) : "l"(p) : "memory"); return v; }
HC_INLINE hc_u64 hc_load64_acquire(const hc_u32 *p) { hc_u64 v; asm volatile("ld.acquire.sys.global.u64 %0, [%1];" : "=l"(v) : "l"(p) : "memory"); return v; }
HC_INLINE void hc_store(hc_u32 *p, hc_u32 v) { asm volatile("st.relaxed.sys.global.u32 [%0], %1;" ::"l"(p), "r"(v) : "memory"); }
HC_INLINE void hc_store_release(hc_u32 *p, hc_u32 v) { asm volatile("st.release.sys.global.u32 [%0], %1;" ::"l"(p), "r"(v) : "memory"); }
HC_INLINE void hc_store64(hc_u32 *p, hc_u64 v) { asm volatile("st.relaxed.sys.global.u64 [%0], %1;" ::"l"(p), "l"(v) : "memory"); }
HC_INLINE void hc_store64_release(hc_u32 *p, hc_u64 v) { asm volatile("st.release.sys.global.u64 [%0], %1;" ::"l"(p), "l"(v) : "memory"); }
/* Two cells in one access of 16 bytes; each is valid by itself, so it may still arrive in halves. */
HC_INLINE void hc_store_pair(hc_u32 *p, hc_u64 a, hc_u64 b) { asm volatile("st.relaxed.sys.global.v2.u64 [%0], {%1, %2};" ::"l"(p), "l"(a), "l"(b) : "memory"); }
HC_INLINE void hc_store_pair_release(hc_u32 *p, hc_u64 a, hc_u64 b) { asm volatile("st.release.sys.global.v2.u64 [%0], {%1, %2};" ::"l"(p), "l"(a), "l"(b) : "memory"); }
HC_INLINE void hc_fence() { asm volatile("fence.acq_rel.sys;" ::: "memory"); }
HC_INLINE hc_u32 hc_atomic_add_(hc_u32 *p, hc_u32 v) { hc_u32 r; asm volatile("atom.relaxed.gpu.global.add.u32 %0, [%1], %2;" : "=r"(r) : "l"(p), "r"(v) : "memory"); return r; }
#define hc_atomic_add(p, v) hc_atomic_add_((hc_u32 *)(p), (v))
HC_INLINE int hc_lock(hc_u32 *p, hc_u32 *ticket) {
    hc_u32 old;
    asm volatile("atom.relaxed.gpu.global.or.b32 %0, [%1], 1;" : "=r"(old) : "l"(p) : "memory");
    *ticket = old >> 1;
    return !(old & 1u);
}
/* Relaxed: whoever claims the slot next writes its request only after this store was seen, and
   all that was read from the slot has been compared or stored by then. */
HC_INLINE void hc_unlock(hc_u32 *p, hc_u32 v) { asm volatile("st.relaxed.gpu.global.u32 [%0], %1;" ::"l"(p), "r"(v) : "memory"); }

typedef hc_u32 hc_mask;
HC_INLINE hc_mask hc_active_mask() { return __activemask(); }
#define hc_mask_low(m) (m)
#define hc_mask_high(m) 0u
HC_INLINE hc_u32 hc_lane() { hc_u32 v; asm("mov.u32 %0, %%laneid;" : "=r"(v)); return v; }
HC_INLINE hc_u32 hc_lanes_below_() { hc_u32 v; asm("mov.u32 %0, %%lanemask_lt;" : "=r"(v)); return v; }
HC_INLINE int hc_is_leader(hc_mask m) { return (m & hc_lanes_below_()) == 0; }
HC_INLINE hc_u32 hc_rank(hc_mask m) { return __popc(m & hc_lanes_below_()); }
HC_INLINE hc_u32 hc_count(hc_mask m) { return __popc(m); }
HC_INLINE hc_u32 hc_broadcast(hc_mask m, hc_u32 v) { return __shfl_sync(m, v, __ffs(m) - 1); }
HC_INLINE hc_mask hc_ballot(hc_mask m, int x) { return __ballot_sync(m, x); }
HC_INLINE int hc_any(hc_mask m, int x) { return __any_sync(m, x); }
HC_INLINE void hc_sync(hc_mask m) { __syncwarp(m); }
HC_INLINE hc_u32 hc_subgroup_index() {
    hc_u32 group = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
    hc_u32 local = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
    return group * ((blockDim.x * blockDim.y * blockDim.z + 31u) / 32u) + local / 32u;
}
HC_INLINE hc_u64 hc_globaltimer_() { hc_u64 v; asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(v)); return v; }
#define HC_DEVICE_CLOCK_NS() hc_globaltimer_()
#define HC_CYCLES() ((hc_u64)clock64())

HC_INLINE void hc_store_16(hc_u32 *to, const hc_u8 *from) {
    const hc_u32 *f = (const hc_u32 *)from;
    asm volatile("st.relaxed.sys.global.v4.u32 [%0], {%1, %2, %3, %4};" ::"l"(to), "r"(f[0]), "r"(f[1]), "r"(f[2]), "r"(f[3]) : "memory");
}
/* Four loads in flight at once: each is a trip over the bus. */
HC_INLINE void hc_load_64(hc_u8 *to, const hc_u32 *from) {
    hc_u32 v[16];
    hc_u32 *t = (hc_u32 *)to;
    HC_UNROLL for (int i = 0; i < 4; i++)
        asm volatile("ld.relaxed.sys.global.v4.u32 {%0, %1, %2, %3}, [%4];" : "=r"(v[i * 4]), "=r"(v[i * 4 + 1]), "=r"(v[i * 4 + 2]), "=r"(v[i * 4 + 3]) : "l"(from + i * 4) : "memory");
    HC_UNROLL for (int i = 0; i < 16; i++) t[i] = v[i];
}
